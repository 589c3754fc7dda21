// `casemate cas serve`: opens the store, makes what is missing on the first start, serves until SIGTERM or SIGINT.
//
// Standard error gets one JSON object per line. Nothing secret is among its fields: names of routes, statuses, the
// first digits of clients' key hashes. The claim token goes into a file of mode 0600 only.
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/unique_fd.h"
#include "cas/api/client_api.h"
#include "cas/api/http_server.h"
#include "cas/sessions/registry.h"
#include "cas/sessions/tables.h"
#include "casemate/cas/cas_options.h"
#include "casemate/cas/client_state.h"
#include "casemate/cas/runtime_listener.h"
#include "casemate/cas/state_files.h"
#include "casemate/las/clean_start.h"
#include "casemate/quote/evidence_files.h"
#include "casemate/session/session_files.h"
#include "crypto/host_configuration.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "crypto/self_signed.h"

namespace casemate::cas_tool {
namespace {

constexpr const char* kServerKeyRow = "tls-client";

using Words = std::vector<std::pair<std::string, std::string>>;

// One line, in one write: lines of several threads do not mix.
void log_event(const std::string& event, const Words& words) {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  std::tm parts = {};
  gmtime_r(&now.tv_sec, &parts);
  char time[64];
  std::snprintf(time, sizeof(time), "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", parts.tm_year + 1900, parts.tm_mon + 1,
                parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_nsec / 1'000'000);
  nlohmann::ordered_json line = {{"time", time}, {"event", event}};
  for (const auto& [name, value] : words) line[name] = value;
  const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  // A log that cannot be written stops nobody.
  static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
}

// The key of the client API, made on the first start.
Result<crypto::PrivateKey> server_key(cas::Store& store) {
  const cas::TableNumber table = number_of(cas::Table::kServer);
  const auto row = CASEMATE_TRY(store.snapshot().find(table, kServerKeyRow));
  if (row) return crypto::PrivateKey::from_pem(crypto::as_text(row->value.expose()));
  crypto::PrivateKey key = CASEMATE_TRY(crypto::PrivateKey::generate(crypto::KeyKind::kEcP256));
  std::string pem = key.to_pem();
  cas::Change change;
  change.rows.push_back({table, kServerKeyRow, "", cas::SecretValue::copy_of(pem), cas::kAbsent});
  crypto::wipe(std::as_writable_bytes(std::span<char>(pem)));
  const auto hash = crypto::sha256(key.public_key().to_subject_public_key_info());
  change.log(cas::KeyRotation{"tls", "", 1, hash, {}});
  if (auto committed = store.commit(std::move(change)); !committed) return committed.error();
  return key;
}

// The token in its file; a new one when there is none. Empty once the CAS has an owner.
Result<std::string> claim_token(const cas::Store& store, const std::string& path) {
  const auto owner = CASEMATE_TRY(cas::owner_of(store.snapshot()));
  if (owner) {
    ::unlink(path.c_str());
    return std::string();
  }
  if (auto old = read_private_file(path); old && old.value().size() == 65) return old.value().substr(0, 64);
  const auto token = CASEMATE_TRY(crypto::SecretBytes<32>::random());
  const std::string text = crypto::to_hex(token.expose());
  if (auto written = replace_private_file(path, text + "\n"); !written) return written.error();
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

cas::ApiOptions api_options(const Options& options, const OpenedStore& opened, const std::string& key_hash,
                            const std::string& token) {
  cas::ApiOptions api;
  api.server_key = key_hash;
  api.claim_token = token;
  api.unseal_kind = opened.method->kind();
  api.version = CASEMATE_VERSION;
  api.backup_directory = options.state + "/backups";
  api.public_metrics = options.public_metrics;
  api.requests_per_second = options.requests_per_second;
  api.burst = 4 * options.requests_per_second;
  api.log = log_event;
  api.on_claimed = [path = options.state + "/claim-token"] {
    ::unlink(path.c_str());
    log_event("claimed", {});
  };
  return api;
}

void announce(const Options& options, const OpenedStore& opened, const cas::SessionRegistry& registry,
              const std::string& address, const std::string& key_hash, const RuntimeListener* runtime,
              bool is_claimed) {
  Words words = {{"address", address},
                 {"server_key", key_hash},
                 {"log_id", registry.log_id()},
                 {"sessions", std::to_string(registry.session_count())},
                 {"unseal", opened.method->kind()},
                 {"unseal_promise", opened.method->promise()},
                 {"anchor", opened.anchor->kind()},
                 {"anchor_promise", opened.anchor->promise()},
                 {"rollback_window_seconds", std::to_string(options.anchor_seconds)},
                 {"simulation", "yes: no trusted hardware protects this process"}};
  if (runtime != nullptr) {
    words.insert(words.begin() + 2, {{"runtime_address", runtime->address()}, {"runtime_key", runtime->key_hash()}});
  }
  log_event("listening", words);
  if (!is_claimed) log_event("unclaimed", {{"token_file", options.state + "/claim-token"}});
}

std::string connection_metrics(const cas::HttpServer& server) {
  const cas::HttpCounters counters = server.counters();
  const std::pair<const char*, std::uint64_t> values[] = {{"connections", counters.connections_now},
                                                          {"connections_total", counters.connections},
                                                          {"handshakes_failed_total", counters.handshakes_failed},
                                                          {"connections_crowded_out_total", counters.crowded_out},
                                                          {"requests_overloaded_total", counters.overloaded}};
  std::string text;
  for (const auto& [name, value] : values) {
    text += "casemate_cas_" + std::string(name) + " " + std::to_string(value) + "\n";
  }
  return text;
}

// As many connections as descriptors allow, with room for the store's and our own files.
cas::HttpLimits http_limits() {
  constexpr rlim_t kOwnFiles = 64;
  rlimit files = {};
  cas::HttpLimits limits;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return limits;
  files.rlim_cur = files.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < limits.connections + kOwnFiles) {
    limits.connections = files.rlim_cur > 2 * kOwnFiles ? files.rlim_cur - kOwnFiles : kOwnFiles;
  }
  return limits;
}

Result<cas::EvidenceBasis> evidence_basis(const Options& options) {
  cas::EvidenceBasis basis;
  cli::EvidenceCase given;
  for (const std::string& path : options.collateral) {
    const crypto::Bytes content = CASEMATE_TRY(cli::read_file(path));
    if (auto added = cli::add_collateral(given, content, path); !added) return added.error().with_context(path);
  }
  basis.snp = std::move(given.snp);
  if (!given.dcap) return basis;
  basis.dcap = attest::PreparedDcapCollateral::prepare(*given.dcap, *basis.anchors);
  if (const attest::Check* const failed = basis.dcap->checks().first_failure(); failed != nullptr) {
    return Error(ErrorCategory::kUsage, "the DCAP collateral of --collateral: " + failed->name + ": expected " +
                                            failed->expected + ", found " + failed->actual);
  }
  return basis;
}

// What the client API tells owners about refused services, and what it does to services when it finds this store old.
void offer_refusals(cas::ApiOptions& api, cas::Activator& activator) {
  api.find_refusal = [&activator](const std::string& reference) { return activator.why(reference); };
  api.on_rolled_back = [&activator] { activator.refuse_all("this CAS was rolled back"); };
}

Result<int> serve_clean(const Options& options) {
  const UniqueFd stop = stop_signals();
  OpenedStore opened = CASEMATE_TRY(open_store(options));
  cas::Store& store = *opened.store;
  if (auto made = make_state_directory(options.state + "/backups"); !made) return made.error();
  cas::RegistryOptions rules;
  rules.top_level = options.top_level == "anyone" ? cas::TopLevel::kAnyone : cas::TopLevel::kOwnerOnly;
  const auto registry = CASEMATE_TRY(cas::SessionRegistry::open(store, rules));
  const crypto::PrivateKey key = CASEMATE_TRY(server_key(store));
  const std::string key_hash = crypto::to_hex(crypto::sha256(key.public_key().to_subject_public_key_info()));
  const std::int64_t now = std::time(nullptr);
  const crypto::Bytes certificate =
      CASEMATE_TRY(crypto::self_signed_certificate(key, "casemate cas", now - kDay, now + kCertificateDays * kDay));
  const std::string token = CASEMATE_TRY(claim_token(store, options.state + "/claim-token"));

  std::unique_ptr<RuntimeListener> runtime;
  if (!options.runtime_listen.empty()) {
    cas::EvidenceBasis basis = CASEMATE_TRY(evidence_basis(options));
    runtime =
        CASEMATE_TRY(RuntimeListener::start(options.runtime_listen, store, *registry, std::move(basis), log_event));
  }
  cas::HttpServer* listening = nullptr;
  cas::ApiOptions offered = api_options(options, opened, key_hash, token);
  offered.more_metrics = [&] { return connection_metrics(*listening) + (runtime ? runtime->metrics() : ""); };
  if (runtime) offer_refusals(offered, runtime->activator());
  cas::ClientApi api(store, *registry, std::move(offered));
  const auto server =
      CASEMATE_TRY(cas::HttpServer::listen(options.listen, key, certificate, http_limits(),
                                           [&api](const cas::HttpRequest& request) { return api.handle(request); }));
  listening = server.get();
  announce(options, opened, *registry, server->address(), key_hash, runtime.get(), token.empty());

  std::thread waiter([&] {
    signalfd_siginfo signal = {};
    while (::read(stop.get(), &signal, sizeof(signal)) < 0 && errno == EINTR) {
    }
    log_event("stopping", {});
    api.begin_to_stop();
    server->stop();
  });
  server->run();
  waiter.join();
  if (runtime) runtime->stop();  // no service changes anything from here on
  registry->finish();
  opened.store.reset();  // finishes and anchors what was committed
  log_event("stopped", {});
  return 0;
}

}  // namespace

Result<int> serve(const Options& options, const std::vector<std::string>& words) {
  std::vector<std::string> all = {"casemate", "cas"};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> arguments;
  for (std::string& word : all) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  if (auto clean = cli::start_clean(arguments.data()); !clean) return clean.error();
  return serve_clean(options);
}

}  // namespace casemate::cas_tool
