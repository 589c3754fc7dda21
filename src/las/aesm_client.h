// Intel's aesmd turns local reports of enclaves into DCAP quotes: one request per connection, a little-endian length
// before each message.
#pragma once

#include <string>

#include "base/result.h"
#include "crypto/bytes.h"

namespace casemate::las {

inline constexpr const char* kAesmSocket = "/var/run/aesmd/aesm.socket";

// Threads: any; each call makes connections of its own. Blocks up to half a minute per connection. Errors: kSystem when
// nobody listens or answers, or aesmd reports an error; kFormat.
class AesmClient {
 public:
  explicit AesmClient(std::string socket) : socket_(std::move(socket)) {}

  // What an enclave must address its report to: 512 bytes of TARGETINFO.
  Result<crypto::Bytes> target_info() const;
  // `report`: 432 bytes for that target. The quote's own consistency is the verifier's business.
  Result<crypto::Bytes> quote(crypto::ByteView report) const;

 private:
  Result<crypto::Bytes> exchange(const crypto::Bytes& request) const;
  Result<crypto::Bytes> quote_once(crypto::ByteView report) const;

  std::string socket_;
};

// Whether somebody listens there.
bool aesm_is_running(const std::string& socket);

}  // namespace casemate::las
