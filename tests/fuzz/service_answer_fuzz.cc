// Fuzzes what services of collateral (PCS, PCCS, KDS) answer: the first byte chooses which part was asked for, the rest
// is lines of status and headers, an empty line, the body. Also the bases of services, which people write.
#include "attest/collateral_requests.h"
#include "evidence_fuzz.h"

using namespace casemate;

namespace {

std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(text.size(), line.size() + 1));
  return line;
}

attest::CollateralResponse response_from(std::string_view text) {
  attest::CollateralResponse response;
  response.status = take_line(text) == "404" ? 404 : 200;
  for (std::string_view line = take_line(text); !line.empty(); line = take_line(text)) {
    const std::size_t colon = line.find(": ");
    if (colon != std::string_view::npos) response.headers.emplace(line.substr(0, colon), line.substr(colon + 2));
  }
  response.body = text;
  return response;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text = crypto::as_text(fuzz::as_input(data + 1, size - 1));
  const attest::CollateralRequest request{static_cast<attest::CollateralPart>(data[0] % 7), "https://service/part"};
  const attest::CollateralResponse response = response_from(text);
  attest::DcapCollateral collateral;
  const bool is_taken = attest::take_response(collateral, request, response).has_value();
  fuzz::require("only good answers are taken", !is_taken || response.status == 200);
  // What was taken survives its way through the cache.
  const auto again = attest::parse_dcap_collateral(attest::to_json(collateral));
  fuzz::require("collateral survives its JSON form", again && again.value().tcb_info == collateral.tcb_info);
  const auto good = attest::check_collateral(collateral, {}, attest::vendor_anchors(), 1'750'000'000);
  fuzz::require("invented collateral is not good", !good);
  attest::SnpEndorsements endorsements;
  if (attest::take_response(endorsements, request, response)) {
    fuzz::require("something was taken", !endorsements.certificates.empty() || !endorsements.revocation_lists.empty());
  }
  if (const auto base = attest::service_base(text)) {
    fuzz::require("bases are https", base.value().starts_with("https://") && !base.value().ends_with('/'));
  }
  return 0;
}
