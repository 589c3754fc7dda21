// Alternate signal stacks, user contexts, and handlers on small or exhausted stacks.
#include "case.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/resource.h>
#include <ucontext.h>

static char alternate[65536] __attribute__((aligned(4096)));
static volatile uintptr_t handler_frame;
static volatile int handled_count, flags_inside;
static volatile long change_result;

static void note_frame(int number, siginfo_t* info, void* context) {
  stack_t now;
  handler_frame = (uintptr_t)__builtin_frame_address(0);
  change_result = RAW(SYS_sigaltstack, 0, &now);
  flags_inside = now.ss_flags;
  ++handled_count;
}

static void use_alternate(int flags) {
  stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate, .ss_flags = flags};
  CHECK_OK(sigaltstack(&stack, NULL));
}

static bool on_alternate(uintptr_t at) {
  return at >= (uintptr_t)alternate && at < (uintptr_t)alternate + sizeof alternate;
}

CASE(handler_runs_on_the_alternate_stack) {
  use_alternate(0);
  install_handler(SIGUSR1, note_frame, SA_ONSTACK);
  raise(SIGUSR1);
  CHECK(on_alternate(handler_frame));
  CHECK_EQ(flags_inside, SS_ONSTACK);
  stack_t now;
  CHECK_OK(sigaltstack(NULL, &now));
  CHECK_EQ(now.ss_sp, alternate);
  CHECK_EQ(now.ss_size, sizeof alternate);
  CHECK_EQ(now.ss_flags, 0);
}

CASE(handler_without_onstack_stays_on_the_normal_stack) {
  use_alternate(0);
  install_handler(SIGUSR1, note_frame, 0);
  raise(SIGUSR1);
  CHECK(!on_alternate(handler_frame));
  CHECK_EQ(flags_inside, 0);
}

static void change_stack(int number, siginfo_t* info, void* context) {
  stack_t stack = {.ss_flags = SS_DISABLE};
  change_result = RAW(SYS_sigaltstack, &stack, 0);
}

CASE(stack_in_use_cannot_be_changed) {
  use_alternate(0);
  install_handler(SIGUSR1, change_stack, SA_ONSTACK);
  raise(SIGUSR1);
  CHECK_EQ(change_result, -EPERM);
}

CASE(alternate_stack_is_disabled_and_checked) {
  stack_t stack = {.ss_sp = alternate, .ss_size = 100}, now;
  CHECK_FAILS(sigaltstack(&stack, NULL), ENOMEM);
  stack.ss_size = sizeof alternate;
  stack.ss_flags = 0x40;
  CHECK_FAILS(sigaltstack(&stack, NULL), EINVAL);
  use_alternate(0);
  stack.ss_flags = SS_DISABLE;
  CHECK_OK(sigaltstack(&stack, &now));
  CHECK_EQ(now.ss_sp, alternate);
  CHECK_OK(sigaltstack(NULL, &now));
  CHECK_EQ(now.ss_flags, SS_DISABLE);
  install_handler(SIGUSR1, note_frame, SA_ONSTACK);
  raise(SIGUSR1);
  CHECK(!on_alternate(handler_frame));
  CHECK_EQ(RAW(SYS_sigaltstack, 8, 0), -EFAULT);
  CHECK_EQ(RAW(SYS_sigaltstack, 0, 8), -EFAULT);
}

CASE(autodisarm_gives_the_stack_free_in_the_handler) {
  use_alternate((int)(1u << 31));
  install_handler(SIGUSR1, note_frame, SA_ONSTACK);
  for (int i = 1; i <= 20; ++i) {
    raise(SIGUSR1);
    CHECK_EQ(handled_count, i);
    CHECK(on_alternate(handler_frame));
    CHECK_EQ(flags_inside & ~(1 << 31), SS_DISABLE);
  }
  stack_t now;
  CHECK_OK(sigaltstack(NULL, &now));
  CHECK_EQ(now.ss_sp, alternate);
}

static void nested_outer(int number, siginfo_t* info, void* context) {
  uintptr_t outer = (uintptr_t)__builtin_frame_address(0);
  raise(SIGUSR2);
  CHECK(on_alternate(handler_frame));
  CHECK(handler_frame < outer);
}

CASE(nested_handlers_share_the_alternate_stack) {
  use_alternate(0);
  install_handler(SIGUSR1, nested_outer, SA_ONSTACK);
  install_handler(SIGUSR2, note_frame, SA_ONSTACK);
  raise(SIGUSR1);
  CHECK_EQ(handled_count, 1);
}

static sigjmp_buf jump;
static void leave_overflow(int number, siginfo_t* info, void* context) {
  CHECK(on_alternate((uintptr_t)__builtin_frame_address(0)));
  ++handled_count;
  siglongjmp(jump, 1);
}

__attribute__((noinline)) static int recurse(int depth) {
  volatile char frame[4096];
  frame[0] = (char)depth;
  if (depth == INT_MAX) return 0;
  return recurse(depth + 1) + frame[0];
}

CASE(stack_overflow_is_handled_on_the_alternate_stack) {
  use_alternate(0);
  install_handler(SIGSEGV, leave_overflow, SA_ONSTACK);
  struct rlimit limit = {1 << 20, RLIM_INFINITY};
  getrlimit(RLIMIT_STACK, &limit);
  limit.rlim_cur = 1 << 20;
  CHECK_OK(setrlimit(RLIMIT_STACK, &limit));
  for (volatile int i = 0; i < 3; ++i) {
    if (sigsetjmp(jump, 1) == 0) recurse(0);
    CHECK_EQ(handled_count, i + 1);
  }
}

CASE(stack_overflow_without_alternate_stack_kills) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    install_handler(SIGSEGV, leave_overflow, 0);
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = 1 << 20;
    CHECK_OK(setrlimit(RLIMIT_STACK, &limit));
    recurse(0);
    _exit(0);
  }
  CHECK_EQ(wait_status_of(child) & 0x7f, SIGSEGV);
}

static void* overflow_in_thread(void* argument) {
  char* stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack_t own = {.ss_sp = stack, .ss_size = 65536};
  CHECK_OK(sigaltstack(&own, NULL));
  stack_t now;
  CHECK_OK(sigaltstack(NULL, &now));
  CHECK_EQ(now.ss_sp, stack);
  install_handler(SIGUSR1, note_frame, SA_ONSTACK);
  raise(SIGUSR1);
  CHECK(handler_frame >= (uintptr_t)stack && handler_frame < (uintptr_t)stack + 65536);
  return NULL;
}

static void* query_alternate(void* argument) {
  stack_t now;
  CHECK_OK(sigaltstack(NULL, &now));
  return (void*)(long)now.ss_flags;
}

CASE(alternate_stacks_are_per_thread) {
  use_alternate(0);
  pthread_t thread;
  void* result;
  CHECK_EQ(pthread_create(&thread, NULL, query_alternate, NULL), 0);
  pthread_join(thread, &result);
  CHECK_EQ(result, SS_DISABLE);
  CHECK_EQ(pthread_create(&thread, NULL, overflow_in_thread, NULL), 0);
  pthread_join(thread, NULL);
  stack_t now;
  CHECK_OK(sigaltstack(NULL, &now));
  CHECK_EQ(now.ss_sp, alternate);
}

CASE(fork_keeps_and_vfork_shares_the_alternate_stack) {
  use_alternate(0);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    install_handler(SIGUSR1, note_frame, SA_ONSTACK);
    raise(SIGUSR1);
    _exit(on_alternate(handler_frame) ? 1 : 2);
  }
  check_exited(child, 1);
}

static ucontext_t main_context, other_context;
static volatile int context_steps;

static void context_body(void) {
  for (int i = 0; i < 5; ++i) {
    ++context_steps;
    CHECK_OK(swapcontext(&other_context, &main_context));
  }
}

CASE(user_contexts_switch) {
  static char stack[65536];
  CHECK_OK(getcontext(&other_context));
  other_context.uc_stack.ss_sp = stack;
  other_context.uc_stack.ss_size = sizeof stack;
  other_context.uc_link = &main_context;
  makecontext(&other_context, context_body, 0);
  for (int i = 1; i <= 5; ++i) {
    CHECK_OK(swapcontext(&main_context, &other_context));
    CHECK_EQ(context_steps, i);
  }
  CHECK_OK(swapcontext(&main_context, &other_context));
}

static void switch_from_handler(int number, siginfo_t* info, void* context) {
  ++handled_count;
  CHECK_OK(setcontext(&main_context));
}

CASE(handler_leaves_by_setcontext) {
  install_handler(SIGUSR1, switch_from_handler, 0);
  volatile int rounds = 0;
  CHECK_OK(getcontext(&main_context));
  if (rounds++ < 100) {
    raise(SIGUSR1);
    FAIL("handler returned");
  }
  CHECK_EQ(handled_count, 100);
  sigset_t mask;
  sigprocmask(SIG_BLOCK, NULL, &mask);
  CHECK_EQ(sigismember(&mask, SIGUSR1), 0);
}

CASE(calls_and_signals_on_a_small_stack) {
  // Coroutines and Go have stacks of a few KiB: a call may need none of it, a signal only its own frame.
  install_handler(SIGUSR1, note_frame, SA_ONSTACK);
  use_alternate(0);
  // All of the tiny stack below the pointer is protected: nothing may be written there by calls.
  char* stack = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK_OK(mprotect(stack, 4096, PROT_NONE));
  long pid = getpid(), result = 0;
  for (int i = 0; i < 200; ++i) {
    __asm__ volatile(
        "mov %%rsp, %%rbx\n\t"
        "lea 4096(%[stack]), %%rsp\n\t"
        "mov $39, %%eax\n\t"
        "syscall\n\t"
        "mov %%rax, %%r12\n\t"
        "mov %%r12, %%rdi\n\t"
        "mov $10, %%esi\n\t"
        "mov $62, %%eax\n\t"
        "syscall\n\t"
        "add %%r12, %%rax\n\t"
        "mov %%rbx, %%rsp"
        : "=&a"(result)
        : [stack] "r"(stack)
        : "rbx", "rcx", "rdi", "rsi", "r11", "r12", "memory", "cc");
    CHECK_EQ(result, pid);
    CHECK_EQ(handled_count, i + 1);
  }
}

CASE(calls_with_an_invalid_stack_pointer) {
  // The kernel does not look at rsp: a call works with any.
  long result;
  for (int i = 0; i < 100; ++i) {
    __asm__ volatile(
        "mov %%rsp, %%rbx\n\t"
        "mov $0x10, %%rsp\n\t"
        "mov $39, %%eax\n\t"
        "syscall\n\t"
        "mov %%rbx, %%rsp"
        : "=&a"(result)
        :
        : "rbx", "rcx", "r11", "memory", "cc");
    CHECK_EQ(result, getpid());
  }
}

static void never(int number) { _exit(42); }

static void fill_alternate_and_signal(int number) {
  uintptr_t left = (uintptr_t)__builtin_frame_address(0) - (uintptr_t)alternate;
  volatile char* filler = __builtin_alloca(left - 600);
  filler[0] = 1;
  RAW(SYS_kill, RAW(SYS_getpid), SIGUSR2);
  _exit(filler[0]);
}

static void overflow_alternate_stack(void* argument) {
  use_alternate(0);
  struct sigaction action = {.sa_handler = fill_alternate_and_signal, .sa_flags = SA_ONSTACK};
  CHECK_OK(sigaction(SIGUSR1, &action, NULL));
  action.sa_handler = never;
  CHECK_OK(sigaction(SIGUSR2, &action, NULL));
  raise(SIGUSR1);
}

// What lies below it stays as it is: the memory there is writable.
CASE(alternate_stack_without_room_for_a_frame_kills) {
  check_killed_by(start_child(overflow_alternate_stack, NULL), SIGSEGV);
}
