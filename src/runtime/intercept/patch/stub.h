// The code a patched site jumps to. Pure: plan and addresses in, bytes out.
//
//     [instructions from before the call]
//   check:
//     mov  %gs:0, %rcx              rcx and r11 are free: a system call destroys them
//     lea  -cookie(%rcx), %rcx      no instruction here touches flags or the stack (red zone)
//     jrcxz 1f
//     int3                          GS is not ours: SIGTRAP, patcher_redirect() answers kFixGs
//   1:lea  return_address(%rip), %rcx
//     lea  resume(%rip), %r11       or mov %rcx, %r11
//     jmp  *entry_pointer(%rip)
//   tail:
//     [instructions from behind the call]
//     jmp  original                 unless the last was `ret`
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/intercept/patch/patch_plan.h"

namespace casemate::runtime {

inline constexpr std::size_t kMaxStubSize = 192;
inline constexpr std::size_t kMaxPoints = 2 * kMaxMoved + 2;

// An address of the program and the place in the stub that continues it.
struct StubPoint {
  std::uint8_t original;  // from the jump
  std::uint8_t stub;      // from the stub's start
};

struct Stub {
  std::uint8_t size;
  std::uint8_t check;    // offset of the cookie check
  std::uint8_t entered;  // offset behind the jump to the entry point
  std::uint8_t point_count;
  StubPoint points[kMaxPoints];  // ascending; the last may stand for the address behind all covered bytes
  std::uint8_t code[kMaxStubSize];
};

struct StubRequest {
  const PatchPlan* plan;
  std::uint64_t site;
  std::span<const std::uint8_t> covered;  // the original bytes from the jump on, plan->covered_size and the call
  std::uint64_t stub_address;
  std::uint64_t entry_pointer_address;  // eight bytes that hold the entry point
  std::uint32_t cookie;
};

// Upper bound that does not depend on addresses.
std::size_t stub_size(const PatchPlan& plan);
// False when some target is out of reach from the stub.
bool emit_stub(const StubRequest& request, Stub& stub);

}  // namespace casemate::runtime
