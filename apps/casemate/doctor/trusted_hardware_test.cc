#include "casemate/doctor/trusted_hardware.h"

#include <gtest/gtest.h>

#include <map>

namespace casemate::cli {
namespace {

std::map<std::string, Finding> examine(const las::HostPaths& paths) {
  std::map<std::string, Finding> by_id;
  for (const Finding& finding : examine_trusted_hardware(paths)) by_id.emplace(finding.id, finding);
  return by_id;
}

const las::HostPaths kNothing = {"/nowhere/tsm", "/nowhere/aesm", "/nowhere/sgx"};

TEST(DoctorTrustedHardware, SaysSimulationWhereThereIsNothing) {
  const auto findings = examine(kNothing);
  ASSERT_EQ(findings.size(), 4U);
  EXPECT_EQ(findings.at("las_backend").value, "simulation");
  EXPECT_NE(findings.at("las_backend").consequence.find("SIMULATION"), std::string::npos);
  for (const auto& [id, finding] : findings) {
    EXPECT_EQ(finding.verdict, Verdict::kMissing) << id;
    EXPECT_FALSE(finding.title.empty() || finding.value.empty() || finding.consequence.empty()) << id;
  }
}

TEST(DoctorTrustedHardware, ASgxDeviceAloneGivesNoQuotes) {
  las::HostPaths paths = kNothing;
  paths.sgx_device = "/dev/null";
  const auto findings = examine(paths);
  EXPECT_EQ(findings.at("tee_sgx").verdict, Verdict::kLimited);
  EXPECT_NE(findings.at("tee_sgx").consequence.find("/nowhere/aesm"), std::string::npos);
  EXPECT_EQ(findings.at("las_backend").value, "simulation");
}

}  // namespace
}  // namespace casemate::cli
