// Calls with descriptors, other than reading and writing: durability, sizes, directories' entries, flags. And those
// that change what a descriptor's number means.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/memory/guest.h"
#include "runtime/shield/arena.h"
#include "runtime/shield/calls.h"
#include "runtime/shield/channel.h"
#include "runtime/shield/kinds.h"
#include "runtime/shield/pages.h"
#include "runtime/table/table.h"

namespace casemate::runtime {
namespace {

using protocol::NodeKind;
using protocol::Operation;
using protocol::PlaceKind;

inline constexpr long kEbadf = -9, kEnomem = -12, kEfault = -14, kEnotdir = -20, kEinval = -22, kEnotty = -25;
inline constexpr long kEnxio = -6, kEagain = -11, kEspipe = -29;
inline constexpr std::uint64_t kSeekData = 3, kSeekHole = 4;
inline constexpr std::uint64_t kAddSeals = 1033, kGetSeals = 1034, kSetLease = 1024, kNotify = 1026;
inline constexpr std::uint64_t kLargeFile = 0100000;
inline constexpr std::uint64_t kKeepSize = 1;                   // FALLOC_FL_KEEP_SIZE
inline constexpr std::uint64_t kDirectoryCapacity = 56 * 1024;  // fits a reply

std::int32_t descriptor(const Regs& regs) { return static_cast<std::int32_t>(regs.rdi); }

long access_mode(std::int32_t fd) {
  const long flags = host_call(SYS_fcntl, fd, F_GETFL);
  if (is_error(flags)) return flags;
  return (flags & O_PATH) != 0 ? kEbadf : flags & O_ACCMODE;
}

// The limit of file sizes (RLIMIT_FSIZE) holds where a file grows; the kernel does not see it grow here.
long check_size_limit(const Thread& thread, std::int32_t fd, std::uint64_t size) {
  struct stat status;
  if (size <= file_size_limit() || host_call(SYS_fstat, fd, reinterpret_cast<long>(&status)) != 0) return 0;
  if (size <= static_cast<std::uint64_t>(status.st_size)) return 0;
  return exceed_size_limit(thread);
}

long plain(long result) { return is_error(result) ? result : 0; }

enum class Synchronized : std::uint64_t { kAll, kData };  // as kSynchronize has it

// fsync and its kin.
long synchronize(Thread& thread, Regs& regs, Synchronized what) {
  const DescriptorKind kind = kind_of(thread, descriptor(regs));
  if (!kind.shielded()) return pass_through(thread, regs);
  if (const long mode = access_mode(descriptor(regs)); is_error(mode)) return mode;
  return plain(slot_request(thread, Operation::kSynchronize, kind.slot, 0, 0, static_cast<std::uint64_t>(what)));
}

long synchronize_all(Thread& thread) {
  RequestMemory* const memory = begin_request(thread, Operation::kSynchronizeAll);
  return memory == nullptr ? kEnomem : plain(exchange(thread, *memory));
}

}  // namespace

std::uint64_t file_size_limit() {
  constexpr long kFileSizeLimit = 1;
  struct {
    std::uint64_t soft, hard;
  } limit{kNoSizeLimit, kNoSizeLimit};
  host_call(SYS_prlimit64, 0, kFileSizeLimit, 0, reinterpret_cast<long>(&limit));
  return limit.soft;
}

long exceed_size_limit(const Thread& thread) {
  constexpr long kSigxfsz = 25, kEfbig = -27;
  host_call(SYS_tkill, thread.tid, kSigxfsz);
  return kEfbig;
}

long sys_fsync(Thread& thread, Regs& regs) { return synchronize(thread, regs, Synchronized::kAll); }
long sys_fdatasync(Thread& thread, Regs& regs) { return synchronize(thread, regs, Synchronized::kData); }

long sys_sync(Thread& thread, Regs& regs) {
  synchronize_all(thread);
  return pass_through(thread, regs);
}

long sys_syncfs(Thread& thread, Regs& regs) {
  if (!is_shielded(thread, descriptor(regs))) return pass_through(thread, regs);
  return synchronize_all(thread);
}

long sys_ftruncate(Thread& thread, Regs& regs) {
  const DescriptorKind kind = kind_of(thread, descriptor(regs));
  if (!kind.shielded()) return pass_through(thread, regs);
  const long mode = access_mode(descriptor(regs));
  if (is_error(mode)) return mode;
  if (mode == O_RDONLY || static_cast<std::int64_t>(regs.rsi) < 0) return kEinval;
  if (const long error = check_size_limit(thread, descriptor(regs), regs.rsi); error != 0) return error;
  return plain(slot_request(thread, Operation::kTruncate, kind.slot, regs.rsi, kNoSizeLimit));
}

long sys_fallocate(Thread& thread, Regs& regs) {
  const DescriptorKind kind = kind_of(thread, descriptor(regs));
  if (!kind.shielded()) return pass_through(thread, regs);
  const long mode = access_mode(descriptor(regs));
  if (is_error(mode) || mode == O_RDONLY) return kEbadf;
  if (static_cast<std::int64_t>(regs.rdx) < 0 || static_cast<std::int64_t>(regs.r10) <= 0) return kEinval;
  if ((regs.rsi & kKeepSize) == 0) {
    if (const long error = check_size_limit(thread, descriptor(regs), regs.rdx + regs.r10); error != 0) return error;
  }
  return plain(
      slot_request(thread, Operation::kAllocate, kind.slot, static_cast<std::uint32_t>(regs.rsi), regs.rdx, regs.r10));
}

// Advice is taken by fetching pages, or not at all.
long sys_fadvise64(Thread& thread, Regs& regs) {
  const DescriptorKind kind = kind_of(thread, descriptor(regs));
  if (!kind.shielded()) return pass_through(thread, regs);
  return regs.r10 > 5 ? kEinval : 0;
}

long sys_readahead(Thread& thread, Regs& regs) {
  const DescriptorKind kind = kind_of(thread, descriptor(regs));
  if (!kind.shielded()) return pass_through(thread, regs);
  if (slot_at(kind.slot).kind != NodeKind::kRegular) return kEinval;
  const long mode = access_mode(descriptor(regs));
  if (is_error(mode) || mode == O_WRONLY) return kEbadf;
  populate_absent(thread, kind.slot, {regs.rsi, regs.rdx}, protocol::PopulatePurpose::kRead);
  return 0;
}

// The memory file's holes are pages that nobody has fetched: the keeper knows the file's own.
long sys_lseek(Thread& thread, Regs& regs) {
  if (regs.rdx != kSeekData && regs.rdx != kSeekHole) return pass_through(thread, regs);
  const DescriptorKind kind = kind_of(thread, descriptor(regs));
  if (!kind.shielded() || slot_at(kind.slot).kind != NodeKind::kRegular) return pass_through(thread, regs);
  if (const long mode = access_mode(descriptor(regs)); is_error(mode)) return mode;
  if (static_cast<std::int64_t>(regs.rsi) < 0) return kEnxio;
  const auto wanted = regs.rdx == kSeekData ? protocol::SeekFor::kData : protocol::SeekFor::kHole;
  const long place = slot_request(thread, Operation::kSeek, kind.slot, regs.rsi, static_cast<std::uint64_t>(wanted));
  return is_error(place) ? place : host_call(SYS_lseek, descriptor(regs), place, 0);
}

long sys_ioctl(Thread& thread, Regs& regs) {
  constexpr std::uint64_t kFileSystemType = 'f', kXfsType = 'X', kFscryptType = 0x94;
  const std::uint64_t type = (regs.rsi >> 8) & 0xff;
  const bool about_file = type == kFileSystemType || type == kXfsType || type == kFscryptType;
  if (!about_file || !is_shielded(thread, descriptor(regs))) return pass_through(thread, regs);
  return kEnotty;
}

long shield_fcntl(Thread& thread, Regs& regs) {
  const std::int32_t fd = descriptor(regs);
  if (is_runtime_descriptor(thread, fd)) return kEbadf;
  const auto command = static_cast<std::uint32_t>(regs.rsi);
  if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
    const long made = pass_through(thread, regs);
    if (made >= 0) kind_changed(thread, made);
    return made;
  }
  const bool matters = command == F_GETFL || command == F_SETFL || command == kAddSeals || command == kGetSeals ||
                       command == kSetLease || command == kNotify;
  const DescriptorKind kind = matters ? kind_of(thread, fd) : DescriptorKind{0, kNoSlot, 0};
  if (!kind.shielded()) return pass_through(thread, regs);
  if (command == kAddSeals || command == kGetSeals) return kEinval;
  if (command == kSetLease) return kEagain;
  const bool directory = slot_at(kind.slot).kind == NodeKind::kDirectory;
  if (command == kNotify) return directory ? kEinval : kEnotdir;
  if (command == F_SETFL) {
    std::uint64_t arguments[6] = {regs.rdi, regs.rsi, regs.rdx & ~std::uint64_t{O_DIRECT}, 0, 0, 0};
    kinds_append_changed();
    return pass_arguments(SYS_fcntl, arguments);
  }
  const long flags = pass_through(thread, regs);
  if (is_error(flags) || flags == kRestartCall) return flags;
  return flags | static_cast<long>(kLargeFile) | (directory ? O_DIRECTORY : 0);
}

// --- directories: the memory file's offset is the cookie ---

namespace {

long read_directory(Thread& thread, std::int32_t fd, std::uint32_t slot, std::uint64_t capacity,
                    RequestMemory*& memory) {
  if (slot_at(slot).kind != NodeKind::kDirectory) return kEnotdir;
  const long cookie = host_call(SYS_lseek, fd, 0, 1);
  if (is_error(cookie)) return cookie == kEspipe ? kEbadf : cookie;
  memory = begin_request(thread, Operation::kReadDirectory);
  if (memory == nullptr) return kEnomem;
  memory->request.base[0] = {PlaceKind::kSlot, 0, slot};
  memory->request.arguments[0] = static_cast<std::uint64_t>(cookie);
  memory->request.arguments[1] = capacity < kDirectoryCapacity ? capacity : kDirectoryCapacity;
  return exchange(thread, *memory);
}

long finish_directory(std::int32_t fd, const RequestMemory& memory, std::uint64_t size) {
  host_call(SYS_lseek, fd, static_cast<long>(memory.reply.arguments[0]), 0);
  return static_cast<long>(size);
}

// linux_dirent64 to linux_dirent: the type moves from before the name to the record's last byte. Sizes stay.
void convert_entries(std::byte* records, std::uint64_t size) {
  for (std::uint64_t at = 0; at + 19 < size;) {
    std::uint16_t record = 0;
    __builtin_memcpy(&record, records + at + 16, sizeof(record));
    if (record < 20 || at + record > size) return;
    const std::byte type = records[at + 18];
    __builtin_memmove(records + at + 18, records + at + 19, record - std::size_t{19});
    records[at + record - 1] = type;
    at += record;
  }
}

}  // namespace

long shield_getdents64(Thread& thread, Regs& regs) {
  RequestMemory* memory = nullptr;
  const std::uint32_t slot = kind_of(thread, descriptor(regs)).slot;
  const auto capacity = static_cast<std::uint32_t>(regs.rdx);
  const long result = read_directory(thread, descriptor(regs), slot, capacity, memory);
  if (is_error(result)) return result;
  const std::uint32_t size = memory->reply.data_size;
  if (size > capacity) return kEinval;
  if (copy_to_guest(guest(regs.rsi), reply_data(*memory), size) != 0) return kEfault;
  return finish_directory(descriptor(regs), *memory, size);
}

long shield_getdents(Thread& thread, Regs& regs) {
  RequestMemory* memory = nullptr;
  const std::uint32_t slot = kind_of(thread, descriptor(regs)).slot;
  const auto capacity = static_cast<std::uint32_t>(regs.rdx);
  const long result = read_directory(thread, descriptor(regs), slot, capacity, memory);
  if (is_error(result)) return result;
  const std::uint32_t size = memory->reply.data_size;
  if (size > capacity) return kEinval;
  convert_entries(memory->text + memory->data_offset, size);
  if (copy_to_guest(guest(regs.rsi), reply_data(*memory), size) != 0) return kEfault;
  return finish_directory(descriptor(regs), *memory, size);
}

}  // namespace casemate::runtime
