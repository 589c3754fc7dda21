#include "runtime/intercept/patch/patch_plan.h"

#include "runtime/intercept/patch/decoder.h"

namespace casemate::runtime {
namespace {

inline constexpr std::uint8_t kInt3 = 0xcc;
inline constexpr std::size_t kCallSize = 2;

// Costs: first avoid patches that a known branch would hit in the middle (each hit traps), then placements that need
// memory of their own, then moving much.
inline constexpr unsigned kCostOfTarget = 1000;
inline constexpr unsigned kCostOfMove = 1;

// By the number of the displacement byte. The lowest byte: a place in every 256 bytes. The next: 256 bytes in every
// 64 KiB. The highest: one place for all sites of an object, but 816 MiB below it. The third: 64 KiB in every 16 MiB.
inline constexpr unsigned kCostOfByte[4] = {2, 5, 20, 10};

// Unwinders and debuggers recognise the return from a signal handler by these very bytes.
bool is_signal_return(std::span<const std::uint8_t> window) {
  const std::uint8_t* call = window.data() + kWindowBefore;
  constexpr std::uint8_t kLong[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0}, kShort[] = {0xb8, 15, 0, 0, 0};
  return __builtin_memcmp(call - sizeof(kLong), kLong, sizeof(kLong)) == 0 ||
         __builtin_memcmp(call - sizeof(kShort), kShort, sizeof(kShort)) == 0;
}

struct Neighbour {
  std::uint8_t size;
  bool is_return;
};

struct Neighbours {
  std::size_t before_count = 0, after_count = 0;
  Neighbour before[kMaxMoved];  // nearest first
  Neighbour after[kMaxMoved];
};

bool is_plain_return(const Instruction& instruction, std::span<const std::uint8_t> bytes) {
  return (instruction.traits & kTraitReturn) != 0 && bytes[0] != 0x66 && instruction.size <= 2 &&
         instruction.opcode == 0xc3;
}

Neighbours collect(const PlanRequest& request) {
  Neighbours result;
  std::size_t offset = kWindowBefore;
  const SiteProof& proof = *request.proof;
  for (std::size_t i = 0; i < proof.before_count && i < kMaxMoved && proof.before_size[i] <= offset; ++i) {
    offset -= proof.before_size[i];
    const Instruction instruction = decode(request.window.subspan(offset));
    if (instruction.size != proof.before_size[i] || !is_relocatable(instruction)) break;
    result.before[result.before_count++] = {instruction.size, false};
  }
  offset = kWindowBefore + kCallSize;
  while (result.after_count < kMaxMoved && offset < request.window.size()) {
    const auto bytes = request.window.subspan(offset);
    const Instruction instruction = decode(bytes);
    const bool is_return = instruction.status == DecodeStatus::kKnown && is_plain_return(instruction, bytes);
    if (!is_return && !is_relocatable(instruction)) break;
    if (request.site - kWindowBefore + offset + instruction.size > proof.code_end) break;
    result.after[result.after_count++] = {instruction.size, is_return};
    if (is_return) break;
    offset += instruction.size;
  }
  return result;
}

bool is_target(const PlanRequest& request, std::int64_t distance) {
  const std::int64_t bit = distance + kTargetRange;
  return bit >= 0 && bit < 64 && (request.proof->target_mask >> bit & 1) != 0;
}

struct Candidate {
  PatchPlan plan;
  unsigned cost;
};

// Notes the start of an instruction `offset` bytes into the jump.
void add_boundary(Candidate& candidate, const PlanRequest& request, std::size_t offset) {
  if (offset == 0 || offset >= kJumpSize) return;
  const std::size_t byte = offset - 1;
  candidate.plan.pattern.mask |= 0xffu << (8 * byte);
  candidate.plan.pattern.value |= static_cast<std::uint32_t>(kInt3) << (8 * byte);
  candidate.cost += kCostOfByte[byte];
  if (is_target(request, static_cast<std::int64_t>(offset) - candidate.plan.before_size)) {
    candidate.cost += kCostOfTarget;
  }
}

Candidate make_candidate(const PlanRequest& request, const Neighbours& neighbours, std::size_t before_count,
                         std::size_t after_count, bool covers_call) {
  Candidate candidate{};
  PatchPlan& plan = candidate.plan;
  plan.before_count = static_cast<std::uint8_t>(before_count);
  plan.after_count = static_cast<std::uint8_t>(after_count);
  plan.covers_call = covers_call;
  for (std::size_t i = 0; i < before_count; ++i) {
    plan.before_sizes[before_count - 1 - i] = neighbours.before[i].size;
    plan.before_size = static_cast<std::uint8_t>(plan.before_size + neighbours.before[i].size);
  }
  std::size_t offset = 0;
  for (std::size_t i = 0; i < before_count; ++i) {
    add_boundary(candidate, request, offset);
    offset += plan.before_sizes[i];
  }
  if (covers_call) {
    add_boundary(candidate, request, offset);
    offset += kCallSize;
    for (std::size_t i = 0; i < after_count; ++i) {
      add_boundary(candidate, request, offset);
      plan.after_sizes[i] = neighbours.after[i].size;
      plan.ends_in_return = neighbours.after[i].is_return;
      offset += plan.after_sizes[i];
    }
  } else if (is_target(request, 0)) {
    candidate.cost += kCostOfTarget;  // who arrives at the call directly would trap
  }
  plan.covered_size = static_cast<std::uint8_t>(offset);
  candidate.cost += kCostOfMove * static_cast<unsigned>(before_count + after_count);
  return candidate;
}

// Ordered by cost. One candidate for each number of instructions before the call, so it cannot overflow.
struct Ranking {
  std::size_t count = 0;
  std::array<Candidate, kMaxPlans> best;

  void insert(const Candidate& candidate) {
    if (candidate.plan.covered_size > kMaxCovered || count == best.size()) return;
    std::size_t place = count++;
    for (; place > 0 && best[place - 1].cost > candidate.cost; --place) best[place] = best[place - 1];
    best[place] = candidate;
  }
};

}  // namespace

PatchPlans plan_patch(const PlanRequest& request) {
  PatchPlans result{};
  if (request.window.size() < kWindowBefore + kCallSize || is_signal_return(request.window)) return result;
  const Neighbours neighbours = collect(request);
  Ranking ranking{};
  for (std::size_t before = 0; before <= neighbours.before_count; ++before) {
    std::size_t before_size = 0;
    for (std::size_t i = 0; i < before; ++i) before_size += neighbours.before[i].size;
    if (before_size >= kJumpSize) {
      ranking.insert(make_candidate(request, neighbours, before, 0, false));
      break;  // more instructions before the call cannot be better
    }
    for (std::size_t after = 0, size = before_size + kCallSize; after <= neighbours.after_count; ++after) {
      if (after > 0) size += neighbours.after[after - 1].size;
      if (size < kJumpSize) continue;
      ranking.insert(make_candidate(request, neighbours, before, after, true));
      break;
    }
  }
  result.count = ranking.count;
  for (std::size_t i = 0; i < ranking.count; ++i) result.plans[i] = ranking.best[i].plan;
  return result;
}

}  // namespace casemate::runtime
