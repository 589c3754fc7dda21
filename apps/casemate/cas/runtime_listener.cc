#include "casemate/cas/runtime_listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

namespace casemate::cas_tool {
namespace {

constexpr int kWaiting = 4096;  // connections that the kernel keeps until they are accepted

struct Listening {
  UniqueFd socket;
  std::string address;
};

Error no_address(const std::string& address) {
  return Error(ErrorCategory::kUsage, "--runtime-listen takes IP:PORT, such as 127.0.0.1:8901, not " + address);
}

Result<sockaddr_storage> parse_address(const std::string& address, socklen_t& size) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return no_address(address);
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  std::uint16_t port = 0;
  const char* const last = address.data() + address.size();
  const auto [end, code] = std::from_chars(address.data() + colon + 1, last, port);
  if (code != std::errc() || end != last) return no_address(address);
  sockaddr_storage name = {};
  auto* const v4 = reinterpret_cast<sockaddr_in*>(&name);
  auto* const v6 = reinterpret_cast<sockaddr_in6*>(&name);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    size = sizeof(*v4);
    return name;
  }
  name = {};
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) != 1) return no_address(address);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  size = sizeof(*v6);
  return name;
}

Result<Listening> listen_at(const std::string& address) {
  socklen_t size = 0;
  sockaddr_storage name = CASEMATE_TRY(parse_address(address, size));
  Listening listening;
  listening.socket = UniqueFd(::socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  // A restarted service must not wait for connections of its predecessor to be forgotten.
  setsockopt(listening.socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(listening.socket.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0 ||
      listen(listening.socket.get(), kWaiting) != 0 ||
      getsockname(listening.socket.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0) {
    return Error::from_errno("cannot listen for services at " + address, errno);
  }
  const bool is_v4 = name.ss_family == AF_INET;
  const std::uint16_t port = ntohs(is_v4 ? reinterpret_cast<sockaddr_in*>(&name)->sin_port
                                         : reinterpret_cast<sockaddr_in6*>(&name)->sin6_port);
  listening.address = address.substr(0, address.rfind(':')) + ":" + std::to_string(port);
  return listening;
}

RuntimeListener::Words words_of(const cas::ActivationRefusal& refusal) {
  return {{"reference", refusal.reference}, {"session", refusal.session},   {"service", refusal.service},
          {"rule", refusal.rule},           {"expected", refusal.expected}, {"found", refusal.actual},
          {"advice", refusal.advice}};
}

}  // namespace

RuntimeListener::RuntimeListener(cas::Store& store, const cas::SessionRegistry& registry, cas::EvidenceBasis basis,
                                 crypto::TlsIdentity identity, Log log)
    : log_(std::move(log)),
      identity_(std::move(identity)),
      activator_(
          store, registry,
          [this](const cas::ActivationRefusal& refusal) { log_("activation-refused", words_of(refusal)); },
          std::move(basis)),
      api_(store, activator_, identity_),
      stop_(eventfd(0, EFD_CLOEXEC)) {}

Result<std::unique_ptr<RuntimeListener>> RuntimeListener::start(const std::string& address, cas::Store& store,
                                                                const cas::SessionRegistry& registry,
                                                                cas::EvidenceBasis basis, Log log) {
  Listening listening = CASEMATE_TRY(listen_at(address));
  crypto::TlsIdentity identity = CASEMATE_TRY(cas::runtime_api_identity(store));
  std::unique_ptr<RuntimeListener> listener(
      new RuntimeListener(store, registry, std::move(basis), std::move(identity), std::move(log)));
  listener->address_ = listening.address;
  listener->thread_ = std::thread([own = listener.get(), socket = std::move(listening.socket)]() mutable {
    const Result<void> served = own->api_.serve(std::move(socket), own->stop_.get());
    if (!served) own->log_("runtime-api-failed", {{"why", served.error().message()}});
  });
  return listener;
}

RuntimeListener::~RuntimeListener() { stop(); }

void RuntimeListener::stop() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  static_cast<void>(!::write(stop_.get(), &one, sizeof(one)));
  thread_.join();
}

std::string RuntimeListener::metrics() const {
  return "casemate_cas_services " + std::to_string(api_.connection_count()) + "\ncasemate_cas_activations_total " +
         std::to_string(api_.activation_count()) + "\ncasemate_cas_pushes_total " + std::to_string(api_.push_count()) +
         "\ncasemate_cas_revocations_total " + std::to_string(api_.revocation_count()) + "\n";
}

}  // namespace casemate::cas_tool
