// Structures of fixed layout: building and parsing agree, sizes and reserved bytes are checked.
#include <gtest/gtest.h>

#include "evidence/sgx_report.h"
#include "evidence/snp_report.h"
#include "evidence/tdx_report.h"

namespace casemate::evidence {
namespace {

// Different bytes everywhere, so that swapped fields show.
Bytes pattern(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 256 + 1);
  return bytes;
}

void zero(Bytes& bytes, std::size_t offset, std::size_t size) {
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), size, std::byte{0});
}

TEST(SgxReport, RoundTrips) {
  Bytes bytes = pattern(kSgxReportSize);
  for (auto [offset, size] : {std::pair{21, 11}, {96, 32}, {160, 32}, {262, 42}}) {
    zero(bytes, static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
  }
  EXPECT_EQ(build(parse_sgx_report(bytes).value()), bytes);
  EXPECT_FALSE(parse_sgx_report(ByteView(bytes).first(431)));
  EXPECT_FALSE(parse_sgx_report_body(bytes));
}

TEST(SgxTargetInfo, RoundTripsAndRefusesReservedBytes) {
  Bytes bytes = pattern(kSgxTargetInfoSize);
  for (auto [offset, size] : {std::pair{49, 1}, {56, 8}, {128, 384}}) {
    zero(bytes, static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
  }
  EXPECT_EQ(build(parse_sgx_target_info(bytes).value()), bytes);
  for (std::size_t offset : {std::size_t{49}, std::size_t{63}, std::size_t{511}}) {
    Bytes spoiled = bytes;
    spoiled[offset] = std::byte{1};
    EXPECT_FALSE(parse_sgx_target_info(spoiled));
  }
}

TEST(TdReportBody, RoundTripsInBothVersions) {
  for (std::size_t size : {kTdReport10Size, kTdReport15Size}) {
    const Bytes bytes = pattern(size);
    EXPECT_EQ(build(parse_td_report_body(bytes).value()), bytes);
  }
  EXPECT_FALSE(parse_td_report_body(pattern(600)));
}

TEST(TdReportStructure, RoundTripsAndRefusesOtherTypes) {
  Bytes bytes = pattern(kTdReportStructureSize);
  bytes[0] = std::byte{0x81};
  for (auto [offset, size] : {std::pair{3, 13}, {192, 32}, {495, 17}}) {
    zero(bytes, static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
  }
  EXPECT_EQ(build(parse_td_report_structure(bytes).value()), bytes);
  bytes[192] = std::byte{1};
  EXPECT_FALSE(parse_td_report_structure(bytes));
  bytes[192] = std::byte{0};
  bytes[0] = std::byte{0};
  EXPECT_FALSE(parse_td_report_structure(bytes));
}

TEST(SnpReport, RoundTripsInEveryVersion) {
  for (std::uint32_t version = kSnpOldestVersion; version <= kSnpNewestVersion; ++version) {
    Bytes bytes = pattern(kSnpReportSize);
    for (auto [offset, size] : {std::pair{0, 4}, {76, 4}, {395, 21}, {491, 1}, {495, 1}, {520, 152}, {816, 368}}) {
      zero(bytes, static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
    }
    bytes[0] = static_cast<std::byte>(version);
    if (version < kSnpVersionWithCpuid) zero(bytes, 392, 3);
    if (version < kSnpVersionWithMitigations) zero(bytes, 504, 16);
    EXPECT_EQ(build(parse_snp_report(bytes).value()), bytes) << version;
  }
}

TEST(SnpTcb, StandsWhereItsGenerationPutsIt) {
  const SnpTcb tcb{1, 2, 3, 4, 5};
  EXPECT_EQ(crypto::to_hex(encode_snp_tcb(tcb, SnpGeneration::kTurin)), "0102030400000005");
  EXPECT_EQ(crypto::to_hex(encode_snp_tcb(tcb, SnpGeneration::kMilan)), "0203000000000405");
  EXPECT_EQ(decode_snp_tcb(encode_snp_tcb(tcb, SnpGeneration::kTurin), SnpGeneration::kTurin), tcb);
}

TEST(SnpTcb, IsOrderedComponentByComponent) {
  const SnpTcb tcb{0, 3, 0, 8, 115};
  EXPECT_TRUE(tcb.is_at_least({0, 3, 0, 8, 115}));
  EXPECT_TRUE(tcb.is_at_least({0, 2, 0, 8, 0}));
  EXPECT_FALSE(tcb.is_at_least({0, 2, 0, 9, 0}));
}

TEST(SnpGeneration, FollowsFromProductAndProcessor) {
  EXPECT_EQ(generation_of_product("Milan-B0"), SnpGeneration::kMilan);
  EXPECT_EQ(generation_of_product("Siena-A0"), SnpGeneration::kGenoa);
  EXPECT_EQ(generation_of_product("Turin"), SnpGeneration::kTurin);
  EXPECT_FALSE(generation_of_product("Naples"));
  EXPECT_EQ(generation_of_processor(0x19, 0xa0), SnpGeneration::kGenoa);
  EXPECT_EQ(generation_of_processor(0x1a, 0x02), SnpGeneration::kTurin);
  EXPECT_FALSE(generation_of_processor(0x17, 0x31));
}

}  // namespace
}  // namespace casemate::evidence
