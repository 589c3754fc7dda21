#include "attest/certificate_chain.h"

#include <algorithm>

namespace casemate::attest {
namespace {

using crypto::Certificate;
using crypto::KeyUsage;

std::string name_of(const Certificate& certificate) { return "\"" + certificate.subject().common_name + "\""; }

std::string path_text(const CertificatePath& path) {
  std::string text;
  for (const Certificate* certificate : path.certificates) text += (text.empty() ? "" : " <- ") + name_of(*certificate);
  return text;
}

bool is_valid_at(const Certificate& certificate, Moment moment) {
  return certificate.not_before() <= moment && moment <= certificate.not_after();
}

// The certificate of the pool that issued `subject`, or why there is none.
struct Issuer {
  const Certificate* certificate = nullptr;
  std::string problem;
};

Issuer find_issuer(const Certificate& subject, std::span<const Certificate> pool, const PathRules& rules) {
  Issuer best;
  best.problem = "no certificate of its issuer " + ("\"" + subject.issuer().common_name + "\"");
  for (const Certificate& candidate : pool) {
    if (!(candidate.subject() == subject.issuer())) continue;
    if (!subject.is_signed_by(candidate.public_key())) {
      if (best.certificate == nullptr) best.problem = "a wrong signature on " + name_of(subject);
      continue;
    }
    const bool is_preferred = rules.preferred_moment && is_valid_at(candidate, *rules.preferred_moment);
    if (best.certificate == nullptr || is_preferred) best.certificate = &candidate;
    if (!rules.preferred_moment || is_preferred) break;
  }
  return best;
}

// Follows issuers until the pinned key. Records one check.
bool follow_issuers(CheckList& checks, CertificatePath& path, std::span<const Certificate> pool,
                    const TrustAnchor& anchor, const PathRules& rules) {
  const std::string check = rules.part + " chain: signatures up to the pinned root";
  const std::string expected = "a path to the root key " + anchor.to_text();
  while (!anchor.is_key_of(*path.certificates.back())) {
    const Certificate& current = *path.certificates.back();
    if (current.is_self_issued()) return checks.fail(check, expected, "another root, " + name_of(current));
    if (path.certificates.size() > rules.authority_names.size()) {
      return checks.fail(check, expected, "a longer path: " + path_text(path));
    }
    const Issuer issuer = find_issuer(current, pool, rules);
    if (issuer.certificate == nullptr) return checks.fail(check, expected, issuer.problem);
    path.certificates.push_back(issuer.certificate);
  }
  const Certificate& root = path.root();
  if (!root.is_self_issued() || !root.is_signed_by(root.public_key())) {
    return checks.fail(check, expected, "a root that did not sign itself, " + name_of(root));
  }
  return checks.require(check, path.certificates.size() == rules.authority_names.size() + 1, expected, path_text(path));
}

std::string authority_problem(const CertificatePath& path) {
  if (path.leaf().is_authority()) return "the leaf is an authority";
  for (std::size_t i = 1; i < path.certificates.size(); ++i) {
    const Certificate& authority = *path.certificates[i];
    if (!authority.is_authority()) return name_of(authority) + " is no authority";
    if (authority.path_length() && *authority.path_length() < i - 1) {
      return name_of(authority) + " has more authorities below it than it allows";
    }
  }
  return "";
}

std::string key_usage_problem(const CertificatePath& path) {
  if (!path.leaf().allows(KeyUsage::kDigitalSignature)) return "the leaf may not sign";
  for (std::size_t i = 1; i < path.certificates.size(); ++i) {
    if (!path.certificates[i]->allows(KeyUsage::kCertificateSign)) {
      return name_of(*path.certificates[i]) + " may not sign certificates";
    }
  }
  return "";
}

std::string extension_problem(const CertificatePath& path, const PathRules& rules) {
  for (const Certificate* certificate : path.certificates) {
    const auto unknown = certificate->unknown_critical_extensions({rules.understood_extension});
    if (!unknown.empty()) return name_of(*certificate) + " has " + unknown.front();
  }
  return "";
}

std::string name_problem(const CertificatePath& path, const PathRules& rules) {
  if (path.leaf().subject().common_name.find(rules.leaf_name) == std::string::npos) return name_of(path.leaf());
  for (std::size_t i = 1; i < path.certificates.size(); ++i) {
    const std::string& name = path.certificates[i]->subject().common_name;
    if (name.find(rules.authority_names[i - 1]) == std::string::npos) return "\"" + name + "\"";
  }
  return "";
}

bool require_no_problem(CheckList& checks, const std::string& name, const std::string& problem,
                        const std::string& expected) {
  return checks.require(name, problem.empty(), expected, problem.empty() ? "as expected" : problem);
}

}  // namespace

CertificatePath build_path(CheckList& checks, const Certificate& leaf, std::span<const Certificate> pool,
                           const TrustAnchor& anchor, const PathRules& rules) {
  CertificatePath path{{&leaf}};
  if (!follow_issuers(checks, path, pool, anchor, rules)) return {};
  bool good = require_no_problem(checks, rules.part + " chain: basic constraints", authority_problem(path),
                                 "authorities above, none at the end");
  good &= require_no_problem(checks, rules.part + " chain: key usage", key_usage_problem(path),
                             "certificate signing above, digital signature at the end");
  good &= require_no_problem(checks, rules.part + " chain: critical extensions", extension_problem(path, rules),
                             "none that is unknown");
  std::string names = "\"" + rules.leaf_name + "\"";
  for (const std::string& name : rules.authority_names) names += " <- \"" + name + "\"";
  good &= require_no_problem(checks, rules.part + " chain: names", name_problem(path, rules), names);
  return good ? path : CertificatePath{};
}

void append_dates(std::vector<DatedPart>& parts, const CertificatePath& path, const std::string& name) {
  for (const Certificate* certificate : path.certificates) {
    parts.push_back({name + " " + name_of(*certificate), certificate->not_before(), certificate->not_after()});
  }
}

void check_dates(CheckList& checks, ValidityWindow& window, const std::vector<DatedPart>& parts, Moment now) {
  for (const DatedPart& part : parts) {
    window.narrow(part.begin, part.end, part.name);
    const bool is_valid = part.begin <= now && now <= part.end;
    checks.require("validity of " + part.name, is_valid,
                   "a time from " + to_text(part.begin) + " to " + to_text(part.end), to_text(now));
  }
}

}  // namespace casemate::attest
