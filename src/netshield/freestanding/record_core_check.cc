// A static executable without libc: proves that the record layer and OpenSSL's assembler routines need nothing but the
// memory functions of the runtime's core, and compute the right thing there. Exit code 0: good; otherwise the number of
// the step that failed. Run by ctest.
#include <sys/syscall.h>

#include <initializer_list>

#include "netshield/freestanding/processor_words.h"
#include "netshield/record/cipher_kernels.h"
#include "netshield/record/record_layer.h"

namespace casemate::netshield {
namespace {

constinit Connection g_client = {}, g_server = {};
constinit std::uint8_t g_record[kLargestRecord] = {};

// Test case 14 of the GCM specification: AES-256, zero key, zero nonce, one zero block.
constexpr std::uint8_t kCiphertext14[16] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e,
                                            0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18};
constexpr std::uint8_t kTag14[16] = {0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0,
                                     0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};

bool known_answer_is_right() {
  static constinit AeadKeyState state = {};
  std::uint8_t zeros[32] = {}, bytes[16] = {}, tag[16];
  kKernelCipher.set_key(state, zeros, 32);
  kKernelCipher.seal(state, zeros, nullptr, 0, bytes, sizeof(bytes), tag);
  return __builtin_memcmp(bytes, kCiphertext14, 16) == 0 && __builtin_memcmp(tag, kTag14, 16) == 0;
}

std::uint8_t pattern(std::size_t i, std::size_t size) { return static_cast<std::uint8_t>(i * 7 + size); }

bool record_passes(std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) g_record[kHeaderSize + i] = pattern(i, size);
  const SealResult sealed = seal_data(g_client, kKernelCipher, g_record, size);
  if (sealed.outcome != SealOutcome::kSealed) return false;
  const OpenResult opened = open_record(g_server, kKernelCipher, g_record, sealed.record_size);
  if (opened.outcome != OpenOutcome::kData || opened.data_size != size) return false;
  for (std::size_t i = 0; i < size; ++i) {
    if (g_record[kHeaderSize + i] != pattern(i, size)) return false;
  }
  return true;
}

int check() {
  kernels_detect_processor();
  if (!kernels_are_supported()) return 0;  // such a processor cannot run the shield
  if (!known_answer_is_right()) return 1;
  for (const Suite suite : {Suite::kAes128GcmSha256, Suite::kAes256GcmSha384}) {
    TrafficSecrets secrets = {};
    secrets.suite = suite;
    secrets.side = Side::kClient;
    secrets.write_secret[0] = 1;
    begin(g_client, kKernelCipher, secrets);
    secrets.side = Side::kServer;
    secrets.write_secret[0] = 0;
    secrets.read_secret[0] = 1;
    begin(g_server, kKernelCipher, secrets);
    for (std::size_t size = 1; size <= kLargestPlaintext; size += size < 700 ? 1 : 523) {
      if (!record_passes(size)) return 2;
    }
    if (!record_passes(kLargestPlaintext)) return 3;
  }
  return 0;
}

}  // namespace
}  // namespace casemate::netshield

extern "C" [[noreturn, gnu::force_align_arg_pointer]] void _start() {
  const long code = casemate::netshield::check();
  asm volatile("syscall" : : "a"(SYS_exit_group), "D"(code) : "rcx", "r11", "memory");
  __builtin_unreachable();
}
