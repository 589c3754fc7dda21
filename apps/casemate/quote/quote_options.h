// The words behind `casemate quote`, judged: what to do with which files, and which policy.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "attest/appraisal.h"
#include "base/result.h"
#include "casemate/quote/collateral_source.h"

namespace casemate::cli {

enum class OutputForm { kTable, kJson };

struct ShowQuote {
  std::string file;
  OutputForm form = OutputForm::kTable;
};

struct VerifyQuote {
  std::optional<std::string> file;            // or:
  std::optional<std::string> case_directory;  // in the layout of shared/vectors
  std::vector<std::string> collateral_files;
  std::optional<std::string> cache;      // directory to take collateral from that no file gives
  std::optional<FetchOptions> fetch;     // get from the network what neither files nor the cache have in date
  std::optional<std::string> root_file;  // instead of the vendors' roots
  std::optional<std::string> hcl_file;   // Azure's wrapper, whose runtime data a TD quote must bind
  std::optional<attest::Moment> now;     // default: the clock
  std::optional<crypto::Bytes> nonce;    // of process evidence
  attest::AppraisalPolicy policy;
  OutputForm form = OutputForm::kTable;
};

// Text for the terminal instead of work: help, or what is wrong with the words.
struct PrintText {
  std::string text;
  int exit_code = 0;
};

using QuoteRequest = std::variant<ShowQuote, VerifyQuote, PrintText>;

QuoteRequest parse_quote_words(const std::vector<std::string>& words);

}  // namespace casemate::cli
