// The context a handler sees and may change: exact registers at a fault, edits that take effect, state that survives.
#include "case.h"

#include <cpuid.h>
#include <fenv.h>
#include <setjmp.h>
#include <ucontext.h>

enum { kPage = 4096 };
#define REGISTER(context, name) (((ucontext_t*)(context))->uc_mcontext.gregs[name])

static volatile int handled_count;
static volatile greg_t seen[NGREG];
static volatile siginfo_t seen_info;
static unsigned char seen_xmm[16][16];
static volatile unsigned seen_mxcsr, handler_mxcsr;
static volatile long skip_bytes;

static void note_and_skip(int number, siginfo_t* info, void* context) {
  for (int i = 0; i < NGREG; ++i) seen[i] = REGISTER(context, i);
  *(siginfo_t*)&seen_info = *info;
  fpregset_t vectors = ((ucontext_t*)context)->uc_mcontext.fpregs;
  memcpy(seen_xmm, (char*)vectors + 160, sizeof seen_xmm);
  memcpy((void*)&seen_mxcsr, (char*)vectors + 24, 4);
  __asm__ volatile("stmxcsr %0" : "=m"(handler_mxcsr));
  REGISTER(context, REG_RIP) += skip_bytes;
  ++handled_count;
}

// Loads every register with a known value and executes `mov (%rax), %rax` (3 bytes) with a bad address.
__attribute__((noinline)) static void fault_with_known_registers(unsigned long flags, const void* vectors,
                                                                 long address) {
  __asm__ volatile(
      "sub $128, %%rsp\n\t"
      "push %%rbp\n\t"
      "push %%rbx\n\t"
      "movdqu (%[vectors]), %%xmm0\n\t movdqu 16(%[vectors]), %%xmm1\n\t movdqu 32(%[vectors]), %%xmm2\n\t"
      "movdqu 48(%[vectors]), %%xmm3\n\t movdqu 64(%[vectors]), %%xmm4\n\t movdqu 80(%[vectors]), %%xmm5\n\t"
      "movdqu 96(%[vectors]), %%xmm6\n\t movdqu 112(%[vectors]), %%xmm7\n\t movdqu 128(%[vectors]), %%xmm8\n\t"
      "movdqu 144(%[vectors]), %%xmm9\n\t movdqu 160(%[vectors]), %%xmm10\n\t movdqu 176(%[vectors]), %%xmm11\n\t"
      "movdqu 192(%[vectors]), %%xmm12\n\t movdqu 208(%[vectors]), %%xmm13\n\t movdqu 224(%[vectors]), %%xmm14\n\t"
      "movdqu 240(%[vectors]), %%xmm15\n\t"
      "mov $0x1001, %%rbx\n\t mov $0x1002, %%rcx\n\t mov $0x1003, %%rdx\n\t mov $0x1005, %%rdi\n\t"
      "mov $0x1006, %%rbp\n\t mov $0x1008, %%r8\n\t mov $0x1009, %%r9\n\t mov $0x100a, %%r10\n\t"
      "mov $0x100b, %%r11\n\t mov $0x100c, %%r12\n\t mov $0x100d, %%r13\n\t mov $0x100e, %%r14\n\t mov $0x100f, "
      "%%r15\n\t"
      "push %%rsi\n\t popfq\n\t"
      "mov (%%rax), %%rax\n\t"
      "cld\n\t"
      "pop %%rbx\n\t"
      "pop %%rbp\n\t"
      "add $128, %%rsp\n\t"
      :
      : "a"(address), "S"(flags), [vectors] "D"(vectors)
      : "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0", "xmm1", "xmm2",
        "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

CASE(registers_at_a_fault_are_exact) {
  unsigned char vectors[16][16];
  for (int i = 0; i < 256; ++i) ((unsigned char*)vectors)[i] = (unsigned char)(i * 7 + 1);
  install_handler(SIGSEGV, note_and_skip, 0);
  skip_bytes = 3;
  unsigned long flags = 0x202 | 1 /* CF */ | 0x40 /* ZF */ | 0x80 /* SF */ | 0x400 /* DF */ | 0x800 /* OF */;
  fault_with_known_registers(flags, vectors, 0x10);
  CHECK_EQ(handled_count, 1);
  static const int names[] = {REG_RBX, REG_RCX, REG_RDX, REG_RDI, REG_RBP, REG_R8, REG_R9,
                              REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  static const int values[] = {0x1001, 0x1002, 0x1003, 0x1005, 0x1006, 0x1008, 0x1009,
                               0x100a, 0x100b, 0x100c, 0x100d, 0x100e, 0x100f};
  for (int i = 0; i < 13; ++i) CHECK_EQ(seen[names[i]], values[i]);
  CHECK_EQ(seen[REG_RAX], 0x10);
  CHECK_EQ(seen[REG_RSI], flags);
  CHECK_EQ(seen[REG_EFL] & 0xcd5, flags & 0xcd5);
  CHECK_EQ(seen[REG_TRAPNO], 14);
  CHECK_EQ(seen[REG_ERR], 4);
  CHECK_EQ(seen[REG_CR2], 0x10);
  CHECK_EQ(seen[REG_CSGSFS] & 0xffff, 0x33);
  CHECK_MEMEQ(seen_xmm, vectors, sizeof vectors);
  CHECK_EQ(seen_info.si_addr, 0x10);
}

CASE(error_code_tells_read_from_write_and_execute) {
  install_handler(SIGSEGV, note_and_skip, 0);
  char* page = mmap(NULL, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  (void)*(volatile char*)page;
  skip_bytes = 2;
  __asm__ volatile("movb %%al, (%%rdx)" ::"a"(0), "d"(page) : "memory");  // 88 02
  CHECK_EQ(seen[REG_ERR] & 7, 7);
  CHECK_EQ(seen[REG_CR2], page);
  __asm__ volatile("movb (%%rdx), %%al" ::"d"(8) : "rax", "memory");  // 8a 02
  CHECK_EQ(seen[REG_ERR] & 7, 4);
}

static void fill_registers(int number, siginfo_t* info, void* context) {
  REGISTER(context, REG_RAX) = 0x1111111122222222;
  REGISTER(context, REG_R12) = 0x3333;
  REGISTER(context, REG_RCX) = 0x4444;
  REGISTER(context, REG_R11) = 0x5555;
  REGISTER(context, REG_EFL) |= 1;
  REGISTER(context, REG_RIP) += 2;
  memset((char*)((ucontext_t*)context)->uc_mcontext.fpregs + 160 + 16 * 7, 0x77, 16);
}

CASE(registers_changed_by_the_handler_take_effect) {
  install_handler(SIGILL, fill_registers, 0);
  long rax, r12, rcx, r11;
  unsigned char carry;
  unsigned char xmm7[16];
  __asm__ volatile(
      "xor %%eax, %%eax\n\t mov %%rax, %%r12\n\t mov %%rax, %%rcx\n\t mov %%rax, %%r11\n\t pxor %%xmm7, %%xmm7\n\t "
      "clc\n\t"
      "ud2\n\t"
      "setc %[carry]\n\t mov %%r12, %[r12]\n\t movdqu %%xmm7, %[xmm7]"
      : "=&a"(rax), [carry] "=m"(carry), [r12] "=m"(r12), "=&c"(rcx), [xmm7] "=m"(xmm7)
      :
      : "r11", "r12", "xmm7", "memory", "cc");
  __asm__ volatile("ud2" : "=a"(r11) : : "rcx", "r11", "r12", "xmm7", "memory", "cc");
  CHECK_EQ(rax, 0x1111111122222222);
  CHECK_EQ(r12, 0x3333);
  CHECK_EQ(rcx, 0x4444);
  CHECK_EQ(carry, 1);
  for (int i = 0; i < 16; ++i) CHECK_EQ(xmm7[i], 0x77);
}

extern char resume_here[];

static void jump_elsewhere(int number, siginfo_t* info, void* context) {
  REGISTER(context, REG_RIP) = (greg_t)resume_here;
  ++handled_count;
}

CASE(handler_moves_the_program_counter) {
  // Null checks of managed languages: the fault continues in other code.
  install_handler(SIGSEGV, jump_elsewhere, 0);
  for (int i = 1; i <= 100; ++i) {
    long result = 0;
    __asm__ volatile(
        "mov (%%rdx), %%rax\n\t"
        "mov $1, %%eax\n\t"
        "jmp 1f\n"
        ".globl resume_here\n"
        "resume_here:\n\t"
        "mov $2, %%eax\n"
        "1:"
        : "=a"(result)
        : "d"(0)
        : "memory");
    CHECK_EQ(result, 2);
    CHECK_EQ(handled_count, i);
  }
}

CASE(division_by_zero_is_integer_divide_error) {
  install_handler(SIGFPE, note_and_skip, 0);
  skip_bytes = 2;
  char* at;
  __asm__ volatile("lea 1f(%%rip), %0\n1: idiv %%ebx" : "=&r"(at) : "a"(1), "d"(0), "b"(0) : "cc");
  CHECK_EQ(handled_count, 1);
  CHECK_EQ(seen_info.si_code, FPE_INTDIV);
  CHECK_EQ(seen_info.si_addr, at);
  CHECK_EQ(seen[REG_RIP], at);
}

static sigjmp_buf jump;
static void note_and_jump(int number, siginfo_t* info, void* context) {
  *(siginfo_t*)&seen_info = *info;
  siglongjmp(jump, 1);
}

CASE(floating_point_exceptions_have_their_codes) {
  install_handler(SIGFPE, note_and_jump, 0);
  static const struct {
    unsigned mxcsr_bit;
    double first, second;
    int code;
  } table[] = {{0x200, 1.0, 0.0, FPE_FLTDIV}, {0x80, 0.0, 0.0, FPE_FLTINV}, {0x400, 1e-300, 1e300, FPE_FLTOVF}};
  for (int i = 0; i < 3; ++i) {
    volatile double first = table[i].first, second = table[i].second;
    if (i == 2) first = 1e300, second = 1e-300;
    if (sigsetjmp(jump, 1) == 0) {
      unsigned mxcsr = 0x1f80 & ~table[i].mxcsr_bit;
      __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
      volatile double result = first / second;
      (void)result;
      FAIL("no exception in row %d", i);
    }
    CHECK_EQ(seen_info.si_code, table[i].code);
  }
}

CASE(invalid_instruction_is_sigill) {
  install_handler(SIGILL, note_and_skip, 0);
  skip_bytes = 2;
  char* at;
  __asm__ volatile("lea 1f(%%rip), %0\n1: ud2" : "=r"(at));
  CHECK_EQ(seen_info.si_code, ILL_ILLOPN);
  CHECK_EQ(seen_info.si_addr, at);
}

CASE(breakpoint_is_sigtrap_after_the_instruction) {
  install_handler(SIGTRAP, note_and_skip, 0);
  skip_bytes = 0;
  char* at;
  for (int i = 1; i <= 100; ++i) {
    __asm__ volatile("lea 1f(%%rip), %0\nint3\n1:" : "=r"(at));
    CHECK_EQ(handled_count, i);
    CHECK_EQ(seen[REG_RIP], at);
    CHECK_EQ(seen_info.si_code, SI_KERNEL);
  }
}

CASE(privileged_instruction_faults) {
  install_handler(SIGSEGV, note_and_skip, 0);
  skip_bytes = 1;
  __asm__ volatile("hlt");
  CHECK_EQ(seen_info.si_code, SI_KERNEL);
  CHECK_EQ(seen[REG_TRAPNO], 13);
  __asm__ volatile("cli");
  CHECK_EQ(handled_count, 2);
}

CASE(trap_flag_single_steps) {
  install_handler(SIGTRAP, note_and_skip, 0);
  skip_bytes = 0;
  __asm__ volatile(
      "sub $128, %%rsp\n\t pushfq\n\t orq $0x100, (%%rsp)\n\t popfq\n\t"
      "nop\n\t nop\n\t nop\n\t"
      "pushfq\n\t andq $~0x100, (%%rsp)\n\t popfq\n\t add $128, %%rsp" ::
          : "memory", "cc");
  CHECK(handled_count >= 5);
  CHECK_EQ(seen_info.si_code, TRAP_TRACE);
}

CASE(direction_flag_is_clear_in_handlers_and_restored) {
  install_handler(SIGILL, note_and_skip, 0);
  skip_bytes = 2;
  unsigned long flags;
  __asm__ volatile("std\n\t ud2\n\t pushfq\n\t pop %0\n\t cld" : "=r"(flags)::"memory", "cc");
  CHECK((seen[REG_EFL] & 0x400) != 0);
  CHECK((flags & 0x400) != 0);
  CHECK_EQ(handled_count, 1);
}

static volatile unsigned long flags_in_handler;
static volatile unsigned long stack_in_handler;

__attribute__((naked)) static void handler_reads_entry_state(int number, siginfo_t* info, void* context) {
  __asm__ volatile(
      "mov %rsp, stack_seen_at_entry(%rip)\n\t"
      "pushfq\n\t pop %rax\n\t mov %rax, flags_seen_at_entry(%rip)\n\t"
      "addq $2, 168(%rdx)\n\t"  // uc_mcontext.gregs[REG_RIP]
      "ret");
}
__asm__(
    ".local stack_seen_at_entry; .comm stack_seen_at_entry,8,8; .local flags_seen_at_entry; .comm "
    "flags_seen_at_entry,8,8");

CASE(handler_starts_with_aligned_stack_and_clear_flags) {
  install_handler(SIGILL, handler_reads_entry_state, 0);
  for (int shift = 0; shift < 16; ++shift) {
    __asm__ volatile(
        "mov %%rsp, %%rbx\n\t sub %1, %%rsp\n\t sub $128, %%rsp\n\t std\n\t"
        "ud2\n\t"
        "cld\n\t mov %%rbx, %%rsp\n\t"
        "mov flags_seen_at_entry(%%rip), %%rax\n\t mov %%rax, %0"
        : "=m"(flags_in_handler)
        : "r"((long)shift)
        : "rax", "rbx", "memory", "cc");
    __asm__ volatile("mov stack_seen_at_entry(%%rip), %0" : "=r"(stack_in_handler));
    CHECK_EQ(flags_in_handler & 0x500, 0);
    CHECK_EQ(stack_in_handler % 16, 8);
  }
}

CASE(red_zone_survives_a_signal) {
  install_handler(SIGILL, note_and_skip, 0);
  skip_bytes = 2;
  long sum;
  __asm__ volatile(
      "mov $1, %%ecx\n"
      "1: neg %%rcx\n\t movq %%rcx, (%%rsp,%%rcx,8)\n\t neg %%rcx\n\t inc %%rcx\n\t cmp $17, %%rcx\n\t jne 1b\n\t"
      "ud2\n\t"
      "xor %%eax, %%eax\n\t mov $1, %%ecx\n"
      "2: neg %%rcx\n\t sub (%%rsp,%%rcx,8), %%rax\n\t neg %%rcx\n\t inc %%rcx\n\t cmp $17, %%rcx\n\t jne 2b"
      : "=&a"(sum)
      :
      : "rcx", "memory", "cc");
  CHECK_EQ(sum, 136);
}

static void clobber_everything(int number, siginfo_t* info, void* context) {
  __asm__ volatile(
      "pcmpeqd %%xmm0, %%xmm0\n\t movdqa %%xmm0, %%xmm1\n\t movdqa %%xmm0, %%xmm8\n\t movdqa %%xmm0, %%xmm15\n\t"
      "mov $-1, %%rax\n\t mov %%rax, %%rcx\n\t mov %%rax, %%r8\n\t mov %%rax, %%r11\n\t fldpi" ::
          : "rax", "rcx", "r8", "r11", "xmm0", "xmm1", "xmm8", "xmm15", "memory", "cc");
  unsigned mxcsr = 0x7f80;
  __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
  getppid();
  ++handled_count;
}

__attribute__((noinline)) static unsigned long busy_hash(void) {
  double sum = 0;
  unsigned long hash = 1;
  for (int i = 0; i < 20000; ++i) {
    sum += i * 0.5;
    hash = hash * 6364136223846793005ul + (unsigned long)i;
  }
  return hash + (unsigned long)sum;
}

CASE(state_changed_in_the_handler_does_not_leak) {
  // Signals arrive at arbitrary instructions of a loop whose result depends on all of its registers.
  install_handler(SIGUSR1, clobber_everything, SA_RESTART);
  unsigned long expected = busy_hash();
  struct signal_pump pump = start_signal_pump(getpid(), SIGUSR1);
  while (handled_count < 50) CHECK_EQ(busy_hash(), expected);
  unsigned mxcsr;
  __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
  CHECK_EQ(mxcsr & 0xffc0, 0x1f80);
  stop_signal_pump(&pump);
}

CASE(handler_starts_with_default_floating_point_control) {
  install_handler(SIGILL, note_and_skip, 0);
  skip_bytes = 2;
  unsigned mxcsr = 0x3f80, after;
  __asm__ volatile("ldmxcsr %1\n\t ud2\n\t stmxcsr %0" : "=m"(after) : "m"(mxcsr));
  CHECK_EQ(seen_mxcsr & 0xffc0, 0x3f80);
  CHECK_EQ(after & 0xffc0, 0x3f80);
  CHECK_EQ(handler_mxcsr & 0xffc0, 0x1f80);
}

static bool has_avx(void) {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE) && (c & bit_AVX);
}

CASE(upper_vector_halves_survive_a_signal) {
  if (!has_avx()) SKIP("no AVX");
  install_handler(SIGILL, note_and_skip, 0);
  skip_bytes = 2;
  unsigned char in[32], out[32];
  for (int i = 0; i < 32; ++i) in[i] = (unsigned char)(i * 3 + 5);
  __asm__ volatile("vmovdqu %1, %%ymm9\n\t ud2\n\t vmovdqu %%ymm9, %0\n\t vzeroupper"
                   : "=m"(out)
                   : "m"(in)
                   : "xmm9", "memory");
  CHECK_MEMEQ(out, in, 32);
}

static void read_frame(int number, siginfo_t* info, void* context) {
  // Extended state announces itself in the software-reserved bytes of the frame.
  char* area = (char*)((ucontext_t*)context)->uc_mcontext.fpregs;
  uint32_t magic, size;
  memcpy(&magic, area + 464, 4);
  memcpy(&size, area + 468, 4);
  uint64_t features;
  memcpy(&features, area + 472, 8);
  if (magic != 0x46505853) FAIL("no extended state: magic 0x%x", magic);
  uint32_t end;
  memcpy(&end, area + size - 4, 4);
  CHECK_EQ(end, 0x46505845);
  FACT("frame: features 0x%lx size %u", features, size);
  ++handled_count;
}

CASE(frame_describes_the_extended_state) {
  if (!has_avx()) SKIP("no AVX");
  install_handler(SIGUSR1, read_frame, 0);
  raise(SIGUSR1);
  CHECK_EQ(handled_count, 1);
}

static void edit_upper_half(int number, siginfo_t* info, void* context) {
  char* area = (char*)((ucontext_t*)context)->uc_mcontext.fpregs;
  uint64_t present;
  memcpy(&present, area + 512, 8);
  present |= 4;
  memcpy(area + 512, &present, 8);
  memset(area + 576 + 16 * 3, 0x33, 16);  // upper half of ymm3 in the standard layout
  REGISTER(context, REG_RIP) += 2;
}

CASE(upper_vector_half_changed_in_the_frame_takes_effect) {
  if (!has_avx()) SKIP("no AVX");
  install_handler(SIGILL, edit_upper_half, 0);
  unsigned char in[32], out[32];
  memset(in, 0x11, 32);
  __asm__ volatile("vmovdqu %1, %%ymm3\n\t ud2\n\t vmovdqu %%ymm3, %0\n\t vzeroupper"
                   : "=m"(out)
                   : "m"(in)
                   : "xmm3", "memory");
  CHECK_EQ(out[0], 0x11);
  CHECK_EQ(out[16], 0x33);
  CHECK_EQ(out[31], 0x33);
}

static volatile unsigned long interrupted_rip;
static void note_rip(int number, siginfo_t* info, void* context) {
  interrupted_rip = (unsigned long)REGISTER(context, REG_RIP);
  seen[REG_RAX] = REGISTER(context, REG_RAX);
  ++handled_count;
}

extern char after_call[], at_call[];

CASE(context_of_a_signal_raised_by_a_call_points_after_it) {
  // As natively: rip after the system call instruction, rax its result; many times, as the site may get patched.
  install_handler(SIGUSR1, note_rip, 0);
  pid_t pid = getpid();
  for (int i = 1; i <= 200; ++i) {
    long result;
    __asm__ volatile(
        ".globl at_call, after_call\n"
        "mov $62, %%eax\n"
        "at_call: syscall\n"
        "after_call:"
        : "=&a"(result)
        : "D"(pid), "S"(SIGUSR1)
        : "rcx", "r11", "memory");
    CHECK_EQ(result, 0);
    CHECK_EQ(handled_count, i);
    CHECK_EQ(interrupted_rip, after_call);
    CHECK_EQ(seen[REG_RAX], 0);
  }
}

extern char pause_call[], pause_return[];

CASE(context_of_an_interrupted_call_points_after_it_with_eintr) {
  install_handler(SIGUSR1, note_rip, 0);
  struct signal_pump pump = start_signal_pump(getpid(), SIGUSR1);
  for (int i = 0; i < 30; ++i) {
    long result;
    __asm__ volatile(
        ".globl pause_call, pause_return\n"
        "mov $34, %%eax\n"
        "pause_call: syscall\n"
        "pause_return:"
        : "=&a"(result)
        :
        : "rcx", "r11", "memory");
    CHECK_EQ(result, -EINTR);
  }
  stop_signal_pump(&pump);
  CHECK(handled_count >= 30);
}

static volatile int bad_rip_count;
static volatile unsigned long code_low, code_high;
static void check_rip_in_program(int number, siginfo_t* info, void* context) {
  unsigned long rip = (unsigned long)REGISTER(context, REG_RIP);
  if (rip < code_low || rip >= code_high) {
    ++bad_rip_count;
    interrupted_rip = rip;
  }
  ++handled_count;
}

__attribute__((noinline, aligned(64))) static void call_in_a_loop(volatile int* started, volatile int* stop) {
  *started = 1;
  while (!*stop) {
    RAW(SYS_getppid);
    RAW(SYS_gettid);
    for (volatile int i = 0; i < 20; ++i) {
    }
  }
  RAW(SYS_getppid);
}

CASE(interrupted_program_counter_is_always_in_program_code) {
  // The handler never sees the runtime's or a stub's address, whenever the signal arrives.
  struct {
    volatile int started, stop;
  }* shared = shared_page();
  code_low = (unsigned long)call_in_a_loop;
  code_high = code_low + 512;
  install_handler(SIGUSR1, check_rip_in_program, SA_RESTART);
  pid_t target = getpid();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    WAIT_UNTIL(shared->started);
    for (int i = 0; i < 3000; ++i) {
      kill(target, SIGUSR1);
      for (volatile int n = 0; n < (i * 7919) % 3000; ++n) {
      }
    }
    shared->stop = 1;
    _exit(0);
  }
  call_in_a_loop(&shared->started, &shared->stop);
  int bad = bad_rip_count;
  wait_status_of(child);
  CHECK(handled_count > 0);
  if (bad != 0) FAIL("%d times outside, last at 0x%lx (code at 0x%lx)", bad, interrupted_rip, code_low);
}
