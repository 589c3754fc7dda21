// What the record layer needs of cryptography, as a table of functions: AES-GCM (NIST SP 800-38D) with a key schedule
// that is plain data, and HKDF-Expand-Label (RFC 8446, 7.1). The implementation is cipher_kernels.h.
//
// Freestanding: no libc, no heap, no exceptions, no pointers inside of the data (it lies in memory that processes share
// at different addresses).
#pragma once

#include <cstddef>
#include <cstdint>

namespace casemate::netshield {

// The two suites that a shielded connection may have (RFC 8446, B.4). ChaCha20-Poly1305 is not offered: every processor
// that runs the shield has AES instructions.
enum class Suite : std::uint16_t { kNone = 0, kAes128GcmSha256 = 0x1301, kAes256GcmSha384 = 0x1302 };

inline constexpr std::size_t kNonceSize = 12;
inline constexpr std::size_t kTagSize = 16;
inline constexpr std::size_t kLargestKeySize = 32;
inline constexpr std::size_t kLargestSecretSize = 48;

constexpr std::size_t key_size_of(Suite suite) { return suite == Suite::kAes128GcmSha256 ? 16 : 32; }
// Of traffic secrets, which have the size of the suite's hash.
constexpr std::size_t secret_size_of(Suite suite) { return suite == Suite::kAes128GcmSha256 ? 32 : 48; }

// A key, expanded. What is in it is the implementation's; all of it is secret.
struct alignas(16) AeadKeyState {
  std::uint8_t round_keys[240];
  std::uint32_t round_count;
  std::uint32_t reserved[3];
  // The order of these three is the assembler's: aesni_gcm_encrypt finds the table behind accumulator and hash key.
  std::uint64_t accumulator[2];  // of the piece under way
  std::uint64_t hash_key[2];
  std::uint64_t hash_table[32];
};

// Threads: the functions hold nothing; one AeadKeyState is used by one thread at a time. Blocks: never.
struct RecordCipher {
  // `key`: key_size_of(suite) bytes.
  void (*set_key)(AeadKeyState& state, const std::uint8_t* key, std::size_t key_size);
  // In place: `bytes` become ciphertext of the same size. Requires: size < 2^31, associated_size <= 16.
  void (*seal)(AeadKeyState& state, const std::uint8_t* nonce, const std::uint8_t* associated,
               std::size_t associated_size, std::uint8_t* bytes, std::size_t size, std::uint8_t* tag);
  // In place. False: not sealed with this key, nonce and associated data; the bytes are zeroed then.
  bool (*open)(AeadKeyState& state, const std::uint8_t* nonce, const std::uint8_t* associated,
               std::size_t associated_size, std::uint8_t* bytes, std::size_t size, const std::uint8_t* tag);
  // HKDF-Expand-Label(secret, label, "", out_size) with the suite's hash. `label` without "tls13 ", at most 12 bytes;
  // out_size at most the hash's size. `out` may be `secret`.
  void (*expand_label)(Suite suite, const std::uint8_t* secret, const char* label, std::size_t label_size,
                       std::uint8_t* out, std::size_t out_size);
};

// Overwrites in a way that the compiler keeps.
inline void wipe_bytes(void* bytes, std::size_t size) {
  __builtin_memset(bytes, 0, size);
  asm volatile("" : : "r"(bytes) : "memory");
}

}  // namespace casemate::netshield
