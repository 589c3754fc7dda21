// A whole DCAP world with throw-away keys: root, authorities, PCK, quoting enclave, signed collateral and quotes of
// every version. A test takes the default, which verifies as UpToDate, and spoils one thing.
#pragma once

#include <functional>
#include <map>

#include "attest/dcap_collateral.h"
#include "attest/strict_json.h"
#include "attest/testing/certificate_builder.h"
#include "evidence/dcap_quote.h"
#include "evidence/pck_extension.h"

namespace casemate::attest::testing {

inline constexpr Moment kNow = 1'768'478'400;  // 2026-01-15T12:00:00Z
inline constexpr Moment kDay = 86'400;

enum class QuoteKind { kSgxV3, kSgxV4, kSgxV5, kTdxV4, kTdx10V5, kTdx15V5 };
inline constexpr QuoteKind kAllQuoteKinds[] = {QuoteKind::kSgxV3, QuoteKind::kSgxV4,   QuoteKind::kSgxV5,
                                               QuoteKind::kTdxV4, QuoteKind::kTdx10V5, QuoteKind::kTdx15V5};
const char* to_text(QuoteKind kind);
bool is_tdx(QuoteKind kind);

// Names of dated things; `dates` below may give each its own.
namespace part {
inline constexpr const char *kRoot = "root", *kPckAuthority = "PCK authority", *kPck = "PCK", *kSigner = "TCB signer",
                            *kRootCrl = "root CRL", *kPckCrl = "PCK CRL", *kTcbInfo = "TCB info",
                            *kQeIdentity = "QE identity";
}

struct DcapScenario {
  explicit DcapScenario(QuoteKind quote_kind = QuoteKind::kSgxV3);

  QuoteKind kind;
  evidence::QuoteHeader header;
  std::variant<evidence::SgxReportBody, evidence::TdReportBody> body;
  evidence::SgxReportBody qe_report;
  evidence::PckExtension pck;
  Json tcb_info, qe_identity;
  std::map<std::string, std::pair<Moment, Moment>> dates;  // default: ten days before to twenty days after kNow
  std::vector<Bytes> revoked_by_root, revoked_by_pck_authority;
  std::optional<crypto::PrivateKey> pck_crl_key;  // default: the PCK authority's
  std::function<void(const std::string& part, CertificateTemplate&)> edit_certificate;
  std::function<void(std::string& chain_pem, const std::vector<Bytes>& leaf_authority_root)> edit_chain;
  std::function<void(RevocationListTemplate&)> edit_pck_crl;
  bool leaves_report_data_alone = false;  // of the QE report; otherwise it binds the attestation key

  evidence::SgxReportBody& sgx() { return std::get<evidence::SgxReportBody>(body); }
  evidence::TdReportBody& td() { return std::get<evidence::TdReportBody>(body); }
};

struct DcapSample {
  Bytes quote;
  DcapCollateral collateral;
  Bytes root_der;
};

DcapSample make_sample(const DcapScenario& scenario);
TrustAnchors anchors_of(const DcapSample& sample);
// Serial numbers in the samples.
Bytes serial_of(const std::string& part);

// A TCB level of `info` in JSON: all 16 components at `svn`.
Json make_level(int svn, int tdx_svn, int pce_svn, const std::string& status, bool with_tdx);

}  // namespace casemate::attest::testing
