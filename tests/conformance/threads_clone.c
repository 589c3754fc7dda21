// Threads made by raw clone and clone3 without help of libc, tid bookkeeping of the kernel, scheduling calls.
#include "case.h"

#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdatomic.h>

int clone(int (*body)(void*), void* stack, int flags, void* argument, ...);

enum { kStackSize = 256 * 1024 };
enum { kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM };

static char* new_stack(void) {
  char* stack = mmap(NULL, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  CHECK(stack != MAP_FAILED);
  return stack;
}

static void wait_cleared(atomic_int* tid) {
  for (;;) {
    int seen = *tid;
    if (seen == 0) return;
    RAW(SYS_futex, tid, FUTEX_WAIT, seen, 0, 0, 0);
  }
}

// The body of raw threads may not use libc: it shares the creator's thread pointer unless it sets one.
static long raw_thread(unsigned long flags, char* stack, int* parent_tid, atomic_int* child_tid, void* tls,
                       void (*body)(void*), void* argument) {
  void** top = (void**)(stack + kStackSize);
  *--top = argument;
  *--top = (void*)body;
  long result;
  register atomic_int* r10 __asm__("r10") = child_tid;
  register void* r8 __asm__("r8") = tls;
  __asm__ volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "pop %%rax\n\t"
      "pop %%rdi\n\t"
      "call *%%rax\n\t"
      "mov $60, %%eax\n\t"
      "xor %%edi, %%edi\n\t"
      "syscall\n\t"
      "ud2\n"
      "1:"
      : "=a"(result)
      : "a"(SYS_clone), "D"(flags), "S"(top), "d"(parent_tid), "r"(r10), "r"(r8)
      : "rcx", "r11", "memory", "cc");
  return result;
}

static atomic_int child_tid, seen_tid, seen_pid, body_ran;
static int parent_tid;

static void note_ids(void* argument) {
  seen_tid = (int)RAW(SYS_gettid);
  seen_pid = (int)RAW(SYS_getpid);
  body_ran = (int)(long)argument;
}

CASE(raw_clone_thread_sets_and_clears_tid) {
  child_tid = -1;
  unsigned long flags = kThreadFlags | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
  long tid = raw_thread(flags, new_stack(), &parent_tid, &child_tid, NULL, note_ids, (void*)5);
  CHECK(tid > 0);
  CHECK_EQ(parent_tid, tid);
  wait_cleared(&child_tid);
  CHECK_EQ(seen_tid, tid);
  CHECK_EQ(seen_pid, getpid());
  CHECK_EQ(body_ran, 5);
}

CASE(many_raw_clone_threads_in_turn) {
  char* stack = new_stack();
  for (long i = 1; i <= 500; ++i) {
    child_tid = 1;
    long tid = raw_thread(kThreadFlags | CLONE_CHILD_CLEARTID, stack, NULL, &child_tid, NULL, note_ids, (void*)i);
    CHECK(tid > 0);
    wait_cleared(&child_tid);
    CHECK_EQ(body_ran, i);
  }
}

static void read_thread_pointer(void* argument) {
  long value;
  __asm__ volatile("mov %%fs:8, %0" : "=r"(value));
  *(volatile long*)argument = value;
}

CASE(raw_clone_thread_gets_its_thread_pointer) {
  static long block[16] __attribute__((aligned(64)));
  static volatile long seen;
  block[1] = 0x1234567;
  child_tid = 1;
  unsigned long flags = kThreadFlags | CLONE_SETTLS | CLONE_CHILD_CLEARTID;
  CHECK(raw_thread(flags, new_stack(), NULL, &child_tid, block, read_thread_pointer, (void*)&seen) > 0);
  wait_cleared(&child_tid);
  CHECK_EQ(seen, 0x1234567);
}

static int glibc_clone_body(void* argument) {
  note_ids(argument);
  return 0;
}

CASE(libc_clone_thread) {
  child_tid = 1;
  int tid = CHECK_OK(clone(glibc_clone_body, new_stack() + kStackSize, kThreadFlags | CLONE_CHILD_CLEARTID, (void*)3,
                           NULL, NULL, &child_tid));
  wait_cleared(&child_tid);
  CHECK_EQ(seen_tid, tid);
  CHECK_EQ(body_ran, 3);
}

// clone3 gives the stack as base and size; the child starts with the same registers.
static long raw_clone3(struct clone_args* arguments, void (*body)(void*), void* argument) {
  long result;
  register void (*r12)(void*) __asm__("r12") = body;
  register void* r13 __asm__("r13") = argument;
  __asm__ volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "mov %%r13, %%rdi\n\t"
      "and $-16, %%rsp\n\t"
      "call *%%r12\n\t"
      "mov $60, %%eax\n\t"
      "mov $9, %%edi\n\t"
      "syscall\n\t"
      "ud2\n"
      "1:"
      : "=a"(result)
      : "a"(SYS_clone3), "D"(arguments), "S"(sizeof *arguments), "r"(r12), "r"(r13)
      : "rcx", "r11", "rdx", "memory", "cc");
  return result;
}

CASE(clone3_thread_form) {
  struct clone_args arguments = {.flags = kThreadFlags | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID,
                                 .stack = (uintptr_t)new_stack(),
                                 .stack_size = kStackSize,
                                 .child_tid = (uintptr_t)&child_tid,
                                 .parent_tid = (uintptr_t)&parent_tid};
  child_tid = 1;
  long tid = raw_clone3(&arguments, note_ids, (void*)8);
  if (tid == -ENOSYS) SKIP("no clone3 in this kernel");
  CHECK(tid > 0);
  CHECK_EQ(parent_tid, tid);
  wait_cleared(&child_tid);
  CHECK_EQ(seen_tid, tid);
  CHECK_EQ(body_ran, 8);
}

CASE(clone3_process_form_on_copied_stack) {
  int pidfd = -1;
  struct clone_args arguments = {.flags = CLONE_PIDFD, .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD};
  long child = RAW(SYS_clone3, &arguments, sizeof arguments);
  if (child == -ENOSYS) SKIP("no clone3 in this kernel");
  if (child == 0) RAW(SYS_exit_group, RAW(SYS_getpid) == RAW(SYS_gettid) ? 17 : 1);
  CHECK(child > 0);
  CHECK(pidfd >= 0);
  siginfo_t info;
  CHECK_OK(waitid((idtype_t)3 /* P_PIDFD */, (id_t)pidfd, &info, WEXITED));
  CHECK_EQ(info.si_pid, child);
  CHECK_EQ(info.si_status, 17);
}

CASE(clone3_process_form_with_own_stack) {
  struct clone_args arguments = {
      .exit_signal = SIGCHLD, .stack = (uintptr_t)new_stack(), .stack_size = kStackSize, .flags = 0};
  long child = raw_clone3(&arguments, note_ids, (void*)8);
  CHECK(child > 0);
  check_exited((pid_t)child, 9);
  CHECK_EQ(body_ran, 0);
}

CASE(clone3_shared_memory_process) {
  struct clone_args arguments = {
      .exit_signal = SIGCHLD, .stack = (uintptr_t)new_stack(), .stack_size = kStackSize, .flags = CLONE_VM};
  long child = raw_clone3(&arguments, note_ids, (void*)8);
  CHECK(child > 0);
  check_exited((pid_t)child, 9);
  CHECK_EQ(body_ran, 8);
  CHECK_EQ(seen_pid, child);
}

CASE(clone3_refuses_bad_arguments) {
  struct clone_args arguments = {.flags = CLONE_THREAD};
  CHECK_EQ(RAW(SYS_clone3, &arguments, sizeof arguments), -EINVAL);
  CHECK_EQ(RAW(SYS_clone3, &arguments, 8), -EINVAL);
  CHECK_EQ(RAW(SYS_clone3, 8, sizeof arguments), -EFAULT);
  arguments = (struct clone_args){.exit_signal = 1000};
  CHECK_EQ(RAW(SYS_clone3, &arguments, sizeof arguments), -EINVAL);
  arguments = (struct clone_args){.exit_signal = SIGCHLD, .stack_size = 4096};
  CHECK_EQ(RAW(SYS_clone3, &arguments, sizeof arguments), -EINVAL);
  arguments = (struct clone_args){.exit_signal = SIGCHLD, .flags = 1ull << 60};
  CHECK_EQ(RAW(SYS_clone3, &arguments, sizeof arguments), -EINVAL);
  CHECK_EQ(RAW(SYS_clone3, &arguments, 5000), -E2BIG);
}

static void note_signal(int number, siginfo_t* info, void* context) { body_ran = number; }

CASE(clone3_clear_sighand_resets_handlers) {
  install_handler(SIGUSR1, note_signal, 0);
  struct clone_args arguments = {.flags = 0x100000000ull /* CLONE_CLEAR_SIGHAND */, .exit_signal = SIGCHLD};
  long child = RAW(SYS_clone3, &arguments, sizeof arguments);
  if (child == 0) {
    struct sigaction action;
    sigaction(SIGUSR1, NULL, &action);
    RAW(SYS_exit_group, action.sa_handler == SIG_DFL ? 4 : 5);
  }
  CHECK(child > 0);
  check_exited((pid_t)child, 4);
}

CASE(clone_refuses_impossible_flags) {
  CHECK_EQ(RAW(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), -EINVAL);
  CHECK_EQ(RAW(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), -EINVAL);
  CHECK_EQ(RAW(SYS_clone, CLONE_NEWNS | CLONE_FS, 0, 0, 0, 0), -EINVAL);
}

CASE(set_tid_address_returns_tid_and_is_used) {
  atomic_int* shared = shared_page();
  shared[0] = 77;
  CHECK_EQ(RAW(SYS_set_tid_address, &shared[1]), case_gettid());
  // The kernel clears only in memory that outlives the thread: a child sharing our memory.
  struct clone_args arguments = {.exit_signal = SIGCHLD,
                                 .stack = (uintptr_t)new_stack(),
                                 .stack_size = kStackSize,
                                 .flags = CLONE_VM,
                                 .child_tid = (uintptr_t)shared};
  arguments.flags |= CLONE_CHILD_CLEARTID;
  long child = raw_clone3(&arguments, note_ids, NULL);
  CHECK(child > 0);
  check_exited((pid_t)child, 9);
  CHECK_EQ(shared[0], 0);
}

static void spin_until_told(void* argument) {
  body_ran = 1;
  while (*(atomic_int*)argument == 0) RAW(SYS_sched_yield);
}

CASE(tgkill_and_tkill_check_their_targets) {
  static atomic_int go;
  child_tid = 1;
  long tid = raw_thread(kThreadFlags | CLONE_CHILD_CLEARTID, new_stack(), NULL, &child_tid, NULL, spin_until_told, &go);
  WAIT_UNTIL(body_ran);
  CHECK_EQ(RAW(SYS_tgkill, getpid(), tid, 0), 0);
  CHECK_EQ(RAW(SYS_tkill, tid, 0), 0);
  CHECK_EQ(RAW(SYS_tgkill, getppid(), tid, 0), -ESRCH);
  CHECK_EQ(RAW(SYS_tgkill, getpid(), tid, 99), -EINVAL);
  CHECK_EQ(RAW(SYS_tgkill, 0, tid, 0), -EINVAL);
  CHECK_EQ(RAW(SYS_tgkill, -1, -1, 0), -EINVAL);
  go = 1;
  wait_cleared(&child_tid);
  // The tid vanishes shortly after the word is cleared.
  WAIT_UNTIL(RAW(SYS_tgkill, getpid(), tid, 0) == -ESRCH);
}

CASE(task_directory_lists_threads) {
  static atomic_int go;
  child_tid = 1;
  long tid = raw_thread(kThreadFlags | CLONE_CHILD_CLEARTID, new_stack(), NULL, &child_tid, NULL, spin_until_told, &go);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%ld/status", tid);
  char* status = read_file(path, NULL);
  char wanted[64];
  snprintf(wanted, sizeof wanted, "\nTgid:\t%d\n", getpid());
  CHECK(strstr(status, wanted) != NULL);
  struct stat directory;
  CHECK_OK(stat("/proc/self/task", &directory));
  CHECK_EQ(directory.st_nlink, 2 + 2);
  go = 1;
  wait_cleared(&child_tid);
}

CASE(rseq_area_of_libc_is_live) {
#ifdef __GLIBC__
  extern const ptrdiff_t __rseq_offset __attribute__((weak));
  extern const unsigned __rseq_size __attribute__((weak));
  if (&__rseq_size == NULL || __rseq_size == 0) SKIP("libc did not register rseq");
  struct {
    uint32_t cpu_id_start, cpu_id;
  }* area = (void*)((char*)__builtin_thread_pointer() + __rseq_offset);
  CHECK(area->cpu_id < 4096);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  CHECK_OK(sched_setaffinity(0, sizeof one, &one));
  CHECK(CPU_ISSET(*(volatile uint32_t*)&area->cpu_id, &one));
#else
  SKIP("this libc does not register rseq");
#endif
}

CASE(rseq_registration_reports_misuse) {
  static struct { uint32_t words[8]; } area __attribute__((aligned(32)));
  CHECK_EQ(RAW(SYS_rseq, 1, 32, 0, 0), -EINVAL);
#ifdef __GLIBC__
  // glibc holds the registration already: a second one with another address is refused.
  CHECK_EQ(RAW(SYS_rseq, &area, 32, 0, 0x53053053), -EINVAL);
#else
  CHECK_EQ(RAW(SYS_rseq, &area, 32, 0, 0x53053053), 0);
  CHECK_EQ(RAW(SYS_rseq, &area, 32, 0, 0x53053053), -EBUSY);
  CHECK_EQ(RAW(SYS_rseq, &area, 32, 1 /* unregister */, 0x53053053), 0);
#endif
}

CASE(affinity_is_set_and_read) {
  cpu_set_t before, one, after;
  CHECK_OK(sched_getaffinity(0, sizeof before, &before));
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  CHECK_OK(sched_setaffinity(0, sizeof one, &one));
  CHECK_OK(sched_getaffinity(0, sizeof after, &after));
  CHECK(CPU_EQUAL(&one, &after));
  CHECK_EQ(sched_getcpu(), first);
  unsigned cpu = 99;
  CHECK_EQ(RAW(SYS_getcpu, &cpu, 0, 0), 0);
  CHECK_EQ(cpu, first);
  CPU_ZERO(&one);
  CHECK_FAILS(sched_setaffinity(0, sizeof one, &one), EINVAL);
  CHECK_FAILS(sched_getaffinity(999999999, sizeof one, &one), ESRCH);
}

CASE(scheduling_policies) {
  struct sched_param parameter = {0};
  CHECK_EQ(RAW(SYS_sched_getscheduler, 0), SCHED_OTHER);
  CHECK_EQ(RAW(SYS_sched_setscheduler, 0, SCHED_BATCH, &parameter), 0);
  CHECK_EQ(RAW(SYS_sched_getscheduler, 0), SCHED_BATCH);
  parameter.sched_priority = 500;
  CHECK_EQ(RAW(SYS_sched_setscheduler, 0, SCHED_FIFO, &parameter), -EINVAL);
  CHECK_EQ(RAW(SYS_sched_get_priority_max, SCHED_FIFO), 99);
  CHECK_EQ(RAW(SYS_sched_get_priority_min, SCHED_FIFO), 1);
  CHECK_EQ(RAW(SYS_sched_get_priority_max, 77), -EINVAL);
  struct timespec interval;
  CHECK_EQ(RAW(SYS_sched_rr_get_interval, 0, &interval), 0);
  CHECK_EQ(RAW(SYS_sched_getparam, 0, &parameter), 0);
  CHECK_EQ(parameter.sched_priority, 0);
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes = {0};
  CHECK_EQ(RAW(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0), 0);
  CHECK_EQ(attributes.policy, SCHED_BATCH);
  attributes.nice = 7;
  attributes.size = sizeof attributes;
  CHECK_EQ(RAW(SYS_sched_setattr, 0, &attributes, 0), 0);
  CHECK_EQ(nice(0), 7);
}

CASE(membarrier_commands) {
  long commands = RAW(SYS_membarrier, 0 /* QUERY */, 0, 0);
  CHECK(commands >= 0);
  CHECK_EQ(RAW(SYS_membarrier, 1 << 3 /* PRIVATE_EXPEDITED */, 1 << 30, 0), -EINVAL);
  CHECK_EQ(RAW(SYS_membarrier, 1 << 4 /* REGISTER_PRIVATE_EXPEDITED */, 0, 0), 0);
  CHECK_EQ(RAW(SYS_membarrier, 1 << 3, 0, 0), 0);
}
