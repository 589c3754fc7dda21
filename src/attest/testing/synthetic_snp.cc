#include "attest/testing/synthetic_snp.h"

#include "attest/testing/synthetic_dcap.h"

namespace casemate::attest::testing {
namespace {

using crypto::KeyKind;
using crypto::PrivateKey;
using crypto::SignatureScheme;
using evidence::SnpGeneration;
using evidence::SnpSigningKey;

constexpr SignatureScheme kAuthorityScheme = SignatureScheme::kRsaPssSha384;

struct AmdKeys {
  PrivateKey ark = must(PrivateKey::generate_rsa(2048, 65537));
  PrivateKey ask = must(PrivateKey::generate_rsa(2048, 65537));
  PrivateKey leaf = must(PrivateKey::generate(KeyKind::kEcP384));
};
const AmdKeys& amd_keys() {
  static const AmdKeys instance;
  return instance;
}

std::string product_of(SnpGeneration generation) { return evidence::to_text(generation); }

// r and s, little-endian, in 72 bytes each.
void put_signature(evidence::SnpReport& report, crypto::ByteView signature) {
  for (std::size_t i = 0; i < 48; ++i) {
    report.signature_r[i] = signature[47 - i];
    report.signature_s[i] = signature[95 - i];
  }
}

}  // namespace

SnpScenario::SnpScenario(SnpGeneration chip_generation, std::uint32_t version, SnpSigningKey key)
    : generation(chip_generation), signing_key(key) {
  const bool is_turin = generation == SnpGeneration::kTurin;
  fields.product = product_of(generation);
  fields.tcb = {static_cast<std::uint8_t>(is_turin ? 1 : 0), 3, 0, 8, 115};
  report.version = version;
  report.policy = evidence::kSnpPolicyReservedOne | evidence::kSnpPolicySmt;
  report.measurement.fill(std::byte{0x4d});
  report.report_data.fill(std::byte{0xdd});
  report.flags = static_cast<std::uint32_t>(signing_key) << 2;
  report.reported_tcb = evidence::encode_snp_tcb(fields.tcb, generation);
  report.current_tcb = report.committed_tcb = report.launch_tcb = report.reported_tcb;
  report.cpuid_family = is_turin ? 0x1a : 0x19;
  report.cpuid_model = generation == SnpGeneration::kGenoa ? 0x11 : 0x01;
  if (signing_key == SnpSigningKey::kVlek) {
    fields.provider = "cloud.example";
    return;
  }
  Bytes id(is_turin ? 8 : 64, std::byte{0xc1});
  std::ranges::copy(id, report.chip_id.begin());
  fields.hardware_id = id;
}

SnpSample make_sample(const SnpScenario& scenario) {
  const std::string product = product_of(scenario.generation);
  const bool is_vlek = scenario.signing_key == SnpSigningKey::kVlek;
  const std::string ark = "ARK-" + product, ask = (is_vlek ? "SEV-VLEK-" : "SEV-") + product;
  const auto certificate = [&](const std::string& part, const std::string& subject, const std::string& issuer,
                               const crypto::PublicKey& key, const PrivateKey& issuer_key) {
    CertificateTemplate fields;
    fields.subject = subject;
    fields.issuer = issuer;
    fields.serial = snp_serial_of(part);
    fields.not_before = kNow - 10 * kDay;
    fields.not_after = kNow + 20 * kDay;
    fields.is_authority = part != "leaf";
    if (fields.is_authority) fields.key_usage = kUsageAuthority;
    if (part == "leaf") fields.extensions = evidence::build_snp_certificate_fields(scenario.fields);
    if (scenario.edit_certificate) scenario.edit_certificate(part, fields);
    return build_certificate(fields, key, issuer_key, kAuthorityScheme);
  };
  SnpSample sample;
  sample.root_der = certificate("ARK", ark, ark, amd_keys().ark.public_key(), amd_keys().ark);
  sample.endorsements.certificates = {
      sample.root_der,
      certificate("leaf", is_vlek ? "SEV-VLEK" : "SEV-VCEK", ask, amd_keys().leaf.public_key(), amd_keys().ask),
      certificate("ASK", ask, ark, amd_keys().ask.public_key(), amd_keys().ark)};
  evidence::SnpReport report = scenario.report;
  const Bytes unsigned_report = evidence::build(report);
  put_signature(report, must(amd_keys().leaf.sign(SignatureScheme::kEcdsaP384Sha384,
                                                  crypto::ByteView(unsigned_report).first(evidence::kSnpSignedSize))));
  sample.report = evidence::build(report);
  return sample;
}

Bytes make_snp_revocation_list(const SnpScenario& scenario, const std::vector<Bytes>& serials) {
  RevocationListTemplate fields;
  fields.issuer = "ARK-" + product_of(scenario.generation);
  fields.this_update = kNow - kDay;
  fields.next_update = kNow + kDay;
  fields.serials = serials;
  return build_revocation_list(fields, amd_keys().ark, kAuthorityScheme);
}

Bytes snp_serial_of(const std::string& part) { return serial_of(part); }

}  // namespace casemate::attest::testing
