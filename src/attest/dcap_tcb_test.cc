#include "attest/dcap_tcb.h"

#include <gtest/gtest.h>

#include "attest/dcap_verifier.h"
#include "attest/testing/synthetic_dcap.h"

namespace casemate::attest {
namespace {

using namespace testing;

// Through the whole verifier, so that every status is one that a verdict can show.
VerificationResult verify(const DcapScenario& scenario) {
  const DcapSample sample = make_sample(scenario);
  const TrustAnchors anchors = anchors_of(sample);
  const auto prepared = PreparedDcapCollateral::prepare(sample.collateral, anchors);
  return verify_dcap_quote(sample.quote, prepared.get(), anchors, kNow);
}

std::string verdict(const DcapScenario& scenario) { return verify(scenario).verdict(); }

void set_platform_status(DcapScenario& scenario, const std::string& status) {
  scenario.tcb_info["tcbLevels"][0]["tcbStatus"] = status;
}
void set_qe_status(DcapScenario& scenario, const std::string& status) {
  scenario.qe_identity["tcbLevels"][0]["tcbStatus"] = status;
}
void set_module_status(DcapScenario& scenario, const std::string& status) {
  scenario.tcb_info["tdxModuleIdentities"][0]["tcbLevels"][0]["tcbStatus"] = status;
}

constexpr const char* kListedStatuses[] = {"UpToDate",
                                           "SWHardeningNeeded",
                                           "ConfigurationNeeded",
                                           "ConfigurationAndSWHardeningNeeded",
                                           "OutOfDate",
                                           "OutOfDateConfigurationNeeded",
                                           "Revoked"};

TEST(TcbStatus, OfTheLevelBecomesTheVerdict) {
  for (QuoteKind kind : kAllQuoteKinds) {
    for (const char* status : kListedStatuses) {
      DcapScenario scenario(kind);
      set_platform_status(scenario, status);
      EXPECT_EQ(verdict(scenario), status) << to_text(kind);
    }
  }
}

struct Worsened {
  const char* platform;
  const char* with_out_of_date;
};
constexpr Worsened kWorsened[] = {
    {"UpToDate", "OutOfDate"},
    {"SWHardeningNeeded", "OutOfDate"},
    {"ConfigurationNeeded", "OutOfDateConfigurationNeeded"},
    {"ConfigurationAndSWHardeningNeeded", "OutOfDateConfigurationNeeded"},
    {"OutOfDate", "OutOfDate"},
    {"OutOfDateConfigurationNeeded", "OutOfDateConfigurationNeeded"},
    {"Revoked", "Revoked"},
};

TEST(TcbStatus, IsWorsenedByTheQuotingEnclave) {
  for (const Worsened& row : kWorsened) {
    DcapScenario scenario;
    set_platform_status(scenario, row.platform);
    set_qe_status(scenario, "OutOfDate");
    EXPECT_EQ(verdict(scenario), row.with_out_of_date);
    set_qe_status(scenario, "Revoked");
    EXPECT_EQ(verdict(scenario), "Revoked");
  }
}

TEST(TcbStatus, IsWorsenedByTheTdxModule) {
  for (const Worsened& row : kWorsened) {
    DcapScenario scenario(QuoteKind::kTdxV4);
    set_platform_status(scenario, row.platform);
    set_module_status(scenario, "OutOfDate");
    EXPECT_EQ(verdict(scenario), row.with_out_of_date);
    set_module_status(scenario, "Revoked");
    EXPECT_EQ(verdict(scenario), "Revoked");
  }
}

TEST(TcbStatus, PlatformsBelowEveryLevelAreNotSupported) {
  for (QuoteKind kind : kAllQuoteKinds) {
    DcapScenario component(kind), pce(kind), qe(kind);
    component.pck.component_svns[15] = 1;
    EXPECT_EQ(verdict(component), "TCB_NOT_SUPPORTED") << to_text(kind);
    pce.pck.pce_svn = 4;
    EXPECT_EQ(verdict(pce), "TCB_NOT_SUPPORTED");
    qe.qe_report.isv_svn = 7;
    EXPECT_EQ(verdict(qe), "TCB_NOT_SUPPORTED");
  }
  DcapScenario tdx(QuoteKind::kTdxV4), module(QuoteKind::kTdxV4);
  tdx.td().tee_tcb_svn[2] = std::byte{1};
  EXPECT_EQ(verdict(tdx), "TCB_NOT_SUPPORTED");
  module.td().tee_tcb_svn[0] = std::byte{3};
  EXPECT_EQ(verdict(module), "TCB_NOT_SUPPORTED");
}

TEST(TcbStatus, EveryComponentCounts) {
  for (std::size_t i = 0; i < 16; ++i) {
    DcapScenario scenario;
    scenario.pck.component_svns[i] = 8;
    EXPECT_EQ(verdict(scenario), "UpToDate") << i;
    scenario.pck.component_svns[i] = 7;
    EXPECT_EQ(verdict(scenario), "OutOfDate") << i;
  }
}

TEST(TcbStatus, ModulesWithoutIdentityAreJudgedByTheLevel) {
  DcapScenario scenario(QuoteKind::kTdxV4);
  scenario.td().tee_tcb_svn[1] = std::byte{0};
  EXPECT_EQ(verdict(scenario), "UpToDate");
  scenario.td().tee_tcb_svn[0] = std::byte{3};  // below 4, above 2
  EXPECT_EQ(verdict(scenario), "OutOfDate");
}

TEST(TcbStatus, AdvisesARelaunchWhenTheNewestModuleRuns) {
  DcapScenario scenario(QuoteKind::kTdx15V5);
  Json& levels = scenario.tcb_info["tdxModuleIdentities"][0]["tcbLevels"];
  levels.insert(levels.begin(), levels[0]);
  levels[0]["tcb"]["isvsvn"] = 6;
  levels[1]["tcbStatus"] = "OutOfDate";
  EXPECT_EQ(verdict(scenario), "OutOfDate");
  scenario.td().version15->tee_tcb_svn2[0] = std::byte{6};
  EXPECT_EQ(verdict(scenario), "TDRelaunchAdvised");
  set_platform_status(scenario, "ConfigurationNeeded");
  EXPECT_EQ(verdict(scenario), "TDRelaunchAdvisedConfigurationNeeded");
}

TEST(TcbStatus, AdvisesNoRelaunchWhenThatWouldNotHelp) {
  const auto make = [] {
    DcapScenario scenario(QuoteKind::kTdx15V5);
    Json& levels = scenario.tcb_info["tdxModuleIdentities"][0]["tcbLevels"];
    levels.insert(levels.begin(), levels[0]);
    levels[0]["tcb"]["isvsvn"] = 6;
    levels[1]["tcbStatus"] = "OutOfDate";
    scenario.td().version15->tee_tcb_svn2[0] = std::byte{6};
    return scenario;
  };
  DcapScenario platform = make(), qe = make(), microcode = make(), unknown = make();
  set_platform_status(platform, "OutOfDate");
  EXPECT_EQ(verdict(platform), "OutOfDate");
  set_qe_status(qe, "OutOfDate");
  EXPECT_EQ(verdict(qe), "OutOfDate");
  microcode.td().version15->tee_tcb_svn2[2] = std::byte{3};
  EXPECT_EQ(verdict(microcode), "OutOfDate");
  unknown.td().version15->tee_tcb_svn2[1] = std::byte{9};
  EXPECT_EQ(verdict(unknown), "OutOfDate");
}

TEST(TcbStatus, CollectsTheAdvisoriesOfEveryLevelOnce) {
  DcapScenario scenario(QuoteKind::kTdxV4);
  scenario.tcb_info["tcbLevels"][0]["advisoryIDs"] = {"INTEL-SA-1", "INTEL-SA-2"};
  scenario.tcb_info["tdxModuleIdentities"][0]["tcbLevels"][0]["advisoryIDs"] = {"INTEL-SA-2", "INTEL-SA-3"};
  scenario.qe_identity["tcbLevels"][0]["advisoryIDs"] = {"INTEL-SA-4"};
  const VerificationResult result = verify(scenario);
  EXPECT_EQ(result.advisories, (std::vector<std::string>{"INTEL-SA-1", "INTEL-SA-2", "INTEL-SA-3", "INTEL-SA-4"}));
  EXPECT_EQ(result.tcb_date, "2025-11-01T00:00:00Z");
}

TEST(TcbStatus, ReadsTcbInfoOfVersion2) {
  DcapScenario scenario;
  scenario.tcb_info["version"] = 2;
  scenario.tcb_info.erase("id");
  for (Json& level : scenario.tcb_info["tcbLevels"]) {
    for (int i = 1; i <= 16; ++i) {
      const std::string key = std::string("sgxtcbcomp") + (i < 10 ? "0" : "") + std::to_string(i) + "svn";
      level["tcb"][key] = level["tcb"]["sgxtcbcomponents"][static_cast<std::size_t>(i - 1)]["svn"];
    }
    level["tcb"].erase("sgxtcbcomponents");
  }
  EXPECT_EQ(verdict(scenario), "UpToDate");
}

}  // namespace
}  // namespace casemate::attest
