// Signals that instructions raise, and that a runtime needs for itself: a program may still block, ignore, send and
// wait for them, and its system calls go on working meanwhile. libc blocks all signals around fork, pthread_create and
// posix_spawn, so this is the rule, not the exception.
#include "case.h"
#include "faults.h"

#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <ucontext.h>

static const int kReserved[] = {SIGSEGV, SIGBUS, SIGTRAP, SIGSYS, SIGILL, SIGFPE};
enum { kReservedCount = 6 };

static volatile int handled_count, last_number, last_code, last_value;

static void note(int number, siginfo_t* info, void* context) {
  last_number = number;
  last_code = info->si_code;
  last_value = info->si_value.sival_int;
  ++handled_count;
}

static void set_mask(uint64_t mask) { CHECK_EQ(RAW(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8), 0); }

static uint64_t get_mask(void) {
  uint64_t mask = 0;
  CHECK_EQ(RAW(SYS_rt_sigprocmask, SIG_BLOCK, 0, &mask, 8), 0);
  return mask;
}

static uint64_t pending(void) {
  uint64_t set = 0;
  CHECK_EQ(RAW(SYS_rt_sigpending, &set, 8), 0);
  return set;
}

static uint64_t bit(int number) { return 1ull << (number - 1); }

CASE(bad_pointers_with_all_signals_blocked) {
  set_mask(~0ull);
  for (int i = 0; i < 100; ++i) {
    CHECK_EQ(RAW(SYS_rt_sigprocmask, SIG_BLOCK, 8, 0, 8), -EFAULT);
    CHECK_EQ(RAW(SYS_rt_sigaction, SIGUSR1, 8, 0, 8), -EFAULT);
    CHECK_EQ(RAW(SYS_readlink, 8, 8, 10), -EFAULT);
    CHECK_EQ(RAW(SYS_sigaltstack, 8, 0), -EFAULT);
    CHECK_EQ(RAW(SYS_uname, 8), -EFAULT);
    CHECK_EQ(RAW(SYS_execve, 8, 8, 8), -EFAULT);
  }
}

static void* call_in_thread(void* argument) {
  set_mask(~0ull);
  pid_t pid = getpid();
  for (int i = 0; i < 3000; ++i) {
    CHECK_EQ(RAW(SYS_getpid), pid);
    CHECK_EQ(RAW(SYS_close, -1), -EBADF);
    CHECK_EQ(syscall(SYS_getppid), getppid());
  }
  return NULL;
}

CASE(calls_of_threads_with_all_signals_blocked) {
  pthread_t threads[8];
  for (int i = 0; i < 8; ++i) CHECK_EQ(pthread_create(&threads[i], NULL, call_in_thread, NULL), 0);
  for (int i = 0; i < 8; ++i) pthread_join(threads[i], NULL);
}

CASE(mask_reads_back_as_set) {
  for (int i = 0; i < kReservedCount; ++i) {
    set_mask(bit(kReserved[i]) | bit(SIGUSR1));
    CHECK_EQ(get_mask(), bit(kReserved[i]) | bit(SIGUSR1));
    pid_t child = CHECK_OK(fork());
    if (child == 0) _exit(get_mask() == (bit(kReserved[i]) | bit(SIGUSR1)) ? 0 : 1);
    check_exited(child, 0);
  }
}

HELPER(print_mask) {
  printf("%lx", get_mask());
  return 0;
}

CASE(mask_survives_exec) {
  uint64_t mask = bit(SIGUSR1);
  for (int i = 0; i < kReservedCount; ++i) mask |= bit(kReserved[i]);
  set_mask(mask);
  char wanted[32];
  snprintf(wanted, sizeof wanted, "%lx", mask);
  char* seen = helper_output(0, "print_mask", NULL);
  CHECK_STREQ(seen, wanted);
}

CASE(sent_while_blocked_waits) {
  for (int i = 0; i < kReservedCount; ++i) {
    int before = handled_count;
    install_handler(kReserved[i], note, 0);
    set_mask(bit(kReserved[i]));
    CHECK_OK(kill(getpid(), kReserved[i]));
    CHECK_EQ(handled_count, before);
    CHECK_EQ(pending(), bit(kReserved[i]));
    for (int n = 0; n < 20; ++n) CHECK_EQ(RAW(SYS_getpid), getpid());
    CHECK_EQ(handled_count, before);
    set_mask(0);
    CHECK_EQ(handled_count, before + 1);
    CHECK_EQ(last_number, kReserved[i]);
    CHECK_EQ(last_code, SI_USER);
    CHECK_EQ(pending(), 0);
  }
}

CASE(sent_with_value_while_blocked_by_another_handler) {
  for (int i = 0; i < kReservedCount; ++i) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    CHECK_OK(sigaction(kReserved[i], &action, NULL));
    set_mask(bit(kReserved[i]));
    CHECK_OK(sigqueue(getpid(), kReserved[i], (union sigval){.sival_int = 100 + i}));
    set_mask(0);
    CHECK_EQ(last_code, SI_QUEUE);
    CHECK_EQ(last_value, 100 + i);
  }
}

CASE(sent_and_handled) {
  for (int i = 0; i < kReservedCount; ++i) {
    install_handler(kReserved[i], note, 0);
    for (int n = 0; n < 20; ++n) {
      int before = handled_count;
      raise(kReserved[i]);
      CHECK_EQ(handled_count, before + 1);
      CHECK_EQ(last_code, SI_TKILL);
    }
  }
}

CASE(sent_and_ignored) {
  for (int i = 0; i < kReservedCount; ++i) {
    signal(kReserved[i], SIG_IGN);
    CHECK_OK(kill(getpid(), kReserved[i]));
    CHECK_EQ(RAW(SYS_getpid), getpid());
    struct sigaction action;
    CHECK_OK(sigaction(kReserved[i], NULL, &action));
    CHECK_EQ(action.sa_handler, SIG_IGN);
  }
}

HELPER(print_dispositions) {
  for (int i = 0; i < kReservedCount; ++i) {
    struct sigaction action;
    CHECK_OK(sigaction(kReserved[i], NULL, &action));
    printf("%s", action.sa_handler == SIG_IGN ? "i" : action.sa_handler == SIG_DFL ? "d" : "h");
  }
  return 0;
}

CASE(ignored_ones_stay_ignored_across_exec) {
  CHECK_STREQ(helper_output(0, "print_dispositions", NULL), "dddddd");
  for (int i = 0; i < kReservedCount; ++i) {
    if (i % 2) {
      install_handler(kReserved[i], note, 0);
    } else {
      signal(kReserved[i], SIG_IGN);
    }
  }
  CHECK_STREQ(helper_output(0, "print_dispositions", NULL), "ididid");
}

CASE(waited_for_synchronously) {
  for (int i = 0; i < kReservedCount; ++i) {
    uint64_t set = bit(kReserved[i]);
    set_mask(set);
    siginfo_t info;
    struct timespec none = {0, 0};
    CHECK_EQ(RAW(SYS_rt_sigtimedwait, &set, &info, &none, 8), -EAGAIN);
    CHECK_OK(sigqueue(getpid(), kReserved[i], (union sigval){.sival_int = 7}));
    CHECK_EQ(RAW(SYS_rt_sigtimedwait, &set, &info, &none, 8), kReserved[i]);
    CHECK_EQ(info.si_code, SI_QUEUE);
    CHECK_EQ(info.si_value.sival_int, 7);
    CHECK_EQ(pending(), 0);
  }
}

static void* send_later(void* number) {
  for (int i = 0; i < 20; ++i) pause_briefly();
  CHECK_OK(kill(getpid(), (int)(long)number));
  return NULL;
}

CASE(waited_for_before_it_is_sent) {
  for (int i = 0; i < kReservedCount; ++i) {
    uint64_t set = bit(kReserved[i]);
    set_mask(set);
    pthread_t thread;
    siginfo_t info;
    CHECK_EQ(pthread_create(&thread, NULL, send_later, (void*)(long)kReserved[i]), 0);
    CHECK_EQ(RAW(SYS_rt_sigtimedwait, &set, &info, 0, 8), kReserved[i]);
    pthread_join(thread, NULL);
  }
}

CASE(read_from_a_signal_descriptor) {
  for (int i = 0; i < kReservedCount; ++i) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, kReserved[i]);
    set_mask(bit(kReserved[i]));
    int fd = CHECK_OK(signalfd(-1, &set, SFD_NONBLOCK));
    struct signalfd_siginfo info;
    CHECK_FAILS(read(fd, &info, sizeof info), EAGAIN);
    CHECK_OK(kill(getpid(), kReserved[i]));
    struct pollfd entry = {fd, POLLIN, 0};
    CHECK_EQ(poll(&entry, 1, 1000), 1);
    CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
    CHECK_EQ(info.ssi_signo, kReserved[i]);
    CHECK_OK(close(fd));
  }
}

CASE(let_in_by_a_temporary_mask) {
  uint64_t open = 0;
  for (int i = 0; i < kReservedCount; ++i) {
    install_handler(kReserved[i], note, 0);
    set_mask(bit(kReserved[i]));
    int before = handled_count;
    CHECK_OK(kill(getpid(), kReserved[i]));
    CHECK_EQ(RAW(SYS_rt_sigsuspend, &open, 8), -EINTR);
    CHECK_EQ(handled_count, before + 1);
    CHECK_EQ(get_mask(), bit(kReserved[i]));
  }
}

CASE(kept_out_by_a_temporary_mask) {
  for (int i = 0; i < kReservedCount; ++i) {
    install_handler(kReserved[i], note, 0);
    install_handler(SIGUSR1, note, 0);
    set_mask(bit(SIGUSR1) | bit(kReserved[i]));
    CHECK_OK(kill(getpid(), kReserved[i]));
    CHECK_OK(kill(getpid(), SIGUSR1));
    int before = handled_count;
    uint64_t mask = bit(kReserved[i]);
    CHECK_EQ(RAW(SYS_rt_sigsuspend, &mask, 8), -EINTR);
    CHECK_EQ(handled_count, before + 1);
    CHECK_EQ(last_number, SIGUSR1);
    set_mask(0);
    CHECK_EQ(handled_count, before + 2);
    CHECK_EQ(last_number, kReserved[i]);
  }
}

static void fault_with_all_blocked(void* kind) {
  set_mask(~0ull);
  install_handler(SIGSEGV, note, 0);
  install_handler(SIGTRAP, note, 0);
  install_handler(SIGILL, note, 0);
  if ((long)kind == 0) *(volatile int*)8 = 1;
  if ((long)kind == 1) __asm__ volatile("int3");
  if ((long)kind == 2) __asm__ volatile("ud2");
}

CASE(faults_while_blocked_kill_in_spite_of_a_handler) {
  static const int numbers[] = {SIGSEGV, SIGTRAP, SIGILL};
  for (long i = 0; i < 3; ++i) {
    CHECK_EQ(wait_status_of(start_child(fault_with_all_blocked, (void*)i)) & 0x7f, numbers[i]);
  }
}

static volatile int nested_result;
static void fault_inside(int number, siginfo_t* info, void* context) {
  // Another reserved signal is open here, so a fault in a handler is caught by its own handler.
  CHECK_FAULT_AT(load_byte((char*)8), SIGSEGV, SEGV_MAPERR, 8);
  nested_result = 1;
}

CASE(fault_inside_a_handler_of_another_signal) {
  install_handler(SIGUSR1, fault_inside, 0);
  for (int i = 0; i < 50; ++i) {
    nested_result = 0;
    raise(SIGUSR1);
    CHECK_EQ(nested_result, 1);
  }
}

static void efault_inside(int number, siginfo_t* info, void* context) {
  nested_result = (int)RAW(SYS_rt_sigaction, SIGUSR2, 8, 0, 8);
  ((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP] += 2;
}

CASE(bad_pointer_inside_the_handler_of_a_fault) {
  struct sigaction action = {.sa_sigaction = efault_inside, .sa_flags = SA_SIGINFO};
  sigfillset(&action.sa_mask);
  CHECK_OK(sigaction(SIGILL, &action, NULL));
  for (int i = 0; i < 50; ++i) {
    nested_result = 0;
    __asm__ volatile("ud2");
    CHECK_EQ(nested_result, -EFAULT);
  }
}

static volatile uint64_t mask_inside;
static void read_mask(int number, siginfo_t* info, void* context) {
  uint64_t mask = 0;
  RAW(SYS_rt_sigprocmask, SIG_BLOCK, 0, &mask, 8);
  mask_inside = mask;
}

CASE(signal_let_in_by_a_new_mask_runs_and_returns_with_it) {
  // The way libc ends its critical sections: everything was blocked, a signal came meanwhile, the old mask returns.
  install_handler(SIGUSR1, read_mask, 0);
  for (int i = 0; i < 50; ++i) {
    set_mask(~0ull);
    CHECK_EQ(RAW(SYS_tgkill, RAW(SYS_getpid), RAW(SYS_gettid), SIGUSR1), 0);
    mask_inside = 0;
    set_mask(bit(SIGWINCH));
    CHECK_EQ(mask_inside, bit(SIGUSR1) | bit(SIGWINCH));
    CHECK_EQ(get_mask(), bit(SIGWINCH));
  }
}

CASE(blocked_and_sent_together_with_another) {
  // One is let in, the other stays blocked and pending: it may neither come nor keep the process busy.
  for (int i = 0; i < kReservedCount; ++i) {
    install_handler(kReserved[i], note, 0);
    install_handler(SIGUSR1, note, 0);
    set_mask(~0ull);
    CHECK_OK(kill((pid_t)RAW(SYS_getpid), kReserved[i]));
    CHECK_OK(kill((pid_t)RAW(SYS_getpid), SIGUSR1));
    int before = handled_count;
    set_mask(bit(kReserved[i]));
    CHECK_EQ(handled_count, before + 1);
    CHECK_EQ(last_number, SIGUSR1);
    CHECK_EQ(pending(), bit(kReserved[i]));
    set_mask(0);
    CHECK_EQ(handled_count, before + 2);
  }
}

static int number_to_send;

static void send_blocked(int number) { RAW(SYS_kill, RAW(SYS_getpid), number_to_send); }

// raise() makes system calls after the handler's return; this makes none.
static void interrupt_itself(int number) {
  long pid = RAW(SYS_getpid), tid = case_gettid();
  CHECK_EQ(RAW(SYS_tgkill, pid, tid, number), 0);
}

CASE(sent_while_a_handler_blocks_it_comes_when_the_handler_returns) {
  for (int i = 0; i < 4; ++i) {
    number_to_send = kReserved[i];
    install_handler(number_to_send, note, 0);
    struct sigaction action = {.sa_handler = send_blocked};
    sigaddset(&action.sa_mask, number_to_send);
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    int before = handled_count;
    interrupt_itself(SIGUSR1);
    // Not at the next system call: with the handler's return.
    CHECK_EQ(handled_count, before + 1);
  }
}

CASE(sent_to_itself_with_the_code_of_a_fault) {
  for (int i = 0; i < kReservedCount; ++i) {
    install_handler(kReserved[i], note, 0);
    for (int round = 0; round < 300; ++round) {
      siginfo_t info = {.si_signo = kReserved[i], .si_code = 2};
      int before = handled_count;
      CHECK_EQ(RAW(SYS_rt_tgsigqueueinfo, getpid(), case_gettid(), kReserved[i], &info), 0);
      CHECK_EQ(handled_count, before + 1);
      CHECK_EQ(last_code, 2);
    }
  }
}

CASE(mask_survives_signals_in_the_middle_of_fork) {
  install_handler(SIGTRAP, note, 0);
  struct signal_pump pump = start_signal_pump(getpid(), SIGTRAP);
  for (int i = 0; i < 300; ++i) {
    pid_t child = CHECK_OK(vfork());
    if (child == 0) _exit(0);
    check_exited(child, 0);
    CHECK_EQ(get_mask(), 0);
  }
  stop_signal_pump(&pump);
}

static void spoil_frame(int number, siginfo_t* info, void* context) {
  ((ucontext_t*)context)->uc_mcontext.fpregs = (void*)8;
}

static void return_through_bad_frame(void* argument) {
  install_handler(SIGUSR1, spoil_frame, 0);
  raise(SIGUSR1);
}

CASE(frame_that_cannot_be_restored_kills) { check_killed_by(start_child(return_through_bad_frame, NULL), SIGSEGV); }
