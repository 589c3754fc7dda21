// Requests about contents of open files and their durability. None of them holds the names lock while it works.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "keeper/service.h"

namespace casemate::keeper {
namespace {

constexpr std::uint64_t kMostPages = volume::kMaximumFileSize / protocol::kPageSize;

}  // namespace

Answer Service::truncate(const ParsedRequest& request) {
  const std::uint64_t size = request.header.arguments[0];
  if (size > static_cast<std::uint64_t>(INT64_MAX)) return Answer::failure(EINVAL);
  NodeReference node;
  if (request.paths[0].empty() && request.header.base[0].kind == protocol::PlaceKind::kSlot) {
    node = node_of_slot(request);
    if (!node) return Answer::failure(EBADF);
  } else {
    const SharedLock lock(names_);
    Resolution found;
    if (const int code = locate_existing(request, 0, &found)) return Answer::failure(code);
    if (found.is_host()) return host_answer(found);
    const volume::Attributes& attributes = found.target.attributes;
    if (S_ISDIR(attributes.mode)) return Answer::failure(EISDIR);
    if (!S_ISREG(attributes.mode)) return Answer::failure(EINVAL);
    if (found.target.region->is_read_only()) return Answer::failure(EROFS);
    if (const int refused = check_access(request.caller(), attributes, kMayWrite)) return Answer::failure(refused);
    auto opened = cache_.open(*found.target.region, attributes);
    if (!opened) return fail(opened.error());
    node = std::move(opened).value();
    note_writer(*node);
  }
  if (node->region().is_read_only()) return Answer::failure(EROFS);
  const std::uint64_t limit = request.header.arguments[1];
  if (size > limit && size > node->status().size) return Answer::failure(EFBIG);
  const auto done = node->truncate(size);
  return done ? Answer() : fail(done.error());
}

Answer Service::synchronize(const ParsedRequest& request) {
  const NodeReference node = node_of_slot(request);
  if (!node) return Answer::failure(EBADF);
  if (node->region().is_volatile()) return {};
  const std::uint64_t first = std::min(request.header.arguments[0], kMostPages);
  const std::uint64_t count = std::min(request.header.arguments[1], kMostPages);
  if (node->is_regular() && !node->is_orphan()) {
    const bool is_data_only = request.header.arguments[2] != 0;
    const PageRange compared = count == 0 ? kAllPages : PageRange{first, count};
    const auto written = is_data_only ? node->write_back_data() : node->write_back(compared);
    if (!written) return fail(written.error());
  }
  const auto done = durability_.sync(node->region());
  return done ? Answer() : fail(done.error());
}

Answer Service::synchronize_all(const ParsedRequest& request) {
  const NodeReference node = node_of_slot(request);
  if (node && node->region().is_volatile()) return {};
  const auto written = cache_.write_back_all(node ? node->region().volume : nullptr);
  const auto done = node ? durability_.sync(node->region()) : durability_.sync_all();
  if (!written) return fail(written.error());
  return done ? Answer() : fail(done.error());
}

Answer Service::populate(const ParsedRequest& request) {
  const NodeReference node = node_of_slot(request);
  if (!node) return Answer::failure(EBADF);
  const std::uint64_t first = request.header.arguments[0], count = request.header.arguments[1];
  if (request.header.arguments[2] > static_cast<std::uint64_t>(protocol::PopulatePurpose::kMapWritable)) {
    return Answer::failure(EINVAL);
  }
  const auto purpose = static_cast<protocol::PopulatePurpose>(request.header.arguments[2]);
  cache_.make_room(node->absent_pages({first, std::min(count, kMostPages)}));
  const auto done = node->populate({first, std::min(count, kMostPages)}, purpose);
  return done ? Answer() : fail(done.error());
}

Answer Service::grow_states(const ParsedRequest& request) {
  const NodeReference node = node_of_slot(request);
  if (!node) return Answer::failure(EBADF);
  const auto done = node->grow_states(request.header.arguments[0]);
  return done ? Answer() : fail(done.error());
}

Answer Service::reserve(const ParsedRequest& request) {
  const NodeReference node = node_of_slot(request);
  if (!node || !node->is_regular()) return Answer::failure(EBADF);
  if (node->region().is_read_only()) return Answer::failure(EROFS);
  if (request.header.arguments[0] > kMostPages) return Answer::failure(EFBIG);
  const auto granted = cache_.reserve(*node, request.header.arguments[0]);
  if (!granted) return fail(granted.error());
  Answer answer;
  answer.header.result = static_cast<std::int64_t>(granted.value());
  return answer;
}

Answer Service::allocate(const ParsedRequest& request) {
  const NodeReference node = node_of_slot(request);
  if (!node) return Answer::failure(EBADF);
  if (node->region().is_read_only()) return Answer::failure(EROFS);
  const auto offset = static_cast<std::int64_t>(request.header.arguments[1]);
  const auto size = static_cast<std::int64_t>(request.header.arguments[2]);
  if (offset < 0 || size <= 0) return Answer::failure(EINVAL);
  const auto done = node->allocate(static_cast<int>(request.header.arguments[0]), static_cast<std::uint64_t>(offset),
                                   static_cast<std::uint64_t>(size));
  return done ? Answer() : fail(done.error());
}

Answer Service::seek(const ParsedRequest& request) {
  const NodeReference node = node_of_slot(request);
  if (!node || !node->is_regular()) return Answer::failure(EBADF);
  if (request.header.arguments[1] > static_cast<std::uint64_t>(protocol::SeekFor::kHole)) {
    return Answer::failure(EINVAL);
  }
  const auto wanted = static_cast<protocol::SeekFor>(request.header.arguments[1]);
  const auto found = node->seek(request.header.arguments[0], wanted);
  if (!found) return fail(found.error());
  Answer answer;
  answer.header.result = static_cast<std::int64_t>(found.value());
  return answer;
}

}  // namespace casemate::keeper
