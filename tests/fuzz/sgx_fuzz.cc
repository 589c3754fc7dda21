// Fuzzes SGX structures: reports, TARGETINFO, SIGSTRUCT, sgxs streams and runtime executables to be measured. What is
// parsed must build the same bytes again where no reserved bytes are dropped.
#include "evidence/enclave_measurement.h"
#include "evidence/runtime_image.h"
#include "evidence/sgx_report.h"
#include "evidence/sigstruct.h"
#include "evidence_fuzz.h"

using namespace casemate;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const crypto::ByteView input = fuzz::as_input(data, size);
  if (const auto target = evidence::parse_sgx_target_info(input)) {
    fuzz::require("TARGETINFO round trips", crypto::equal(evidence::build(target.value()), input));
  }
  if (const auto sigstruct = evidence::parse_sigstruct(input)) {
    fuzz::require("SIGSTRUCT round trips", crypto::equal(evidence::build(sigstruct.value()), input));
    fuzz::require("invented signatures are wrong", !evidence::verify_sigstruct(sigstruct.value()).has_value());
  }
  if (const auto report = evidence::parse_sgx_report(input)) {
    const auto again = evidence::parse_sgx_report(evidence::build(report.value()));
    fuzz::require("reports parse again", again && again.value().mac == report.value().mac);
  }
  if (const auto summary = evidence::measure_sgxs(input)) {
    fuzz::require("streams hold what they count",
                  summary.value().page_count <= size / evidence::kMeasurementRecordSize);
  }
  // Fuzzed headers may span 256 MiB of zeros: bounded here, so that runs stay short.
  std::size_t written = 0;
  struct Enough {};
  try {
    (void)evidence::measure_runtime_image(input, [&](crypto::ByteView bytes) {
      written += bytes.size();
      if (written > 1 << 20) throw Enough();
    });
  } catch (const Enough&) {
  }
  return 0;
}
