#include "attest/snp_verifier.h"

#include <gtest/gtest.h>

#include "attest/testing/synthetic_dcap.h"
#include "attest/testing/synthetic_snp.h"

namespace casemate::attest {
namespace {

using namespace testing;
using evidence::SnpGeneration;
using evidence::SnpSigningKey;

TrustAnchors anchors_for(const SnpSample& sample) {
  return anchors_of_single_root(must(crypto::Certificate::from_der(sample.root_der)));
}

VerificationResult verify(const SnpSample& sample, Moment now = kNow) {
  return verify_snp_report(sample.report, sample.endorsements, anchors_for(sample), now);
}

std::string failed_check(const VerificationResult& result) {
  const Check* failure = result.checks.first_failure();
  return failure == nullptr ? "" : failure->name;
}

void expect_refusal(const SnpScenario& scenario, const std::string& check) {
  const VerificationResult result = verify(make_sample(scenario));
  EXPECT_EQ(result.verdict(), "invalid");
  EXPECT_NE(failed_check(result).find(check), std::string::npos) << failed_check(result);
}

TEST(SnpVerifier, VerifiesEveryVersionGenerationAndKey) {
  for (auto generation : {SnpGeneration::kMilan, SnpGeneration::kGenoa, SnpGeneration::kTurin}) {
    for (std::uint32_t version = 2; version <= 5; ++version) {
      for (auto key : {SnpSigningKey::kVcek, SnpSigningKey::kVlek}) {
        const VerificationResult result = verify(make_sample(SnpScenario(generation, version, key)));
        EXPECT_EQ(result.verdict(), "valid") << result.reason();
        EXPECT_EQ(result.is_chip_identified, key == SnpSigningKey::kVcek);
      }
    }
  }
}

TEST(SnpVerifier, RefusesRootsThatAreNotPinned) {
  const SnpSample sample = make_sample(SnpScenario());
  EXPECT_EQ(verify_snp_report(sample.report, sample.endorsements, vendor_anchors(), kNow).verdict(), "invalid");
}

TEST(SnpVerifier, AnyFlippedByteIsRefused) {
  for (std::uint32_t version = 2; version <= 5; ++version) {
    SnpSample sample = make_sample(SnpScenario(SnpGeneration::kMilan, version));
    for (std::size_t i = 0; i < sample.report.size(); ++i) {
      sample.report[i] ^= std::byte{0x01};
      const VerificationResult result = verify(sample);
      ASSERT_TRUE(result.conclusion == Conclusion::kInvalid || result.conclusion == Conclusion::kParseError)
          << "byte " << i;
      sample.report[i] ^= std::byte{0x01};
    }
  }
}

TEST(SnpVerifier, AnyFlippedByteOfACertificateIsRefused) {
  SnpSample sample = make_sample(SnpScenario());
  const TrustAnchors anchors = anchors_for(sample);
  for (Bytes& certificate : sample.endorsements.certificates) {
    for (std::size_t i = 0; i < certificate.size(); i += 5) {
      certificate[i] ^= std::byte{0x01};
      ASSERT_EQ(verify_snp_report(sample.report, sample.endorsements, anchors, kNow).verdict(), "invalid") << i;
      certificate[i] ^= std::byte{0x01};
    }
  }
}

TEST(SnpVerifier, OtherSizesAndVersionsAreParseErrors) {
  SnpSample sample = make_sample(SnpScenario());
  for (std::size_t size : {std::size_t{0}, std::size_t{1183}, std::size_t{1185}, std::size_t{4000}}) {
    Bytes report = sample.report;
    report.resize(size);
    EXPECT_EQ(verify_snp_report(report, {}, vendor_anchors(), kNow).verdict(), "parse error");
  }
  for (int version : {0, 1, 6, 255}) {
    sample.report[0] = static_cast<std::byte>(version);
    EXPECT_EQ(verify(sample).verdict(), "parse error");
  }
}

TEST(SnpVerifier, RefusesMissingAndDoubledCertificates) {
  const SnpSample good = make_sample(SnpScenario());
  for (std::size_t i = 0; i < good.endorsements.certificates.size(); ++i) {
    SnpSample sample = good;
    sample.endorsements.certificates.erase(sample.endorsements.certificates.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_EQ(verify(sample).verdict(), "invalid");
  }
  SnpSample doubled = good;
  doubled.endorsements.certificates.push_back(good.endorsements.certificates[1]);
  EXPECT_EQ(failed_check(verify(doubled)), "certificates: leaf");
}

TEST(SnpVerifier, RefusesOtherChipsAndTcbs) {
  SnpScenario chip, bootloader, microcode;
  chip.fields.hardware_id->at(5) ^= std::byte{1};
  bootloader.fields.tcb.bootloader = 4;
  microcode.fields.tcb.microcode = 114;
  expect_refusal(chip, "CHIP_ID");
  expect_refusal(bootloader, "TCB: reported");
  expect_refusal(microcode, "TCB: reported");
}

TEST(SnpVerifier, DecodesTcbsByGeneration) {
  // The same eight bytes mean different versions on Turin, so a Milan reading of them must not fit.
  SnpScenario turin(SnpGeneration::kTurin, 5);
  turin.report.reported_tcb = evidence::encode_snp_tcb(turin.fields.tcb, SnpGeneration::kMilan);
  expect_refusal(turin, "TCB: reported");
}

TEST(SnpVerifier, RefusesTcbsInImpossibleOrder) {
  SnpScenario reported, committed;
  evidence::SnpTcb lower = reported.fields.tcb;
  lower.snp = 7;
  reported.report.current_tcb = evidence::encode_snp_tcb(lower, reported.generation);
  expect_refusal(reported, "running is not below reported");
  evidence::SnpTcb higher = committed.fields.tcb;
  higher.microcode = 200;
  committed.report.committed_tcb = evidence::encode_snp_tcb(higher, committed.generation);
  expect_refusal(committed, "running is not below committed");
}

TEST(SnpVerifier, RefusesAProcessorOfAnotherGeneration) {
  SnpScenario scenario;
  scenario.report.cpuid_model = 0x11;
  expect_refusal(scenario, "processor");
  scenario.report.cpuid_family = 0x17;
  expect_refusal(scenario, "processor");
}

TEST(SnpVerifier, RefusesKeysOfTheOtherKind) {
  SnpScenario vcek_as_vlek;
  vcek_as_vlek.report.flags = static_cast<std::uint32_t>(SnpSigningKey::kVlek) << 2;
  expect_refusal(vcek_as_vlek, "signing key");
  SnpScenario none;
  none.report.flags = static_cast<std::uint32_t>(SnpSigningKey::kNone) << 2;
  expect_refusal(none, "signing key");
  SnpScenario provider(SnpGeneration::kMilan, 3, SnpSigningKey::kVlek);
  provider.edit_certificate = [](const std::string& part, CertificateTemplate& fields) {
    if (part == "ASK") fields.subject = "SEV-Milan";
    if (part == "leaf") fields.issuer = "SEV-Milan";
  };
  expect_refusal(provider, "VLEK chain: names");
}

TEST(SnpVerifier, SkipsTheChipWhereTheHostMasksIt) {
  SnpScenario scenario;
  scenario.report.chip_id = {};
  const VerificationResult result = verify(make_sample(scenario));
  EXPECT_EQ(result.verdict(), "valid");
  EXPECT_FALSE(result.is_chip_identified);
}

TEST(SnpVerifier, RefusesBrokenReportFields) {
  SnpScenario reserved, vmpl, author, algorithm;
  reserved.report.policy = 0;
  vmpl.report.vmpl = 4;
  author.report.author_key_digest[0] = std::byte{1};
  algorithm.report.signature_algorithm = 2;
  expect_refusal(reserved, "reserved bit 17");
  expect_refusal(vmpl, "VMPL");
  expect_refusal(author, "author key");
  expect_refusal(algorithm, "signature algorithm");
}

TEST(SnpVerifier, RefusesSignaturesOfZeroAndTooLargeNumbers) {
  SnpSample zero = make_sample(SnpScenario());
  std::fill_n(zero.report.begin() + evidence::kSnpSignedSize, 144, std::byte{0});
  EXPECT_EQ(failed_check(verify(zero)), "report: signature");
  SnpSample large = make_sample(SnpScenario());
  large.report[evidence::kSnpSignedSize + 48] = std::byte{1};
  EXPECT_EQ(failed_check(verify(large)), "report: signature");
}

TEST(SnpVerifier, RefusesExpiredCertificates) {
  for (const char* spoiled : {"ARK", "ASK", "leaf"}) {
    SnpScenario scenario;
    scenario.edit_certificate = [&](const std::string& part, CertificateTemplate& fields) {
      if (part == spoiled) fields.not_after = kNow - 1;
    };
    expect_refusal(scenario, "validity of chain's");
  }
}

TEST(SnpVerifier, RefusesAuthoritiesThatAreNone) {
  for (const char* spoiled : {"ARK", "ASK"}) {
    SnpScenario scenario;
    scenario.edit_certificate = [&](const std::string& part, CertificateTemplate& fields) {
      if (part == spoiled) fields.is_authority = false;
    };
    expect_refusal(scenario, "basic constraints");
  }
}

TEST(SnpVerifier, ObeysRevocationLists) {
  const SnpScenario scenario;
  SnpSample sample = make_sample(scenario);
  EXPECT_FALSE(verify(sample).revocation_checked);
  sample.endorsements.revocation_lists = {make_snp_revocation_list(scenario, {snp_serial_of("other")})};
  const VerificationResult good = verify(sample);
  EXPECT_EQ(good.verdict(), "valid") << good.reason();
  EXPECT_TRUE(good.revocation_checked);
  EXPECT_EQ(verify(sample, kNow + 2 * kDay).verdict(), "invalid");
  sample.endorsements.revocation_lists = {make_snp_revocation_list(scenario, {snp_serial_of("ASK")})};
  EXPECT_NE(failed_check(verify(sample)).find("not revoked"), std::string::npos);
}

TEST(SnpCertificateTable, GivesCertificatesByTheirGuid) {
  const SnpSample sample = make_sample(SnpScenario());
  const Bytes& leaf = sample.endorsements.certificates[1];
  Bytes table = must(crypto::from_hex("63da758de6644564adc5f4b93be8accd"));
  evidence::append_number(table, std::uint32_t{72});
  evidence::append_number(table, static_cast<std::uint32_t>(leaf.size()));
  table.resize(72);
  crypto::append(table, leaf);
  EXPECT_EQ(must(parse_snp_certificate_table(table)).certificates, std::vector<Bytes>{leaf});
  for (std::size_t lie : {std::size_t{16}, std::size_t{20}}) {
    Bytes lying = table;
    lying[lie + 3] = std::byte{0xff};
    EXPECT_FALSE(parse_snp_certificate_table(lying).has_value());
  }
  EXPECT_FALSE(parse_snp_certificate_table(crypto::ByteView(table).first(24)).has_value());
}

}  // namespace
}  // namespace casemate::attest
