// Shamir's secret sharing over GF(2^8) (polynomial x^8 + x^4 + x^3 + x + 1, byte by byte): any `threshold` shares give
// the secret, fewer say nothing about it. Multiplication takes the same time for all values and reads no tables.
//
// Shares carry no check of their own: who combines wrong ones gets wrong bytes, and finds out when they open nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "crypto/secret.h"

namespace casemate::cas {

using SharedSecret = crypto::SecretBytes<32>;

struct SecretShare {
  std::uint8_t number = 0;  // 1 to 255: the place where the polynomials were evaluated
  SharedSecret value;
};

// Errors: kUsage unless 2 <= threshold <= count <= 255; kSystem.
Result<std::vector<SecretShare>> split_secret(const SharedSecret& secret, unsigned threshold, unsigned count);
// Errors: kUsage for no share, number 0 or one number twice.
Result<SharedSecret> combine_shares(const std::vector<SecretShare>& shares);

}  // namespace casemate::cas
