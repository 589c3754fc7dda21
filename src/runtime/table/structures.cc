// Proof that the sizes of structures.def are those of the kernel's headers for programs; compiles to nothing.
#include <asm/ldt.h>
#include <asm/poll.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/aio_abi.h>
#include <linux/eventpoll.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/mount.h>
#include <linux/mqueue.h>
#include <linux/msg.h>
#include <linux/openat2.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <linux/sem.h>
#include <linux/shm.h>
#include <linux/stat.h>
#include <linux/sysinfo.h>
#include <linux/time_types.h>
#include <linux/times.h>
#include <linux/timex.h>
#include <linux/utime.h>
#include <linux/utsname.h>

#include "runtime/abi/signal_abi.h"
#include "runtime/table/table.h"

namespace casemate::runtime {
namespace {

template <typename T>
constexpr bool has_size(Structure structure) {
  return structure_size(structure) == sizeof(T);
}

static_assert(has_size<__kernel_timespec>(Structure::timespec));
static_assert(has_size<__kernel_old_timeval>(Structure::timeval));
static_assert(has_size<__kernel_old_itimerval>(Structure::itimerval));
static_assert(has_size<__kernel_itimerspec>(Structure::itimerspec));
static_assert(has_size<timex>(Structure::timex));
static_assert(has_size<tms>(Structure::tms));
static_assert(has_size<utimbuf>(Structure::utimbuf));
static_assert(has_size<struct stat>(Structure::stat_buffer));
static_assert(has_size<struct statx>(Structure::statx_buffer));
static_assert(has_size<struct statfs>(Structure::statfs_buffer));
static_assert(has_size<new_utsname>(Structure::utsname));
static_assert(has_size<struct sysinfo>(Structure::sysinfo_buffer));
static_assert(has_size<rusage>(Structure::rusage));
static_assert(has_size<rlimit64>(Structure::rlimit));
static_assert(has_size<pollfd>(Structure::pollfd));
static_assert(has_size<epoll_event>(Structure::epoll_event));
static_assert(has_size<sembuf>(Structure::sembuf));
static_assert(has_size<msqid64_ds>(Structure::msqid_ds));
static_assert(has_size<shmid64_ds>(Structure::shmid_ds));
static_assert(has_size<mq_attr>(Structure::mq_attr));
static_assert(has_size<sched_attr>(Structure::sched_attr));
static_assert(has_size<clone_args>(Structure::clone_args));
static_assert(has_size<open_how>(Structure::open_how));
static_assert(has_size<mount_attr>(Structure::mount_attr));
static_assert(has_size<robust_list_head>(Structure::robust_list_head));
static_assert(has_size<user_desc>(Structure::user_desc));
static_assert(has_size<iocb>(Structure::iocb));
static_assert(has_size<io_event>(Structure::io_event));
static_assert(has_size<io_uring_params>(Structure::io_uring_params));
static_assert(has_size<futex_waitv>(Structure::futex_waitv_entry));
static_assert(has_size<KernelSigAction>(Structure::sigaction));
static_assert(has_size<SigInfo>(Structure::siginfo));
static_assert(has_size<KernelStack>(Structure::signal_stack));

}  // namespace
}  // namespace casemate::runtime
