// Fuzzes certificates, revocation lists, the vendors' extensions and PEM texts.
#include "crypto/certificate.h"
#include "evidence/pck_extension.h"
#include "evidence/snp_report.h"
#include "evidence_fuzz.h"

using namespace casemate;

namespace {

void use(const crypto::Certificate& certificate) {
  fuzz::require("a certificate is its bytes", !certificate.der().empty());
  (void)certificate.is_signed_by(certificate.public_key());
  (void)certificate.unknown_critical_extensions();
  (void)evidence::parse_snp_certificate_fields(certificate.extensions());
  for (const crypto::CertificateExtension& extension : certificate.extensions()) {
    fuzz::require("extensions are found by name", certificate.extension(extension.oid) == &extension);
    (void)evidence::parse_pck_extension(extension.value);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const crypto::ByteView input = fuzz::as_input(data, size);
  if (const auto certificate = crypto::Certificate::from_der(input)) use(certificate.value());
  if (const auto certificates = crypto::Certificate::from_pem(crypto::as_text(input))) {
    for (const crypto::Certificate& certificate : certificates.value()) use(certificate);
  }
  if (const auto list = crypto::RevocationList::from_der(input)) (void)list.value().lists(input.first(size / 2));
  if (const auto extension = evidence::parse_pck_extension(input)) {
    const auto again = evidence::parse_pck_extension(evidence::build(extension.value()));
    fuzz::require("PCK extensions round trip",
                  again && again.value().component_svns == extension.value().component_svns);
  }
  return 0;
}
