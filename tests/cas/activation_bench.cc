// What activations cost a CAS: per second and core, and how long one takes at half of that load.
//
//   activation_bench [simulation|tdx] [SECONDS per measurement, default 5] [CONNECTIONS at once, default 16]
//
// The server is a process of its own, over TCP on this machine: RuntimeApi, Activator and store as `casemate cas serve`
// has them, everything durable. Its processor time is read from its clock and divides the activations ("per core");
// what the load generator spends (handshakes, signing evidence) is told apart. Latency is from the moment that an
// activation was due, whether or not the generator was in time.
//
// Evidence of `tdx` is made with throw-away keys (attest/testing/synthetic_dcap.h) below a root that only this program
// trusts, by the arguments that every user of Activator has.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <thread>

#include "cas/service/runtime_api.h"
#include "cas/service/testing/simulated_cas.h"
#include "cas/service/testing/simulated_node.h"
#include "cas/service/testing/simulated_service.h"

namespace {

using namespace casemate;
using namespace casemate::cas;
using Clock = std::chrono::steady_clock;
using testing_support::SimulatedCas;
using testing_support::SimulatedNode;
using testing_support::SimulatedService;

constexpr int kSessions = 64;
constexpr std::chrono::milliseconds kPatience{60'000};

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double cpu_seconds(clockid_t clock) {
  timespec used = {};
  clock_gettime(clock, &used);
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

std::string session_text(const SimulatedService& service, const SimulatedNode* node) {
  const std::string security = node != nullptr ? "security: {attestation: {mode: hardware}}\n"
                                               : "security: {attestation: {tolerate: [simulation]}}\n";
  const std::string platform = node != nullptr ? "tee: [tdx]\n    node: {tdx: [" + node->reference_values + "]}\n"
                                               : "platforms: [" + service.las_key_id() + "]\n";
  return "version: casemate-1\n" + security +
         "services:\n  - name: web\n"
         "    image_name: main\n    command: [/bin/server, --token, $$CASEMATE::token$$]\n    attestation: "
         "[{mrenclave: [" +
         service.measurement() + "]}]\n    " + platform +
         "    environment: {PATH: /usr/bin, PASSWORD: $$CASEMATE::password$$}\nimages:\n  - name: main\n"
         "    injection_files: [{path: /etc/key, content: $$CASEMATE::key$$}]\n    files: {/bin/server: " +
         std::string(64, 'a') +
         "}\nsecrets:\n  - {name: token, kind: ascii, size: 32}\n  - {name: password, kind: ascii, size: 32}\n"
         "  - {name: key, kind: private-key}\n";
}

class Server {
 public:
  Server(const SimulatedService& service, const SimulatedNode* node) {
    UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in name = {};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(name);
    int stop[2], ready[2];
    if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0 ||
        listen(listener.get(), 4096) != 0 ||
        getsockname(listener.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0 || pipe(stop) != 0 ||
        pipe(ready) != 0) {
      std::abort();
    }
    port_ = name.sin_port;
    pid_ = fork();
    if (pid_ == 0) {
      close(stop[1]);
      serve(service, node, std::move(listener), stop[0], ready[1]);
    }
    close(stop[0]);
    close(ready[1]);
    stop_.reset(stop[1]);
    char byte = 0;
    if (pid_ < 0 || read(ready[0], &byte, 1) != 1) std::abort();
    close(ready[0]);
    clock_getcpuclockid(pid_, &clock_);
  }
  ~Server() {
    stop_.reset();
    waitpid(pid_, nullptr, 0);
  }
  double cpu() const { return cpu_seconds(clock_); }
  UniqueFd dial() const {
    UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in name = {};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    name.sin_port = port_;
    const int on = 1;
    setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0) std::abort();
    return socket;
  }

 private:
  [[noreturn]] static void serve(const SimulatedService& service, const SimulatedNode* node, UniqueFd listener,
                                 int stop, int ready) {
    // Collateral is good at a time of its own.
    SimulatedCas cas([](const ActivationRefusal& refusal) { std::fprintf(stderr, "%s\n", describe(refusal).c_str()); },
                     node != nullptr ? node->basis() : EvidenceBasis(),
                     node != nullptr ? Activator::Clock(SimulatedNode::now) : Activator::Clock(system_time));
    for (int i = 0; i < kSessions; ++i) {
      const std::string why = cas.put("s" + std::to_string(i), session_text(service, node));
      if (!why.empty()) std::fprintf(stderr, "%s\n", why.c_str());
    }
    const crypto::TlsIdentity identity = runtime_api_identity(*cas.store).value();
    {
      RuntimeApi api(*cas.store, *cas.activator, identity);
      if (write(ready, "r", 1) != 1) std::abort();
      static_cast<void>(api.serve(std::move(listener), stop));
    }
    cas.~SimulatedCas();
    _exit(0);
  }

  in_port_t port_ = 0;
  pid_t pid_ = -1;
  clockid_t clock_ = 0;
  UniqueFd stop_;
};

// One service, from connecting to its configuration.
void activate(const Server& server, const SimulatedService& service, unsigned number) {
  auto channel = crypto::TlsChannel::connect(server.dial(), kPatience).value();
  const crypto::Bytes first = read_frame(channel, protocol::kProvisionMessageLimit).value();
  const protocol::Challenge challenge = protocol::decode_challenge(first).value();
  protocol::ProvisionRequest request = service.request("s" + std::to_string(number % kSessions), "web");
  protocol::ChannelFacts facts;
  facts.nonce = challenge.nonce;
  facts.exported = channel.export_binding(protocol::kProvisionExporterLabel, challenge.nonce).value();
  facts.server_key_id = channel.server_key_id();
  request.evidence =
      service.evidence_for(protocol::bound_value(facts, request.runtime_key, request.session, request.service));
  const crypto::Bytes message = encode(request);
  if (!write_frame(channel, message)) std::abort();
  const crypto::Bytes answer = read_frame(channel, protocol::kProvisionMessageLimit).value();
  if (!protocol::decode_answer(answer).value().is_granted) {
    std::fputs("an activation was refused\n", stderr);
    std::_Exit(1);
  }
}

struct Load {
  std::vector<double> latencies;  // seconds
  double duration = 0, server_cpu = 0, own_cpu = 0;
  double rate() const { return static_cast<double>(latencies.size()) / duration; }
  double rate_per_core() const { return static_cast<double>(latencies.size()) / server_cpu; }
  double percentile(double part) {
    std::ranges::sort(latencies);
    return latencies.empty() ? 0
                             : latencies[static_cast<std::size_t>(part * static_cast<double>(latencies.size() - 1))];
  }
};

// As many as `connections` threads manage, or, with a rate, those that are due.
Load load(const Server& server, const SimulatedService& service, double duration, unsigned connections, double rate) {
  std::vector<std::thread> threads;
  std::vector<std::vector<double>> latencies(connections);
  std::atomic<unsigned> next{0};
  const double cpu = server.cpu(), own = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
  const auto begin = Clock::now();
  for (unsigned thread = 0; thread < connections; ++thread) {
    threads.emplace_back([&, thread] {
      for (;;) {
        const unsigned number = next++;
        auto due = Clock::now();
        if (rate > 0) {
          due = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(number / rate));
          std::this_thread::sleep_until(due);
        }
        if (std::chrono::duration<double>(due - begin).count() >= duration) return;
        activate(server, service, number);
        latencies[thread].push_back(seconds_since(due));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  Load done;
  done.duration = seconds_since(begin);
  done.server_cpu = server.cpu() - cpu;
  done.own_cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - own;
  for (const auto& part : latencies) done.latencies.insert(done.latencies.end(), part.begin(), part.end());
  return done;
}

void print(const char* what, Load& done) {
  std::printf(
      "%-10s %7.0f /s, %6.0f per second of the CAS's processor time (%.0f us each, load generator %.0f us); "
      "p50 %.1f ms, p99 %.1f ms\n",
      what, done.rate(), done.rate_per_core(), 1e6 / done.rate_per_core(),
      1e6 * done.own_cpu / static_cast<double>(done.latencies.size()), 1e3 * done.percentile(0.5),
      1e3 * done.percentile(0.99));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string kind = argc > 1 ? argv[1] : "simulation";
  const double duration = argc > 2 ? std::atof(argv[2]) : 5;
  const unsigned connections = argc > 3 ? static_cast<unsigned>(std::atoi(argv[3])) : 16;
  if ((kind != "simulation" && kind != "tdx") || duration <= 0 || connections == 0) {
    std::fputs("usage: activation_bench [simulation|tdx] [SECONDS] [CONNECTIONS]\n", stderr);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  SimulatedService service;
  const std::unique_ptr<SimulatedNode> node = kind == "tdx" ? std::make_unique<SimulatedNode>(service) : nullptr;
  const Server server(service, node.get());
  for (unsigned i = 0; i < kSessions; ++i) activate(server, service, i);  // secrets are generated, sessions parsed
  Load most = load(server, service, duration, connections, 0);
  print("full load", most);
  Load half = load(server, service, duration, 4 * connections, most.rate() / 2);
  print("half load", half);
  return 0;
}
