#include "runtime/netshield/vectors.h"

#include "netshield/freestanding/processor_words.h"
#include "netshield/record/cipher_kernels.h"

namespace casemate::runtime {
namespace {

using netshield::AeadKeyState;
using netshield::kKernelCipher;
using netshield::RecordCipher;
using netshield::Suite;

inline constexpr std::uint32_t kSse = 1 << 1, kAvx = 1 << 2, kUpperHalves = 1 << 6;
inline constexpr std::size_t kLegacySize = 512, kHeaderSize = 64;
// Compacted: legacy area, header, AVX (256), ZMM_Hi256 (512). Standard format without the last: the same and less.
inline constexpr std::size_t kAreaSize = kLegacySize + kHeaderSize + 256 + 512;

constinit std::uint32_t g_components = 0;
constinit bool g_compacts = false;

class VectorGuard {
 public:
  [[gnu::always_inline]] VectorGuard() {
    __builtin_memset(area_ + kLegacySize, 0, kHeaderSize);
    if (g_compacts) {
      asm volatile("xsavec64 %0" : "+m"(area_) : "a"(g_components), "d"(0) : "memory");
    } else {
      asm volatile("xsave64 %0" : "+m"(area_) : "a"(g_components), "d"(0) : "memory");
    }
  }
  [[gnu::always_inline]] ~VectorGuard() {
    asm volatile("xrstor64 %0" : : "m"(area_), "a"(g_components), "d"(0) : "memory");
  }
  VectorGuard(const VectorGuard&) = delete;
  VectorGuard& operator=(const VectorGuard&) = delete;

 private:
  alignas(64) std::uint8_t area_[kAreaSize];
};

void set_key(AeadKeyState& state, const std::uint8_t* key, std::size_t key_size) {
  const VectorGuard guard;
  kKernelCipher.set_key(state, key, key_size);
}

void seal(AeadKeyState& state, const std::uint8_t* nonce, const std::uint8_t* associated, std::size_t associated_size,
          std::uint8_t* bytes, std::size_t size, std::uint8_t* tag) {
  const VectorGuard guard;
  kKernelCipher.seal(state, nonce, associated, associated_size, bytes, size, tag);
}

bool open(AeadKeyState& state, const std::uint8_t* nonce, const std::uint8_t* associated, std::size_t associated_size,
          std::uint8_t* bytes, std::size_t size, const std::uint8_t* tag) {
  const VectorGuard guard;
  return kKernelCipher.open(state, nonce, associated, associated_size, bytes, size, tag);
}

void expand_label(Suite suite, const std::uint8_t* secret, const char* label, std::size_t label_size, std::uint8_t* out,
                  std::size_t out_size) {
  const VectorGuard guard;
  kKernelCipher.expand_label(suite, secret, label, label_size, out, out_size);
}

struct Leaf {
  std::uint32_t eax, ebx, ecx, edx;
};
Leaf cpuid(std::uint32_t number, std::uint32_t part) {
  Leaf leaf;
  asm volatile("cpuid" : "=a"(leaf.eax), "=b"(leaf.ebx), "=c"(leaf.ecx), "=d"(leaf.edx) : "a"(number), "c"(part));
  return leaf;
}

}  // namespace

bool vectors_boot() {
  netshield::kernels_detect_processor();
  constexpr std::uint32_t kOsUsesXsave = 1U << 27, kHasXsavec = 1U << 1;
  if (!netshield::kernels_are_supported() || (cpuid(1, 0).ecx & kOsUsesXsave) == 0) return false;
  std::uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  g_compacts = (cpuid(13, 1).eax & kHasXsavec) != 0;
  // Processors with the upper halves have xsavec, too.
  g_components = low & (kSse | kAvx | (g_compacts ? kUpperHalves : 0));
  return true;
}

constinit const RecordCipher kCoreCipher = {set_key, seal, open, expand_label};

}  // namespace casemate::runtime
