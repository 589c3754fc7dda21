// Builds a certificate path from a leaf to a pinned root out of certificates in any order, and judges it: signatures,
// linkage by name, basicConstraints, keyUsage, unknown critical extensions, names. Time is judged apart
// (CertificatePath gives the window), so that paths can be kept.
//
// What a hostile peer can do here: hand in certificates of others, loops, authorities that are none, leaves that act as
// authorities, two certificates of one name. The path is bounded, every step is a verified signature, and it counts
// only when it ends at the pinned key.
#pragma once

#include <initializer_list>
#include <span>

#include "attest/result.h"
#include "attest/trust_anchors.h"
#include "crypto/certificate.h"

namespace casemate::attest {

struct PathRules {
  std::string part;                          // names the path in checks: "PCK", "TCB info signer"
  std::string leaf_name;                     // the leaf's common name must contain this
  std::vector<std::string> authority_names;  // from the leaf's issuer to the root: must be contained; fixes the length
  std::string_view understood_extension;     // may be critical, besides the usual ones
  // Between certificates of one name and key, one that is valid then is preferred.
  std::optional<Moment> preferred_moment;
};

// Leaf first, root last; pointers into the leaf and the pool given.
struct CertificatePath {
  std::vector<const crypto::Certificate*> certificates;

  bool is_complete() const { return !certificates.empty(); }
  const crypto::Certificate& leaf() const { return *certificates.front(); }
  const crypto::Certificate& issuer() const { return *certificates[1]; }
  const crypto::Certificate& root() const { return *certificates.back(); }
};

// Records its checks; the path is empty when one failed.
CertificatePath build_path(CheckList& checks, const crypto::Certificate& leaf,
                           std::span<const crypto::Certificate> pool, const TrustAnchor& anchor,
                           const PathRules& rules);

// One part of what was used, for the check of its validity.
struct DatedPart {
  std::string name;
  Moment begin;
  Moment end;
};
void append_dates(std::vector<DatedPart>& parts, const CertificatePath& path, const std::string& name);
// One check for each part, and the window of all of them.
void check_dates(CheckList& checks, ValidityWindow& window, const std::vector<DatedPart>& parts, Moment now);

}  // namespace casemate::attest
