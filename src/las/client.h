// Asks a running LAS, from the command line.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "crypto/bytes.h"
#include "protocol/las.h"

namespace casemate::las {

// Only root and the service's own user get an answer. Errors: kNotFound when nobody listens, kUsage when refused,
// kFormat.
Result<protocol::LasStatus> ask_status(const std::string& socket);

// One exchange with a service of the back end `sgx`: the target first, then the quote of a report made for it.
class EnclaveQuoting {
 public:
  static Result<EnclaveQuoting> connect(const std::string& socket);
  const crypto::Bytes& target_info() const { return target_info_; }
  Result<crypto::Bytes> quote(crypto::ByteView report);

 private:
  explicit EnclaveQuoting(UniqueFd socket) : socket_(std::move(socket)) {}
  UniqueFd socket_;
  crypto::Bytes target_info_;
};

}  // namespace casemate::las
