// One block per kernel task: guard page, runtime stack, this record, signal stack. Found from the stack pointer
// (blocks are aligned to their size) and, at entry from the program, through GS.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/abi/signal_abi.h"

namespace casemate::runtime {

// The program's general registers at its system call (or at the point where a signal interrupted it). entry.S pushes
// them in this order; static_asserts in thread.cc and the offsets in layout.h keep both in step.
struct Regs {
  std::uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
  std::uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
  std::uint64_t original_rax;  // the call's number; rax becomes the result
  std::uint64_t rip;           // after the syscall instruction
  std::uint64_t rsp;
  std::uint64_t rflags;
};

inline std::uint64_t call_argument(const Regs& regs, unsigned index) {
  const std::uint64_t values[6] = {regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9};
  return values[index];
}

// How the current call entered: decides whether the patcher is asked afterwards.
enum class EntryKind : std::uint32_t { kPatched = 0, kTrapped = 1, kForeignAbi = 2, kInterrupted = 3 };

// A signal the kernel delivered to us that the program has not seen yet.
struct PendingSignal {
  SigInfo info;
  std::uint64_t mask_to_restore;  // the program's mask when it was interrupted
  std::uint64_t trap_number, error_code, fault_address, segments;
  std::uint64_t uc_flags;
};

struct SignalActions;
struct TraceState;

inline constexpr std::size_t kPendingCapacity = 4;
inline constexpr std::size_t kThreadBlockSize = 128 * 1024;
inline constexpr std::size_t kThreadRecordOffset = 60 * 1024;
inline constexpr std::size_t kThreadRecordSize = 8 * 1024;
inline constexpr std::size_t kRuntimeStackBegin = 4 * 1024;  // above the guard page

struct alignas(64) Thread {
  // Offsets of the first members are known to entry.S and to stubs (layout.h).
  std::uint64_t gs_cookie;    // equals process.gs_cookie; stubs check it
  std::uint64_t regs_end;     // address just behind regs: entry pushes from here
  std::uint32_t pending_count;
  EntryKind entry_kind;
  std::uint64_t scratch;

  std::int32_t tid;
  std::uint32_t state;        // ThreadState
  SignalActions* actions;     // shared by CLONE_SIGHAND
  PendingSignal pending[kPendingCapacity];
  std::uint8_t xstate_template[48];  // sw_reserved of the last kernel signal frame

  std::uint64_t altstack_base, altstack_size;  // the program's, virtual
  std::uint32_t altstack_flags;
  std::uint32_t sigsys_blocked;     // the program believes SIGSYS is blocked
  std::uint64_t temporary_mask;     // of ppoll, sigsuspend ...
  std::uint32_t has_temporary_mask;
  std::uint32_t vfork_child;        // shares memory with a waiting parent
  std::uint64_t call_started_ns;    // trace
  std::uint64_t clone_flags;

  alignas(16) Regs regs;
};
static_assert(sizeof(Thread) <= kThreadRecordSize);

inline Thread* thread_of_stack(std::uint64_t stack_pointer) {
  return reinterpret_cast<Thread*>((stack_pointer & ~(std::uint64_t{kThreadBlockSize} - 1)) + kThreadRecordOffset);
}

// The calling thread's record. Valid in core code on runtime stack or signal stack.
[[gnu::always_inline]] inline Thread& current_thread() {
  std::uint64_t stack_pointer;
  asm("mov %%rsp, %0" : "=r"(stack_pointer));
  return *thread_of_stack(stack_pointer);
}

}  // namespace casemate::runtime
