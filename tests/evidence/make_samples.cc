// Writes evidence of throw-away roots with its collateral, so that tests of the command line need nobody's vectors:
// one directory for each kind, in the layout of shared/vectors (quote.bin, collateral.json, root.der; report.bin,
// leaf.der, ask.der, ark.der, crl.der, root.der), certificate.pem or hcl.bin where the
// evidence is wrapped, and their moment in the file `now`.
//
//   evidence_samples DIRECTORY
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "attest/testing/wrapped_evidence.h"

namespace {

using namespace casemate;
using namespace casemate::attest;
using namespace casemate::attest::testing;

void write(const std::string& path, std::string_view content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  if (file.flush()) return;
  std::fprintf(stderr, "cannot write %s\n", path.c_str());
  std::exit(1);
}

void write(const std::string& path, crypto::ByteView content) { write(path, crypto::as_text(content)); }

std::string make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return path;
  std::fprintf(stderr, "cannot make %s\n", path.c_str());
  std::exit(1);
}

void write_quote(const std::string& directory, const DcapSample& sample) {
  write(directory + "/quote.bin", sample.quote);
  write(directory + "/collateral.json", to_json(sample.collateral));
  write(directory + "/root.der", sample.root_der);
}

void write_report(const std::string& directory, const SnpScenario& scenario, const SnpSample& sample) {
  const std::vector<Bytes>& certificates = sample.endorsements.certificates;
  write(directory + "/report.bin", sample.report);
  const char* const names[] = {"/leaf.der", "/ask.der", "/ark.der"};
  for (std::size_t i = 0; i < std::size(names); ++i) write(directory + names[i], certificates.at(i));
  write(directory + "/crl.der", make_snp_revocation_list(scenario, {}));
  write(directory + "/root.der", sample.root_der);
}

void write_report(const std::string& directory, const SnpScenario& scenario) {
  write_report(directory, scenario, make_sample(scenario));
}

void write_certificate(const std::string& directory, QuoteKind kind) {
  const CertificateSample sample = make_certificate(kind);
  write_quote(directory, sample.dcap);
  write(directory + "/certificate.pem", crypto::to_pem(sample.certificate, "CERTIFICATE"));
}

void write_hcl(const std::string& directory) {
  const HclSample sample;
  write_report(directory, sample.scenario, sample.snp);
  write(directory + "/hcl.bin", sample.wrapped);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: evidence_samples DIRECTORY\n");
    return 2;
  }
  const std::string directory = make_directory(argv[1]);
  for (QuoteKind kind : kAllQuoteKinds) {
    write_quote(make_directory(directory + "/" + to_text(kind)), make_sample(DcapScenario(kind)));
  }
  write_certificate(make_directory(directory + "/SgxCertificate"), QuoteKind::kSgxV3);
  write_certificate(make_directory(directory + "/TdxCertificate"), QuoteKind::kTdxV4);
  write_hcl(make_directory(directory + "/SnpHcl"));
  using evidence::SnpGeneration;
  using evidence::SnpSigningKey;
  write_report(make_directory(directory + "/SnpMilan"), SnpScenario(SnpGeneration::kMilan, 3));
  write_report(make_directory(directory + "/SnpMilanV2"), SnpScenario(SnpGeneration::kMilan, 2));
  write_report(make_directory(directory + "/SnpTurin"), SnpScenario(SnpGeneration::kTurin, 5));
  write_report(make_directory(directory + "/SnpVlek"), SnpScenario(SnpGeneration::kGenoa, 3, SnpSigningKey::kVlek));
  write(directory + "/now", to_text(kNow));
  return 0;
}
