// Fuzzes evidence inside of certificates: the whole certificate, and CBOR by itself.
#include "evidence/cbor.h"
#include "evidence/certificate_evidence.h"
#include "evidence_fuzz.h"

using namespace casemate;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const crypto::ByteView input = fuzz::as_input(data, size);
  evidence::CborReader reader(input);
  while (!reader.at_end() && reader.skip()) {
  }
  const auto certificate = crypto::Certificate::from_der(input);
  if (!certificate) return 0;
  const auto found = evidence::find_certificate_evidence(certificate.value());
  if (!found || !found.value()) return 0;
  fuzz::require("evidence lies in the certificate", found.value()->evidence.size() < size);
  fuzz::require("no evidence binds to report data of zeros",
                !evidence::check_key_binding(*found.value(), certificate.value(), {}).has_value());
  return 0;
}
