#include "attest/collateral_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "attest/dcap_verifier.h"
#include "attest/testing/synthetic_dcap.h"
#include "attest/testing/synthetic_snp.h"

namespace casemate::attest {
namespace {

using namespace testing;

class CollateralCacheTest : public ::testing::Test {
 protected:
  static std::string make_directory() {
    char name[] = "/tmp/casemate-cache-XXXXXX";
    return ::mkdtemp(name);
  }
  ~CollateralCacheTest() override { std::filesystem::remove_all(root_); }

  // The text forms only: a JSON string holds no DER.
  static DcapSample sample_of(const DcapScenario& scenario) {
    DcapSample sample = make_sample(scenario);
    sample.collateral.pck_crl = crypto::to_hex(crypto::as_byte_view(*sample.collateral.pck_crl));
    return sample;
  }

  const std::string root_ = make_directory();
  CollateralCache cache_{root_ + "/cache"};
};

TEST_F(CollateralCacheTest, GivesBackWhatVerifiesTheQuote) {
  const DcapSample sample = sample_of(DcapScenario());
  EXPECT_FALSE(cache_.find_for_quote(sample.quote).value().has_value());
  EXPECT_EQ(cache_.store(sample.collateral).value(), StoreOutcome::kStored);
  const auto found = cache_.find_for_quote(sample.quote).value();
  ASSERT_TRUE(found.has_value());
  const TrustAnchors anchors = anchors_of(sample);
  const auto prepared = PreparedDcapCollateral::prepare(*found, anchors);
  EXPECT_EQ(verify_dcap_quote(sample.quote, prepared.get(), anchors, kNow).verdict(), "UpToDate");
}

TEST_F(CollateralCacheTest, KeepsTeesAndPlatformsApart) {
  const DcapSample sgx = sample_of(DcapScenario()), tdx = sample_of(DcapScenario(QuoteKind::kTdxV4));
  EXPECT_TRUE(cache_.store(sgx.collateral));
  EXPECT_FALSE(cache_.find_for_quote(tdx.quote).value().has_value());
  EXPECT_TRUE(cache_.store(tdx.collateral));
  EXPECT_EQ(cache_.list().value(), (std::vector<std::string>{"sgx-222222222222", "tdx-222222222222"}));
}

TEST_F(CollateralCacheTest, KeepsTheNewerOne) {
  DcapScenario scenario;
  const DcapSample newer = sample_of(scenario);
  scenario.dates[part::kTcbInfo] = {kNow - 40 * kDay, kNow - 10 * kDay};
  const DcapSample older = sample_of(scenario);
  EXPECT_TRUE(cache_.store(newer.collateral));
  EXPECT_EQ(cache_.store(older.collateral).value(), StoreOutcome::kKeptNewer);
  EXPECT_EQ(cache_.find_for_quote(older.quote).value()->tcb_info, newer.collateral.tcb_info);
}

TEST_F(CollateralCacheTest, NoticesDamageAndReplacesIt) {
  const DcapSample sample = sample_of(DcapScenario());
  EXPECT_TRUE(cache_.store(sample.collateral));
  const std::string path = root_ + "/cache/sgx-222222222222.collateral";
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(500);
  file.put('!');
  file.close();
  EXPECT_EQ(cache_.find_for_quote(sample.quote).error().category(), ErrorCategory::kFormat);
  std::filesystem::resize_file(path, 10);
  EXPECT_FALSE(cache_.find_for_quote(sample.quote));
  EXPECT_TRUE(cache_.store(sample.collateral));
  EXPECT_TRUE(cache_.find_for_quote(sample.quote).value().has_value());
}

TEST_F(CollateralCacheTest, RefusesCollateralThatNamesNoPlatform) {
  EXPECT_FALSE(cache_.store(DcapCollateral()));
  EXPECT_FALSE(cache_.find_for_quote(Bytes(100)).value().has_value());
  EXPECT_FALSE(cache_.find_for_report(Bytes(100)).value().has_value());
  EXPECT_TRUE(cache_.list().value().empty());
}

TEST_F(CollateralCacheTest, KeepsEndorsementsOfSnpReports) {
  const SnpSample sample = make_sample(SnpScenario());
  EXPECT_FALSE(cache_.find_for_report(sample.report).value().has_value());
  EXPECT_TRUE(cache_.store(sample.report, sample.endorsements));
  EXPECT_EQ(cache_.find_for_report(sample.report).value()->certificates, sample.endorsements.certificates);
  SnpScenario other;
  other.fields.tcb.microcode = 116;
  other.report.reported_tcb = evidence::encode_snp_tcb(other.fields.tcb, other.generation);
  EXPECT_FALSE(cache_.find_for_report(make_sample(other).report).value().has_value());
}

}  // namespace
}  // namespace casemate::attest
