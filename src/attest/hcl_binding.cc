#include "attest/hcl_binding.h"

#include <algorithm>

namespace casemate::attest {

void require_runtime_data(VerificationResult& result, const evidence::HclReport& hcl) {
  if (result.conclusion == Conclusion::kParseError) return;
  const auto found = std::ranges::find(result.measurements, "report_data", &Measurement::name);
  const std::string actual = found == result.measurements.end() ? "none" : std::get<std::string>(found->value);
  const std::string expected = crypto::to_hex(evidence::expected_report_data(hcl));
  if (!result.checks.require("runtime data: bound by the report data", actual == expected, expected, actual)) {
    result.conclusion = Conclusion::kInvalid;
  }
}

}  // namespace casemate::attest
