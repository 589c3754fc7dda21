#include "evidence/hcl_report.h"

#include <gtest/gtest.h>

#include "evidence/snp_report.h"
#include "evidence/tdx_report.h"

namespace casemate::evidence {
namespace {

struct Sample {
  Bytes report = Bytes(kSnpReportSize, std::byte{0x55});
  Bytes runtime_data = crypto::to_bytes(crypto::as_byte_view("{\"keys\":[]}"));
  HclReport hcl{HclReportType::kSnp, HclHash::kSha256, report, runtime_data};
};

TEST(HclReport, RoundTripsWithZerosBehindIt) {
  Sample sample;
  Bytes bytes = build(sample.hcl);
  bytes.resize(2600);
  const HclReport parsed = parse_hcl_report(bytes).value();
  EXPECT_TRUE(crypto::equal(parsed.hardware_report, sample.report));
  EXPECT_TRUE(crypto::equal(parsed.runtime_data, sample.runtime_data));
}

TEST(HclReport, BindsItsRuntimeDataWithEveryHash) {
  for (HclHash hash : {HclHash::kSha256, HclHash::kSha384, HclHash::kSha512}) {
    Sample sample;
    sample.hcl.hash = hash;
    const FixedBytes<64> report_data = expected_report_data(sample.hcl);
    EXPECT_TRUE(binds_runtime_data(sample.hcl, report_data));
    sample.runtime_data[0] ^= std::byte{1};
    EXPECT_FALSE(binds_runtime_data(sample.hcl, report_data));
  }
}

TEST(HclReport, GivesTheTdReportOfTdx) {
  Sample sample;
  sample.hcl.type = HclReportType::kTdx;
  const Bytes bytes = build(sample.hcl);
  EXPECT_EQ(parse_hcl_report(bytes).value().hardware_report.size(), kTdReportStructureSize);
}

TEST(HclReport, RefusesLyingSizesUnknownTypesAndRemainders) {
  const Bytes good = build(Sample().hcl);
  const std::size_t request = 32 + kSnpReportSize;
  for (auto [offset, value] : {std::pair<std::size_t, int>{request + 8, 3},
                               {request + 12, 4},
                               {request + 12, 0},
                               {request + 19, 0xff},
                               {request + 16, 200},
                               {0, 'X'}}) {
    Bytes spoiled = good;
    spoiled[offset] = static_cast<std::byte>(value);
    EXPECT_FALSE(parse_hcl_report(spoiled)) << offset;
  }
  Bytes longer = good;
  longer.push_back(std::byte{1});
  EXPECT_FALSE(parse_hcl_report(longer));
  for (std::size_t size = 0; size < good.size(); size += 37) EXPECT_FALSE(parse_hcl_report(ByteView(good).first(size)));
}

}  // namespace
}  // namespace casemate::evidence
