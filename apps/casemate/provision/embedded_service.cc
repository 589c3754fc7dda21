// `casemate cas-embedded DIR`, started by `casemate run --policy`, never by hand: CAS and LAS of one user and one state
// directory in one process, which ends when no service has been connected for a while. A simulation: its keys lie in
// that directory, and root reads them.
//
// What others on this machine can do here -> what we answer
//  - connect to the owner's socket -> the directory is the user's alone (0700), and the peer must be the same user
//  - be a program under a policy of this user -> it does not see the directory unless a region of its session shows it
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <thread>

#include "cas/service/runtime_api.h"
#include "cas/sessions/registry.h"
#include "cas/sessions/tables.h"
#include "casemate/provision/state_directory.h"
#include "casemate/subcommands.h"
#include "crypto/host_configuration.h"
#include "las/key_file.h"
#include "las/runtime_measurement.h"
#include "las/server.h"
#include "las/unix_socket.h"
#include "policy/parse.h"

namespace casemate::cli {
namespace {

constexpr int kReportDescriptor = STDIN_FILENO;
constexpr int kIdleSeconds = 30;
constexpr std::size_t kQuestionLimit = 2 << 20;

void say(const std::string& line) {
  const std::string whole = "casemate: " + line + "\n";
  (void)!write(STDERR_FILENO, whole.data(), whole.size());
}

// A stream socket at a path of the state directory; a stale one is replaced (the caller holds the service's lock).
Result<UniqueFd> listen_at(const std::string& path) {
  const std::string name = CASEMATE_TRY(las::socket_name(path));
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, sizeof(address.sun_path) - 1);
  unlink(path.c_str());
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(socket.get(), 1024) != 0) {
    return Error::from_errno(path, errno);
  }
  return socket;
}

// The user who has the state directory owns its CAS: nobody else reaches it.
Result<void> claim(cas::Store& store, const evidence::Digest32& owner) {
  const std::optional<cas::Digest> known = CASEMATE_TRY(cas::owner_of(store.snapshot()));
  if (known) return {};
  cas::Change change;
  change.rows.push_back({cas::number_of(cas::Table::kServer), cas::kOwnerRow, "",
                         cas::SecretValue::copy_of(crypto::ByteView(owner)), cas::kAbsent});
  cas::OwnerClaim claimed;
  claimed.owner_key = owner;
  change.log(claimed);
  if (auto committed = store.commit(std::move(change)); !committed) return committed.error();
  return {};
}

struct OpenedStore {
  std::unique_ptr<cas::UnsealMethod> method;
  std::unique_ptr<cas::FreshnessAnchor> anchor;
  std::unique_ptr<cas::Store> store;
};

Result<OpenedStore> open_store(const StateDirectory& state) {
  OpenedStore opened;
  opened.anchor = cas::make_file_anchor(state.anchor());
  cas::StoreOptions options;
  options.directory = state.store();
  options.anchor = opened.anchor.get();
  const bool is_new = access(state.root_key().c_str(), F_OK) != 0;
  opened.method = is_new ? CASEMATE_TRY(cas::unseal_with_new_key_file(state.root_key()))
                         : CASEMATE_TRY(cas::unseal_with_key_file(state.root_key()));
  opened.store = is_new ? CASEMATE_TRY(cas::Store::create(options, {opened.method.get()}))
                        : CASEMATE_TRY(cas::Store::open(options, *opened.method));
  return opened;
}

// The questions of the owner: one line, then perhaps a text.
class Owner {
 public:
  Owner(cas::SessionRegistry& sessions, cas::Activator& activator, std::string key_hash, std::string status)
      : sessions_(sessions), activator_(activator), caller_{std::move(key_hash), ""}, status_(std::move(status)) {}

  std::string answer(const std::string& question) {
    const std::size_t end = question.find('\n');
    const std::string line = question.substr(0, end);
    const std::string rest = end == std::string::npos ? "" : question.substr(end + 1);
    if (line == "put") return put(rest);
    if (line == "status") return "ok " + status_;
    if (line.starts_with("why ")) return why(line.substr(4));
    return "error unknown question";
  }

 private:
  std::string why(const std::string& reference) {
    const auto refusal = activator_.why(reference);
    return refusal ? cas::describe(*refusal) : "error no such refusal";
  }

  // The text as it is, or with the predecessor that an update needs and that a newcomer's file does not name.
  std::string put(const std::string& text) {
    policy::Diagnostics diagnostics;
    const auto session = policy::parse_session(text, {}, diagnostics);
    if (!session) return "error " + policy::to_text(diagnostics.all().front(), "the policy");
    const auto stored = sessions_.find(session->name);
    if (!stored) return "error " + stored.error().message();
    std::string wanted = text;
    if (stored.value()) {
      const std::string& current = stored.value()->record.text;
      if (current == text) return "ok " + session->name;
      const std::size_t mark = current.rfind(kMark);
      if (mark != std::string::npos && current.substr(0, mark) == text) return "ok " + session->name;
      if (!session->predecessor) wanted += kMark + crypto::to_hex(stored.value()->record.hash) + "\n";
    }
    const auto accepted = sessions_.put({session->name, wanted, {}, "", cas::BreakGlass::kNo}, caller_);
    if (accepted) return "ok " + session->name;
    std::string refusal = "error " + accepted.error().message;
    for (const auto& finding : accepted.error().findings) refusal += "\n" + policy::to_text(finding, session->name);
    if (!accepted.error().advice.empty()) refusal += "; " + accepted.error().advice;
    return refusal;
  }

  static constexpr const char* kMark = "\npredecessor: ";
  cas::SessionRegistry& sessions_;
  cas::Activator& activator_;
  policy::Caller caller_;
  std::string status_;
};

void serve_owner(Owner& owner, int socket) {
  const timeval limit = {10, 0};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  const std::optional<uid_t> peer = las::peer_user(socket);
  if (!peer || *peer != geteuid()) return;
  std::string question;
  char part[4096];
  for (ssize_t got = 1; got > 0 && question.size() < kQuestionLimit;) {
    got = read(socket, part, sizeof(part));
    if (got > 0) question.append(part, static_cast<std::size_t>(got));
  }
  const std::string answer = owner.answer(question);
  (void)!send(socket, answer.data(), answer.size(), MSG_NOSIGNAL);
}

// Until nothing has happened for a while.
void serve_owners(Owner& owner, const cas::RuntimeApi& api, int listener, int stop) {
  std::uint64_t seen = 0;
  for (int idle = 0; idle < kIdleSeconds;) {
    pollfd states[2] = {{listener, POLLIN, 0}, {stop, POLLIN, 0}};
    const int ready = poll(states, 2, 1000);
    if (states[1].revents != 0) return;
    const bool is_used = api.connection_count() != 0 || api.activation_count() != seen || ready > 0;
    seen = api.activation_count();
    idle = is_used ? 0 : idle + 1;
    if (states[0].revents == 0) continue;
    const UniqueFd socket(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (socket.is_open()) serve_owner(owner, socket.get());
  }
}

UniqueFd termination() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  return UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC));
}

void report(const std::string& text) {
  (void)!write(kReportDescriptor, text.data(), text.size());
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  dup2(null.get(), kReportDescriptor);
}

Result<void> live(const StateDirectory& state) {
  const UniqueFd alone(open((state.path + "/service.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (flock(alone.get(), LOCK_EX) != 0) return Error::from_errno("service.lock", errno);
  OpenedStore opened = CASEMATE_TRY(open_store(state));
  cas::RegistryOptions registry_options;
  registry_options.top_level = cas::TopLevel::kAnyone;
  const auto sessions = CASEMATE_TRY(cas::SessionRegistry::open(*opened.store, registry_options));
  const crypto::TlsIdentity identity = CASEMATE_TRY(cas::runtime_api_identity(*opened.store));
  crypto::PrivateKey las_key = CASEMATE_TRY(las::key_from_file(state.las_key()));
  las::BackendOptions backend_options;
  backend_options.choice = las::BackendChoice::kSimulation;
  const las::Backend backend = CASEMATE_TRY(las::make_backend(backend_options, std::move(las_key)));
  if (auto claimed = claim(*opened.store, backend.issuer->key_id()); !claimed) return claimed;
  const las::CallerRules rules = CASEMATE_TRY(las::own_rules());
  las::MeasuredFiles files(las::measure_runtime, geteuid());
  las::Served served;
  las::Counters counters;
  las::Service service = {.backend = backend, .rules = rules, .files = files, .served = served, .counters = counters};
  las::Server las_server(CASEMATE_TRY(las::listen_unix(state.las_socket())), service, say, las::Limits());
  cas::Activator activator(*opened.store, *sessions,
                           [](const cas::ActivationRefusal& refusal) { say(describe(refusal)); });
  cas::RuntimeApi api(*opened.store, activator, identity);
  UniqueFd cas_listener = CASEMATE_TRY(listen_at(state.cas_socket()));
  const UniqueFd owner_listener = CASEMATE_TRY(listen_at(state.owner_socket()));
  const std::string key_id = crypto::to_hex(backend.issuer->key_id());
  Owner owner(*sessions, activator, key_id, key_id + " " + crypto::to_hex(identity.key_id()));
  const UniqueFd asked_to_stop = termination();
  const UniqueFd stop(eventfd(0, EFD_CLOEXEC));
  std::thread las_thread([&] { static_cast<void>(las_server.run(stop.get())); });
  std::thread cas_thread([&] { static_cast<void>(api.serve(std::move(cas_listener), stop.get())); });
  report("ready");
  serve_owners(owner, api, owner_listener.get(), asked_to_stop.get());
  unlink(state.owner_socket().c_str());
  const std::uint64_t one = 1;
  (void)!write(stop.get(), &one, sizeof(one));
  las_thread.join();
  cas_thread.join();
  return {};
}

}  // namespace

int cas_embedded_command(const std::vector<std::string>& words) {
  if (words.size() != 1) {
    std::fputs("casemate cas-embedded is started by `casemate run --policy`\n", stderr);
    return kExitUsage;
  }
  crypto::ignore_host_configuration();
  umask(077);
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  prctl(PR_SET_NAME, "casemate-cas", 0, 0, 0);
  const Result<void> ended = live(StateDirectory{words.front()});
  if (ended) return 0;
  say(ended.error().message());
  report(ended.error().message());
  return 1;
}

}  // namespace casemate::cli
