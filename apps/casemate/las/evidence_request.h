// What `casemate run --attest` prepares for the runtime, which asks for the evidence itself.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "casemate/run_options.h"
#include "runtime/boot/attest_launch.h"

namespace casemate::cli {

// The file is emptied now, and written when evidence was given: it never holds evidence of an earlier run.
Result<UniqueFd> open_evidence(const EvidenceRequest& request);

// Starts the attestation service of this run when none is named. `evidence_fd`: as the runtime will find it.
Result<runtime::AttestLaunch> prepare_evidence(const EvidenceRequest& request, int evidence_fd);

}  // namespace casemate::cli
