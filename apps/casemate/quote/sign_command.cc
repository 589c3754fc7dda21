// `casemate sign`: an author's signature over a measurement, as an SGX SIGSTRUCT.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <fstream>

#include "casemate/quote/evidence_files.h"
#include "casemate/quote/measured_file.h"
#include "casemate/reference/tools.h"
#include "casemate/subcommands.h"
#include "evidence/sgx_report.h"
#include "evidence/sigstruct.h"

namespace casemate::cli {
namespace {

constexpr const char* kSignHelp =
    R"(Signs the measurement of a runtime executable or an enclave: writes an SGX SIGSTRUCT.

Usage: casemate sign --key KEY FILE -o OUT [OPTIONS]

  --key KEY        RSA key of 3072 bits with exponent 3, PEM, not encrypted:
                   openssl genrsa -3 -out key.pem 3072
  -o, --output OUT where the SIGSTRUCT goes (1808 bytes)
  --sgxs           FILE is an sgxs stream, not an executable
  --product-id N   ISVPRODID (default 0)
  --svn N          ISVSVN, the security version (default 0)
  --date YYYYMMDD  date in the structure (default: today); give it for reproducible files
  --debug          allow enclaves that the host can read

Exit codes: 0 done, 1 FILE or KEY does not fit, 2 wrong words or files.
)";

struct Request {
  std::string key_file, file, output_file, date;
  std::uint16_t product_id = 0, svn = 0;
  bool is_sgxs = false, allows_debug = false;
};

// Attributes that a signature fixes: all flags, and the legacy state of XFRM, so that processors may offer more.
constexpr std::uint64_t kXfrmLegacy = 0x3;

int complain(const std::string& text, int exit_code) {
  std::fprintf(stderr, "casemate sign: %s\n", text.c_str());
  return exit_code;
}

evidence::FixedBytes<16> attributes_of(std::uint64_t flags, std::uint64_t xfrm) {
  const crypto::Bytes bytes = evidence::FieldWriter(16).number(0, flags).number(8, xfrm).finish();
  return evidence::FieldView(bytes).bytes<16>(0);
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[16];
  return std::string(text, std::strftime(text, sizeof text, "%Y%m%d", &parts));
}

// The structure holds the eight decimal digits as nibbles.
Result<std::uint32_t> date_from(const std::string& text) {
  if (text.size() != 8 || text.find_first_not_of("0123456789") != std::string::npos) {
    return Error(ErrorCategory::kUsage, "--date wants YYYYMMDD");
  }
  return static_cast<std::uint32_t>(std::stoul(text, nullptr, 16));
}

Result<crypto::Bytes> sign(const Request& request) {
  const crypto::Bytes key_text = CASEMATE_TRY(read_file(request.key_file));
  const crypto::PrivateKey key = CASEMATE_TRY(crypto::PrivateKey::from_pem(crypto::as_text(key_text)));
  const MeasuredForm form = request.is_sgxs ? MeasuredForm::kSgxsStream : MeasuredForm::kRuntimeExecutable;
  const MeasuredFile measured = CASEMATE_TRY(measure_file(request.file, form));
  evidence::Sigstruct sigstruct;
  sigstruct.date = CASEMATE_TRY(date_from(request.date.empty() ? today() : request.date));
  sigstruct.enclave_hash = measured.mr_enclave;
  sigstruct.misc_mask = UINT32_MAX;
  sigstruct.attributes = attributes_of(evidence::kSgxAttributeMode64, kXfrmLegacy);
  const std::uint64_t free_flags = request.allows_debug ? evidence::kSgxAttributeDebug : 0;
  sigstruct.attribute_mask = attributes_of(~free_flags, kXfrmLegacy);
  sigstruct.isv_product_id = request.product_id;
  sigstruct.isv_svn = request.svn;
  if (Result<void> is_signed = evidence::sign_sigstruct(sigstruct, key); !is_signed) return is_signed.error();
  if (Result<void> is_good = evidence::verify_sigstruct(sigstruct); !is_good) return is_good.error();
  std::printf("mrenclave  %s\nmrsigner   %s\n", crypto::to_hex(sigstruct.enclave_hash).c_str(),
              crypto::to_hex(evidence::mr_signer_of(sigstruct)).c_str());
  return evidence::build(sigstruct);
}

int run(const Request& request) {
  const Result<crypto::Bytes> sigstruct = sign(request);
  if (!sigstruct) {
    const ErrorCategory category = sigstruct.error().category();
    return complain(sigstruct.error().message(), category == ErrorCategory::kSystem ? kExitUsage : kExitNo);
  }
  std::ofstream file(request.output_file, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(sigstruct.value().data()),
             static_cast<std::streamsize>(sigstruct.value().size()));
  return file.flush() ? 0 : complain("cannot write " + request.output_file, kExitUsage);
}

void describe_words(CLI::App& app, Request& request) {
  app.add_option("file", request.file)->required();
  app.add_option("--key", request.key_file)->required();
  app.add_option("-o,--output", request.output_file)->required();
  app.add_flag("--sgxs", request.is_sgxs);
  app.add_option("--product-id", request.product_id);
  app.add_option("--svn", request.svn);
  app.add_option("--date", request.date);
  app.add_flag("--debug", request.allows_debug);
}

}  // namespace

CommandText describe_sign() {
  Request request;
  CLI::App app;
  describe_words(app, request);
  return read_words(app, "sign", kSignHelp);
}

int sign_command(const std::vector<std::string>& words) {
  Request request;
  CLI::App app("", "casemate sign");
  describe_words(app, request);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::CallForHelp&) {
    std::fputs(kSignHelp, stdout);
    return 0;
  } catch (const CLI::ParseError& error) {
    return complain(std::string(error.what()) + "; see `casemate sign --help`", kExitUsage);
  }
  return run(request);
}

}  // namespace casemate::cli
