// The decoder against Zydis, over real programs and random bytes, and by hand where Zydis cannot say (traits).
#include "runtime/intercept/patch/decoder.h"

#include <Zydis/Zydis.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <initializer_list>
#include <random>

#include "runtime/intercept/patch/decoder_tables.h"
#include "runtime/intercept/patch/testing/elf_text.h"

namespace casemate::runtime {
namespace {

class Oracle {
 public:
  Oracle() { ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64); }
  // 0: no instruction.
  unsigned size(const std::uint8_t* bytes, std::size_t available) {
    return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder_, nullptr, bytes, available, &last)) ? last.length : 0;
  }
  ZydisDecodedInstruction last;

 private:
  ZydisDecoder decoder_;
};

std::string hex(const std::uint8_t* bytes, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    char pair[4];
    std::snprintf(pair, sizeof(pair), "%02x ", bytes[i]);
    text += pair;
  }
  return text;
}

struct Tally {
  std::uint64_t agreed = 0, unknown = 0, accepted_more = 0;
  unsigned failures = 0;
};

// Known: Zydis gives the same length or no instruction at all. Invalid: Zydis refuses too.
void compare(Oracle& oracle, const std::uint8_t* bytes, std::size_t available, Tally& tally) {
  const Instruction ours = decode({bytes, available});
  const unsigned theirs = oracle.size(bytes, available);
  bool wrong = false;
  if (ours.status == DecodeStatus::kKnown) {
    if (theirs == 0) ++tally.accepted_more;
    if (theirs == ours.size) ++tally.agreed;
    wrong = theirs != 0 && theirs != ours.size;
    if (theirs == ours.size) {
      const bool relative = (oracle.last.attributes & ZYDIS_ATTRIB_IS_RELATIVE) != 0;
      const bool ours_relative = (ours.traits & (kTraitRelativeBranch | kTraitRipRelative)) != 0;
      wrong |= relative != ours_relative;
      wrong |= oracle.last.raw.disp.size / 8 != ours.displacement_size && ours.immediate_size != 8 &&
               !(oracle.last.raw.disp.size > 0 && oracle.last.raw.modrm.offset == 0);  // moffs
    }
  } else if (ours.status == DecodeStatus::kInvalid || ours.status == DecodeStatus::kTruncated) {
    wrong = theirs != 0;
  } else if (theirs != 0) {
    ++tally.unknown;
  }
  if (wrong && ++tally.failures <= 20) {
    ADD_FAILURE() << hex(bytes, available) << " ours " << int{ours.size} << " (status " << static_cast<int>(ours.status)
                  << "), zydis " << theirs;
  }
}

const char* const kPrograms[] = {
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/x86_64-linux-gnu/libm.so.6",
    "/usr/lib/x86_64-linux-gnu/libgomp.so.1",
    "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
    "/lib/ld-musl-x86_64.so.1",
    "/usr/bin/node",
    "/usr/lib/go-1.19/bin/go",
    "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
};

// Linear sweep as Zydis sees it, so that real instructions are compared.
TEST(Decoder, AgreesWithZydisOnRealPrograms) {
  Oracle oracle;
  unsigned seen = 0;
  for (const char* path : kPrograms) {
    Tally tally;
    const auto segments = testing::executable_segments(testing::read_file(path));
    for (const auto& segment : segments) {
      const std::size_t limit = std::min<std::size_t>(segment.bytes.size(), 12u << 20);
      for (std::size_t at = 0; at < limit;) {
        const std::size_t available = std::min<std::size_t>(15, segment.bytes.size() - at);
        compare(oracle, segment.bytes.data() + at, available, tally);
        const unsigned size = oracle.size(segment.bytes.data() + at, available);
        at += size == 0 ? 1 : size;
      }
    }
    if (segments.empty()) continue;
    ++seen;
    std::printf("%-44s agreed %lu, unknown %lu, accepted more %lu\n", path, tally.agreed, tally.unknown,
                tally.accepted_more);
    EXPECT_LT(tally.unknown * 1000, tally.agreed) << path;
  }
  EXPECT_GE(seen, 2u);
}

TEST(Decoder, AgreesWithZydisOnRandomBytes) {
  Oracle oracle;
  Tally tally;
  std::mt19937_64 random(20231123);
  for (unsigned i = 0; i < 3'000'000; ++i) {
    std::uint8_t bytes[16];
    for (unsigned j = 0; j < 16; j += 8) {
      const std::uint64_t word = random();
      std::memcpy(bytes + j, &word, 8);
    }
    // Half of the time lead into the maps that random bytes seldom reach.
    switch (random() % 16) {
      case 0:
        bytes[0] = 0x0f;
        break;
      case 1:
        bytes[0] = 0x62;
        bytes[1] &= 0xf7;
        bytes[2] |= 4;
        break;
      case 2:
        bytes[0] = 0xc4;
        bytes[1] &= 0xe3;
        break;
      case 3:
        bytes[0] = 0xc5;
        break;
      case 4:
        bytes[0] = 0x66;
        bytes[1] = 0x0f;
        break;
      case 5:
        bytes[0] = 0x0f;
        bytes[1] = 0x38;
        break;
      case 6:
        bytes[0] = 0x0f;
        bytes[1] = 0x3a;
        break;
      case 7:
        bytes[0] = 0x48;
        break;
      default:
        break;
    }
    compare(oracle, bytes, random() % 8 == 0 ? random() % 15 + 1 : 15, tally);
  }
  std::printf("random: agreed %lu, unknown %lu, accepted more %lu\n", tally.agreed, tally.unknown, tally.accepted_more);
  EXPECT_GT(tally.agreed, 1'000'000u);
}

// Every opcode of every map under every prefix that matters, with every ModRM.
TEST(Decoder, AgreesWithZydisOnEveryOpcode) {
  Oracle oracle;
  Tally tally;
  const std::vector<std::vector<std::uint8_t>> prefixes = {{},     {0x66}, {0xf2},       {0xf3},
                                                           {0x48}, {0x67}, {0x66, 0x48}, {0x41}};
  const std::vector<std::vector<std::uint8_t>> escapes = {{}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}};
  for (const auto& prefix : prefixes) {
    for (const auto& escape : escapes) {
      for (unsigned opcode = 0; opcode < 256; ++opcode) {
        for (unsigned modrm = 0; modrm < 256; ++modrm) {
          std::vector<std::uint8_t> bytes = prefix;
          bytes.insert(bytes.end(), escape.begin(), escape.end());
          bytes.push_back(static_cast<std::uint8_t>(opcode));
          bytes.push_back(static_cast<std::uint8_t>(modrm));
          bytes.resize(15, 0x25);
          compare(oracle, bytes.data(), bytes.size(), tally);
        }
      }
    }
  }
}

bool vector_opcode_exists(Oracle& oracle, bool evex, unsigned map, unsigned prefix, unsigned opcode) {
  const unsigned sources[] = {15, 5, 0};
  for (unsigned bits = 0; bits < 32; ++bits) {
    const unsigned wide = bits & 1, length = bits >> 1 & 3, mask = bits >> 3 & 1, broadcast = bits >> 4 & 1;
    if (!evex && (mask != 0 || broadcast != 0 || length > 1)) continue;
    for (const unsigned source : sources) {
      for (unsigned modrm = 0; modrm < 256; ++modrm) {
        if ((modrm & 7) != 0 && (modrm & 7) != 4) continue;  // a plain and a SIB form of each
        std::uint8_t bytes[15] = {};
        unsigned n = 0;
        bytes[n++] = evex ? 0x62 : 0xc4;
        bytes[n++] = static_cast<std::uint8_t>((evex ? 0xf0 : 0xe0) | map);
        bytes[n++] = static_cast<std::uint8_t>(wide << 7 | source << 3 | (evex ? 4 : length << 2) | prefix);
        if (evex) bytes[n++] = static_cast<std::uint8_t>(length << 5 | broadcast << 4 | 8 | mask);
        bytes[n++] = static_cast<std::uint8_t>(opcode);
        bytes[n++] = static_cast<std::uint8_t>(modrm);
        bytes[n++] = 0x48;
        if (oracle.size(bytes, sizeof(bytes)) != 0) return true;
      }
    }
  }
  return false;
}

// Knights Corner's jkzd and jknzd (a displacement, no ModRM) share the VEX space; nothing else runs them.
bool is_knights_corner(bool evex, unsigned map, unsigned opcode) {
  return !evex && map == 1 && (opcode == 0x84 || opcode == 0x85);
}

TEST(DecoderTables, ListExactlyTheVectorOpcodesThatExist) {
  Oracle oracle;
  const auto check = [&](bool evex, unsigned map, const std::uint32_t(&table)[4][8]) {
    for (unsigned prefix = 0; prefix < 4; ++prefix) {
      for (unsigned opcode = 0; opcode < 256; ++opcode) {
        const bool listed = (table[prefix][opcode >> 5] >> (opcode & 31) & 1) != 0;
        const bool exists =
            !is_knights_corner(evex, map, opcode) && vector_opcode_exists(oracle, evex, map, prefix, opcode);
        EXPECT_EQ(exists, listed) << (evex ? "EVEX" : "VEX") << " map " << map << " prefix " << prefix << " opcode "
                                  << std::hex << opcode;
      }
    }
  };
  const unsigned evex_maps[] = {1, 2, 3, 5, 6};
  for (unsigned i = 0; i < 3; ++i) check(false, i + 1, kVexOpcodes[i]);
  for (unsigned i = 0; i < 5; ++i) check(true, evex_maps[i], kEvexOpcodes[i]);
}

Instruction decode_list(std::initializer_list<std::uint8_t> bytes) { return decode({bytes.begin(), bytes.size()}); }

TEST(Decoder, RefusesToRelocateWhatDependsOnItsPlaceOrLeavesTheProgram) {
  EXPECT_FALSE(is_relocatable(decode_list({0xe8, 0, 0, 0, 0})));
  EXPECT_FALSE(is_relocatable(decode_list({0x74, 0})));
  EXPECT_FALSE(is_relocatable(decode_list({0xff, 0xd0})));
  EXPECT_FALSE(is_relocatable(decode_list({0xff, 0x60, 0x08})));
  EXPECT_FALSE(is_relocatable(decode_list({0x0f, 0x05})));
  EXPECT_FALSE(is_relocatable(decode_list({0xcd, 0x80})));
  EXPECT_FALSE(is_relocatable(decode_list({0xcc})));
  EXPECT_FALSE(is_relocatable(decode_list({0x0f, 0x0b})));
  EXPECT_FALSE(is_relocatable(decode_list({0xf4})));
  EXPECT_FALSE(is_relocatable(decode_list({0xe2, 0xfe})));
  EXPECT_FALSE(is_relocatable(decode_list({0xc7, 0xf8, 0, 0, 0, 0})));
  EXPECT_FALSE(is_relocatable(decode_list({0x67, 0x8b, 0x05, 0, 0, 0, 0})));
}

TEST(Decoder, RelocatesOrdinaryInstructions) {
  EXPECT_TRUE(is_relocatable(decode_list({0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff})));
  EXPECT_TRUE(is_relocatable(decode_list({0x31, 0xc0})));
  const Instruction store = decode_list({0x89, 0x35, 1, 2, 3, 4});  // mov %esi,disp(%rip)
  EXPECT_TRUE(is_relocatable(store));
  EXPECT_NE(store.traits & kTraitRipRelative, 0u);
  EXPECT_EQ(store.displacement_offset, 2);
  EXPECT_EQ(store.displacement_size, 4);
}

TEST(Decoder, ComputesBranchTargets) {
  const std::uint8_t backwards[] = {0xeb, 0xfe};
  EXPECT_EQ(branch_target(decode(backwards), backwards, 0x1000), 0x1000u);
  const std::uint8_t forwards[] = {0x0f, 0x84, 0x10, 0, 0, 0};
  EXPECT_EQ(branch_target(decode(forwards), forwards, 0x1000), 0x1016u);
}

TEST(Decoder, SaysTruncatedRatherThanGuess) {
  EXPECT_EQ(decode_list({0xb8, 1, 2}).status, DecodeStatus::kTruncated);
  EXPECT_EQ(decode_list({0x66, 0x66}).status, DecodeStatus::kTruncated);
  EXPECT_EQ(decode_list({}).status, DecodeStatus::kTruncated);
}

}  // namespace
}  // namespace casemate::runtime
