// Appraisal: whether a verified result is good enough for somebody. Verification says what is; this says what one
// wants. The defaults refuse everything that needs a decision: debug, simulation, any TCB status but UpToDate, missing
// collateral.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "attest/result.h"
#include "evidence/snp_report.h"

namespace casemate::attest {

struct AppraisalPolicy {
  std::set<Platform> platforms = {Platform::kSgx, Platform::kTdx, Platform::kSnp};
  std::set<TcbStatus> tolerated_statuses = {TcbStatus::kUpToDate};
  // Advisories that a tolerated status may come with. Empty optional: any.
  std::optional<std::set<std::string>> tolerated_advisories = std::set<std::string>();
  // Ids of LAS keys whose simulation evidence counts, if the platform is allowed at all. There is no "any".
  std::set<std::string> simulation_keys;
  bool allows_debug = false;
  bool allows_missing_collateral = false;    // conclusion kStaticOnly
  bool allows_unchecked_revocation = false;  // DCAP without both revocation lists
  // AMD's lists name authorities only and many platforms do not hand them out, so they are asked for on demand.
  bool requires_snp_revocation = false;
  bool allows_sept_ve = false;  // TDX: exceptions that the host can inject into the TD
  std::uint32_t highest_vmpl = 0;
  std::optional<std::uint32_t> lowest_evaluation_data_number;
  std::optional<evidence::SnpTcb> lowest_snp_tcb;
  std::set<std::string> platform_ids;                  // empty: any machine
  std::map<std::string, std::string> expected_values;  // measurements by name, as text
};

struct Appraisal {
  CheckList checks;
  bool is_accepted() const { return checks.all_passed(); }
  // One sentence; names what would make the difference.
  std::string reason(const VerificationResult& result) const;
};

Appraisal appraise(const VerificationResult& result, const AppraisalPolicy& policy);

}  // namespace casemate::attest
