// Randomised stress of interception: eight threads write, call, rewrite and unmap code that makes system calls, call
// sites that all threads share from their first use on, fork, vfork, start threads and block, while each is interrupted
// by its own timer 10,000 times a second.
//
// Across every call all general registers, flags, vector registers (xmm or ymm, or zmm with mask registers) and the red
// zone are checked; results prove that a call was answered by the right side: readlink of /proc/self/exe must name this
// program, which a call that escaped the runtime does not.
//
//   stress [--seconds N] [--seed N] [--threads N]
//          [--tick-ns N (0: no signals)] [--actions fresh,shared,move,fork,vfork,thread,block]   to narrow a failure
//          down
//
// Prints the seed first. Exit 0: all well; 1: a wrong value (printed); 2: a thread made no progress (printed).
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum {
  kMaxThreads = 64,
  kPage = 4096,
  kShared = 256,
  kSharedStride = 64,
  kSharedPrefix = 40,
  kHangSeconds = 30,
  kTicksPerSecond = 10,
  kZmmBytes = 64 * 32
};

struct registers {
  uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, flags, target, red_zone;
};

struct vectors {
  unsigned char bytes[kZmmBytes];
  uint64_t masks[8];
} __attribute__((aligned(64)));

enum vector_kind { kSse, kAvx, kAvx512 };
static enum vector_kind vector_kind;

struct worker {
  pthread_t thread;
  int index;
  uint64_t random;
  atomic_ulong progress, calls, signals;
  _Atomic(const char*) action;
  const unsigned char* site;  // being called, for the report
  atomic_bool done;
};

static struct worker workers[kMaxThreads];
static int worker_count = 8;
static atomic_bool stop;
static char own_path[4096];
static unsigned char* shared_code;
static __thread struct worker* self;

_Noreturn static void fail(const char* what, long actual, long expected) {
  char line[512], code[64] = "";
  if (self != NULL && self->site != NULL) {
    for (int i = 0, used = 0; i < 12; ++i) used += snprintf(code + used, 4, " %02x", self->site[i]);
  }
  int size = snprintf(line, sizeof line, "stress: FAIL %s: 0x%lx, expected 0x%lx (thread %d, %s, pid %d, site %p:%s)\n",
                      what, (unsigned long)actual, (unsigned long)expected, self != NULL ? self->index : -1,
                      self != NULL ? self->action : "?", getpid(), self != NULL ? self->site : NULL, code);
  if (write(2, line, (size_t)size) < 0) _exit(3);
  _exit(1);
}

static uint64_t next_random(void) {
  uint64_t x = self->random;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return self->random = x;
}

static unsigned pick(unsigned count) { return (unsigned)(next_random() >> 20) % count; }

// Loads all general registers and flags from `in`, writes the red zone, calls in->target, stores everything to `out`.
// The target makes one system call and returns; it may not use the stack.
void call_target(const struct registers* in, struct registers* out);
__asm__(
    ".text\n.globl call_target\n.type call_target,@function\n"
    "call_target:\n"
    "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n push %rsi\n"
    "push 128(%rdi)\n push 120(%rdi)\n popfq\n"
    // The target runs with its return address on the stack; its red zone is below that.
    "mov 136(%rdi), %rax\n mov %rax, -16(%rsp)\n mov %rax, -64(%rsp)\n mov %rax, -128(%rsp)\n"
    "mov (%rdi), %rax\n mov 8(%rdi), %rbx\n mov 24(%rdi), %rdx\n mov 32(%rdi), %rsi\n mov 48(%rdi), %rbp\n"
    "mov 56(%rdi), %r8\n mov 64(%rdi), %r9\n mov 72(%rdi), %r10\n mov 80(%rdi), %r11\n mov 88(%rdi), %r12\n"
    "mov 96(%rdi), %r13\n mov 104(%rdi), %r14\n mov 112(%rdi), %r15\n mov 16(%rdi), %rcx\n mov 40(%rdi), %rdi\n"
    "call *(%rsp)\n"
    "mov %rdi, (%rsp)\n mov 8(%rsp), %rdi\n"
    "mov %rax, (%rdi)\n mov %rbx, 8(%rdi)\n mov %rcx, 16(%rdi)\n mov %rdx, 24(%rdi)\n mov %rsi, 32(%rdi)\n"
    "mov %rbp, 48(%rdi)\n mov %r8, 56(%rdi)\n mov %r9, 64(%rdi)\n mov %r10, 72(%rdi)\n mov %r11, 80(%rdi)\n"
    "mov %r12, 88(%rdi)\n mov %r13, 96(%rdi)\n mov %r14, 104(%rdi)\n mov %r15, 112(%rdi)\n"
    "mov (%rsp), %rax\n mov %rax, 40(%rdi)\n"
    // The words that the call may not have changed, combined without changing flags before they are stored.
    "mov -16(%rsp), %rax\n mov %rax, 128(%rdi)\n mov -64(%rsp), %rcx\n mov -128(%rsp), %rdx\n"
    "pushfq\n pop %r8\n mov %r8, 120(%rdi)\n cld\n"
    "cmp %rax, %rcx\n jne 1f\n cmp %rax, %rdx\n je 2f\n1: notq 128(%rdi)\n2:\n"
    "mov 128(%rdi), %rax\n mov %rax, 136(%rdi)\n"
    "pop %rdi\n pop %rsi\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"
    ".size call_target, . - call_target\n");

// The vector registers are loaded right before and stored right after call_target, which does not touch them.
#define EACH16(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15)
#define EACH_HIGH(M) M(16) M(17) M(18) M(19) M(20) M(21) M(22) M(23) M(24) M(25) M(26) M(27) M(28) M(29) M(30) M(31)
#define LOAD_XMM(n) "movdqu " #n "*64(%%rbx), %%xmm" #n "\n\t"
#define STORE_XMM(n) "movdqu %%xmm" #n ", " #n "*64(%%r12)\n\t"
#define LOAD_YMM(n) "vmovdqu " #n "*64(%%rbx), %%ymm" #n "\n\t"
#define STORE_YMM(n) "vmovdqu %%ymm" #n ", " #n "*64(%%r12)\n\t"
#define LOAD_ZMM(n) "vmovdqu64 " #n "*64(%%rbx), %%zmm" #n "\n\t"
#define STORE_ZMM(n) "vmovdqu64 %%zmm" #n ", " #n "*64(%%r12)\n\t"
#define EACH_MASK(M) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
#define LOAD_MASK(n) "kmovw 2048+" #n "*8(%%rbx), %%k" #n "\n\t"
#define STORE_MASK(n) "kmovw %%k" #n ", 2048+" #n "*8(%%r12)\n\t"
#define VECTOR_CLOBBERS                                                                                                \
  "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", \
      "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

#define DEFINE_CALL(name, load, store, target_attribute)                                                         \
  target_attribute __attribute__((noinline)) static void name(const struct registers* in, struct registers* out, \
                                                              const struct vectors* from, struct vectors* to) {  \
    register const struct vectors* rbx __asm__("rbx") = from;                                                    \
    register struct vectors* r12 __asm__("r12") = to;                                                            \
    register const struct registers* r13 __asm__("r13") = in;                                                    \
    register struct registers* r14 __asm__("r14") = out;                                                         \
    __asm__ volatile("mov %%rsp, %%r15\n\t sub $256, %%rsp\n\t and $-16, %%rsp\n\t" load                         \
                     "mov %%r13, %%rdi\n\t mov %%r14, %%rsi\n\t call call_target\n\t" store "mov %%r15, %%rsp"   \
                     : "+r"(rbx), "+r"(r12), "+r"(r13), "+r"(r14)                                                \
                     :                                                                                           \
                     : "r15", VECTOR_CLOBBERS);                                                                  \
  }

DEFINE_CALL(call_sse, EACH16(LOAD_XMM), EACH16(STORE_XMM), )
DEFINE_CALL(call_avx, EACH16(LOAD_YMM), EACH16(STORE_YMM) "vzeroupper\n\t", __attribute__((target("avx"))))
DEFINE_CALL(call_avx512, EACH16(LOAD_ZMM) EACH_HIGH(LOAD_ZMM) EACH_MASK(LOAD_MASK),
            EACH16(STORE_ZMM) EACH_HIGH(STORE_ZMM) EACH_MASK(STORE_MASK) "vzeroupper\n\t",
            __attribute__((target("avx512f"))))

static enum vector_kind find_vector_kind(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX)) return kSse;
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 16) && (low & 0xe6) == 0xe6) return kAvx512;
  return (low & 6) == 6 ? kAvx : kSse;
}

static void check_vectors(const struct vectors* in, const struct vectors* out) {
  static const int sizes[] = {16, 32, 64};
  int count = vector_kind == kAvx512 ? 32 : 16;
  for (int i = 0; i < count; ++i) {
    if (memcmp(in->bytes + 64 * i, out->bytes + 64 * i, (size_t)sizes[vector_kind]) != 0) fail("vector register", i, 0);
  }
  for (int i = 1; vector_kind == kAvx512 && i < 8; ++i) {
    if ((uint16_t)in->masks[i] != (uint16_t)out->masks[i])
      fail("mask register", (long)out->masks[i], (long)in->masks[i]);
  }
}

// How a call site may look like. `number_at` is where the number goes (-1: in rax), `end` where the instruction ends.
struct form {
  unsigned char bytes[16];
  int size, number_at, end;
};

static const struct form forms[] = {
    {{0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0xc3}, 8, 1, 7},               // mov $n,%eax; syscall; ret
    {{0x48, 0xc7, 0xc0, 0, 0, 0, 0, 0x0f, 0x05, 0xc3}, 10, 3, 9},  // mov $n,%rax; syscall; ret
    {{0x0f, 0x05, 0xc3}, 3, -1, 2},                                // syscall; ret
    {{0x90, 0x90, 0x90, 0x90, 0x0f, 0x05, 0x90, 0x90, 0x90, 0xc3}, 10, -1, 6},
    {{0x0f, 0x05, 0xeb, 0x00, 0xc3}, 5, -1, 2},                          // syscall; jmp next; ret
    {{0x48, 0x89, 0xc0, 0x0f, 0x05, 0x48, 0x89, 0xc0, 0xc3}, 9, -1, 5},  // mov %rax,%rax on both sides
    {{0xb8, 0, 0, 0, 0, 0x90, 0x0f, 0x05, 0x90, 0xc3}, 10, 1, 8},
};
enum { kFormCount = sizeof forms / sizeof forms[0] };

static void write_site(unsigned char* at, int form, int number) {
  memcpy(at, forms[form].bytes, (size_t)forms[form].size);
  if (forms[form].number_at >= 0) memcpy(at + forms[form].number_at, &number, 4);
}

static const struct {
  int number;
  long expected;  // INT32_MIN + n: computed, see expected_result
} quick_calls[] = {{SYS_getpid, INT32_MIN},
                   {SYS_gettid, INT32_MIN + 1},
                   {SYS_getppid, INT32_MIN + 2},
                   {SYS_close, -EBADF},
                   {999, -ENOSYS},
                   {SYS_getuid, 0},
                   {SYS_sched_yield, 0}};
enum { kQuickCount = sizeof quick_calls / sizeof quick_calls[0] };

static long raw_call(long number) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "0"(number) : "rcx", "r11", "memory");
  return result;
}

static long expected_result(unsigned which) {
  static const int numbers[] = {SYS_getpid, SYS_gettid, SYS_getppid};
  static __thread long known[3];
  static __thread long known_pid;
  long kind = quick_calls[which].expected - INT32_MIN;
  if (kind < 0 || kind > 2) return which == 5 ? (long)getuid() : quick_calls[which].expected;
  // In a forked child the values are others.
  long pid = getpid();
  if (pid != known_pid) {
    known_pid = pid;
    for (int i = 0; i < 3; ++i) known[i] = raw_call(numbers[i]);
    if (known[0] != pid) fail("pid", known[0], pid);
  }
  return known[kind];
}

// Calls the site with random registers and checks all that may not change.
static void call_site(const unsigned char* site, int form, unsigned which) {
  static const uint64_t flag_bits[] = {1, 4, 0x10, 0x40, 0x80, 0x400, 0x800};
  struct registers in, out;
  static __thread struct vectors vectors_in, vectors_out;
  for (size_t i = 0; i < sizeof in / 8; ++i) ((uint64_t*)&in)[i] = next_random();
  for (size_t i = 0; i < sizeof vectors_in.bytes / 8; ++i) ((uint64_t*)vectors_in.bytes)[i] = next_random();
  for (int i = 0; i < 8; ++i) vectors_in.masks[i] = next_random() & 0xffff;
  in.flags = 0x202;
  for (int i = 0; i < 7; ++i) in.flags |= next_random() & 0x10000 ? flag_bits[i] : 0;
  in.target = (uintptr_t)site;
  self->site = site;
  char link[4096];
  bool proof = pick(32) == 0 && forms[form].number_at < 0;
  long expected;
  if (proof) {
    in.rax = SYS_readlink;
    in.rdi = (uintptr_t) "/proc/self/exe";
    in.rsi = (uintptr_t)link;
    in.rdx = sizeof link - 1;
    expected = (long)strlen(own_path);
  } else {
    expected = expected_result(which);
    in.rax = (uint64_t)quick_calls[which].number;
    if (quick_calls[which].number == SYS_close) in.rdi = (uint64_t)-1;
  }
  if (vector_kind == kAvx512) call_avx512(&in, &out, &vectors_in, &vectors_out);
  if (vector_kind == kAvx) call_avx(&in, &out, &vectors_in, &vectors_out);
  if (vector_kind == kSse) call_sse(&in, &out, &vectors_in, &vectors_out);
  if ((long)out.rax != expected) fail(proof ? "length of own path" : "result", (long)out.rax, expected);
  if (proof && memcmp(link, own_path, (size_t)expected) != 0) fail("call was not intercepted", 0, 0);
  in.rax = out.rax;
  in.rcx = (uintptr_t)(site + forms[form].end);
  in.r11 = in.flags;
  out.target = in.target;
  static const char* const names[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp",   "r8",     "r9",
                                      "r10", "r11", "r12", "r13", "r14", "r15", "flags", "target", "red zone"};
  for (size_t i = 0; i < sizeof in / 8; ++i) {
    if (((uint64_t*)&in)[i] != ((uint64_t*)&out)[i])
      fail(names[i], (long)((uint64_t*)&out)[i], (long)((uint64_t*)&in)[i]);
  }
  check_vectors(&vectors_in, &vectors_out);
  ++self->calls;
}

static unsigned char* map_pages(size_t count, int protection) {
  unsigned char* at = mmap(NULL, count * kPage, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) fail("mmap", errno, 0);
  return at;
}

static void check_zero(const char* what, long result) {
  if (result != 0) fail(what, errno, 0);
}

// Fresh code at a random place in two pages, also across their border; called, rewritten, moved, unmapped.
static void use_fresh_code(void) {
  self->action = "fresh code";
  unsigned char* at = map_pages(2, PROT_READ | PROT_WRITE | PROT_EXEC);
  unsigned rounds = 1 + pick(6);
  for (unsigned round = 0; round < rounds; ++round) {
    unsigned offset = pick(3) == 0 ? kPage - pick(12) : pick(2 * kPage - 16);
    int form = (int)pick(kFormCount);
    unsigned which = pick(kQuickCount);
    write_site(at + offset, form, quick_calls[which].number);
    bool sealed = pick(2) == 0;
    if (sealed) check_zero("mprotect", mprotect(at, 2 * kPage, PROT_READ | PROT_EXEC));
    for (unsigned i = 1 + pick(12); i > 0; --i) call_site(at + offset, form, which);
    if (sealed) check_zero("mprotect", mprotect(at, 2 * kPage, PROT_READ | PROT_WRITE | PROT_EXEC));
  }
  check_zero("munmap", munmap(at, 2 * kPage));
}

// Shared sites, called by all threads from the moment they exist: several may trap on one at the same time. Every other
// one has a run of ordinary instructions before it, as real code has; the others stand right behind padding.
static const unsigned char* shared_site(unsigned slot) {
  return shared_code + slot * kSharedStride + (slot % 2 == 0 ? kSharedPrefix : 0);
}
static int shared_form(unsigned slot) { return (int)(slot / 2 % kFormCount); }
static unsigned shared_call(unsigned slot) { return slot / 2 / kFormCount % kQuickCount; }

static void make_shared_code(void) {
  shared_code = map_pages(kShared * kSharedStride / kPage, PROT_READ | PROT_WRITE | PROT_EXEC);
  for (unsigned slot = 0; slot < kShared; ++slot) {
    if (slot % 2 == 0) memset(shared_code + slot * kSharedStride, 0x90, kSharedPrefix);
    write_site((unsigned char*)shared_site(slot), shared_form(slot), quick_calls[shared_call(slot)].number);
  }
}

static void use_shared_code(void) {
  self->action = "shared code";
  for (int i = 0; i < 30; ++i) {
    unsigned slot = pick(kShared);
    call_site(shared_site(slot), shared_form(slot), shared_call(slot));
  }
}

static void wait_for(pid_t child, int expected) {
  int status;
  pid_t found;
  do {
    found = waitpid(child, &status, 0);
  } while (found == -1 && errno == EINTR);
  if (found != child) fail("waitpid", errno, child);
  if (status != expected << 8) fail("status of child", status, expected << 8);
}

static void use_fork(void) {
  self->action = "fork";
  pid_t child = fork();
  if (child < 0) fail("fork", errno, 0);
  if (child == 0) {
    self->action = "child of fork";
    use_shared_code();
    use_fresh_code();
    if (pick(4) == 0) execl(own_path, own_path, "--exit", "7", NULL);
    _exit(7);
  }
  self->action = "wait for child";
  wait_for(child, 7);
}

static void use_vfork(void) {
  self->action = "vfork";
  volatile int value = 0;
  pid_t child = vfork();
  if (child == 0) {
    value = 5;
    _exit((int)raw_call(SYS_getpid) > 0 ? 7 : 8);
  }
  if (child < 0) fail("vfork", errno, 0);
  if (value != 5) fail("memory written by vfork child", value, 5);
  wait_for(child, 7);
}

static void* thread_body(void* worker) {
  struct worker copy = {.random = (uintptr_t)worker | 0x9e3779b97f4a7c15ull, .index = 100, .action = "short thread"};
  self = &copy;
  use_shared_code();
  return (void*)77;
}

static void use_thread(void) {
  self->action = "start thread";
  pthread_t thread;
  void* result;
  if (pthread_create(&thread, NULL, thread_body, (void*)(next_random() | 1)) != 0) fail("pthread_create", errno, 0);
  pthread_join(thread, &result);
  if (result != (void*)77) fail("result of thread", (long)result, 77);
}

static void use_blocking_calls(void) {
  self->action = "blocking calls";
  int ends[2];
  check_zero("pipe", pipe(ends));
  pid_t child = fork();
  if (child == 0) {
    for (char i = 0; i < 20; ++i) {
      if (pick(3) == 0) usleep(200);
      if (write(ends[1], &i, 1) != 1) _exit(9);
    }
    _exit(7);
  }
  for (char i = 0; i < 20; ++i) {
    char byte = -1;
    long size = read(ends[0], &byte, 1);
    if (size != 1) fail("interrupted read", errno, 1);
    if (byte != i) fail("byte read", byte, i);
  }
  close(ends[0]);
  close(ends[1]);
  wait_for(child, 7);
}

static void use_moving_memory(void) {
  self->action = "moving code";
  unsigned char* at = map_pages(1, PROT_READ | PROT_WRITE | PROT_EXEC);
  int form = (int)pick(kFormCount);
  unsigned which = pick(kQuickCount);
  unsigned offset = pick(kPage - 16);
  write_site(at + offset, form, quick_calls[which].number);
  unsigned char* to = map_pages(1, PROT_NONE);
  if (mremap(at, kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to) fail("mremap", errno, 0);
  for (int i = 0; i < 8; ++i) call_site(to + offset, form, which);
  // The same place gets other code through a new mapping.
  if (mmap(to, kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != to) {
    fail("mmap fixed", errno, 0);
  }
  form = (int)pick(kFormCount);
  which = pick(kQuickCount);
  write_site(to + offset, form, quick_calls[which].number);
  for (int i = 0; i < 8; ++i) call_site(to + offset, form, which);
  check_zero("munmap", munmap(to, kPage));
}

static const struct {
  const char* name;
  void (*run)(void);
  unsigned weight;
} actions[] = {{"fresh", use_fresh_code, 40},   {"shared", use_shared_code, 30}, {"move", use_moving_memory, 12},
               {"fork", use_fork, 4},           {"vfork", use_vfork, 4},         {"thread", use_thread, 6},
               {"block", use_blocking_calls, 4}};

static const char* chosen_actions = "fresh,shared,move,fork,vfork,thread,block";
static long tick_ns = 100000;  // 0: no signals

static bool is_chosen(const char* name) {
  size_t size = strlen(name);
  for (const char* at = chosen_actions; (at = strstr(at, name)) != NULL; at += size) {
    bool starts = at == chosen_actions || at[-1] == ',', ends = at[size] == 0 || at[size] == ',';
    if (starts && ends) return true;
  }
  return false;
}

// Disturbs everything a handler may disturb.
static void handle_tick(int number, siginfo_t* info, void* context) {
  struct worker* worker = info->si_value.sival_ptr;
  uint64_t flags;
  __asm__ volatile("pushfq\n\t pop %0" : "=r"(flags));
  if (flags & 0x400) fail("direction flag in handler", (long)flags, 0);
  if (raw_call(SYS_getpid) != getpid()) fail("getpid in handler", 0, 0);
  if (raw_call(999) != -ENOSYS) fail("unknown call in handler", 0, 0);
  __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\t movdqa %%xmm0, %%xmm7\n\t movdqa %%xmm0, %%xmm15" ::
                       : "xmm0", "xmm7", "xmm15");
  ++worker->signals;
}

static timer_t start_ticks(void) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 2};
  event.sigev_value.sival_ptr = self;
  event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
  timer_t timer;
  check_zero("timer_create", timer_create(CLOCK_MONOTONIC, &event, &timer));
  struct itimerspec setting = {{0, tick_ns}, {0, tick_ns}};
  check_zero("timer_settime", timer_settime(timer, 0, &setting, NULL));
  return timer;
}

static void* run_worker(void* argument) {
  self = argument;
  if (self->index % 2) {
    stack_t stack = {.ss_sp = map_pages(16, PROT_READ | PROT_WRITE), .ss_size = 16 * kPage};
    check_zero("sigaltstack", sigaltstack(&stack, NULL));
  }
  timer_t timer = start_ticks();
  unsigned total = 0;
  for (size_t i = 0; i < sizeof actions / sizeof actions[0]; ++i) total += actions[i].weight;
  while (!stop) {
    unsigned choice = pick(total);
    size_t i = 0;
    while (choice >= actions[i].weight) choice -= actions[i++].weight;
    if (!is_chosen(actions[i].name)) continue;
    actions[i].run();
    ++self->progress;
  }
  timer_delete(timer);
  self->done = true;
  return NULL;
}

static void report_hang(int hanging) {
  for (int i = 0; i < worker_count; ++i) {
    fprintf(stderr, "stress: HANG thread %d: %s, %lu actions, %lu calls, %lu signals%s\n", i, workers[i].action,
            workers[i].progress, workers[i].calls, workers[i].signals, i == hanging ? "  <- no progress" : "");
  }
  _exit(2);
}

static void sleep_for_tick(void) {
  struct timespec tick = {0, 1000000000 / kTicksPerSecond};
  while (clock_nanosleep(CLOCK_MONOTONIC, 0, &tick, &tick) == EINTR) {
  }
}

// Stops the workers in the end, and ends the process when one of them has made no progress for long.
static void watch(long seconds) {
  unsigned long last[kMaxThreads] = {0};
  int quiet_ticks[kMaxThreads] = {0};
  bool all_done = false;
  for (long tick = 0; !all_done; ++tick) {
    sleep_for_tick();
    if (tick >= seconds * kTicksPerSecond) stop = true;
    all_done = true;
    for (int i = 0; i < worker_count; ++i) {
      if (workers[i].done) continue;
      all_done = false;
      quiet_ticks[i] = workers[i].progress == last[i] ? quiet_ticks[i] + 1 : 0;
      last[i] = workers[i].progress;
      if (quiet_ticks[i] >= kHangSeconds * kTicksPerSecond) report_hang(i);
    }
  }
}

int main(int argc, char** argv) {
  long seconds = 10;
  uint64_t seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--exit") == 0) return atoi(argv[i + 1]);
    if (strcmp(argv[i], "--seconds") == 0) seconds = atol(argv[i + 1]);
    if (strcmp(argv[i], "--seed") == 0) seed = strtoull(argv[i + 1], NULL, 0);
    if (strcmp(argv[i], "--threads") == 0) worker_count = atoi(argv[i + 1]);
    if (strcmp(argv[i], "--tick-ns") == 0) tick_ns = atol(argv[i + 1]);
    if (strcmp(argv[i], "--actions") == 0) chosen_actions = argv[i + 1];
  }
  if (worker_count < 1 || worker_count > kMaxThreads) return 3;
  vector_kind = find_vector_kind();
  static const char* const kinds[] = {"xmm", "ymm", "zmm and mask"};
  printf("stress: seed %lu, %ld s, %d threads, %s registers\n", seed, seconds, worker_count, kinds[vector_kind]);
  fflush(stdout);
  if (realpath(argv[0], own_path) == NULL) return 3;
  make_shared_code();
  struct sigaction action = {.sa_sigaction = handle_tick, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
  sigaction(SIGRTMIN + 2, &action, NULL);
  for (int i = 0; i < worker_count; ++i) {
    workers[i].index = i;
    workers[i].action = "start";
    workers[i].random = (seed + (uint64_t)i * 7919) * 0x9e3779b97f4a7c15ull | 1;
    if (pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) != 0) return 3;
  }
  watch(seconds);
  unsigned long calls = 0, signals = 0, done = 0;
  for (int i = 0; i < worker_count; ++i) {
    pthread_join(workers[i].thread, NULL);
    calls += workers[i].calls;
    signals += workers[i].signals;
    done += workers[i].progress;
  }
  printf("stress: passed: %lu actions, %lu checked calls, %lu signals\n", done, calls, signals);
  return 0;
}
