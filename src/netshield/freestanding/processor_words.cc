// For freestanding executables only: what OpenSSL's assembler wants to know of the processor. Elsewhere libcrypto
// brings the same words and fills them before main.
#include "netshield/freestanding/processor_words.h"

extern "C" {
[[gnu::visibility("hidden")]] constinit std::uint32_t OPENSSL_ia32cap_P[4] = {};
}

namespace casemate::netshield {
namespace {

struct Leaf {
  std::uint32_t eax, ebx, ecx, edx;
};

Leaf cpuid(std::uint32_t number, std::uint32_t part) {
  Leaf leaf;
  asm volatile("cpuid" : "=a"(leaf.eax), "=b"(leaf.ebx), "=c"(leaf.ecx), "=d"(leaf.edx) : "a"(number), "c"(part));
  return leaf;
}

std::uint64_t enabled_state() {
  std::uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

constexpr std::uint32_t kXsaveInUse = 1U << 27, kNeedsAvxState = 1U << 28 | 1U << 12 | 1U << 11;  // AVX, FMA, XOP
constexpr std::uint32_t kIntel = 1U << 30;                      // a bit that no processor sets, in OpenSSL's convention
constexpr std::uint32_t kBasic = 1U << 3 | 1U << 8 | 1U << 19;  // leaf 7: BMI1, BMI2, ADX: general registers only
constexpr std::uint32_t kShaNew = 1U << 29, kAvx2 = 1U << 5;

}  // namespace

void kernels_detect_processor() {
  const Leaf first = cpuid(0, 0), features = cpuid(1, 0);
  std::uint32_t ecx = features.ecx & ~std::uint32_t{1U << 11};
  const bool has_vectors = (ecx & kXsaveInUse) != 0 && (enabled_state() & 6) == 6;
  if (!has_vectors) ecx &= ~kNeedsAvxState;
  OPENSSL_ia32cap_P[0] = features.edx & ~kIntel;
  if (first.ebx == 0x756e6547) OPENSSL_ia32cap_P[0] |= kIntel;  // "Genu"
  OPENSSL_ia32cap_P[1] = ecx;
  if (first.eax < 7) return;
  // AVX-512 is left out: only code for SHA would use it here.
  const std::uint32_t extended = cpuid(7, 0).ebx;
  OPENSSL_ia32cap_P[2] = extended & (kBasic | kShaNew | (has_vectors ? kAvx2 : 0));
}

}  // namespace casemate::netshield
