// Azure's vTPM: that a verified report or quote speaks for the runtime data of an HCL report (evidence/hcl_report.h).
#pragma once

#include "attest/result.h"
#include "evidence/hcl_report.h"

namespace casemate::attest {

// Adds a check to `result`, which becomes kInvalid when its report data is not the runtime data's digest.
void require_runtime_data(VerificationResult& result, const evidence::HclReport& hcl);

}  // namespace casemate::attest
