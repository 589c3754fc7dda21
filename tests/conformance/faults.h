// Catches a fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP) of one statement and keeps what the kernel said about it.
// The handler leaves by siglongjmp, which is also how many programs probe memory.
#ifndef CASEMATE_TESTS_CONFORMANCE_FAULTS_H_
#define CASEMATE_TESTS_CONFORMANCE_FAULTS_H_

#include <setjmp.h>

#include "case.h"

struct fault {
  int signal_number;
  int code;
  uintptr_t address;
};

static sigjmp_buf fault_jump;
static volatile struct fault last_fault;

static void __attribute__((unused)) record_fault(int signal_number, siginfo_t* info, void* context) {
  last_fault.signal_number = signal_number;
  last_fault.code = info->si_code;
  last_fault.address = (uintptr_t)info->si_addr;
  siglongjmp(fault_jump, 1);
}

static void __attribute__((unused)) catch_faults(void) {
  static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; ++i) install_handler(signals[i], record_fault, 0);
}

// Runs the statement, which must fault with this signal and si_code.
#define CHECK_FAULT(statement, expected_signal, expected_code) \
  do {                                                         \
    catch_faults();                                            \
    last_fault.signal_number = 0;                              \
    if (sigsetjmp(fault_jump, 1) == 0) {                       \
      statement;                                               \
      FAIL("no fault: %s", #statement);                        \
    }                                                          \
    CHECK_EQ(last_fault.signal_number, expected_signal);       \
    CHECK_EQ(last_fault.code, expected_code);                  \
  } while (0)

// As above, and the fault must name this address.
#define CHECK_FAULT_AT(statement, expected_signal, expected_code, expected_address) \
  do {                                                                              \
    CHECK_FAULT(statement, expected_signal, expected_code);                         \
    CHECK_EQ(last_fault.address, (uintptr_t)(expected_address));                    \
  } while (0)

static inline void store_byte(volatile void* at, char value) { *(volatile char*)at = value; }
static inline char load_byte(const volatile void* at) { return *(const volatile char*)at; }

#endif  // CASEMATE_TESTS_CONFORMANCE_FAULTS_H_
