#include "keeper/provision/cas_anchor.h"

#include <cerrno>

namespace casemate::keeper {
namespace {

constexpr std::size_t kAnswerLimit = 4096;

bool is_newer(const volume::Position& left, const std::optional<volume::Position>& right) {
  return !right || std::pair(left.epoch, left.sequence) > std::pair(right->epoch, right->sequence);
}

}  // namespace

Result<void> PositionReporter::report(const std::string& volume, const volume::Position& position) {
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) return Error(ErrorCategory::kSystem, failure_, EIO);
  const protocol::TagUpdate update = {volume, {position.epoch, position.sequence, position.chain_tag}};
  const auto ask = [&]() -> Result<protocol::TagAnswer> {
    if (auto sent = write_frame(*channel_, encode(update)); !sent) return sent.error();
    const crypto::Bytes answer = CASEMATE_TRY(read_frame(*channel_, kAnswerLimit));
    return protocol::decode_tag_answer(answer);
  };
  const Result<protocol::TagAnswer> answer = ask();
  if (answer && answer.value().accepted) return {};
  failure_ = answer ? "the CAS does not take positions of volume '" + volume +
                          "' from this service any more: a newer activation holds it"
                    : "the CAS is not reachable any more (" + answer.error().message() +
                          "): what is synced from now on cannot be made fresh";
  return Error(ErrorCategory::kSystem, failure_, EIO);
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
  if (auto reported = reporter_->report(volume_, *position); !reported) return reported.error();
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
