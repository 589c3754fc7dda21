// Reads what `casemate quote` works on from files: evidence of any supported kind, collateral, test cases.
//
// What a hostile peer can do here: name huge files, mix kinds. Files are bounded, and the kind is decided by content.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attest/dcap_collateral.h"
#include "attest/snp_verifier.h"
#include "base/result.h"
#include "crypto/bytes.h"

namespace casemate::cli {

enum class EvidenceKind {
  kDcapQuote,
  kSnpReport,
  kProcessEvidence,
  kCertificate,  // X.509 with evidence inside
  kHclReport,    // wraps one of the former, or a TDREPORT
  kTdReport,     // the rest can be shown only
  kSgxReport,
  kSgxTargetInfo,
  kSigstruct,
  kUnknown,
};

EvidenceKind kind_of_evidence(crypto::ByteView bytes);
// The evidence inside of Open Enclave's 16-byte header, or the bytes as they are.
crypto::ByteView without_open_enclave_header(crypto::ByteView bytes);

inline constexpr std::size_t kMaximumEvidenceFileSize = std::size_t{4} << 20;
// Errors: kSystem, kExhausted for larger files.
Result<crypto::Bytes> read_file(const std::string& path, std::size_t maximum_size = kMaximumEvidenceFileSize);

struct EvidenceCase {
  crypto::Bytes evidence;
  EvidenceKind kind = EvidenceKind::kUnknown;
  std::optional<attest::DcapCollateral> dcap;
  // What is wrong with collateral that is there; the verdict then is a refusal.
  std::string collateral_problem;
  attest::SnpEndorsements snp;
  std::optional<crypto::Certificate> root;  // replaces the vendors' roots
  std::optional<attest::Moment> now;
};

// Adds a collateral file to what belongs to it, by content. Errors: kFormat for content of no known kind.
Result<void> add_collateral(EvidenceCase& target, const crypto::Bytes& content, const std::string& name);
// DER or PEM, one certificate.
Result<crypto::Certificate> read_certificate(const crypto::Bytes& content);

// The layout of shared/vectors. Of expected.json only the time is used, never the expected verdict.
Result<EvidenceCase> read_case(const std::string& directory);

}  // namespace casemate::cli
