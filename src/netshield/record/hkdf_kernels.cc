// SHA-256 and SHA-384 (FIPS 180-4), HMAC (RFC 2104), HKDF-Expand (RFC 5869) for inputs of a few blocks.
#include "netshield/record/hkdf_kernels.h"

extern "C" {
void sha256_block_data_order(std::uint32_t* state, const void* in, std::size_t blocks);
void sha512_block_data_order(std::uint64_t* state, const void* in, std::size_t blocks);
}

namespace casemate::netshield {
namespace {

constexpr std::size_t kLargestBlockSize = 128;

struct Sha256 {
  static constexpr std::size_t kBlockSize = 64, kDigestSize = 32, kLengthSize = 8;
  using Word = std::uint32_t;
  static constexpr Word kInitial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  static void blocks(Word* state, const std::uint8_t* in, std::size_t count) {
    sha256_block_data_order(state, in, count);
  }
  static Word big_endian(Word word) { return __builtin_bswap32(word); }
};

struct Sha384 {
  static constexpr std::size_t kBlockSize = 128, kDigestSize = 48, kLengthSize = 16;
  using Word = std::uint64_t;
  static constexpr Word kInitial[8] = {0xcbbb9d5dc1059ed8, 0x629a292a367cd507, 0x9159015a3070dd17, 0x152fecd8f70e5939,
                                       0x67332667ffc00b31, 0x8eb44a8768581511, 0xdb0c2e0d64f98fa7, 0x47b5481dbefa4fa4};
  static void blocks(Word* state, const std::uint8_t* in, std::size_t count) {
    sha512_block_data_order(state, in, count);
  }
  static Word big_endian(Word word) { return __builtin_bswap64(word); }
};

template <typename Hash>
class Digest {
 public:
  Digest() { __builtin_memcpy(state_, Hash::kInitial, sizeof(state_)); }
  ~Digest() { wipe_bytes(this, sizeof(*this)); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void add(const std::uint8_t* bytes, std::size_t size) {
    size_ += size;
    for (; size != 0; ++bytes, --size) {
      block_[used_++] = *bytes;
      if (used_ == Hash::kBlockSize) flush();
    }
  }
  void finish(std::uint8_t* digest) {
    const std::uint64_t bits = __builtin_bswap64(size_ * 8);
    const std::uint8_t one = 0x80, zero = 0;
    add(&one, 1);
    while (used_ != Hash::kBlockSize - Hash::kLengthSize) add(&zero, 1);
    while (used_ != Hash::kBlockSize - sizeof(bits)) add(&zero, 1);  // lengths here need 64 bits at most
    add(reinterpret_cast<const std::uint8_t*>(&bits), sizeof(bits));
    for (auto& word : state_) word = Hash::big_endian(word);
    __builtin_memcpy(digest, state_, Hash::kDigestSize);
  }

 private:
  void flush() {
    Hash::blocks(state_, block_, 1);
    used_ = 0;
  }

  alignas(16) typename Hash::Word state_[8];
  alignas(16) std::uint8_t block_[Hash::kBlockSize];
  std::size_t used_ = 0;
  std::uint64_t size_ = 0;
};

// Requires: key_size <= the hash's block size, as all secrets of TLS are.
template <typename Hash>
void hmac(const std::uint8_t* key, std::size_t key_size, const std::uint8_t* text, std::size_t text_size,
          std::uint8_t* out) {
  std::uint8_t pad[kLargestBlockSize], inner[Hash::kDigestSize];
  const auto fill_pad = [&](std::uint8_t with) {
    for (std::size_t i = 0; i < Hash::kBlockSize; ++i) {
      pad[i] = static_cast<std::uint8_t>((i < key_size ? key[i] : 0) ^ with);
    }
  };
  {
    Digest<Hash> digest;
    fill_pad(0x36);
    digest.add(pad, Hash::kBlockSize);
    digest.add(text, text_size);
    digest.finish(inner);
  }
  Digest<Hash> digest;
  fill_pad(0x5c);
  digest.add(pad, Hash::kBlockSize);
  digest.add(inner, sizeof(inner));
  digest.finish(out);
  wipe_bytes(pad, sizeof(pad));
  wipe_bytes(inner, sizeof(inner));
}

constexpr char kLabelPrefix[] = {'t', 'l', 's', '1', '3', ' '};
constexpr std::size_t kLongestLabel = 12;

}  // namespace

void expand_label(Suite suite, const std::uint8_t* secret, const char* label, std::size_t label_size, std::uint8_t* out,
                  std::size_t out_size) {
  // struct HkdfLabel: length, label<7..255>, context<0..255> (empty); then the counter of HKDF-Expand's first block.
  std::uint8_t text[2 + 1 + sizeof(kLabelPrefix) + kLongestLabel + 1 + 1];
  if (label_size > kLongestLabel || out_size > secret_size_of(suite)) __builtin_trap();
  std::size_t size = 0;
  text[size++] = 0;
  text[size++] = static_cast<std::uint8_t>(out_size);
  text[size++] = static_cast<std::uint8_t>(sizeof(kLabelPrefix) + label_size);
  __builtin_memcpy(text + size, kLabelPrefix, sizeof(kLabelPrefix));
  size += sizeof(kLabelPrefix);
  __builtin_memcpy(text + size, label, label_size);
  size += label_size;
  text[size++] = 0;
  text[size++] = 1;
  std::uint8_t block[kLargestSecretSize];
  const std::size_t secret_size = secret_size_of(suite);
  if (suite == Suite::kAes128GcmSha256) {
    hmac<Sha256>(secret, secret_size, text, size, block);
  } else {
    hmac<Sha384>(secret, secret_size, text, size, block);
  }
  __builtin_memcpy(out, block, out_size);
  wipe_bytes(block, sizeof(block));
}

}  // namespace casemate::netshield
