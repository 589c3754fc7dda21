#include "casemate/quote/collateral_source.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "attest/collateral_cache.h"
#include "casemate/quote/hardware_part.h"

namespace casemate::cli {
namespace {

using attest::Moment;
using attest::TrustAnchors;

template <typename Collateral>
Result<void> request_all(Collateral& collateral, const std::vector<attest::CollateralRequest>& requests,
                         const DownloadOptions& options) {
  for (const attest::CollateralRequest& request : requests) {
    const attest::CollateralResponse response = CASEMATE_TRY(download(request.url, options));
    if (Result<void> taken = attest::take_response(collateral, request, response); !taken) return taken;
  }
  return {};
}

Result<Moment> fetch_for_quote(EvidenceCase& input, const crypto::Bytes& quote, const FetchOptions& options,
                               const TrustAnchors& anchors, Moment now) {
  const attest::QuotePlatform platform = CASEMATE_TRY(attest::platform_of_quote(quote));
  attest::DcapCollateral collateral;
  const auto requests = attest::requests_for_quote(platform, options.services);
  if (Result<void> got = request_all(collateral, requests, options.download); !got) return got.error();
  const Moment end = CASEMATE_TRY(attest::check_collateral(collateral, platform, anchors, now));
  input.dcap = std::move(collateral);
  return end;
}

// A VLEK's certificate must have come by a file: nobody hands it out.
Result<Moment> fetch_for_report(EvidenceCase& input, const crypto::Bytes& bytes, const FetchOptions& options,
                                const TrustAnchors& anchors, Moment now) {
  const evidence::SnpReport report = CASEMATE_TRY(evidence::parse_snp_report(bytes));
  const auto requests = CASEMATE_TRY(attest::requests_for_report(report, options.generation, options.services));
  attest::SnpEndorsements endorsements;
  if (requests.front().part != attest::CollateralPart::kLeaf) {
    if (input.snp.certificates.empty()) {
      return Error(ErrorCategory::kUsage,
                   "a VLEK signed this report: give its certificate, which the provider's hosts hand out");
    }
    endorsements = input.snp;
  }
  if (Result<void> got = request_all(endorsements, requests, options.download); !got) return got.error();
  const attest::VerificationResult result = attest::verify_snp_report(bytes, endorsements, anchors, now);
  if (result.conclusion != attest::Conclusion::kVerified) {
    return Error(ErrorCategory::kFormat,
                 "the certificates from " + options.services.kds + " do not verify this report: " + result.reason());
  }
  input.snp = std::move(endorsements);
  return result.window.end;
}

}  // namespace

const char* const kFetchHelp =
    R"(  --pcs URL           Intel's service or a cache of it (PCCS); default https://api.trustedservices.intel.com
  --kds URL           AMD's service or a cache of it; default https://kdsintf.amd.com
  --ca FILE           who vouches for these servers (PEM); default /etc/ssl/certs/ca-certificates.crt
  --timeout SECONDS   for each request; default 30
  --product NAME      Milan, Genoa or Turin: for SNP reports of version 2, which do not say it
                      No environment variable counts, and no proxy is used.
)";

void describe_fetch(CLI::App& app, FetchWords& words) {
  app.add_option("--pcs", words.pcs);
  app.add_option("--kds", words.kds);
  app.add_option("--ca", words.ca_file);
  app.add_option("--timeout", words.timeout_seconds)->check(CLI::Range(1, 600));
  app.add_option("--product", words.product);
}

Result<FetchOptions> judge_fetch(const FetchWords& words) {
  FetchOptions options;
  options.services.pcs = CASEMATE_TRY(attest::service_base(words.pcs));
  options.services.kds = CASEMATE_TRY(attest::service_base(words.kds));
  options.download = {words.ca_file, words.timeout_seconds};
  if (!words.product.empty()) {
    options.generation = evidence::generation_of_product(words.product);
    if (!options.generation) return Error(ErrorCategory::kUsage, "unknown product " + words.product);
  }
  return options;
}

Result<void> add_from_cache(EvidenceCase& input, const std::string& directory) {
  const attest::CollateralCache cache(directory);
  const HardwarePart part = hardware_part(input);
  if (part.kind == EvidenceKind::kDcapQuote && !input.dcap) {
    input.dcap = CASEMATE_TRY(cache.find_for_quote(part.bytes));
  }
  if (part.kind == EvidenceKind::kSnpReport && input.snp.certificates.empty()) {
    const std::optional<attest::SnpEndorsements> found = CASEMATE_TRY(cache.find_for_report(part.bytes));
    if (found) input.snp = *found;
  }
  return {};
}

bool has_collateral(const EvidenceCase& input, const TrustAnchors& anchors, Moment now) {
  const HardwarePart part = hardware_part(input);
  if (part.kind == EvidenceKind::kDcapQuote) {
    const Result<attest::QuotePlatform> platform = attest::platform_of_quote(part.bytes);
    // A quote without a certificate fails at verification, with the reason.
    if (!platform) return true;
    return input.dcap && attest::check_collateral(*input.dcap, platform.value(), anchors, now);
  }
  if (part.kind == EvidenceKind::kSnpReport) {
    return attest::verify_snp_report(part.bytes, input.snp, anchors, now).conclusion == attest::Conclusion::kVerified;
  }
  return true;
}

Result<Moment> fetch_collateral(EvidenceCase& input, const FetchOptions& options, const TrustAnchors& anchors,
                                Moment now) {
  const HardwarePart part = hardware_part(input);
  if (part.kind == EvidenceKind::kDcapQuote) return fetch_for_quote(input, part.bytes, options, anchors, now);
  if (part.kind == EvidenceKind::kSnpReport) return fetch_for_report(input, part.bytes, options, anchors, now);
  return Error(ErrorCategory::kUsage, "nothing can be fetched for this file: it holds no quote and no SNP report");
}

Result<void> keep_collateral(const EvidenceCase& input, const std::string& directory) {
  const attest::CollateralCache cache(directory);
  const HardwarePart part = hardware_part(input);
  if (part.kind == EvidenceKind::kSnpReport) return cache.store(part.bytes, input.snp);
  const attest::StoreOutcome outcome = CASEMATE_TRY(cache.store(input.dcap.value()));
  if (outcome == attest::StoreOutcome::kKeptNewer) {
    std::fputs("casemate quote: what was fetched is older than what is in the cache, which stays\n", stderr);
  }
  return {};
}

}  // namespace casemate::cli
