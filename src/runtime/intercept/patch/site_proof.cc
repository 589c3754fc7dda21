#include "runtime/intercept/patch/site_proof.h"

#include "runtime/intercept/patch/decoder.h"
#include "runtime/intercept/patch/function_bounds.h"
#include "runtime/intercept/patch/patch_table.h"

namespace casemate::runtime {
namespace {

// Longer functions are not decoded as a whole (a few nanoseconds a byte); the window decides.
inline constexpr std::uint64_t kMaxFunctionSize = 128 * 1024;

// Streams through program memory; holds a copy of a few hundred bytes.
class CodeReader {
 public:
  explicit CodeReader(std::uint64_t end) : end_(end) {}

  // Bytes at `address` (ascending calls): at least one instruction's worth unless `end` is near. Empty on a fault.
  std::span<const std::uint8_t> at(std::uint64_t address) {
    if (address < base_ || address + kMaxInstructionSize > base_ + size_) refill(address);
    if (address < base_ || address >= base_ + size_) return {};
    const std::size_t offset = address - base_;
    return {buffer_ + offset, size_ - offset};
  }

 private:
  void refill(std::uint64_t address) {
    if (base_ + size_ == end_ && address >= base_ && size_ != 0) return;  // the tail is already here
    base_ = address;
    size_ = address < end_ ? end_ - address : 0;
    if (size_ > sizeof(buffer_)) size_ = sizeof(buffer_);
    if (size_ != 0 && copy_original_code(buffer_, address, size_) != 0) size_ = 0;
  }

  std::uint64_t end_, base_ = 0;
  std::size_t size_ = 0;
  std::uint8_t buffer_[512];
};

void note_target(SiteProof& proof, std::uint64_t site, std::uint64_t target) {
  const std::uint64_t bit = target - site + kTargetRange;
  if (bit < 64) proof.target_mask |= 1ull << bit;
}

// Pushes the size of one more instruction before the site; the oldest falls out.
void push_before(SiteProof& proof, unsigned size) {
  for (unsigned i = kMaxProvenBefore - 1; i > 0; --i) proof.before_size[i] = proof.before_size[i - 1];
  proof.before_size[0] = static_cast<std::uint8_t>(size);
  if (proof.before_count < kMaxProvenBefore) ++proof.before_count;
}

bool prove_in_function(const FunctionBounds& bounds, std::uint64_t site, SiteProof& proof) {
  CodeReader reader(bounds.end);
  bool arrived = false;
  std::uint64_t address = bounds.start;
  while (address < bounds.end) {
    const auto bytes = reader.at(address);
    const Instruction instruction = decode(bytes);
    if (instruction.status != DecodeStatus::kKnown) break;
    if (address == site) {
      arrived = instruction.map == 1 && instruction.opcode == 0x05 && instruction.size == 2;
      if (!arrived) break;
    }
    if ((instruction.traits & kTraitRelativeBranch) != 0) {
      note_target(proof, site, branch_target(instruction, bytes, address));
    }
    if (address < site) push_before(proof, instruction.size);
    address += instruction.size;
    if (address > site && !arrived) break;
  }
  proof.kind = ProofKind::kFunction;
  proof.code_end = bounds.end;
  return arrived;
}

inline constexpr std::size_t kBack = 160;       // how far before the site streams begin
inline constexpr std::size_t kRemembered = 32;  // boundaries this near to the site are compared

enum class Fate : std::uint8_t { kArrives, kMisses, kInvalid };

// What becomes of a stream from each offset; offset `size` is the site.
class Streams {
 public:
  bool read(std::uint64_t start, std::uint64_t site) {
    size_ = site - start;
    return copy_original_code(bytes_, start, size_ + 2) == 0 && bytes_[size_] == 0x0f && bytes_[size_ + 1] == 0x05;
  }

  void follow_all() {
    for (std::size_t offset = size_; offset-- > 0;) follow(offset);
  }

  std::size_t size() const { return size_; }
  Fate fate(std::size_t offset) const { return fate_[offset]; }
  // Instruction starts of the stream from `offset`, as bits (distance before the site - 1).
  std::uint32_t path(std::size_t offset) const { return path_[offset]; }
  std::size_t next(std::size_t offset) const { return offset + length_[offset]; }

 private:
  void follow(std::size_t offset) {
    path_[offset] = 0;
    length_[offset] = 0;
    const Instruction instruction = decode({bytes_ + offset, size_ + 2 - offset});
    if (instruction.status != DecodeStatus::kKnown) {
      // Truncated: it reaches beyond the system call.
      fate_[offset] = instruction.status == DecodeStatus::kInvalid ? Fate::kInvalid : Fate::kMisses;
      return;
    }
    length_[offset] = instruction.size;
    const std::size_t following = offset + instruction.size;
    if (following > size_) {
      fate_[offset] = Fate::kMisses;
      return;
    }
    fate_[offset] = following == size_ ? Fate::kArrives : fate_[following];
    path_[offset] = following == size_ ? 0 : path_[following];
    const std::size_t distance = size_ - offset;
    if (distance <= kRemembered) path_[offset] |= 1u << (distance - 1);
  }

  std::size_t size_ = 0;
  std::uint8_t bytes_[kBack + 2];
  std::uint8_t length_[kBack];
  Fate fate_[kBack];
  std::uint32_t path_[kBack];
};

// `path` holds one chain of instructions that ends at the site: all starts that every stream shares. A shared start
// has one successor, so between shared starts nothing is missing.
void note_path(SiteProof& proof, std::uint32_t path) {
  unsigned previous = 0;
  for (unsigned distance = 1; distance <= kRemembered && proof.before_count < kMaxProvenBefore; ++distance) {
    if ((path >> (distance - 1) & 1) == 0) continue;
    proof.before_size[proof.before_count++] = static_cast<std::uint8_t>(distance - previous);
    previous = distance;
  }
}

struct WindowVerdict {
  bool proven;
  std::uint32_t shared;  // instruction starts that all streams of the window have in common
};

WindowVerdict prove_window(const Streams& streams, std::size_t first) {
  WindowVerdict verdict{false, ~std::uint32_t{0}};
  for (std::size_t offset = first; offset < first + kMaxInstructionSize; ++offset) {
    if (streams.fate(offset) == Fate::kMisses) return {false, 0};
    if (streams.fate(offset) == Fate::kInvalid) continue;
    verdict.shared &= streams.path(offset);
    verdict.proven = true;
  }
  return verdict;
}

// One window proves the site; others may know more of the instructions before it. Windows that contradict each other
// mean that there is data in between.
bool prove_by_windows(const Streams& streams, SiteProof& proof) {
  const std::size_t windows = streams.size() < kMaxInstructionSize ? 0 : streams.size() - kMaxInstructionSize + 1;
  WindowVerdict best{false, 0};
  for (std::size_t first = windows; first-- > 0;) {
    const WindowVerdict verdict = prove_window(streams, first);
    if (!verdict.proven) continue;
    const std::uint32_t common = best.shared & verdict.shared;
    if (best.proven && common != best.shared && common != verdict.shared) return false;
    best = {true, best.shared | verdict.shared};
  }
  if (!best.proven) return false;
  proof.kind = ProofKind::kUnanimous;
  note_path(proof, best.shared);
  return true;
}

bool prove_from_mapping_start(const Streams& streams, SiteProof& proof) {
  if (streams.size() != 0 && streams.fate(0) != Fate::kArrives) return false;
  std::size_t offset = 0;
  while (offset < streams.size()) {
    const std::size_t following = streams.next(offset);
    for (std::size_t inside = offset + 1; inside < following && following < streams.size(); ++inside) {
      if (streams.fate(inside) == Fate::kMisses) return false;
    }
    offset = following;
  }
  proof.kind = ProofKind::kMappingStart;
  if (streams.size() != 0) note_path(proof, streams.path(0));
  return true;
}

SiteProof prove_without_function(const CodeMapping& mapping, std::uint64_t site) {
  SiteProof proof{};
  proof.code_end = mapping.end;
  const std::uint64_t available = site - mapping.start;
  Streams streams;
  if (!streams.read(available < kBack ? mapping.start : site - kBack, site)) return proof;
  streams.follow_all();
  if (prove_by_windows(streams, proof)) return proof;
  if (available < kBack && prove_from_mapping_start(streams, proof)) return proof;
  return {};
}

}  // namespace

SiteProof prove_site(const CodeMapping& mapping, std::uint64_t site) {
  if (site < mapping.start || site + 2 > mapping.end) return {};
  if (mapping.backing == CodeBacking::kFile) {
    const FunctionBounds bounds = find_function(mapping, site);
    if (bounds.found && bounds.end - bounds.start <= kMaxFunctionSize) {
      // A function that does not decode cleanly contains data or unusual code: leave it alone.
      SiteProof proof{};
      return prove_in_function(bounds, site, proof) ? proof : SiteProof{};
    }
  }
  return prove_without_function(mapping, site);
}

}  // namespace casemate::runtime
