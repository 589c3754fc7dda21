// DCAP quotes of versions 3 (SGX), 4 and 5 (SGX and TDX), as Intel's quote generation library writes them
// ("Intel SGX ECDSA QuoteLibReference", "Intel TDX DCAP Quoting Library API", appendices).
//
// What a hostile host or peer can do here: every byte is theirs until a signature is checked. All lengths are compared
// with what is left before use; the parsed quote holds views into the input and allocates nothing. Bytes behind the
// signed structure exist in genuine quotes (the kernel pads them): they are cut off and counted, never used.
#pragma once

#include <variant>

#include "evidence/byte_reader.h"
#include "evidence/sgx_report.h"
#include "evidence/tdx_report.h"

namespace casemate::evidence {

inline constexpr std::uint16_t kQuoteVersion3 = 3, kQuoteVersion4 = 4, kQuoteVersion5 = 5;
inline constexpr std::uint16_t kAttestationKeyEcdsaP256 = 2;
inline constexpr std::uint32_t kTeeTypeSgx = 0, kTeeTypeTdx = 0x81;
inline constexpr std::size_t kQuoteHeaderSize = 48;
// 939a7233-f79c-4ca9-940a-0db3957f0607
extern const FixedBytes<16> kIntelQuotingEnclaveVendor;

struct QuoteHeader {
  std::uint16_t version = 0;
  std::uint16_t attestation_key_type = kAttestationKeyEcdsaP256;
  std::uint32_t tee_type = kTeeTypeSgx;
  std::uint16_t qe_svn = 0, pce_svn = 0;  // version 3; reserved later
  FixedBytes<16> qe_vendor{};
  FixedBytes<20> user_data{};
};

enum class CertificationDataType : std::uint16_t {
  kPpidClear = 1,
  kPpidRsa2048 = 2,
  kPpidRsa3072 = 3,
  kPckLeaf = 4,
  kPckChain = 5,
  kQeReport = 6,
  kPlatformManifest = 7,
};

// Views are into the quote: valid as long as its bytes.
struct DcapQuote {
  QuoteHeader header;
  std::variant<SgxReportBody, TdReportBody> body;
  // Body descriptor of version 5: 1 SGX, 2 TD 1.0, 3 TD 1.5. The same numbers are given for older versions.
  std::uint16_t body_type = 0;
  ByteView signed_bytes;     // header and body
  ByteView signature;        // r || s
  ByteView attestation_key;  // x || y
  ByteView qe_report_bytes;  // what the PCK signed
  SgxReportBody qe_report;
  ByteView qe_report_signature;
  ByteView qe_authentication_data;
  CertificationDataType certification_type{};  // innermost
  ByteView certification_data;
  std::size_t size = 0;           // of the quote proper
  std::size_t trailing_size = 0;  // what came behind it

  bool is_tdx() const { return header.tee_type == kTeeTypeTdx; }
  const SgxReportBody* sgx() const { return std::get_if<SgxReportBody>(&body); }
  const TdReportBody* tdx() const { return std::get_if<TdReportBody>(&body); }
};

// Errors: kFormat. Accepts any quoting-enclave vendor and any certification data of types 1 to 7: those are the
// verifier's to judge.
Result<DcapQuote> parse_dcap_quote(ByteView data);
// Whether these bytes look like the head of a DCAP quote at all.
bool looks_like_dcap_quote(ByteView data);

// What is needed besides header and body; the innermost certification data is of type `certification_type`.
struct QuoteSignatureParts {
  ByteView signature, attestation_key, qe_report, qe_report_signature, qe_authentication_data;
  CertificationDataType certification_type = CertificationDataType::kPckChain;
  ByteView certification_data;
};
// The bytes that the attestation key signs.
Bytes build_quote_signed_part(const QuoteHeader& header, const std::variant<SgxReportBody, TdReportBody>& body);
Bytes build_quote(ByteView signed_part, const QuoteSignatureParts& parts);

}  // namespace casemate::evidence
