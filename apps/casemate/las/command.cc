#include "casemate/las/command.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "casemate/las/clean_start.h"
#include "casemate/reference/tools.h"
#include "casemate/subcommands.h"
#include "crypto/host_configuration.h"
#include "las/client.h"
#include "las/key_file.h"
#include "las/runtime_measurement.h"
#include "las/server.h"
#include "las/unix_socket.h"

namespace casemate::cli {
namespace {

constexpr const char* kDefaultSocket = "/run/casemate/las.sock";
constexpr int kExitOwn = 125;

constexpr const char* kHelp =
    R"(The local attestation service: tells, signed, which runtime a process of this machine started as.

Usage: casemate las serve [OPTIONS]      serve until SIGTERM or SIGINT
       casemate las status [OPTIONS]     show a running service (only root and its own user may)

  --socket PATH      where it listens; @NAME is an abstract name (default /run/casemate/las.sock)
  --json             for status: for machines
  --key FILE         the service's key, made there when there is none (default: a new key in memory at every start)
  --backend NAME     auto, simulation, tdx, snp or sgx (default auto: what this machine has)
  --group GID        serve only runtimes that start set-group-id GID (chgrp GID casemate-runtime; chmod g+s): the kernel
                     then vouches that nobody of the same user could touch them
  --renew SECONDS    how old the hardware's word for the key may become (default 120)
  --tsm DIRECTORY    tree of configfs-tsm reports (default /sys/kernel/config/tsm/report)
  --aesm SOCKET      aesmd's socket (default /var/run/aesmd/aesm.socket)

No environment variable is read. docs/las.md says what the service checks, and what root can still do.
)";

struct Options {
  std::string socket = kDefaultSocket;
  std::string key, backend = "auto";
  std::optional<gid_t> group;
  unsigned renew_seconds = 120;
  las::HostPaths paths;
  bool json = false;
};

int complain(const std::string& text, int exit_code) {
  std::fprintf(stderr, "casemate las: %s\n", text.c_str());
  return exit_code;
}

std::string hex(const std::uint8_t* bytes, std::size_t size) {
  return crypto::to_hex(std::as_bytes(std::span(bytes, size)));
}

std::string time_text(std::uint64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts = {};
  char text[32];
  gmtime_r(&time, &parts);
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// Readable when the service is to end. Blocks the signals for all threads that start later.
UniqueFd stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC));
}

void announce(const las::Backend& backend, const Options& options) {
  std::string text =
      fmt::format("casemate las: listening on {}, back end {}", options.socket, las::name_of(backend.choice));
  if (backend.issuer != nullptr) text += ", key id " + crypto::to_hex(backend.issuer->key_id());
  if (backend.choice == las::BackendChoice::kSimulation) {
    text += " (SIMULATION: counts only where a policy pins this key id)";
  }
  std::fprintf(stderr, "%s\n", text.c_str());
}

Result<void> serve(const Options& options) {
  crypto::PrivateKey key =
      options.key.empty() ? CASEMATE_TRY(las::ephemeral_key()) : CASEMATE_TRY(las::key_from_file(options.key));
  las::BackendOptions backend_options;
  backend_options.choice = *las::backend_named(options.backend);
  backend_options.paths = options.paths;
  backend_options.renew_after = std::chrono::seconds(options.renew_seconds);
  const las::Backend backend = CASEMATE_TRY(las::make_backend(backend_options, std::move(key)));
  las::CallerRules rules = CASEMATE_TRY(las::own_rules());
  rules.group = options.group;
  las::MeasuredFiles files(las::measure_runtime, geteuid());
  las::Served served;
  las::Counters counters;
  las::Service service = {.backend = backend,
                          .rules = rules,
                          .files = files,
                          .served = served,
                          .counters = counters,
                          .started_at = static_cast<std::uint64_t>(std::time(nullptr))};
  const UniqueFd stop = stop_signals();
  las::Server server(
      CASEMATE_TRY(las::listen_unix(options.socket)), service,
      [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }, las::Limits());
  announce(backend, options);
  Result<void> ended = server.run(stop.get());
  if (!options.socket.starts_with('@')) unlink(options.socket.c_str());
  return ended;
}

const char* backend_text(std::uint32_t backend) {
  if (backend == 0) return "sgx";
  return evidence::name_of(static_cast<evidence::LasBackend>(backend));
}

Result<void> show_status(const Options& options) {
  const protocol::LasStatus status = CASEMATE_TRY(las::ask_status(options.socket));
  nlohmann::ordered_json document = {{"socket", options.socket},
                                     {"backend", backend_text(status.backend)},
                                     {"key_id", hex(status.key_id, sizeof(status.key_id))},
                                     {"public_key", hex(status.public_key, sizeof(status.public_key))},
                                     {"started_at", time_text(status.started_at)},
                                     {"evidence_given", status.given},
                                     {"refused", status.refused},
                                     {"files_measured", status.measured_files},
                                     {"files_remembered", status.cached_files}};
  document["node_quote_made_at"] = status.node_issued_at == 0 ? "never" : time_text(status.node_issued_at);
  if (options.json) {
    std::printf("%s\n", document.dump(2).c_str());
    return {};
  }
  for (const auto& [name, value] : document.items()) {
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    std::printf("%-20s %s\n", name.c_str(), text.c_str());
  }
  return {};
}

void describe_options(CLI::App& app, Options& options) {
  app.set_help_flag();
  app.require_subcommand(1);
  CLI::App* const serve_words = app.add_subcommand("serve");
  CLI::App* const status_words = app.add_subcommand("status");
  for (CLI::App* const words : {serve_words, status_words}) {
    words->set_help_flag();
    words->add_option("--socket", options.socket);
  }
  status_words->add_flag("--json", options.json);
  serve_words->add_option("--key", options.key);
  serve_words->add_option("--backend", options.backend)->check([](const std::string& name) {
    return las::backend_named(name).has_value() ? "" : name + ": unknown";
  });
  serve_words->add_option("--group", options.group);
  serve_words->add_option("--renew", options.renew_seconds)->check(CLI::Range(1, 3600));
  serve_words->add_option("--tsm", options.paths.tsm_tree);
  serve_words->add_option("--aesm", options.paths.aesm_socket);
}

// The words as this process was started with, for starting it again.
Result<void> start_clean_again(const std::vector<std::string>& words) {
  std::vector<std::string> all = {"casemate", "las"};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> arguments;
  for (std::string& word : all) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  return start_clean(arguments.data());
}

}  // namespace

CommandText describe_las() {
  Options options;
  CLI::App app;
  describe_options(app, options);
  return read_words(app, "las", kHelp);
}

int las_command(const std::vector<std::string>& words) {
  if (words.empty() || std::ranges::find(words, "--help") != words.end()) {
    std::fputs(kHelp, words.empty() ? stderr : stdout);
    return words.empty() ? kExitUsage : 0;
  }
  Options options;
  CLI::App app("", "casemate las");
  describe_options(app, options);
  std::vector<std::string> reversed(words.rbegin(), words.rend());  // what CLI::App::parse asks for
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return complain(std::string(error.what()) + "; see `casemate las --help`", kExitUsage);
  }
  crypto::ignore_host_configuration();
  Result<void> done;
  if (app.got_subcommand("serve")) {
    done = start_clean_again(words);
    if (done.has_value()) done = serve(options);
  } else {
    done = show_status(options);
  }
  if (done.has_value()) return 0;
  return complain(done.error().message(), done.error().category() == ErrorCategory::kUsage ? kExitUsage : kExitOwn);
}

}  // namespace casemate::cli
