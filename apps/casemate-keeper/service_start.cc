// What a hostile host can do here -> what we answer
//  - set variables, leave descriptors open, name odd files -> an environment with anything in it is refused; all
//    descriptors but 0 to 4 are closed; nothing else is read before the CAS has answered
//  - look into this process -> before the evidence it holds no secret; from then on it is not dumpable
#include "casemate-keeper/service_start.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include "casemate-keeper/runtime_image.h"
#include "crypto/secret.h"
#include "keeper/process.h"
#include "keeper/provision/attester.h"
#include "keeper/provision/network.h"
#include "keeper/provision/regions.h"
#include "runtime/boot/launch_state.h"
#include "runtime/boot/private_words.h"

namespace casemate::keeper_app {
namespace {

using protocol::Configuration;
using protocol::StartRequest;

constexpr int kExitOwnFailure = 125;
constexpr int kFirstDescriptor = 1000;  // of the runtime's neighbouring pair; below the usual limit of 1024

Error own_failure(const std::string& what) { return Error::from_errno(what, errno); }

Result<StartRequest> read_request() {
  crypto::Bytes bytes(protocol::kStartRequestLimit);
  const ssize_t size = pread(protocol::kStartDescriptor, bytes.data(), bytes.size(), 0);
  if (size <= 0) {
    return Error(ErrorCategory::kUsage, "casemate-keeper --provision is started by `casemate run`, never by hand");
  }
  bytes.resize(static_cast<std::size_t>(size));
  return protocol::decode_start_request(bytes);
}

// What the embedded CAS of this user tells its owner about a refusal.
void explain(const StartRequest& request, const std::string& message) {
  const std::size_t at = message.find("(reference ");
  if (request.owner.empty() || at == std::string::npos) return;
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  if (request.owner.size() >= sizeof(name.sun_path)) return;
  std::memcpy(name.sun_path, request.owner.data(), request.owner.size());
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0) return;
  const std::string question = "why " + message.substr(at + 11, 16) + "\n";
  if (write(socket.get(), question.data(), question.size()) < 0) return;
  shutdown(socket.get(), SHUT_WR);
  char answer[4096];
  const ssize_t size = read(socket.get(), answer, sizeof(answer));
  if (size > 0) std::fprintf(stderr, "casemate: %.*s\n", static_cast<int>(size), answer);
}

void append_word(crypto::Bytes& text, std::string_view word) {
  crypto::append(text, crypto::as_byte_view(word));
  text.push_back(std::byte{0});
}

// Only in memory files: /proc shows neither of them.
Result<UniqueFd> words_file(const Configuration& configuration) {
  crypto::Bytes text;
  for (const std::string& word : configuration.arguments) append_word(text, word);
  for (const protocol::Variable& variable : configuration.environment) {
    append_word(text, variable.name + "=" + variable.value);
  }
  const runtime::PrivateWords header = {runtime::kWordsMagic,
                                        static_cast<std::uint32_t>(configuration.arguments.size()),
                                        static_cast<std::uint32_t>(configuration.environment.size()), text.size()};
  UniqueFd file(memfd_create("casemate-words", MFD_CLOEXEC));
  const bool written = file.is_open() && text.size() <= runtime::kWordsTextLimit &&
                       write(file.get(), &header, sizeof(header)) == ssize_t{sizeof(header)} &&
                       write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  crypto::wipe(text);
  if (!written) return Error(ErrorCategory::kExhausted, "arguments and environment are too long (2 MiB)");
  return file;
}

template <std::size_t kCapacity>
Result<void> copy_text(char (&destination)[kCapacity], const std::string& source) {
  if (source.size() >= kCapacity) return Error(ErrorCategory::kUsage, "a path of the session is too long");
  std::memcpy(destination, source.c_str(), source.size() + 1);
  return {};
}

// The members' ends of their keeper; those of the network are open where the session has rules for it.
struct KeeperEnds {
  UniqueFd hello, network, network_arena;
};
struct Handed {
  UniqueFd image, state, words;
  KeeperEnds shield;
};

Result<std::unique_ptr<runtime::LaunchState>> describe(const Configuration& configuration, bool is_quiet) {
  auto state = std::make_unique<runtime::LaunchState>();
  state->magic = runtime::kLaunchMagic;
  state->version = runtime::kLaunchVersion;
  state->program_fd = state->trace_fd = state->diagnostics_fd = -1;
  state->net_fd = state->net_arena_fd = -1;
  state->net_member = ~std::uint32_t{0};
  state->flags = runtime::kLaunchFirst | runtime::kLaunchPrivateWords;
  if (!configuration.allows_tracing) state->flags |= runtime::kLaunchSealed;
  if (is_quiet) state->flags |= runtime::kLaunchQuiet;
  state->effective_group = getegid();
  bool allows_host_code = false;
  for (const auto& region : configuration.regions) allows_host_code |= region.insecure_host_code;
  if (!allows_host_code) state->flags |= runtime::kLaunchNoHostCode;
  const std::string& program = configuration.arguments.front();
  if (auto copied = copy_text(state->exec_path, program); !copied) return copied.error();
  if (auto copied = copy_text(state->first_directory, configuration.working_directory); !copied) return copied.error();
  const std::string name = program.substr(program.rfind('/') + 1).substr(0, sizeof(state->comm) - 1);
  std::memcpy(state->comm, name.c_str(), name.size() + 1);
  return state;
}

// `placed` stays -1 for what is not open.
Result<void> place_behind(const UniqueFd& source, int first, std::int32_t& placed) {
  placed = -1;
  if (!source.is_open()) return {};
  placed = fcntl(source.get(), F_DUPFD, first + 2);
  if (placed < 0) return own_failure("no free descriptors for the runtime; raise `ulimit -n` to at least 64");
  return {};
}

// Image and state are neighbours; the others may lie anywhere.
Result<void> become_runtime(Handed& handed, runtime::LaunchState& state) {
  int first = kFirstDescriptor;
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < kFirstDescriptor + 8) {
    first = static_cast<int>(limit.rlim_cur) - 8;
  }
  const std::pair<const UniqueFd*, std::int32_t*> places[] = {{&handed.words, &state.words_fd},
                                                              {&handed.shield.hello, &state.shield_fd},
                                                              {&handed.shield.network, &state.net_fd},
                                                              {&handed.shield.network_arena, &state.net_arena_fd}};
  for (const auto& [source, place] : places) {
    if (auto placed = place_behind(*source, first, *place); !placed) return placed;
  }
  if (first < 8 || dup3(handed.image.get(), first, 0) < 0 || dup3(handed.state.get(), first + 1, 0) < 0) {
    return own_failure("no free descriptors for the runtime; raise `ulimit -n` to at least 64");
  }
  if (write(handed.state.get(), &state, sizeof(state)) != ssize_t{sizeof(state)}) {
    return own_failure("cannot write the memory file for the runtime");
  }
  char name[] = "casemate-service";
  char* const arguments[] = {name, nullptr};
  char* const no_environment[] = {nullptr};
  signal(SIGPIPE, SIG_DFL);
  syscall(SYS_execveat, first, "", arguments, no_environment, AT_EMPTY_PATH);
  return own_failure("cannot start casemate-runtime");
}

// The keeper proper: no child that the program might wait for, no terminal's signals. Its report ends the wait.
// Where volumes report to, and how it is found again: with the CAS's key that evidence was bound to, whatever the host
// says about keys, and for the activation that this is.
std::shared_ptr<keeper::PositionReporter> make_reporter(const Configuration& configuration, const StartRequest& request,
                                                        std::unique_ptr<crypto::TlsChannel> channel,
                                                        crypto::AgreementKey key,
                                                        const keeper::PositionReporter::Warn& warn) {
  StartRequest again = request;
  again.cas_key_id.assign(channel->server_key_id().begin(), channel->server_key_id().end());
  again.resumed = configuration.holder;
  again.environment.clear();
  return std::make_shared<keeper::PositionReporter>(
      keeper::link_over(std::move(channel), std::move(key)),
      [again = std::move(again)] { return keeper::rejoin(again); }, warn, keeper::PositionReporter::Limits());
}

keeper::PositionReporter::Warn warner(bool is_quiet) {
  return [is_quiet](const std::string& text) {
    const std::string line = "casemate: " + text + "\n";
    if (!is_quiet) static_cast<void>(!write(STDERR_FILENO, line.data(), line.size()));
  };
}

// What the keeper does with what the CAS pushes: exchanges the files, then tells the service's first process with a
// signal that nothing happens at where it is not expected.
keeper::KeeperEvents push_events(const std::shared_ptr<keeper::PositionReporter>& reporter, UniqueFd application,
                                 UniqueFd first_process, const keeper::PositionReporter::Warn& warn) {
  const auto members = std::make_shared<const UniqueFd>(std::move(application));
  const auto told = std::make_shared<const UniqueFd>(std::move(first_process));
  keeper::KeeperEvents events;
  events.opened = [=](keeper::Keeper& served) {
    const auto renew = [&served, told, warn](const std::vector<protocol::GrantedFile>& files) {
      bool is_changed = false;
      for (const protocol::GrantedFile& file : files) {
        const Result<bool> replaced = served.replace_file(file.path, file.content);
        if (!replaced) warn("a renewed file was not taken: " + replaced.error().message());
        is_changed |= replaced && replaced.value();
      }
      if (is_changed) syscall(SYS_pidfd_send_signal, told->get(), SIGURG, nullptr, 0);
    };
    const auto is_used = [members] {
      pollfd state = {members->get(), 0, 0};
      return poll(&state, 1, 0) == 0;
    };
    reporter->watch(renew, is_used);
  };
  events.left = [reporter] { reporter->stop_watching(); };
  return events;
}

struct SocketPair {
  UniqueFd members, keeper;
};
Result<SocketPair> make_pair() {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) return own_failure("no socket");
  return SocketPair{UniqueFd(sockets[0]), UniqueFd(sockets[1])};
}

Result<UniqueFd> make_arena() {
  constexpr unsigned kNoexecSeal = 8;  // MFD_NOEXEC_SEAL, Linux 6.3
  UniqueFd file(memfd_create("casemate-network", MFD_CLOEXEC | MFD_ALLOW_SEALING | kNoexecSeal));
  if (!file.is_open()) file.reset(memfd_create("casemate-network", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.is_open()) return own_failure("no memory file for the network shield");
  return file;
}

// The identities, of which nothing leaves the keeper.
Result<keeper::NetworkSettings> network_settings(const protocol::GrantedNetwork& granted) {
  const policy::NetworkRules rules = CASEMATE_TRY(keeper::network_rules_of(granted));
  return keeper::network_settings_of(rules, "");
}

std::string read_report(int pipe) {
  std::string text;
  char part[4096];
  for (ssize_t got = 1; got > 0 || (got < 0 && errno == EINTR);) {
    got = read(pipe, part, sizeof(part));
    if (got > 0) text.append(part, static_cast<std::size_t>(got));
  }
  return text;
}

Result<KeeperEnds> fork_keeper(Configuration& configuration, const StartRequest& request,
                               std::unique_ptr<crypto::TlsChannel> channel, crypto::AgreementKey key) {
  const bool has_network = configuration.network.mode != protocol::NetworkMode::kOff;
  SocketPair files = CASEMATE_TRY(make_pair());
  SocketPair network = CASEMATE_TRY(make_pair());
  UniqueFd arena = CASEMATE_TRY(make_arena());
  int pipes[2];
  if (pipe2(pipes, O_CLOEXEC) != 0) return own_failure("no pipe");
  const UniqueFd report(pipes[0]);
  UniqueFd report_end(pipes[1]);
  const auto warn = warner(request.is_quiet);
  auto reporter = make_reporter(configuration, request, std::move(channel), std::move(key), warn);
  UniqueFd first_process(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  // The connection is the keeper's: this process must not say goodbye on it.
  static std::shared_ptr<keeper::PositionReporter> kept;
  kept = reporter;
  const pid_t child = fork();
  if (child < 0) return own_failure("cannot start the keeper");
  if (child == 0) {
    setsid();
    if (const pid_t grandchild = fork(); grandchild != 0) _exit(grandchild < 0 ? 1 : 0);
    files.members.reset();
    network.members.reset();
    std::optional<keeper::NetworkPart> part;
    if (has_network) {
      part.emplace(network_settings(configuration.network), std::move(arena), std::move(network.keeper));
    }
    UniqueFd application(fcntl(files.keeper.get(), F_DUPFD_CLOEXEC, 3));
    const int code =
        keeper::run_keeper_with(keeper::describe_service(configuration, request, reporter),
                                request.is_quiet ? keeper::Warnings::kLeftOut : keeper::Warnings::kTold,
                                push_events(reporter, std::move(application), std::move(first_process), warn),
                                std::move(files.keeper), std::move(report_end), std::move(part));
    kept.reset();
    reporter.reset();
    _exit(code);
  }
  files.keeper.reset();
  network.keeper.reset();
  report_end.reset();
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const std::string text = read_report(report.get());
  if (text == keeper::kReadyReport) {
    KeeperEnds ends{std::move(files.members), UniqueFd(), UniqueFd()};
    if (!has_network) return ends;
    ends.network = std::move(network.members);
    ends.network_arena = std::move(arena);
    return ends;
  }
  return Error(ErrorCategory::kUsage, text.empty() ? "the keeper ended without a word (killed?)" : text);
}

Result<void> run(const StartRequest& request) {
  auto provisioned = keeper::provision(request);
  if (!provisioned) return provisioned.error();
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  Configuration& configuration = provisioned.value().configuration;
  if (configuration.arguments.empty()) return Error(ErrorCategory::kUsage, "the session names no program");
  if (!configuration.allows_core_dumps) {
    const rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
  }
  Handed handed;
  handed.image = CASEMATE_TRY(verified_runtime(protocol::kRuntimeImageDescriptor));
  handed.words = CASEMATE_TRY(words_file(configuration));
  handed.state.reset(memfd_create("casemate-launch", MFD_CLOEXEC));
  const std::unique_ptr<runtime::LaunchState> state = CASEMATE_TRY(describe(configuration, request.is_quiet));
  close(protocol::kStartDescriptor);
  close(protocol::kRuntimeImageDescriptor);
  handed.shield = CASEMATE_TRY(
      fork_keeper(configuration, request, std::move(provisioned.value().channel), std::move(provisioned.value().key)));
  return become_runtime(handed, *state);
}

}  // namespace

int rejoin_service() {
  if (environ[0] != nullptr) return kExitOwnFailure;
  close_range(protocol::kRejoinDescriptor + 1, ~0U, 0);
  signal(SIGPIPE, SIG_IGN);
  keeper::serve_rejoined(read_request(), protocol::kRejoinDescriptor);
  return 0;
}

int start_service() {
  if (environ[0] != nullptr) {
    std::fputs("casemate: casemate-keeper --provision starts with an empty environment only\n", stderr);
    return kExitOwnFailure;
  }
  close_range(protocol::kRuntimeImageDescriptor + 1, ~0U, 0);
  signal(SIGPIPE, SIG_IGN);
  const Result<StartRequest> request = read_request();
  const Result<void> ended = request ? run(request.value()) : Result<void>(request.error());
  std::fprintf(stderr, "casemate: %s\n", ended.error().message().c_str());
  if (request) explain(request.value(), ended.error().message());
  return kExitOwnFailure;
}

}  // namespace casemate::keeper_app
