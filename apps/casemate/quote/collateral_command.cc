#include "casemate/quote/collateral_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <fstream>

#include "attest/collateral_cache.h"
#include "casemate/quote/collateral_source.h"
#include "casemate/quote/evidence_files.h"
#include "casemate/reference/tools.h"
#include "casemate/subcommands.h"

namespace casemate::cli {
namespace {

constexpr const char* kCollateralHelp = R"(Keeps collateral on disk, for verification without a network.

Usage: casemate quote collateral import --cache DIR FILE...
       casemate quote collateral import --cache DIR --for REPORT FILE...
       casemate quote collateral fetch --cache DIR --for EVIDENCE [OPTIONS] [FILE...]
       casemate quote collateral export --cache DIR --for QUOTE --output FILE
       casemate quote collateral list --cache DIR

  --cache DIR         where it is kept; `casemate quote verify --cache DIR` takes it from there
  --for FILE          the SNP report that certificates and revocation lists belong to, or the quote whose collateral is
                      meant; with fetch also what holds one of these
  --output FILE       where exported collateral goes: JSON that import reads
  FILE...             with fetch: a VLEK's certificate (AMD gives it to nobody but the cloud's provider)

Options of fetch:
%s  --time T            fetched collateral must be in date then (default: now)
  --root FILE         ... and lead to this root instead of Intel's and AMD's: for tests

Nothing is believed for being in the cache: every use checks signatures and dates again.
Exit codes: 0 done, 1 nothing there or not usable, 2 wrong words, files or network.
)";

struct Request {
  std::string cache, evidence_file, output, time, root;
  FetchWords fetch;
  std::vector<std::string> files;
};

int complain(const std::string& text, int exit_code) {
  std::fprintf(stderr, "casemate quote collateral: %s\n", text.c_str());
  return exit_code;
}

int complain(const Error& error) {
  const bool is_answer = error.category() == ErrorCategory::kFormat || error.category() == ErrorCategory::kNotFound;
  return complain(error.message(), is_answer ? kExitNo : kExitUsage);
}

Result<EvidenceCase> read_files(const Request& request) {
  EvidenceCase input;
  for (const std::string& name : request.files) {
    const crypto::Bytes content = CASEMATE_TRY(read_file(name));
    if (Result<void> added = add_collateral(input, content, name); !added) return added.error();
  }
  return input;
}

Result<int> import_files(const Request& request) {
  const attest::CollateralCache cache(request.cache);
  if (!request.evidence_file.empty()) {
    const EvidenceCase input = CASEMATE_TRY(read_files(request));
    const crypto::Bytes report = CASEMATE_TRY(read_file(request.evidence_file));
    if (Result<void> stored = cache.store(report, input.snp); !stored) return stored.error();
    return 0;
  }
  for (const std::string& name : request.files) {
    const crypto::Bytes content = CASEMATE_TRY(read_file(name));
    const attest::DcapCollateral collateral = CASEMATE_TRY(attest::parse_dcap_collateral(crypto::as_text(content)));
    const attest::StoreOutcome outcome = CASEMATE_TRY(cache.store(collateral));
    if (outcome == attest::StoreOutcome::kKeptNewer) {
      std::fprintf(stderr, "casemate quote collateral: %s is older than what is there, which stays\n", name.c_str());
    }
  }
  return 0;
}

Result<int> export_file(const Request& request) {
  const attest::CollateralCache cache(request.cache);
  const crypto::Bytes quote = CASEMATE_TRY(read_file(request.evidence_file));
  const std::optional<attest::DcapCollateral> found =
      CASEMATE_TRY(cache.find_for_quote(without_open_enclave_header(quote)));
  if (!found) return complain("there is no collateral for this quote", kExitNo);
  std::ofstream file(request.output, std::ios::binary | std::ios::trunc);
  file << attest::to_json(*found);
  return file.flush() ? 0 : complain("cannot write " + request.output, kExitUsage);
}

Result<attest::Moment> moment_of(const std::string& time) {
  if (time.empty()) return attest::Moment{std::time(nullptr)};
  const Result<attest::Moment> moment = attest::parse_moment(time);
  if (!moment) return Error(ErrorCategory::kUsage, "--time: " + moment.error().message());
  return moment;
}

Result<int> fetch(const Request& request) {
  EvidenceCase input = CASEMATE_TRY(read_files(request));
  const FetchOptions options = CASEMATE_TRY(judge_fetch(request.fetch));
  const attest::Moment now = CASEMATE_TRY(moment_of(request.time));
  input.evidence = CASEMATE_TRY(read_file(request.evidence_file));
  input.kind = kind_of_evidence(input.evidence);
  if (!request.root.empty()) {
    const crypto::Bytes content = CASEMATE_TRY(read_file(request.root));
    input.root = CASEMATE_TRY(read_certificate(content));
  }
  const attest::TrustAnchors anchors =
      input.root ? attest::anchors_of_single_root(*input.root) : attest::vendor_anchors();
  const attest::Moment end = CASEMATE_TRY(fetch_collateral(input, options, anchors, now));
  if (Result<void> kept = keep_collateral(input, request.cache); !kept) return kept.error();
  std::printf("fetched; good until %s\n", attest::to_text(end).c_str());
  return std::fflush(stdout) == 0 ? 0 : kExitUsage;
}

Result<int> list(const Request& request) {
  for (const std::string& name : CASEMATE_TRY(attest::CollateralCache(request.cache).list())) {
    std::printf("%s\n", name.c_str());
  }
  return std::fflush(stdout) == 0 ? 0 : kExitUsage;
}

void describe_words(CLI::App& app, Request& request) {
  app.require_subcommand(1);
  const auto add = [&](const char* name) {
    CLI::App* command = app.add_subcommand(name);
    command->add_option("--cache", request.cache)->required();
    return command;
  };
  CLI::App* import_words = add("import");
  import_words->add_option("--for", request.evidence_file);
  import_words->add_option("files", request.files)->required();
  CLI::App* export_words = add("export");
  export_words->add_option("--for", request.evidence_file)->required();
  export_words->add_option("--output", request.output)->required();
  CLI::App* fetch_words = add("fetch");
  fetch_words->add_option("--for", request.evidence_file)->required();
  fetch_words->add_option("--time", request.time);
  fetch_words->add_option("--root", request.root);
  fetch_words->add_option("files", request.files);
  describe_fetch(*fetch_words, request.fetch);
  add("list");
}

std::string help_text() {
  std::string text(kCollateralHelp);
  return text.replace(text.find("%s"), 2, kFetchHelp);
}

}  // namespace

CommandText describe_quote_collateral() {
  Request request;
  CLI::App app;
  describe_words(app, request);
  return read_words(app, "collateral", help_text());
}

int quote_collateral_command(const std::vector<std::string>& words) {
  Request request;
  CLI::App app("", "casemate quote collateral");
  describe_words(app, request);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::CallForHelp&) {
    std::fputs(help_text().c_str(), stdout);
    return 0;
  } catch (const CLI::ParseError& error) {
    return complain(std::string(error.what()) + "; see `casemate quote collateral --help`", kExitUsage);
  }
  const Result<int> outcome = app.got_subcommand("import")   ? import_files(request)
                              : app.got_subcommand("fetch")  ? fetch(request)
                              : app.got_subcommand("export") ? export_file(request)
                                                             : list(request);
  return outcome ? outcome.value() : complain(outcome.error());
}

}  // namespace casemate::cli
