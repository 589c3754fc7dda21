#include "netshield/record/cipher_kernels.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "crypto/aead.h"
#include "crypto/bytes.h"
#include "crypto/kdf.h"
#include "netshield/record/hkdf_kernels.h"

namespace casemate::netshield {
namespace {

using Octets = std::vector<std::uint8_t>;

Octets octets(std::string_view hex) {
  const crypto::Bytes bytes = crypto::from_hex(hex).value();
  Octets result(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) result[i] = std::to_integer<std::uint8_t>(bytes[i]);
  return result;
}

Octets random_octets(std::mt19937& random, std::size_t size) {
  Octets result(size);
  for (std::uint8_t& octet : result) octet = static_cast<std::uint8_t>(random());
  return result;
}

struct KnownAnswer {
  const char* name;
  const char *key, *nonce, *associated, *plaintext, *ciphertext, *tag;
};

// The GCM specification that NIST SP 800-38D refers to, appendix B; cases with 20 bytes of associated data are left
// out, because records have 5.
constexpr KnownAnswer kKnownAnswers[] = {
    {"case 1", "00000000000000000000000000000000", "000000000000000000000000", "", "", "",
     "58e2fccefa7e3061367f1d57a4e7455a"},
    {"case 2", "00000000000000000000000000000000", "000000000000000000000000", "", "00000000000000000000000000000000",
     "0388dace60b6a392f328c2b971b2fe78", "ab6e47d42cec13bdf53a67b21257bddf"},
    {"case 3", "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657"
     "ba637b391aafd255",
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac97"
     "3d58e091473f5985",
     "4d5c2af327cd64a62cf35abd2ba6fab4"},
    {"case 13", "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "",
     "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"case 14", "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
     "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {"case 15", "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657"
     "ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0a"
     "bcc9f662898015ad",
     "b094dac5d93471bdec1a502270e3cc6c"},
};

TEST(CipherKernels, GiveTheKnownAnswers) {
  ASSERT_TRUE(kernels_are_supported());
  for (const KnownAnswer& answer : kKnownAnswers) {
    SCOPED_TRACE(answer.name);
    const Octets key = octets(answer.key), nonce = octets(answer.nonce), associated = octets(answer.associated);
    Octets bytes = octets(answer.plaintext), tag(kTagSize);
    AeadKeyState state;
    kKernelCipher.set_key(state, key.data(), key.size());
    kKernelCipher.seal(state, nonce.data(), associated.data(), associated.size(), bytes.data(), bytes.size(),
                       tag.data());
    EXPECT_EQ(bytes, octets(answer.ciphertext));
    EXPECT_EQ(tag, octets(answer.tag));
    ASSERT_TRUE(kKernelCipher.open(state, nonce.data(), associated.data(), associated.size(), bytes.data(),
                                   bytes.size(), tag.data()));
    EXPECT_EQ(bytes, octets(answer.plaintext));
  }
}

// Every size up to several strides of the wide routines, then larger ones.
std::vector<std::size_t> sizes() {
  std::vector<std::size_t> result;
  for (std::size_t size = 0; size <= 900; ++size) result.push_back(size);
  for (std::size_t size = 901; size <= 17'000; size += 211) result.push_back(size);
  result.push_back(16'384);
  result.push_back(16'385);
  return result;
}

TEST(CipherKernels, SealAsOpensslDoesAtEverySize) {
  std::mt19937 random(7);
  const Octets key = random_octets(random, 32), nonce = random_octets(random, kNonceSize);
  const auto aead = crypto::Aes256Gcm::create(std::as_bytes(std::span(key)).first<32>());
  ASSERT_TRUE(aead.has_value());
  AeadKeyState state;
  kKernelCipher.set_key(state, key.data(), key.size());
  crypto::AeadNonce their_nonce;
  std::memcpy(their_nonce.data(), nonce.data(), nonce.size());
  for (const std::size_t size : sizes()) {
    const Octets plaintext = random_octets(random, size), associated = random_octets(random, size % 17);
    Octets ours = plaintext, theirs(size), tag(kTagSize);
    kKernelCipher.seal(state, nonce.data(), associated.data(), associated.size(), ours.data(), size, tag.data());
    const crypto::AeadTag their_tag =
        aead.value().seal(their_nonce, std::as_bytes(std::span(associated)), std::as_bytes(std::span(plaintext)),
                          std::as_writable_bytes(std::span(theirs)));
    ASSERT_EQ(ours, theirs) << size;
    ASSERT_EQ(std::memcmp(tag.data(), their_tag.data(), kTagSize), 0) << size;
    ASSERT_TRUE(
        kKernelCipher.open(state, nonce.data(), associated.data(), associated.size(), ours.data(), size, tag.data()));
    ASSERT_EQ(ours, plaintext) << size;
  }
}

TEST(CipherKernels, RefuseEveryChangedBitAndLeaveNoPlaintext) {
  std::mt19937 random(8);
  const Octets key = random_octets(random, 16), nonce = random_octets(random, kNonceSize);
  for (const std::size_t size : {std::size_t{1}, std::size_t{16}, std::size_t{333}}) {
    AeadKeyState state;
    kKernelCipher.set_key(state, key.data(), key.size());
    Octets sealed(size, 0x55), tag(kTagSize);
    Octets associated = {23, 3, 3, 1, 2};
    kKernelCipher.seal(state, nonce.data(), associated.data(), 5, sealed.data(), size, tag.data());
    Octets all = associated;
    all.insert(all.end(), sealed.begin(), sealed.end());
    all.insert(all.end(), tag.begin(), tag.end());
    for (std::size_t bit = 0; bit < all.size() * 8; ++bit) {
      Octets changed = all;
      changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ (1U << (bit % 8)));
      std::uint8_t* const body = changed.data() + 5;
      ASSERT_FALSE(kKernelCipher.open(state, nonce.data(), changed.data(), 5, body, size, body + size)) << bit;
      ASSERT_EQ(Octets(body, body + size), Octets(size, 0));
    }
  }
}

// RFC 8448, section 3: the server's application traffic secret, its key and nonce.
TEST(CipherKernels, DeriveTheKeysOfRfc8448) {
  const Octets secret = octets("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643");
  Octets key(16), iv(12);
  expand_label(Suite::kAes128GcmSha256, secret.data(), "key", 3, key.data(), key.size());
  expand_label(Suite::kAes128GcmSha256, secret.data(), "iv", 2, iv.data(), iv.size());
  EXPECT_EQ(key, octets("9f02283b6c9c07efc26bb9f2ac92e356"));
  EXPECT_EQ(iv, octets("cf782b88dd83549aadf1e984"));
}

}  // namespace
}  // namespace casemate::netshield
