// wait4, waitid, pidfds, orphans, process groups' waits: how a parent learns what became of its children.
#include "case.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void wait_forever(void* argument) {
  for (;;) pause();
}

static void exit_with(void* argument) { _exit((int)(long)argument); }

CASE(exit_codes_are_eight_bits) {
  static const int codes[] = {0, 1, 127, 128, 255, 256, 511, -1};
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; ++i) {
    pid_t child = start_child(exit_with, (void*)(long)codes[i]);
    check_exited(child, codes[i] & 0xff);
  }
}

CASE(exit_code_of_main_return) {
  // A helper that returns 300: the shell sees 44.
  extern int system(const char*);
  int status = system("exit 44");
  CHECK_EQ(WEXITSTATUS(status), 44);
}

CASE(wait_reports_killing_signals) {
  static const int signals[] = {SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGALRM, SIGUSR1, SIGPIPE, SIGVTALRM};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; ++i) {
    pid_t child = start_child(wait_forever, NULL);
    CHECK_OK(kill(child, signals[i]));
    int status = wait_status_of(child);
    CHECK_EQ(status, signals[i]);
  }
}

CASE(wait_without_hang) {
  pid_t child = start_child(wait_forever, NULL);
  CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
  CHECK_OK(kill(child, SIGKILL));
  int status;
  WAIT_UNTIL(waitpid(child, &status, WNOHANG) == child);
  CHECK_EQ(status, SIGKILL);
  CHECK_FAILS(waitpid(child, NULL, WNOHANG), ECHILD);
}

CASE(wait_for_any_child_collects_all) {
  int sum = 0;
  for (long i = 1; i <= 10; ++i) start_child(exit_with, (void*)i);
  int status;
  for (int i = 0; i < 10; ++i) {
    CHECK_OK(wait(&status));
    sum += WEXITSTATUS(status);
  }
  CHECK_EQ(sum, 55);
  CHECK_FAILS(wait(&status), ECHILD);
}

CASE(wait_reports_stop_and_continue) {
  pid_t child = start_child(wait_forever, NULL);
  int status;
  CHECK_OK(kill(child, SIGSTOP));
  CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
  CHECK(WIFSTOPPED(status));
  CHECK_EQ(WSTOPSIG(status), SIGSTOP);
  CHECK_OK(kill(child, SIGCONT));
  CHECK_EQ(waitpid(child, &status, WCONTINUED), child);
  CHECK(WIFCONTINUED(status));
  CHECK_OK(kill(child, SIGKILL));
  check_killed_by(child, SIGKILL);
}

static void stop_self(void* argument) {
  raise((int)(long)argument);
  _exit(9);
}

CASE(child_stops_itself) {
  static const int signals[] = {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
  for (size_t i = 0; i < 4; ++i) {
    // Terminal stop signals do nothing in an orphaned process group: this case's own group has a parent outside.
    pid_t child = start_child(stop_self, (void*)(long)signals[i]);
    CHECK_OK(setpgid(child, child));
    int status;
    CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
    if (WIFEXITED(status)) FAIL("signal %d did not stop", signals[i]);
    CHECK_EQ(WSTOPSIG(status), signals[i]);
    CHECK_OK(kill(child, SIGCONT));
    check_exited(child, 9);
  }
}

CASE(waitid_reports_exit_kill_stop_and_continue) {
  siginfo_t info;
  pid_t child = start_child(exit_with, (void*)21);
  CHECK_OK(waitid(P_PID, (id_t)child, &info, WEXITED));
  CHECK_EQ(info.si_signo, SIGCHLD);
  CHECK_EQ(info.si_code, CLD_EXITED);
  CHECK_EQ(info.si_pid, child);
  CHECK_EQ(info.si_status, 21);
  CHECK_EQ(info.si_uid, getuid());
  child = start_child(wait_forever, NULL);
  CHECK_OK(kill(child, SIGSTOP));
  CHECK_OK(waitid(P_ALL, 0, &info, WSTOPPED));
  CHECK_EQ(info.si_code, CLD_STOPPED);
  CHECK_EQ(info.si_status, SIGSTOP);
  CHECK_OK(kill(child, SIGCONT));
  CHECK_OK(waitid(P_PID, (id_t)child, &info, WCONTINUED));
  CHECK_EQ(info.si_code, CLD_CONTINUED);
  CHECK_EQ(info.si_status, SIGCONT);
  CHECK_OK(kill(child, SIGTERM));
  CHECK_OK(waitid(P_PID, (id_t)child, &info, WEXITED));
  CHECK_EQ(info.si_code, CLD_KILLED);
  CHECK_EQ(info.si_status, SIGTERM);
}

CASE(waitid_nowait_leaves_the_child_waitable) {
  siginfo_t info;
  pid_t child = start_child(exit_with, (void*)5);
  for (int i = 0; i < 3; ++i) {
    CHECK_OK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
    CHECK_EQ(info.si_status, 5);
  }
  check_exited(child, 5);
  memset(&info, 0xff, sizeof info);
  CHECK_FAILS(waitid(P_PID, (id_t)child, &info, WEXITED), ECHILD);
}

CASE(waitid_nohang_clears_the_result) {
  siginfo_t info;
  memset(&info, 0xff, sizeof info);
  pid_t child = start_child(wait_forever, NULL);
  CHECK_OK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG));
  CHECK_EQ(info.si_pid, 0);
  CHECK_EQ(info.si_signo, 0);
  CHECK_FAILS(waitid(P_PID, (id_t)child, &info, 0), EINVAL);
  CHECK_FAILS(waitid((idtype_t)99, 0, &info, WEXITED), EINVAL);
  CHECK_OK(kill(child, SIGKILL));
  wait_status_of(child);
}

CASE(wait_by_process_group) {
  pid_t first = start_child(exit_with, (void*)1);
  pid_t second = start_child(wait_forever, NULL);
  CHECK_OK(setpgid(second, second));
  CHECK_OK(kill(-second, SIGTERM));
  int status;
  CHECK_EQ(waitpid(-second, &status, 0), second);
  CHECK_FAILS(waitpid(-second, &status, 0), ECHILD);
  CHECK_EQ(waitpid(0, &status, 0), first);
}

CASE(wait4_returns_resource_usage) {
  struct rusage usage;
  memset(&usage, 0xff, sizeof usage);
  pid_t child = start_child(exit_with, NULL);
  CHECK_EQ(wait4(child, NULL, 0, &usage), child);
  CHECK(usage.ru_maxrss > 0);
  CHECK(usage.ru_utime.tv_sec >= 0 && usage.ru_utime.tv_usec < 1000000);
}

CASE(ignored_sigchld_reaps_children) {
  signal(SIGCHLD, SIG_IGN);
  pid_t child = start_child(exit_with, (void*)1);
  CHECK_FAILS(waitpid(child, NULL, 0), ECHILD);
  CHECK_FAILS(kill(child, 0), ESRCH);
}

CASE(no_child_wait_flag_reaps_children) {
  struct sigaction action = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
  CHECK_OK(sigaction(SIGCHLD, &action, NULL));
  pid_t child = start_child(exit_with, (void*)1);
  CHECK_FAILS(waitpid(child, NULL, 0), ECHILD);
}

CASE(zombie_until_waited) {
  pid_t child = start_child(exit_with, (void*)1);
  siginfo_t info;
  CHECK_OK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/status", child);
  char* status = read_file(path, NULL);
  CHECK(strstr(status, "State:\tZ") != NULL);
  CHECK_OK(kill(child, 0));
  check_exited(child, 1);
  CHECK_FAILS(kill(child, 0), ESRCH);
}

CASE(orphans_go_to_the_subreaper) {
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
  int subreaper = 0;
  CHECK_OK(prctl(PR_GET_CHILD_SUBREAPER, &subreaper));
  CHECK_EQ(subreaper, 1);
  pid_t reaper = getpid();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    pid_t middle = getpid();
    if (CHECK_OK(fork()) == 0) {
      WAIT_UNTIL(getppid() != middle);
      _exit(getppid() == reaper ? 8 : 9);
    }
    _exit(0);
  }
  check_exited(child, 0);
  int status;
  CHECK_OK(wait(&status));
  CHECK_EQ(WEXITSTATUS(status), 8);
}

CASE(parent_death_signal_arrives) {
  int ends[2];
  CHECK_OK(pipe(ends));
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
  pid_t middle = CHECK_OK(fork());
  if (middle == 0) {
    pid_t inner = CHECK_OK(fork());
    if (inner == 0) {
      CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGUSR2));
      int set = 0;
      CHECK_OK(prctl(PR_GET_PDEATHSIG, &set));
      CHECK_EQ(set, SIGUSR2);
      CHECK_EQ(write(ends[1], "r", 1), 1);
      for (;;) pause();
    }
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    _exit(0);
  }
  check_exited(middle, 0);
  int status;
  CHECK_OK(wait(&status));
  CHECK_EQ(WTERMSIG(status), SIGUSR2);
}

CASE(pidfd_polls_readable_when_the_process_ends) {
  pid_t child = start_child(wait_forever, NULL);
  int pidfd = (int)CHECK_OK(syscall(SYS_pidfd_open, child, 0));
  struct pollfd entry = {pidfd, POLLIN, 0};
  CHECK_EQ(poll(&entry, 1, 0), 0);
  CHECK_OK(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0));
  CHECK_EQ(poll(&entry, 1, -1), 1);
  siginfo_t info;
  CHECK_OK(waitid((idtype_t)3 /* P_PIDFD */, (id_t)pidfd, &info, WEXITED));
  CHECK_EQ(info.si_status, SIGKILL);
  CHECK_FAILS(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0), ESRCH);
  CHECK_FAILS(syscall(SYS_pidfd_open, child, 0), ESRCH);
  CHECK_FAILS(syscall(SYS_pidfd_open, getpid(), 0xf000), EINVAL);
}

CASE(pidfd_signal_carries_siginfo) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  int pidfd = (int)CHECK_OK(syscall(SYS_pidfd_open, getpid(), 0));
  siginfo_t sent = {.si_signo = SIGUSR1, .si_code = SI_QUEUE}, got;
  sent.si_value.sival_int = 4711;
  sent.si_pid = getpid();
  CHECK_OK(syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, &sent, 0));
  CHECK_EQ(sigwaitinfo(&set, &got), SIGUSR1);
  CHECK_EQ(got.si_value.sival_int, 4711);
}

CASE(pidfd_getfd_takes_a_descriptor) {
  int fd = open_file_of_size("data", 11);
  pid_t child = start_child(wait_forever, NULL);
  int pidfd = (int)CHECK_OK(syscall(SYS_pidfd_open, child, 0));
  long taken = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
  int saved = errno;
  if (taken < 0) kill(child, SIGKILL);
  errno = saved;
  // Expected difference: refused, it would take descriptors of the runtime out of another process.
  if (taken < 0 && under_runtime() && errno == EPERM) return;
  if (taken < 0 && (errno == ENOSYS || errno == EPERM)) SKIP("pidfd_getfd is not available: errno %d", errno);
  CHECK_OK(taken);
  struct stat status;
  CHECK_OK(fstat((int)taken, &status));
  CHECK_EQ(status.st_size, 11);
  CHECK_OK(kill(child, SIGKILL));
  wait_status_of(child);
}

CASE(core_flag_is_clear_with_core_limit_zero) {
  struct rlimit none = {0, 0};
  CHECK_OK(setrlimit(RLIMIT_CORE, &none));
  static const int signals[] = {SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; ++i) {
    pid_t child = start_child(wait_forever, NULL);
    CHECK_OK(kill(child, signals[i]));
    CHECK_EQ(wait_status_of(child), signals[i]);
  }
}

CASE(core_flag_is_the_same_with_core_limit) {
  struct rlimit some = {1 << 30, 1 << 30};
  if (setrlimit(RLIMIT_CORE, &some) != 0) SKIP("core limit cannot be raised");
  pid_t child = CHECK_OK(fork());
  if (child == 0) abort();
  int status = wait_status_of(child);
  CHECK_EQ(WTERMSIG(status), SIGABRT);
  FACT("core dumped: %d", WCOREDUMP(status) != 0);
}

CASE(wait_for_foreign_process_fails) {
  CHECK_FAILS(waitpid(1, NULL, 0), ECHILD);
  CHECK_FAILS(waitpid(getpid(), NULL, 0), ECHILD);
  CHECK_EQ(RAW(SYS_wait4, -1, 0, 0x1000000, 0), -EINVAL);
  CHECK_EQ(RAW(SYS_wait4, -2147483647 - 1, 0, 0, 0), -ESRCH);
}

CASE(wait_with_bad_pointer_still_reaps) {
  pid_t child = start_child(exit_with, (void*)1);
  CHECK_EQ(RAW(SYS_wait4, child, 8, 0, 0), -EFAULT);
  CHECK_FAILS(waitpid(child, NULL, 0), ECHILD);
}
