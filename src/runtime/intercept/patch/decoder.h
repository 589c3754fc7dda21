// Lengths and the few properties of x86-64 instructions that relocation needs. Not a disassembler.
// Reference: Intel SDM volume 2, chapter 2 and appendix A; AMD APM volume 3.
//
// kKnown means: if this encoding is an instruction at all, it has exactly this length. Encodings inside a known opcode
// that every processor refuses (a register form of a memory-only instruction, say) are not singled out: that makes
// proofs stricter, never looser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace casemate::runtime {

inline constexpr std::size_t kMaxInstructionSize = 15;

enum class DecodeStatus : std::uint8_t {
  kKnown,
  kInvalid,    // #UD in 64-bit mode on every processor: no program runs through it
  kTruncated,  // the bytes end inside the instruction
  kUnknown,    // the decoder does not know; assume nothing
};

// Traits of an instruction; a set.
inline constexpr std::uint32_t kTraitRelativeBranch = 1 << 0;  // jcc, jmp, call, loop, xbegin with a displacement
inline constexpr std::uint32_t kTraitIndirectBranch = 1 << 1;
inline constexpr std::uint32_t kTraitCall = 1 << 2;
inline constexpr std::uint32_t kTraitReturn = 1 << 3;       // near ret
inline constexpr std::uint32_t kTraitStops = 1 << 4;        // never continues with the next instruction
inline constexpr std::uint32_t kTraitSystem = 1 << 5;       // syscall, sysenter, int, privileged, far transfers
inline constexpr std::uint32_t kTraitTrap = 1 << 6;         // int3, int1, ud0-2, hlt
inline constexpr std::uint32_t kTraitRipRelative = 1 << 7;  // its displacement counts from the next instruction
inline constexpr std::uint32_t kTraitAddress32 = 1 << 8;    // prefix 67

struct Instruction {
  DecodeStatus status;
  std::uint8_t size;
  std::uint8_t opcode_offset;  // of the last opcode byte
  std::uint8_t map;            // 0: one byte, 1: 0f, 2: 0f38, 3: 0f3a, 5 and 6: EVEX maps
  std::uint8_t opcode;
  std::uint8_t displacement_offset, displacement_size;  // of the memory operand
  std::uint8_t immediate_offset, immediate_size;        // also of a relative branch
  std::uint32_t traits;
};

Instruction decode(std::span<const std::uint8_t> bytes);

// Can it run at another address, at most with its RIP-relative displacement changed?
bool is_relocatable(const Instruction& instruction);
// Target of a relative branch that stands at `address`.
std::uint64_t branch_target(const Instruction& instruction, std::span<const std::uint8_t> bytes, std::uint64_t address);

}  // namespace casemate::runtime
