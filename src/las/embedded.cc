#include "las/embedded.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/unique_fd.h"
#include "crypto/host_configuration.h"
#include "las/conversation.h"
#include "las/key_file.h"
#include "las/unix_socket.h"

namespace casemate::las {
namespace {

constexpr int kLifetimeMilliseconds = 30'000;
constexpr int kListenerPlace = 3;

// Nothing of the caller's may stay open here: pipes would never end. Descriptors 0 to 2 stay taken.
bool keep_only(UniqueFd& listener) {
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.is_open()) return false;
  const UniqueFd kept(fcntl(listener.get(), F_DUPFD_CLOEXEC, kListenerPlace + 1));
  for (int fd = 0; fd < kListenerPlace; ++fd) {
    if (dup2(null.get(), fd) != fd) return false;
  }
  if (!kept.is_open() || dup3(kept.get(), kListenerPlace, O_CLOEXEC) != kListenerPlace) return false;
  syscall(SYS_close_range, kListenerPlace + 1, ~0U, 0);
  return true;
}

// Serves callers one after another until the right one has been answered. A stranger costs it one short conversation.
void serve_one(int listener, pid_t caller, const Measure& measure) {
  Result<crypto::PrivateKey> key = ephemeral_key();
  Result<CallerRules> rules = own_rules();
  if (!key.has_value() || !rules.has_value()) return;
  BackendOptions options;
  options.choice = BackendChoice::kSimulation;
  Result<Backend> backend = make_backend(options, std::move(key).value());
  if (!backend.has_value()) return;
  rules.value().only = caller;
  MeasuredFiles files(measure, geteuid());
  Served served;
  Counters counters;
  Service service = {
      .backend = backend.value(), .rules = rules.value(), .files = files, .served = served, .counters = counters};
  for (;;) {
    pollfd state = {listener, POLLIN, 0};
    if (poll(&state, 1, kLifetimeMilliseconds) <= 0) return;
    const UniqueFd socket(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket.is_open()) return;
    if (converse(service, socket.get()).pid == caller) return;
  }
}

[[noreturn]] void live(UniqueFd& listener, pid_t caller, const Measure& measure) {
  setsid();
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_NAME, "casemate-las");
  crypto::ignore_host_configuration();
  if (clearenv() == 0 && chdir("/") == 0 && keep_only(listener)) {
    serve_one(kListenerPlace, caller, measure);
  }
  _exit(0);
}

}  // namespace

Result<std::string> start_embedded(const Measure& measure) {
  std::string name;
  UniqueFd listener = CASEMATE_TRY(listen_anywhere(name));
  const pid_t caller = getpid();
  const pid_t between = fork();
  if (between < 0) return Error::from_errno("cannot start the attestation service of this run", errno);
  if (between == 0) {
    const pid_t service = fork();
    if (service == 0) live(listener, caller, measure);
    _exit(service < 0 ? 1 : 0);
  }
  int status = 0;
  while (waitpid(between, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) return Error(ErrorCategory::kSystem, "cannot start the attestation service of this run");
  return name;
}

}  // namespace casemate::las
