// Decides which bytes around a proven `syscall` become the jump, and which instructions move into the stub. Pure: bytes
// in, plans out.
//
// The jump is `e9` and four bytes of displacement. It starts at an instruction and may run over the starts of others;
// each of these inner starts must hold `cc`, so that a thread that stands or lands there traps and is sent to the copy
// in the stub. The displacement bytes there are `cc` when the stub stands at a suitable address: the plan says which
// bytes of the displacement are fixed, stub memory finds the place.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/intercept/patch/site_proof.h"

namespace casemate::runtime {

inline constexpr std::size_t kJumpSize = 5;
inline constexpr std::size_t kMaxMoved = 4;       // instructions moved on each side of the call
inline constexpr std::size_t kWindowBefore = 64;  // bytes the planner sees before and after the site
inline constexpr std::size_t kWindowAfter = 64;
inline constexpr std::size_t kMaxCovered = 32;  // bytes from the jump to the end of what it covers
inline constexpr std::size_t kMaxPlans = kMaxMoved + 1;

// Which 32-bit displacements are allowed: (displacement & mask) == value. Whole bytes.
struct DisplacementPattern {
  std::uint32_t mask, value;
};

struct PatchPlan {
  std::uint8_t before_size;              // the jump starts this many bytes before the site
  std::uint8_t before_count;             // instructions moved from before the call
  std::uint8_t after_count;              // instructions moved from behind it
  std::uint8_t before_sizes[kMaxMoved];  // in program order
  std::uint8_t after_sizes[kMaxMoved];
  std::uint8_t covered_size;  // from the jump to the end of the last covered instruction
  bool covers_call;           // the bytes of the call are (partly) overwritten
  bool ends_in_return;        // the last moved instruction is `ret`: nothing to jump back to
  DisplacementPattern pattern;
};

struct PlanRequest {
  std::uint64_t site;
  // Bytes [site - kWindowBefore, ...): `window[kWindowBefore]` is the `0f`. May end early, but not before the call.
  std::span<const std::uint8_t> window;
  const SiteProof* proof;
};

struct PatchPlans {
  std::size_t count;
  std::array<PatchPlan, kMaxPlans> plans;  // best first
};

PatchPlans plan_patch(const PlanRequest& request);

}  // namespace casemate::runtime
