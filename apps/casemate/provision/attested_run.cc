#include "casemate/provision/attested_run.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "casemate/launch.h"
#include "casemate/provision/state_directory.h"
#include "casemate/session/session_files.h"
#include "las/unix_socket.h"
#include "protocol/start_request.h"

namespace casemate::cli {
namespace {

using protocol::StartRequest;

Result<const policy::Service*> choose_service(const policy::Session& session, const std::string& name) {
  if (name.empty() && session.services.size() == 1) return &session.services.front();
  const policy::Service* const found = session.find_service(name);
  if (found != nullptr) return found;
  std::string names;
  for (const policy::Service& service : session.services) names += (names.empty() ? "" : ", ") + service.name;
  return Error(ErrorCategory::kUsage, (name.empty() ? "the policy has several services: choose one with --service ("
                                                    : "the policy has no service '" + name + "' (") +
                                          names + ")");
}

bool uses_host_arguments(const policy::Service& service) {
  return std::ranges::any_of(service.command,
                             [](const std::string& word) { return word.find("@@") != std::string::npos; });
}

std::vector<protocol::Variable> variables_of_host() {
  std::vector<protocol::Variable> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string::npos && equals != 0)
      variables.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  return variables;
}

// The CAS of this user: gets the policy, and everything else is in its directory.
Result<StartRequest> ask_own_cas(const RunProgram& run) {
  const StateDirectory state = CASEMATE_TRY(open_state(run.state));
  session_tool::Options options;
  options.literal = true;
  options.quiet = run.noise == Noise::kQuiet;
  const std::string text = CASEMATE_TRY(session_tool::read_whole_file(run.policy, 1 << 20));
  const policy::Session session = CASEMATE_TRY(session_tool::require_session(run.policy, options, {}));
  const policy::Service& service = *CASEMATE_TRY(choose_service(session, run.service));
  if (!run.words.empty() && !uses_host_arguments(service) && run.words != service.command) {
    return Error(ErrorCategory::kUsage, run.policy + ": service '" + service.name +
                                            "' has its command in the policy; give none, the same, or let the policy "
                                            "take words of yours with @@1");
  }
  const Result<std::string> stored = ask_embedded(state, "put\n" + text);
  if (!stored) return stored.error().with_context(run.policy);
  StartRequest request;
  request.cas = "unix:" + state.cas_socket();
  request.las = CASEMATE_TRY(las::socket_name(state.las_socket()));
  request.session = session.name;
  request.service = service.name;
  for (const protocol::Variable& variable : variables_of_host()) {
    const bool is_token =
        variable.name == "CASEMATE_SERVICE_ACCESS_TOKEN" || variable.name == "SCONE_SERVICE_ACCESS_TOKEN";
    const bool is_wanted =
        is_token || std::ranges::any_of(service.environment, [&](const policy::EnvironmentVariable& wanted) {
          return wanted.pass_through && wanted.name == variable.name;
        });
    if (is_wanted) request.environment.push_back(variable);
  }
  request.volumes = state.volumes();
  request.manifests = state.manifests();
  request.owner = state.owner_socket();
  return request;
}

Result<StartRequest> ask_other_cas(const RunProgram& run) {
  const StateDirectory state = CASEMATE_TRY(open_state(run.state));
  const std::size_t slash = run.session.rfind('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == run.session.size()) {
    return Error(ErrorCategory::kUsage, "--session takes SESSION/SERVICE");
  }
  StartRequest request;
  request.cas = run.cas;
  if (!run.cas_key.empty()) {
    Result<crypto::Bytes> key = crypto::from_hex(run.cas_key);
    if (!key || key.value().size() != 32) return Error(ErrorCategory::kUsage, "--cas-key takes 64 hexadecimal digits");
    request.cas_key_id = std::move(key).value();
  }
  if (run.las.find('/') == std::string::npos && run.las.find(':') != std::string::npos) {
    return Error(ErrorCategory::kUsage,
                 "the attestation service is a socket of this machine, such as "
                 "/run/casemate/las.sock, not " +
                     run.las + " (--las, CASEMATE_LAS_ADDR)");
  }
  request.las = CASEMATE_TRY(las::socket_name(run.las.empty() ? "/run/casemate/las.sock" : run.las));
  request.session = run.session.substr(0, slash);
  request.service = run.session.substr(slash + 1);
  if (const std::size_t at = request.service.find('@'); at != std::string::npos) {
    request.one_time_password = request.service.substr(at + 1);
    request.service.resize(at);
  }
  request.environment = variables_of_host();
  request.volumes = state.volumes();
  request.manifests = state.manifests();
  return request;
}

Result<void> place(int from, int to) {
  if (dup3(from, to, 0) == to) return {};
  return Error::from_errno("cannot place a descriptor for the keeper", errno);
}

Result<void> become_keeper(const StartRequest& request) {
  const UniqueFd keeper = CASEMATE_TRY(open_own_program("casemate-keeper"));
  const UniqueFd runtime = CASEMATE_TRY(open_runtime());
  const crypto::Bytes bytes = encode(request);
  const UniqueFd file(memfd_create("casemate-start", MFD_CLOEXEC));
  if (!file.is_open() || write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    return Error::from_errno("cannot write the memory file for the keeper", errno);
  }
  // Out of the way of the places that the keeper expects.
  const int kLifted = protocol::kRuntimeImageDescriptor + 1;
  const UniqueFd lifted_keeper(fcntl(keeper.get(), F_DUPFD_CLOEXEC, kLifted));
  const UniqueFd lifted_runtime(fcntl(runtime.get(), F_DUPFD_CLOEXEC, kLifted));
  const UniqueFd lifted_file(fcntl(file.get(), F_DUPFD_CLOEXEC, kLifted));
  if (auto placed = place(lifted_file.get(), protocol::kStartDescriptor); !placed) return placed;
  if (auto placed = place(lifted_runtime.get(), protocol::kRuntimeImageDescriptor); !placed) return placed;
  char name[] = "casemate-keeper", option[] = "--provision";
  char* const arguments[] = {name, option, nullptr};
  char* const no_environment[] = {nullptr};
  fexecve(lifted_keeper.get(), arguments, no_environment);
  return Error::from_errno("cannot start casemate-keeper", errno);
}

}  // namespace

Error run_attested(const RunProgram& run) {
  Result<StartRequest> request = run.policy.empty() ? ask_other_cas(run) : ask_own_cas(run);
  if (!request) return request.error();
  request.value().arguments = run.words;
  request.value().is_quiet = run.noise == Noise::kQuiet;
  return become_keeper(request.value()).error();
}

}  // namespace casemate::cli
