// What a handler is told, when it runs, which signals are held back meanwhile, and what sigaction reports.
#include "case.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <ucontext.h>

static volatile int handled_count, last_number, last_code;
static volatile siginfo_t last_info;

static void note(int number, siginfo_t* info, void* context) {
  last_number = number;
  last_code = info->si_code;
  *(siginfo_t*)&last_info = *info;
  ++handled_count;
}

static void block(int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
}

static void unblock(int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
}

CASE(kill_to_self_is_delivered_before_it_returns) {
  install_handler(SIGUSR1, note, 0);
  for (int i = 1; i <= 1000; ++i) {
    CHECK_OK(kill(getpid(), SIGUSR1));
    CHECK_EQ(handled_count, i);
  }
  CHECK_EQ(last_number, SIGUSR1);
  CHECK_EQ(last_code, SI_USER);
  CHECK_EQ(last_info.si_pid, getpid());
  CHECK_EQ(last_info.si_uid, getuid());
}

CASE(tgkill_and_raise_say_so) {
  install_handler(SIGUSR2, note, 0);
  CHECK_EQ(RAW(SYS_tgkill, getpid(), case_gettid(), SIGUSR2), 0);
  CHECK_EQ(handled_count, 1);
  CHECK_EQ(last_code, SI_TKILL);
  raise(SIGUSR2);
  CHECK_EQ(handled_count, 2);
}

CASE(sigqueue_carries_its_value) {
  install_handler(SIGRTMIN + 1, note, 0);
  union sigval value = {.sival_ptr = (void*)0x123456789abcdef0};
  CHECK_OK(sigqueue(getpid(), SIGRTMIN + 1, value));
  CHECK_EQ(handled_count, 1);
  CHECK_EQ(last_code, SI_QUEUE);
  CHECK_EQ(last_info.si_value.sival_ptr, 0x123456789abcdef0);
  CHECK_EQ(last_info.si_pid, getpid());
}

CASE(every_signal_can_be_handled) {
  for (int number = 1; number <= 64; ++number) {
    if (number == SIGKILL || number == SIGSTOP || number == 32 || number == 33 || number == 34) continue;
    install_handler(number, note, 0);
    int before = handled_count;
    CHECK_OK(kill(getpid(), number));
    CHECK_EQ(handled_count, before + 1);
    CHECK_EQ(last_number, number);
  }
}

CASE(sigchld_tells_how_the_child_ended) {
  install_handler(SIGCHLD, note, SA_RESTART);
  pid_t child = CHECK_OK(fork());
  if (child == 0) _exit(19);
  WAIT_UNTIL(handled_count == 1);
  CHECK_EQ(last_code, CLD_EXITED);
  CHECK_EQ(last_info.si_pid, child);
  CHECK_EQ(last_info.si_status, 19);
  check_exited(child, 19);
  child = CHECK_OK(fork());
  if (child == 0) {
    for (;;) pause();
  }
  kill(child, SIGSTOP);
  WAIT_UNTIL(handled_count == 2);
  CHECK_EQ(last_code, CLD_STOPPED);
  kill(child, SIGCONT);
  WAIT_UNTIL(handled_count == 3);
  CHECK_EQ(last_code, CLD_CONTINUED);
  kill(child, SIGTERM);
  WAIT_UNTIL(handled_count == 4);
  CHECK_EQ(last_code, CLD_KILLED);
  CHECK_EQ(last_info.si_status, SIGTERM);
  check_killed_by(child, SIGTERM);
}

CASE(no_child_stop_flag_suppresses_stops) {
  install_handler(SIGCHLD, note, SA_RESTART | SA_NOCLDSTOP);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    for (;;) pause();
  }
  int status;
  kill(child, SIGSTOP);
  CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
  CHECK_EQ(handled_count, 0);
  kill(child, SIGKILL);
  check_killed_by(child, SIGKILL);
  CHECK_EQ(handled_count, 1);
}

CASE(blocked_signal_waits_and_is_pending) {
  install_handler(SIGUSR1, note, 0);
  block(SIGUSR1);
  for (int i = 0; i < 5; ++i) CHECK_OK(kill(getpid(), SIGUSR1));
  CHECK_EQ(handled_count, 0);
  sigset_t pending;
  CHECK_OK(sigpending(&pending));
  CHECK_EQ(sigismember(&pending, SIGUSR1), 1);
  CHECK_EQ(sigismember(&pending, SIGUSR2), 0);
  unblock(SIGUSR1);
  CHECK_EQ(handled_count, 1);
  CHECK_OK(sigpending(&pending));
  CHECK_EQ(sigismember(&pending, SIGUSR1), 0);
}

CASE(ignoring_discards_a_pending_signal) {
  install_handler(SIGUSR1, note, 0);
  block(SIGUSR1);
  CHECK_OK(kill(getpid(), SIGUSR1));
  signal(SIGUSR1, SIG_IGN);
  install_handler(SIGUSR1, note, 0);
  unblock(SIGUSR1);
  CHECK_EQ(handled_count, 0);
}

static volatile int depth, deepest;

static void raise_again(int number, siginfo_t* info, void* context) {
  ++depth;
  if (depth > deepest) deepest = depth;
  if (++handled_count < 5) raise(number);
  --depth;
}

CASE(own_signal_is_blocked_in_its_handler) {
  install_handler(SIGUSR1, raise_again, 0);
  raise(SIGUSR1);
  CHECK_EQ(handled_count, 5);
  CHECK_EQ(deepest, 1);
}

CASE(nodefer_lets_the_handler_nest) {
  install_handler(SIGUSR1, raise_again, SA_NODEFER);
  raise(SIGUSR1);
  CHECK_EQ(handled_count, 5);
  CHECK_EQ(deepest, 5);
}

CASE(reset_hand_restores_the_default) {
  install_handler(SIGUSR1, note, (int)SA_RESETHAND);
  struct sigaction action;
  raise(SIGUSR1);
  CHECK_EQ(handled_count, 1);
  CHECK_OK(sigaction(SIGUSR1, NULL, &action));
  CHECK_EQ(action.sa_handler, SIG_DFL);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    raise(SIGUSR1);
    _exit(0);
  }
  check_killed_by(child, SIGUSR1);
}

static volatile int order;

static void inner_handler(int number) { order = order * 10 + 2; }

static void outer_handler(int number) {
  order = order * 10 + 1;
  raise(SIGUSR2);
  order = order * 10 + 3;
}

static int order_with_mask(bool masked) {
  order = 0;
  struct sigaction action = {.sa_handler = outer_handler};
  if (masked) sigaddset(&action.sa_mask, SIGUSR2);
  CHECK_OK(sigaction(SIGUSR1, &action, NULL));
  signal(SIGUSR2, inner_handler);
  raise(SIGUSR1);
  return order;
}

CASE(handler_mask_holds_other_signals_back) {
  CHECK_EQ(order_with_mask(false), 123);
  CHECK_EQ(order_with_mask(true), 132);
}

static volatile sigset_t mask_in_handler;

static void read_mask(int number, siginfo_t* info, void* context) {
  sigset_t now;
  pthread_sigmask(SIG_BLOCK, NULL, &now);
  *(sigset_t*)&mask_in_handler = now;
  // The context holds the mask that the return restores.
  CHECK_EQ(sigismember(&((ucontext_t*)context)->uc_sigmask, SIGUSR1), 0);
  CHECK_EQ(sigismember(&((ucontext_t*)context)->uc_sigmask, SIGURG), 1);
}

CASE(masks_in_and_after_the_handler) {
  block(SIGURG);
  struct sigaction action = {.sa_sigaction = read_mask, .sa_flags = SA_SIGINFO};
  sigaddset(&action.sa_mask, SIGTERM);
  CHECK_OK(sigaction(SIGUSR1, &action, NULL));
  raise(SIGUSR1);
  sigset_t* seen = (sigset_t*)&mask_in_handler;
  CHECK_EQ(sigismember(seen, SIGUSR1), 1);
  CHECK_EQ(sigismember(seen, SIGTERM), 1);
  CHECK_EQ(sigismember(seen, SIGURG), 1);
  CHECK_EQ(sigismember(seen, SIGINT), 0);
  sigset_t after;
  pthread_sigmask(SIG_BLOCK, NULL, &after);
  CHECK_EQ(sigismember(&after, SIGUSR1), 0);
  CHECK_EQ(sigismember(&after, SIGTERM), 0);
  CHECK_EQ(sigismember(&after, SIGURG), 1);
}

static void edit_mask(int number, siginfo_t* info, void* context) {
  sigaddset(&((ucontext_t*)context)->uc_sigmask, SIGHUP);
}

CASE(mask_edited_in_the_context_is_used_on_return) {
  install_handler(SIGUSR1, edit_mask, 0);
  raise(SIGUSR1);
  sigset_t after;
  pthread_sigmask(SIG_BLOCK, NULL, &after);
  CHECK_EQ(sigismember(&after, SIGHUP), 1);
}

CASE(sigaction_reports_what_was_set) {
  struct sigaction action = {.sa_sigaction = note}, seen;
  static const int flag_sets[] = {0, SA_SIGINFO, SA_RESTART, SA_NODEFER, SA_ONSTACK | SA_SIGINFO, SA_NOCLDSTOP};
  for (size_t i = 0; i < sizeof flag_sets / sizeof flag_sets[0]; ++i) {
    action.sa_flags = flag_sets[i];
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGKILL);
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(sigaction(SIGUSR1, NULL, &seen));
    CHECK_EQ(seen.sa_sigaction, note);
    CHECK_EQ(seen.sa_flags & ~0x04000000, flag_sets[i]);
    CHECK_EQ(sigismember(&seen.sa_mask, SIGINT), 1);
    CHECK_EQ(sigismember(&seen.sa_mask, SIGKILL), 0);
    CHECK_EQ(sigismember(&seen.sa_mask, SIGQUIT), 0);
  }
}

CASE(fresh_actions_are_default) {
  for (int number = 1; number <= 64; ++number) {
    struct {
      void* handler;
      unsigned long flags;
      void* restorer;
      uint64_t mask;
    } action;
    CHECK_EQ(RAW(SYS_rt_sigaction, number, 0, &action, 8), 0);
    if (number == 33 || number == 32) continue;  // libc's own, set when it needs them
    if (action.handler != NULL) FAIL("signal %d has handler %p", number, action.handler);
    CHECK_EQ(action.flags, 0);
  }
}

CASE(sigaction_refuses_bad_arguments) {
  struct sigaction action = {.sa_handler = SIG_IGN};
  CHECK_FAILS(sigaction(SIGKILL, &action, NULL), EINVAL);
  CHECK_FAILS(sigaction(SIGSTOP, &action, NULL), EINVAL);
  CHECK_FAILS(sigaction(0, &action, NULL), EINVAL);
  CHECK_FAILS(sigaction(65, &action, NULL), EINVAL);
  CHECK_EQ(RAW(SYS_rt_sigaction, SIGUSR1, 0, 0, 16), -EINVAL);
  CHECK_EQ(RAW(SYS_rt_sigaction, SIGUSR1, 8, 0, 8), -EFAULT);
  CHECK_EQ(RAW(SYS_rt_sigaction, SIGUSR1, 0, 8, 8), -EFAULT);
  CHECK_EQ(RAW(SYS_rt_sigprocmask, 99, 0, 0, 8), 0);
  uint64_t set = 0;
  CHECK_EQ(RAW(SYS_rt_sigprocmask, 99, &set, 0, 8), -EINVAL);
  CHECK_EQ(RAW(SYS_rt_sigprocmask, SIG_BLOCK, &set, 0, 4), -EINVAL);
  CHECK_EQ(RAW(SYS_rt_sigprocmask, SIG_BLOCK, 8, 0, 8), -EFAULT);
}

CASE(mask_never_contains_kill_and_stop) {
  uint64_t all = ~0ull, seen = 0;
  CHECK_EQ(RAW(SYS_rt_sigprocmask, SIG_SETMASK, &all, 0, 8), 0);
  CHECK_EQ(RAW(SYS_rt_sigprocmask, SIG_BLOCK, 0, &seen, 8), 0);
  CHECK_EQ(seen, ~(1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1)));
}

CASE(blocked_sigsys_reads_as_blocked_and_calls_work) {
  install_handler(SIGSYS, note, 0);
  uint64_t all = ~0ull, seen = 0;
  CHECK_EQ(RAW(SYS_rt_sigprocmask, SIG_SETMASK, &all, 0, 8), 0);
  for (int i = 0; i < 100; ++i) CHECK_EQ(RAW(SYS_getpid), getpid());
  CHECK_OK(kill((pid_t)RAW(SYS_getpid), SIGSYS));
  CHECK_EQ(handled_count, 0);
  CHECK_EQ(RAW(SYS_rt_sigpending, &seen, 8), 0);
  CHECK_EQ(seen, 1ull << (SIGSYS - 1));
  uint64_t none = 0;
  CHECK_EQ(RAW(SYS_rt_sigprocmask, SIG_SETMASK, &none, &seen, 8), 0);
  CHECK((seen & 1ull << (SIGSYS - 1)) != 0);
  CHECK_EQ(handled_count, 1);
  CHECK_EQ(last_number, SIGSYS);
  CHECK_EQ(last_code, SI_USER);
}

CASE(sigsys_of_the_program_is_delivered) {
  install_handler(SIGSYS, note, 0);
  for (int i = 1; i <= 50; ++i) {
    CHECK_OK(kill(getpid(), SIGSYS));
    CHECK_EQ(handled_count, i);
    CHECK_EQ(last_code, SI_USER);
  }
  struct sigaction action;
  CHECK_OK(sigaction(SIGSYS, NULL, &action));
  CHECK_EQ(action.sa_sigaction, note);
  signal(SIGSYS, SIG_IGN);
  CHECK_OK(kill(getpid(), SIGSYS));
  CHECK_EQ(handled_count, 50);
  signal(SIGSYS, SIG_DFL);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    kill(getpid(), SIGSYS);
    _exit(0);
  }
  CHECK_EQ(wait_status_of(child) & 0x7f, SIGSYS);
}

CASE(sigsys_waited_for_synchronously) {
  block(SIGSYS);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGSYS);
  CHECK_OK(kill(getpid(), SIGSYS));
  siginfo_t info;
  CHECK_EQ(sigwaitinfo(&set, &info), SIGSYS);
  CHECK_EQ(info.si_code, SI_USER);
}

static int handler_pipe;
static void write_in_handler(int number, siginfo_t* info, void* context) {
  CHECK_EQ(RAW(SYS_write, handler_pipe, "h", 1), 1);
}

CASE(handlers_make_system_calls) {
  int ends[2];
  CHECK_OK(pipe(ends));
  handler_pipe = ends[1];
  install_handler(SIGUSR1, write_in_handler, 0);
  for (int i = 0; i < 100; ++i) {
    raise(SIGUSR1);
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    CHECK_EQ(byte, 'h');
  }
}

static void fork_in_handler(int number, siginfo_t* info, void* context) {
  pid_t child = fork();
  if (child == 0) _exit(8);
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(WEXITSTATUS(status), 8);
  ++handled_count;
}

CASE(handler_forks_and_waits) {
  install_handler(SIGUSR1, fork_in_handler, 0);
  for (int i = 0; i < 10; ++i) raise(SIGUSR1);
  CHECK_EQ(handled_count, 10);
}

static void fork_returning_twice(int number, siginfo_t* info, void* context) { handled_count = fork(); }

CASE(child_forked_in_a_handler_returns_from_it) {
  install_handler(SIGUSR1, fork_returning_twice, 0);
  raise(SIGUSR1);
  if (handled_count == 0) {
    raise(SIGWINCH);
    _exit(6);
  }
  check_exited(handled_count, 6);
}

static sigjmp_buf jump;
static void jump_out(int number, siginfo_t* info, void* context) { siglongjmp(jump, ++handled_count); }

CASE(handler_leaves_by_longjmp_a_thousand_times) {
  install_handler(SIGUSR1, jump_out, 0);
  volatile int round = 0;
  if (sigsetjmp(jump, 1) < 1000) {
    ++round;
    raise(SIGUSR1);
    FAIL("handler returned");
  }
  CHECK_EQ(round, 1000);
}

CASE(signal_to_another_process_and_back) {
  // Ping-pong: two processes signal each other with values.
  block(SIGRTMIN + 2);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 2);
  pid_t parent = getpid();
  pid_t child = CHECK_OK(fork());
  pid_t other = child == 0 ? parent : child;
  siginfo_t info;
  for (int i = 0; i < 500; ++i) {
    if (child != 0) CHECK_OK(sigqueue(other, SIGRTMIN + 2, (union sigval){.sival_int = i}));
    CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 2);
    CHECK_EQ(info.si_value.sival_int, i);
    CHECK_EQ(info.si_pid, other);
    if (child == 0) CHECK_OK(sigqueue(other, SIGRTMIN + 2, (union sigval){.sival_int = i}));
  }
  if (child == 0) _exit(0);
  check_exited(child, 0);
}

static atomic_int thread_ready, thread_tid, handler_tid;
static void note_tid(int number, siginfo_t* info, void* context) { handler_tid = case_gettid(); }

static void* spin_with_signal_open(void* argument) {
  unblock(SIGUSR1);
  thread_tid = case_gettid();
  thread_ready = 1;
  while (handler_tid == 0) {
  }
  return NULL;
}

CASE(process_signal_goes_to_a_thread_that_does_not_block_it) {
  install_handler(SIGUSR1, note_tid, 0);
  block(SIGUSR1);
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, spin_with_signal_open, NULL), 0);
  WAIT_UNTIL(thread_ready);
  CHECK_OK(kill(getpid(), SIGUSR1));
  pthread_join(thread, NULL);
  CHECK_EQ(handler_tid, thread_tid);
}

static void* report_mask(void* argument) {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  return (void*)(long)(sigismember(&mask, SIGUSR1) * 2 + sigismember(&mask, SIGUSR2));
}

CASE(new_thread_inherits_the_mask) {
  block(SIGUSR1);
  pthread_t thread;
  void* result;
  CHECK_EQ(pthread_create(&thread, NULL, report_mask, NULL), 0);
  pthread_join(thread, &result);
  CHECK_EQ(result, 2);
}

CASE(children_inherit_handlers) {
  install_handler(SIGUSR1, note, 0);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    raise(SIGUSR1);
    _exit(handled_count + 10);
  }
  check_exited(child, 11);
  CHECK_EQ(handled_count, 0);
}

CASE(sigpipe_on_broken_pipe) {
  int ends[2];
  CHECK_OK(pipe(ends));
  close(ends[0]);
  install_handler(SIGPIPE, note, 0);
  CHECK_FAILS(write(ends[1], "x", 1), EPIPE);
  CHECK_EQ(handled_count, 1);
  signal(SIGPIPE, SIG_IGN);
  CHECK_FAILS(write(ends[1], "x", 1), EPIPE);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    signal(SIGPIPE, SIG_DFL);
    write(ends[1], "x", 1);
    _exit(0);
  }
  check_killed_by(child, SIGPIPE);
}

static volatile long storm_count;
static void count_storm(int number, siginfo_t* info, void* context) { ++storm_count; }

CASE(signal_storm_while_calling) {
  // Another process sends as fast as it can while this one makes cheap calls: none may give a wrong result.
  install_handler(SIGUSR1, count_storm, SA_RESTART);
  pid_t target = getpid();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    for (int i = 0; i < 20000; ++i) kill(target, SIGUSR1);
    _exit(0);
  }
  int status = 0;
  long calls = 0;
  while (RAW(SYS_wait4, child, &status, WNOHANG, 0) == 0) {
    CHECK_EQ(RAW(SYS_getpid), target);
    CHECK_EQ(RAW(SYS_gettid), target);
    CHECK_EQ(RAW(SYS_close, -1), -EBADF);
    ++calls;
  }
  CHECK_EQ(status, 0);
  CHECK(storm_count > 0);
}
