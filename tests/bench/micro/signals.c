// Cost of signals: a signal to oneself with a handler, a SIGSEGV whose handler edits the context (what a JVM does for
// its null checks), and a change of the mask. Prints nanoseconds per round trip.
#include "harness.h"

#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>

static volatile long handled;
static long self;

static void count_signal(int number) {
  (void)number;
  handled = handled + 1;
}

static void install(int number, void (*handler)(int), void (*action_handler)(int, siginfo_t*, void*)) {
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  if (action_handler) {
    action.sa_sigaction = action_handler;
    action.sa_flags = SA_SIGINFO;
  } else {
    action.sa_handler = handler;
  }
  if (sigaction(number, &action, NULL) != 0) die("sigaction");
}

static void prepare_self_signal(void) {
  self = getpid();
  install(SIGUSR1, count_signal, NULL);
}

static void signal_self(void* state, long count) {
  (void)state;
  const long expected = handled + count;
  while (count-- > 0) syscall(SYS_kill, self, SIGUSR1);
  if (handled != expected) {
    fprintf(stderr, "lost %ld signals\n", expected - handled);
    exit(1);
  }
}

// The faulting load and the place behind it.
extern const char fault_resume[];

static void skip_fault(int number, siginfo_t* info, void* context) {
  (void)number;
  (void)info;
  ((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP] = (greg_t)fault_resume;
  handled = handled + 1;
}

static void prepare_fault(void) { install(SIGSEGV, NULL, skip_fault); }

__attribute__((noinline, noclone)) static void fault_once(const char* address) {
  __asm__ volatile(
      "movb (%0), %%al\n"
      ".globl fault_resume\n"
      "fault_resume:\n"
      :
      : "r"(address)
      : "rax", "memory");
}

static void fault(void* state, long count) {
  (void)state;
  const long expected = handled + count;
  while (count-- > 0) fault_once((const char*)8);
  if (handled != expected) {
    fprintf(stderr, "lost %ld faults\n", expected - handled);
    exit(1);
  }
}

static void change_mask(void* state, long count) {
  (void)state;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  while (count-- > 0) {
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
  }
}

static const struct Case kCases[] = {
    {"self", prepare_self_signal, signal_self},
    {"segv", prepare_fault, fault},
    {"mask", NULL, change_mask},
};

int main(int argc, char** argv) { return run_case(kCases, sizeof(kCases) / sizeof(kCases[0]), argc, argv); }
