// The roots that evidence must lead to. They are pinned by key, not by certificate: Intel and AMD reissue certificates.
#pragma once

#include <map>
#include <string_view>

#include "base/result.h"
#include "crypto/bytes.h"
#include "crypto/certificate.h"
#include "evidence/snp_report.h"

namespace casemate::attest {

// SHA-256 of a root's SubjectPublicKeyInfo.
class TrustAnchor {
 public:
  static TrustAnchor of_key(const crypto::Certificate& root);
  static TrustAnchor of_digest(std::string_view hex);  // 64 digits; stops the process otherwise: for constants

  bool is_key_of(const crypto::Certificate& certificate) const;
  std::string to_text() const { return crypto::to_hex(digest_); }

 private:
  explicit TrustAnchor(crypto::Bytes digest) : digest_(std::move(digest)) {}
  crypto::Bytes digest_;
};

struct TrustAnchors {
  TrustAnchor intel_sgx_root;
  std::map<evidence::SnpGeneration, TrustAnchor> amd_roots;
};

// The vendors' roots, as published in their documents and confirmed by the chains of real evidence.
const TrustAnchors& vendor_anchors();
// Accepts one other root for everything: test set-ups with throw-away keys. Never a default.
TrustAnchors anchors_of_single_root(const crypto::Certificate& root);

}  // namespace casemate::attest
