#include "casemate/las/evidence_request.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "las/embedded.h"
#include "las/runtime_measurement.h"
#include "las/unix_socket.h"

namespace casemate::cli {

Result<UniqueFd> open_evidence(const EvidenceRequest& request) {
  UniqueFd file(open(request.file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666));
  if (!file.is_open()) return Error::from_errno(request.file + ": cannot write the evidence there", errno);
  return file;
}

Result<runtime::AttestLaunch> prepare_evidence(const EvidenceRequest& request, int evidence_fd) {
  const std::string name = request.las.empty() ? CASEMATE_TRY(las::start_embedded(las::measure_runtime))
                                               : CASEMATE_TRY(las::socket_name(request.las));
  runtime::AttestLaunch launch = {};
  std::memcpy(launch.address, name.data(), name.size());
  launch.address_size = static_cast<std::uint32_t>(name.size());
  launch.evidence_fd = evidence_fd;
  launch.purpose = protocol::LasPurpose::kRun;
  launch.nonce_size = static_cast<std::uint32_t>(request.nonce.size());
  std::memcpy(launch.nonce, request.nonce.data(), request.nonce.size());
  return launch;
}

}  // namespace casemate::cli
