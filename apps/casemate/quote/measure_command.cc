// `casemate measure`: the number that identifies a runtime executable or an enclave.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "casemate/quote/measured_file.h"
#include "casemate/reference/tools.h"
#include "casemate/subcommands.h"

namespace casemate::cli {
namespace {

constexpr const char* kMeasureHelp =
    R"(Prints the measurement (MRENCLAVE) of a runtime executable, computed as SGX does it.

Usage: casemate measure FILE [--json] [--write-sgxs OUT]
       casemate measure --sgxs FILE [--json]

  --sgxs            FILE is an sgxs stream of an enclave, not an executable
  --write-sgxs OUT  also write the executable's sgxs stream, whose SHA-256 is the measurement
  --json            for machines

Two builds of the same source give the same number. The heap's size is no part of it.
Exit codes: 0 done, 1 FILE cannot be measured, 2 wrong words.
)";

struct Request {
  std::string file, stream_file;
  bool is_sgxs = false, json = false;
};

int complain(const std::string& text, int exit_code) {
  std::fprintf(stderr, "casemate measure: %s\n", text.c_str());
  return exit_code;
}

int print(const Request& request, const MeasuredFile& measured) {
  const std::string digits = crypto::to_hex(measured.mr_enclave);
  if (request.json) {
    const nlohmann::ordered_json document = {{"mrenclave", digits},
                                             {"enclave_size", measured.enclave_size},
                                             {"page_count", measured.page_count},
                                             {"form", request.is_sgxs ? "sgxs" : "runtime"}};
    std::printf("%s\n", document.dump(2).c_str());
  } else {
    std::printf("%s  %s\n", digits.c_str(), request.file.c_str());
  }
  return std::fflush(stdout) == 0 ? 0 : kExitUsage;
}

int run(const Request& request) {
  std::ofstream stream;
  evidence::EnclaveRecorder::Sink sink;
  if (!request.stream_file.empty()) {
    stream.open(request.stream_file, std::ios::binary | std::ios::trunc);
    if (!stream) return complain("cannot write " + request.stream_file, kExitUsage);
    sink = [&stream](crypto::ByteView bytes) {
      stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    };
  }
  const MeasuredForm form = request.is_sgxs ? MeasuredForm::kSgxsStream : MeasuredForm::kRuntimeExecutable;
  const Result<MeasuredFile> measured = measure_file(request.file, form, sink);
  if (!measured) {
    const bool is_missing = measured.error().category() == ErrorCategory::kSystem;
    return complain(measured.error().message(), is_missing ? kExitUsage : kExitNo);
  }
  if (stream.is_open() && !stream.flush()) return complain("cannot write " + request.stream_file, kExitUsage);
  return print(request, measured.value());
}

void describe_words(CLI::App& app, Request& request) {
  app.add_option("file", request.file)->required();
  CLI::Option* sgxs = app.add_flag("--sgxs", request.is_sgxs);
  app.add_option("--write-sgxs", request.stream_file)->excludes(sgxs);
  app.add_flag("--json", request.json);
}

}  // namespace

CommandText describe_measure() {
  Request request;
  CLI::App app;
  describe_words(app, request);
  return read_words(app, "measure", kMeasureHelp);
}

int measure_command(const std::vector<std::string>& words) {
  Request request;
  CLI::App app("", "casemate measure");
  describe_words(app, request);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::CallForHelp&) {
    std::fputs(kMeasureHelp, stdout);
    return 0;
  } catch (const CLI::ParseError& error) {
    return complain(std::string(error.what()) + "; see `casemate measure --help`", kExitUsage);
  }
  return run(request);
}

}  // namespace casemate::cli
