// What verifying evidence costs beside its signatures: quotes with prepared ("cached") collateral, one row for each
// kind, in microseconds of processor time of this thread. One round; tests/bench/evidence/run repeats rounds, puts
// `openssl speed` beside them and makes medians and ratios.
//
//   attest_bench [milliseconds for each row, default 100]      lines of NAME, tabulator, MICROSECONDS
#include <ctime>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "attest/dcap_verifier.h"
#include "attest/snp_verifier.h"
#include "attest/testing/synthetic_dcap.h"
#include "attest/testing/synthetic_snp.h"

namespace {

using namespace casemate;
using namespace casemate::attest;
using namespace casemate::attest::testing;

// Other work on the machine is not counted; that it empties caches still is.
double processor_microseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

template <typename Call>
double microseconds(double milliseconds, const Call& call) {
  call();
  const double begin = processor_microseconds();
  long count = 0;
  double elapsed = 0;
  do {
    call();
    ++count;
    elapsed = processor_microseconds() - begin;
  } while (elapsed < milliseconds * 1e3);
  return elapsed / static_cast<double>(count);
}

void expect_good(const VerificationResult& result) {
  if (result.conclusion == Conclusion::kVerified) return;
  std::fprintf(stderr, "%s\n", result.reason().c_str());
  std::abort();
}

void print(const char* name, double figure) { std::printf("%s\t%.2f\n", name, figure); }

void measure_signatures(double milliseconds) {
  const crypto::PrivateKey key = must(crypto::PrivateKey::generate(crypto::KeyKind::kEcP256));
  const crypto::PublicKey public_key = key.public_key();
  const Bytes message(432, std::byte{7});
  const Bytes signature = must(key.sign(crypto::SignatureScheme::kEcdsaP256Sha256, message));
  print("ecdsa-p256-verification", microseconds(milliseconds, [&] {
          if (!public_key.verify(crypto::SignatureScheme::kEcdsaP256Sha256, message, signature)) std::abort();
        }));
  print("p256-key-decoding", microseconds(milliseconds, [&] {
          if (!crypto::PublicKey::from_point(crypto::KeyKind::kEcP256, public_key.raw())) std::abort();
        }));
}

void measure_quotes(double milliseconds) {
  for (QuoteKind kind : kAllQuoteKinds) {
    const DcapSample sample = make_sample(DcapScenario(kind));
    const TrustAnchors anchors = anchors_of(sample);
    const auto prepared = PreparedDcapCollateral::prepare(sample.collateral, anchors);
    print((std::string("quote-") + to_text(kind)).c_str(), microseconds(milliseconds, [&] {
            expect_good(verify_dcap_quote(sample.quote, prepared.get(), anchors, kNow));
          }));
  }
  const DcapSample sample = make_sample(DcapScenario());
  const TrustAnchors anchors = anchors_of(sample);
  print("preparing-collateral", microseconds(milliseconds, [&] {
          if (!PreparedDcapCollateral::prepare(sample.collateral, anchors)->checks().all_passed()) std::abort();
        }));
}

void measure_report(double milliseconds) {
  const SnpSample snp = make_sample(SnpScenario());
  const TrustAnchors anchors = anchors_of_single_root(must(crypto::Certificate::from_der(snp.root_der)));
  print("snp-report", microseconds(milliseconds, [&] {
          expect_good(verify_snp_report(snp.report, snp.endorsements, anchors, kNow));
        }));
}

}  // namespace

int main(int argc, char** argv) {
  const double milliseconds = argc > 1 ? std::atof(argv[1]) : 100;
  measure_signatures(milliseconds);
  measure_quotes(milliseconds);
  measure_report(milliseconds);
  return 0;
}
