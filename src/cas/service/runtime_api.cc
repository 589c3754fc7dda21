#include "cas/service/runtime_api.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "cas/sessions/tables.h"
#include "crypto/random.h"
#include "protocol/provision_push.h"

namespace casemate::cas {
namespace {

using crypto::TlsChannel;

bool is_passing(int code) {
  return code == EINTR || code == EAGAIN || code == ECONNABORTED || code == EMFILE || code == ENFILE ||
         code == ENOBUFS || code == ENOMEM;
}

// Challenge, request, and what both ends of the channel must agree on.
struct Asked {
  protocol::ProvisionRequest request;
  crypto::Sha512Digest bound{};
};

Result<Asked> ask(TlsChannel& channel, const std::string& newest_head) {
  protocol::Challenge challenge;
  challenge.newest_head = newest_head;
  if (auto filled = crypto::random_bytes(challenge.nonce); !filled) return filled.error();
  if (auto sent = write_frame(channel, encode(challenge)); !sent) return sent.error();
  const Bytes message = CASEMATE_TRY(read_frame(channel, protocol::kProvisionRequestLimit));
  Asked asked;
  asked.request = CASEMATE_TRY(protocol::decode_request(message));
  protocol::ChannelFacts facts;
  facts.nonce = challenge.nonce;
  facts.exported = CASEMATE_TRY(channel.export_binding(protocol::kProvisionExporterLabel, challenge.nonce));
  facts.server_key_id = channel.server_key_id();
  asked.bound = protocol::bound_value(facts, asked.request.runtime_key, asked.request.session, asked.request.service);
  return asked;
}

// Whether the next read has something to read, be it the end.
bool has_message(const TlsChannel& channel) {
  pollfd state = {channel.descriptor(), POLLIN, 0};
  return channel.has_pending() || poll(&state, 1, 0) > 0;
}

// A peer that has proved what it is sends short messages in one piece.
constexpr std::chrono::milliseconds kMessageTime{10'000};
constexpr std::size_t kTagMessageLimit = 4096;
// Beside those that have proved nothing: how many of the others may be talking at once.
constexpr std::size_t kTalking = 256;
constexpr int kDeferSeconds = 1;
// A service whose machine is gone says nothing: its connection ends after 20 + 4 * 5 seconds without a sign of life.
constexpr int kIdleSeconds = 20, kProbeSeconds = 5, kProbes = 4;
// While nothing changes: how often certificates' ages are looked at.
constexpr std::chrono::seconds kCertificateLook{1};

Result<void> grant(TlsChannel& channel, crypto::HolderSealer& sealer, const protocol::ProvisionRequest& request,
                   const Activation& activation) {
  Bytes plain = encode(activation.configuration);
  Result<Bytes> sealed = sealer.seal(request.runtime_key, protocol::kProvisionGrantPurpose, request.runtime_key, plain);
  crypto::wipe(plain);
  if (!sealed) return sealed.error();
  return write_frame(channel, encode(protocol::Grant{std::move(sealed).value(), activation.receipt}));
}

}  // namespace

RuntimeApi::RuntimeApi(Store& store, Activator& activator, const crypto::TlsIdentity& identity, RuntimeApiLimits limits)
    : store_(store),
      activator_(activator),
      identity_(identity),
      limits_(limits),
      workers_([this](Id id, std::uint32_t events) { handle(id, events); }, limits.unproved + kTalking) {}

RuntimeApi::~RuntimeApi() { end_all(); }

Result<void> RuntimeApi::serve(UniqueFd listener, int stop) {
  if (auto started = workers_.start(); !started) return started;
  // Accepted connections are nonblocking, and those over TCP have sent something by then; elsewhere it is no option.
  static_cast<void>(fcntl(listener.get(), F_SETFL, fcntl(listener.get(), F_GETFL) | O_NONBLOCK));
  const int on = 1;
  setsockopt(listener.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &kDeferSeconds, sizeof(kDeferSeconds));
  setsockopt(listener.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(listener.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(listener.get(), IPPROTO_TCP, TCP_KEEPIDLE, &kIdleSeconds, sizeof(kIdleSeconds));
  setsockopt(listener.get(), IPPROTO_TCP, TCP_KEEPINTVL, &kProbeSeconds, sizeof(kProbeSeconds));
  setsockopt(listener.get(), IPPROTO_TCP, TCP_KEEPCNT, &kProbes, sizeof(kProbes));
  listener_ = std::move(listener);
  Result<void> ended;
  if (!workers_.add(listener_.get(), kListenerId, EPOLLIN | EPOLLET)) {
    ended = Error::from_errno("cannot wait for services", errno);
  }
  while (ended) {
    pollfd state = {stop, POLLIN, 0};
    const int ready = poll(&state, 1, static_cast<int>(limits_.look.count()));
    if (ready > 0) break;
    if (ready < 0 && errno != EINTR) ended = Error::from_errno("cannot wait for services", errno);
    if (ready == 0) look_around();
  }
  workers_.remove(listener_.get());
  end_all();
  return ended;
}

void RuntimeApi::handle(Id id, std::uint32_t) {
  if (id == kListenerId) return accept_all();
  UniqueFd fresh;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = arrived_.find(id); found != arrived_.end()) {
      fresh = std::move(found->second);
      arrived_.erase(found);
    }
  }
  if (fresh.is_open()) return converse(id, std::move(fresh));
  go_on(id);
}

// The last one is talked to here and now, the others by whoever is free.
void RuntimeApi::accept_all() {
  std::optional<Id> mine;
  UniqueFd own;
  for (;;) {
    UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.is_open() && errno != EAGAIN && is_passing(errno)) {
      // Descriptors or memory are short: those that wait are not announced again.
      if (errno != EINTR && errno != ECONNABORTED) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      const std::lock_guard lock(mutex_);
      if (is_ending_) break;
      continue;
    }
    if (!socket.is_open()) break;
    const std::optional<Id> id = list(socket.get());
    if (!id) continue;  // the service sees the connection end, and may try again
    if (mine) hand_over(*mine, std::move(own));
    mine = id;
    own = std::move(socket);
  }
  if (mine) converse(*mine, std::move(own));
}

void RuntimeApi::hand_over(Id id, UniqueFd socket) {
  const int fd = socket.get();
  {
    const std::lock_guard lock(mutex_);
    arrived_.emplace(id, std::move(socket));
  }
  if (workers_.add(fd, id, EPOLLIN | EPOLLOUT)) return;
  {
    const std::lock_guard lock(mutex_);
    arrived_.erase(id);
  }
  unlist(id);
}

std::optional<RuntimeApi::Id> RuntimeApi::list(int socket) {
  const std::lock_guard lock(mutex_);
  if (is_ending_) return std::nullopt;
  if (unproved_.size() - given_up_ >= limits_.unproved) {
    const auto is_waiting = [](const auto& entry) { return !entry.second.given_up; };
    Connection& oldest = std::ranges::find_if(unproved_, is_waiting)->second;
    oldest.given_up = true;
    ++given_up_;
    shutdown(oldest.socket, SHUT_RDWR);
  }
  if (unproved_.size() + proved_.size() >= limits_.connections) return std::nullopt;
  const Id id = next_id_++;
  unproved_[id].socket = socket;
  return id;
}

// Before the socket is closed: its number may be another connection's afterwards.
void RuntimeApi::unlist(Id id) {
  const std::lock_guard lock(mutex_);
  if (const auto found = unproved_.find(id); found != unproved_.end()) {
    if (found->second.given_up) --given_up_;
    unproved_.erase(found);
  }
  proved_.erase(id);
  changed_.notify_all();
}

void RuntimeApi::converse(Id id, UniqueFd socket) {
  // A copy, which outlives the channel: the entry's number must not become another connection's while it is listed.
  UniqueFd kept(fcntl(socket.get(), F_DUPFD_CLOEXEC, 3));
  {
    const std::lock_guard lock(mutex_);
    unproved_[id].socket = kept.get();
  }
  Parked parked;
  if (greet(id, std::move(socket), parked)) {
    park(id, std::move(parked));
  } else {
    unlist(id);
  }
}

// False: the conversation is over.
bool RuntimeApi::greet(Id id, UniqueFd socket, Parked& parked) {
  Result<TlsChannel> accepted = TlsChannel::accept(identity_, std::move(socket), limits_.nonce_lifetime);
  if (!accepted) return false;
  auto channel = std::make_unique<TlsChannel>(std::move(accepted).value());
  const Result<Asked> asked = ask(*channel, to_note(store_.snapshot().head()));
  if (!asked) return false;
  const protocol::ProvisionRequest& request = asked.value().request;
  Result<Activation> activation = activator_.activate(request, asked.value().bound);
  if (!activation) {
    static_cast<void>(write_frame(*channel, encode(protocol::Refusal{activation.error().message()})));
    return false;
  }
  prove(id, channel->descriptor());
  ++activations_;
  if (!grant(*channel, sealer_, request, activation.value())) return false;
  channel->set_time_limit(kMessageTime);
  channel->release_buffers();
  parked = {std::move(channel), std::move(activation.value().holder),
            std::make_shared<const LiveActivation>(std::move(activation.value().live)),
            std::move(activation.value().place)};
  return true;
}

void RuntimeApi::prove(Id id, int socket) {
  const std::lock_guard lock(mutex_);
  const auto found = unproved_.find(id);
  if (found->second.given_up) {
    --given_up_;
    shutdown(socket, SHUT_RDWR);
  }
  unproved_.erase(found);
  proved_[id].socket = socket;
}

// Until it says something. Its connection carries nothing for most of its life.
void RuntimeApi::park(Id id, Parked parked) {
  const int socket = parked.channel->descriptor();
  std::unique_lock lock(mutex_);
  Connection& connection = proved_[id];
  connection.parked = std::move(parked);
  has_news_ = true;
  if (is_ending_) shutdown(socket, SHUT_RDWR);
  const std::uint32_t events = connection.is_outdated ? EPOLLIN | EPOLLOUT : EPOLLIN;
  if (workers_.add(socket, id, events) || workers_.arm(socket, id, events)) return;
  const Parked dropped = std::move(connection.parked);
  lock.unlock();
  unlist(id);
}

// The service said something, or is gone, or what it relies on has changed.
void RuntimeApi::go_on(Id id) {
  Parked parked;
  bool is_outdated = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = proved_.find(id);
    if (found == proved_.end() || found->second.parked.channel == nullptr) return;
    parked = std::move(found->second.parked);
    is_outdated = std::exchange(found->second.is_outdated, false);
  }
  bool goes_on = !is_outdated || push(parked);
  while (goes_on && has_message(*parked.channel)) {
    const Result<void> answered = answer_tag(parked);
    goes_on = answered.has_value();
    const bool has_said_goodbye = !goes_on && answered.error().category() == ErrorCategory::kNotFound;
    if (has_said_goodbye && parked.place != nullptr) parked.place->give_up();
  }
  if (goes_on) {
    park(id, std::move(parked));
  } else {
    unlist(id);
  }
}

// Rows are compared outside of the lock, which conversations wait for.
void RuntimeApi::look_around() {
  const Snapshot snapshot = store_.snapshot();
  const auto now = std::chrono::steady_clock::now();
  const bool is_changed = has_news_.exchange(false) || snapshot.head().head.size != looked_at_;
  if (!is_changed && now - looked_ < kCertificateLook) return;
  looked_at_ = snapshot.head().head.size;
  looked_ = now;
  std::vector<std::pair<Id, std::shared_ptr<const LiveActivation>>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, connection] : proved_) {
      if (connection.parked.live != nullptr) all.emplace_back(id, connection.parked.live);
    }
  }
  std::erase_if(all, [&](const auto& one) {
    return !(is_changed ? activator_.is_outdated(*one.second, snapshot) : activator_.is_due(*one.second));
  });
  const std::lock_guard lock(mutex_);
  for (const auto& [id, live] : all) {
    const auto found = proved_.find(id);
    if (found == proved_.end()) continue;
    found->second.is_outdated = true;
    if (found->second.parked.channel != nullptr) {
      static_cast<void>(workers_.arm(found->second.socket, id, EPOLLIN | EPOLLOUT));
    }
  }
}

// False: the connection is over.
bool RuntimeApi::push(Parked& parked) {
  LiveActivation live = *parked.live;
  auto refreshed = activator_.refresh(live);
  parked.live = std::make_shared<const LiveActivation>(std::move(live));
  if (!refreshed) {
    if (refreshed.error().category() != ErrorCategory::kUsage) return true;
    ++revocations_;
    static_cast<void>(write_frame(*parked.channel, encode(protocol::Revocation{refreshed.error().message()})));
    return false;
  }
  if (!refreshed.value()) return true;
  std::vector<protocol::GrantedFile>& files = refreshed.value()->files;
  Bytes plain = protocol::encode_files(files);
  for (protocol::GrantedFile& file : files) crypto::wipe(std::as_writable_bytes(std::span(file.content)));
  protocol::FilesPush message;
  message.generation = refreshed.value()->generation;
  const auto& key = parked.live->runtime_key;
  Result<Bytes> sealed =
      sealer_.seal(key, protocol::kPushPurpose, protocol::push_binding(key, message.generation), plain);
  crypto::wipe(plain);
  if (!sealed) return false;
  message.sealed = std::move(sealed).value();
  ++pushes_;
  return write_frame(*parked.channel, encode(message)).has_value();
}

Result<void> RuntimeApi::answer_tag(const Parked& parked) {
  const Bytes message = CASEMATE_TRY(read_frame(*parked.channel, kTagMessageLimit));
  const protocol::TagUpdate update = CASEMATE_TRY(protocol::decode_tag_update(message));
  const bool is_noted = CASEMATE_TRY(activator_.note_position(parked.live->session, update, parked.holder));
  return write_frame(*parked.channel, encode(protocol::TagAnswer{is_noted}));
}

void RuntimeApi::end_all() {
  {
    std::unique_lock lock(mutex_);
    is_ending_ = true;
    for (const auto& [id, connection] : unproved_) shutdown(connection.socket, SHUT_RDWR);
    for (const auto& [id, connection] : proved_) shutdown(connection.socket, SHUT_RDWR);
    changed_.wait(lock, [this] { return unproved_.empty() && proved_.empty(); });
  }
  workers_.stop();
}

std::size_t RuntimeApi::connection_count() const {
  const std::lock_guard lock(mutex_);
  return unproved_.size() + proved_.size();
}

Result<crypto::TlsIdentity> runtime_api_identity(Store& store) {
  constexpr const char* kRow = "tls-runtime";
  auto row = CASEMATE_TRY(store.snapshot().find(number_of(Table::kServer), kRow));
  if (row) {
    const crypto::PrivateKey key = CASEMATE_TRY(crypto::PrivateKey::from_pem(crypto::as_text(row->value.expose())));
    return crypto::TlsIdentity::make(key);
  }
  const crypto::PrivateKey key = CASEMATE_TRY(crypto::PrivateKey::generate(crypto::KeyKind::kEcP256));
  std::string pem = key.to_pem();
  Change change;
  change.rows.push_back({number_of(Table::kServer), kRow, "", SecretValue::copy_of(pem), kAbsent});
  crypto::wipe(std::as_writable_bytes(std::span(pem)));
  KeyRotation rotation;
  rotation.purpose = "tls";
  rotation.version = 1;
  rotation.new_key = crypto::sha256(key.public_key().to_subject_public_key_info());
  change.log(rotation);
  if (auto committed = store.commit(std::move(change)); !committed) return committed.error();
  return crypto::TlsIdentity::make(key);
}

}  // namespace casemate::cas
