#include "keeper/provision/cas_anchor.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <thread>

#include "crypto/secret.h"

namespace casemate::keeper {
namespace {

constexpr int kWatchMilliseconds = 200;  // bounds how long stopping takes

bool is_newer(const volume::Position& left, const std::optional<volume::Position>& right) {
  return !right || std::pair(left.epoch, left.sequence) > std::pair(right->epoch, right->sequence);
}

Error away(const std::string& why) {
  return Error(ErrorCategory::kSystem,
               "the CAS is not reachable (" + why + "): what is synced now cannot be made fresh", EIO);
}

}  // namespace

Result<void> PositionReporter::report(const std::string& volume, const volume::Position& position,
                                      protocol::VolumeCasLoss loss) {
  const std::lock_guard lock(mutex_);
  const protocol::TagUpdate update = {volume, {position.epoch, position.sequence, position.chain_tag}};
  while (failure_.empty()) {
    if (link_ == nullptr) {
      if (auto back = wait_for_cas(volume, loss); !back) return back;
      if (!failure_.empty()) break;
      if (link_ == nullptr) return {};  // kInsecureContinue
    }
    const Result<protocol::TagAnswer> answer = link_->report(update, [this](Push push) { take(std::move(push)); });
    if (!failure_.empty()) break;  // revoked meanwhile
    if (answer && answer.value().accepted) {
      acknowledged_[volume] = update.tag;
      return {};
    }
    if (answer) {
      failure_ = "the CAS does not take positions of volume '" + volume +
                 "' from this service any more: a newer activation holds it";
    } else {
      lose(answer.error().message());
    }
  }
  return Error(ErrorCategory::kSystem, failure_, EIO);
}

PositionReporter::~PositionReporter() { stop_watching(); }

void PositionReporter::watch(Renew renew, std::function<bool()> is_used) {
  renew_ = std::move(renew);
  is_used_ = std::move(is_used);
  watcher_ = std::thread([this] { watch_until_stopped(); });
}

void PositionReporter::stop_watching() {
  stops_ = true;
  if (watcher_.joinable()) watcher_.join();
}

// The link may be exchanged while nobody holds the lock: then poll() looked at another descriptor, and take_pushes()
// finds nothing.
void PositionReporter::watch_until_stopped() {
  while (!stops_) {
    int descriptor = -1;
    {
      const std::lock_guard lock(mutex_);
      if (!failure_.empty()) return;
      const auto now = Clock::now();
      if (link_ == nullptr && now - tried_at_ >= limits_.longest_pause && is_used_()) {
        tried_at_ = now;
        static_cast<void>(rejoin_once().has_value());
      }
      if (link_ != nullptr) descriptor = link_->descriptor();
    }
    pollfd state = {descriptor, POLLIN, 0};
    if (poll(&state, 1, kWatchMilliseconds) <= 0) continue;
    const std::lock_guard lock(mutex_);
    if (link_ == nullptr) continue;
    const Result<void> taken = link_->take_pushes([this](Push push) { take(std::move(push)); });
    if (!taken && failure_.empty()) lose(taken.error().message());
  }
}

// With the lock held.
void PositionReporter::take(Push push) {
  if (!push.revoked.empty()) {
    failure_ = "the CAS revoked this service (reference " + push.revoked +
               "): its session no longer allows it; its volumes take no changes any more. Its owner sees why";
    warn_(failure_);
    return;
  }
  if (push.generation < generation_) {
    warn_("the CAS sent an older state of the injected files than it had sent before: it was not taken");
  } else {
    generation_ = push.generation;
    if (renew_ && !stops_) renew_(push.files);
  }
  for (protocol::GrantedFile& file : push.files) crypto::wipe(std::as_writable_bytes(std::span(file.content)));
}

void PositionReporter::lose(const std::string& why) {
  link_.reset();
  tried_at_ = {};
  pause_ = limits_.first_pause;
  warn_("the connection to the CAS broke (" + why + ")");
}

// The CAS is back when link_ is there afterwards.
Result<void> PositionReporter::wait_for_cas(const std::string& volume, protocol::VolumeCasLoss loss) {
  using protocol::VolumeCasLoss;
  if (loss == VolumeCasLoss::kStop) stopped_.insert(volume);
  if (stopped_.contains(volume)) return away("and the session says `on_cas_loss: stop`");
  for (;;) {
    const auto now = Clock::now();
    if (!left_at_ && !is_used_()) left_at_ = now;
    const bool is_over = left_at_ && now - *left_at_ >= limits_.longest_farewell;
    const bool waits = loss == VolumeCasLoss::kWait && !is_over;
    // Who does not wait asks now and then.
    if (!waits && now - tried_at_ < limits_.longest_pause) {
      return loss == VolumeCasLoss::kInsecureContinue ? Result<void>() : Result<void>(away("still"));
    }
    tried_at_ = now;
    const Result<void> joined = rejoin_once();
    if (link_ != nullptr || !failure_.empty()) return {};
    if (loss == VolumeCasLoss::kInsecureContinue) return {};
    if (!waits) return away(joined.error().message());
    std::this_thread::sleep_for(pause_);
    pause_ = std::min(2 * pause_, limits_.longest_pause);
  }
}

Result<void> PositionReporter::rejoin_once() {
  Result<Rejoined> rejoined = rejoin_();
  if (!rejoined) {
    if (rejoined.error().category() == ErrorCategory::kUsage) failure_ = rejoined.error().message();
    return rejoined.error();
  }
  for (const auto& [volume, tag] : acknowledged_) {
    const auto known = std::ranges::find(rejoined.value().known, volume, &protocol::TagUpdate::volume);
    const auto order = [](const protocol::VolumeTag& one) { return std::pair(one.epoch, one.sequence); };
    if (known != rejoined.value().known.end() && order(known->tag) >= order(tag)) continue;
    failure_ = "the CAS came back with an older state of volume '" + volume +
               "' than it acknowledged: it was rolled back; its owner must put the newest database back";
    return Error(ErrorCategory::kSystem, failure_, EIO);
  }
  link_ = std::move(rejoined.value().link);
  warn_("the CAS is back");
  return {};
}

Result<std::optional<volume::Position>> CasAnchor::load() {
  const std::lock_guard lock(mutex_);
  return newest_;
}

Result<void> CasAnchor::note(const volume::Position& position) {
  const std::lock_guard lock(mutex_);
  if (is_newer(position, newest_)) newest_ = position;
  return {};
}

Result<std::optional<volume::Position>> CasAnchor::make_durable() {
  const std::lock_guard reporting(report_mutex_);
  std::optional<volume::Position> position;
  {
    const std::lock_guard lock(mutex_);
    position = newest_;
    if (!position || !is_newer(*position, reported_)) return reported_;
  }
  if (auto reported = reporter_->report(volume_, *position, loss_); !reported) return reported.error();
  const std::lock_guard lock(mutex_);
  if (is_newer(*position, reported_)) reported_ = position;
  return reported_;
}

Result<void> CasAnchor::store(const volume::Position& position) {
  if (auto noted = note(position); !noted) return noted;
  auto durable = make_durable();
  if (!durable) return durable.error();
  return {};
}

}  // namespace casemate::keeper
