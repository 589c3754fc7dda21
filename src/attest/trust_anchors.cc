#include "attest/trust_anchors.h"

#include "crypto/hash.h"

namespace casemate::attest {
namespace {

using evidence::SnpGeneration;

crypto::Bytes digest_of(const crypto::Certificate& certificate) {
  return crypto::to_bytes(crypto::sha256(certificate.subject_public_key_info()));
}

}  // namespace

TrustAnchor TrustAnchor::of_key(const crypto::Certificate& root) { return TrustAnchor(digest_of(root)); }

TrustAnchor TrustAnchor::of_digest(std::string_view hex) {
  Result<crypto::Bytes> digest = crypto::from_hex(hex);
  if (!digest || digest.value().size() != 32) __builtin_trap();
  return TrustAnchor(std::move(digest).value());
}

bool TrustAnchor::is_key_of(const crypto::Certificate& certificate) const {
  return crypto::equal(digest_, digest_of(certificate));
}

const TrustAnchors& vendor_anchors() {
  static const TrustAnchors anchors{
      TrustAnchor::of_digest("a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e"),
      {{SnpGeneration::kMilan,
        TrustAnchor::of_digest("9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9")},
       {SnpGeneration::kGenoa,
        TrustAnchor::of_digest("429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831")},
       {SnpGeneration::kTurin,
        TrustAnchor::of_digest("4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08")}}};
  return anchors;
}

TrustAnchors anchors_of_single_root(const crypto::Certificate& root) {
  const TrustAnchor anchor = TrustAnchor::of_key(root);
  return {anchor, {{SnpGeneration::kMilan, anchor}, {SnpGeneration::kGenoa, anchor}, {SnpGeneration::kTurin, anchor}}};
}

}  // namespace casemate::attest
