#include "keeper/provision/cas_anchor.h"

#include <algorithm>
#include <cerrno>
#include <thread>

namespace casemate::keeper {
namespace {

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
    const Result<protocol::TagAnswer> answer = link_->report(update);
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

void PositionReporter::lose(const std::string& why) {
  link_.reset();
  lost_at_ = Clock::now();
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
    const bool is_long_gone = now - lost_at_ >= limits_.longest_wait;
    const bool waits = loss == VolumeCasLoss::kWait && !is_long_gone;
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
