// What verifying a quote costs beside its signatures: a quote with prepared ("cached") collateral against as many ECDSA
// verifications as that makes, and a bare `openssl speed` for comparison. Goal: at most 1.5 times the signatures.
//
//   attest_bench [seconds for each row, default 2]
#include <chrono>
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
using Clock = std::chrono::steady_clock;

// Microseconds for one call: the best of ten batches, because other work on the machine only ever adds.
template <typename Call>
double microseconds(double seconds, const Call& call) {
  double best = 1e12;
  for (int batch = 0; batch < 10; ++batch) {
    const auto begin = Clock::now();
    long count = 0;
    double elapsed = 0;
    do {
      call();
      ++count;
      elapsed = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
    } while (elapsed < seconds * 1e5);
    best = std::min(best, elapsed / static_cast<double>(count));
  }
  return best;
}

void expect_good(const VerificationResult& result) {
  if (result.conclusion == Conclusion::kVerified) return;
  std::fprintf(stderr, "%s\n", result.reason().c_str());
  std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 2;
  const crypto::PrivateKey key = must(crypto::PrivateKey::generate(crypto::KeyKind::kEcP256));
  const Bytes message(432, std::byte{7});
  const Bytes signature = must(key.sign(crypto::SignatureScheme::kEcdsaP256Sha256, message));
  const double ecdsa = microseconds(seconds, [&] {
    if (!key.public_key().verify(crypto::SignatureScheme::kEcdsaP256Sha256, message, signature)) std::abort();
  });
  std::printf("ECDSA P-256 verification            %8.1f us\n", ecdsa);
  const double decode = microseconds(
      seconds, [&] { (void)crypto::PublicKey::from_point(crypto::KeyKind::kEcP256, key.public_key().raw()); });
  std::printf("P-256 key from its point            %8.1f us\n", decode);
  for (QuoteKind kind : {QuoteKind::kSgxV3, QuoteKind::kTdx15V5}) {
    const DcapSample sample = make_sample(DcapScenario(kind));
    const TrustAnchors anchors = anchors_of(sample);
    const auto prepared = PreparedDcapCollateral::prepare(sample.collateral, anchors);
    const double quote =
        microseconds(seconds, [&] { expect_good(verify_dcap_quote(sample.quote, prepared.get(), anchors, kNow)); });
    const double preparing =
        microseconds(seconds, [&] { (void)PreparedDcapCollateral::prepare(sample.collateral, anchors); });
    // PCK certificate, its authority, the root, QE report, quote.
    constexpr int kSignatureCount = 5;
    std::printf("%-8s quote, prepared collateral   %8.1f us = %.2f x its %d ECDSA verifications\n", to_text(kind),
                quote, quote / (kSignatureCount * ecdsa), kSignatureCount);
    std::printf("%-8s preparing collateral         %8.1f us\n", to_text(kind), preparing);
  }
  const SnpSample snp = make_sample(SnpScenario());
  const TrustAnchors anchors = anchors_of_single_root(must(crypto::Certificate::from_der(snp.root_der)));
  const double report =
      microseconds(seconds, [&] { expect_good(verify_snp_report(snp.report, snp.endorsements, anchors, kNow)); });
  std::printf("SNP report with its chain           %8.1f us\n", report);
  return 0;
}
