// Fuzzes DCAP collateral: the container, signed JSON, revocation lists, and what is found out about all of them
// together.
#include "attest/dcap_collateral.h"
#include "attest/strict_json.h"
#include "evidence_fuzz.h"

using namespace casemate;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = crypto::as_text(fuzz::as_input(data, size));
  (void)attest::decode_revocation_list(text);
  (void)attest::parse_tcb_info(text);
  (void)attest::parse_qe_identity(text);
  const auto json = attest::parse_strict_json(text);
  if (json && json.value().is_object()) {
    for (const auto& [key, value] : json.value().items()) {
      if (key.find_first_of("\"\\") != std::string::npos || value.is_number_float()) continue;
      const auto raw = attest::raw_member(text, key);
      // Keys may be written with escapes; found ones must be the value itself.
      if (raw) fuzz::require("raw members are the value", attest::Json::parse(raw.value(), nullptr, false) == value);
    }
  }
  const auto collateral = attest::parse_dcap_collateral(text);
  if (!collateral) return 0;
  const auto prepared = attest::PreparedDcapCollateral::prepare(collateral.value(), attest::vendor_anchors());
  fuzz::require("invented collateral has no good TCB info", !prepared->tcb_info() || !prepared->checks().all_passed());
  return 0;
}
