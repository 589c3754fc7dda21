// Turns system call instructions that trap often into jumps (docs/development/plan-runtime.md, "Patch forms").
//
// Never needed for completeness: whatever is not patched traps. So every doubt is answered with "leave it alone".
//
// What a hostile program can do here -> what we answer
//  - forge ELF headers, .eh_frame, jump into immediates, rewrite code while we look -> everything is copied once and
//    bounds-checked; a wrong proof can only break the program's own code, never let a system call escape SUD.
//  - overwrite or unmap stubs -> stub memory is registered with protect_range, so the mmap family refuses.
//
// Contract of the entry point that stubs jump to: rcx = program's address after the `syscall` instruction, r11 = where
// to continue unless the runtime changed rip; every other register, all flags, and the red zone are the program's; GS
// base is the thread's record (the stub compared %gs:0 with the cookie).
#pragma once

#include <cstdint>

namespace casemate::runtime {

// Once, at boot, while single-threaded. `gs_cookie` is the value at offset 0 of every thread record, 1 .. 2^31 - 1.
void patcher_init(std::uint64_t entry_address, std::uint64_t gs_cookie);

// After a trapped call was served on the runtime stack: `site` is the address of its `0f 05`. Counts, and patches when
// the site has trapped often enough and can be proven. Locks: one. Blocks: for tens of microseconds at most.
void patcher_on_trap(std::uint64_t site);

// Where the program goes on at `rip`: the stub's copy when `rip` is a boundary that a patch covers (which would hit
// int3 or trap), `rip` itself otherwise. For return paths: saves a trap, never needed. [signal-safe, lock-free]
std::uint64_t patcher_resume_address(std::uint64_t rip);

enum class PatchRedirectKind : std::uint32_t {
  kNotOurs,   // the program's own business
  kContinue,  // continue at `rip`
  kFixGs,     // the program changed GS: set GS base to the thread's record, then continue at `rip`
};
struct PatchRedirect {
  PatchRedirectKind kind;
  std::uint64_t rip;
};
// SIGTRAP of an int3; `rip_after_int3` as the kernel reports it. [signal-safe, lock-free]
PatchRedirect patcher_redirect(std::uint64_t rip_after_int3);
// SIGSEGV/SIGBUS at `rip`: kFixGs when a stub's load through GS faulted. [signal-safe, lock-free]
PatchRedirect patcher_fault_redirect(std::uint64_t rip);

// Is `rip` in the part of a stub that is certain to reach the entry point (from the cookie check to the jump)? There
// signals are only recorded, as in runtime text. Copies of program instructions are not in it. [signal-safe, lock-free]
bool patcher_owns(std::uint64_t rip);
// The program's own address for a `rip` anywhere in a stub, with the program's state as at that address (only rcx and
// r11 may be lost before a call); 0 when `rip` is not in a stub. [signal-safe, lock-free]
std::uint64_t patcher_original_pc(std::uint64_t rip);

// munmap, MAP_FIXED over it: code in the range is going or gone, patches there are forgotten. Their stubs stay (a
// thread may be inside) and are used again when the same bytes return to the same place; otherwise they leak, bounded
// by kPatchCapacity (4096 patches, some 50 bytes each). Should the code stay after all, everything still works.
void patcher_code_unmapped(std::uint64_t start, std::uint64_t size);
// mprotect of code, the kernel's answer, and what the code map then says, as one step for other threads: bytes half
// written could neither be completed nor taken back under a protection that changed meanwhile, and int3 would stay.
// With PROT_WRITE the program is about to write to the range: its own bytes are put back first.
long patcher_change_protection(std::uint64_t start, std::uint64_t size, std::uint32_t protection);
// mremap, before the call: the program is about to move the range. Its own bytes are put back.
void patcher_code_changed(std::uint64_t start, std::uint64_t size);

// Around every call that copies the address space. A child that shares memory needs none of it.
void patcher_before_fork();
void patcher_after_fork_in_parent();
void patcher_after_fork_in_child();

struct PatcherStatistics {
  std::uint64_t patched;     // live patches
  std::uint64_t unproven;    // sites given up: no proof
  std::uint64_t unplanned;   // sites given up: no form fits
  std::uint64_t unwritable;  // sites given up: no stub memory in reach, or code could not be written
  std::uint64_t stub_bytes, stub_pages, stub_chunks;
};
PatcherStatistics patcher_statistics();

}  // namespace casemate::runtime
