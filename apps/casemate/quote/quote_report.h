// What `casemate quote` prints: JSON for machines, a table for people. Both hold every check.
#pragma once

#include <string>

#include "attest/appraisal.h"
#include "attest/result.h"

namespace casemate::cli {

struct QuoteReport {
  attest::VerificationResult result;
  attest::Appraisal appraisal;
  attest::Moment verified_at = 0;
  std::string trust_root = "vendor";  // or the file that replaced it
};

std::string to_json(const QuoteReport& report);
std::string to_table(const QuoteReport& report);

// For `quote show`: measurements only.
std::string measurements_to_json(const std::string& format, const std::vector<attest::Measurement>& measurements);
std::string measurements_to_table(const std::string& format, const std::vector<attest::Measurement>& measurements);

}  // namespace casemate::cli
