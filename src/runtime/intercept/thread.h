// One block per kernel task: guard page, runtime stack, this record, signal stack. Found from the stack pointer
// (blocks are aligned to their size) and, at entry from the program, through GS.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/abi/signal_abi.h"
#include "runtime/intercept/layout.h"

namespace casemate::runtime {

// The program's general registers at its system call (or where a signal interrupted it), in the order in which entry.S
// pushes them.
struct Regs {
  std::uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
  std::uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
  std::uint64_t original_rax;  // the call's number; rax becomes the result
  std::uint64_t rip;           // as the program sees it: after the syscall instruction
  std::uint64_t resume;        // where execution really goes on: rip, or the tail of a stub
  std::uint64_t rsp;
  std::uint64_t rflags;
};
static_assert(sizeof(Regs) == REGS_SIZE && offsetof(Regs, r11) == REGS_R11 && offsetof(Regs, rip) == REGS_RIP &&
              offsetof(Regs, resume) == REGS_RESUME && offsetof(Regs, rsp) == REGS_RSP &&
              offsetof(Regs, rflags) == REGS_RFLAGS);

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
struct DescriptorState;
struct DirectoryState;
struct RequestMemory;

// Values of Thread::state. A number, because casemate_exit_thread and other threads access it atomically.
inline constexpr std::uint32_t kThreadFree = 0, kThreadLive = 1;

inline constexpr std::size_t kPendingCapacity = 4;
inline constexpr std::size_t kThreadBlockSize = 128 * 1024;
inline constexpr std::size_t kThreadRecordOffset = 60 * 1024;
inline constexpr std::size_t kThreadRecordSize = 4 * 1024;
inline constexpr std::size_t kGuardSize = 4 * 1024;
inline constexpr std::size_t kSignalStackOffset = kThreadRecordOffset + kThreadRecordSize;
inline constexpr std::size_t kSignalStackSize = kThreadBlockSize - kSignalStackOffset;

struct alignas(64) Thread {
  std::uint64_t gs_cookie;  // equals process.gs_cookie; stubs check it
  std::uint64_t regs_end;   // address just behind regs: entry pushes from here
  std::uint32_t pending_count;
  EntryKind entry_kind;
  std::uint64_t scratch;
  Regs regs;

  std::uint32_t state;
  std::int32_t tid;
  SignalActions* actions;        // shared by CLONE_SIGHAND
  DescriptorState* descriptors;  // shared by CLONE_FILES
  Thread* next;                  // registry

  // File shield; null and 0 without one.
  DirectoryState* directories;    // shared by CLONE_FS
  RequestMemory* request_memory;  // stays with the block
  std::uint32_t shield_user, shield_group, shield_group_count;
  std::uint32_t shield_credentials_known;

  std::uint64_t altstack_base, altstack_size;  // the program's sigaltstack, never the kernel's
  std::uint32_t altstack_flags;
  std::uint32_t clear_handlers;      // CLONE_CLEAR_SIGHAND
  std::uint32_t released_by_parent;  // vfork: nobody may reuse the block before the parent is done with it
  std::uint64_t temporary_mask;      // of ppoll, sigsuspend ...: in force while the handler starts
  std::uint32_t has_temporary_mask;
  std::uint32_t held_count;
  std::uint64_t virtually_blocked;  // signals the runtime needs open, which the program believes blocked
  std::uint64_t start_mask;         // a new thread installs it before its first program instruction
  std::uint64_t call_started_ns;

  PendingSignal pending[kPendingCapacity];
  PendingSignal held[kPendingCapacity];          // sent while virtually blocked
  alignas(16) std::uint8_t xstate_template[48];  // sw_reserved of the last kernel signal frame
};
static_assert(sizeof(Thread) <= kThreadRecordSize);
static_assert(offsetof(Thread, gs_cookie) == THREAD_GS_COOKIE && offsetof(Thread, regs_end) == THREAD_REGS_END &&
              offsetof(Thread, pending_count) == THREAD_PENDING_COUNT &&
              offsetof(Thread, entry_kind) == THREAD_ENTRY_KIND && offsetof(Thread, scratch) == THREAD_SCRATCH &&
              offsetof(Thread, regs) == THREAD_REGS);

inline std::uint64_t call_argument(const Regs& regs, unsigned index) {
  const std::uint64_t values[6] = {regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9};
  return values[index];
}

inline Thread* thread_of_stack(std::uint64_t stack_pointer) {
  return reinterpret_cast<Thread*>((stack_pointer & ~(std::uint64_t{kThreadBlockSize} - 1)) + kThreadRecordOffset);
}

// The calling thread's record. Valid in core code on runtime stack or signal stack.
[[gnu::always_inline]] inline Thread& current_thread() {
  std::uint64_t stack_pointer;
  asm("mov %%rsp, %0" : "=r"(stack_pointer));
  return *thread_of_stack(stack_pointer - 1);  // an empty runtime stack points just at the record
}

// Thread blocks. thread_allocate returns null when memory is exhausted; the record is zeroed except its constants.
Thread* thread_allocate();
void thread_release(Thread* thread);
// In the child of fork: only `self` is left.
void threads_after_fork(Thread* self);
// Tasks that share this address space; the patcher asks it.
std::uint32_t process_thread_count();
void process_thread_count_add(int delta);
// Does [start, start + size) touch memory of the runtime (image, blocks, tables)?
bool touches_runtime(std::uint64_t start, std::uint64_t size);
// Adds a range to what touches_runtime protects and what the maps view hides.
void protect_range(std::uint64_t start, std::uint64_t size);

}  // namespace casemate::runtime
