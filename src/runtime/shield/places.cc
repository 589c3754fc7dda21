// Where a path of the program starts, and whether the kernel may resolve it by itself.
//
// What a hostile program can do here -> what we answer
//  - reach a volume's file behind the shield's back through /proc/self/fd, /dev/fd, /proc/self/cwd ... -> such paths
//  are
//    recognised at the front of absolute paths and become requests; relative to a descriptor of /proc they are not (a
//    documented gap: the program would reach its own plaintext only)
//  - change the path while it is looked at -> it is copied once; the kernel gets the copy
#include <fcntl.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/line.h"
#include "runtime/memory/guest.h"
#include "runtime/shield/arena.h"
#include "runtime/shield/calls.h"
#include "runtime/shield/directories.h"
#include "runtime/shield/kinds.h"

namespace casemate::runtime {
namespace {

using protocol::Operation;
using protocol::Place;
using protocol::PlaceKind;

inline constexpr long kEnotdir = -20, kEnametoolong = -36;

std::size_t length(const char* text) { return __builtin_strlen(text); }

const char* after(const char* path, const char* prefix) {
  while (*prefix != 0) {
    if (*path++ != *prefix++) return nullptr;
  }
  return path;
}

// A number and what follows it; null: no number.
const char* after_number(const char* path, std::int64_t& value) {
  value = 0;
  const char* at = path;
  while (*at >= '0' && *at <= '9' && value < 100000000) value = value * 10 + (*at++ - '0');
  return at == path ? nullptr : at;
}

bool ends_component(const char* at) { return *at == 0 || *at == '/'; }

enum class AliasKind : std::uint8_t { kNone, kDescriptor, kWorking, kRoot, kProgram };
struct Alias {
  AliasKind kind = AliasKind::kNone;
  std::int64_t fd = -1;
  const char* rest = nullptr;
};

Alias descriptor_alias(const char* number) {
  Alias alias;
  alias.rest = after_number(number, alias.fd);
  if (alias.rest != nullptr && ends_component(alias.rest)) alias.kind = AliasKind::kDescriptor;
  return alias;
}

// Behind "/proc/PID" of this process: the links that the kernel follows without a path.
Alias process_alias(const char* tail) {
  struct Name {
    const char* name;
    AliasKind kind;
  };
  static constexpr Name kNames[] = {
      {"/cwd", AliasKind::kWorking}, {"/root", AliasKind::kRoot}, {"/exe", AliasKind::kProgram}};
  if (const char* number = after(tail, "/fd/"); number != nullptr) return descriptor_alias(number);
  for (const Name& name : kNames) {
    const char* const rest = after(tail, name.name);
    if (rest != nullptr && ends_component(rest)) return {name.kind, -1, rest};
  }
  return {};
}

const char* behind_own_process(const char* path) {
  const char* const rest = after(path, "/proc/");
  if (rest == nullptr) return nullptr;
  const char* tail = after(rest, "self");
  if (tail == nullptr) tail = after(rest, "thread-self");
  std::int64_t pid = 0;
  if (tail == nullptr) {
    tail = after_number(rest, pid);
    if (tail != nullptr && pid != host_call(SYS_getpid)) return nullptr;
  }
  if (tail == nullptr) return nullptr;
  const char* const task = after(tail, "/task/");
  return task != nullptr ? after_number(task, pid) : tail;
}

Alias alias_of(const char* path) {
  if (const char* name = after(path, "/dev/"); name != nullptr) {
    if (const char* number = after(name, "fd/"); number != nullptr) return descriptor_alias(number);
    static constexpr const char* kStandard[] = {"stdin", "stdout", "stderr"};
    for (int fd = 0; fd < 3; ++fd) {
      const char* const rest = after(name, kStandard[fd]);
      if (rest != nullptr && *rest == 0) return {AliasKind::kDescriptor, fd, rest};
    }
    return {};
  }
  const char* const tail = behind_own_process(path);
  return tail == nullptr ? Alias{} : process_alias(tail);
}

bool climbs(const char* path) {
  for (const char* at = path; *at != 0; ++at) {
    const bool starts = at == path || at[-1] == '/';
    if (starts && at[0] == '.' && at[1] == '.' && ends_component(at + 2)) return true;
  }
  return false;
}

// One path on its way into the request.
struct Locator {
  Thread& thread;
  RequestMemory& memory;
  unsigned which;
  bool keeps_links;

  char* text() const { return memory.path[which]; }
  void set_base(Place place) const {
    memory.request.base[which] = place;
    memory.request.base_path_size[which] = 0;
  }
  Located finish(Way way) const {
    memory.request.path_size[which] = static_cast<std::uint32_t>(length(text()));
    return {0, way};
  }

  // `memory.base_path[which]` holds `size` bytes of a host directory's path.
  Located from_host_directory(long size) const {
    char* const base = memory.base_path[which];
    if (size <= 0 || base[0] != '/') return {0, Way::kInvalid};
    base[size] = 0;
    set_base({PlaceKind::kHostPath, 0, 0});
    memory.request.base_path_size[which] = static_cast<std::uint32_t>(size);
    const bool passed = has_plain_root(*thread.directories) && is_passed_path(base) && !climbs(text());
    return finish(passed ? Way::kKernel : Way::kKeeper);
  }

  Located from_working_directory() const {
    const Place place = working_place(*thread.directories);
    if (place.kind == PlaceKind::kNode) {
      set_base(place);
      return finish(Way::kKeeper);
    }
    const long size = host_call(SYS_getcwd, reinterpret_cast<long>(memory.base_path[which]), protocol::kPathCapacity);
    return from_host_directory(size - 1);
  }

  // The text is relative to `fd`; empty: the descriptor itself.
  Located from_descriptor(std::int64_t fd) const {
    const DescriptorKind kind = kind_of(thread, fd);
    if (kind.shielded()) {
      const protocol::FileSlot& slot = slot_at(kind.slot);
      if (text()[0] == 0) {
        set_base({PlaceKind::kSlot, 0, kind.slot});
      } else if (slot.kind == protocol::NodeKind::kDirectory) {
        set_base({PlaceKind::kNode, slot.region, slot.node});
      } else {
        return {kEnotdir, Way::kInvalid};
      }
      return finish(Way::kKeeper);
    }
    if (text()[0] == 0) return {0, Way::kInvalid};
    Line link;
    link.text("/proc/self/fd/").number(fd);
    const long size = host_call(SYS_readlinkat, AT_FDCWD, reinterpret_cast<long>(link.c_str()),
                                reinterpret_cast<long>(memory.base_path[which]), protocol::kPathCapacity - 1);
    return from_host_directory(size);
  }

  Located from_root() const {
    if (has_plain_root(*thread.directories)) {
      set_base({PlaceKind::kRoot, 0, 0});
      return finish(is_passed_path(text()) ? Way::kKernel : Way::kKeeper);
    }
    set_base(memory.request.root);
    if (memory.request.root.kind == PlaceKind::kHostPath) {
      __builtin_memcpy(memory.base_path[which], memory.root_path, memory.request.root_path_size);
      memory.request.base_path_size[which] = memory.request.root_path_size;
    }
    return finish(Way::kKeeper);
  }

  // Leaves what follows the alias, without leading slashes, as the text.
  void keep_rest(const char* rest) const {
    while (*rest == '/') ++rest;
    __builtin_memmove(text(), rest, length(rest) + 1);
  }

  Located from_alias(const Alias& alias) const {
    const bool is_link = *alias.rest == 0 && keeps_links;
    const bool asks_link = memory.request.operation == Operation::kReadLink;
    if (is_link && !asks_link) return finish(Way::kKernel);
    if (alias.kind == AliasKind::kProgram) {
      __builtin_memcpy(text(), g_process.exe_path, length(g_process.exe_path) + 1);
      return from_root();
    }
    const bool shielded = alias.kind == AliasKind::kDescriptor
                              ? is_shielded(thread, alias.fd)
                              : working_place(*thread.directories).kind == PlaceKind::kNode;
    if (alias.kind != AliasKind::kRoot && !shielded && *alias.rest == 0) return finish(Way::kKernel);
    if (is_link) memory.request.operation = Operation::kPathOf;
    keep_rest(alias.rest);
    Located located = alias.kind == AliasKind::kDescriptor ? from_descriptor(alias.fd) : from_named(alias, is_link);
    // The kernel would need the path that was just taken apart.
    if (located.way == Way::kKernel) located.way = Way::kKeeper;
    return located;
  }

  // Behind /proc/self/cwd or /proc/self/root.
  Located from_named(const Alias& alias, bool is_link) const {
    if (text()[0] == 0 && !is_link) {
      text()[0] = '.';
      text()[1] = 0;
    }
    return alias.kind == AliasKind::kWorking ? from_working_directory() : from_root();
  }

  Located start(std::int32_t directory) const {
    const char* const path = text();
    if (path[0] == '/') {
      const Alias alias = has_plain_root(*thread.directories) ? alias_of(path) : Alias{};
      return alias.kind == AliasKind::kNone ? from_root() : from_alias(alias);
    }
    return directory == AT_FDCWD ? from_working_directory() : from_descriptor(directory);
  }
};

bool keeps_links(const CallState& state) {
  const std::int8_t index = state.call.flags;
  const std::uint64_t flags = index >= 0 ? state.arguments[index] : 0;
  switch (state.call.links) {
    case Links::kFollow:
      return false;
    case Links::kKeep:
      return true;
    case Links::kUnlessNoFollow:
      return (flags & AT_SYMLINK_NOFOLLOW) != 0;
    case Links::kIfFollow:
      return (flags & AT_SYMLINK_FOLLOW) == 0;
    case Links::kOpenFlags:
      return (state.open_flags & O_NOFOLLOW) != 0 ||
             (state.open_flags & (O_CREAT | O_EXCL)) == std::uint64_t{O_CREAT | O_EXCL};
  }
  return true;
}

// May an empty (or missing) path mean the descriptor?
bool empty_is_descriptor(const CallState& state) {
  if (state.call.operation == Operation::kReadLink) return true;
  const std::int8_t index = state.call.flags;
  return index >= 0 && (state.arguments[index] & AT_EMPTY_PATH) != 0;
}

}  // namespace

Located locate_text(Thread& thread, RequestMemory& memory, unsigned which, std::int32_t directory, Links links) {
  const Locator locator{thread, memory, which, links == Links::kKeep};
  return locator.start(directory);
}

Located locate(CallState& state, unsigned which) {
  const PathArgument& place = state.call.places[which];
  const Locator locator{state.thread, state.memory, which, keeps_links(state)};
  const auto directory = place.directory < 0 ? AT_FDCWD : static_cast<std::int32_t>(state.arguments[place.directory]);
  const std::uint64_t address = place.path < 0 ? 0 : state.arguments[place.path];
  const bool about_descriptor = place.path < 0 || (address == 0 && state.call.operation == Operation::kChangeTimes);
  locator.text()[0] = 0;
  if (about_descriptor) return locator.from_descriptor(directory);
  const long size = read_guest_string(locator.text(), protocol::kPathCapacity, guest(address));
  if (is_error(size)) return {size, Way::kInvalid};
  if (size == 0) {
    if (!empty_is_descriptor(state)) return {0, Way::kInvalid};
    if (directory != AT_FDCWD) return locator.from_descriptor(directory);
    locator.text()[0] = '.';
    locator.text()[1] = 0;
    return locator.from_working_directory();
  }
  const Located located = locator.start(directory);
  // What was looked at is what the kernel gets. An alias's text was taken apart: the kernel reads that again.
  const bool untouched = state.memory.request.operation == state.call.operation && located.way == Way::kKernel;
  if (untouched) state.arguments[place.path] = reinterpret_cast<std::uint64_t>(locator.text());
  return located;
}

}  // namespace casemate::runtime
