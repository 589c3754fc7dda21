// How fast records are sealed and opened, by the record layer and by OpenSSL's EVP interface doing the same bytes.
//
//   build/release/unit/record_bench [milliseconds per figure, default 300]
//
// Prints one line per suite and size: GB/s of plaintext. Both run alternately in one process; the median of five.
#include <openssl/evp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "netshield/record/cipher_kernels.h"
#include "netshield/record/record_layer.h"

namespace {

using namespace casemate::netshield;
using Clock = std::chrono::steady_clock;

std::vector<std::uint8_t> g_buffer(kLargestRecord), g_sealed;
std::chrono::milliseconds g_time{300};

// Bytes per nanosecond.
template <typename Step>
double rate(std::size_t size, Step step) {
  const auto start = Clock::now();
  std::size_t count = 0;
  do {
    for (int i = 0; i < 64; ++i) step();
    count += 64;
  } while (Clock::now() - start < g_time / 5);
  const double passed = std::chrono::duration<double, std::nano>(Clock::now() - start).count();
  return static_cast<double>(size * count) / passed;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void evp_seal(EVP_CIPHER_CTX* context, std::size_t size) {
  std::uint8_t nonce[kNonceSize] = {}, tag[kTagSize];
  int done = 0;
  const bool good = EVP_EncryptInit_ex2(context, nullptr, nullptr, nonce, nullptr) == 1 &&
                    EVP_EncryptUpdate(context, nullptr, &done, g_buffer.data(), kHeaderSize) == 1 &&
                    EVP_EncryptUpdate(context, g_buffer.data() + kHeaderSize, &done, g_buffer.data() + kHeaderSize,
                                      static_cast<int>(size) + 1) == 1 &&
                    EVP_EncryptFinal_ex(context, tag, &done) == 1 &&
                    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagSize, tag) == 1;
  if (!good) std::abort();
}

void measure(Suite suite, const char* name, std::size_t size) {
  Connection writer, reader;
  TrafficSecrets secrets = {};
  secrets.suite = suite;
  EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
  const std::uint8_t key[kLargestKeySize] = {};
  const EVP_CIPHER* const cipher = suite == Suite::kAes128GcmSha256 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
  if (EVP_EncryptInit_ex2(context, cipher, key, nullptr, nullptr) != 1) std::abort();
  std::vector<double> seals, opens, evps;
  for (int round = 0; round < 5; ++round) {
    begin(writer, kKernelCipher, secrets);
    begin(reader, kKernelCipher, secrets);
    seals.push_back(rate(size, [&] {
      if (seal_data(writer, kKernelCipher, g_buffer.data(), size).outcome != SealOutcome::kSealed) std::abort();
    }));
    begin(writer, kKernelCipher, secrets);
    const SealResult one = seal_data(writer, kKernelCipher, g_buffer.data(), size);
    g_sealed.assign(g_buffer.begin(), g_buffer.begin() + static_cast<std::ptrdiff_t>(one.record_size));
    opens.push_back(rate(size, [&] {
      std::memcpy(g_buffer.data(), g_sealed.data(), g_sealed.size());
      reader.read.sequence = 0;  // the same record again
      if (open_record(reader, kKernelCipher, g_buffer.data(), g_sealed.size()).data_size != size) std::abort();
    }));
    evps.push_back(rate(size, [&] { evp_seal(context, size); }));
  }
  EVP_CIPHER_CTX_free(context);
  std::printf("%s %5zu bytes: seal %.2f, open %.2f, EVP seal %.2f GB/s; seal/EVP %.2f\n", name, size, median(seals),
              median(opens), median(evps), median(seals) / median(evps));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) g_time = std::chrono::milliseconds(std::max(1, std::atoi(argv[1])));
  for (const std::size_t size : {std::size_t{64}, std::size_t{1400}, std::size_t{16384}}) {
    measure(Suite::kAes128GcmSha256, "AES-128-GCM", size);
    measure(Suite::kAes256GcmSha384, "AES-256-GCM", size);
  }
  return 0;
}
