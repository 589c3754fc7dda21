// Collateral on disk, for verification without a network: one file for each platform, found by what a quote or report
// says about itself. Import and export are the files of docs/formats/evidence.md.
//
// What a hostile host can do here -> what we answer
//  - change or cut files -> each begins with the digest of the rest; beyond that, nothing is believed because it is in
//    the cache: verifiers check every signature and date again
//  - put older collateral back -> store() keeps the newer one; files put there by hand are judged by their dates, so an
//    old one can be used until it expires, and --minimum-evaluation-data closes that
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attest/dcap_collateral.h"
#include "attest/snp_verifier.h"
#include "base/result.h"

namespace casemate::attest {

enum class StoreOutcome { kStored, kKeptNewer };

// Threads and processes: any number may read and store; files are replaced whole. Blocks: on the disk.
class CollateralCache {
 public:
  // The directory is made when the first file is stored.
  explicit CollateralCache(std::string directory) : directory_(std::move(directory)) {}

  // By TEE and FMSPC of its TCB info. Errors: kFormat for collateral without readable TCB info; kSystem.
  Result<StoreOutcome> store(const DcapCollateral& collateral) const;
  // What is there for a quote; nullopt when nothing is, also for bytes that name no platform. Errors: kFormat for
  // damaged files; kSystem.
  Result<std::optional<DcapCollateral>> find_for_quote(crypto::ByteView quote) const;

  // By CHIP_ID and reported TCB of the report that they belong to. Errors: kFormat, kSystem.
  Result<void> store(crypto::ByteView snp_report, const SnpEndorsements& endorsements) const;
  Result<std::optional<SnpEndorsements>> find_for_report(crypto::ByteView snp_report) const;

  // Names of the entries, sorted. An absent directory has none.
  Result<std::vector<std::string>> list() const;

 private:
  Result<void> put(const std::string& name, const std::string& content) const;
  Result<std::optional<std::string>> get(const std::string& name) const;

  std::string directory_;
};

}  // namespace casemate::attest
