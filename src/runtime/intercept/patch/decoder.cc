// Table-driven: prefixes, opcode map, one attribute byte per opcode (ModRM? which immediate?), ModRM/SIB/displacement.
// The VEX and EVEX existence tables are facts about the instruction set, produced and checked against Zydis by
// decoder_test.cc (DecoderTables.*).
#include "runtime/intercept/patch/decoder.h"

#include <array>

#include "runtime/intercept/patch/decoder_tables.h"

namespace casemate::runtime {
namespace {

// Attribute byte: low nibble = immediate kind, bit 4 = ModRM follows, high values = special.
enum Immediate : std::uint8_t { kNone, kByte, kWord, kOperand, kWide, kAddress, kRelative8, kRelative32, kEnter };
inline constexpr std::uint8_t kModRm = 0x10;
inline constexpr std::uint8_t kIllegal = 0xfe;  // #UD in 64-bit mode
inline constexpr std::uint8_t kOpaque = 0xff;   // not known here, or handled before the table is asked

using Attributes = std::array<std::uint8_t, 256>;

constexpr void fill(Attributes& table, unsigned first, unsigned last, std::uint8_t value) {
  for (unsigned opcode = first; opcode <= last; ++opcode) table[opcode] = value;
}

constexpr Attributes make_primary() {
  Attributes table{};
  for (unsigned row = 0; row < 0x40; row += 8) {
    fill(table, row, row + 3, kModRm);
    table[row + 4] = kByte;
    table[row + 5] = kOperand;
    table[row + 6] = table[row + 7] = kIllegal;
  }
  fill(table, 0x60, 0x61, kIllegal);
  table[0x63] = kModRm;
  table[0x68] = kOperand;
  table[0x69] = kModRm | kOperand;
  table[0x6a] = kByte;
  table[0x6b] = kModRm | kByte;
  fill(table, 0x70, 0x7f, kRelative8);
  table[0x80] = table[0x83] = kModRm | kByte;
  table[0x81] = kModRm | kOperand;
  table[0x82] = kIllegal;
  fill(table, 0x84, 0x8f, kModRm);
  table[0x9a] = kIllegal;
  fill(table, 0xa0, 0xa3, kAddress);
  table[0xa8] = kByte;
  table[0xa9] = kOperand;
  fill(table, 0xb0, 0xb7, kByte);
  fill(table, 0xb8, 0xbf, kWide);
  table[0xc0] = table[0xc1] = table[0xc6] = kModRm | kByte;
  table[0xc2] = table[0xca] = kWord;
  table[0xc7] = kModRm | kOperand;
  table[0xc8] = kEnter;
  table[0xcd] = kByte;
  table[0xce] = table[0xd4] = table[0xd6] = table[0xea] = kIllegal;
  table[0xd5] = kOpaque;  // AAD once, REX2 on processors with APX
  fill(table, 0xd0, 0xd3, kModRm);
  fill(table, 0xd8, 0xdf, kModRm);
  fill(table, 0xe0, 0xe3, kRelative8);
  fill(table, 0xe4, 0xe7, kByte);
  table[0xe8] = table[0xe9] = kRelative32;
  table[0xeb] = kRelative8;
  table[0xf6] = table[0xf7] = table[0xfe] = table[0xff] = kModRm;
  return table;
}

constexpr Attributes make_secondary() {
  Attributes table{};
  fill(table, 0x00, 0xff, kModRm);
  fill(table, 0x04, 0x0c, kNone);
  table[0x04] = table[0x0a] = table[0x0c] = table[0x0f] = kOpaque;
  table[0x0e] = kNone;
  fill(table, 0x20, 0x27, kOpaque);  // control and debug registers
  fill(table, 0x30, 0x37, kNone);
  table[0x36] = kOpaque;
  fill(table, 0x38, 0x3f, kOpaque);
  fill(table, 0x70, 0x73, kModRm | kByte);
  table[0x77] = kNone;
  fill(table, 0x78, 0x7b, kOpaque);  // VMREAD, or SSE4a with two immediates
  fill(table, 0x80, 0x8f, kRelative32);
  fill(table, 0xa0, 0xa2, kNone);
  fill(table, 0xa6, 0xa7, kOpaque);
  fill(table, 0xa8, 0xaa, kNone);
  table[0xa4] = table[0xac] = table[0xba] = kModRm | kByte;
  table[0xc2] = kModRm | kByte;
  fill(table, 0xc4, 0xc6, kModRm | kByte);
  fill(table, 0xc8, 0xcf, kNone);
  return table;
}

inline constexpr Attributes kPrimary = make_primary();
inline constexpr Attributes kSecondary = make_secondary();

struct Range {
  std::uint8_t first, last;
};
inline constexpr Range k0f38[] = {{0x00, 0x0b}, {0x10, 0x10}, {0x14, 0x15}, {0x17, 0x17}, {0x1c, 0x1e}, {0x20, 0x25},
                                  {0x28, 0x2b}, {0x30, 0x41}, {0x80, 0x82}, {0xc8, 0xcd}, {0xcf, 0xcf}, {0xd8, 0xd8},
                                  {0xdb, 0xdf}, {0xf0, 0xf1}, {0xf5, 0xf6}, {0xf8, 0xf9}};
inline constexpr Range k0f3a[] = {{0x08, 0x0f}, {0x14, 0x17}, {0x20, 0x22}, {0x40, 0x42}, {0x44, 0x44},
                                  {0x60, 0x63}, {0xcc, 0xcc}, {0xce, 0xcf}, {0xdf, 0xdf}};

template <std::size_t kCount>
bool contains(const Range (&ranges)[kCount], std::uint8_t opcode) {
  for (const Range& range : ranges) {
    if (opcode >= range.first && opcode <= range.last) return true;
  }
  return false;
}

struct Prefixes {
  bool operand16 = false, address32 = false, repeat = false, repeat_not = false, lock = false;
  std::uint8_t rex = 0;
  bool wide() const { return (rex & 8) != 0; }
};

// Walks over the bytes; `status` leaves kKnown at the first problem and then nothing more is read.
class Decoder {
 public:
  explicit Decoder(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  Instruction run() {
    read_prefixes();
    read_opcode();
    if (result_.status == DecodeStatus::kKnown && position_ > kMaxInstructionSize) stop(DecodeStatus::kInvalid);
    result_.size = result_.status == DecodeStatus::kKnown ? static_cast<std::uint8_t>(position_) : 0;
    return result_;
  }

 private:
  void stop(DecodeStatus status) {
    if (result_.status == DecodeStatus::kKnown) result_.status = status;
  }
  bool failed() const { return result_.status != DecodeStatus::kKnown; }

  std::uint8_t peek() {
    if (position_ >= kMaxInstructionSize) {
      stop(DecodeStatus::kInvalid);
    } else if (position_ >= bytes_.size()) {
      stop(DecodeStatus::kTruncated);
    }
    return failed() ? 0 : bytes_[position_];
  }
  std::uint8_t next() {
    const std::uint8_t byte = peek();
    if (!failed()) ++position_;
    return byte;
  }
  void skip(std::size_t count) {
    position_ += count;
    if (position_ > kMaxInstructionSize) {
      stop(DecodeStatus::kInvalid);
    } else if (position_ > bytes_.size()) {
      stop(DecodeStatus::kTruncated);
    }
  }

  bool read_legacy_prefix(std::uint8_t byte) {
    switch (byte) {
      case 0x66:
        prefixes_.operand16 = true;
        return true;
      case 0x67:
        prefixes_.address32 = true;
        return true;
      case 0xf2:
        prefixes_.repeat_not = true;
        return true;
      case 0xf3:
        prefixes_.repeat = true;
        return true;
      case 0xf0:
        prefixes_.lock = true;
        return true;
      case 0x26:
      case 0x2e:
      case 0x36:
      case 0x3e:
      case 0x64:
      case 0x65:
        return true;
      default:
        return false;
    }
  }

  void read_prefixes() {
    while (!failed() && read_legacy_prefix(peek())) ++position_;
    if (failed() || (peek() & 0xf0) != 0x40) return;
    prefixes_.rex = next();
    const std::uint8_t following = peek();
    // A REX that is not the last prefix is ignored by the processor; no compiler writes one.
    if ((following & 0xf0) == 0x40 || read_legacy_prefix(following)) stop(DecodeStatus::kUnknown);
  }

  void read_opcode() {
    const std::uint8_t opcode = next();
    if (failed()) return;
    if (opcode == 0xc4 || opcode == 0xc5) return read_vex(opcode);
    if (opcode == 0x62) return read_evex();
    if (opcode == 0x0f) return read_escaped();
    note_opcode(0, opcode);
    apply(kPrimary[opcode]);
    if (failed()) return;
    primary_traits();
  }

  void read_escaped() {
    const std::uint8_t opcode = next();
    if (failed()) return;
    if (opcode == 0x38 || opcode == 0x3a) {
      const std::uint8_t third = next();
      if (failed()) return;
      note_opcode(opcode == 0x38 ? 2 : 3, third);
      const bool exists = opcode == 0x38 ? contains(k0f38, third) : contains(k0f3a, third);
      return apply(exists ? (opcode == 0x38 ? kModRm : kModRm | kByte) : kOpaque);
    }
    note_opcode(1, opcode);
    if (opcode == 0xb8 && !prefixes_.repeat) return stop(DecodeStatus::kUnknown);  // POPCNT only
    apply(kSecondary[opcode]);
    if (!failed()) secondary_traits();
  }

  void note_opcode(std::uint8_t map, std::uint8_t opcode) {
    result_.map = map;
    result_.opcode = opcode;
    result_.opcode_offset = static_cast<std::uint8_t>(position_ - 1);
    if (prefixes_.address32) result_.traits |= kTraitAddress32;
  }

  void read_vex(std::uint8_t first) {
    if (has_forbidden_prefix()) return stop(DecodeStatus::kUnknown);
    std::uint8_t map = 1;
    if (first == 0xc4) map = next() & 0x1f;
    const std::uint8_t last = next();
    const std::uint8_t opcode = next();
    if (failed()) return;
    note_opcode(map, opcode);
    // Maps that no manual has ever defined: every processor refuses them. Maps 5 to 7 are being filled, 0 was tried.
    if (map == 4 || map > 7) return stop(DecodeStatus::kInvalid);
    if (map < 1 || map > 3 || !exists_in(kVexOpcodes[map - 1][last & 3], opcode)) return stop(DecodeStatus::kUnknown);
    apply(vector_attributes(map, opcode));
  }

  void read_evex() {
    if (has_forbidden_prefix()) return stop(DecodeStatus::kUnknown);
    const std::uint8_t p0 = next(), p1 = next(), p2 = next();
    (void)p2;
    const std::uint8_t opcode = next();
    if (failed()) return;
    const std::uint8_t map = p0 & 7;
    note_opcode(map, opcode);
    const std::uint8_t row = map <= 3 ? static_cast<std::uint8_t>(map - 1) : static_cast<std::uint8_t>(map - 2);
    if ((p0 & 8) != 0 || (p1 & 4) == 0 || map == 0 || map == 4 || map == 7 ||
        !exists_in(kEvexOpcodes[row][p1 & 3], opcode)) {
      return stop(DecodeStatus::kUnknown);
    }
    apply(map <= 3 ? vector_attributes(map, opcode) : kModRm);
  }

  bool has_forbidden_prefix() const {
    return prefixes_.operand16 || prefixes_.repeat || prefixes_.repeat_not || prefixes_.lock || prefixes_.rex != 0;
  }
  static bool exists_in(const std::uint32_t (&bits)[8], std::uint8_t opcode) {
    return (bits[opcode >> 5] >> (opcode & 31) & 1) != 0;
  }
  static std::uint8_t vector_attributes(std::uint8_t map, std::uint8_t opcode) {
    if (map == 3) return kModRm | kByte;
    if (map == 2) return kModRm;
    if (opcode == 0x77) return kNone;
    const bool immediate = (opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6);
    return immediate ? kModRm | kByte : kModRm;
  }

  void apply(std::uint8_t attributes) {
    if (attributes == kIllegal) return stop(DecodeStatus::kInvalid);
    if (attributes == kOpaque) return stop(DecodeStatus::kUnknown);
    std::uint8_t immediate = attributes & 0x0f;
    if ((attributes & kModRm) != 0) {
      modrm_ = peek();
      if (failed()) return;
      if (result_.map == 0 && !adjust_group(immediate)) return stop(DecodeStatus::kUnknown);
      read_modrm();
    }
    if (!failed()) read_immediate(immediate);
  }

  // Groups of the one-byte map whose members differ in their immediate or do not exist.
  bool adjust_group(std::uint8_t& immediate) {
    const unsigned member = modrm_ >> 3 & 7;
    switch (result_.opcode) {
      case 0xf6:
        immediate = member < 2 ? kByte : kNone;
        return true;
      case 0xf7:
        immediate = member < 2 ? kOperand : kNone;
        return true;
      case 0xc6:
        return member == 0 || modrm_ == 0xf8;
      case 0xc7:
        if (modrm_ == 0xf8) immediate = kRelative32;
        return member == 0 || modrm_ == 0xf8;
      case 0x8f:
        return member == 0;  // the rest is XOP
      case 0xfe:
        return member < 2;
      case 0xff:
        return member < 7;
      default:
        return true;
    }
  }

  void read_modrm() {
    ++position_;
    const unsigned mode = modrm_ >> 6, base = modrm_ & 7;
    if (mode == 3) return;
    bool full = mode == 2;
    if (base == 4) {
      const std::uint8_t sib = next();
      full |= mode == 0 && (sib & 7) == 5;
    } else if (mode == 0 && base == 5) {
      full = true;
      result_.traits |= kTraitRipRelative;
    }
    if (failed() || (!full && mode != 1)) return;
    result_.displacement_offset = static_cast<std::uint8_t>(position_);
    result_.displacement_size = full ? 4 : 1;
    skip(result_.displacement_size);
  }

  void read_immediate(std::uint8_t kind) {
    std::size_t size = 0;
    const std::size_t operand = prefixes_.operand16 && !prefixes_.wide() ? 2 : 4;
    switch (kind) {
      case kNone:
        return;
      case kByte:
        size = 1;
        break;
      case kWord:
        size = 2;
        break;
      case kOperand:
        size = operand;
        break;
      case kWide:
        size = prefixes_.wide() ? 8 : operand;
        break;
      case kAddress:
        size = prefixes_.address32 ? 4 : 8;
        break;
      case kEnter:
        size = 3;
        break;
      case kRelative8:
        size = 1;
        break;
      case kRelative32:
        // Intel ignores the prefix, AMD cuts displacement and target to 16 bits.
        if (operand == 2) return stop(DecodeStatus::kUnknown);
        size = 4;
        break;
      default:
        return stop(DecodeStatus::kUnknown);
    }
    if (kind == kRelative8 || kind == kRelative32) result_.traits |= kTraitRelativeBranch;
    result_.immediate_offset = static_cast<std::uint8_t>(position_);
    result_.immediate_size = static_cast<std::uint8_t>(size);
    skip(size);
  }

  void primary_traits() {
    const unsigned member = modrm_ >> 3 & 7;
    switch (result_.opcode) {
      case 0xe8:
        result_.traits |= kTraitCall;
        break;
      case 0xe9:
      case 0xeb:
        result_.traits |= kTraitStops;
        break;
      case 0xc2:
      case 0xc3:
        result_.traits |= kTraitReturn | kTraitStops;
        break;
      case 0xca:
      case 0xcb:
      case 0xcf:
        result_.traits |= kTraitSystem | kTraitStops;
        break;
      case 0xcc:
      case 0xf1:
        result_.traits |= kTraitTrap;
        break;
      case 0xf4:
        result_.traits |= kTraitTrap | kTraitStops;
        break;
      case 0xcd:
      case 0xfa:
      case 0xfb:
      case 0x6c:
      case 0x6d:
      case 0x6e:
      case 0x6f:
      case 0xe4:
      case 0xe5:
      case 0xe6:
      case 0xe7:
      case 0xec:
      case 0xed:
      case 0xee:
      case 0xef:
        result_.traits |= kTraitSystem;
        break;
      case 0xff:
        if (member == 2 || member == 3) result_.traits |= kTraitIndirectBranch | kTraitCall;
        if (member == 4 || member == 5) result_.traits |= kTraitIndirectBranch | kTraitStops;
        if (member == 3 || member == 5) result_.traits |= kTraitSystem;
        break;
      default:
        break;
    }
  }

  void secondary_traits() {
    switch (result_.opcode) {
      case 0x00:
      case 0x01:
      case 0x05:
      case 0x06:
      case 0x07:
      case 0x08:
      case 0x09:
      case 0x30:
      case 0x32:
      case 0x33:
      case 0x34:
      case 0x35:
      case 0x37:
        result_.traits |= kTraitSystem;
        break;
      case 0x0b:
      case 0xb9:
      case 0xff:
        result_.traits |= kTraitTrap | kTraitStops;
        break;
      default:
        break;
    }
  }

  std::span<const std::uint8_t> bytes_;
  std::size_t position_ = 0;
  Prefixes prefixes_;
  std::uint8_t modrm_ = 0;
  Instruction result_{};
};

}  // namespace

Instruction decode(std::span<const std::uint8_t> bytes) { return Decoder(bytes).run(); }

bool is_relocatable(const Instruction& instruction) {
  constexpr std::uint32_t kFixed =
      kTraitRelativeBranch | kTraitIndirectBranch | kTraitCall | kTraitReturn | kTraitStops | kTraitSystem | kTraitTrap;
  if (instruction.status != DecodeStatus::kKnown || (instruction.traits & kFixed) != 0) return false;
  constexpr std::uint32_t kEipRelative = kTraitRipRelative | kTraitAddress32;
  return (instruction.traits & kEipRelative) != kEipRelative;
}

std::uint64_t branch_target(const Instruction& instruction, std::span<const std::uint8_t> bytes,
                            std::uint64_t address) {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < instruction.immediate_size; ++i) {
    value |= std::uint32_t{bytes[instruction.immediate_offset + i]} << (8 * i);
  }
  const std::int64_t distance =
      instruction.immediate_size == 1 ? static_cast<std::int8_t>(value) : static_cast<std::int32_t>(value);
  return address + instruction.size + static_cast<std::uint64_t>(distance);
}

}  // namespace casemate::runtime
