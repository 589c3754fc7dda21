// Calls that change who the process is, and calls that no run with volumes may make.
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/intercept/line.h"
#include "runtime/intercept/report.h"
#include "runtime/memory/guest.h"
#include "runtime/shield/channel.h"
#include "runtime/shield/directories.h"
#include "runtime/shield/kinds.h"
#include "runtime/table/table.h"
#include "runtime/task/tasks.h"

namespace casemate::runtime {
namespace {

inline constexpr long kEnomem = -12, kEnosys = -38, kEperm = -1;

long with_new_credentials(Thread& thread, Regs& regs) {
  const long result = pass_through(thread, regs);
  forget_credentials(thread);
  return result;
}

long refuse_with(const Regs& regs, long error) {
  const std::uint64_t number = static_cast<std::uint32_t>(regs.original_rax);
  warn_refused(number, syscall_entry(number));
  return error;
}

bool is_mount_namespace(std::int32_t fd) {
  Line link;
  link.text("/proc/self/fd/").number(fd);
  char target[16] = {};
  host_call(SYS_readlinkat, AT_FDCWD, reinterpret_cast<long>(link.c_str()), reinterpret_cast<long>(target),
            sizeof(target) - 1);
  return __builtin_memcmp(target, "mnt:", 4) == 0;
}

// The thread leaves shared tables, as in the kernel. Nothing fails behind it.
long unshare_tables(Thread& thread, std::uint64_t flags) {
  DescriptorState* descriptors = nullptr;
  DirectoryState* directories = nullptr;
  if ((flags & CLONE_FILES) != 0 && (descriptors = descriptors_create(*thread.descriptors)) == nullptr) return kEnomem;
  if ((flags & CLONE_FS) != 0 && (directories = directories_copy(*thread.directories)) == nullptr) {
    if (descriptors != nullptr) descriptors->references.store(0);
    return kEnomem;
  }
  if (const long error = host_call(SYS_unshare, static_cast<long>(flags)); error != 0) {
    if (descriptors != nullptr) descriptors->references.store(0);
    if (directories != nullptr) directories_release(*directories);
    return error;
  }
  if (descriptors != nullptr) {
    thread.descriptors->references.fetch_sub(1);
    thread.descriptors = descriptors;
  }
  if (directories != nullptr) {
    directories_release(*thread.directories);
    thread.directories = directories;
  }
  return 0;
}

}  // namespace

#define CREDENTIALS(name) \
  long sys_##name(Thread& thread, Regs& regs) { return with_new_credentials(thread, regs); }
CREDENTIALS(setuid)
CREDENTIALS(setgid)
CREDENTIALS(setreuid)
CREDENTIALS(setregid)
CREDENTIALS(setresuid)
CREDENTIALS(setresgid)
CREDENTIALS(setfsuid)
CREDENTIALS(setfsgid)
CREDENTIALS(setgroups)
#undef CREDENTIALS

long sys_unshare(Thread& thread, Regs& regs) {
  if ((regs.rdi & CLONE_NEWNS) != 0) return refuse_with(regs, kEperm);
  const long result = unshare_tables(thread, regs.rdi);
  forget_credentials(thread);
  return result;
}

long sys_setns(Thread& thread, Regs& regs) {
  const auto types = static_cast<std::uint32_t>(regs.rsi);
  const bool any_type = types == 0 && is_mount_namespace(static_cast<std::int32_t>(regs.rdi));
  if (any_type || (types & CLONE_NEWNS) != 0) return refuse_with(regs, kEperm);
  return with_new_credentials(thread, regs);
}

// Without a path it concerns all file systems of the host.
long sys_quotactl(Thread& thread, Regs& regs) {
  return regs.rsi == 0 ? pass_through(thread, regs) : refuse_with(regs, kEperm);
}

// A kernel without the call would not look at the pointer, but programs ask with good ones.
long sys_io_setup(Thread&, Regs& regs) {
  std::uint64_t context = 0;
  const long error = read_guest(context, guest(regs.rsi));
  return error != 0 ? error : refuse_with(regs, kEnosys);
}

#define NEVER(name, error) \
  long sys_##name(Thread&, Regs& regs) { return refuse_with(regs, error); }
NEVER(mount, kEperm)
NEVER(umount2, kEperm)
NEVER(pivot_root, kEperm)
NEVER(swapon, kEperm)
NEVER(swapoff, kEperm)
NEVER(acct, kEperm)
NEVER(open_tree, kEperm)
NEVER(open_tree_attr, kEperm)
NEVER(move_mount, kEperm)
NEVER(fspick, kEperm)
NEVER(mount_setattr, kEperm)
NEVER(io_submit, kEnosys)
// Newer forms of calls that libcs still make in the older one when the kernel has none.
NEVER(setxattrat, kEnosys)
NEVER(getxattrat, kEnosys)
NEVER(listxattrat, kEnosys)
NEVER(removexattrat, kEnosys)
NEVER(file_getattr, kEnosys)
NEVER(file_setattr, kEnosys)
#undef NEVER

}  // namespace casemate::runtime
