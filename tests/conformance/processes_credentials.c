// User and group ids, capabilities, limits, priorities and prctl settings. The cases need root, as the suite has.
#include "case.h"

#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void need_root(void) {
  if (geteuid() != 0) SKIP("needs root");
}

CASE(setuid_as_root_changes_all_ids_for_good) {
  need_root();
  CHECK_OK(setuid(12345));
  uid_t real, effective, saved;
  CHECK_OK(getresuid(&real, &effective, &saved));
  CHECK_EQ(real, 12345);
  CHECK_EQ(effective, 12345);
  CHECK_EQ(saved, 12345);
  CHECK_FAILS(setuid(0), EPERM);
}

CASE(seteuid_can_be_undone) {
  need_root();
  CHECK_OK(seteuid(12345));
  CHECK_EQ(geteuid(), 12345);
  CHECK_EQ(getuid(), 0);
  CHECK_FAILS(open("/etc/shadow", O_RDONLY), EACCES);
  CHECK_OK(seteuid(0));
  CHECK_OK(open("/etc/shadow", O_RDONLY));
}

CASE(setresuid_and_setresgid_set_each_id) {
  need_root();
  CHECK_OK(setresgid(1, 2, 3));
  gid_t real_group, effective_group, saved_group;
  CHECK_OK(getresgid(&real_group, &effective_group, &saved_group));
  CHECK_EQ(real_group * 100 + effective_group * 10 + saved_group, 123);
  CHECK_OK(setresuid(4, 5, 6));
  uid_t real, effective, saved;
  CHECK_OK(getresuid(&real, &effective, &saved));
  CHECK_EQ(real * 100 + effective * 10 + saved, 456);
  CHECK_OK(setresuid((uid_t)-1, 6, (uid_t)-1));
  CHECK_EQ(geteuid(), 6);
  CHECK_FAILS(setresuid(7, 7, 7), EPERM);
}

static void* read_uid(void* argument) {
  pthread_barrier_wait(argument);
  pthread_barrier_wait(argument);
  return (void*)(long)RAW(SYS_geteuid);
}

CASE(setuid_reaches_all_threads_of_libc) {
  need_root();
  pthread_barrier_t barrier;
  pthread_t threads[5];
  pthread_barrier_init(&barrier, NULL, 6);
  for (int i = 0; i < 5; ++i) CHECK_EQ(pthread_create(&threads[i], NULL, read_uid, &barrier), 0);
  pthread_barrier_wait(&barrier);
  CHECK_OK(setuid(777));
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < 5; ++i) {
    void* uid;
    pthread_join(threads[i], &uid);
    CHECK_EQ(uid, 777);
  }
}

CASE(supplementary_groups) {
  need_root();
  gid_t groups[3] = {10, 20, 30}, seen[10];
  CHECK_OK(setgroups(3, groups));
  CHECK_EQ(getgroups(10, seen), 3);
  CHECK_EQ(seen[2], 30);
  CHECK_EQ(getgroups(0, NULL), 3);
  CHECK_FAILS(getgroups(2, seen), EINVAL);
}

CASE(file_system_ids) {
  need_root();
  CHECK_OK(chmod(".", 0777));
  CHECK_EQ(setfsuid(54321), 0);
  CHECK_EQ(setfsuid((uid_t)-1), 54321);
  write_file("owned", "");
  struct stat status;
  CHECK_OK(stat("owned", &status));
  CHECK_EQ(status.st_uid, 54321);
  setfsuid(0);
  CHECK_EQ(setfsgid(99), 0);
  write_file("owned2", "");
  CHECK_OK(stat("owned2", &status));
  CHECK_EQ(status.st_gid, 99);
}

CASE(capabilities_are_read_and_dropped) {
  need_root();
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  CHECK_OK(syscall(SYS_capget, &header, data));
  CHECK((data[0].effective & (1u << CAP_CHOWN)) != 0);
  data[0].effective &= ~(1u << CAP_CHOWN);
  CHECK_OK(syscall(SYS_capset, &header, data));
  write_file("mine", "");
  CHECK_FAILS(chown("mine", 5, 5), EPERM);
  header.version = 1;
  CHECK_FAILS(syscall(SYS_capget, &header, data), EINVAL);
  CHECK_EQ(header.version, _LINUX_CAPABILITY_VERSION_3);
}

CASE(keep_capabilities_across_setuid) {
  need_root();
  CHECK_OK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
  CHECK_EQ(prctl(PR_GET_KEEPCAPS), 1);
  CHECK_OK(setuid(777));
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  CHECK_OK(syscall(SYS_capget, &header, data));
  CHECK((data[0].permitted & (1u << CAP_CHOWN)) != 0);
  CHECK_EQ(data[0].effective, 0);
}

CASE(bounding_and_ambient_capabilities) {
  need_root();
  CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_SYS_TIME), 1);
  CHECK_OK(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME));
  CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_SYS_TIME), 0);
  CHECK_FAILS(prctl(PR_CAPBSET_READ, 999), EINVAL);
  CHECK_FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0), EPERM);
  CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 0);
}

HELPER(show_no_new_privs) { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); }

CASE(no_new_privs_is_kept_across_exec) {
  CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
  CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  CHECK_FAILS(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
  check_exited(start_helper(-1, "show_no_new_privs", NULL), 1);
}

CASE(process_name_is_the_programs) {
  const char* slash = strrchr(program_path(), '/');
  char name[17] = "", wanted[17] = "";
  snprintf(wanted, 16, "%s", slash + 1);
  CHECK_OK(prctl(PR_GET_NAME, name));
  CHECK_STREQ(name, wanted);
}

CASE(dumpable_state) {
  CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
  CHECK_OK(prctl(PR_SET_DUMPABLE, 0));
  CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
  CHECK_FAILS(prctl(PR_SET_DUMPABLE, 5), EINVAL);
}

CASE(timer_slack_and_thp_settings) {
  CHECK_OK(prctl(PR_SET_TIMERSLACK, 123456));
  CHECK_EQ(prctl(PR_GET_TIMERSLACK), 123456);
  CHECK_OK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
  CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
}

CASE(unknown_prctl_is_refused) {
  CHECK_FAILS(prctl(987654, 0, 0, 0, 0), EINVAL);
  CHECK_FAILS(prctl(PR_SET_PDEATHSIG, 1000), EINVAL);
}

CASE(resource_limits_are_set_read_and_inherited) {
  struct rlimit limit = {100, 200}, seen;
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
  CHECK_OK(getrlimit(RLIMIT_NOFILE, &seen));
  CHECK_EQ(seen.rlim_cur, 100);
  CHECK_EQ(seen.rlim_max, 200);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_OK(prlimit(getppid(), RLIMIT_NOFILE, NULL, &seen));
    CHECK_EQ(seen.rlim_cur, 100);
    CHECK_EQ(sysconf(_SC_OPEN_MAX), 100);
    _exit(0);
  }
  check_exited(child, 0);
  limit.rlim_cur = 300;
  CHECK_FAILS(setrlimit(RLIMIT_NOFILE, &limit), EINVAL);
  CHECK_FAILS(getrlimit((__rlimit_resource_t)77, &seen), EINVAL);
}

CASE(descriptor_limit_gives_emfile_at_the_limit) {
  struct rlimit limit = {20, 20};
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
  for (int fd = 3; fd < 20; ++fd) CHECK_EQ(open("/dev/null", O_RDONLY), fd);
  CHECK_FAILS(open("/dev/null", O_RDONLY), EMFILE);
  CHECK_FAILS(dup(0), EMFILE);
  CHECK_FAILS(dup2(0, 20), EBADF);
  CHECK_FAILS(fcntl(0, F_DUPFD, 20), EINVAL);
  int ends[2];
  CHECK_FAILS(pipe(ends), EMFILE);
}

CASE(file_size_limit_signals) {
  struct rlimit limit = {1000, 1000};
  CHECK_OK(setrlimit(RLIMIT_FSIZE, &limit));
  signal(SIGXFSZ, SIG_IGN);
  int fd = open_file_of_size("data", 990);
  CHECK_EQ(lseek(fd, 990, SEEK_SET), 990);
  CHECK_EQ(write(fd, "0123456789abcdef", 16), 10);
  CHECK_FAILS(write(fd, "x", 1), EFBIG);
  CHECK_FAILS(ftruncate(fd, 1001), EFBIG);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    signal(SIGXFSZ, SIG_DFL);
    write(fd, "x", 1);
    _exit(0);
  }
  check_killed_by(child, SIGXFSZ);
}

CASE(cpu_time_limit_signals) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    struct rlimit limit = {1, 5};
    CHECK_OK(setrlimit(RLIMIT_CPU, &limit));
    for (volatile long i = 0;; ++i) {
    }
  }
  check_killed_by(child, SIGXCPU);
}

CASE(priorities) {
  CHECK_EQ(getpriority(PRIO_PROCESS, 0), 0);
  CHECK_OK(setpriority(PRIO_PROCESS, 0, 10));
  CHECK_EQ(RAW(SYS_getpriority, PRIO_PROCESS, 0), 10);
  CHECK_EQ(nice(3), 13);
  CHECK_FAILS(setpriority(PRIO_PROCESS, 999999999, 1), ESRCH);
  CHECK_FAILS(setpriority(99, 0, 1), EINVAL);
  CHECK_EQ(RAW(SYS_ioprio_get, 1, 0) >= 0, 1);
}

CASE(personality_is_read) {
  long before = RAW(SYS_personality, 0xffffffff);
  CHECK(before >= 0);
  CHECK_EQ(RAW(SYS_personality, before | ADDR_NO_RANDOMIZE), before);
  CHECK_EQ(RAW(SYS_personality, 0xffffffff), before | ADDR_NO_RANDOMIZE);
}

CASE(process_comparison) {
  int fd = CHECK_OK(open("/dev/null", O_RDONLY));
  int copy = CHECK_OK(dup(fd));
  int other = CHECK_OK(open("/dev/null", O_RDONLY));
  long same = RAW(SYS_kcmp, getpid(), getpid(), 0 /* KCMP_FILE */, fd, copy);
  if (same == -ENOSYS || same == -EPERM) SKIP("no kcmp");
  CHECK_EQ(same, 0);
  CHECK(RAW(SYS_kcmp, getpid(), getpid(), 0, fd, other) > 0);
}

CASE(signals_need_permission) {
  need_root();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_OK(setuid(777));
    CHECK_FAILS(kill(getppid(), 0), EPERM);
    CHECK_FAILS(kill(getppid(), SIGKILL), EPERM);
    _exit(0);
  }
  check_exited(child, 0);
}
