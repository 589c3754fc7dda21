// AES-GCM on OpenSSL's assembler routines. `reserved[0]` of a key state says which GHASH made its table.
#include "netshield/record/cipher_kernels.h"

#include "netshield/record/hkdf_kernels.h"

extern "C" {
// Four words in the order of OPENSSL_ia32cap(3). In executables with libcrypto's C parts the library fills them before
// main; freestanding ones bring processor_words.cc.
[[gnu::visibility("hidden")]] extern std::uint32_t OPENSSL_ia32cap_P[4];

int aesni_set_encrypt_key(const std::uint8_t* key, int bits, void* schedule);
void aesni_encrypt(const std::uint8_t* in, std::uint8_t* out, const void* schedule);
void aesni_ctr32_encrypt_blocks(const std::uint8_t* in, std::uint8_t* out, std::size_t blocks, const void* schedule,
                                const std::uint8_t* counter);
// `accumulator` is followed by the hash key and its table. They return how many bytes they have done.
std::size_t aesni_gcm_encrypt(const std::uint8_t* in, std::uint8_t* out, std::size_t size, const void* schedule,
                              std::uint8_t* counter, std::uint64_t* accumulator);
std::size_t aesni_gcm_decrypt(const std::uint8_t* in, std::uint8_t* out, std::size_t size, const void* schedule,
                              std::uint8_t* counter, std::uint64_t* accumulator);
void gcm_init_avx(std::uint64_t* table, const std::uint64_t* hash_key);
void gcm_gmult_avx(std::uint64_t* accumulator, const std::uint64_t* table);
void gcm_ghash_avx(std::uint64_t* accumulator, const std::uint64_t* table, const std::uint8_t* in, std::size_t size);
void gcm_init_clmul(std::uint64_t* table, const std::uint64_t* hash_key);
void gcm_gmult_clmul(std::uint64_t* accumulator, const std::uint64_t* table);
void gcm_ghash_clmul(std::uint64_t* accumulator, const std::uint64_t* table, const std::uint8_t* in, std::size_t size);
}

namespace casemate::netshield {
namespace {

constexpr std::size_t kBlockSize = 16;
constexpr std::uint32_t kPclmulqdq = 1U << 1, kSsse3 = 1U << 9, kMovbe = 1U << 22, kAes = 1U << 25, kAvx = 1U << 28;
constexpr std::uint32_t kNeeded = kPclmulqdq | kSsse3 | kAes;

struct GhashKernels {
  void (*init)(std::uint64_t*, const std::uint64_t*);
  void (*multiply)(std::uint64_t*, const std::uint64_t*);
  void (*hash)(std::uint64_t*, const std::uint64_t*, const std::uint8_t*, std::size_t);
};
constexpr GhashKernels kGhashKernels[] = {{gcm_init_clmul, gcm_gmult_clmul, gcm_ghash_clmul},
                                          {gcm_init_avx, gcm_gmult_avx, gcm_ghash_avx}};

bool has_avx() { return (OPENSSL_ia32cap_P[1] & (kAvx | kMovbe)) == (kAvx | kMovbe); }

std::uint64_t swapped(std::uint64_t value) { return __builtin_bswap64(value); }

// One piece under way: counter block, accumulator in the key state.
class Piece {
 public:
  Piece(AeadKeyState& state, const std::uint8_t* nonce)
      : state_(state), ghash_(kGhashKernels[state.reserved[0] & 1]), is_wide_((state.reserved[0] & 1) != 0) {
    __builtin_memcpy(counter_, nonce, kNonceSize);
    set_counter(1);
    aesni_encrypt(counter_, tag_mask_, state_.round_keys);
    set_counter(2);
    state_.accumulator[0] = state_.accumulator[1] = 0;
  }
  ~Piece() {
    wipe_bytes(tag_mask_, sizeof(tag_mask_));
    state_.accumulator[0] = state_.accumulator[1] = 0;
  }
  Piece(const Piece&) = delete;
  Piece& operator=(const Piece&) = delete;

  void associate(const std::uint8_t* bytes, std::size_t size) {
    associated_size_ = size;
    if (size != 0) absorb_partial(bytes, size);
  }

  void encrypt(std::uint8_t* bytes, std::size_t size) {
    size_ = size;
    const std::size_t done =
        is_wide_ ? aesni_gcm_encrypt(bytes, bytes, size, state_.round_keys, counter_, state_.accumulator) : 0;
    bytes += done, size -= done;
    const std::size_t whole = size / kBlockSize * kBlockSize;
    if (whole != 0) {
      count(bytes, whole);
      ghash_.hash(state_.accumulator, state_.hash_table, bytes, whole);
    }
    mask_tail(bytes + whole, size - whole);
    if (size != whole) absorb_partial(bytes + whole, size - whole);
  }

  void decrypt(std::uint8_t* bytes, std::size_t size) {
    size_ = size;
    const std::size_t done =
        is_wide_ ? aesni_gcm_decrypt(bytes, bytes, size, state_.round_keys, counter_, state_.accumulator) : 0;
    bytes += done, size -= done;
    const std::size_t whole = size / kBlockSize * kBlockSize;
    if (whole != 0) {
      ghash_.hash(state_.accumulator, state_.hash_table, bytes, whole);
      count(bytes, whole);
    }
    if (size != whole) absorb_partial(bytes + whole, size - whole);
    mask_tail(bytes + whole, size - whole);
  }

  void finish(std::uint8_t* tag) {
    state_.accumulator[0] ^= swapped(std::uint64_t{associated_size_} * 8);
    state_.accumulator[1] ^= swapped(std::uint64_t{size_} * 8);
    ghash_.multiply(state_.accumulator, state_.hash_table);
    __builtin_memcpy(tag, state_.accumulator, kTagSize);
    for (std::size_t i = 0; i < kTagSize; ++i) tag[i] ^= tag_mask_[i];
  }

 private:
  std::uint32_t counter() const {
    std::uint32_t value;
    __builtin_memcpy(&value, counter_ + kNonceSize, sizeof(value));
    return __builtin_bswap32(value);
  }
  void set_counter(std::uint32_t value) {
    const std::uint32_t big = __builtin_bswap32(value);
    __builtin_memcpy(counter_ + kNonceSize, &big, sizeof(big));
  }
  void count(std::uint8_t* bytes, std::size_t size) {
    aesni_ctr32_encrypt_blocks(bytes, bytes, size / kBlockSize, state_.round_keys, counter_);
    set_counter(counter() + static_cast<std::uint32_t>(size / kBlockSize));
  }
  // At most one block, the rest of it zero.
  void absorb_partial(const std::uint8_t* bytes, std::size_t size) {
    auto* const sum = reinterpret_cast<std::uint8_t*>(state_.accumulator);
    for (std::size_t i = 0; i < size; ++i) sum[i] ^= bytes[i];
    ghash_.multiply(state_.accumulator, state_.hash_table);
  }
  void mask_tail(std::uint8_t* bytes, std::size_t size) {
    if (size == 0) return;
    std::uint8_t mask[kBlockSize];
    aesni_encrypt(counter_, mask, state_.round_keys);
    for (std::size_t i = 0; i < size; ++i) bytes[i] ^= mask[i];
    wipe_bytes(mask, sizeof(mask));
  }

  AeadKeyState& state_;
  const GhashKernels& ghash_;
  const bool is_wide_;
  std::size_t associated_size_ = 0, size_ = 0;
  alignas(16) std::uint8_t counter_[kBlockSize];
  alignas(16) std::uint8_t tag_mask_[kBlockSize];
};

void set_key(AeadKeyState& state, const std::uint8_t* key, std::size_t key_size) {
  wipe_bytes(&state, sizeof(state));
  // The schedule ends with the number of rounds, as OpenSSL's AES_KEY does.
  aesni_set_encrypt_key(key, static_cast<int>(key_size * 8), state.round_keys);
  const std::uint8_t zeros[kBlockSize] = {};
  aesni_encrypt(zeros, reinterpret_cast<std::uint8_t*>(state.hash_key), state.round_keys);
  state.hash_key[0] = swapped(state.hash_key[0]);
  state.hash_key[1] = swapped(state.hash_key[1]);
  state.reserved[0] = has_avx() ? 1 : 0;
  kGhashKernels[state.reserved[0]].init(state.hash_table, state.hash_key);
}

void seal(AeadKeyState& state, const std::uint8_t* nonce, const std::uint8_t* associated, std::size_t associated_size,
          std::uint8_t* bytes, std::size_t size, std::uint8_t* tag) {
  Piece piece(state, nonce);
  piece.associate(associated, associated_size);
  piece.encrypt(bytes, size);
  piece.finish(tag);
}

bool open(AeadKeyState& state, const std::uint8_t* nonce, const std::uint8_t* associated, std::size_t associated_size,
          std::uint8_t* bytes, std::size_t size, const std::uint8_t* tag) {
  Piece piece(state, nonce);
  piece.associate(associated, associated_size);
  piece.decrypt(bytes, size);
  std::uint8_t expected[kTagSize];
  piece.finish(expected);
  std::uint8_t difference = 0;
  for (std::size_t i = 0; i < kTagSize; ++i)
    difference = static_cast<std::uint8_t>(difference | (expected[i] ^ tag[i]));
  if (difference == 0) return true;
  wipe_bytes(bytes, size);
  return false;
}

}  // namespace

bool kernels_are_supported() { return (OPENSSL_ia32cap_P[1] & kNeeded) == kNeeded; }

constinit const RecordCipher kKernelCipher = {set_key, seal, open, expand_label};

}  // namespace casemate::netshield
