// Default actions: what the parent sees when a process dies or stops by a signal, from outside or by its own fault.
#include "case.h"

#include <pthread.h>
#include <sys/resource.h>

static void no_core(void) {
  struct rlimit none = {0, 0};
  CHECK_OK(setrlimit(RLIMIT_CORE, &none));
}

static void wait_forever(void* argument) {
  for (;;) pause();
}

CASE(each_signal_does_its_default_action) {
  no_core();
  for (int number = 1; number <= 64; ++number) {
    if (number == 32 || number == 33 || number == 34) continue;
    bool ignored = number == SIGCHLD || number == SIGURG || number == SIGWINCH || number == SIGCONT;
    bool stops = number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
    pid_t child = start_child(wait_forever, NULL);
    CHECK_OK(setpgid(child, child));
    CHECK_OK(kill(child, number));
    int status = 0;
    if (stops) {
      CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
      CHECK(WIFSTOPPED(status));
      CHECK_EQ(WSTOPSIG(status), number);
      CHECK_OK(kill(child, SIGCONT));
    }
    if (stops || ignored) {
      CHECK_EQ(waitpid(child, &status, WNOHANG), 0);
      CHECK_OK(kill(child, SIGKILL));
      check_killed_by(child, SIGKILL);
      continue;
    }
    CHECK_EQ(wait_status_of(child), number);
  }
}

static void raise_it(void* number) {
  raise((int)(long)number);
  _exit(0);
}

CASE(each_raised_signal_does_its_default_action) {
  no_core();
  for (long number = 1; number <= 64; ++number) {
    if (number == 32 || number == 33 || number == 34) continue;
    bool ignored = number == SIGCHLD || number == SIGURG || number == SIGWINCH || number == SIGCONT;
    bool stops = number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
    if (stops) continue;
    int status = wait_status_of(start_child(raise_it, (void*)number));
    CHECK_EQ(status, ignored ? 0 : number);
  }
}

static void abort_child(void* argument) { abort(); }
static void null_write(void* argument) { *(volatile int*)argument = 1; }
static void divide(void* argument) { __asm__ volatile("idiv %%ebx" ::"a"(1), "d"(0), "b"(0) : "cc"); }
static void illegal(void* argument) { __asm__ volatile("ud2"); }
static void breakpoint(void* argument) { __asm__ volatile("int3"); }
static void jump_to_nowhere(void* argument) { ((void (*)(void))0x1234)(); }
static void halt(void* argument) { __asm__ volatile("hlt"); }
static void bad_stack(void* argument) { __asm__ volatile("mov $16, %rsp; push %rax"); }

CASE(uncaught_faults_kill_with_their_signal) {
  no_core();
  static const struct {
    void (*body)(void*);
    int number;
  } table[] = {{abort_child, SIGABRT}, {null_write, SIGSEGV}, {divide, SIGFPE},     {illegal, SIGILL},
               {breakpoint, SIGTRAP},  {halt, SIGSEGV},       {bad_stack, SIGSEGV}, {jump_to_nowhere, SIGSEGV}};
  for (size_t i = 0; i < sizeof table / sizeof table[0]; ++i) {
    int status = wait_status_of(start_child(table[i].body, NULL));
    if (status != table[i].number) FAIL("row %zu: wait status 0x%x", i, status);
  }
}

static void fault_while_blocked(void* argument) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  *(volatile int*)NULL = 1;
}

static void fault_while_ignored(void* argument) {
  signal(SIGSEGV, SIG_IGN);
  *(volatile int*)NULL = 1;
}

static void fault_in_handler(int number, siginfo_t* info, void* context) { *(volatile int*)NULL = 1; }

static void fault_twice(void* argument) {
  install_handler(SIGSEGV, fault_in_handler, 0);
  *(volatile int*)NULL = 1;
}

CASE(faults_that_cannot_be_handled_kill) {
  no_core();
  CHECK_EQ(wait_status_of(start_child(fault_while_blocked, NULL)), SIGSEGV);
  CHECK_EQ(wait_status_of(start_child(fault_while_ignored, NULL)), SIGSEGV);
  CHECK_EQ(wait_status_of(start_child(fault_twice, NULL)), SIGSEGV);
}

static void abort_with_ignored_signal(void* argument) {
  signal(SIGABRT, SIG_IGN);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  abort();
}

static void bad_handler_address(void* argument) {
  struct sigaction action = {.sa_handler = (void (*)(int))0x1234};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  _exit(0);
}

CASE(abort_always_ends) {
  no_core();
  CHECK_EQ(wait_status_of(start_child(abort_with_ignored_signal, NULL)), SIGABRT);
  CHECK_EQ(wait_status_of(start_child(bad_handler_address, NULL)), SIGSEGV);
}

static void* kill_from_thread(void* number) {
  if ((long)number == SIGSEGV) *(volatile int*)NULL = 1;
  kill(getpid(), (int)(long)number);
  for (;;) pause();
  return NULL;
}

static void die_in_thread(void* number) {
  pthread_t thread;
  for (int i = 0; i < 3; ++i) pthread_create(&thread, NULL, (void* (*)(void*))(uintptr_t)wait_forever, NULL);
  pthread_create(&thread, NULL, kill_from_thread, number);
  for (;;) pause();
}

CASE(deadly_signal_ends_all_threads) {
  no_core();
  CHECK_EQ(wait_status_of(start_child(die_in_thread, (void*)SIGTERM)), SIGTERM);
  CHECK_EQ(wait_status_of(start_child(die_in_thread, (void*)SIGSEGV)), SIGSEGV);
  CHECK_EQ(wait_status_of(start_child(die_in_thread, (void*)SIGKILL)), SIGKILL);
}

static void sigreturn_with_garbage(void* argument) {
  static char garbage[4096] __attribute__((aligned(64)));
  __asm__ volatile("lea 2048(%0), %%rsp\n\t mov $15, %%eax\n\t syscall" ::"r"(garbage) : "memory");
  _exit(0);
}

CASE(sigreturn_with_garbage_frame_kills) {
  no_core();
  CHECK_EQ(wait_status_of(start_child(sigreturn_with_garbage, NULL)), SIGSEGV);
}

static void overflow_of_alternate_stack(void* argument) {
  // The frame does not fit: the kernel kills with SIGSEGV.
  char* small = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(small, 4096, PROT_NONE);
  install_handler(SIGUSR1, fault_in_handler, 0);
  long pid = getpid();
  __asm__ volatile(
      "lea 4160(%0), %%rsp\n\t mov %1, %%rdi\n\t mov $10, %%esi\n\t mov $62, %%eax\n\t syscall\n\t"
      "mov $60, %%eax\n\t xor %%edi, %%edi\n\t syscall" ::"r"(small),
      "r"(pid)
      : "rdi", "rsi", "rax", "rcx", "r11", "memory");
}

CASE(frame_that_does_not_fit_kills) {
  no_core();
  CHECK_EQ(wait_status_of(start_child(overflow_of_alternate_stack, NULL)), SIGSEGV);
}

CASE(sigcont_handler_runs_on_continue) {
  int* shared = shared_page();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCONT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGSTOP);
    int number;
    CHECK_EQ(sigwait(&set, &number), 0);
    shared[0] = number;
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
  CHECK_OK(kill(child, SIGCONT));
  check_exited(child, 0);
  CHECK_EQ(shared[0], SIGCONT);
}

static void* count_forever(void* counter) {
  for (;;) ++*(volatile long*)counter;
  return NULL;
}

CASE(stop_stops_all_threads) {
  volatile long* counters = shared_page();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    pthread_t thread;
    for (int i = 0; i < 3; ++i) pthread_create(&thread, NULL, count_forever, (void*)&counters[i]);
    for (;;) pause();
  }
  for (int i = 0; i < 3; ++i) WAIT_UNTIL(counters[i] > 0);
  CHECK_OK(kill(child, SIGSTOP));
  int status;
  CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
  long before[3] = {counters[0], counters[1], counters[2]};
  for (int i = 0; i < 10; ++i) pause_briefly();
  for (int i = 0; i < 3; ++i) CHECK_EQ(counters[i], before[i]);
  CHECK_OK(kill(child, SIGCONT));
  for (int i = 0; i < 3; ++i) WAIT_UNTIL(counters[i] > before[i]);
  CHECK_OK(kill(child, SIGKILL));
  check_killed_by(child, SIGKILL);
}
