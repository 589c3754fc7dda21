// SIGSTRUCT: the signature of an enclave's author over its measurement and attributes (Intel SDM vol. 3D, chapter 37).
#pragma once

#include "crypto/signature.h"
#include "evidence/byte_reader.h"

namespace casemate::evidence {

inline constexpr std::size_t kSigstructSize = 1808, kSigstructModulusSize = 384;

struct Sigstruct {
  std::uint32_t vendor = 0;  // 0x8086: Intel's own enclaves
  std::uint32_t date = 0;    // BCD, 0xyyyymmdd
  std::uint32_t software_defined = 0;
  FixedBytes<384> modulus{};  // little-endian, like the three numbers below
  FixedBytes<384> signature{};
  FixedBytes<384> q1{}, q2{};
  std::uint32_t misc_select = 0, misc_mask = 0;
  std::uint8_t cet_attributes = 0, cet_mask = 0;
  FixedBytes<16> isv_family_id{};
  FixedBytes<16> attributes{}, attribute_mask{};
  FixedBytes<32> enclave_hash{};
  FixedBytes<16> isv_extended_product_id{};
  std::uint16_t isv_product_id = 0, isv_svn = 0;
};

// Errors: kFormat for another size, other constants, an exponent other than 3 or reserved bytes that are not zero.
Result<Sigstruct> parse_sigstruct(ByteView data);
Bytes build(const Sigstruct& sigstruct);

// SHA-256 of the modulus as it stands in the structure.
FixedBytes<32> mr_signer_of(const Sigstruct& sigstruct);
// Signature, Q1 and Q2, as EINIT checks them.
Result<void> verify_sigstruct(const Sigstruct& sigstruct);
// Fills in modulus, signature, Q1 and Q2. `key`: RSA of 3072 bits with exponent 3. Errors: kUsage for other keys.
Result<void> sign_sigstruct(Sigstruct& sigstruct, const crypto::PrivateKey& key);

}  // namespace casemate::evidence
