#include "casemate/quote/download.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <string_view>

#include "base/unique_fd.h"
#include "casemate/launch.h"

namespace casemate::cli {
namespace {

// Behind the time that casemate-fetch gives itself.
constexpr unsigned kGraceSeconds = 5;
constexpr std::size_t kMaximumOutputSize = attest::kMaximumResponseSize + (std::size_t{128} << 10);

class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    (void)wait();
  }
  // The exit code; 128 and more for a signal.
  int wait() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

// In the child: only calls that are safe between fork and exec. Never returns.
[[noreturn]] void become_fetcher(int image, int output, char** arguments, unsigned limit_seconds) {
  char* const no_environment[] = {nullptr};
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0 &&
      dup2(output, STDOUT_FILENO) >= 0) {
    alarm(limit_seconds);
    fexecve(image, arguments, no_environment);
  }
  const char text[] = "cannot start casemate-fetch; is it complete, and are libcurl and its libraries installed?";
  (void)!write(output, text, sizeof(text) - 1);
  _exit(1);
}

Result<std::string> read_output(int pipe) {
  std::string text;
  std::array<char, 16384> part;
  for (;;) {
    const ssize_t got = read(pipe, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno("cannot read from casemate-fetch", errno);
    if (got == 0) return text;
    text.append(part.data(), static_cast<std::size_t>(got));
    if (text.size() > kMaximumOutputSize) return Error(ErrorCategory::kSystem, "casemate-fetch says too much");
  }
}

// Up to the next line's end, which is taken away, too.
std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(text.size(), line.size() + 1));
  return line;
}

Result<attest::CollateralResponse> parse_output(const std::string& url, std::string_view text) {
  attest::CollateralResponse response;
  const std::string_view status = take_line(text);
  std::from_chars(status.data(), status.data() + status.size(), response.status);
  for (std::string_view line = take_line(text); !line.empty(); line = take_line(text)) {
    const std::size_t colon = line.find(": ");
    if (colon == std::string_view::npos) return Error(ErrorCategory::kSystem, url + ": strange header");
    const auto [place, is_new] = response.headers.emplace(line.substr(0, colon), line.substr(colon + 2));
    // RFC 9110, 5.3. Two issuer chains become none that can be read.
    if (!is_new) place->second.append(", ").append(line.substr(colon + 2));
  }
  response.body = text;
  return response;
}

}  // namespace

Result<attest::CollateralResponse> download(const std::string& url, const DownloadOptions& options) {
  if (access(options.ca_file.c_str(), R_OK) != 0) {
    return Error::from_errno("cannot read the roots of TLS in " + options.ca_file + " (--ca FILE)", errno);
  }
  Result<UniqueFd> image = open_own_program("casemate-fetch");
  if (!image) return Error(ErrorCategory::kNotFound, image.error().message());
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return Error::from_errno("no pipe", errno);
  const UniqueFd output(ends[0]);
  UniqueFd input(ends[1]);
  std::array<std::string, 5> words = {"casemate-fetch", url, options.ca_file,
                                      std::to_string(attest::kMaximumResponseSize),
                                      std::to_string(options.timeout_seconds)};
  std::array<char*, 6> arguments{};
  for (std::size_t i = 0; i < words.size(); ++i) arguments[i] = words[i].data();
  const pid_t pid = fork();
  if (pid < 0) return Error::from_errno("cannot start casemate-fetch", errno);
  if (pid == 0) {
    become_fetcher(image.value().get(), input.get(), arguments.data(), options.timeout_seconds + kGraceSeconds);
  }
  Child child(pid);
  input.reset();
  const std::string text = CASEMATE_TRY(read_output(output.get()));
  const int code = child.wait();
  if (code == 0) return parse_output(url, text);
  return Error(ErrorCategory::kSystem, code == 1 && !text.empty() ? text : url + ": casemate-fetch ended early");
}

}  // namespace casemate::cli
