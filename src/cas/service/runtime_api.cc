#include "cas/service/runtime_api.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "cas/sessions/tables.h"
#include "crypto/random.h"

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

// Stacks of the usual 8 MiB would be mapped and unmapped for every connection; the C library keeps small ones.
constexpr std::size_t kStackSize = 512 * 1024;

template <typename Work>
bool start_thread(Work work) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setstacksize(&attributes, kStackSize);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  auto owned = std::make_unique<Work>(std::move(work));
  pthread_t thread{};
  const auto run = [](void* argument) -> void* {
    const std::unique_ptr<Work> taken(static_cast<Work*>(argument));
    (*taken)();
    return nullptr;
  };
  const bool is_started = pthread_create(&thread, &attributes, run, owned.get()) == 0;
  if (is_started) static_cast<void>(owned.release());
  pthread_attr_destroy(&attributes);
  return is_started;
}

Result<void> grant(TlsChannel& channel, const protocol::ProvisionRequest& request, const Activation& activation) {
  Bytes plain = encode(activation.configuration);
  Result<Bytes> sealed =
      crypto::seal_to_holder(request.runtime_key, protocol::kProvisionGrantPurpose, request.runtime_key, plain);
  crypto::wipe(plain);
  if (!sealed) return sealed.error();
  return write_frame(channel, encode(protocol::Grant{std::move(sealed).value(), activation.receipt}));
}

}  // namespace

RuntimeApi::~RuntimeApi() { end_all(); }

Result<void> RuntimeApi::serve(UniqueFd listener, int stop) {
  for (;;) {
    pollfd states[2] = {{listener.get(), POLLIN, 0}, {stop, POLLIN, 0}};
    if (poll(states, 2, -1) < 0 && errno != EINTR) return Error::from_errno("cannot wait for services", errno);
    if (states[1].revents != 0) break;
    if (states[0].revents == 0) continue;
    UniqueFd socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (socket.is_open()) {
      take(std::move(socket));
    } else if (!is_passing(errno)) {
      return Error::from_errno("cannot accept services", errno);
    }
  }
  end_all();
  return {};
}

void RuntimeApi::take(UniqueFd socket) {
  std::unique_lock lock(mutex_);
  const auto is_unproved = [](const Connection& connection) { return !connection.is_proved && !connection.given_up; };
  if (static_cast<std::size_t>(std::ranges::count_if(connections_, is_unproved)) >= limits_.unproved) {
    const auto oldest = std::ranges::find_if(connections_, is_unproved);
    oldest->given_up = true;
    shutdown(oldest->socket, SHUT_RDWR);
  }
  if (connections_.size() >= limits_.connections) return;  // the service sees the connection end, and may try again
  const auto connection = connections_.insert(connections_.end(), Connection{socket.get(), false, false});
  if (!start_thread(
          [this, connection, taken = std::move(socket)]() mutable { converse(connection, std::move(taken)); })) {
    connections_.erase(connection);
  }
}

void RuntimeApi::converse(Connections::iterator connection, UniqueFd socket) {
  // A copy, which outlives the channel: the entry's number must not become another connection's while it is listed.
  const UniqueFd kept(fcntl(socket.get(), F_DUPFD_CLOEXEC, 3));
  {
    const std::lock_guard lock(mutex_);
    connection->socket = kept.get();
  }
  Result<TlsChannel> channel = TlsChannel::accept(identity_, std::move(socket), limits_.nonce_lifetime);
  if (channel) {
    Result<Asked> asked = ask(channel.value(), to_note(store_.snapshot().head()));
    if (asked) {
      const Result<Activation> activation = activator_.activate(asked.value().request, asked.value().bound);
      if (activation) {
        {
          const std::lock_guard lock(mutex_);
          connection->is_proved = true;
        }
        ++activations_;
        if (grant(channel.value(), asked.value().request, activation.value())) {
          serve_tags(channel.value(), asked.value().request.session, activation.value());
        }
      } else {
        static_cast<void>(write_frame(channel.value(), encode(protocol::Refusal{activation.error().message()})));
      }
    }
  }
  const std::lock_guard lock(mutex_);
  connections_.erase(connection);
  changed_.notify_all();
}

// Until the service ends. Its connection carries nothing for most of its life.
void RuntimeApi::serve_tags(TlsChannel& channel, const std::string& session, const Activation& activation) {
  channel.set_time_limit(std::chrono::milliseconds(0));
  for (;;) {
    const Result<Bytes> message = read_frame(channel, 4096);
    if (!message) return;
    const Result<protocol::TagUpdate> update = protocol::decode_tag_update(message.value());
    if (!update) return;
    const Result<bool> noted = activator_.note_position(session, update.value(), activation.holder);
    if (!noted || !write_frame(channel, encode(protocol::TagAnswer{noted.value()}))) return;
  }
}

void RuntimeApi::end_all() {
  std::unique_lock lock(mutex_);
  for (const Connection& connection : connections_) shutdown(connection.socket, SHUT_RDWR);
  changed_.wait(lock, [this] { return connections_.empty(); });
}

std::size_t RuntimeApi::connection_count() const {
  const std::lock_guard lock(mutex_);
  return connections_.size();
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
