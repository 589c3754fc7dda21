#include "attest/dcap_verifier.h"

#include <gtest/gtest.h>

#include "attest/testing/synthetic_dcap.h"

namespace casemate::attest {
namespace {

using namespace testing;

VerificationResult verify(const DcapSample& sample, Moment now = kNow) {
  const TrustAnchors anchors = anchors_of(sample);
  const auto prepared = PreparedDcapCollateral::prepare(sample.collateral, anchors);
  return verify_dcap_quote(sample.quote, prepared.get(), anchors, now);
}

VerificationResult verify(const DcapScenario& scenario, Moment now = kNow) {
  return verify(make_sample(scenario), now);
}

// The name of the first check that failed; empty when none did.
std::string failed_check(const VerificationResult& result) {
  const Check* failure = result.checks.first_failure();
  return failure == nullptr ? "" : failure->name;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void expect_refusal(const DcapScenario& scenario, const std::string& check) {
  const VerificationResult result = verify(scenario);
  EXPECT_EQ(result.verdict(), "invalid");
  EXPECT_FALSE(result.tcb_status.has_value());
  EXPECT_TRUE(contains(failed_check(result), check)) << failed_check(result);
}

class EveryQuoteKind : public ::testing::TestWithParam<QuoteKind> {};
INSTANTIATE_TEST_SUITE_P(DcapVerifier, EveryQuoteKind, ::testing::ValuesIn(kAllQuoteKinds),
                         [](const auto& instance) { return std::string(to_text(instance.param)); });

TEST_P(EveryQuoteKind, VerifiesAsUpToDate) {
  const VerificationResult result = verify(DcapScenario(GetParam()));
  EXPECT_EQ(result.verdict(), "UpToDate") << result.reason();
  EXPECT_TRUE(result.revocation_checked);
  EXPECT_TRUE(result.window.contains(kNow));
  EXPECT_EQ(result.fmspc, "222222222222");
}

TEST_P(EveryQuoteKind, IsRefusedUnderTheVendorsRoot) {
  const DcapSample sample = make_sample(DcapScenario(GetParam()));
  const auto prepared = PreparedDcapCollateral::prepare(sample.collateral, vendor_anchors());
  const VerificationResult result = verify_dcap_quote(sample.quote, prepared.get(), vendor_anchors(), kNow);
  EXPECT_EQ(result.verdict(), "invalid");
}

TEST_P(EveryQuoteKind, IsOnlyStaticallyGoodWithoutCollateral) {
  const DcapSample sample = make_sample(DcapScenario(GetParam()));
  EXPECT_EQ(verify_dcap_quote(sample.quote, nullptr, anchors_of(sample), kNow).verdict(), "static-ok");
}

TEST_P(EveryQuoteKind, IgnoresWhatFollowsTheQuote) {
  DcapSample sample = make_sample(DcapScenario(GetParam()));
  sample.quote.resize(sample.quote.size() + 70, std::byte{0xcc});
  const VerificationResult result = verify(sample);
  EXPECT_EQ(result.verdict(), "UpToDate");
  EXPECT_EQ(result.trailing_size, 70U);
}

TEST_P(EveryQuoteKind, CutAnywhereIsAParseError) {
  const DcapSample sample = make_sample(DcapScenario(GetParam()));
  for (std::size_t size = 0; size < sample.quote.size(); size += 7) {
    const crypto::ByteView cut = crypto::ByteView(sample.quote).first(size);
    ASSERT_EQ(verify_dcap_quote(cut, nullptr, anchors_of(sample), kNow).verdict(), "parse error") << size;
  }
}

// Every byte of the quote: header, body, signatures, keys, QE report, lengths and the certificates inside.
TEST_P(EveryQuoteKind, AnyFlippedByteIsRefused) {
  DcapSample sample = make_sample(DcapScenario(GetParam()));
  const TrustAnchors anchors = anchors_of(sample);
  const auto prepared = PreparedDcapCollateral::prepare(sample.collateral, anchors);
  for (std::size_t i = 0; i < sample.quote.size(); ++i) {
    sample.quote[i] ^= std::byte{0x01};
    const VerificationResult result = verify_dcap_quote(sample.quote, prepared.get(), anchors, kNow);
    ASSERT_TRUE(result.conclusion == Conclusion::kInvalid || result.conclusion == Conclusion::kParseError)
        << "byte " << i << ": " << result.verdict();
    sample.quote[i] ^= std::byte{0x01};
  }
}

TEST_P(EveryQuoteKind, TellsDebug) {
  DcapScenario scenario(GetParam());
  EXPECT_FALSE(verify(scenario).is_debug);
  if (is_tdx(GetParam())) {
    scenario.td().td_attributes[0] = std::byte{1};
  } else {
    scenario.sgx().attributes[0] |= std::byte{2};
  }
  const VerificationResult result = verify(scenario);
  EXPECT_EQ(result.verdict(), "UpToDate");  // genuine: whether debug is tolerable is the policy's question
  EXPECT_TRUE(result.is_debug);
}

// Collateral: every byte that a signature covers.
TEST(DcapVerifier, AnyFlippedByteOfSignedCollateralIsRefused) {
  const DcapSample good = make_sample(DcapScenario());
  const TrustAnchors anchors = anchors_of(good);
  const auto refuses = [&](const DcapCollateral& collateral) {
    const auto prepared = PreparedDcapCollateral::prepare(collateral, anchors);
    return verify_dcap_quote(good.quote, prepared.get(), anchors, kNow).conclusion == Conclusion::kInvalid;
  };
  for (auto member : {&DcapCollateral::tcb_info, &DcapCollateral::qe_identity, &DcapCollateral::pck_crl}) {
    DcapCollateral collateral = good.collateral;
    std::string& text = *(collateral.*member);
    for (std::size_t i = 0; i < text.size(); i += 3) {
      text[i] = static_cast<char>(text[i] ^ 1);
      ASSERT_TRUE(refuses(collateral)) << "byte " << i;
      text[i] = static_cast<char>(text[i] ^ 1);
    }
  }
}

struct SpoiledPart {
  const char* part;
  const char* check;  // what must fail
};
class EveryDatedPart : public ::testing::TestWithParam<SpoiledPart> {};
INSTANTIATE_TEST_SUITE_P(DcapVerifier, EveryDatedPart,
                         ::testing::Values(SpoiledPart{part::kRoot, "Test SGX Root CA"},
                                           SpoiledPart{part::kPckAuthority, "Test SGX PCK Platform CA"},
                                           SpoiledPart{part::kPck, "Test SGX PCK Certificate"},
                                           SpoiledPart{part::kSigner, "Test SGX TCB Signing"},
                                           SpoiledPart{part::kRootCrl, "root revocation list"},
                                           SpoiledPart{part::kPckCrl, "PCK revocation list"},
                                           SpoiledPart{part::kTcbInfo, "TCB info"},
                                           SpoiledPart{part::kQeIdentity, "QE identity"}),
                         [](const auto& instance) {
                           std::string name = instance.param.part;
                           std::erase(name, ' ');
                           return name;
                         });

TEST_P(EveryDatedPart, IsRefusedAfterItsEnd) {
  DcapScenario scenario;
  scenario.dates[GetParam().part] = {kNow - 5 * kDay, kNow - 1};
  expect_refusal(scenario, std::string("validity of "));
  EXPECT_TRUE(contains(failed_check(verify(scenario)), GetParam().check));
}

TEST_P(EveryDatedPart, IsRefusedBeforeItsBegin) {
  DcapScenario scenario;
  scenario.dates[GetParam().part] = {kNow + 1, kNow + 5 * kDay};
  expect_refusal(scenario, "validity of ");
  EXPECT_TRUE(contains(failed_check(verify(scenario)), GetParam().check));
}

TEST_P(EveryDatedPart, IsGoodAtBothEndsAndSetsTheWindow) {
  DcapScenario scenario;
  scenario.dates[GetParam().part] = {kNow, kNow};
  const VerificationResult result = verify(scenario);
  EXPECT_EQ(result.verdict(), "UpToDate") << result.reason();
  EXPECT_EQ(result.window.begin, kNow);
  EXPECT_EQ(result.window.end, kNow);
}

TEST(DcapVerifier, RefusesClocksFarOff) {
  for (Moment now : {Moment{0}, Moment{-1}, Moment{4'102'444'800}, INT64_MAX, INT64_MIN}) {
    EXPECT_EQ(verify(DcapScenario(), now).verdict(), "invalid");
  }
}

TEST(DcapVerifier, RefusesARevokedPckCertificate) {
  DcapScenario scenario;
  scenario.revoked_by_pck_authority = {serial_of("another"), serial_of(part::kPck)};
  expect_refusal(scenario, "PCK: not revoked");
  scenario.revoked_by_pck_authority = {serial_of("another")};
  EXPECT_EQ(verify(scenario).verdict(), "UpToDate");
}

TEST(DcapVerifier, RefusesAuthoritiesAndSignersThatTheRootRevoked) {
  for (const char* name : {part::kPckAuthority, part::kSigner}) {
    DcapScenario scenario;
    scenario.revoked_by_root = {serial_of(name)};
    expect_refusal(scenario, "not revoked");
  }
}

TEST(DcapVerifier, RefusesAPckListOfAnotherSigner) {
  DcapScenario scenario;
  scenario.pck_crl_key = must(crypto::PrivateKey::generate(crypto::KeyKind::kEcP256));
  expect_refusal(scenario, "PCK revocation list: signature");
}

TEST(DcapVerifier, RefusesAPckListOfAnotherAuthority) {
  DcapScenario scenario;
  scenario.edit_pck_crl = [](RevocationListTemplate& list) { list.issuer = "Test SGX PCK Processor CA"; };
  expect_refusal(scenario, "PCK revocation list: issuer");
}

TEST(DcapVerifier, RefusesPartialAndEternalRevocationLists) {
  DcapScenario partial;
  partial.edit_pck_crl = [](RevocationListTemplate& list) { list.extensions.push_back({"2.5.29.28", true, {}}); };
  expect_refusal(partial, "whole list");
  DcapScenario eternal;
  eternal.edit_pck_crl = [](RevocationListTemplate& list) { list.next_update.reset(); };
  expect_refusal(eternal, "validity of PCK revocation list");
}

TEST(DcapVerifier, TellsWhenRevocationWasNotChecked) {
  for (auto member : {&DcapCollateral::root_crl, &DcapCollateral::pck_crl}) {
    DcapSample sample = make_sample(DcapScenario());
    (sample.collateral.*member).reset();
    const VerificationResult result = verify(sample);
    EXPECT_EQ(result.verdict(), "UpToDate");
    EXPECT_FALSE(result.revocation_checked);
  }
}

TEST(DcapVerifier, RefusesCollateralWithAnyOtherPartMissing) {
  for (auto member : {&DcapCollateral::tcb_info_issuer_chain, &DcapCollateral::tcb_info,
                      &DcapCollateral::tcb_info_signature, &DcapCollateral::qe_identity_issuer_chain,
                      &DcapCollateral::qe_identity, &DcapCollateral::qe_identity_signature}) {
    DcapSample sample = make_sample(DcapScenario());
    (sample.collateral.*member).reset();
    EXPECT_EQ(verify(sample).verdict(), "invalid");
  }
}

// Certificates that are signed well, but must not be what they are used as.
struct BadCertificate {
  const char* name;
  const char* part;
  void (*spoil)(CertificateTemplate&);
  const char* check;
};
class EveryBadCertificate : public ::testing::TestWithParam<BadCertificate> {};
INSTANTIATE_TEST_SUITE_P(
    DcapVerifier, EveryBadCertificate,
    ::testing::Values(
        BadCertificate{"AuthorityThatIsNone", part::kPckAuthority,
                       [](CertificateTemplate& fields) { fields.is_authority = false; }, "basic constraints"},
        BadCertificate{"RootThatIsNoAuthority", part::kRoot,
                       [](CertificateTemplate& fields) { fields.is_authority = false; }, "basic constraints"},
        BadCertificate{"RootThatAllowsNoAuthorities", part::kRoot,
                       [](CertificateTemplate& fields) { fields.path_length = 0; }, "basic constraints"},
        BadCertificate{"LeafThatIsAnAuthority", part::kPck,
                       [](CertificateTemplate& fields) { fields.is_authority = true; }, "basic constraints"},
        BadCertificate{"AuthorityThatMayNotSignCertificates", part::kPckAuthority,
                       [](CertificateTemplate& fields) { fields.key_usage = kUsageSign; }, "key usage"},
        BadCertificate{"LeafThatMayNotSign", part::kPck,
                       [](CertificateTemplate& fields) { fields.key_usage = kUsageAuthority; }, "key usage"},
        BadCertificate{"LeafOfAnotherName", part::kPck,
                       [](CertificateTemplate& fields) { fields.subject = "Test TLS Server"; }, "leaf"},
        BadCertificate{"SignerOfAnotherName", part::kSigner,
                       [](CertificateTemplate& fields) { fields.subject = "Test SGX PCK Certificate"; }, "signer"},
        BadCertificate{"UnknownCriticalExtension", part::kPckAuthority,
                       [](CertificateTemplate& fields) {
                         fields.extensions.push_back({"1.2.3.4", true, {}});
                       },
                       "critical extensions"},
        BadCertificate{"LeafWithoutSgxExtension", part::kPck,
                       [](CertificateTemplate& fields) { fields.extensions.clear(); }, "SGX extension"},
        BadCertificate{"LeafWithBrokenSgxExtension", part::kPck,
                       [](CertificateTemplate& fields) { fields.extensions[0].value.resize(40); }, "SGX extension"},
        BadCertificate{"IssuerOfAnotherName", part::kPck,
                       [](CertificateTemplate& fields) { fields.issuer = "Test SGX PCK Processor CA"; },
                       "signatures up to the pinned root"}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST_P(EveryBadCertificate, IsRefused) {
  DcapScenario scenario;
  scenario.edit_certificate = [](const std::string& name, CertificateTemplate& fields) {
    if (name == GetParam().part) GetParam().spoil(fields);
  };
  expect_refusal(scenario, GetParam().check);
}

TEST(DcapVerifier, BuildsChainsOfAnyOrder) {
  for (const std::array<int, 3>& order : {std::array{0, 2, 1}, std::array{2, 1, 0}, std::array{1, 0, 2}}) {
    DcapScenario scenario;
    scenario.edit_chain = [order](std::string& chain, const std::vector<Bytes>& certificates) {
      chain.clear();
      for (int index : order) chain += crypto::to_pem(certificates[static_cast<std::size_t>(index)], "CERTIFICATE");
      chain.push_back('\0');
    };
    EXPECT_EQ(verify(scenario).verdict(), "UpToDate");
  }
}

TEST(DcapVerifier, RefusesIncompleteDoubledAndForeignChains) {
  const DcapSample other = make_sample(DcapScenario());
  const std::vector<std::function<std::string(const std::vector<Bytes>&)>> chains = {
      [](const auto& good) { return crypto::to_pem(good[0], "CERTIFICATE") + crypto::to_pem(good[1], "CERTIFICATE"); },
      [](const auto& good) { return crypto::to_pem(good[0], "CERTIFICATE") + crypto::to_pem(good[2], "CERTIFICATE"); },
      [](const auto& good) { return crypto::to_pem(good[1], "CERTIFICATE") + crypto::to_pem(good[2], "CERTIFICATE"); },
      [](const auto& good) {
        const std::string leaf = crypto::to_pem(good[0], "CERTIFICATE");
        return leaf + leaf + crypto::to_pem(good[1], "CERTIFICATE") + crypto::to_pem(good[2], "CERTIFICATE");
      },
      [](const auto&) { return std::string("no certificates"); },
      [](const auto&) { return std::string(); },
  };
  for (const auto& make : chains) {
    DcapScenario scenario;
    scenario.edit_chain = [&](std::string& chain, const std::vector<Bytes>& good) { chain = make(good); };
    expect_refusal(scenario, "PCK chain");
  }
}

TEST(DcapVerifier, RefusesAnotherVendorsQuotingEnclave) {
  DcapScenario scenario;
  scenario.header.qe_vendor[0] ^= std::byte{1};
  expect_refusal(scenario, "vendor");
}

TEST(DcapVerifier, RefusesAQeReportThatDoesNotBindTheKey) {
  DcapScenario scenario;
  scenario.leaves_report_data_alone = true;
  expect_refusal(scenario, "binds the attestation key");
}

TEST(DcapVerifier, RefusesAQeReportWhoseSecondHalfIsNotZero) {
  DcapScenario scenario;
  scenario.qe_report.report_data[63] = std::byte{1};
  expect_refusal(scenario, "binds the attestation key");
}

TEST(DcapVerifier, RefusesQuotingEnclavesThatTheIdentityDoesNotMean) {
  DcapScenario signer, product, attributes, misc;
  signer.qe_report.mr_signer[0] ^= std::byte{1};
  product.qe_report.isv_product_id = 99;
  attributes.qe_report.attributes[0] |= std::byte{2};
  misc.qe_report.misc_select = 1;
  expect_refusal(signer, "QE identity: MRSIGNER");
  expect_refusal(product, "QE identity: ISVPRODID");
  expect_refusal(attributes, "QE identity: ATTRIBUTES");
  expect_refusal(misc, "QE identity: MISCSELECT");
}

TEST(DcapVerifier, RefusesCollateralForAnotherPlatform) {
  DcapScenario fmspc, pce_id, tee, enclave;
  fmspc.tcb_info["fmspc"] = "232222222222";
  pce_id.tcb_info["pceId"] = "0100";
  tee.tcb_info = DcapScenario(QuoteKind::kTdxV4).tcb_info;
  enclave.qe_identity["id"] = "TD_QE";
  expect_refusal(fmspc, "TCB info: FMSPC");
  expect_refusal(pce_id, "TCB info: PCE-ID");
  expect_refusal(tee, "TCB info: kind of TEE");
  expect_refusal(enclave, "QE identity: kind of QE");
}

TEST(DcapVerifier, RefusesTdxModulesThatTheTcbInfoDoesNotMean) {
  DcapScenario unknown(QuoteKind::kTdxV4), signer(QuoteKind::kTdxV4), attributes(QuoteKind::kTdxV4);
  unknown.td().tee_tcb_svn[1] = std::byte{7};
  signer.td().mr_signer_seam[0] = std::byte{1};
  attributes.td().seam_attributes[0] = std::byte{1};
  expect_refusal(unknown, "TDX module: identity");
  expect_refusal(signer, "TDX module: MRSIGNERSEAM");
  expect_refusal(attributes, "TDX module: SEAMATTRIBUTES");
}

TEST(DcapVerifier, RefusesStrangeCollateralJson) {
  const std::vector<std::function<void(Json&)>> edits = {
      [](Json& info) { info["version"] = 4; },
      [](Json& info) { info["tcbType"] = 1; },
      [](Json& info) { info["tcbLevels"] = Json::array(); },
      [](Json& info) { info["tcbLevels"].push_back(info["tcbLevels"][0]); },
      [](Json& info) { info["tcbLevels"][0]["tcbStatus"] = "Splendid"; },
      [](Json& info) { info["tcbLevels"][0]["tcb"]["pcesvn"] = -1; },
      [](Json& info) { info["tcbLevels"][0]["tcb"]["pcesvn"] = 1.5; },
      [](Json& info) { info["tcbLevels"][0]["tcb"]["pcesvn"] = 65536; },
      [](Json& info) { info["tcbLevels"][0]["tcb"]["sgxtcbcomponents"].erase(3); },
      [](Json& info) { info["tcbLevels"][0]["tcb"]["sgxtcbcomponents"][3]["svn"] = 256; },
      [](Json& info) { info.erase("fmspc"); },
      [](Json& info) { info["fmspc"] = "22"; },
  };
  for (const auto& edit : edits) {
    DcapScenario scenario;
    edit(scenario.tcb_info);
    expect_refusal(scenario, "TCB info: format");
  }
}

TEST(DcapVerifier, RefusesDuplicateMembersInSignedJson) {
  DcapSample sample = make_sample(DcapScenario());
  std::string& text = *sample.collateral.tcb_info;
  text.replace(0, 1, "{\"fmspc\":\"222222222222\",");
  EXPECT_TRUE(contains(failed_check(verify(sample)), "TCB info: format"));
}

TEST(DcapVerifier, ReadsCollateralAsTheServiceDeliversIt) {
  DcapSample sample = make_sample(DcapScenario());
  DcapCollateral& collateral = sample.collateral;
  collateral.tcb_info =
      "{\"tcbInfo\":" + *collateral.tcb_info + ",\"signature\":\"" + *collateral.tcb_info_signature + "\"}";
  collateral.qe_identity = "{ \"signature\": \"" + *collateral.qe_identity_signature +
                           "\",\n \"enclaveIdentity\": " + *collateral.qe_identity + " }";
  collateral.tcb_info_signature.reset();
  collateral.qe_identity_signature.reset();
  EXPECT_EQ(verify(sample).verdict(), "UpToDate");
}

TEST(DcapVerifier, ReadsRevocationListsInEveryForm) {
  DcapSample sample = make_sample(DcapScenario());
  const crypto::RevocationList list = must(decode_revocation_list(*sample.collateral.pck_crl));
  const std::string digits = crypto::to_hex(list.der());
  for (const std::string& form : {digits, crypto::to_hex(crypto::as_byte_view(digits)), crypto::to_base64(list.der()),
                                  crypto::to_pem(list.der(), "X509 CRL")}) {
    sample.collateral.pck_crl = form;
    EXPECT_EQ(verify(sample).verdict(), "UpToDate");
  }
}

TEST(DcapVerifier, CollateralSurvivesItsOwnJsonForm) {
  DcapSample sample = make_sample(DcapScenario());
  ASSERT_EQ(sample.collateral.pck_crl->front(), '\x30') << "the sample has no binary list any more";
  sample.collateral = must(parse_dcap_collateral(to_json(sample.collateral)));
  EXPECT_EQ(verify(sample).verdict(), "UpToDate");
}

}  // namespace
}  // namespace casemate::attest
