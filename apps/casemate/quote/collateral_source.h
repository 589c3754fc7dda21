// Where `casemate quote` takes collateral from when no file gives it: the cache on disk, and the vendors' services or a
// cache of them in the network.
#pragma once

#include <optional>
#include <string>

#include "attest/collateral_requests.h"
#include "casemate/quote/download.h"
#include "casemate/quote/evidence_files.h"

namespace CLI {
class App;
}

namespace casemate::cli {

struct FetchOptions {
  attest::CollateralServices services;
  DownloadOptions download;
  std::optional<evidence::SnpGeneration> generation;
};

// The words of these options, as given.
struct FetchWords {
  std::string pcs{attest::kIntelPcs}, kds{attest::kAmdKds}, ca_file{kSystemRoots}, product;
  unsigned timeout_seconds = DownloadOptions().timeout_seconds;
};
void describe_fetch(CLI::App& app, FetchWords& words);
// Errors: kUsage.
Result<FetchOptions> judge_fetch(const FetchWords& words);
extern const char* const kFetchHelp;

// Fills in what no file gave. Errors: kFormat for damaged files; kSystem.
Result<void> add_from_cache(EvidenceCase& input, const std::string& directory);

// Whether all that the evidence needs is there and in date, so that nothing has to be fetched. True for evidence
// without a vendor's part.
bool has_collateral(const EvidenceCase& input, const attest::TrustAnchors& anchors, attest::Moment now);
// Replaces the collateral by what the services say, checked: signatures, dates at `now`, that it fits the evidence.
// Gives until when it holds. Errors: kUsage for evidence that has none; those of download() and take_response();
// kFormat for collateral that is not good.
Result<attest::Moment> fetch_collateral(EvidenceCase& input, const FetchOptions& options,
                                        const attest::TrustAnchors& anchors, attest::Moment now);
// Keeps what `input` has. A newer one that is there stays. Errors: those of CollateralCache.
Result<void> keep_collateral(const EvidenceCase& input, const std::string& directory);

}  // namespace casemate::cli
