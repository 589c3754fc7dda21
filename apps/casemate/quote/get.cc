// Evidence about a process goes to a fresh runtime only (docs/las.md), so this command becomes one: it starts itself as
// a program under the runtime, which asks at boot. With --hardware it asks the machine itself, as a node's owner does.
#include "casemate/quote/get.h"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>

#include "casemate/reference/tools.h"
#include "casemate/subcommands.h"
#include "crypto/bytes.h"
#include "las/tsm_report.h"

namespace casemate::cli {
namespace {

constexpr const char* kGetHelp = R"(Gets evidence.

Usage: casemate quote get --nonce HEX --output FILE [--las SOCKET]
       casemate quote get --nonce HEX --output FILE --hardware [--tsm DIRECTORY]

  --nonce HEX      what makes it fresh, from whoever will verify it: 1 to 64 bytes
  --output FILE    where it goes
  --las SOCKET     the local attestation service to ask about a freshly started runtime; without it, one that lives as
                   long as this command: a simulation
  --hardware       the quote of this confidential virtual machine itself (as root): report data is the nonce, padded
                   with zeros
  --tsm DIRECTORY  tree of configfs-tsm reports (default /sys/kernel/config/tsm/report)

Exit codes: 0 done, 2 wrong words or no such hardware, 125 there was no evidence.
)";

struct GetOptions {
  std::string nonce, output, service;
  std::string tsm = las::kTsmTree;
  bool hardware = false;
};

int complain(const std::string& text) {
  std::fprintf(stderr, "casemate quote get: %s\n", text.c_str());
  return kExitUsage;
}

// Becomes `casemate run --attest`. The program that it runs is this executable, which is there for certain.
int become_runtime(const GetOptions& options) {
  const std::string attest = options.service.empty() ? "--attest" : "--attest=" + options.service;
  char self[4096] = {};
  if (readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0) return complain("/proc is not mounted");
  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (null >= 0) dup2(null, STDOUT_FILENO);
  const char* const words[] = {"casemate",   "run",
                               "--quiet",    attest.c_str(),
                               "--nonce",    options.nonce.c_str(),
                               "--evidence", options.output.c_str(),
                               "--",         self,
                               "--version",  nullptr};
  execv(self, const_cast<char* const*>(words));
  return complain(Error::from_errno("cannot start again", errno).message());
}

int ask_hardware(const GetOptions& options, const crypto::Bytes& nonce) {
  evidence::Digest64 report_data = {};
  std::ranges::copy(nonce, report_data.begin());
  const Result<las::TsmReport> report = las::tsm_report(options.tsm, report_data);
  if (!report.has_value()) return complain(report.error().message());
  std::ofstream file(options.output, std::ios::binary | std::ios::trunc);
  const std::string_view quote = crypto::as_text(report.value().quote);
  file.write(quote.data(), static_cast<std::streamsize>(quote.size()));
  file.close();
  return file ? 0 : complain(options.output + ": cannot write the quote there");
}

void describe_words(CLI::App& app, GetOptions& options) {
  app.set_help_flag();
  app.add_option("--nonce", options.nonce)->required();
  app.add_option("--output", options.output)->required();
  CLI::Option* const service = app.add_option("--las", options.service);
  CLI::Option* const hardware = app.add_flag("--hardware", options.hardware)->excludes(service);
  app.add_option("--tsm", options.tsm)->needs(hardware);
}

}  // namespace

CommandText describe_quote_get() {
  GetOptions options;
  CLI::App app;
  describe_words(app, options);
  return read_words(app, "get", kGetHelp);
}

int quote_get_command(const std::vector<std::string>& words) {
  if (std::ranges::find(words, "--help") != words.end()) {
    std::fputs(kGetHelp, stdout);
    return 0;
  }
  GetOptions options;
  CLI::App app("", "casemate quote get");
  describe_words(app, options);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ParseError& error) {
    return complain(std::string(error.what()) + "; see `casemate quote get --help`");
  }
  const Result<crypto::Bytes> nonce = crypto::from_hex(options.nonce);
  if (!nonce.has_value() || nonce.value().empty() || nonce.value().size() > evidence::Digest64().size()) {
    return complain("--nonce takes 2 to 128 hexadecimal digits, two for each byte");
  }
  return options.hardware ? ask_hardware(options, nonce.value()) : become_runtime(options);
}

}  // namespace casemate::cli
