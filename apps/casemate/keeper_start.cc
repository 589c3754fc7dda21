#include "casemate/keeper_start.h"

#include <fcntl.h>
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
  UniqueFd lifted(fcntl(fd.get(), F_DUPFD_CLOEXEC, keeper::kReportDescriptor + 1));
  if (!lifted.is_open()) return own_failure("no free descriptor for the keeper", errno);
  return lifted;
}

// In the child of a child: only calls that are safe between fork and exec. Never returns.
[[noreturn]] void become_keeper(int image, int hello, int report, char** arguments) {
  char* const no_environment[] = {nullptr};
  if (dup2(hello, keeper::kHelloDescriptor) >= 0 && dup2(report, keeper::kReportDescriptor) >= 0) {
    fexecve(image, arguments, no_environment);
  }
  const char text[] = "cannot start casemate-keeper; is it complete and on a mount without noexec?";
  (void)!write(keeper::kReportDescriptor, text, sizeof(text) - 1);
  _exit(1);
}

// Twice, so that it is nobody's child that the program might wait for; in a session of its own, so that no terminal's
// signal reaches it.
Result<void> fork_keeper(const UniqueFd& image, const UniqueFd& hello, const UniqueFd& report, char** arguments) {
  const pid_t child = fork();
  if (child < 0) return own_failure("cannot start the keeper", errno);
  if (child == 0) {
    setsid();
    const pid_t grandchild = fork();
    if (grandchild == 0) become_keeper(image.get(), hello.get(), report.get(), arguments);
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

}  // namespace

Result<UniqueFd> start_keeper(const std::string& description_path) {
  UniqueFd opened = CASEMATE_TRY(open_own_program("casemate-keeper"));
  const UniqueFd image = CASEMATE_TRY(lift(std::move(opened)));
  int sockets[2], pipes[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) return own_failure("no socket", errno);
  UniqueFd members(sockets[0]);
  UniqueFd hello = CASEMATE_TRY(lift(UniqueFd(sockets[1])));
  if (pipe2(pipes, O_CLOEXEC) != 0) return own_failure("no pipe", errno);
  const UniqueFd report(pipes[0]);
  UniqueFd report_end = CASEMATE_TRY(lift(UniqueFd(pipes[1])));
  std::string name = "casemate-keeper", path = description_path;
  char* arguments[] = {name.data(), path.data(), nullptr};
  if (auto started = fork_keeper(image, hello, report_end, arguments); !started) return started.error();
  hello.reset();
  report_end.reset();
  const std::string text = CASEMATE_TRY(read_report(report));
  if (text == keeper::kReadyReport) return members;
  return Error(ErrorCategory::kUsage, text.empty() ? "the keeper ended without a word (killed?)" : text);
}

}  // namespace casemate::cli
