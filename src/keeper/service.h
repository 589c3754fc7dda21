// Answers every request of members. One Service for all channels; what a request may see and do is decided by the
// credentials it carries and the regions' access.
//
// What a hostile member can do here -> what we answer
//   claim other credentials                 -> it acts on the application's own files with them: processes of one
//                                              application are not protected from each other by the shield
//   send numbers that name nothing          -> EBADF, EINVAL, ENOENT
//   ask for much (pages, states, slots)     -> bounded by the cache, then ENOMEM, ENFILE, EFBIG
//
// Threads: any number call answer() at once. Names are changed under the names lock exclusively and looked up under it
// shared; contents and durability are handled without it, so an fsync holds nobody up.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <shared_mutex>
#include <string>

#include "keeper/answer_table.h"
#include "keeper/durability.h"
#include "keeper/message.h"
#include "keeper/page_cache.h"
#include "keeper/resolver.h"
#include "keeper/special_files.h"

namespace casemate::keeper {

class Service {
 public:
  Service(const MountTable& table, PageCache& cache, Durability& durability,
          std::function<void(const std::string&)> warn)
      : cache_(cache),
        durability_(durability),
        warn_(warn),
        resolver_(table, warn),
        answers_(cache.arena().answers()) {}

  Answer answer(const ParsedRequest& request);
  // Exchanges what appears at the path of a kFile region: who opens it from now on finds these contents, whole; what is
  // open already keeps the old ones, as after a rename over it. Errors: kSystem.
  Result<void> replace_file(Region& region, std::string_view contents);
  // At the end, when nobody asks any more: gives up directories without names.
  void close();

 private:
  using SharedLock = std::shared_lock<std::shared_mutex>;
  using ExclusiveLock = std::unique_lock<std::shared_mutex>;
  using Handler = Answer (Service::*)(const ParsedRequest&);
  struct OpenRequest;

  static Handler handler_of(protocol::Operation operation);

  // Requests, by the files that have them.
  // service.cc
  Answer attach(const ParsedRequest& request);
  Answer resolve(const ParsedRequest& request);
  Answer change_directory(const ParsedRequest& request);
  Answer path_of(const ParsedRequest& request);
  Answer remote_host_path(const ParsedRequest& request);
  // service_open.cc
  Answer open(const ParsedRequest& request);
  // service_names.cc
  Answer make_node(const ParsedRequest& request);
  Answer make_symbolic_link(const ParsedRequest& request);
  Answer link(const ParsedRequest& request);
  Answer unlink(const ParsedRequest& request);
  Answer rename(const ParsedRequest& request);
  Answer bind_socket(const ParsedRequest& request);
  Answer read_directory(const ParsedRequest& request);
  Answer read_link(const ParsedRequest& request);
  // service_attributes.cc
  Answer status(const ParsedRequest& request);
  Answer access(const ParsedRequest& request);
  Answer change_mode(const ParsedRequest& request);
  Answer change_owner(const ParsedRequest& request);
  Answer change_times(const ParsedRequest& request);
  Answer status_of_file_system(const ParsedRequest& request);
  Answer get_attribute(const ParsedRequest& request);
  Answer set_attribute(const ParsedRequest& request);
  Answer list_attributes(const ParsedRequest& request);
  Answer remove_attribute(const ParsedRequest& request);
  // service_contents.cc
  Answer truncate(const ParsedRequest& request);
  Answer synchronize(const ParsedRequest& request);
  Answer synchronize_all(const ParsedRequest& request);
  Answer populate(const ParsedRequest& request);
  Answer grow_states(const ParsedRequest& request);
  Answer reserve(const ParsedRequest& request);
  Answer allocate(const ParsedRequest& request);
  Answer seek(const ParsedRequest& request);

  // Shared by them. Codes are 0 or an errno.
  int root_of(const ParsedRequest& request, Position* out);
  int base_of(const ParsedRequest& request, std::size_t index, const Position& root, Position* out);
  int slot_position(std::uint64_t slot, Position* out);
  // Path `index` of the request. An empty path is the base itself.
  int locate(const ParsedRequest& request, std::size_t index, const ResolveOptions& options, Resolution* out);
  // For calls that change the target: it exists, is in a volume that may be written. kHostPaths is `host`.
  int locate_existing(const ParsedRequest& request, std::uint64_t follow_flags, Resolution* out);
  static Answer host_answer(const Resolution& first);
  static Answer host_answer(const Resolution& first, const Resolution& second);
  NodeReference node_of_slot(const ParsedRequest& request);
  protocol::ShieldAttributes status_of(const Region& region, const volume::Attributes& attributes,
                                       std::uint64_t generation, bool* may_change);
  // A description for writing is given out, or contents are changed otherwise.
  void note_writer(CachedNode& node);
  // The directory or link, if it is one, was moved, removed or opened to others.
  void note_structure(const volume::Attributes& attributes);
  // With ENOENT because the last name is missing.
  void keep_missing(const ParsedRequest& request, const Resolution& found, std::uint64_t follow_flags);
  void show_change(const Region& region, const volume::Attributes& attributes);
  void show_change(const Region& region, volume::InodeNumber inode);
  // The name that `place` tells was made, removed or exchanged.
  void show_name_change(const Resolution& place);
  void name_gone(const Region& region, const volume::Attributes& attributes);
  void keep_removed(const Region& region, volume::InodeNumber directory, volume::InodeNumber parent);
  int code_of(const Error& error);
  Answer fail(const Error& error) { return Answer::failure(code_of(error)); }

  // service_open.cc
  Answer open_existing(const OpenRequest& wanted, const Resolution& found, const CallerCredentials& caller,
                       std::optional<SharedLock> lock);
  Answer open_special(const OpenRequest& wanted, const Position& target);
  Answer open_new(const ParsedRequest& request, const OpenRequest& wanted);
  Answer open_unnamed(const OpenRequest& wanted, const Resolution& found, const CallerCredentials& caller);
  Answer hand_out(const OpenRequest& wanted, NodeReference node);
  // service_names.cc
  int check_new_name(const Resolution& place, const CallerCredentials& caller);
  int check_rename(const Resolution& from, const Resolution& to, const CallerCredentials& caller, unsigned flags);
  void settle_contents(const ParsedRequest& request);
  // service_attributes.cc
  int check_attribute_name(std::string_view name, const volume::Attributes& attributes, const CallerCredentials& caller,
                           std::uint32_t wanted);

  PageCache& cache_;
  Durability& durability_;
  std::function<void(const std::string&)> warn_;
  Resolver resolver_;
  AnswerTable answers_;
  SpecialFiles special_files_;
  std::shared_mutex names_;
  // Directories that were removed last: nobody tells the keeper who stands in one. Under names_, exclusively.
  std::deque<std::pair<const Region*, volume::InodeNumber>> removed_;
};

}  // namespace casemate::keeper
