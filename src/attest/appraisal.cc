#include "attest/appraisal.h"

#include <algorithm>

namespace casemate::attest {
namespace {

template <typename Container, typename Name>
std::string join(const Container& entries, Name name) {
  std::string text;
  for (const auto& entry : entries) text += (text.empty() ? "" : ", ") + std::string(name(entry));
  return text.empty() ? "none" : text;
}

std::string identity(const std::string& text) { return text; }

std::string value_text(const Measurement& measurement) {
  if (const auto* number = std::get_if<std::uint64_t>(&measurement.value)) return std::to_string(*number);
  return std::get<std::string>(measurement.value);
}

bool equal_ignoring_case(const std::string& left, const std::string& right) {
  const auto lower = [](char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  };
  return std::ranges::equal(left, right, {}, lower, lower);
}

class Appraiser {
 public:
  Appraiser(const VerificationResult& result, const AppraisalPolicy& policy) : result_(result), policy_(policy) {}

  Appraisal run() {
    check_conclusion();
    check_platform();
    check_tcb();
    check_revocation();
    check_attributes();
    check_expected_values();
    return std::move(appraisal_);
  }

 private:
  CheckList& checks() { return appraisal_.checks; }
  bool is_on(Platform platform) const { return result_.platform == platform; }

  void check_conclusion() {
    const bool is_static = result_.conclusion == Conclusion::kStaticOnly;
    const bool is_good =
        result_.conclusion == Conclusion::kVerified || (is_static && policy_.allows_missing_collateral);
    checks().require("verified", is_good,
                     policy_.allows_missing_collateral ? "good, at least without collateral" : "good, with collateral",
                     result_.verdict());
  }

  void check_platform() {
    const std::string name = result_.platform ? to_text(*result_.platform) : "unknown";
    const bool is_allowed = result_.platform && policy_.platforms.contains(*result_.platform);
    checks().require("platform", is_allowed,
                     join(policy_.platforms, [](Platform platform) { return to_text(platform); }), name);
    if (is_on(Platform::kSimulation)) {
      checks().require("simulation key", policy_.simulation_keys.contains(result_.simulation_key),
                       "one of those pinned: " + join(policy_.simulation_keys, identity), result_.simulation_key);
    }
    if (policy_.platform_ids.empty()) return;
    const bool is_known = !result_.platform_id.empty() && policy_.platform_ids.contains(result_.platform_id) &&
                          result_.is_chip_identified;
    checks().require("platform id", is_known, join(policy_.platform_ids, identity),
                     is_known || result_.is_chip_identified ? result_.platform_id : "evidence that names no chip");
  }

  void check_tcb() {
    if (result_.tcb_status) {
      checks().require("TCB status", policy_.tolerated_statuses.contains(*result_.tcb_status),
                       join(policy_.tolerated_statuses, [](TcbStatus status) { return to_text(status); }),
                       to_text(*result_.tcb_status));
    }
    if (policy_.tolerated_advisories && result_.tcb_status && *result_.tcb_status != TcbStatus::kUpToDate) {
      std::vector<std::string> open;
      std::ranges::copy_if(result_.advisories, std::back_inserter(open), [&](const std::string& advisory) {
        return !policy_.tolerated_advisories->contains(advisory);
      });
      checks().require("advisories", open.empty(), "only " + join(*policy_.tolerated_advisories, identity),
                       join(open, identity));
    }
    if (policy_.lowest_evaluation_data_number && result_.tcb_evaluation_data_number) {
      checks().require("TCB evaluation data number",
                       *result_.tcb_evaluation_data_number >= *policy_.lowest_evaluation_data_number,
                       "at least " + std::to_string(*policy_.lowest_evaluation_data_number),
                       std::to_string(*result_.tcb_evaluation_data_number));
    }
    if (policy_.lowest_snp_tcb && is_on(Platform::kSnp)) {
      checks().require("SNP TCB", result_.snp_tcb && result_.snp_tcb->is_at_least(*policy_.lowest_snp_tcb),
                       "at least the policy's", result_.snp_tcb_text);
    }
  }

  void check_revocation() {
    if (is_on(Platform::kSimulation) || result_.conclusion != Conclusion::kVerified) return;
    const bool is_required =
        is_on(Platform::kSnp) ? policy_.requires_snp_revocation : !policy_.allows_unchecked_revocation;
    checks().require("revocation", result_.revocation_checked || !is_required,
                     is_required ? "checked against the vendor's lists" : "anything",
                     result_.revocation_checked ? "checked" : "not checked, because lists are missing");
  }

  void check_attributes() {
    checks().require("debug", !result_.is_debug || policy_.allows_debug, policy_.allows_debug ? "anything" : "off",
                     result_.is_debug ? "on: the host can read the memory" : "off");
    if (is_on(Platform::kTdx)) {
      checks().require("SEPT_VE_DISABLE", result_.sept_ve_disabled || policy_.allows_sept_ve,
                       policy_.allows_sept_ve ? "anything" : "on", result_.sept_ve_disabled ? "on" : "off");
    }
    if (is_on(Platform::kSnp)) {
      checks().require("VMPL", result_.vmpl <= policy_.highest_vmpl, "at most " + std::to_string(policy_.highest_vmpl),
                       std::to_string(result_.vmpl));
    }
  }

  void check_expected_values() {
    for (const auto& [name, expected] : policy_.expected_values) {
      const auto found = std::ranges::find(result_.measurements, name, &Measurement::name);
      const std::string actual = found == result_.measurements.end() ? "no such value" : value_text(*found);
      checks().require(name, equal_ignoring_case(actual, expected), expected, actual);
    }
  }

  const VerificationResult& result_;
  const AppraisalPolicy& policy_;
  Appraisal appraisal_;
};

}  // namespace

std::string Appraisal::reason(const VerificationResult& result) const {
  if (result.conclusion == Conclusion::kParseError || !result.checks.all_passed()) return result.reason();
  if (const Check* failure = checks.first_failure()) {
    return "The evidence is good, but the policy refuses it: \"" + failure->name + "\" wants " + failure->expected +
           ", found " + failure->actual + ".";
  }
  return result.reason();
}

Appraisal appraise(const VerificationResult& result, const AppraisalPolicy& policy) {
  return Appraiser(result, policy).run();
}

}  // namespace casemate::attest
