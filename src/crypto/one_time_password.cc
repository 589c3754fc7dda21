#include "crypto/one_time_password.h"

#include <openssl/evp.h>

#include <array>

namespace casemate::crypto {

Result<std::string> one_time_password(ByteView key, std::uint64_t step) {
  std::array<unsigned char, 8> counter{};
  for (std::size_t i = 0; i < counter.size(); ++i) counter[i] = static_cast<unsigned char>(step >> (56 - 8 * i));
  std::array<unsigned char, 20> digest{};
  std::size_t size = 0;
  const unsigned char* const done = EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA1", nullptr, key.data(), key.size(),
                                              counter.data(), counter.size(), digest.data(), digest.size(), &size);
  if (done == nullptr || size != digest.size()) return Error(ErrorCategory::kSystem, "cannot compute HMAC-SHA-1");
  const std::size_t at = digest[19] & 0xfU;  // RFC 4226, 5.3: dynamic truncation
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) number = number << 8 | digest[at + i];
  std::string text = std::to_string((number & 0x7fffffffU) % 1'000'000U);
  return std::string(kOneTimePasswordDigits - text.size(), '0') + text;
}

}  // namespace casemate::crypto
