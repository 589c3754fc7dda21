// `casemate quote`: show, verify and get hardware evidence.
#include <cstdio>
#include <ctime>

#include "attest/hcl_binding.h"
#include "casemate/quote/collateral_command.h"
#include "casemate/quote/collateral_source.h"
#include "casemate/quote/evidence_files.h"
#include "casemate/quote/evidence_listing.h"
#include "casemate/quote/evidence_verification.h"
#include "casemate/quote/get.h"
#include "casemate/quote/quote_options.h"
#include "casemate/quote/quote_report.h"
#include "casemate/subcommands.h"
#include "evidence/hcl_report.h"

namespace casemate::cli {
namespace {

using attest::Moment;
using attest::TrustAnchors;
using attest::VerificationResult;
using crypto::Bytes;

constexpr int kAccepted = 0;

int complain(const Error& error) {
  std::fprintf(stderr, "casemate quote: %s\n", error.message().c_str());
  return kExitUsage;
}

int print(const std::string& text, int exit_code) {
  std::fputs(text.c_str(), stdout);
  return std::fflush(stdout) == 0 ? exit_code : kExitUsage;
}

Result<EvidenceCase> read_input(const VerifyQuote& request) {
  if (request.case_directory) return read_case(*request.case_directory);
  EvidenceCase input;
  input.evidence = CASEMATE_TRY(read_file(*request.file));
  input.kind = kind_of_evidence(input.evidence);
  for (const std::string& name : request.collateral_files) {
    const Bytes content = CASEMATE_TRY(read_file(name));
    if (Result<void> added = add_collateral(input, content, name); !added) return added.error();
  }
  if (request.cache) {
    if (Result<void> added = add_from_cache(input, *request.cache); !added) return added.error();
  }
  return input;
}

// Binds a TD quote to the runtime data of --hcl.
Result<void> check_hcl_file(const std::string& name, VerificationResult& result) {
  const Bytes content = CASEMATE_TRY(read_file(name));
  const evidence::HclReport hcl = CASEMATE_TRY(evidence::parse_hcl_report(content));
  attest::require_runtime_data(result, hcl);
  return {};
}

Result<void> fetch_missing(EvidenceCase& input, const VerifyQuote& request, const TrustAnchors& anchors, Moment now) {
  if (has_collateral(input, anchors, now)) return {};
  const Result<Moment> end = fetch_collateral(input, *request.fetch, anchors, now);
  if (!end) return end.error();
  return request.cache ? keep_collateral(input, *request.cache) : Result<void>();
}

Result<int> verify(const VerifyQuote& request) {
  EvidenceCase input = CASEMATE_TRY(read_input(request));
  QuoteReport report;
  if (request.root_file) {
    const Bytes content = CASEMATE_TRY(read_file(*request.root_file));
    input.root = CASEMATE_TRY(read_certificate(content));
    report.trust_root = *request.root_file;
  } else if (input.root) {
    report.trust_root = "root.der of the case";
  }
  const TrustAnchors anchors = input.root ? attest::anchors_of_single_root(*input.root) : attest::vendor_anchors();
  report.verified_at = request.now ? *request.now : input.now ? *input.now : static_cast<Moment>(std::time(nullptr));
  if (request.fetch) {
    if (Result<void> done = fetch_missing(input, request, anchors, report.verified_at); !done) return done.error();
  }
  report.result = verify_evidence(input, request.nonce, anchors, report.verified_at);
  if (request.hcl_file) {
    if (Result<void> checked = check_hcl_file(*request.hcl_file, report.result); !checked) return checked.error();
  }
  report.appraisal = attest::appraise(report.result, request.policy);
  return print(request.form == OutputForm::kJson ? to_json(report) : to_table(report),
               report.appraisal.is_accepted() ? kAccepted : kExitNo);
}

Result<int> show(const ShowQuote& request) {
  const Bytes content = CASEMATE_TRY(read_file(request.file));
  const Result<EvidenceListing> listing = list_evidence(content);
  if (!listing) {
    std::fprintf(stderr, "casemate quote: %s: %s\n", request.file.c_str(), listing.error().message().c_str());
    return kExitNo;
  }
  const auto& [format, measurements] = listing.value();
  return print(request.form == OutputForm::kJson ? measurements_to_json(format, measurements)
                                                 : measurements_to_table(format, measurements),
               kAccepted);
}

int finish(const Result<int>& outcome) { return outcome ? outcome.value() : complain(outcome.error()); }

int execute(const ShowQuote& request) { return finish(show(request)); }
int execute(const VerifyQuote& request) { return finish(verify(request)); }
int execute(const PrintText& request) {
  std::fputs(request.text.c_str(), request.exit_code == 0 ? stdout : stderr);
  return request.exit_code;
}

}  // namespace

int quote_command(const std::vector<std::string>& words) {
  if (!words.empty() && words.front() == "get") return quote_get_command({words.begin() + 1, words.end()});
  if (!words.empty() && words.front() == "collateral") {
    return quote_collateral_command({words.begin() + 1, words.end()});
  }
  return std::visit([](const auto& request) { return execute(request); }, parse_quote_words(words));
}

}  // namespace casemate::cli
