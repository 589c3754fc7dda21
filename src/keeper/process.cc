#include "keeper/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>

#include "base/unique_fd.h"
#include "keeper/keeper.h"
#include "keeper/network_service.h"

namespace casemate::keeper {
namespace {

constexpr std::uint64_t kKeepPolicy = 8;  // SCHED_FLAG_KEEP_POLICY

// struct sched_attr of sched_setattr(2), which Debian 12's headers keep to the kernel.
struct SchedulingParameters {
  std::uint32_t size = 48, policy = 0;
  std::uint64_t flags = kKeepPolicy;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t turn_nanoseconds = 0, deadline = 0, period = 0;
};

// Single lines, whole, from any thread.
void warn(const std::string& text) {
  const std::string line = "casemate: " + text + "\n";
  (void)!write(STDERR_FILENO, line.data(), line.size());
}

// Keys and plaintext are in this process: no core dumps, no tracing, no reading through /proc by others of the user.
void protect_process() {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_NAME, "casemate-keeper", 0, 0, 0);
  umask(077);
}

// Between each request and its answer the processor changes hands twice, and the program waits. The kernel (6.12) lets
// those run first who ask for short turns; the keeper's share of the processor stays the same. Older ones ignore it.
void ask_for_short_turns() {
  SchedulingParameters parameters;
  parameters.nice = getpriority(PRIO_PROCESS, 0);
  parameters.turn_nanoseconds = 100'000;
  (void)syscall(SYS_sched_setattr, 0, &parameters, 0);
}

// Everything that the user's shell left open belongs to others: a pipe that a reader waits for, say.
enum class Parts { kFiles, kFilesAndNetwork };

void close_what_is_not_ours(Parts parts) {
  const bool has_network = parts == Parts::kFilesAndNetwork;
  close_range(static_cast<unsigned>(has_network ? kNetworkDescriptor : kReportDescriptor) + 1, ~0U, 0);
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  dup2(null.get(), STDIN_FILENO);
  dup2(null.get(), STDOUT_FILENO);
  fcntl(kHelloDescriptor, F_SETFD, FD_CLOEXEC);
  fcntl(kReportDescriptor, F_SETFD, FD_CLOEXEC);
  if (!has_network) return;
  fcntl(kNetworkArenaDescriptor, F_SETFD, FD_CLOEXEC);
  fcntl(kNetworkDescriptor, F_SETFD, FD_CLOEXEC);
}

// The terminal's signals are for the program. SIGTERM too: service managers send it to all processes of a service, and
// a program that writes while it shuts down still needs its keeper, which ends when the last program has. SIGIO would
// come from leases.
void ignore_signals() {
  for (const int ignored :
       {SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGPIPE, SIGIO, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2}) {
    signal(ignored, SIG_IGN);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

void report(UniqueFd pipe, const std::string& text) { (void)!write(pipe.get(), text.data(), text.size()); }

}  // namespace

namespace {

// What a keeper serves; either part may be missing, not both.
struct Served {
  std::optional<Result<RunDescription>> files;
  std::optional<NetworkPart> network;
  Warnings warnings;
  UniqueFd hello;
  KeeperEvents events;
};

Result<std::unique_ptr<Keeper>> open_files(Served& service, const Keeper::Warn& warner) {
  if (!service.files.has_value()) return std::unique_ptr<Keeper>();
  if (!service.files->has_value()) return service.files->error();
  return Keeper::open(service.files->value(), warner);
}

Result<std::unique_ptr<NetworkService>> start_network(Served& service, const Keeper::Warn& warner) {
  if (!service.network.has_value()) return std::unique_ptr<NetworkService>();
  NetworkPart& part = *service.network;
  if (!part.settings.has_value()) return part.settings.error();
  return NetworkService::start(part.settings.value(), std::move(part.arena), std::move(part.socket), warner);
}

int serve(Served service, UniqueFd pipe) {
  ignore_signals();
  const Keeper::Warn warner = service.warnings == Warnings::kTold ? Keeper::Warn(warn) : [](const std::string&) {};
  auto keeper = open_files(service, warner);
  if (!keeper) {
    report(std::move(pipe), keeper.error().message());
    return 1;
  }
  auto network = start_network(service, warner);
  if (!network) {
    report(std::move(pipe), network.error().message());
    return 1;
  }
  if (keeper.value() != nullptr) service.events.opened(*keeper.value());
  (void)!chdir("/");  // keeps no mount of the user busy
  report(std::move(pipe), kReadyReport);
  if (keeper.value() != nullptr) keeper.value()->serve(std::move(service.hello));
  if (network.value() != nullptr) network.value()->wait();
  service.events.left();
  return keeper.value() == nullptr || keeper.value()->close() ? 0 : 1;
}

}  // namespace

int run_keeper(const std::string& description_path, const std::string& rules_path) {
  const bool has_network = !rules_path.empty();
  protect_process();
  ask_for_short_turns();
  close_what_is_not_ours(has_network ? Parts::kFilesAndNetwork : Parts::kFiles);
  Served service{{}, {}, Warnings::kTold, UniqueFd(kHelloDescriptor), {}};
  if (!description_path.empty()) service.files = load_description(description_path);
  if (has_network) {
    service.network =
        NetworkPart{load_network_settings(rules_path), UniqueFd(kNetworkArenaDescriptor), UniqueFd(kNetworkDescriptor)};
  }
  return serve(std::move(service), UniqueFd(kReportDescriptor));
}

int run_keeper_with(Result<RunDescription> description, Warnings warnings, KeeperEvents events, UniqueFd hello,
                    UniqueFd report_pipe, std::optional<NetworkPart> network) {
  protect_process();
  ask_for_short_turns();
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  dup2(null.get(), STDIN_FILENO);
  dup2(null.get(), STDOUT_FILENO);
  return serve(Served{std::move(description), std::move(network), warnings, std::move(hello), std::move(events)},
               std::move(report_pipe));
}

}  // namespace casemate::keeper
