#include "runtime/intercept/patch/stub.h"

#include <limits>

#include "runtime/intercept/patch/decoder.h"

namespace casemate::runtime {
namespace {

inline constexpr std::size_t kCallSize = 2;
inline constexpr std::uint8_t kLoadGs[] = {0x65, 0x48, 0x8b, 0x0c, 0x25, 0, 0, 0, 0};  // mov %gs:0,%rcx
inline constexpr std::uint8_t kSubtract[] = {0x48, 0x8d, 0x89};                        // lea disp32(%rcx),%rcx
inline constexpr std::uint8_t kSkipTrap[] = {0xe3, 0x01, 0xcc};                        // jrcxz 1f; int3; 1:
inline constexpr std::uint8_t kLeaRcx[] = {0x48, 0x8d, 0x0d};
inline constexpr std::uint8_t kLeaR11[] = {0x4c, 0x8d, 0x1d};
inline constexpr std::uint8_t kCopyToR11[] = {0x49, 0x89, 0xcb};
inline constexpr std::uint8_t kJumpIndirect[] = {0xff, 0x25};
inline constexpr std::uint8_t kJump[] = {0xe9};
inline constexpr std::size_t kDisplacement = 4;
inline constexpr std::size_t kEnterSize = sizeof(kLoadGs) + sizeof(kSubtract) + kDisplacement + sizeof(kSkipTrap) +
                                          sizeof(kLeaRcx) + kDisplacement + sizeof(kLeaR11) + kDisplacement +
                                          sizeof(kJumpIndirect) + kDisplacement;

class Emitter {
 public:
  Emitter(std::uint64_t address, Stub& stub) : address_(address), stub_(stub) {}

  template <std::size_t kSize>
  void put(const std::uint8_t (&bytes)[kSize]) {
    put(std::span<const std::uint8_t>(bytes));
  }
  void put(std::span<const std::uint8_t> bytes) {
    for (const std::uint8_t byte : bytes) stub_.code[stub_.size++] = byte;
  }
  void put_word(std::uint32_t word) {
    for (unsigned i = 0; i < 4; ++i) stub_.code[stub_.size++] = static_cast<std::uint8_t>(word >> (8 * i));
  }
  // Displacement to `target` from the end of these four bytes.
  void put_distance(std::uint64_t target) { put_word(distance(target, here() + kDisplacement)); }

  void point(std::size_t original) {
    stub_.points[stub_.point_count++] = {static_cast<std::uint8_t>(original), stub_.size};
  }

  // One instruction of the program that stood at `original`.
  void move(std::span<const std::uint8_t> bytes, std::uint64_t original) {
    const Instruction instruction = decode(bytes);
    const std::size_t start = stub_.size;
    put(bytes);
    if ((instruction.traits & kTraitRipRelative) == 0) return;
    std::uint32_t displacement = 0;
    for (unsigned i = 0; i < 4; ++i) {
      displacement |= std::uint32_t{bytes[instruction.displacement_offset + i]} << (8 * i);
    }
    const std::uint64_t target =
        original + bytes.size() + static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(displacement)});
    const std::uint32_t moved = distance(target, here());
    for (unsigned i = 0; i < 4; ++i) {
      stub_.code[start + instruction.displacement_offset + i] = static_cast<std::uint8_t>(moved >> (8 * i));
    }
  }

  std::uint64_t here() const { return address_ + stub_.size; }
  bool in_reach() const { return in_reach_; }

 private:
  std::uint32_t distance(std::uint64_t target, std::uint64_t from) {
    const auto value = static_cast<std::int64_t>(target - from);
    in_reach_ &= value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max();
    return static_cast<std::uint32_t>(value);
  }

  std::uint64_t address_;
  Stub& stub_;
  bool in_reach_ = true;
};

}  // namespace

std::size_t stub_size(const PatchPlan& plan) {
  std::size_t size = kEnterSize + sizeof(kJump) + kDisplacement;
  for (unsigned i = 0; i < plan.before_count; ++i) size += plan.before_sizes[i];
  for (unsigned i = 0; i < plan.after_count; ++i) size += plan.after_sizes[i];
  return size;
}

bool emit_stub(const StubRequest& request, Stub& stub) {
  const PatchPlan& plan = *request.plan;
  if (stub_size(plan) > kMaxStubSize) return false;
  stub = {};
  Emitter emitter(request.stub_address, stub);
  const std::uint64_t jump = request.site - plan.before_size;
  std::size_t offset = 0;
  for (unsigned i = 0; i < plan.before_count; ++i) {
    emitter.point(offset);
    emitter.move(request.covered.subspan(offset, plan.before_sizes[i]), jump + offset);
    offset += plan.before_sizes[i];
  }
  emitter.point(offset);
  offset += kCallSize;
  const std::uint64_t return_address = request.site + kCallSize;
  stub.check = stub.size;
  emitter.put(kLoadGs);
  emitter.put(kSubtract);
  emitter.put_word(0u - request.cookie);
  emitter.put(kSkipTrap);
  emitter.put(kLeaRcx);
  emitter.put_distance(return_address);
  if (plan.after_count == 0) {
    emitter.put(kCopyToR11);
  } else {
    // The tail begins right behind the indirect jump.
    emitter.put(kLeaR11);
    emitter.put_word(sizeof(kJumpIndirect) + kDisplacement);
  }
  emitter.put(kJumpIndirect);
  emitter.put_distance(request.entry_pointer_address);
  stub.entered = stub.size;
  if (plan.after_count == 0) return emitter.in_reach();
  for (unsigned i = 0; i < plan.after_count; ++i) {
    emitter.point(offset);
    emitter.move(request.covered.subspan(offset, plan.after_sizes[i]), jump + offset);
    offset += plan.after_sizes[i];
  }
  if (!plan.ends_in_return) {
    emitter.point(offset);
    emitter.put(kJump);
    emitter.put_distance(jump + offset);
  }
  return emitter.in_reach();
}

}  // namespace casemate::runtime
