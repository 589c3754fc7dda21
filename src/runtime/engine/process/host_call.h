// The only way from the core into the kernel.
//
// What a hostile host can do here -> what we answer
//  - return any value from any call -> callers treat results as untrusted numbers; in the process engine the kernel is
//    in the trusted computing base, the sgx engine replaces this file and checks answers against syscalls.def.
#pragma once

#include <cstdint>

namespace casemate::runtime {

// The instruction must stand in the runtime's text (the range that SUD lets through), so it is always inlined there.
// Result: the kernel's (negative errno on failure). Never aborted by a program's signal: do not use it for calls that
// may block for long. Signal safe, allocates nothing.
[[gnu::always_inline]] inline long host_call(long number, long a1 = 0, long a2 = 0, long a3 = 0, long a4 = 0,
                                             long a5 = 0, long a6 = 0) {
  long result;
  register long r10 asm("r10") = a4;
  register long r8 asm("r8") = a5;
  register long r9 asm("r9") = a6;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a1), "S"(a2), "d"(a3), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

// Returned by guarded_call when a signal must be delivered before the call is (re)made: the program is put back onto
// its system call instruction. Outside the errno range, so no kernel answer equals it.
inline constexpr long kRestartCall = -100000;

// The program's own calls, which may block. `arguments` points to six words. Returns the kernel's result, or
// kRestartCall. Defined in intercept/entry.S.
extern "C" long casemate_guarded_call(long number, const std::uint64_t* arguments);

inline bool is_error(long result) { return result < 0 && result >= -4095; }

}  // namespace casemate::runtime
