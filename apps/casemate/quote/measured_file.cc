#include "casemate/quote/measured_file.h"

#include "casemate/quote/evidence_files.h"
#include "evidence/runtime_image.h"

namespace casemate::cli {
namespace {

constexpr std::size_t kMaximumSize = std::size_t{64} << 20;

}  // namespace

Result<MeasuredFile> measure_file(const std::string& path, MeasuredForm form,
                                  const evidence::EnclaveRecorder::Sink& sink) {
  const crypto::Bytes content = CASEMATE_TRY(read_file(path, kMaximumSize));
  if (form == MeasuredForm::kSgxsStream) {
    const evidence::SgxsSummary summary = CASEMATE_TRY(evidence::measure_sgxs(content));
    return MeasuredFile{summary.mr_enclave, summary.size, summary.page_count};
  }
  const evidence::RuntimeMeasurement image = CASEMATE_TRY(evidence::measure_runtime_image(content, sink));
  return MeasuredFile{image.mr_enclave, image.enclave_size, image.page_count};
}

}  // namespace casemate::cli
