#include "attest/appraisal.h"

#include <gtest/gtest.h>

namespace casemate::attest {
namespace {

VerificationResult good_result(Platform platform = Platform::kSgx) {
  VerificationResult result;
  result.conclusion = Conclusion::kVerified;
  result.platform = platform;
  result.revocation_checked = true;
  result.platform_id = "aa";
  if (platform == Platform::kSgx || platform == Platform::kTdx) result.tcb_status = TcbStatus::kUpToDate;
  if (platform == Platform::kSimulation) result.simulation_key = "5e1f";
  result.measurements = {{"mrenclave", std::string("ab01")}, {"isvsvn", std::uint64_t{3}}};
  return result;
}

bool accepts(const VerificationResult& result, const AppraisalPolicy& policy = {}) {
  return appraise(result, policy).is_accepted();
}

TEST(Appraisal, AcceptsGoodHardwareByDefault) {
  for (Platform platform : {Platform::kSgx, Platform::kTdx, Platform::kSnp})
    EXPECT_TRUE(accepts(good_result(platform)));
}

TEST(Appraisal, RefusesWhatWasNotVerified) {
  VerificationResult result = good_result();
  AppraisalPolicy lenient;
  lenient.allows_missing_collateral = lenient.allows_unchecked_revocation = lenient.allows_debug = true;
  for (Conclusion conclusion : {Conclusion::kInvalid, Conclusion::kParseError}) {
    result.conclusion = conclusion;
    EXPECT_FALSE(accepts(result, lenient));
  }
  EXPECT_FALSE(accepts(VerificationResult(), lenient));
}

TEST(Appraisal, RefusesSimulationUnlessItsKeyIsNamed) {
  const VerificationResult result = good_result(Platform::kSimulation);
  AppraisalPolicy policy;
  EXPECT_FALSE(accepts(result, policy));
  policy.simulation_keys = {"5e1f"};
  EXPECT_FALSE(accepts(result, policy));
  policy.platforms.insert(Platform::kSimulation);
  EXPECT_TRUE(accepts(result, policy));
  policy.simulation_keys = {"0000"};
  EXPECT_FALSE(accepts(result, policy));
  policy.simulation_keys.clear();
  EXPECT_FALSE(accepts(result, policy));
}

TEST(Appraisal, RefusesDebugUnlessAllowed) {
  VerificationResult result = good_result();
  result.is_debug = true;
  AppraisalPolicy policy;
  EXPECT_FALSE(accepts(result, policy));
  policy.allows_debug = true;
  EXPECT_TRUE(accepts(result, policy));
}

TEST(Appraisal, WantsEveryStatusAndAdvisoryNamed) {
  VerificationResult result = good_result();
  result.tcb_status = TcbStatus::kSwHardeningNeeded;
  result.advisories = {"INTEL-SA-00615", "INTEL-SA-00657"};
  AppraisalPolicy policy;
  EXPECT_FALSE(accepts(result, policy));
  policy.tolerated_statuses.insert(TcbStatus::kSwHardeningNeeded);
  EXPECT_FALSE(accepts(result, policy));
  policy.tolerated_advisories = {"INTEL-SA-00615"};
  EXPECT_FALSE(accepts(result, policy));
  policy.tolerated_advisories->insert("INTEL-SA-00657");
  EXPECT_TRUE(accepts(result, policy));
  policy.tolerated_advisories.reset();
  EXPECT_TRUE(accepts(result, policy));
}

TEST(Appraisal, RefusesUnsupportedAndRevokedTcbs) {
  VerificationResult result = good_result();
  for (TcbStatus status : {TcbStatus::kNotSupported, TcbStatus::kRevoked, TcbStatus::kOutOfDate}) {
    result.tcb_status = status;
    EXPECT_FALSE(accepts(result));
  }
}

TEST(Appraisal, RefusesUncheckedRevocationAndMissingCollateralUnlessAllowed) {
  VerificationResult unchecked = good_result(), without = good_result();
  unchecked.revocation_checked = false;
  without.conclusion = Conclusion::kStaticOnly;
  without.tcb_status.reset();
  EXPECT_FALSE(accepts(unchecked));
  EXPECT_FALSE(accepts(without));
  AppraisalPolicy policy;
  policy.allows_unchecked_revocation = true;
  EXPECT_TRUE(accepts(unchecked, policy));
  EXPECT_FALSE(accepts(without, policy));
  policy.allows_missing_collateral = true;
  EXPECT_TRUE(accepts(without, policy));
}

TEST(Appraisal, AsksForSnpRevocationOnDemand) {
  VerificationResult result = good_result(Platform::kSnp);
  result.revocation_checked = false;
  EXPECT_TRUE(accepts(result));
  AppraisalPolicy policy;
  policy.requires_snp_revocation = true;
  EXPECT_FALSE(accepts(result, policy));
}

TEST(Appraisal, LimitsVmplAndTcbOfSnp) {
  VerificationResult result = good_result(Platform::kSnp);
  result.vmpl = 1;
  result.snp_tcb = evidence::SnpTcb{0, 3, 0, 8, 115};
  AppraisalPolicy policy;
  EXPECT_FALSE(accepts(result, policy));
  policy.highest_vmpl = 1;
  EXPECT_TRUE(accepts(result, policy));
  policy.lowest_snp_tcb = evidence::SnpTcb{0, 3, 0, 8, 115};
  EXPECT_TRUE(accepts(result, policy));
  // TCBs are ordered component by component: more of one does not make up for less of another.
  policy.lowest_snp_tcb = evidence::SnpTcb{0, 2, 0, 9, 0};
  EXPECT_FALSE(accepts(result, policy));
}

TEST(Appraisal, WantsSeptVeDisabledForTdx) {
  VerificationResult result = good_result(Platform::kTdx);
  result.sept_ve_disabled = false;
  AppraisalPolicy policy;
  EXPECT_FALSE(accepts(result, policy));
  policy.allows_sept_ve = true;
  EXPECT_TRUE(accepts(result, policy));
}

TEST(Appraisal, PinsMachinesOnlyByEvidenceThatNamesOne) {
  VerificationResult result = good_result(Platform::kSnp);
  AppraisalPolicy policy;
  policy.platform_ids = {"aa"};
  EXPECT_TRUE(accepts(result, policy));
  result.is_chip_identified = false;  // VLEK, masked chip id
  EXPECT_FALSE(accepts(result, policy));
  result.is_chip_identified = true;
  policy.platform_ids = {"bb"};
  EXPECT_FALSE(accepts(result, policy));
}

TEST(Appraisal, ComparesMeasurementsByName) {
  AppraisalPolicy policy;
  policy.expected_values = {{"mrenclave", "AB01"}, {"isvsvn", "3"}};
  EXPECT_TRUE(accepts(good_result(), policy));
  policy.expected_values["mrenclave"] = "ab02";
  const Appraisal refused = appraise(good_result(), policy);
  EXPECT_FALSE(refused.is_accepted());
  EXPECT_NE(refused.reason(good_result()).find("mrenclave"), std::string::npos);
  policy.expected_values = {{"mrtd", "00"}};
  EXPECT_FALSE(accepts(good_result(), policy));
}

TEST(Appraisal, LimitsTheEvaluationDataNumber) {
  VerificationResult result = good_result();
  result.tcb_evaluation_data_number = 16;
  AppraisalPolicy policy;
  policy.lowest_evaluation_data_number = 17;
  EXPECT_FALSE(accepts(result, policy));
  result.tcb_evaluation_data_number = 17;
  EXPECT_TRUE(accepts(result, policy));
}

}  // namespace
}  // namespace casemate::attest
