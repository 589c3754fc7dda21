// Certificates for tests: an authority that issues what a test asks for, also what no honest authority would.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "crypto/signature.h"

namespace casemate::crypto::testing {

struct LeafRequest {
  std::string common_name = "test";
  std::vector<std::string> names = {"DNS:server.test"};  // as OpenSSL's configuration writes them
  std::int64_t not_before = -3600, not_after = 3600;     // seconds from now
  std::string purpose = "serverAuth,clientAuth";         // extendedKeyUsage; empty: none
};

struct Leaf {
  std::string certificate, key;  // PEM
  long serial = 0;
};

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& common_name = "test authority");

  const std::string& certificate() const { return certificate_; }  // PEM
  Leaf issue(const LeafRequest& request = {}) const;
  // PEM; `next_update` in seconds from now.
  std::string revoke(const std::vector<long>& serials, std::int64_t next_update = 3600) const;

 private:
  std::string certificate_, key_;
};

}  // namespace casemate::crypto::testing
