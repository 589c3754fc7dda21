#include "keeper/service.h"

#include <fcntl.h>

#include <cerrno>
#include <iterator>

#include "keeper/attributes.h"

namespace casemate::keeper {

using protocol::Operation;
using protocol::Place;
using protocol::PlaceKind;

Service::Handler Service::handler_of(Operation operation) {
  // In the order of protocol::Operation.
  static constexpr Handler kHandlers[] = {
      &Service::attach,
      &Service::open,
      &Service::status,
      &Service::access,
      &Service::read_link,
      &Service::make_node,
      &Service::make_symbolic_link,
      &Service::link,
      &Service::unlink,
      &Service::rename,
      &Service::change_mode,
      &Service::change_owner,
      &Service::change_times,
      &Service::truncate,
      &Service::change_directory,
      &Service::status_of_file_system,
      &Service::get_attribute,
      &Service::set_attribute,
      &Service::list_attributes,
      &Service::remove_attribute,
      &Service::resolve,
      &Service::bind_socket,
      &Service::read_directory,
      &Service::synchronize,
      &Service::synchronize_all,
      &Service::populate,
      &Service::grow_states,
      &Service::reserve,
      &Service::allocate,
      &Service::path_of,
      &Service::remote_host_path,
      &Service::seek,
  };
  static_assert(std::size(kHandlers) == static_cast<std::size_t>(protocol::kLastOperation) + 1);
  return kHandlers[static_cast<std::size_t>(operation)];
}

Answer Service::answer(const ParsedRequest& request) { return (this->*handler_of(request.header.operation))(request); }

int Service::code_of(const Error& error) {
  const int code = error.system_code() != 0 ? error.system_code() : EIO;
  // Damage is told to the owner; the program gets EIO.
  if (code == EIO && warn_) warn_(error.message());
  return code;
}

// --- where a request points ---

int Service::slot_position(std::uint64_t slot, Position* out) {
  const NodeReference node = cache_.find_slot(slot);
  if (!node) return EBADF;
  return resolver_.position_of_node(node->region(), node->inode(), out);
}

int Service::root_of(const ParsedRequest& request, Position* out) {
  const Place& place = request.header.root;
  const auto& regions = resolver_.table().regions();
  switch (place.kind) {
    case PlaceKind::kNode:
      if (place.region >= regions.size()) return EINVAL;
      return resolver_.position_of_node(*regions[place.region], place.node, out);
    case PlaceKind::kHostPath:
      if (!request.root_path.starts_with('/')) return EINVAL;
      return resolver_.position_of_host_path(request.root_path, out);
    case PlaceKind::kRoot:
    case PlaceKind::kNone:
      return resolver_.root(out);
    case PlaceKind::kSlot:
      break;
  }
  return EINVAL;
}

int Service::base_of(const ParsedRequest& request, std::size_t index, const Position& root, Position* out) {
  const Place& place = request.header.base[index];
  const auto& regions = resolver_.table().regions();
  switch (place.kind) {
    case PlaceKind::kNode:
      if (place.region >= regions.size()) return EINVAL;
      return resolver_.position_of_node(*regions[place.region], place.node, out);
    case PlaceKind::kHostPath:
      if (!request.base_paths[index].starts_with('/')) return EINVAL;
      return resolver_.position_of_host_path(request.base_paths[index], out);
    case PlaceKind::kSlot:
      return slot_position(place.node, out);
    case PlaceKind::kRoot:
    case PlaceKind::kNone:
      *out = root;
      return 0;
  }
  return EINVAL;
}

int Service::locate(const ParsedRequest& request, std::size_t index, const ResolveOptions& options, Resolution* out) {
  Position root, base;
  if (const int code = root_of(request, &root)) return code;
  const std::string_view path = request.paths[index];
  // An absolute path has no use for its base, unless that is to be the root.
  if (path.starts_with('/') && options.flags == 0) {
    return resolver_.resolve(root, root, path, request.caller(), options, out);
  }
  if (const int code = base_of(request, index, root, &base)) return code;
  if (!path.empty()) return resolver_.resolve(base, root, path, request.caller(), options, out);
  if (request.header.base[index].kind == PlaceKind::kNone) return ENOENT;
  *out = Resolution();
  out->last = LastComponent::kRoot;
  out->target = std::move(base);
  out->exists = true;
  return 0;
}

int Service::locate_existing(const ParsedRequest& request, std::uint64_t follow_flags, Resolution* out) {
  const bool keeps_link = (follow_flags & AT_SYMLINK_NOFOLLOW) != 0;
  const int code = locate(request, 0, {.last_link = keeps_link ? LastLink::kKeep : LastLink::kFollow}, out);
  if (code != 0 || out->is_host()) return code;
  return out->exists ? 0 : ENOENT;
}

NodeReference Service::node_of_slot(const ParsedRequest& request) {
  if (request.header.base[0].kind != PlaceKind::kSlot) return {};
  return cache_.find_slot(request.header.base[0].node);
}

Answer Service::host_answer(const Resolution& first) {
  Answer answer;
  answer.header.kind = protocol::ReplyKind::kHostPaths;
  answer.host_paths[0] = first.host_path();
  return answer;
}

Answer Service::host_answer(const Resolution& first, const Resolution& second) {
  Answer answer = host_answer(first);
  answer.host_paths[1] = second.host_path();
  return answer;
}

// --- what others do with nodes ---

// Where the node left the cache since the attributes were looked up, the volume has newer ones now.
protocol::ShieldAttributes Service::status_of(const Region& region, const volume::Attributes& attributes,
                                              std::uint64_t generation, bool* may_change) {
  *may_change = false;
  if (const NodeReference node = cache_.find(key_of(region, attributes.inode))) {
    *may_change = node->may_be_written() || node->is_marked_dirty();
    return node->status();
  }
  if (generation != cache_.generation()) {
    if (const auto newer = region.volume->attributes(attributes.inode)) {
      return to_shield(newer.value(), region.device());
    }
  }
  return to_shield(attributes, region.device());
}

void Service::show_change(const Region& region, const volume::Attributes& attributes) {
  if (const NodeReference node = cache_.find(key_of(region, attributes.inode))) node->publish(attributes);
  answers_.node_changed(key_of(region, attributes.inode));
}

void Service::show_change(const Region& region, volume::InodeNumber inode) {
  if (const NodeReference node = cache_.find(key_of(region, inode))) {
    if (const auto attributes = region.volume->attributes(inode)) node->publish(attributes.value());
  }
  answers_.node_changed(key_of(region, inode));
}

void Service::show_name_change(const Resolution& place) {
  show_change(*place.parent.region, place.parent.node);
  answers_.name_changed(key_of(*place.parent.region, place.parent.node), place.name);
}

void Service::note_writer(CachedNode& node) {
  node.set_may_be_written(true);
  answers_.node_changed(node.key());
}

void Service::note_structure(const volume::Attributes& attributes) {
  if (S_ISDIR(attributes.mode) || S_ISLNK(attributes.mode)) answers_.structure_changed();
}

void Service::keep_missing(const ParsedRequest& request, const Resolution& found, std::uint64_t follow_flags) {
  if (found.exists || found.parent.region == nullptr || found.is_host()) return;
  if (const auto depends = answers_.dependencies(found)) {
    answers_.keep(request, protocol::Operation::kStatus, follow_flags, 0, *depends, ENOENT, nullptr);
  }
}

void Service::name_gone(const Region& region, const volume::Attributes& attributes) {
  show_change(region, attributes);
  if (attributes.link_count != 0) return;
  if (!S_ISREG(attributes.mode) && !S_ISDIR(attributes.mode)) special_files_.remove(key_of(region, attributes.inode));
  cache_.drop_orphan(region, attributes.inode);
}

void Service::keep_removed(const Region& region, volume::InodeNumber directory, volume::InodeNumber parent) {
  constexpr std::size_t kKept = 64;
  resolver_.remember_removed(region, directory, parent);
  removed_.emplace_back(&region, directory);
  if (removed_.size() <= kKept) return;
  const auto [oldest_region, oldest] = removed_.front();
  removed_.pop_front();
  resolver_.forget_removed(key_of(*oldest_region, oldest));
  cache_.drop_orphan(*oldest_region, oldest);
}

void Service::close() {
  const ExclusiveLock lock(names_);
  for (const auto& [region, directory] : removed_) cache_.drop_orphan(*region, directory);
  removed_.clear();
}

// --- requests ---

Answer Service::attach(const ParsedRequest&) {
  Answer answer;
  answer.lent_descriptors = {cache_.arena().arena_descriptor(), cache_.arena().states_descriptor()};
  return answer;
}

Answer Service::change_directory(const ParsedRequest& request) {
  const SharedLock lock(names_);
  Resolution found;
  if (const int code = locate_existing(request, 0, &found)) return Answer::failure(code);
  if (found.is_host()) return host_answer(found);
  if (!S_ISDIR(found.target.attributes.mode)) return Answer::failure(ENOTDIR);
  if (const int refused = check_access(request.caller(), found.target.attributes, kMayExecute)) {
    return Answer::failure(refused);
  }
  Answer answer;
  answer.header.place = {PlaceKind::kNode, found.target.region->index, found.target.node};
  return answer;
}

Answer Service::resolve(const ParsedRequest& request) {
  const SharedLock lock(names_);
  Resolution found;
  if (const int code = locate_existing(request, request.header.arguments[0], &found)) return Answer::failure(code);
  if (found.is_host()) return host_answer(found);
  const auto purpose = static_cast<protocol::ResolvePurpose>(request.header.arguments[1]);
  if (purpose != protocol::ResolvePurpose::kConnect) return Answer::failure(EOPNOTSUPP);
  const volume::Attributes& attributes = found.target.attributes;
  if (const int refused = check_access(request.caller(), attributes, kMayWrite)) return Answer::failure(refused);
  if (!S_ISSOCK(attributes.mode)) return Answer::failure(ECONNREFUSED);
  const auto path = special_files_.socket_path(key_of(*found.target.region, attributes.inode));
  if (!path) return Answer::failure(ECONNREFUSED);  // as when nobody listens: who bound it is of an earlier run
  Answer answer;
  answer.header.kind = protocol::ReplyKind::kHostPaths;
  answer.host_paths[0] = *path;
  return answer;
}

Answer Service::path_of(const ParsedRequest& request) {
  const SharedLock lock(names_);
  Position root, at;
  if (const int code = root_of(request, &root)) return Answer::failure(code);
  std::string path, name;
  const NodeReference node = node_of_slot(request);
  if (node && !S_ISDIR(node->status().mode) && node->inode() != node->region().root) {
    volume::InodeNumber directory = 0;
    if (!cache_.name_of(*node, &directory, &name)) return Answer::failure(ENOENT);
    const auto found = node->region().volume->lookup(directory, name);
    // As the kernel says it of such a file.
    if (!found || found.value().inode != node->inode()) name += " (deleted)";
    if (const int code = resolver_.position_of_node(node->region(), directory, &at)) return Answer::failure(code);
  } else if (const int code = base_of(request, 0, root, &at)) {
    return Answer::failure(code);
  }
  if (const int code = resolver_.path_of(at, root, &path)) return Answer::failure(code);
  if (!name.empty()) path = join_path(path, name);
  Answer answer;
  const auto bytes = std::as_bytes(std::span(path));
  answer.data.assign(bytes.begin(), bytes.end());
  answer.header.result = static_cast<std::int64_t>(path.size());
  return answer;
}

Answer Service::remote_host_path(const ParsedRequest& request) {
  const std::string host_path(reinterpret_cast<const char*>(request.data.data()), request.data.size());
  const auto path = special_files_.program_path_of(host_path);
  if (!path) return Answer::failure(ENOENT);
  Answer answer;
  const auto bytes = std::as_bytes(std::span(*path));
  answer.data.assign(bytes.begin(), bytes.end());
  answer.header.result = static_cast<std::int64_t>(path->size());
  return answer;
}

}  // namespace casemate::keeper
