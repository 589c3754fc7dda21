// Calls that move data between descriptors inside the kernel. Pages that the kernel may read at any later time (they
// sit in pipes and socket buffers by reference) are fetched and pinned first; what is written into a shielded file is
// marked like any write.
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
using protocol::PopulatePurpose;

// Programs ask for "all there is" with huge sizes; the kernel may always do less.
inline constexpr std::uint64_t kMostAtOnce = 4 * 1024 * 1024;

// One side of a copy. `offset_address` 0: the description's offset.
struct Side {
  std::int32_t fd;
  std::uint64_t offset_address;
};

bool position_of(const Side& side, std::uint64_t& position) {
  if (side.offset_address != 0) return read_guest(position, guest(side.offset_address)) == 0;
  const long offset = host_call(SYS_lseek, side.fd, 0, 1);
  position = static_cast<std::uint64_t>(offset);
  return !is_error(offset);
}

bool is_regular(const DescriptorKind& kind) { return kind.shielded() && slot_at(kind.slot).kind == NodeKind::kRegular; }

struct Copy {
  Thread& thread;
  Regs& regs;
  Side from, to;
  unsigned size_index;  // of the size argument
};

long pass_copy(const Copy& copy, std::uint64_t size) {
  std::uint64_t arguments[6];
  for (unsigned i = 0; i < 6; ++i) arguments[i] = i == copy.size_index ? size : call_argument(copy.regs, i);
  return pass_arguments(copy.regs.original_rax, arguments);
}

long copy_between(const Copy& copy) {
  const DescriptorKind from = kind_of(copy.thread, copy.from.fd), to = kind_of(copy.thread, copy.to.fd);
  if (!is_regular(from) && !is_regular(to)) return pass_through(copy.thread, copy.regs);
  std::uint64_t size = call_argument(copy.regs, copy.size_index);
  if (size > kMostAtOnce) size = kMostAtOnce;
  std::uint64_t read_at = 0, write_at = 0;
  if (is_regular(from)) {
    if (!position_of(copy.from, read_at)) return pass_through(copy.thread, copy.regs);
    const long error = populate_pinned(copy.thread, from.slot, {read_at, size}, PopulatePurpose::kKeep);
    if (error != 0) return error;
  }
  if (!is_regular(to) || (to.flags & kKindWritable) == 0) return pass_copy(copy, size);
  if (!position_of(copy.to, write_at)) return pass_through(copy.thread, copy.regs);
  // Kept, because this write cannot be repeated should its pages be evicted under it.
  long error = populate_pinned(copy.thread, to.slot, {write_at, size}, PopulatePurpose::kKeep);
  if (error == 0) error = mark_before_write(copy.thread, to.slot, {write_at, size});
  if (error != 0) return error;
  const long count = pass_copy(copy, size);
  if (count > 0) mark_after_write(copy.thread, to.slot, {write_at, static_cast<std::uint64_t>(count)});
  return count;
}

}  // namespace

long sys_sendfile(Thread& thread, Regs& regs) {
  const Side from{static_cast<std::int32_t>(regs.rsi), regs.rdx}, to{static_cast<std::int32_t>(regs.rdi), 0};
  return copy_between({thread, regs, from, to, 3});
}

long sys_splice(Thread& thread, Regs& regs) {
  const Side from{static_cast<std::int32_t>(regs.rdi), regs.rsi}, to{static_cast<std::int32_t>(regs.rdx), regs.r10};
  return copy_between({thread, regs, from, to, 4});
}

long sys_copy_file_range(Thread& thread, Regs& regs) {
  const Side from{static_cast<std::int32_t>(regs.rdi), regs.rsi}, to{static_cast<std::int32_t>(regs.rdx), regs.r10};
  return copy_between({thread, regs, from, to, 4});
}

}  // namespace casemate::runtime
