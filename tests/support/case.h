// The small frame of the conformance programs: declares cases and helper entry points, and checks results.
//
// A conformance program is a file full of `CASE(name) { ... }`. `program --list` prints the names, `program NAME` runs
// one case in this very process. A case passes by returning; CHECK macros end the process with status 1 and a message,
// SKIP ends it with status 77. FACT prints a line that must be the same natively and under the runtime: the runner
// compares standard output of both runs. The runner gives each case its own process, its own empty working directory,
// and a time limit.
//
// `HELPER(name)` declares an entry point for programs that a case executes: `program @name ARGS...` calls it.
//
// C, not C++, because the same files are also built with musl-gcc, static and static-pie.
#ifndef CASEMATE_TESTS_SUPPORT_CASE_H_
#define CASEMATE_TESTS_SUPPORT_CASE_H_

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kStatusFailed = 1, kStatusSkipped = 77 };

struct conformance_case {
  const char* name;
  void (*run)(void);
};

struct conformance_helper {
  const char* name;
  int (*run)(int argc, char** argv);
};

// Both kinds of entries are collected by the linker; nothing runs before main.
#define CASE(name)                                                                            \
  static void case_##name(void);                                                              \
  static const struct conformance_case entry_##name                                           \
      __attribute__((used, aligned(8), section("conformance_cases"))) = {#name, case_##name}; \
  static void case_##name(void)

#define HELPER(name)                                                                              \
  static int helper_##name(int argc, char** argv);                                                \
  static const struct conformance_helper helper_entry_##name                                      \
      __attribute__((used, aligned(8), section("conformance_helpers"))) = {#name, helper_##name}; \
  static int helper_##name(int argc __attribute__((unused)), char** argv __attribute__((unused)))

_Noreturn void case_fail(const char* file, int line, const char* format, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void case_skip(const char* format, ...) __attribute__((format(printf, 1, 2)));
// Prints one line of behaviour to standard output, which must not differ between native run and runtime.
void case_fact(const char* format, ...) __attribute__((format(printf, 1, 2)));

#define FAIL(...) case_fail(__FILE__, __LINE__, __VA_ARGS__)
#define SKIP(...) case_skip(__VA_ARGS__)
#define FACT(...) case_fact(__VA_ARGS__)

#define CHECK(condition)                                                  \
  do {                                                                    \
    if (!(condition)) FAIL("not true: %s (errno %d)", #condition, errno); \
  } while (0)

#define CHECK_EQ(actual, expected)                                                                        \
  do {                                                                                                    \
    long actual_value = (long)(actual), expected_value = (long)(expected);                                \
    if (actual_value != expected_value)                                                                   \
      FAIL("%s is %ld (0x%lx), expected %s = %ld (0x%lx); errno %d", #actual, actual_value,               \
           (unsigned long)actual_value, #expected, expected_value, (unsigned long)expected_value, errno); \
  } while (0)

// The call must not fail (return -1); evaluates to its result.
#define CHECK_OK(call)                                                                            \
  ({                                                                                              \
    __typeof__(call) call_result = (call);                                                        \
    if ((long)call_result == -1) FAIL("%s failed: errno %d (%s)", #call, errno, strerror(errno)); \
    call_result;                                                                                  \
  })

#define CHECK_FAILS(call, expected_errno)                                                                   \
  do {                                                                                                      \
    errno = 0;                                                                                              \
    long call_result = (long)(call);                                                                        \
    int call_errno = errno;                                                                                 \
    if (call_result != -1) FAIL("%s returned %ld, expected errno %s", #call, call_result, #expected_errno); \
    if (call_errno != (expected_errno))                                                                     \
      FAIL("%s: errno %d (%s), expected %s", #call, call_errno, strerror(call_errno), #expected_errno);     \
  } while (0)

#define CHECK_STREQ(actual, expected)                                             \
  do {                                                                            \
    const char *actual_text = (actual), *expected_text = (expected);              \
    if (strcmp(actual_text, expected_text) != 0)                                  \
      FAIL("%s is \"%s\", expected \"%s\"", #actual, actual_text, expected_text); \
  } while (0)

#define CHECK_MEMEQ(actual, expected, size)                                                        \
  do {                                                                                             \
    if (memcmp((actual), (expected), (size)) != 0) FAIL("%s differs from %s", #actual, #expected); \
  } while (0)

// Waits for another thread or process to make the condition true. There is no deadline here: the runner has one.
#define WAIT_UNTIL(condition)             \
  do {                                    \
    while (!(condition)) pause_briefly(); \
  } while (0)

// A kernel call in the kernel's own convention: result or negative errno, no libc in between.
static inline long raw_syscall6(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory", "cc");
  return result;
}
#define RAW_PICK(_0, _1, _2, _3, _4, _5, _6, NAME, ...) NAME
#define RAW0(n) raw_syscall6(n, 0, 0, 0, 0, 0, 0)
#define RAW1(n, a) raw_syscall6(n, (long)(a), 0, 0, 0, 0, 0)
#define RAW2(n, a, b) raw_syscall6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define RAW3(n, a, b, c) raw_syscall6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define RAW4(n, a, b, c, d) raw_syscall6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define RAW5(n, a, b, c, d, e) raw_syscall6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define RAW6(n, a, b, c, d, e, f) raw_syscall6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define RAW(...) RAW_PICK(__VA_ARGS__, RAW6, RAW5, RAW4, RAW3, RAW2, RAW1, RAW0)(__VA_ARGS__)

// True when the runner said that this run is under the runtime. For documented expected differences only.
bool under_runtime(void);

// The absolute path of this executable, found without /proc.
const char* program_path(void);

void pause_briefly(void);
pid_t case_gettid(void);

// Runs `body(argument)` in a forked child, which exits with 0 when the body returns.
pid_t start_child(void (*body)(void*), void* argument);
// Waits for the child and returns the wait status.
int wait_status_of(pid_t child);
// Wait for the child and check how it ended.
void check_exited(pid_t child, int expected_code);
void check_killed_by(pid_t child, int expected_signal);

// Runs `program @helper arguments...` and returns its pid; standard output can be redirected to `output_fd` (or -1).
pid_t start_helper(int output_fd, const char* helper, ...);
// Runs the helper to its end and returns what it wrote to standard output (to be freed); checks the exit code.
char* helper_output(int expected_code, const char* helper, ...);

// A child that sends `signal_number` to `target` again and again until stopped. A test for interrupted calls needs no
// guess about when the call has blocked: one of the signals arrives in it.
struct signal_pump {
  pid_t child;
};
struct signal_pump start_signal_pump(pid_t target, int signal_number);
void stop_signal_pump(struct signal_pump* pump);

// One zeroed page, shared with children.
void* shared_page(void);
void install_handler(int signal_number, void (*handler)(int, siginfo_t*, void*), int flags);
void write_file(const char* path, const char* text);
// Reads a whole file, terminated by a zero byte; the result is to be freed. `size` may be NULL.
char* read_file(const char* path, size_t* size);
int open_file_of_size(const char* path, size_t size);

#endif  // CASEMATE_TESTS_SUPPORT_CASE_H_
