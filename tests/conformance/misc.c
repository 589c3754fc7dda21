// System information, randomness, and sweeps: bad pointers and odd arguments over the whole table, whose results are
// compared between the native run and the run under the runtime.
#include "case.h"

#include <linux/keyctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/utsname.h>

CASE(system_names) {
  struct utsname names;
  CHECK_OK(uname(&names));
  FACT("%s %s %s %s", names.sysname, names.nodename, names.release, names.machine);
  CHECK_STREQ(names.machine, "x86_64");
  CHECK_EQ(RAW(SYS_uname, 8), -EFAULT);
  char name[65];
  CHECK_OK(gethostname(name, sizeof name));
  CHECK_STREQ(name, names.nodename);
}

CASE(host_name_is_changed_in_an_own_namespace) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    if (RAW(SYS_unshare, 0x04000000 /* CLONE_NEWUTS */) != 0) _exit(kStatusSkipped);
    CHECK_OK(sethostname("conformance", 11));
    char name[65];
    CHECK_OK(gethostname(name, sizeof name));
    CHECK_STREQ(name, "conformance");
    _exit(0);
  }
  int status = wait_status_of(child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kStatusSkipped) SKIP("no UTS namespaces");
  CHECK_EQ(status, 0);
}

CASE(system_state) {
  struct sysinfo state;
  CHECK_OK(sysinfo(&state));
  CHECK(state.totalram > 0);
  CHECK(state.procs > 0);
  FACT("memory %lu unit %u", state.totalram, state.mem_unit);
}

CASE(random_bytes) {
  unsigned char first[256], second[256];
  CHECK_EQ(getrandom(first, sizeof first, 0), 256);
  CHECK_EQ(getrandom(second, sizeof second, GRND_NONBLOCK), 256);
  CHECK(memcmp(first, second, sizeof first) != 0);
  CHECK_EQ(getentropy(first, 256), 0);
  CHECK_FAILS(getrandom(first, 10, 0x80), EINVAL);
  CHECK_FAILS(getrandom((void*)8, 10, 0), EFAULT);
  int fd = CHECK_OK(open("/dev/urandom", O_RDONLY));
  CHECK_EQ(read(fd, first, 256), 256);
}

CASE(key_service_answers_as_natively) {
  long result = RAW(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0, 0, 0);
  FACT("keyctl %s", result > 0 ? "id" : strerror((int)-result));
}

CASE(processor_count_agrees) {
  char* online = read_file("/sys/devices/system/cpu/online", NULL);
  FACT("online %ld of %ld, file %s", sysconf(_SC_NPROCESSORS_ONLN), sysconf(_SC_NPROCESSORS_CONF), online);
  FACT("page size %ld, clock ticks %ld", sysconf(_SC_PAGESIZE), sysconf(_SC_CLK_TCK));
}

CASE(memory_of_another_process) {
  static char text[] = "own text";
  char buffer[16];
  struct iovec local = {buffer, sizeof text}, remote = {text, sizeof text};
  ssize_t size = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
  if (under_runtime() && size < 0) {
    // Documented refusal: the runtime's own memory is in the same space.
    CHECK(errno == EPERM || errno == ENOSYS);
    return;
  }
  CHECK_EQ(size, sizeof text);
  CHECK_STREQ(buffer, text);
}

CASE(administrative_calls_need_privilege) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_OK(setgid(65534));
    CHECK_OK(setuid(65534));
    static const struct {
      const char* name;
      long number;
      long arguments[5];
    } calls[] = {{"reboot", SYS_reboot, {0xfee1dead, 672274793, 0, 0}},
                 {"sethostname", SYS_sethostname, {(long)"x", 1}},
                 {"mount", SYS_mount, {(long)"none", (long)".", (long)"tmpfs", 0, 0}},
                 {"umount", SYS_umount2, {(long)"/", 0}},
                 {"swapon", SYS_swapon, {(long)"x", 0}},
                 {"chroot", SYS_chroot, {(long)"."}},
                 {"iopl", SYS_iopl, {3}},
                 {"ioperm", SYS_ioperm, {0x80, 1, 1}},
                 {"pivot_root", SYS_pivot_root, {(long)".", (long)"."}},
                 {"setns", SYS_setns, {0, 0}},
                 {"init_module", SYS_init_module, {0, 0, 0}},
                 {"delete_module", SYS_delete_module, {(long)"x", 0}},
                 {"syslog", SYS_syslog, {3, 8, 10}},
                 {"acct", SYS_acct, {0}},
                 {"vhangup", SYS_vhangup, {0}},
                 {"quotactl", SYS_quotactl, {0x80000100, 0, 0, 0}},
                 {"settimeofday", SYS_settimeofday, {0, 8}}};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; ++i) {
      const long* a = calls[i].arguments;
      FACT("%s: %ld", calls[i].name, RAW(calls[i].number, a[0], a[1], a[2], a[3], a[4]));
    }
    _exit(0);
  }
  check_exited(child, 0);
}

// Calls that take pointers, with the positions of pointers as bits. Each is made with bad addresses at these positions.
struct pointer_call {
  const char* name;
  int number;
  long arguments[6];
};
#define BAD -4242

static const struct pointer_call kPointerCalls[] = {
    {"read", SYS_read, {40, BAD, 8}},
    {"write", SYS_write, {41, BAD, 8}},
    {"open", SYS_open, {BAD, 0}},
    {"openat", SYS_openat, {-100, BAD, 0}},
    {"stat", SYS_stat, {BAD, BAD}},
    {"fstat", SYS_fstat, {40, BAD}},
    {"lstat", SYS_lstat, {BAD, BAD}},
    {"newfstatat", SYS_newfstatat, {-100, BAD, BAD, 0}},
    {"poll", SYS_poll, {BAD, 2, 0}},
    {"pread64", SYS_pread64, {40, BAD, 8, 0}},
    {"pwrite64", SYS_pwrite64, {40, BAD, 8, 0}},
    {"readv", SYS_readv, {40, BAD, 2}},
    {"writev", SYS_writev, {41, BAD, 2}},
    {"access", SYS_access, {BAD, 0}},
    {"pipe", SYS_pipe, {BAD}},
    {"pipe2", SYS_pipe2, {BAD, 0}},
    {"select", SYS_select, {10, BAD, BAD, BAD, BAD}},
    {"mincore", SYS_mincore, {0, 4096, BAD}},
    {"nanosleep", SYS_nanosleep, {BAD, BAD}},
    {"getitimer", SYS_getitimer, {0, BAD}},
    {"setitimer", SYS_setitimer, {0, BAD, BAD}},
    {"sendfile", SYS_sendfile, {41, 40, BAD, 8}},
    {"connect", SYS_connect, {42, BAD, 16}},
    {"bind", SYS_bind, {42, BAD, 16}},
    {"sendto", SYS_sendto, {42, BAD, 8, 0, 0, 0}},
    {"recvfrom", SYS_recvfrom, {42, BAD, 8, 64, 0, 0}},
    {"sendmsg", SYS_sendmsg, {42, BAD, 0}},
    {"recvmsg", SYS_recvmsg, {42, BAD, 64}},
    {"getsockname", SYS_getsockname, {42, BAD, BAD}},
    {"socketpair", SYS_socketpair, {1, 1, 0, BAD}},
    {"setsockopt", SYS_setsockopt, {42, 1, 9, BAD, 4}},
    {"getsockopt", SYS_getsockopt, {42, 1, 9, BAD, BAD}},
    {"execve", SYS_execve, {BAD, 0, 0}},
    {"wait4", SYS_wait4, {-1, BAD, 1, BAD}},
    {"uname", SYS_uname, {BAD}},
    {"fcntl-lock", SYS_fcntl, {40, 5, BAD}},
    {"truncate", SYS_truncate, {BAD, 0}},
    {"getdents64", SYS_getdents64, {43, BAD, 512}},
    {"getcwd", SYS_getcwd, {BAD, 512}},
    {"chdir", SYS_chdir, {BAD}},
    {"rename", SYS_rename, {BAD, BAD}},
    {"mkdir", SYS_mkdir, {BAD, 0}},
    {"rmdir", SYS_rmdir, {BAD}},
    {"link", SYS_link, {BAD, BAD}},
    {"unlink", SYS_unlink, {BAD}},
    {"symlink", SYS_symlink, {BAD, BAD}},
    {"readlink", SYS_readlink, {BAD, BAD, 10}},
    {"readlink-buffer", SYS_readlink, {(long)"/proc/self/exe", BAD, 100}},
    {"chmod", SYS_chmod, {BAD, 0}},
    {"chown", SYS_chown, {BAD, 0, 0}},
    {"gettimeofday", SYS_gettimeofday, {BAD, 0}},
    {"getrlimit", SYS_getrlimit, {7, BAD}},
    {"setrlimit", SYS_setrlimit, {7, BAD}},
    {"prlimit64", SYS_prlimit64, {0, 7, BAD, BAD}},
    {"getrusage", SYS_getrusage, {0, BAD}},
    {"sysinfo", SYS_sysinfo, {BAD}},
    {"times", SYS_times, {BAD}},
    {"getgroups", SYS_getgroups, {100, BAD}},
    {"getresuid", SYS_getresuid, {BAD, BAD, BAD}},
    {"capget", SYS_capget, {BAD, BAD}},
    {"rt_sigpending", SYS_rt_sigpending, {BAD, 8}},
    {"rt_sigtimedwait", SYS_rt_sigtimedwait, {BAD, 0, 0, 8}},
    {"rt_sigqueueinfo", SYS_rt_sigqueueinfo, {0, 10, BAD}},
    {"rt_sigsuspend", SYS_rt_sigsuspend, {BAD, 8}},
    {"sigaltstack", SYS_sigaltstack, {BAD, BAD}},
    {"rt_sigaction", SYS_rt_sigaction, {10, BAD, BAD, 8}},
    {"rt_sigprocmask", SYS_rt_sigprocmask, {0, BAD, BAD, 8}},
    {"utime", SYS_utime, {BAD, 0}},
    {"mknod", SYS_mknod, {BAD, 4480, 0}},
    {"statfs", SYS_statfs, {BAD, BAD}},
    {"fstatfs", SYS_fstatfs, {40, BAD}},
    {"sched_getparam", SYS_sched_getparam, {0, BAD}},
    {"sched_setparam", SYS_sched_setparam, {0, BAD}},
    {"sched_rr_get_interval", SYS_sched_rr_get_interval, {0, BAD}},
    {"prctl-name", SYS_prctl, {16, BAD}},
    {"prctl-set-name", SYS_prctl, {15, BAD}},
    {"arch_prctl", SYS_arch_prctl, {0x1003, BAD}},
    {"setxattr", SYS_setxattr, {BAD, BAD, BAD, 4, 0}},
    {"getxattr", SYS_getxattr, {BAD, BAD, BAD, 4}},
    {"listxattr", SYS_listxattr, {BAD, BAD, 4}},
    {"time", SYS_time, {BAD}},
    {"futex", SYS_futex, {BAD, 0, 0, 0, 0, 0}},
    {"futex-wake", SYS_futex, {BAD, 1, 1, 0, 0, 0}},
    {"sched_setaffinity", SYS_sched_setaffinity, {0, 8, BAD}},
    {"sched_getaffinity", SYS_sched_getaffinity, {0, 128, BAD}},
    {"io_setup", SYS_io_setup, {1, BAD}},
    {"timer_create", SYS_timer_create, {1, BAD, BAD}},
    {"clock_gettime", SYS_clock_gettime, {1, BAD}},
    {"clock_getres", SYS_clock_getres, {1, BAD}},
    {"clock_nanosleep", SYS_clock_nanosleep, {1, 0, BAD, 0}},
    {"epoll_ctl", SYS_epoll_ctl, {44, 1, 42, BAD}},
    {"epoll_wait", SYS_epoll_wait, {44, BAD, 1, 0}},
    {"utimes", SYS_utimes, {BAD, BAD}},
    {"waitid", SYS_waitid, {0, 0, BAD, 5, 0}},
    {"inotify_add_watch", SYS_inotify_add_watch, {45, BAD, 1}},
    {"openat2", 437, {-100, BAD, BAD, 24}},
    {"faccessat2", 439, {-100, BAD, 0, 0}},
    {"pselect6", SYS_pselect6, {10, BAD, 0, 0, 0, BAD}},
    {"ppoll", SYS_ppoll, {BAD, 1, BAD, 0, 8}},
    {"set_robust_list", SYS_set_robust_list, {0, 1}},
    {"get_robust_list", SYS_get_robust_list, {0, BAD, BAD}},
    {"splice", SYS_splice, {40, BAD, 41, 0, 8, 0}},
    {"vmsplice", SYS_vmsplice, {41, BAD, 1, 0}},
    {"utimensat", SYS_utimensat, {-100, BAD, BAD, 0}},
    {"signalfd4", SYS_signalfd4, {-1, BAD, 8, 0}},
    {"timerfd_settime", SYS_timerfd_settime, {46, 0, BAD, BAD}},
    {"timerfd_gettime", SYS_timerfd_gettime, {46, BAD}},
    {"preadv", SYS_preadv, {40, BAD, 1, 0, 0}},
    {"recvmmsg", SYS_recvmmsg, {42, BAD, 1, 64, 0}},
    {"getcpu", SYS_getcpu, {BAD, 0, 0}},
    {"getrandom", SYS_getrandom, {BAD, 8, 0}},
    {"memfd_create", SYS_memfd_create, {BAD, 0}},
    {"execveat", SYS_execveat, {-100, BAD, 0, 0, 0}},
    {"copy_file_range", SYS_copy_file_range, {40, BAD, 40, BAD, 8, 0}},
    {"statx", SYS_statx, {-100, BAD, 0, 0xfff, BAD}},
    {"clone3", 435, {BAD, 88}},
    {"sched_getattr", SYS_sched_getattr, {0, BAD, 48, 0}},
    {"pidfd_send_signal", SYS_pidfd_send_signal, {47, 10, BAD, 0}},
    {"mq_open", SYS_mq_open, {BAD, 0, 0, 0}},
    {"shmctl", SYS_shmctl, {0, 2, BAD}},
    {"ioctl-fionread", SYS_ioctl, {42, 0x541b, BAD}},
    {"ioctl-tcgets", SYS_ioctl, {40, 0x5401, BAD}},
    {"name_to_handle_at", SYS_name_to_handle_at, {-100, BAD, BAD, BAD, 0}},
};

static void open_sweep_descriptors(void) {
  CHECK_EQ(dup2(open_file_of_size("data", 4096), 40), 40);
  int ends[2];
  CHECK_OK(pipe(ends));
  CHECK_EQ(dup2(ends[1], 41), 41);
  int sockets[2];
  CHECK_EQ(RAW(SYS_socketpair, 1, 2, 0, sockets), 0);
  CHECK_EQ(dup2(sockets[0], 42), 42);
  CHECK_EQ(dup2(CHECK_OK(open(".", O_RDONLY | O_DIRECTORY)), 43), 43);
  CHECK_EQ(dup2((int)RAW(SYS_epoll_create1, 0), 44), 44);
  CHECK_EQ(dup2((int)RAW(SYS_inotify_init1, 0), 45), 45);
  CHECK_EQ(dup2((int)RAW(SYS_timerfd_create, 1, 0), 46), 46);
  CHECK_EQ(dup2((int)RAW(SYS_pidfd_open, getpid(), 0), 47), 47);
  int names[] = {ends[0], ends[1], sockets[0], sockets[1]};
  for (int i = 0; i < 4; ++i) {
    if (names[i] < 40) fcntl(names[i], F_SETFD, FD_CLOEXEC);
  }
}

static void sweep(const char* kind, long bad) {
  open_sweep_descriptors();
  for (size_t i = 0; i < sizeof kPointerCalls / sizeof kPointerCalls[0]; ++i) {
    long a[6];
    for (int n = 0; n < 6; ++n) {
      a[n] = kPointerCalls[i].arguments[n] == BAD ? bad : kPointerCalls[i].arguments[n];
    }
    long result = RAW(kPointerCalls[i].number, a[0], a[1], a[2], a[3], a[4], a[5]);
    FACT("%s %s: %ld", kind, kPointerCalls[i].name, result);
  }
}

CASE(bad_pointers_low) { sweep("address 8", 8); }
CASE(bad_pointers_kernel) { sweep("kernel address", (long)0xffffffff80000000); }
CASE(bad_pointers_non_canonical) { sweep("non-canonical", 0x1234567890abcdef); }
CASE(bad_pointers_inaccessible) {
  char* page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  sweep("inaccessible", (long)page);
}
CASE(bad_pointers_at_the_end_of_memory) {
  // The last byte before an unmapped page: structures do not fit, strings do not end.
  char* page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK_OK(munmap(page + 4096, 4096));
  page[4095] = 'x';
  sweep("last byte", (long)(page + 4095));
}

CASE(results_written_to_read_only_memory) {
  char* page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  open_sweep_descriptors();
  static const int numbers[] = {SYS_uname, SYS_pipe, SYS_sysinfo, SYS_times, SYS_time};
  for (int i = 0; i < 5; ++i) CHECK_EQ(RAW(numbers[i], page), -EFAULT);
  CHECK_EQ(RAW(SYS_fstat, 40, page), -EFAULT);
  CHECK_EQ(RAW(SYS_read, 40, page, 8), -EFAULT);
  CHECK_EQ(RAW(SYS_rt_sigprocmask, 0, 0, page, 8), -EFAULT);
  CHECK_EQ(RAW(SYS_rt_sigaction, 10, 0, page, 8), -EFAULT);
  CHECK_EQ(RAW(SYS_sigaltstack, 0, page), -EFAULT);
  CHECK_EQ(RAW(SYS_getcwd, page, 4000), -EFAULT);
  CHECK_EQ(RAW(SYS_readlink, "/proc/self/exe", page, 100), -EFAULT);
  CHECK_EQ(RAW(SYS_getdents64, 43, page, 512), -EFAULT);
}

CASE(missing_calls_are_missing) {
  // Numbers without a call, old calls without an implementation, and numbers beyond the table.
  static const int numbers[] = {134,  154 + 20 /* create_module */,
                                177,  178,
                                180,  181,
                                182,  183,
                                184,  185,
                                205,  211,
                                214,  215,
                                236,  400,
                                420,  600,
                                2000, 65536};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) {
    FACT("%d: %ld", numbers[i], RAW(numbers[i], 0, 0, 0, 0, 0, 0));
  }
}

CASE(stable_answers_are_the_same) {
  // A broad look at values a program may use to recognise its system.
  FACT("sizes %ld %ld", sysconf(_SC_ARG_MAX), sysconf(_SC_PHYS_PAGES));
  for (int resource = 0; resource < 16; ++resource) {
    struct rlimit limit;
    CHECK_OK(getrlimit((__rlimit_resource_t)resource, &limit));
    FACT("limit %d: %lx %lx", resource, (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
  }
  static const int options[] = {1, 3, 7, 9, 13, 19, 21, 25, 27, 30, 37, 39, 40, 42};
  for (size_t i = 0; i < sizeof options / sizeof options[0]; ++i) {
    long value = 0;
    FACT("prctl %d: %ld", options[i], RAW(SYS_prctl, options[i], &value, 0, 0, 0));
  }
  FACT("ids %d %d %d %d", getuid(), geteuid(), getgid(), getegid());
  FACT("umask %o", umask(022));
  FACT("personality %lx", RAW(SYS_personality, 0xffffffff));
  FACT("priority %ld, policy %ld", RAW(SYS_getpriority, 0, 0), RAW(SYS_sched_getscheduler, 0));
  FACT("session leader %d", getsid(0) == getpid());
}
