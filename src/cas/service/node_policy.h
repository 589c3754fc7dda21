// What a session demands of the confidential virtual machine below a service, as appraisal policies.
#pragma once

#include <vector>

#include "attest/appraisal.h"
#include "policy/session.h"

namespace casemate::cas {

// One for each alternative of the service's `node: {tdx: ...}` or `node: {snp: ...}`; empty when it does not accept the
// platform. Only what the session tolerates is tolerated.
std::vector<attest::AppraisalPolicy> tdx_policies(const policy::Security& security, const policy::Service& service);
std::vector<attest::AppraisalPolicy> snp_policies(const policy::Security& security, const policy::Service& service);

}  // namespace casemate::cas
