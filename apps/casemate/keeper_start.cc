#include "casemate/keeper_start.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "casemate/launch.h"
#include "keeper/process.h"

namespace casemate::cli {
namespace {

// Above the places the keeper expects its descriptors at, so that moving one does not overwrite the other.
Result<UniqueFd> lift(UniqueFd fd) {
  UniqueFd lifted(fcntl(fd.get(), F_DUPFD_CLOEXEC, keeper::kNetworkDescriptor + 1));
  if (!lifted.is_open()) return own_failure("no free descriptor for the keeper", errno);
  return lifted;
}

// The keeper's own descriptors, above the places where it expects them; -1: not handed over.
struct Handed {
  int image, hello, report, network_arena, network;
};

bool place(int from, int to) { return from < 0 || dup2(from, to) >= 0; }

// In the child of a child: only calls that are safe between fork and exec. Never returns.
[[noreturn]] void become_keeper(const Handed& handed, char** arguments) {
  char* const no_environment[] = {nullptr};
  if (place(handed.hello, keeper::kHelloDescriptor) && place(handed.report, keeper::kReportDescriptor) &&
      place(handed.network_arena, keeper::kNetworkArenaDescriptor) &&
      place(handed.network, keeper::kNetworkDescriptor)) {
    fexecve(handed.image, arguments, no_environment);
  }
  const char text[] = "cannot start casemate-keeper; is it complete and on a mount without noexec?";
  (void)!write(keeper::kReportDescriptor, text, sizeof(text) - 1);
  _exit(1);
}

// Twice, so that it is nobody's child that the program might wait for; in a session of its own, so that no terminal's
// signal reaches it.
Result<void> fork_keeper(const Handed& handed, char** arguments) {
  const pid_t child = fork();
  if (child < 0) return own_failure("cannot start the keeper", errno);
  if (child == 0) {
    setsid();
    const pid_t grandchild = fork();
    if (grandchild == 0) become_keeper(handed, arguments);
    _exit(grandchild < 0 ? 1 : 0);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return own_failure("cannot start the keeper", EAGAIN);
  return {};
}

Result<std::string> read_report(const UniqueFd& pipe) {
  std::string text;
  char part[4096];
  for (;;) {
    const ssize_t got = read(pipe.get(), part, sizeof(part));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return own_failure("cannot read the keeper's report", errno);
    if (got == 0) return text;
    text.append(part, static_cast<std::size_t>(got));
  }
}

struct SocketPair {
  UniqueFd members, keeper;
};

Result<SocketPair> make_pair() {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) return own_failure("no socket", errno);
  SocketPair pair{UniqueFd(sockets[0]), UniqueFd(sockets[1])};
  UniqueFd lifted = CASEMATE_TRY(lift(std::move(pair.keeper)));
  pair.keeper = std::move(lifted);
  return pair;
}

Result<UniqueFd> make_arena() {
  constexpr unsigned kNoexecSeal = 8;  // MFD_NOEXEC_SEAL, Linux 6.3
  UniqueFd file(memfd_create("casemate-network", MFD_CLOEXEC | MFD_ALLOW_SEALING | kNoexecSeal));
  if (!file.is_open()) file.reset(memfd_create("casemate-network", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.is_open()) return own_failure("no memory file for the network shield", errno);
  return lift(std::move(file));
}

}  // namespace

Result<KeeperEnds> start_keeper(const std::string& description_path, const std::string& rules_path) {
  UniqueFd opened = CASEMATE_TRY(open_own_program("casemate-keeper"));
  const UniqueFd image = CASEMATE_TRY(lift(std::move(opened)));
  SocketPair files = CASEMATE_TRY(make_pair());
  SocketPair network = CASEMATE_TRY(make_pair());
  UniqueFd arena = CASEMATE_TRY(make_arena());
  int pipes[2];
  if (pipe2(pipes, O_CLOEXEC) != 0) return own_failure("no pipe", errno);
  const UniqueFd report(pipes[0]);
  UniqueFd report_end = CASEMATE_TRY(lift(UniqueFd(pipes[1])));
  std::string name = "casemate-keeper", path = description_path, rules = rules_path;
  const bool has_network = !rules.empty();
  char* arguments[] = {name.data(), path.data(), has_network ? rules.data() : nullptr, nullptr};
  const Handed handed = {image.get(), files.keeper.get(), report_end.get(), has_network ? arena.get() : -1,
                         has_network ? network.keeper.get() : -1};
  if (auto started = fork_keeper(handed, arguments); !started) return started.error();
  files.keeper.reset();
  network.keeper.reset();
  report_end.reset();
  const std::string text = CASEMATE_TRY(read_report(report));
  if (text != keeper::kReadyReport) {
    return Error(ErrorCategory::kUsage, text.empty() ? "the keeper ended without a word (killed?)" : text);
  }
  KeeperEnds ends;
  if (!path.empty()) ends.hello = std::move(files.members);
  if (has_network) {
    ends.network = std::move(network.members);
    ends.network_arena = std::move(arena);
  }
  return ends;
}

}  // namespace casemate::cli
