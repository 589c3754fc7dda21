// System calls in the order and under the headings of the compatibility page. Every call of the table stands in exactly
// one family: families_of_table() in main.cc refuses to print a page otherwise.
#pragma once

#include <string_view>

namespace casemate::compatibility {

struct Family {
  std::string_view title;
  std::string_view calls;
};

inline constexpr Family kFamilies[] = {
    {"Files and directories",
     "open openat openat2 creat stat fstat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat "
     "getdents getdents64 getcwd chdir fchdir rename renameat renameat2 mkdir mkdirat rmdir link linkat unlink "
     "unlinkat "
     "symlink symlinkat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat umask utime utimes futimesat "
     "utimensat mknod mknodat truncate ftruncate fallocate statfs fstatfs ustat sysfs sync syncfs fsync fdatasync "
     "sync_file_range setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr "
     "removexattr lremovexattr fremovexattr setxattrat getxattrat listxattrat removexattrat name_to_handle_at "
     "open_by_handle_at file_getattr file_setattr cachestat"},
    {"Descriptors, input and output",
     "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range dup dup2 dup3 "
     "fcntl flock ioctl pipe pipe2 sendfile splice tee vmsplice copy_file_range readahead fadvise64 io_setup "
     "io_destroy "
     "io_submit io_cancel io_getevents io_pgetevents io_uring_setup io_uring_enter io_uring_register"},
    {"Waiting for events",
     "poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd "
     "eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_gettime inotify_init inotify_init1 "
     "inotify_add_watch inotify_rm_watch fanotify_init fanotify_mark"},
    {"Memory",
     "mmap munmap mprotect mremap msync mincore madvise process_madvise brk mlock mlock2 munlock mlockall munlockall "
     "mseal memfd_create memfd_secret remap_file_pages pkey_mprotect pkey_alloc pkey_free map_shadow_stack mbind "
     "set_mempolicy get_mempolicy set_mempolicy_home_node migrate_pages move_pages process_mrelease userfaultfd "
     "membarrier"},
    {"Processes and threads",
     "clone clone3 fork vfork execve execveat exit exit_group wait4 waitid getpid gettid getppid getpgrp getpgid "
     "setpgid "
     "getsid setsid set_tid_address set_robust_list get_robust_list rseq futex futex_waitv futex_wake futex_wait "
     "futex_requeue prctl arch_prctl personality pidfd_open pidfd_send_signal pidfd_getfd kcmp ptrace process_vm_readv "
     "process_vm_writev modify_ldt set_thread_area get_thread_area unshare setns"},
    {"Signals",
     "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo "
     "rt_sigsuspend sigaltstack kill tkill tgkill pause restart_syscall"},
    {"Sockets",
     "socket socketpair bind listen accept accept4 connect getsockname getpeername setsockopt getsockopt shutdown "
     "sendto "
     "recvfrom sendmsg recvmsg sendmmsg recvmmsg"},
    {"System V and POSIX message passing",
     "shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl mq_open mq_unlink "
     "mq_timedsend "
     "mq_timedreceive mq_notify mq_getsetattr"},
    {"Time",
     "time gettimeofday settimeofday clock_gettime clock_settime clock_getres clock_nanosleep clock_adjtime adjtimex "
     "nanosleep alarm getitimer setitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete "
     "times"},
    {"Scheduling and limits",
     "sched_yield sched_setparam sched_getparam sched_setscheduler sched_getscheduler sched_get_priority_max "
     "sched_get_priority_min sched_rr_get_interval sched_setaffinity sched_getaffinity sched_setattr sched_getattr "
     "getpriority setpriority ioprio_set ioprio_get getrlimit setrlimit prlimit64 getrusage getcpu"},
    {"Users, capabilities and keys",
     "getuid geteuid getgid getegid setuid setgid setreuid setregid setresuid getresuid setresgid getresgid setfsuid "
     "setfsgid getgroups setgroups capget capset add_key request_key keyctl"},
    {"Sandboxes, tracing and kernel security",
     "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self lsm_get_self_attr lsm_set_self_attr "
     "lsm_list_modules bpf perf_event_open uprobe uretprobe"},
    {"Mounts and namespaces",
     "mount umount2 pivot_root chroot open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick mount_setattr "
     "statmount listmount listns quotactl quotactl_fd"},
    {"The machine",
     "uname sysinfo syslog sethostname setdomainname getrandom reboot swapon swapoff acct vhangup iopl ioperm "
     "init_module "
     "finit_module delete_module kexec_load kexec_file_load"},
    {"Numbers without a call in today's kernels",
     "uselib _sysctl create_module get_kernel_syms query_module nfsservctl getpmsg putpmsg afs_syscall tuxcall "
     "security "
     "lookup_dcookie epoll_ctl_old epoll_wait_old vserver"},
};

}  // namespace casemate::compatibility
