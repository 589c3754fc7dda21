// Fuzzes DCAP quotes: the parser, and verification without collateral, which reads the certificates inside. A finding
// is a crash, a sanitizer report, views outside of the input, or a quote that verifies under Intel's root.
#include "attest/dcap_verifier.h"
#include "evidence/dcap_quote.h"
#include "evidence_fuzz.h"

using namespace casemate;

namespace {

bool is_inside(crypto::ByteView view, crypto::ByteView whole) {
  return view.empty() || (view.data() >= whole.data() && view.data() + view.size() <= whole.data() + whole.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const crypto::ByteView input = fuzz::as_input(data, size);
  const Result<evidence::DcapQuote> quote = evidence::parse_dcap_quote(input);
  if (quote) {
    const evidence::DcapQuote& parsed = quote.value();
    fuzz::require("the sizes add up", parsed.size + parsed.trailing_size == size);
    for (crypto::ByteView view :
         {parsed.signed_bytes, parsed.signature, parsed.attestation_key, parsed.qe_report_bytes,
          parsed.qe_report_signature, parsed.qe_authentication_data, parsed.certification_data}) {
      fuzz::require("views lie in the quote", is_inside(view, input.first(parsed.size)));
    }
  }
  const auto result = attest::verify_dcap_quote(input, nullptr, attest::vendor_anchors(), 1'750'000'000);
  fuzz::require("invented quotes do not verify", result.conclusion == attest::Conclusion::kInvalid ||
                                                     result.conclusion == attest::Conclusion::kParseError);
  return 0;
}
