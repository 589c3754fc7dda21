#include "attest/quote_platform.h"

#include "crypto/certificate.h"
#include "evidence/dcap_quote.h"
#include "evidence/pck_extension.h"

namespace casemate::attest {

Result<QuotePlatform> platform_of_quote(crypto::ByteView bytes) {
  const evidence::DcapQuote quote = CASEMATE_TRY(evidence::parse_dcap_quote(bytes));
  const std::vector<crypto::Certificate> chain =
      CASEMATE_TRY(crypto::Certificate::from_pem(crypto::as_text(quote.certification_data)));
  for (const crypto::Certificate& certificate : chain) {
    const crypto::CertificateExtension* extension = certificate.extension(evidence::kPckExtensionOid);
    if (extension == nullptr) continue;
    const evidence::PckExtension pck = CASEMATE_TRY(evidence::parse_pck_extension(extension->value));
    const bool is_processor = certificate.issuer().common_name.find("Processor") != std::string::npos;
    return QuotePlatform{quote.is_tdx(), pck.fmspc, is_processor ? PckAuthority::kProcessor : PckAuthority::kPlatform};
  }
  return Error(ErrorCategory::kFormat, "the quote brings no PCK certificate");
}

}  // namespace casemate::attest
