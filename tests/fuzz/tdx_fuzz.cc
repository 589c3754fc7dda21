// Fuzzes TDX structures and Azure's wrapper around hardware reports.
#include "evidence/hcl_report.h"
#include "evidence/tdx_report.h"
#include "evidence_fuzz.h"

using namespace casemate;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const crypto::ByteView input = fuzz::as_input(data, size);
  if (const auto body = evidence::parse_td_report_body(input)) {
    fuzz::require("TD reports round trip", crypto::equal(evidence::build(body.value()), input));
  }
  if (const auto report = evidence::parse_td_report_structure(input)) {
    fuzz::require("TDREPORTs round trip", crypto::equal(evidence::build(report.value()), input));
  }
  if (const auto hcl = evidence::parse_hcl_report(input)) {
    fuzz::require("runtime data lies in the wrapper", hcl.value().runtime_data.size() < size);
    fuzz::require("digests bind",
                  evidence::binds_runtime_data(hcl.value(), evidence::expected_report_data(hcl.value())));
  }
  return 0;
}
