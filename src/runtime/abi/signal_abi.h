// Kernel signal ABI of x86-64 (linux/arch/x86/include/uapi/asm/{sigcontext,ucontext,signal}.h; sigreturn(2)), spelled
// out here because libc's headers define its own, different types.
#pragma once

#include <cstdint>

namespace casemate::runtime {

struct SigInfo {
  std::int32_t signal, error, code, padding;
  std::uint8_t fields[112];
};
static_assert(sizeof(SigInfo) == 128);

struct KernelSigAction {
  std::uint64_t handler;
  std::uint64_t flags;
  std::uint64_t restorer;
  std::uint64_t mask;
};
static_assert(sizeof(KernelSigAction) == 32);

struct KernelStack {
  std::uint64_t base;
  std::int32_t flags, padding;
  std::uint64_t size;
};

struct SigContext {
  std::uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
  std::uint64_t segments;  // cs, gs, fs, ss
  std::uint64_t error_code, trap_number, old_mask, fault_address;
  std::uint64_t fpstate;
  std::uint64_t reserved[8];
};
static_assert(sizeof(SigContext) == 256);

struct UContext {
  std::uint64_t flags, link;
  KernelStack stack;
  SigContext context;
  std::uint64_t mask;
};
static_assert(sizeof(UContext) == 304);

struct SigFrame {
  std::uint64_t restorer;
  UContext uc;
  SigInfo info;
};
static_assert(sizeof(SigFrame) == 440);

inline constexpr int kSignalCount = 64;
inline constexpr std::uint64_t signal_bit(int signal) { return std::uint64_t{1} << (signal - 1); }

inline constexpr std::uint64_t kSigDefault = 0, kSigIgnore = 1;
inline constexpr std::uint64_t kSaNoCldStop = 1, kSaNoCldWait = 2, kSaSigInfo = 4, kSaRestorer = 0x04000000,
                               kSaOnStack = 0x08000000, kSaRestart = 0x10000000, kSaNoDefer = 0x40000000,
                               kSaResetHand = 0x80000000;

}  // namespace casemate::runtime
