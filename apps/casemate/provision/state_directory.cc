#include "casemate/provision/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

#include "base/unique_fd.h"
#include "las/unix_socket.h"

namespace casemate::cli {
namespace {

constexpr std::size_t kLongestPath = 90;  // sun_path has 108 bytes

std::string default_path() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && state[0] == '/') {
    return std::string(state) + "/casemate";
  }
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr && home[0] == '/' ? home : "/root") + "/.local/state/casemate";
}

Result<void> make_directories(const std::string& path) {
  for (std::size_t at = 1; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) return Error::from_errno(part, errno);
  }
  return {};
}

Result<std::string> read_to_end(int fd) {
  std::string text;
  char part[4096];
  for (;;) {
    const ssize_t got = read(fd, part, sizeof(part));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno("the embedded service does not answer", errno);
    if (got == 0) return text;
    text.append(part, static_cast<std::size_t>(got));
  }
}

// Detached from this process; reports "ready" or a line through the pipe.
Result<void> start_embedded_service(const StateDirectory& state) {
  int pipes[2];
  if (pipe2(pipes, O_CLOEXEC) != 0) return Error::from_errno("no pipe", errno);
  const UniqueFd report(pipes[0]);
  UniqueFd report_end(pipes[1]);
  std::string name = "casemate", command = "cas-embedded", path = state.path;
  char* arguments[] = {name.data(), command.data(), path.data(), nullptr};
  char* const no_environment[] = {nullptr};
  const pid_t child = fork();
  if (child < 0) return Error::from_errno("cannot start the embedded service", errno);
  if (child == 0) {
    setsid();
    if (const pid_t grandchild = fork(); grandchild != 0) _exit(grandchild < 0 ? 1 : 0);
    const int null = open("/dev/null", O_RDWR);
    const int log = open(state.log().c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (null < 0 || log < 0 || dup2(report_end.get(), STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(log, STDERR_FILENO) < 0) {
      _exit(1);
    }
    close_range(STDERR_FILENO + 1, ~0U, 0);
    execve("/proc/self/exe", arguments, no_environment);
    _exit(1);
  }
  report_end.reset();
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const std::string text = CASEMATE_TRY(read_to_end(report.get()));
  if (text == "ready") return {};
  return Error(ErrorCategory::kUsage,
               text.empty() ? "the embedded service ended without a word; see " + state.log() : text);
}

Result<UniqueFd> connect_or_start(const StateDirectory& state) {
  if (auto socket = las::connect_unix(state.owner_socket(), SOCK_STREAM); socket) return socket;
  const UniqueFd lock(open(state.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.is_open() || flock(lock.get(), LOCK_EX) != 0) return Error::from_errno(state.lock(), errno);
  if (auto socket = las::connect_unix(state.owner_socket(), SOCK_STREAM); socket) return socket;
  if (auto started = start_embedded_service(state); !started) return started.error();
  return las::connect_unix(state.owner_socket(), SOCK_STREAM);
}

}  // namespace

Result<StateDirectory> open_state(const std::string& option) {
  StateDirectory state{option.empty() ? default_path() : option};
  if (auto made = make_directories(state.path); !made) return made.error();
  char resolved[PATH_MAX];
  if (realpath(state.path.c_str(), resolved) == nullptr) return Error::from_errno(state.path, errno);
  state.path = resolved;
  struct stat status = {};
  if (stat(resolved, &status) != 0) return Error::from_errno(state.path, errno);
  if ((status.st_mode & 0077) != 0 || status.st_uid != geteuid()) {
    return Error(ErrorCategory::kUsage, state.path + ": others may read or write it; `chmod 700` it, or use --state");
  }
  if (state.path.size() > kLongestPath) {
    return Error(ErrorCategory::kUsage, state.path + ": too long for the sockets in it; use --state with a short path");
  }
  for (const std::string& directory : {state.volumes(), state.manifests()}) {
    if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return Error::from_errno(directory, errno);
  }
  return state;
}

Result<std::string> ask_embedded(const StateDirectory& state, const std::string& question) {
  const UniqueFd socket = CASEMATE_TRY(connect_or_start(state));
  for (std::size_t done = 0; done < question.size();) {
    const ssize_t put = send(socket.get(), question.data() + done, question.size() - done, MSG_NOSIGNAL);
    if (put <= 0) return Error::from_errno("cannot write to the embedded service", errno);
    done += static_cast<std::size_t>(put);
  }
  shutdown(socket.get(), SHUT_WR);
  const std::string answer = CASEMATE_TRY(read_to_end(socket.get()));
  if (answer.starts_with("ok ")) return answer.substr(3);
  return Error(ErrorCategory::kUsage,
               answer.starts_with("error ") ? answer.substr(6) : "the embedded service ended; see " + state.log());
}

}  // namespace casemate::cli
