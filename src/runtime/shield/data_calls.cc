// read and write of shielded files, in all their forms. The data goes between the program and the kernel's memory file;
// around that stand looks at page states, and a request only when pages must be fetched or space reserved.
//
// A call is tried again when pages were evicted meanwhile: a read might have seen holes, a write might have gone into
// one. Repetition is by position, never by the descriptor's offset, which has moved.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/intercept/line.h"
#include "runtime/memory/guest.h"
#include "runtime/shield/arena.h"
#include "runtime/shield/channel.h"
#include "runtime/shield/kinds.h"
#include "runtime/shield/pages.h"
#include "runtime/shield/windows.h"
#include "runtime/table/table.h"

namespace casemate::runtime {
namespace {

using protocol::NodeKind;
using protocol::Operation;
using protocol::PopulatePurpose;

inline constexpr long kEisdir = -21, kEinval = -22;
inline constexpr std::uint64_t kMaxTransfer = 0x7ffff000;  // MAX_RW_COUNT
inline constexpr std::uint64_t kAnyOffset = ~std::uint64_t{0};
inline constexpr std::uint64_t kRwfDsync = 2, kRwfSync = 4, kRwfAppend = 16;
inline constexpr unsigned kAttempts = 64;
inline constexpr std::uint64_t kStackVectors = 16;

// One transfer, whatever call asked for it.
struct Transfer {
  Thread& thread;
  Regs& regs;
  std::int32_t fd;
  std::uint32_t slot;
  std::uint64_t size;      // bytes asked for
  std::uint64_t position;  // kAnyOffset: the description's
  std::uint64_t flags;     // RWF_*
  bool vectored;
};

long offset_of(std::int32_t fd) { return host_call(SYS_lseek, fd, 0, 1); }

// Bytes of an iovec array; negative errno when the kernel would refuse it (or cannot be asked to).
long sum_of_vectors(std::uint64_t address, std::uint64_t count) {
  if (count > 1024) return kEinval;
  iovec vectors[kStackVectors];
  std::uint64_t sum = 0;
  while (count > 0) {
    const std::uint64_t now = count < kStackVectors ? count : kStackVectors;
    if (const long error = copy_from_guest(vectors, guest(address), now * sizeof(iovec)); error != 0) return error;
    for (std::uint64_t i = 0; i < now; ++i) {
      sum += vectors[i].iov_len;
      if (vectors[i].iov_len > kMaxTransfer || sum > kMaxTransfer) sum = kMaxTransfer;
    }
    address += now * sizeof(iovec);
    count -= now;
  }
  return static_cast<long>(sum);
}

enum class Direction { kRead, kWrite };

// The same transfer again, by position.
long repeat_at(const Transfer& transfer, Direction direction, long fd, std::uint64_t position, std::uint64_t size) {
  const Regs& regs = transfer.regs;
  const bool read = direction == Direction::kRead;
  if (!transfer.vectored) {
    return host_call(read ? SYS_pread64 : SYS_pwrite64, fd, static_cast<long>(regs.rsi), static_cast<long>(size),
                     static_cast<long>(position));
  }
  return host_call(read ? SYS_preadv : SYS_pwritev, fd, static_cast<long>(regs.rsi), static_cast<long>(regs.rdx),
                   static_cast<long>(position), 0);
}

// --- reading ---

long settle_read(const Transfer& transfer, std::uint64_t position, long count, std::uint64_t evictions) {
  const ByteRange range{position, static_cast<std::uint64_t>(count)};
  for (unsigned attempt = 0; attempt < kAttempts && evictions_of(transfer.slot) != evictions; ++attempt) {
    evictions = evictions_of(transfer.slot);
    const PopulatePurpose purpose = attempt < 3 ? PopulatePurpose::kRead : PopulatePurpose::kKeep;
    if (const long error = populate_absent(transfer.thread, transfer.slot, range, purpose); error != 0) return error;
    const long again = repeat_at(transfer, Direction::kRead, transfer.fd, position, range.size);
    if (is_error(again)) return again;
    if (again < count) count = again;
  }
  return count;
}

// No page can be missing: the position matters only if that changes under the read.
long read_complete(const Transfer& transfer, std::uint64_t evictions) {
  const long count = pass_through(transfer.thread, transfer.regs);
  if (count <= 0 || evictions_of(transfer.slot) == evictions) return count;
  std::uint64_t position = transfer.position;
  if (position == kAnyOffset) {
    const long end = offset_of(transfer.fd);
    if (end < count) return count;
    position = static_cast<std::uint64_t>(end - count);
  }
  return settle_read(transfer, position, count, evictions);
}

long read_slot(const Transfer& transfer) {
  const std::uint64_t evictions = evictions_of(transfer.slot);
  if (is_complete(transfer.slot, evictions)) return read_complete(transfer, evictions);
  std::uint64_t position = transfer.position;
  if (position == kAnyOffset) {
    const long offset = offset_of(transfer.fd);
    if (is_error(offset)) return pass_through(transfer.thread, transfer.regs);
    position = static_cast<std::uint64_t>(offset);
  }
  const ByteRange range{position, transfer.size};
  consider_complete(transfer.slot, evictions);
  const long error = populate_absent(transfer.thread, transfer.slot, range, PopulatePurpose::kRead);
  if (error != 0) return error;
  const long count = pass_through(transfer.thread, transfer.regs);
  if (count <= 0) return count;
  return settle_read(transfer, position, count, evictions);
}

// --- writing ---

// A description of our own on the same memory file: repeating a write through one with O_APPEND would append again.
long reopen_for_writing(std::int32_t fd) {
  Line link;
  link.text("/proc/self/fd/").number(fd);
  return host_call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(link.c_str()), O_WRONLY | O_CLOEXEC);
}

// Until the data lies in pages that were there all the time.
void settle_write(const Transfer& transfer, std::uint64_t position, long count, std::uint64_t evictions) {
  const ByteRange range{position, static_cast<std::uint64_t>(count)};
  Kept kept = mark_after_write(transfer.thread, transfer.slot, range);
  if (kept == Kept::kAll && evictions_of(transfer.slot) == evictions) return;
  const long fd = reopen_for_writing(transfer.fd);
  if (is_error(fd)) return;
  for (unsigned attempt = 0; attempt < kAttempts; ++attempt) {
    if (kept == Kept::kAll && evictions_of(transfer.slot) == evictions) break;
    evictions = evictions_of(transfer.slot);
    if (mark_before_write(transfer.thread, transfer.slot, range) != 0) break;
    repeat_at(transfer, Direction::kWrite, fd, position, range.size);
    kept = mark_after_write(transfer.thread, transfer.slot, range);
  }
  host_call(SYS_close, fd);
}

std::uint64_t size_of(std::int32_t fd) {
  // Not by fstat: once the file's times were seen, the kernel must give the next write a new one (cached_node.h).
  struct statx status;
  const long result =
      host_call(SYS_statx, fd, reinterpret_cast<long>(""), AT_EMPTY_PATH, STATX_SIZE, reinterpret_cast<long>(&status));
  if (result == 0) return status.stx_size;
  struct stat older;
  return host_call(SYS_fstat, fd, reinterpret_cast<long>(&older)) == 0 ? static_cast<std::uint64_t>(older.st_size) : 0;
}

// Where the write will go, as far as one can know.
long expected_position(const Transfer& transfer, bool append, std::uint64_t& position) {
  position = transfer.position;
  if (append) {
    position = size_of(transfer.fd);
  } else if (position == kAnyOffset) {
    const long offset = offset_of(transfer.fd);
    if (is_error(offset)) return offset;
    position = static_cast<std::uint64_t>(offset);
  }
  return 0;
}

// A shared offset may be moved by another process between our look and the write, onto a page that is not there: then
// the whole file has to be, and to stay.
long keep_all_if_shared(const Transfer& transfer, const DescriptorKind& kind, std::uint64_t position) {
  if ((kind.flags & kKindExclusive) != 0) return 0;
  const protocol::FileSlot& slot = slot_at(transfer.slot);
  const std::uint64_t backed = slot.backed_pages.load(std::memory_order_acquire) * protocol::kPageSize;
  if (position >= backed) return 0;
  return populate_absent(transfer.thread, transfer.slot, kWholeFile, PopulatePurpose::kKeep);
}

long finish_sync(const Transfer& transfer, const DescriptorKind& kind, long count) {
  const bool synchronous = (kind.flags & kKindSync) != 0 || (transfer.flags & (kRwfDsync | kRwfSync)) != 0;
  if (!synchronous) return count;
  const long result = slot_request(transfer.thread, Operation::kSynchronize, transfer.slot);
  return is_error(result) ? result : count;
}

long write_slot(const Transfer& transfer, const DescriptorKind& kind) {
  Regs& regs = transfer.regs;
  const bool append = (transfer.flags & kRwfAppend) != 0 || appends(transfer.fd, kind);
  std::uint64_t position = 0;
  if (transfer.size == 0 || is_error(expected_position(transfer, append, position)))
    return pass_through(transfer.thread, regs);
  const bool by_offset = transfer.position == kAnyOffset;
  long error = by_offset && !append ? keep_all_if_shared(transfer, kind, position) : 0;
  const std::uint64_t evictions = evictions_of(transfer.slot);
  if (error == 0) error = mark_before_write(transfer.thread, transfer.slot, {position, transfer.size});
  if (error != 0) return error;
  const long count = pass_through(transfer.thread, regs);
  if (count <= 0) return count;
  // The kernel knows where it went: behind it stands the offset, or (pwrite with O_APPEND) the file's end. Nobody else
  // can have moved the offset of a description that one thread of one process has.
  const bool certain = (kind.flags & kKindExclusive) != 0 && process_thread_count() == 1;
  if (append || (by_offset && !certain)) {
    const long end = by_offset ? offset_of(transfer.fd) : static_cast<long>(size_of(transfer.fd));
    if (end >= count && static_cast<std::uint64_t>(end - count) != position) {
      mark_after_write(transfer.thread, transfer.slot, {position, static_cast<std::uint64_t>(count)});
      position = static_cast<std::uint64_t>(end - count);
    }
  }
  settle_write(transfer, position, count, evictions);
  return finish_sync(transfer, kind, count);
}

// --- entry ---

// A host descriptor: unless it has become a shielded one under our hands, the kernel's answer is all.
long write_host(Thread& thread, Regs& regs, std::int32_t fd, const DescriptorKind& kind) {
  const long count = pass_through(thread, regs);
  if (count <= 0 || kind_is_current(thread, fd, kind)) return count;
  const DescriptorKind now = kind_of(thread, fd);
  const long end = now.shielded() ? offset_of(fd) : -1;
  if (end >= count) {
    mark_after_write(thread, now.slot, {static_cast<std::uint64_t>(end - count), static_cast<std::uint64_t>(count)});
  }
  return count;
}

struct Shape {
  bool vectored;
  std::uint64_t position;
  std::uint64_t flags;
};

// False: the kernel knows the error.
bool describe(const Regs& regs, const Shape& shape, std::uint64_t& size) {
  size = regs.rdx < kMaxTransfer ? regs.rdx : kMaxTransfer;
  if (!shape.vectored) return true;
  const long sum = sum_of_vectors(regs.rsi, regs.rdx);
  if (is_error(sum)) return false;
  size = static_cast<std::uint64_t>(sum);
  return true;
}

long transfer_in(Thread& thread, Regs& regs, Shape shape) {
  const auto fd = static_cast<std::int32_t>(regs.rdi);
  const DescriptorKind kind = kind_of(thread, fd);
  if (!kind.shielded()) return pass_through(thread, regs);
  if (slot_at(kind.slot).kind == NodeKind::kDirectory) return kEisdir;
  std::uint64_t size = 0;
  const bool odd = shape.position != kAnyOffset && static_cast<std::int64_t>(shape.position) < 0;
  if (odd || !describe(regs, shape, size) || size == 0) return pass_through(thread, regs);
  const bool simple = !shape.vectored && shape.position != kAnyOffset;
  if (simple && read_from_window(thread, fd, kind, {shape.position, size}, regs.rsi)) return static_cast<long>(size);
  return read_slot({thread, regs, fd, kind.slot, size, shape.position, shape.flags, shape.vectored});
}

long transfer_out(Thread& thread, Regs& regs, Shape shape) {
  const auto fd = static_cast<std::int32_t>(regs.rdi);
  const DescriptorKind kind = kind_of(thread, fd);
  if (!kind.shielded()) return write_host(thread, regs, fd, kind);
  std::uint64_t size = 0;
  const bool odd = shape.position != kAnyOffset && static_cast<std::int64_t>(shape.position) < 0;
  const bool regular = slot_at(kind.slot).kind == NodeKind::kRegular;
  const bool writable = (kind.flags & kKindWritable) != 0;
  if (odd || !regular || !writable || !describe(regs, shape, size)) return pass_through(thread, regs);
  return write_slot({thread, regs, fd, kind.slot, size, shape.position, shape.flags, shape.vectored}, kind);
}

}  // namespace

long sys_read(Thread& thread, Regs& regs) { return transfer_in(thread, regs, {false, kAnyOffset, 0}); }
long sys_pread64(Thread& thread, Regs& regs) {
  return static_cast<std::int64_t>(regs.r10) < 0 ? pass_through(thread, regs)
                                                 : transfer_in(thread, regs, {false, regs.r10, 0});
}
long sys_readv(Thread& thread, Regs& regs) { return transfer_in(thread, regs, {true, kAnyOffset, 0}); }
long sys_preadv(Thread& thread, Regs& regs) {
  return static_cast<std::int64_t>(regs.r10) < 0 ? pass_through(thread, regs)
                                                 : transfer_in(thread, regs, {true, regs.r10, 0});
}
// Here an offset of -1 means the description's, which is kAnyOffset.
long sys_preadv2(Thread& thread, Regs& regs) { return transfer_in(thread, regs, {true, regs.r10, regs.r9}); }

long sys_write(Thread& thread, Regs& regs) { return transfer_out(thread, regs, {false, kAnyOffset, 0}); }
long sys_pwrite64(Thread& thread, Regs& regs) {
  return static_cast<std::int64_t>(regs.r10) < 0 ? pass_through(thread, regs)
                                                 : transfer_out(thread, regs, {false, regs.r10, 0});
}
long sys_writev(Thread& thread, Regs& regs) { return transfer_out(thread, regs, {true, kAnyOffset, 0}); }
long sys_pwritev(Thread& thread, Regs& regs) {
  return static_cast<std::int64_t>(regs.r10) < 0 ? pass_through(thread, regs)
                                                 : transfer_out(thread, regs, {true, regs.r10, 0});
}
long sys_pwritev2(Thread& thread, Regs& regs) { return transfer_out(thread, regs, {true, regs.r10, regs.r9}); }

}  // namespace casemate::runtime
