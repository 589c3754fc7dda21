// What a system call leaves in the registers, flags, vector state and red zone: exactly what the kernel leaves.
// Each case repeats often enough that a lazily patched instruction is seen before, during and after patching.
#include "case.h"

#include <cpuid.h>

enum { kRepeats = 1000 };

struct registers {
  uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, flags;
};

// Loads all registers from `in`, makes the call, stores all registers to `out`.
void call_with_registers(const struct registers* in, struct registers* out);
extern const char call_return[];
__asm__(
    ".text\n.globl call_with_registers, call_return\n.type call_with_registers,@function\n"
    "call_with_registers:\n"
    "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n push %rsi\n"
    "push 120(%rdi)\n popfq\n"
    "mov (%rdi), %rax\n mov 8(%rdi), %rbx\n mov 24(%rdi), %rdx\n mov 32(%rdi), %rsi\n mov 48(%rdi), %rbp\n"
    "mov 56(%rdi), %r8\n mov 64(%rdi), %r9\n mov 72(%rdi), %r10\n mov 80(%rdi), %r11\n mov 88(%rdi), %r12\n"
    "mov 96(%rdi), %r13\n mov 104(%rdi), %r14\n mov 112(%rdi), %r15\n mov 16(%rdi), %rcx\n mov 40(%rdi), %rdi\n"
    "syscall\n"
    "call_return:\n"
    "push %rdi\n mov 8(%rsp), %rdi\n"
    "mov %rax, (%rdi)\n mov %rbx, 8(%rdi)\n mov %rcx, 16(%rdi)\n mov %rdx, 24(%rdi)\n mov %rsi, 32(%rdi)\n"
    "mov %rbp, 48(%rdi)\n mov %r8, 56(%rdi)\n mov %r9, 64(%rdi)\n mov %r10, 72(%rdi)\n mov %r11, 80(%rdi)\n"
    "mov %r12, 88(%rdi)\n mov %r13, 96(%rdi)\n mov %r14, 104(%rdi)\n mov %r15, 112(%rdi)\n"
    "pushfq\n pop %rax\n mov %rax, 120(%rdi)\n"
    "pop %rax\n mov %rax, 40(%rdi)\n cld\n"
    "pop %rsi\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"
    ".size call_with_registers, . - call_with_registers\n");

static struct registers patterned(int round) {
  struct registers result;
  uint64_t* words = (uint64_t*)&result;
  for (size_t i = 0; i < sizeof result / 8; ++i) words[i] = 0x0101010101010101ull * (uint64_t)(i + 1) + (uint64_t)round;
  result.flags = 0x202;
  return result;
}

static void check_preserved(const struct registers* in, const struct registers* out) {
  CHECK_EQ(out->rbx, in->rbx);
  CHECK_EQ(out->rdx, in->rdx);
  CHECK_EQ(out->rsi, in->rsi);
  CHECK_EQ(out->rdi, in->rdi);
  CHECK_EQ(out->rbp, in->rbp);
  CHECK_EQ(out->r8, in->r8);
  CHECK_EQ(out->r9, in->r9);
  CHECK_EQ(out->r10, in->r10);
  CHECK_EQ(out->r12, in->r12);
  CHECK_EQ(out->r13, in->r13);
  CHECK_EQ(out->r14, in->r14);
  CHECK_EQ(out->r15, in->r15);
  CHECK_EQ(out->rcx, call_return);
  CHECK_EQ(out->flags, in->flags);
  CHECK_EQ(out->r11, in->flags);
}

CASE(all_registers_but_rax_rcx_r11_are_kept) {
  for (int i = 0; i < kRepeats; ++i) {
    struct registers in = patterned(i), out;
    in.rax = SYS_getpid;
    call_with_registers(&in, &out);
    CHECK_EQ(out.rax, getpid());
    check_preserved(&in, &out);
  }
}

CASE(registers_are_kept_when_the_call_fails) {
  static const long numbers[] = {SYS_close, 999, SYS_read, SYS_openat, SYS_mmap, SYS_futex};
  for (int i = 0; i < kRepeats; ++i) {
    struct registers in = patterned(i), out;
    in.rax = (uint64_t)numbers[i % 6];
    call_with_registers(&in, &out);
    CHECK((long)out.rax < 0);
    check_preserved(&in, &out);
  }
}

CASE(flags_are_kept) {
  static const uint64_t bits[] = {1, 4, 0x10, 0x40, 0x80, 0x400, 0x800};
  for (int i = 0; i < kRepeats; ++i) {
    struct registers in = patterned(i), out;
    in.rax = i % 2 ? SYS_getpid : SYS_getppid;
    for (int bit = 0; bit < 7; ++bit) {
      if (i & 1 << bit) in.flags |= bits[bit];
    }
    call_with_registers(&in, &out);
    check_preserved(&in, &out);
  }
}

static int forked_children(int number) {
  for (int i = 0; i < 20; ++i) {
    struct registers in = patterned(i), out;
    in.rax = (uint64_t)number;
    in.rdi = SIGCHLD;
    in.rsi = in.rdx = in.r10 = in.r8 = 0;
    in.flags = 0x202 | 0x41;
    call_with_registers(&in, &out);
    if (out.rax == 0) {
      check_preserved(&in, &out);
      _exit(0);
    }
    check_preserved(&in, &out);
    check_exited((pid_t)out.rax, 0);
  }
  return 0;
}

CASE(fork_child_has_the_parents_registers) {
  forked_children(SYS_fork);
  forked_children(SYS_clone);
}

static void nothing(int number, siginfo_t* info, void* context) {}

CASE(registers_are_kept_when_a_signal_is_delivered) {
  install_handler(SIGUSR1, nothing, 0);
  for (int i = 0; i < kRepeats; ++i) {
    struct registers in = patterned(i), out;
    in.rax = SYS_kill;
    in.rdi = (uint64_t)getpid();
    in.rsi = SIGUSR1;
    in.flags = 0x202 | (i & 1 ? 0x8c1 : 0x14);
    call_with_registers(&in, &out);
    CHECK_EQ(out.rax, 0);
    // After sigreturn, rcx and r11 are what the interrupted context held: the same values.
    check_preserved(&in, &out);
  }
}

CASE(registers_are_kept_over_a_restarted_call) {
  install_handler(SIGUSR1, nothing, SA_RESTART);
  int ends[2];
  CHECK_OK(pipe(ends));
  pid_t parent = getpid();
  for (int i = 0; i < 20; ++i) {
    pid_t child = CHECK_OK(fork());
    if (child == 0) {
      for (int n = 0; n < 4; ++n) {
        kill(parent, SIGUSR1);
        pause_briefly();
      }
      CHECK_EQ(write(ends[1], "x", 1), 1);
      _exit(0);
    }
    char byte = 0;
    struct registers in = patterned(i), out;
    in.rax = SYS_read;
    in.rdi = (uint64_t)ends[0];
    in.rsi = (uintptr_t)&byte;
    in.rdx = 1;
    call_with_registers(&in, &out);
    CHECK_EQ(out.rax, 1);
    check_preserved(&in, &out);
    check_exited(child, 0);
  }
}

CASE(rcx_and_r11_hold_return_address_and_flags) {
  for (int i = 0; i < kRepeats; ++i) {
    uint64_t rcx, r11, expected, flags;
    __asm__ volatile(
        "lea 1f(%%rip), %[expected]\n\t"
        "pushfq\n\t pop %[flags]\n\t"
        "syscall\n"
        "1: mov %%r11, %[r11]"
        : "=c"(rcx), [r11] "=&r"(r11), [expected] "=&r"(expected), [flags] "=&r"(flags)
        : "a"(SYS_getpid)
        : "r11", "memory", "cc");
    CHECK_EQ(rcx, expected);
    CHECK_EQ(r11, flags);
  }
}

static long __attribute__((noinline)) leaf_with_red_zone(long number) {
  // Keeps values below the stack pointer over a call, as compilers do in leaf functions.
  long sum;
  __asm__ volatile(
      "movq $1, -8(%%rsp)\n\t movq $2, -16(%%rsp)\n\t movq $3, -24(%%rsp)\n\t movq $4, -64(%%rsp)\n\t"
      "movq $5, -96(%%rsp)\n\t movq $6, -120(%%rsp)\n\t movq $7, -128(%%rsp)\n\t"
      "mov %[number], %%rax\n\t syscall\n\t"
      "mov -8(%%rsp), %[sum]\n\t add -16(%%rsp), %[sum]\n\t add -24(%%rsp), %[sum]\n\t add -64(%%rsp), %[sum]\n\t"
      "add -96(%%rsp), %[sum]\n\t add -120(%%rsp), %[sum]\n\t add -128(%%rsp), %[sum]"
      : [sum] "=&r"(sum)
      : [number] "r"(number)
      : "rax", "rcx", "r11", "memory", "cc");
  return sum;
}

CASE(red_zone_is_kept) {
  for (int i = 0; i < kRepeats; ++i) CHECK_EQ(leaf_with_red_zone(i % 2 ? SYS_getpid : 999), 28);
}

CASE(memory_below_the_stack_pointer_is_kept) {
  // Not promised by the ABI, but the kernel does not write there: programs with own stacks rely on it.
  static unsigned char area[8192] __attribute__((aligned(4096)));
  for (int i = 0; i < 200; ++i) {
    memset(area, 0xab, sizeof area);
    __asm__ volatile(
        "mov %%rsp, %%rbx\n\t lea 4096(%0), %%rsp\n\t mov $39, %%eax\n\t syscall\n\t mov %%rbx, %%rsp" ::"r"(area)
        : "rax", "rbx", "rcx", "r11", "memory", "cc");
    for (size_t n = 0; n < sizeof area; ++n) CHECK_EQ(area[n], 0xab);
  }
}

static bool cpu_has(int leaf, int which, unsigned bit) {
  unsigned r[4];
  if (!__get_cpuid_count((unsigned)leaf, 0, &r[0], &r[1], &r[2], &r[3])) return false;
  return (r[which] & bit) != 0;
}

static bool has_avx(void) { return cpu_has(1, 2, bit_OSXSAVE) && cpu_has(1, 2, bit_AVX); }
static bool has_avx512(void) { return has_avx() && cpu_has(7, 1, 1u << 16 /* AVX512F */); }

CASE(xmm_registers_are_kept) {
  unsigned char in[256], out[256];
  static const long numbers[] = {SYS_getpid, SYS_sched_yield, 999, SYS_gettid};
  for (int i = 0; i < kRepeats; ++i) {
    for (int n = 0; n < 256; ++n) in[n] = (unsigned char)(n * 5 + i);
    __asm__ volatile(
        "movdqu (%[in]), %%xmm0\n\t movdqu 16(%[in]), %%xmm1\n\t movdqu 32(%[in]), %%xmm2\n\t"
        "movdqu 48(%[in]), %%xmm3\n\t movdqu 64(%[in]), %%xmm4\n\t movdqu 80(%[in]), %%xmm5\n\t"
        "movdqu 96(%[in]), %%xmm6\n\t movdqu 112(%[in]), %%xmm7\n\t movdqu 128(%[in]), %%xmm8\n\t"
        "movdqu 144(%[in]), %%xmm9\n\t movdqu 160(%[in]), %%xmm10\n\t movdqu 176(%[in]), %%xmm11\n\t"
        "movdqu 192(%[in]), %%xmm12\n\t movdqu 208(%[in]), %%xmm13\n\t movdqu 224(%[in]), %%xmm14\n\t"
        "movdqu 240(%[in]), %%xmm15\n\t"
        "syscall\n\t"
        "movdqu %%xmm0, (%[out])\n\t movdqu %%xmm1, 16(%[out])\n\t movdqu %%xmm2, 32(%[out])\n\t"
        "movdqu %%xmm3, 48(%[out])\n\t movdqu %%xmm4, 64(%[out])\n\t movdqu %%xmm5, 80(%[out])\n\t"
        "movdqu %%xmm6, 96(%[out])\n\t movdqu %%xmm7, 112(%[out])\n\t movdqu %%xmm8, 128(%[out])\n\t"
        "movdqu %%xmm9, 144(%[out])\n\t movdqu %%xmm10, 160(%[out])\n\t movdqu %%xmm11, 176(%[out])\n\t"
        "movdqu %%xmm12, 192(%[out])\n\t movdqu %%xmm13, 208(%[out])\n\t movdqu %%xmm14, 224(%[out])\n\t"
        "movdqu %%xmm15, 240(%[out])\n\t" ::"a"(numbers[i % 4]),
        [in] "r"(in), [out] "r"(out)
        : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
          "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    CHECK_MEMEQ(out, in, 256);
  }
}

CASE(ymm_registers_are_kept) {
  if (!has_avx()) SKIP("no AVX");
  unsigned char in[96], out[96];
  for (int i = 0; i < kRepeats; ++i) {
    for (int n = 0; n < 96; ++n) in[n] = (unsigned char)(n * 3 + i);
    __asm__ volatile(
        "vmovdqu (%[in]), %%ymm0\n\t vmovdqu 32(%[in]), %%ymm7\n\t vmovdqu 64(%[in]), %%ymm15\n\t"
        "syscall\n\t"
        "vmovdqu %%ymm0, (%[out])\n\t vmovdqu %%ymm7, 32(%[out])\n\t vmovdqu %%ymm15, 64(%[out])\n\t vzeroupper" ::"a"(
            i % 2 ? SYS_getpid : 999),
        [in] "r"(in), [out] "r"(out)
        : "rcx", "r11", "memory", "xmm0", "xmm7", "xmm15");
    CHECK_MEMEQ(out, in, 96);
  }
}

__attribute__((target("avx512f"))) static void call_with_zmm(const unsigned char* in, unsigned char* out, long number) {
  __asm__ volatile(
      "vmovdqu64 (%[in]), %%zmm1\n\t vmovdqu64 64(%[in]), %%zmm17\n\t vmovdqu64 128(%[in]), %%zmm31\n\t"
      "kmovw 192(%[in]), %%k1\n\t kmovw 194(%[in]), %%k7\n\t"
      "syscall\n\t"
      "vmovdqu64 %%zmm1, (%[out])\n\t vmovdqu64 %%zmm17, 64(%[out])\n\t vmovdqu64 %%zmm31, 128(%[out])\n\t"
      "kmovw %%k1, 192(%[out])\n\t kmovw %%k7, 194(%[out])\n\t vzeroupper" ::"a"(number),
      [in] "r"(in), [out] "r"(out)
      : "rcx", "r11", "memory", "xmm1");
}

CASE(zmm_and_mask_registers_are_kept) {
  if (!has_avx512()) SKIP("no AVX-512");
  unsigned char in[196], out[196];
  for (int i = 0; i < kRepeats; ++i) {
    for (int n = 0; n < 196; ++n) in[n] = (unsigned char)(n * 3 + i);
    call_with_zmm(in, out, i % 2 ? SYS_getpid : 999);
    CHECK_MEMEQ(out, in, 196);
  }
}

CASE(floating_point_control_and_stack_are_kept) {
  for (int i = 0; i < kRepeats; ++i) {
    unsigned mxcsr = 0x1f80 | (unsigned)(i % 4) << 13, mxcsr_after;
    unsigned short control = (unsigned short)(0x037f | (i % 4) << 10), control_after;
    long double value = 3.25L + i, value_after;
    __asm__ volatile(
        "ldmxcsr %[mxcsr]\n\t fldcw %[control]\n\t fldt %[value]\n\t"
        "syscall\n\t"
        "fstpt %[value_after]\n\t fnstcw %[control_after]\n\t stmxcsr %[mxcsr_after]"
        : [mxcsr_after] "=m"(mxcsr_after), [control_after] "=m"(control_after), [value_after] "=m"(value_after)
        : "a"(SYS_getpid), [mxcsr] "m"(mxcsr), [control] "m"(control), [value] "m"(value)
        : "rcx", "r11", "memory", "st");
    unsigned normal = 0x1f80;
    unsigned short normal_control = 0x037f;
    __asm__ volatile("ldmxcsr %0\n\t fldcw %1" ::"m"(normal), "m"(normal_control));
    CHECK_EQ(mxcsr_after, mxcsr);
    CHECK_EQ(control_after, control);
    CHECK(value_after == value);
  }
}

CASE(vector_state_survives_every_class_of_call) {
  // Calls that a runtime emulates rather than passes on are the ones that could lose state.
  int ends[2];
  CHECK_OK(pipe(ends));
  char path[PATH_MAX];
  void* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct stat status;
  struct timespec now;
  stack_t stack;
  const long calls[][6] = {{SYS_brk, 0},
                           {SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1},
                           {SYS_mprotect, (long)page, 4096, 3},
                           {SYS_munmap, 0x10000000, 4096},
                           {SYS_rt_sigprocmask, 0, 0, (long)path, 8},
                           {SYS_rt_sigaction, 10, 0, (long)path, 8},
                           {SYS_sigaltstack, 0, (long)&stack},
                           {SYS_readlink, (long)"/proc/self/exe", (long)path, 4000},
                           {SYS_openat, AT_FDCWD, (long)"/proc/self/maps", O_RDONLY},
                           {SYS_close, 900},
                           {SYS_dup2, 0, 40},
                           {SYS_close_range, 41, ~0u, 0},
                           {SYS_fcntl, 0, F_GETFD},
                           {SYS_newfstatat, AT_FDCWD, (long)".", (long)&status, 0},
                           {SYS_getcwd, (long)path, 4000},
                           {SYS_prctl, 16, (long)path},
                           {SYS_arch_prctl, 0x1003, (long)path},
                           {SYS_clock_gettime, 1, (long)&now},
                           {SYS_futex, (long)path, 129, 1},
                           {SYS_sched_getaffinity, 0, 128, (long)path},
                           {SYS_prlimit64, 0, 7, 0, (long)path},
                           {SYS_kill, getpid(), 0},
                           {SYS_write, ends[1], (long)"x", 1},
                           {SYS_gettid},
                           {SYS_set_robust_list, 0, 1},
                           {SYS_tgkill, getpid(), -1, 0},
                           {SYS_execve, (long)"/no/such", 0, 0}};
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; ++i) {
    for (int round = 0; round < 10; ++round) {
      unsigned char in[64], out[64];
      for (int n = 0; n < 64; ++n) in[n] = (unsigned char)((size_t)n + i + (size_t)round);
      register long r10 __asm__("r10") = calls[i][4];
      register long r8 __asm__("r8") = calls[i][5];
      register long r9 __asm__("r9") = 0;
      long number = calls[i][0];
      __asm__ volatile(
          "movdqu (%[in]), %%xmm0\n\t movdqu 16(%[in]), %%xmm5\n\t movdqu 32(%[in]), %%xmm8\n\t movdqu 48(%[in]), "
          "%%xmm15\n\t"
          "syscall\n\t"
          "movdqu %%xmm0, (%[out])\n\t movdqu %%xmm5, 16(%[out])\n\t movdqu %%xmm8, 32(%[out])\n\t movdqu %%xmm15, "
          "48(%[out])"
          : "+a"(number)
          : "D"(calls[i][1]), "S"(calls[i][2]), "d"(calls[i][3]), "r"(r10), "r"(r8),
            "r"(r9), [in] "r"(in), [out] "r"(out)
          : "rcx", "r11", "memory", "xmm0", "xmm5", "xmm8", "xmm15");
      if (memcmp(in, out, 64) != 0) FAIL("call %ld lost vector registers", calls[i][0]);
    }
  }
}

CASE(vector_state_survives_signals_between_calls) {
  install_handler(SIGUSR1, nothing, SA_RESTART);
  struct signal_pump pump = start_signal_pump(getpid(), SIGUSR1);
  unsigned char in[32], out[32];
  for (int i = 0; i < 100000; ++i) {
    for (int n = 0; n < 32; ++n) in[n] = (unsigned char)(n + i);
    __asm__ volatile(
        "movdqu (%1), %%xmm4\n\t movdqu 16(%1), %%xmm14\n\t syscall\n\t movdqu %%xmm4, (%2)\n\t movdqu %%xmm14, "
        "16(%2)" ::"a"(SYS_getpid),
        "r"(in), "r"(out)
        : "rcx", "r11", "memory", "xmm4", "xmm14");
    CHECK_MEMEQ(out, in, 32);
  }
  stop_signal_pump(&pump);
}
