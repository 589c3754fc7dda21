#include "attest/snp_verifier.h"

#include <algorithm>

#include "attest/certificate_chain.h"
#include "attest/measurements.h"
#include "evidence/snp_report.h"

namespace casemate::attest {
namespace {

using crypto::Certificate;
using crypto::RevocationList;
using crypto::to_hex;
using evidence::SnpCertificateFields;
using evidence::SnpGeneration;
using evidence::SnpReport;
using evidence::SnpSigningKey;
using evidence::SnpTcb;

constexpr std::string_view kVcekName = "SEV-VCEK", kVlekName = "SEV-VLEK";

bool is_leaf(const Certificate& certificate) {
  const std::string& name = certificate.subject().common_name;
  return name == kVcekName || name == kVlekName;
}

class SnpVerification {
 public:
  SnpVerification(crypto::ByteView bytes, const SnpReport& report, const TrustAnchors& anchors, Moment now)
      : bytes_(bytes), report_(report), anchors_(anchors), now_(now) {}

  VerificationResult run(const SnpEndorsements& endorsements) {
    describe();
    read_certificates(endorsements);
    check_chain();
    check_generation();
    check_signature();
    check_security_versions();
    check_chip();
    check_report_fields();
    check_revocation(endorsements);
    check_dates(checks(), result_.window, dated_parts_, now_);
    result_.conclusion = checks().all_passed() ? Conclusion::kVerified : Conclusion::kInvalid;
    return std::move(result_);
  }

 private:
  void describe();
  void read_certificates(const SnpEndorsements& endorsements);
  void read_leaf_fields();
  void check_chain();
  void check_generation();
  void check_signature();
  void check_security_versions();
  void check_chip();
  void check_report_fields();
  void check_revocation(const SnpEndorsements& endorsements);
  void check_revocation_list(const RevocationList& list);

  CheckList& checks() { return result_.checks; }
  bool is_vlek() const { return leaf_->subject().common_name == kVlekName; }

  crypto::ByteView bytes_;
  const SnpReport& report_;
  const TrustAnchors& anchors_;
  Moment now_;
  VerificationResult result_;
  std::vector<Certificate> certificates_;
  const Certificate* leaf_ = nullptr;           // supplied, not yet trusted
  std::optional<SnpCertificateFields> fields_;  // of the leaf
  std::optional<SnpGeneration> generation_;     // by the leaf's product name
  CertificatePath path_;                        // complete once the leaf is trusted
  std::vector<DatedPart> dated_parts_;
};

void SnpVerification::describe() {
  result_.platform = Platform::kSnp;
  result_.format = "snp-report-v" + std::to_string(report_.version);
  result_.vmpl = report_.vmpl;
  result_.is_debug = report_.is_debug();
  result_.is_chip_identified = !crypto::is_all_zero(report_.chip_id);
  if (result_.is_chip_identified) result_.platform_id = to_hex(report_.chip_id);
}

void SnpVerification::read_certificates(const SnpEndorsements& endorsements) {
  for (const crypto::Bytes& der : endorsements.certificates) {
    Result<Certificate> certificate = Certificate::from_der(der);
    if (!certificate) {
      checks().fail("certificates: format", "X.509", certificate.error().message());
      continue;
    }
    certificates_.push_back(std::move(certificate).value());
  }
  const auto count = std::ranges::count_if(certificates_, is_leaf);
  if (checks().require("certificates: leaf", count == 1, "one VCEK or VLEK certificate",
                       std::to_string(count) + " of them")) {
    leaf_ = &*std::ranges::find_if(certificates_, is_leaf);
    result_.format += is_vlek() ? "-vlek" : "-vcek";
    read_leaf_fields();
  }
  result_.measurements = measurements_of(report_, generation_);
  if (!fields_) return;
  result_.measurements.push_back({"product", fields_->product});
  if (fields_->provider) result_.measurements.push_back({"csp", *fields_->provider});
}

void SnpVerification::read_leaf_fields() {
  Result<SnpCertificateFields> fields = evidence::parse_snp_certificate_fields(leaf_->extensions());
  if (!checks().require("leaf: extension", fields.has_value(), "AMD's fields",
                        fields ? "AMD's fields" : fields.error().message())) {
    return;
  }
  fields_ = std::move(fields).value();
  generation_ = evidence::generation_of_product(fields_->product);
  checks().require("leaf: product", generation_.has_value(), "Milan, Genoa or Turin (or a sibling of these)",
                   fields_->product);
}

void SnpVerification::check_chain() {
  if (leaf_ == nullptr || !generation_) return checks().skip("chain", "there is no leaf certificate to start from");
  const auto anchor = anchors_.amd_roots.find(*generation_);
  if (anchor == anchors_.amd_roots.end()) {
    checks().fail("chain", std::string("a pinned root for ") + to_text(*generation_), "none");
    return;
  }
  const std::string product = to_text(*generation_);
  const PathRules rules{is_vlek() ? "VLEK" : "VCEK",
                        leaf_->subject().common_name,
                        {(is_vlek() ? "SEV-VLEK-" : "SEV-") + product, "ARK-" + product},
                        "",
                        std::nullopt};
  path_ = build_path(checks(), *leaf_, certificates_, anchor->second, rules);
  append_dates(dated_parts_, path_, "chain's");
}

void SnpVerification::check_generation() {
  if (!generation_) return;
  if (report_.version < evidence::kSnpVersionWithCpuid) {
    return checks().skip("report: processor", "reports of version 2 do not name it");
  }
  const auto processor = evidence::generation_of_processor(report_.cpuid_family, report_.cpuid_model);
  checks().require(
      "report: processor fits the certificate", processor == generation_, to_text(*generation_),
      processor ? to_text(*processor)
                : "family " + std::to_string(report_.cpuid_family) + " model " + std::to_string(report_.cpuid_model));
}

void SnpVerification::check_signature() {
  checks().require("report: signature algorithm", report_.signature_algorithm == evidence::kSnpSignatureEcdsaP384,
                   "1, ECDSA P-384 with SHA-384", std::to_string(report_.signature_algorithm));
  if (!path_.is_complete()) return checks().skip("report: signature", "there is no trusted VCEK or VLEK");
  const auto wanted_key = static_cast<std::uint32_t>(is_vlek() ? SnpSigningKey::kVlek : SnpSigningKey::kVcek);
  checks().require("report: signing key", report_.signing_key() == wanted_key, std::to_string(wanted_key),
                   std::to_string(report_.signing_key()));
  const crypto::Bytes signature = evidence::snp_signature(report_);
  const bool is_good =
      !signature.empty() && path_.leaf().public_key().verify(crypto::SignatureScheme::kEcdsaP384Sha384,
                                                             bytes_.first(evidence::kSnpSignedSize), signature);
  checks().require("report: signature", is_good, "one by the leaf's key", is_good ? "a good one" : "a wrong one");
}

void SnpVerification::check_security_versions() {
  if (!generation_ || !fields_) return;
  const auto text = [&](const SnpTcb& tcb) { return evidence::to_text(tcb, *generation_); };
  const SnpTcb reported = evidence::decode_snp_tcb(report_.reported_tcb, *generation_),
               current = evidence::decode_snp_tcb(report_.current_tcb, *generation_),
               committed = evidence::decode_snp_tcb(report_.committed_tcb, *generation_);
  result_.snp_tcb = reported;
  result_.snp_tcb_text = text(reported);
  // The key is derived from the reported TCB, so the certificate must be the one for exactly that.
  checks().require("TCB: reported is the certificate's", reported == fields_->tcb, text(fields_->tcb), text(reported));
  checks().require("TCB: running is not below reported", current.is_at_least(reported), "at least " + text(reported),
                   text(current));
  checks().require("TCB: running is not below committed", current.is_at_least(committed), "at least " + text(committed),
                   text(current));
}

void SnpVerification::check_chip() {
  if (leaf_ == nullptr || !fields_) return;
  const std::string name = "chip: CHIP_ID is the certificate's";
  if (is_vlek()) {
    result_.is_chip_identified = false;
    checks().require("VLEK: no chip, a provider", !fields_->hardware_id && fields_->provider, "a provider's name",
                     fields_->provider.value_or("none"));
    return checks().skip(name, "a VLEK belongs to a provider, not to a chip");
  }
  if (!checks().require("VCEK: hardware id", fields_->hardware_id.has_value(), "an id",
                        fields_->hardware_id ? "an id" : "none")) {
    return;
  }
  if (crypto::is_all_zero(report_.chip_id)) return checks().skip(name, "the host masks CHIP_ID");
  // Turin's id has 8 bytes; the rest of the field is zero then.
  crypto::Bytes padded = *fields_->hardware_id;
  const std::size_t wanted_size = generation_ == SnpGeneration::kTurin ? 8 : report_.chip_id.size();
  const bool has_size = padded.size() == wanted_size || padded.size() == report_.chip_id.size();
  padded.resize(std::max(padded.size(), report_.chip_id.size()));
  checks().require(name, has_size && crypto::equal(padded, report_.chip_id), to_hex(*fields_->hardware_id),
                   to_hex(report_.chip_id));
}

void SnpVerification::check_report_fields() {
  const bool is_reserved_bit_set = (report_.policy & evidence::kSnpPolicyReservedOne) != 0;
  checks().require("policy: reserved bit 17", is_reserved_bit_set, "1", is_reserved_bit_set ? "1" : "0");
  checks().require("report: VMPL", report_.vmpl <= 3, "0 to 3", std::to_string(report_.vmpl));
  const bool has_author_digest = !crypto::is_all_zero(report_.author_key_digest);
  checks().require("ID block: author key", has_author_digest == report_.has_author_key(),
                   report_.has_author_key() ? "an author key's digest" : "no author key's digest",
                   has_author_digest ? "one" : "none");
}

void SnpVerification::check_revocation(const SnpEndorsements& endorsements) {
  if (endorsements.revocation_lists.empty()) {
    return checks().skip("revocation", "no list supplied: revoked keys are not recognised");
  }
  if (!path_.is_complete()) return checks().skip("revocation", "there is no trusted chain");
  for (const crypto::Bytes& der : endorsements.revocation_lists) {
    Result<RevocationList> list = RevocationList::from_der(der);
    if (!list) {
      checks().fail("revocation list: format", "a revocation list", list.error().message());
      continue;
    }
    check_revocation_list(list.value());
  }
  result_.revocation_checked = true;
}

void SnpVerification::check_revocation_list(const RevocationList& list) {
  const std::string part = "revocation list";
  const auto signer = std::ranges::find_if(path_.certificates, [&](const Certificate* certificate) {
    return certificate->is_authority() && certificate->subject() == list.issuer();
  });
  if (signer == path_.certificates.end()) {
    checks().fail(part + ": issuer", "an authority of the chain", "\"" + list.issuer().common_name + "\"");
    return;
  }
  const bool is_good = list.is_signed_by((*signer)->public_key()) && list.unknown_critical_extensions().empty();
  checks().require(part + ": signature", is_good, "one by \"" + list.issuer().common_name + "\"",
                   is_good ? "a good one" : "a wrong one");
  dated_parts_.push_back({part, list.this_update(), list.next_update().value_or(list.this_update() - 1)});
  for (const Certificate* certificate : path_.certificates) {
    if (!(certificate->issuer() == list.issuer())) continue;
    const bool is_listed = list.lists(certificate->serial());
    checks().require("not revoked: \"" + certificate->subject().common_name + "\"", !is_listed, "not listed",
                     is_listed ? "listed" : "not listed");
  }
}

}  // namespace

VerificationResult verify_snp_report(crypto::ByteView bytes, const SnpEndorsements& endorsements,
                                     const TrustAnchors& anchors, Moment now) {
  const Result<SnpReport> report = evidence::parse_snp_report(bytes);
  if (!report) {
    VerificationResult result;
    result.conclusion = Conclusion::kParseError;
    result.parse_error = report.error().message();
    return result;
  }
  return SnpVerification(bytes, report.value(), anchors, now).run(endorsements);
}

}  // namespace casemate::attest
