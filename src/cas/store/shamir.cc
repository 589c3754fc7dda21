#include "cas/store/shamir.h"

namespace casemate::cas {
namespace {

constexpr unsigned kReduction = 0x1B;  // what x^8 becomes

std::uint8_t multiply(std::uint8_t left, std::uint8_t right) {
  unsigned product = 0, factor = left;
  for (unsigned bit = 0; bit < 8; ++bit) {
    product ^= factor & (0U - (right >> bit & 1U));
    factor = (factor << 1 ^ (kReduction & (0U - (factor >> 7)))) & 0xFF;
  }
  return static_cast<std::uint8_t>(product);
}

// a^254: every element but 0 has order dividing 255.
std::uint8_t inverse(std::uint8_t value) {
  std::uint8_t result = 1, power = value;
  for (unsigned bit = 1; bit < 8; ++bit) {
    power = multiply(power, power);
    result = multiply(result, power);
  }
  return result;
}

std::uint8_t octet(std::byte value) { return std::to_integer<std::uint8_t>(value); }

Error unfit(const char* what) { return Error(ErrorCategory::kUsage, what); }

// Lagrange's weight of share `index` at 0.
Result<std::uint8_t> weight_of(const std::vector<SecretShare>& shares, std::size_t index) {
  std::uint8_t above = 1, below = 1;
  for (std::size_t other = 0; other < shares.size(); ++other) {
    if (other == index) continue;
    const auto difference = static_cast<std::uint8_t>(shares[other].number ^ shares[index].number);
    if (difference == 0) return unfit("one share was given twice");
    above = multiply(above, shares[other].number);
    below = multiply(below, difference);
  }
  return multiply(above, inverse(below));
}

}  // namespace

Result<std::vector<SecretShare>> split_secret(const SharedSecret& secret, unsigned threshold, unsigned count) {
  if (threshold < 2 || threshold > count || count > 255) return unfit("shares: need 2 <= k <= n <= 255");
  // Coefficients of x, x^2, ...; the secret is the constant term.
  std::vector<SharedSecret> coefficients;
  for (unsigned i = 1; i < threshold; ++i) coefficients.push_back(CASEMATE_TRY(SharedSecret::random()));
  std::vector<SecretShare> shares;
  for (unsigned number = 1; number <= count; ++number) {
    SecretShare share{static_cast<std::uint8_t>(number), {}};
    const auto out = share.value.expose_for_writing();
    for (std::size_t at = 0; at < out.size(); ++at) {
      std::uint8_t value = 0;
      for (std::size_t i = coefficients.size(); i-- > 0;) {
        value = multiply(static_cast<std::uint8_t>(value ^ octet(coefficients[i].expose()[at])), share.number);
      }
      out[at] = static_cast<std::byte>(value ^ octet(secret.expose()[at]));
    }
    shares.push_back(std::move(share));
  }
  return shares;
}

Result<SharedSecret> combine_shares(const std::vector<SecretShare>& shares) {
  if (shares.empty()) return unfit("no share was given");
  SharedSecret secret;
  const auto out = secret.expose_for_writing();
  for (std::size_t index = 0; index < shares.size(); ++index) {
    if (shares[index].number == 0) return unfit("a share has number 0");
    const std::uint8_t weight = CASEMATE_TRY(weight_of(shares, index));
    const auto value = shares[index].value.expose();
    for (std::size_t at = 0; at < out.size(); ++at) out[at] ^= std::byte{multiply(weight, octet(value[at]))};
  }
  return secret;
}

}  // namespace casemate::cas
