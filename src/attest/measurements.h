// What evidence says about the code that runs, as names and values: the same names in every output and policy.
#pragma once

#include <vector>

#include "attest/result.h"
#include "evidence/dcap_quote.h"
#include "evidence/snp_report.h"

namespace casemate::attest {

std::vector<Measurement> measurements_of(const evidence::SgxReportBody& body);
std::vector<Measurement> measurements_of(const evidence::TdReportBody& body);
// Without a known generation, TCBs are given as they stand in the report.
std::vector<Measurement> measurements_of(const evidence::SnpReport& report,
                                         std::optional<evidence::SnpGeneration> generation);

}  // namespace casemate::attest
