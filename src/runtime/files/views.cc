// /proc/self as the program must see it: exe names the program, maps does not show the runtime, auxv is the program's.
// Only absolute paths below /proc are looked at; a path relative to a descriptor of /proc is a documented gap.
//
// What a hostile program can do here -> what we answer
//  - read around the views (relative paths, symlinks) -> it sees the runtime's names and addresses; these are not
//  secret
#include "runtime/files/views.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include "runtime/files/memory_file.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/intercept/line.h"
#include "runtime/intercept/patch/patcher.h"
#include "runtime/intercept/process.h"
#include "runtime/memory/guest.h"
#include "runtime/shield/calls.h"
#include "runtime/shield/maps_lines.h"

namespace casemate::runtime {
namespace {

inline constexpr long kEbadf = -9;
inline constexpr std::size_t kViewPathCapacity = 64;
inline constexpr std::uint64_t kBufferSize = 64 * 1024;
inline constexpr std::uint64_t kLineCapacity = 8 * 1024;

// Skips `prefix`; null when `path` does not start with it.
const char* after(const char* path, const char* prefix) {
  while (*prefix != 0) {
    if (*path++ != *prefix++) return nullptr;
  }
  return path;
}

bool equal(const char* left, const char* right) {
  const char* rest = after(left, right);
  return rest != nullptr && *rest == 0;
}

const char* after_number(const char* path, long expected) {
  long value = 0;
  const char* digit = path;
  while (*digit >= '0' && *digit <= '9' && value < 100000000) value = value * 10 + (*digit++ - '0');
  return digit != path && value == expected ? digit : nullptr;
}

struct ViewName {
  const char* name;
  View view;
};
inline constexpr ViewName kViews[] = {{"/exe", View::kExe},
                                      {"/maps", View::kMaps},
                                      {"/smaps", View::kSmaps},
                                      {"/auxv", View::kAuxv},
                                      {"/mem", View::kRefused}};

bool emit(int fd, const char* data, std::uint64_t size) {
  while (size > 0) {
    const long written = host_call(SYS_write, fd, reinterpret_cast<long>(data), static_cast<long>(size));
    if (written <= 0) return false;
    data += written;
    size -= static_cast<std::uint64_t>(written);
  }
  return true;
}

struct MapsLine {
  std::uint64_t begin, end;
};

std::uint64_t parse_hex(const char*& at) {
  std::uint64_t value = 0;
  for (;; ++at) {
    const char c = *at;
    if (c >= '0' && c <= '9') {
      value = value * 16 + static_cast<std::uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = value * 16 + static_cast<std::uint64_t>(c - 'a' + 10);
    } else {
      return value;
    }
  }
}

bool hidden(const MapsLine& line) {
  return touches_runtime(line.begin, line.end - line.begin) || patcher_owns(line.begin);
}

// `line` without its newline, NUL-terminated by the caller.
// False when the mapping is the runtime's.
bool emit_maps_line(int fd, const char* line, std::uint64_t size, char* scratch) {
  const char* at = line;
  MapsLine range{};
  range.begin = parse_hex(at);
  if (*at == '-') ++at;
  range.end = parse_hex(at);
  if (hidden(range)) return false;
  const std::uint64_t shielded = g_process.shield_active ? shielded_maps_line(line, scratch, kLineCapacity) : 0;
  emit(fd, shielded != 0 ? scratch : line, shielded != 0 ? shielded : size);
  if (range.begin == g_process.brk_start && range.end > range.begin) emit(fd, "[heap]", 6);
  emit(fd, "\n", 1);
  return true;
}

// Lines of smaps that belong to the mapping named last.
enum class Block { kShown, kHidden };

bool is_mapping_line(const char* line) {
  const char* at = line;
  parse_hex(at);
  return at != line && *at == '-';
}

// Copies the kernel's maps or smaps without the runtime's lines.
bool fill_maps(int out, const char* path) {
  const long in = host_call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path), O_RDONLY | O_CLOEXEC);
  if (is_error(in)) return false;
  const long mapped = host_call(SYS_mmap, 0, kBufferSize, 3, 0x22, -1, 0);
  if (is_error(mapped)) {
    host_call(SYS_close, in);
    return false;
  }
  char* const buffer = reinterpret_cast<char*>(mapped);
  char* const scratch = buffer + kBufferSize - kLineCapacity;
  const auto buffer_address = static_cast<std::uint64_t>(mapped);
  std::uint64_t filled = 0;
  Block block = Block::kShown;
  for (;;) {
    const long count = host_call(SYS_read, in, mapped + static_cast<long>(filled),
                                 static_cast<long>(kBufferSize - kLineCapacity - filled - 1));
    if (count <= 0) break;
    filled += static_cast<std::uint64_t>(count);
    std::uint64_t line = 0;
    for (std::uint64_t i = 0; i < filled; ++i) {
      if (buffer[i] != '\n') continue;
      buffer[i] = 0;
      const char* at = buffer + line;
      if (is_mapping_line(at)) {
        const bool ours = parse_hex(at) == buffer_address;
        block = ours || !emit_maps_line(out, buffer + line, i - line, scratch) ? Block::kHidden : Block::kShown;
      } else if (block == Block::kShown) {
        buffer[i] = '\n';
        emit(out, buffer + line, i + 1 - line);
      }
      line = i + 1;
    }
    __builtin_memmove(buffer, buffer + line, filled - line);
    filled -= line;
  }
  host_call(SYS_munmap, mapped, kBufferSize);
  host_call(SYS_close, in);
  return true;
}

}  // namespace

View view_of(const char* path) {
  const char* rest = after(path, "/proc/");
  if (rest == nullptr) return View::kNone;
  const char* tail = after(rest, "self");
  if (tail == nullptr) tail = after(rest, "thread-self");
  if (tail == nullptr) tail = after_number(rest, host_call(SYS_getpid));
  if (tail == nullptr) return View::kNone;
  if (const char* task = after(tail, "/task/"); task != nullptr) {
    while (*task >= '0' && *task <= '9') ++task;
    tail = task;
  }
  for (const ViewName& candidate : kViews) {
    if (equal(tail, candidate.name)) return candidate.view;
  }
  return View::kNone;
}

View guest_view(GuestAddr path_address) {
  char path[kViewPathCapacity];
  if (copy_from_guest(path, path_address, 6) != 0) return View::kNone;
  if (__builtin_memcmp(path, "/proc/", 6) != 0) return View::kNone;
  if (read_guest_string(path, sizeof(path), path_address) < 0) return View::kNone;
  return view_of(path);
}

long open_view(View view, std::uint64_t flags) {
  const long fd = create_memory_file(view == View::kAuxv ? "auxv" : "maps",
                                     (flags & O_CLOEXEC) != 0 ? Inheritance::kCloseOnExec : Inheritance::kKept);
  if (is_error(fd)) return fd;
  const bool ok =
      view == View::kMaps ? fill_maps(static_cast<int>(fd), "/proc/self/maps")
      : view == View::kSmaps
          ? fill_maps(static_cast<int>(fd), "/proc/self/smaps")
          : emit(static_cast<int>(fd), reinterpret_cast<const char*>(g_process.auxv_begin), g_process.auxv_size);
  if (!ok) {
    host_call(SYS_close, fd);
    return -12;
  }
  host_call(SYS_lseek, fd, 0, 0);
  return fd;
}

namespace {

using Handler = long (*)(Thread& thread, Regs& regs);

// Calls whose path is argument `index`: the program's file stands for /proc/self/exe. `shielded` serves runs with
// volumes, and knows that link itself.
long with_exe_path(Thread& thread, Regs& regs, unsigned index, Handler shielded) {
  if (g_process.shield_active) return shielded(thread, regs);
  if (guest_view(guest(call_argument(regs, index))) != View::kExe) return pass_through(thread, regs);
  std::uint64_t arguments[6];
  for (unsigned i = 0; i < 6; ++i) arguments[i] = call_argument(regs, i);
  arguments[index] = reinterpret_cast<std::uint64_t>(g_process.exe_path);
  return pass_arguments(regs.original_rax, arguments);
}

// /proc/self, however it was opened.
bool is_own_proc_directory(std::int32_t fd) {
  Line link, own;
  link.text("/proc/self/fd/").number(fd);
  own.text("/proc/").number(host_call(SYS_getpid));
  char target[32];
  const long size = fd < 0 ? -1
                           : host_call(SYS_readlinkat, AT_FDCWD, reinterpret_cast<long>(link.c_str()),
                                       reinterpret_cast<long>(target), sizeof(target) - 1);
  if (size <= 0) return false;
  target[size] = 0;
  return equal(target, own.c_str());
}

long read_exe_link(std::uint64_t buffer, std::uint64_t capacity) {
  if (static_cast<std::int32_t>(capacity) <= 0) return -22;
  std::uint64_t size = 0;
  while (g_process.exe_path[size] != 0) ++size;
  if (size > capacity) size = capacity;
  const long error = copy_to_guest(guest(buffer), g_process.exe_path, size);
  return error != 0 ? error : static_cast<long>(size);
}

long open_path(Thread& thread, Regs& regs, unsigned index, std::uint64_t flags, Handler shielded) {
  const View view = guest_view(guest(call_argument(regs, index)));
  if (view == View::kNone) return g_process.shield_active ? shielded(thread, regs) : pass_through(thread, regs);
  if (view == View::kRefused) return -13;
  return view == View::kExe ? with_exe_path(thread, regs, index, shielded) : open_view(view, flags);
}

}  // namespace

long sys_open(Thread& thread, Regs& regs) { return open_path(thread, regs, 0, regs.rsi, &shield_open); }
long sys_creat(Thread& thread, Regs& regs) { return open_path(thread, regs, 0, 0, &shield_creat); }
long sys_openat(Thread& thread, Regs& regs) { return open_path(thread, regs, 1, regs.rdx, &shield_openat); }

long sys_openat2(Thread& thread, Regs& regs) {
  std::uint64_t flags = 0;
  if (read_guest(flags, guest(regs.rdx)) != 0) return pass_through(thread, regs);
  return open_path(thread, regs, 1, flags, &shield_openat2);
}

long sys_readlink(Thread& thread, Regs& regs) {
  if (guest_view(guest(regs.rdi)) == View::kExe) return read_exe_link(regs.rsi, regs.rdx);
  return g_process.shield_active ? shield_readlink(thread, regs) : pass_through(thread, regs);
}

long sys_readlinkat(Thread& thread, Regs& regs) {
  char name[4];
  if (copy_from_guest(name, guest(regs.rsi), sizeof(name)) == 0 && equal(name, "exe") &&
      is_own_proc_directory(static_cast<std::int32_t>(regs.rdi))) {
    return read_exe_link(regs.rdx, regs.r10);
  }
  if (guest_view(guest(regs.rsi)) == View::kExe) return read_exe_link(regs.rdx, regs.r10);
  return g_process.shield_active ? shield_readlinkat(thread, regs) : pass_through(thread, regs);
}

long sys_stat(Thread& thread, Regs& regs) { return with_exe_path(thread, regs, 0, &shield_stat); }
long sys_lstat(Thread& thread, Regs& regs) {
  return g_process.shield_active ? shield_lstat(thread, regs) : pass_through(thread, regs);
}
long sys_access(Thread& thread, Regs& regs) { return with_exe_path(thread, regs, 0, &shield_access); }
long sys_faccessat(Thread& thread, Regs& regs) { return with_exe_path(thread, regs, 1, &shield_faccessat); }
long sys_faccessat2(Thread& thread, Regs& regs) { return with_exe_path(thread, regs, 1, &shield_faccessat2); }

// The fstat of newer libcs: the descriptor itself, no path.
static bool asks_for_ours(const Thread& thread, std::uint64_t fd, std::uint64_t flags) {
  return (flags & AT_EMPTY_PATH) != 0 && is_runtime_descriptor(thread, static_cast<std::int32_t>(fd));
}

long sys_newfstatat(Thread& thread, Regs& regs) {
  if (asks_for_ours(thread, regs.rdi, regs.r10)) return kEbadf;
  if ((regs.r10 & AT_SYMLINK_NOFOLLOW) != 0 && !g_process.shield_active) return pass_through(thread, regs);
  return with_exe_path(thread, regs, 1, &shield_newfstatat);
}

long sys_statx(Thread& thread, Regs& regs) {
  if (asks_for_ours(thread, regs.rdi, regs.rdx)) return kEbadf;
  if ((regs.rdx & AT_SYMLINK_NOFOLLOW) != 0 && !g_process.shield_active) return pass_through(thread, regs);
  return with_exe_path(thread, regs, 1, &shield_statx);
}

}  // namespace casemate::runtime
