// System calls from unusual places: every one of them has to behave as the kernel's, and under the runtime every one
// has to be caught. A call that escapes shows itself: readlink of /proc/self/exe would name the runtime, not the
// program.
#include "case.h"
#include "faults.h"

#include <pthread.h>
#include <sched.h>
#include <ucontext.h>

enum { kPage = 4096, kRepeats = 200 };

typedef long (*call_function)(long number, long a, long b, long c);

// A position-independent function of the C calling convention: call(number, a, b, c).
static const unsigned char kCallCode[] = {
    0x48, 0x89, 0xf8,  // mov %rdi, %rax
    0x48, 0x89, 0xf7,  // mov %rsi, %rdi
    0x48, 0x89, 0xd6,  // mov %rdx, %rsi
    0x48, 0x89, 0xca,  // mov %rcx, %rdx
    0x0f, 0x05,        // syscall
    0xc3,              // ret
};

// Proves that calls made by `call` are answered rightly, and by the runtime when there is one.
static void check_calls(call_function call) {
  for (int i = 0; i < kRepeats; ++i) {
    CHECK_EQ(call(SYS_getpid, 0, 0, 0), getpid());
    CHECK_EQ(call(SYS_close, -1, 0, 0), -EBADF);
  }
  char target[PATH_MAX];
  long size = call(SYS_readlink, (long)"/proc/self/exe", (long)target, sizeof target - 1);
  CHECK(size > 0);
  target[size] = 0;
  CHECK_STREQ(target, program_path());
}

static void* map_code(const void* code, size_t size, size_t offset) {
  unsigned char* at = mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  memcpy(at + offset, code, size);
  return at + offset;
}

static long inline_call(long number, long a, long b, long c) { return RAW(number, a, b, c); }

CASE(inline_system_calls) { check_calls(inline_call); }

static long libc_call(long number, long a, long b, long c) {
  long result = syscall(number, a, b, c);
  return result == -1 ? -errno : result;
}

CASE(libc_syscall_function) { check_calls(libc_call); }

CASE(code_in_writable_executable_memory) { check_calls((call_function)map_code(kCallCode, sizeof kCallCode, 0)); }

CASE(code_made_executable_afterwards) {
  unsigned char* at = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(at, kCallCode, sizeof kCallCode);
  CHECK_OK(mprotect(at, kPage, PROT_READ | PROT_EXEC));
  check_calls((call_function)at);
}

CASE(code_in_shared_memory_file_with_two_views) {
  int fd = CHECK_OK((int)syscall(SYS_memfd_create, "code", 0));
  CHECK_OK(ftruncate(fd, kPage));
  unsigned char* writable = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  void* executable = mmap(NULL, kPage, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  CHECK(executable != MAP_FAILED);
  memcpy(writable, kCallCode, sizeof kCallCode);
  check_calls((call_function)executable);
  // What the program wrote is what it still reads: nobody patched the shared file.
  CHECK_MEMEQ(writable, kCallCode, sizeof kCallCode);
}

CASE(code_in_a_private_file_mapping) {
  int fd = open_file_of_size("code", kPage);
  CHECK_EQ(pwrite(fd, kCallCode, sizeof kCallCode, 100), sizeof kCallCode);
  char* at = mmap(NULL, kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  check_calls((call_function)(at + 100));
  unsigned char bytes[sizeof kCallCode];
  CHECK_EQ(pread(fd, bytes, sizeof bytes, 100), sizeof bytes);
  CHECK_MEMEQ(bytes, kCallCode, sizeof bytes);
}

extern const char own_call_begin[], own_call_end[];
__asm__(
    ".text\n.globl own_call_begin, own_call_end\n"
    "own_call_begin:\n"
    "mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n syscall\n ret\n"
    "own_call_end:\n");

CASE(second_mapping_of_own_text) {
  // Maps this executable again and calls the same function there.
  FILE* maps = fopen("/proc/self/maps", "re");
  CHECK(maps != NULL);
  char line[1024];
  unsigned long from = 0, to = 0, offset = 0;
  uintptr_t function = (uintptr_t)own_call_begin;
  while (fgets(line, sizeof line, maps) != NULL) {
    CHECK_EQ(sscanf(line, "%lx-%lx %*s %lx", &from, &to, &offset), 3);
    if (function >= from && function < to) break;
  }
  fclose(maps);
  CHECK(function >= from && function < to);
  int fd = CHECK_OK(open(program_path(), O_RDONLY));
  char* twin = mmap(NULL, to - from, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (off_t)offset);
  CHECK(twin != MAP_FAILED);
  check_calls((call_function)(twin + (function - from)));
  check_calls((call_function)own_call_begin);
  check_calls((call_function)(twin + (function - from)));
}

CASE(code_moved_by_mremap) {
  char* at = map_code(kCallCode, sizeof kCallCode, 0);
  check_calls((call_function)at);
  char* to = mmap(NULL, 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* moved = mremap(at, 2 * kPage, 2 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, to);
  CHECK_EQ(moved, to);
  check_calls((call_function)moved);
}

CASE(code_copied_elsewhere_after_use) {
  // A copy of code that has been used (and perhaps patched) works at its new place.
  char* at = map_code(kCallCode, sizeof kCallCode, 0);
  check_calls((call_function)at);
  unsigned char copy[sizeof kCallCode];
  memcpy(copy, at, sizeof copy);
  char* second = map_code(copy, sizeof copy, 32);
  check_calls((call_function)second);
}

CASE(code_rewritten_after_use) {
  unsigned char* at = map_code(kCallCode, sizeof kCallCode, 0);
  for (int i = 0; i < 50; ++i) {
    check_calls((call_function)at);
    // mov $i, %eax; ret
    const unsigned char other[] = {0xb8, (unsigned char)i, 0, 0, 0, 0xc3};
    memcpy(at, other, sizeof other);
    CHECK_EQ(((int (*)(void))at)(), i);
    memset(at, 0xcc, 64);
    memcpy(at, kCallCode, sizeof kCallCode);
  }
}

CASE(page_replaced_by_other_code_after_use) {
  unsigned char* at = map_code(kCallCode, sizeof kCallCode, 0);
  for (int i = 0; i < 50; ++i) {
    check_calls((call_function)at);
    CHECK_EQ(mmap(at, kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), at);
    const unsigned char other[] = {0xb8, (unsigned char)i, 0, 0, 0, 0xc3};
    memcpy(at + 9, other, sizeof other);
    CHECK_EQ(((int (*)(void))(at + 9))(), i);
    memcpy(at, kCallCode, sizeof kCallCode);
  }
}

CASE(instruction_across_a_page_boundary) {
  // 0f is the last byte of one page, 05 the first of the next.
  check_calls((call_function)map_code(kCallCode, sizeof kCallCode, kPage - 13));
  check_calls((call_function)map_code(kCallCode, sizeof kCallCode, kPage - 12));
  check_calls((call_function)map_code(kCallCode, sizeof kCallCode, kPage - 14));
}

CASE(instruction_at_the_end_of_mapped_memory) {
  // `syscall` in the last two bytes of a mapping; the next page is a function's `ret` in another mapping.
  unsigned char* at = mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(at + kPage - 14, kCallCode, sizeof kCallCode);
  CHECK_OK(mprotect(at + kPage, kPage, PROT_READ | PROT_EXEC));
  check_calls((call_function)(at + kPage - 14));
}

CASE(jump_into_an_immediate) {
  // mov $0x050f..., %eax: entered at its start it is a move, two bytes later a system call.
  static const unsigned char code[] = {
      0xb8, 0x11, 0x0f, 0x05, 0xc3,  // mov $0xc3050f11, %eax
      0xc3,
  };
  unsigned char* at = map_code(code, sizeof code, 0);
  for (int i = 0; i < kRepeats; ++i) {
    long result;
    __asm__ volatile("call *%1" : "=a"(result) : "r"(at + 2), "a"(SYS_getpid) : "rcx", "r11", "memory");
    CHECK_EQ(result, getpid());
    CHECK_EQ((unsigned)((long (*)(void))at)() & 0xffffffffu, 0xc3050f11u);
  }
  char target[PATH_MAX];
  long size;
  __asm__ volatile("call *%1"
                   : "=a"(size)
                   : "r"(at + 2), "a"(SYS_readlink), "D"("/proc/self/exe"), "S"(target), "d"(sizeof target - 1)
                   : "rcx", "r11", "memory");
  CHECK(size > 0);
  target[size] = 0;
  CHECK_STREQ(target, program_path());
}

CASE(data_that_looks_like_a_call_is_untouched) {
  // The bytes stand in executable memory, next to calls, but are data: they never change.
  static unsigned char code[256];
  memset(code, 0x90, sizeof code);
  memcpy(code, kCallCode, sizeof kCallCode);
  for (int i = 32; i < 256; i += 7) memcpy(code + i, "\x0f\x05", 2);
  unsigned char* at = map_code(code, sizeof code, 0);
  check_calls((call_function)at);
  CHECK_MEMEQ(at + 32, code + 32, sizeof code - 32);
}

CASE(branch_to_the_instruction_and_behind_it) {
  // A loop that jumps straight to the syscall, as musl and Go do on restart: neighbours must not be displaced wrongly.
  long result, count;
  for (int i = 0; i < 100; ++i) {
    __asm__ volatile(
        "mov $5, %%ebx\n\t"
        "mov $39, %%eax\n\t"
        "jmp 2f\n"
        "1: mov $39, %%eax\n"
        "2: syscall\n\t"
        "dec %%ebx\n\t"
        "jnz 1b\n\t"
        : "=&a"(result), "=&b"(count)
        :
        : "rcx", "r11", "memory", "cc");
    CHECK_EQ(result, getpid());
    CHECK_EQ(count, 0);
  }
}

CASE(two_calls_in_a_row) {
  for (int i = 0; i < 100; ++i) {
    long first, second;
    __asm__ volatile("mov $39, %%eax\n\t syscall\n\t mov %%rax, %%rbx\n\t mov $39, %%eax\n\t syscall"
                     : "=&a"(second), "=&b"(first)
                     :
                     : "rcx", "r11", "memory", "cc");
    CHECK_EQ(first, getpid());
    CHECK_EQ(second, getpid());
    // Two instructions directly behind one another: the result of the first is the number of the second.
    __asm__ volatile("syscall\n\t syscall" : "=&a"(second) : "0"(SYS_close), "D"(-1) : "rcx", "r11", "memory", "cc");
    CHECK_EQ(second, -ENOSYS);
  }
}

CASE(call_followed_by_relative_code) {
  // What follows the call depends on its place: a rip-relative load, a short jump, a call.
  static const long table = 0x7777;
  for (int i = 0; i < 100; ++i) {
    long loaded, result;
    __asm__ volatile("syscall\n\t mov %2, %1"
                     : "=&a"(result), "=&r"(loaded)
                     : "m"(table), "0"(39)
                     : "rcx", "r11", "memory");
    CHECK_EQ(loaded, 0x7777);
    __asm__ volatile("syscall\n\t jmp 1f\n\t ud2\n1:" : "=&a"(result) : "0"(39) : "rcx", "r11", "memory");
    CHECK_EQ(result, getpid());
    __asm__ volatile("sub $128, %%rsp\n\t syscall\n\t call 1f\n1: pop %1\n\t add $128, %%rsp"
                     : "=&a"(result), "=&r"(loaded)
                     : "0"(39)
                     : "rcx", "r11", "memory", "cc");
    CHECK_EQ(result, getpid());
    __asm__ volatile("syscall\n\t test %%rax, %%rax\n\t js 1f\n\t jns 2f\n1: ud2\n2:"
                     : "=&a"(result)
                     : "0"(39)
                     : "rcx", "r11", "memory", "cc");
    CHECK_EQ(result, getpid());
  }
}

CASE(int_0x80_is_never_an_unseen_call) {
  // Expected difference: natively a kernel with 32-bit emulation answers getpid (20); the runtime refuses i386 calls.
  catch_faults();
  long result = 0;
  if (sigsetjmp(fault_jump, 1) == 0) {
    for (int i = 0; i < 20; ++i) {
      __asm__ volatile("int $0x80"
                       : "=a"(result)
                       : "0"(20), "b"(0), "c"(0), "d"(0)
                       : "r8", "r9", "r10", "r11", "memory");
    }
  } else {
    if (under_runtime()) FAIL("int $0x80 faulted with signal %d", last_fault.signal_number);
    return;  // a kernel without 32-bit emulation
  }
  if (under_runtime()) {
    CHECK_EQ((int)result, -ENOSYS);
  } else {
    CHECK((int)result == getpid() || (int)result == -ENOSYS);
  }
}

CASE(sysenter_is_never_an_unseen_call) {
  // In 64-bit mode sysenter is a 32-bit call on Intel and an invalid instruction on AMD; its return goes to a 32-bit
  // address that the kernel has never told. It must end in a signal or an error, never in an answered call.
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    long result;
    int code = 0x55;
    __asm__ volatile("mov %%rsp, %%rbp\n\t sysenter"
                     : "=a"(result)
                     : "0"(1 /* i386 exit */), "b"(code)
                     : "rcx", "rdx", "r11", "memory");
    _exit(0x66);
  }
  int status = wait_status_of(child);
  if (under_runtime() && WIFEXITED(status) && WEXITSTATUS(status) == 0x55) FAIL("the i386 exit call was executed");
}

CASE(x32_numbers_are_refused) {
  for (int i = 0; i < 20; ++i) {
    CHECK_EQ(RAW(0x40000000 | SYS_getpid), -ENOSYS);
    CHECK_EQ(RAW(0x40000000 | SYS_write, 1, "x", 1), -ENOSYS);
    CHECK_EQ(RAW(512), -ENOSYS);
  }
}

CASE(unknown_numbers_are_refused) {
  static const long numbers[] = {999, 350, 400, 423, 1000000, 0x7fffffff, -1, -2, 0x80000000, 0x100000000 | 9999};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) {
    if (numbers[i] == -1) continue;
    CHECK_EQ(RAW(numbers[i]), -ENOSYS);
  }
}

CASE(upper_half_of_the_number_is_ignored) {
  // The kernel takes the number from eax.
  CHECK_EQ(RAW(0x100000000 | SYS_getpid), getpid());
  CHECK_EQ(RAW((long)0xffffffff00000000 | SYS_getppid), getppid());
}

static volatile long handler_result;
static char handler_target[PATH_MAX];
static void call_in_handler(int number, siginfo_t* info, void* context) {
  handler_result = RAW(SYS_readlink, "/proc/self/exe", handler_target, sizeof handler_target - 1);
}

CASE(calls_in_a_signal_handler) {
  install_handler(SIGUSR1, call_in_handler, 0);
  for (int i = 0; i < kRepeats; ++i) {
    handler_result = 0;
    RAW(SYS_kill, getpid(), SIGUSR1);
    CHECK(handler_result > 0);
    handler_target[handler_result] = 0;
    CHECK_STREQ(handler_target, program_path());
  }
}

static void call_in_fault_handler(int number, siginfo_t* info, void* context) {
  call_in_handler(number, info, context);
  ((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP] += 2;
}

CASE(calls_in_a_fault_handler) {
  install_handler(SIGILL, call_in_fault_handler, 0);
  for (int i = 0; i < kRepeats; ++i) {
    handler_result = 0;
    __asm__ volatile("ud2");
    CHECK(handler_result > 0);
    CHECK_MEMEQ(handler_target, program_path(), (size_t)handler_result);
  }
}

// The first call of a new process or thread, with nothing in between: the child's very first instruction after the
// clone is another system call.
CASE(first_call_of_a_fork_child) {
  char* target = shared_page();
  for (int i = 0; i < 20; ++i) {
    memset(target, 0, kPage);
    long result;
    __asm__ volatile(
        "mov $57, %%eax\n\t syscall\n\t"
        "test %%rax, %%rax\n\t jnz 1f\n\t"
        "mov $89, %%eax\n\t lea %[link], %%rdi\n\t mov %[target], %%rsi\n\t mov $4000, %%edx\n\t syscall\n\t"
        "mov $60, %%eax\n\t xor %%edi, %%edi\n\t syscall\n"
        "1:"
        : "=&a"(result)
        : [link] "m"(*"/proc/self/exe"), [target] "r"(target)
        : "rcx", "rdx", "rdi", "rsi", "r11", "memory", "cc");
    check_exited((pid_t)result, 0);
    CHECK_STREQ(target, program_path());
  }
}

CASE(first_call_of_a_vfork_child) {
  char* target = shared_page();
  for (int i = 0; i < 20; ++i) {
    memset(target, 0, kPage);
    long result;
    __asm__ volatile(
        "mov $58, %%eax\n\t syscall\n\t"
        "test %%rax, %%rax\n\t jnz 1f\n\t"
        "mov $89, %%eax\n\t lea %[link], %%rdi\n\t mov %[target], %%rsi\n\t mov $4000, %%edx\n\t syscall\n\t"
        "mov $60, %%eax\n\t xor %%edi, %%edi\n\t syscall\n"
        "1:"
        : "=&a"(result)
        : [link] "m"(*"/proc/self/exe"), [target] "r"(target)
        : "rcx", "rdx", "rdi", "rsi", "r11", "memory", "cc");
    check_exited((pid_t)result, 0);
    CHECK_STREQ(target, program_path());
  }
}

static long clone3_and_call(unsigned long flags, char* target, int* cleared) {
  uint64_t arguments[11] = {flags, 0, (uintptr_t)cleared, 0, SIGCHLD, 0, 0, 0, 0, 0, 0};
  if (flags & CLONE_THREAD) arguments[4] = 0;
  if (flags & CLONE_VM) {
    arguments[5] = (uintptr_t)mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    arguments[6] = 65536;
  }
  long result;
  register const char* r12 __asm__("r12") = "/proc/self/exe";
  register char* r13 __asm__("r13") = target;
  __asm__ volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t jnz 1f\n\t"
      "mov $89, %%eax\n\t mov %%r12, %%rdi\n\t mov %%r13, %%rsi\n\t mov $4000, %%edx\n\t syscall\n\t"
      "mov $60, %%eax\n\t xor %%edi, %%edi\n\t syscall\n"
      "1:"
      : "=a"(result)
      : "0"(SYS_clone3), "D"(arguments), "S"(88L), "r"(r12), "r"(r13)
      : "rcx", "rdx", "r11", "memory", "cc");
  return result;
}

CASE(first_call_of_a_clone3_process) {
  char* target = shared_page();
  for (int i = 0; i < 20; ++i) {
    memset(target, 0, kPage);
    long child = clone3_and_call(0, target, NULL);
    if (child == -ENOSYS) SKIP("no clone3 in this kernel");
    CHECK(child > 0);
    check_exited((pid_t)child, 0);
    CHECK_STREQ(target, program_path());
    memset(target, 0, kPage);
    child = clone3_and_call(CLONE_VM | CLONE_VFORK, target, NULL);
    CHECK(child > 0);
    CHECK_STREQ(target, program_path());
    check_exited((pid_t)child, 0);
  }
}

CASE(first_call_of_a_clone3_thread) {
  static char target[kPage];
  static volatile int alive;
  for (int i = 0; i < 50; ++i) {
    memset(target, 0, kPage);
    alive = 1;
    unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_CHILD_CLEARTID;
    long tid = clone3_and_call(flags, target, (int*)&alive);
    if (tid == -ENOSYS) SKIP("no clone3 in this kernel");
    CHECK(tid > 0);
    WAIT_UNTIL(alive == 0);
    CHECK_STREQ(target, program_path());
  }
}

static void* call_in_thread(void* call) {
  check_calls((call_function)call);
  return NULL;
}

CASE(many_threads_reach_a_fresh_call_site_at_once) {
  // All threads run into the same new instruction while it is being looked at.
  for (int round = 0; round < 20; ++round) {
    void* call = map_code(kCallCode, sizeof kCallCode, (size_t)(round * 64 % 4000));
    pthread_t threads[8];
    for (int i = 0; i < 8; ++i) CHECK_EQ(pthread_create(&threads[i], NULL, call_in_thread, call), 0);
    for (int i = 0; i < 8; ++i) pthread_join(threads[i], NULL);
  }
}

static volatile int stop_rewriting;
static void* call_repeatedly(void* call) {
  pid_t pid = getpid();
  while (!stop_rewriting) CHECK_EQ(((call_function)call)(SYS_getpid, 0, 0, 0), pid);
  return NULL;
}

CASE(protection_changes_while_threads_call) {
  char* call = map_code(kCallCode, sizeof kCallCode, 0);
  pthread_t threads[3];
  for (int i = 0; i < 3; ++i) CHECK_EQ(pthread_create(&threads[i], NULL, call_repeatedly, call), 0);
  for (int i = 0; i < 500; ++i) {
    CHECK_OK(mprotect(call, kPage, PROT_READ | PROT_EXEC));
    CHECK_OK(mprotect(call, kPage, PROT_READ | PROT_WRITE | PROT_EXEC));
  }
  stop_rewriting = 1;
  for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
}

CASE(thousands_of_call_sites) {
  // More sites than any small table holds, each used several times.
  enum { kSites = 4000, kSize = 32 };
  unsigned char* at =
      mmap(NULL, kSites * kSize, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < kSites; ++i) memcpy(at + i * kSize, kCallCode, sizeof kCallCode);
  pid_t pid = getpid();
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < kSites; ++i) CHECK_EQ(((call_function)(at + i * kSize))(SYS_getpid, 0, 0, 0), pid);
  }
}

CASE(sites_all_over_the_address_space) {
  static const uintptr_t places[] = {0x10000, 0x70000000, 0x100000000, 0x3f0000000000, 0x200000000000, 0x7e0000000000};
  for (size_t i = 0; i < sizeof places / sizeof places[0]; ++i) {
    void* at = mmap((void*)places[i], kPage, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (at == MAP_FAILED && i == 0) continue;  // a non-PIE binary may need higher limits
    CHECK_EQ(at, places[i]);
    memcpy(at, kCallCode, sizeof kCallCode);
    check_calls((call_function)at);
  }
}

CASE(calls_after_writing_the_gs_base) {
  // A program owns its segment registers; whatever it stores in GS, its calls keep working.
  static long block[64] __attribute__((aligned(64)));
  unsigned long bases[] = {(uintptr_t)block, 0, 0x123456789000, (uintptr_t)block + 1};
  for (size_t i = 0; i < sizeof bases / sizeof bases[0]; ++i) {
    __asm__ volatile("wrgsbase %0" ::"r"(bases[i]));
    long result = RAW(SYS_getpid);
    CHECK_EQ(result, getpid());
    check_calls(inline_call);
  }
}

CASE(gs_selector_write_does_not_break_calls) {
  __asm__ volatile("xor %%eax, %%eax\n\t mov %%eax, %%gs" ::: "rax");
  check_calls(inline_call);
  __asm__ volatile("mov %0, %%gs" ::"r"(0x2b));
  check_calls(inline_call);
}

CASE(fs_base_changes_are_the_programs) {
  // With another FS base, a call must not touch memory there, and the base must survive.
  unsigned long old, now;
  static char other[256] __attribute__((aligned(64)));
  memset(other, 0x5a, sizeof other);
  __asm__ volatile("rdfsbase %0" : "=r"(old));
  long result = 0;
  for (int i = 0; i < 100; ++i) {
    __asm__ volatile("wrfsbase %0" ::"r"(other + 128));
    result = RAW(SYS_getpid);
    __asm__ volatile("rdfsbase %0" : "=r"(now));
    __asm__ volatile("wrfsbase %0" ::"r"(old));
    CHECK_EQ(now, other + 128);
    CHECK_EQ(result, getpid());
  }
  for (size_t i = 0; i < sizeof other; ++i) CHECK_EQ(other[i], 0x5a);
  unsigned long read_back = 0;
  CHECK_EQ(RAW(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &read_back), 0);
  CHECK_EQ(read_back, old);
}

CASE(interception_cannot_be_switched_off) {
  // Expected difference: natively a program may turn Syscall User Dispatch on and off; the runtime refuses, whatever
  // the errno, and goes on catching calls.
  long result = RAW(SYS_prctl, 59 /* PR_SET_SYSCALL_USER_DISPATCH */, 0 /* OFF */, 0, 0, 0);
  if (under_runtime()) CHECK(result < 0);
  check_calls(inline_call);
  void* fresh = map_code(kCallCode, sizeof kCallCode, 0);
  check_calls((call_function)fresh);
}

CASE(vsyscall_page_answers_as_natively) {
  // The vsyscall page is outside any interception; its three calls carry no secrets and must at least work the same.
  char* maps = read_file("/proc/self/maps", NULL);
  bool present = strstr(maps, "[vsyscall]") != NULL;
  FACT("vsyscall page: %d", present);
  if (!present) return;
  time_t now = time(NULL);
  time_t seen = ((time_t(*)(time_t*))0xffffffffff600400)(NULL);
  CHECK(seen >= now);
}
