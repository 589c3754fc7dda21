// What a large CAS costs: memory, time from start to serving, and requests per second over HTTPS.
//
//   service_bench fill DIR SESSIONS SECRETS-PER-SESSION   makes a store (through the store, not through the API)
//   service_bench open DIR                                start to the first answer, memory, parsing of every session
//   service_bench load ADDR CLIENT-DIR SECONDS THREADS    reads and durable updates of a running server
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "cas/api/http_client.h"
#include "cas/sessions/registry.h"
#include "cas/sessions/tables.h"
#include "policy/canonical.h"
#include "policy/parse.h"

namespace {

using namespace casemate;
using namespace casemate::cas;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

long resident_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::strtol(line.c_str() + 6, nullptr, 10) / 1024;
  }
  return 0;
}

std::string text_of(int secrets) {
  std::string text = "version: casemate-1\nsecrets:\n";
  for (int i = 0; i < secrets; ++i) {
    text += "  - {name: s" + std::to_string(i) + ", kind: ascii, size: 32, export: other}\n";
  }
  return text;
}

StoreOptions options_of(const std::string& directory) {
  StoreOptions options;
  options.directory = directory + "/store";
  return options;
}

int fill(const std::string& directory, int sessions, int secrets) {
  std::filesystem::create_directories(directory);
  const auto method = unseal_with_new_key_file(directory + "/unseal.key").value();
  const auto store = Store::create(options_of(directory), {method.get()}).value();
  const std::string text = text_of(secrets);
  for (int session = 0; session < sessions; ++session) {
    const std::string name = "session" + std::to_string(session);
    policy::Diagnostics diagnostics;
    const auto parsed = policy::parse_session(text, {name}, diagnostics);
    SessionRecord record{1, text, policy::session_hash(*parsed), {}, 1, std::nullopt};
    Change change;
    change.rows.push_back({number_of(Table::kSessions), name, name, encode(record), kAbsent});
    for (int i = 0; i < secrets; ++i) {
      change.rows.push_back({number_of(Table::kSecrets), session_row_key(name, "s" + std::to_string(i)), name,
                             SecretValue::copy_of(std::string(64, 's')), kAbsent});
    }
    change.log(SessionChange{name, "create", 1, record.hash, std::nullopt, {}, {}});
    if (session + 1 < sessions) {
      store->submit(std::move(change), [](Result<Committed> done) {
        if (!done) std::abort();
      });
    } else if (!store->commit(std::move(change))) {
      std::abort();
    }
  }
  std::printf("filled: %d sessions with %d secrets each\n", sessions, secrets);
  return 0;
}

int open(const std::string& directory) {
  const auto begin = Clock::now();
  const auto method = unseal_with_key_file(directory + "/unseal.key").value();
  const auto store = Store::open(options_of(directory), *method).value();
  const double opened = seconds_since(begin), cpu = cpu_seconds();
  const auto registry = SessionRegistry::open(*store, {}).value();
  if (!registry->find("session0").value()) return 1;
  std::printf("start to first answer: %.2f s (store %.2f s, %.2f s of CPU), %zu sessions, %llu secrets, %ld MiB\n",
              seconds_since(begin), opened, cpu, registry->session_count(),
              static_cast<unsigned long long>(store->snapshot().count(number_of(Table::kSecrets))), resident_mib());
  const auto parsing = Clock::now();
  for (std::size_t i = 0; i < registry->session_count(); ++i) {
    if (!registry->find("session" + std::to_string(i)).value()) return 1;
  }
  const double parsed = seconds_since(parsing);
  std::printf("every session looked at once: %.2f s, %.0f us each, %ld MiB\n", parsed,
              1e6 * parsed / static_cast<double>(registry->session_count()), resident_mib());
  return 0;
}

std::string file_text(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

std::string hash_in(const std::string& body) {
  const std::size_t at = body.find("\"hash\":\"");
  return at == std::string::npos ? "" : body.substr(at + 8, 64);
}

void measure(const char* what, const std::string& address, const ClientIdentity& identity, double duration,
             unsigned threads, bool updates) {
  std::atomic<std::uint64_t> done{0};
  std::vector<std::thread> all;
  const auto begin = Clock::now();
  for (unsigned thread = 0; thread < threads; ++thread) {
    all.emplace_back([&, thread] {
      HttpClientOptions options;
      options.address = address;
      const auto client = HttpClient::make(options, &identity).value();
      const std::string target = "/v1/sessions/bench" + std::to_string(thread);
      std::string hash = hash_in(client->exchange("GET", target, "").value().body);
      for (std::uint64_t number = 0; seconds_since(begin) < duration; ++number) {
        const std::string text = "version: casemate-1\\nvolumes: [{name: v" + std::to_string(number) + "}]\\n" +
                                 (hash.empty() ? "" : "predecessor: " + hash + "\\n");
        const auto answer = updates ? client->exchange("PUT", target, "{\"text\":\"" + text + "\"}")
                                    : client->exchange("GET", target, "");
        if (!answer || answer.value().status >= 400) {
          std::fprintf(stderr, "%s\n", answer ? answer.value().body.c_str() : answer.error().message().c_str());
          std::exit(1);
        }
        if (updates) hash = hash_in(answer.value().body);
        ++done;
      }
    });
  }
  for (auto& thread : all) thread.join();
  std::printf("%s, %u connections: %.0f /s\n", what, threads, static_cast<double>(done.load()) / seconds_since(begin));
}

int load(const std::string& address, const std::string& client, double duration, unsigned threads) {
  const ClientIdentity identity{file_text(client + "/client-key.pem"), file_text(client + "/client-certificate.pem")};
  measure("durable updates", address, identity, duration, threads, true);
  measure("reads", address, identity, duration, threads, false);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == "fill" && argc == 5) return fill(argv[2], std::atoi(argv[3]), std::atoi(argv[4]));
  if (command == "open" && argc == 3) return open(argv[2]);
  if (command == "load" && argc == 6) {
    return load(argv[2], argv[3], std::atof(argv[4]), static_cast<unsigned>(std::atoi(argv[5])));
  }
  std::fputs("usage: service_bench fill DIR SESSIONS SECRETS | open DIR | load ADDR CLIENT-DIR SECONDS THREADS\n",
             stderr);
  return 2;
}
