#include "crypto/tls_channel.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>

#include <cerrno>
#include <climits>
#include <mutex>

#include "crypto/secret.h"

namespace casemate::crypto {
namespace {

// The groups below are worth 128 bits, so is the first suite; its hash is the one that processors have instructions
// for, and a handshake is mostly hashing.
constexpr const char* kCipherSuites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
constexpr const char* kGroups = "X25519:P-256";
constexpr long kCertificateSeconds = 10L * 365 * 24 * 3600;

template <auto kFree>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using ContextPointer = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>>;
using CertificatePointer = std::unique_ptr<X509, Deleter<X509_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Clock = std::chrono::steady_clock;

unsigned char* writable(std::span<std::byte> bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }
const unsigned char* octets(ByteView bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

Error refused(const char* what) { return Error(ErrorCategory::kSystem, what, EIO); }

Result<ContextPointer> new_context(const SSL_METHOD* method) {
  ContextPointer context(SSL_CTX_new(method));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(context.get(), kCipherSuites) != 1 ||
      SSL_CTX_set1_groups_list(context.get(), kGroups) != 1 || SSL_CTX_set_num_tickets(context.get(), 0) != 1) {
    return refused("TLS 1.3 is not available");
  }
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // One call to the kernel for all that has arrived, instead of two for each record; and no records that are there
  // only to look like TLS 1.2.
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_clear_options(context.get(), SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
  return context;
}

// Names nobody and vouches for nothing: the key counts.
Result<CertificatePointer> self_signed(EVP_PKEY* key) {
  CertificatePointer certificate(X509_new());
  if (!certificate) return refused("no memory for a certificate");
  X509* const raw = certificate.get();
  X509_NAME* const name = X509_get_subject_name(raw);
  const auto* common_name = reinterpret_cast<const unsigned char*>("casemate");
  const bool made =
      X509_set_version(raw, X509_VERSION_3) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(raw), 1) == 1 &&
      X509_gmtime_adj(X509_getm_notBefore(raw), -24L * 3600) != nullptr &&
      X509_gmtime_adj(X509_getm_notAfter(raw), kCertificateSeconds) != nullptr &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common_name, -1, -1, 0) == 1 &&
      X509_set_issuer_name(raw, name) == 1 && X509_set_pubkey(raw, key) == 1 && X509_sign(raw, key, EVP_sha256()) > 0;
  if (!made) return refused("cannot make the certificate of a TLS server");
  return certificate;
}

Result<Sha256Digest> key_id_of(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = certificate == nullptr ? -1 : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size <= 0) return refused("TLS: the server showed no key");
  const Sha256Digest digest = sha256(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
  OPENSSL_free(der);
  return digest;
}

// One for all connections of the process: making one costs a millisecond. The handshake still proves that the server
// has the key of its certificate; who vouches for that key is no business of TLS here.
SSL_CTX* client_context() {
  static SSL_CTX* const context = [] {
    auto made = new_context(TLS_client_method());
    if (!made) return static_cast<SSL_CTX*>(nullptr);
    SSL_CTX_set_verify(made.value().get(), SSL_VERIFY_NONE, nullptr);
    return std::move(made).value().release();
  }();
  return context;
}

// Waits until the socket may be used. False: the time is over.
bool wait_for(int fd, short events, std::chrono::milliseconds limit, Clock::time_point deadline) {
  for (;;) {
    int left = -1;
    if (limit.count() != 0) {
      const auto rest = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (rest <= 0) return false;
      left = static_cast<int>(std::min<long>(rest, INT_MAX));
    }
    pollfd state = {fd, events, 0};
    const int ready = poll(&state, 1, left);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

}  // namespace

struct TlsIdentity::Context {
  ContextPointer context;
};

struct TlsChannel::State {
  UniqueFd socket;
  std::unique_ptr<SSL, Deleter<SSL_free>> ssl;
  std::chrono::milliseconds time_limit{0};

  // Repeats `step` until it is done. Returns OpenSSL's reason, or SSL_ERROR_NONE.
  template <typename Step>
  int drive(Step step) {
    const auto deadline = Clock::now() + time_limit;
    for (;;) {
      ERR_clear_error();
      const int result = step();
      if (result > 0) return SSL_ERROR_NONE;
      const int reason = SSL_get_error(ssl.get(), result);
      if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) return reason;
      errno = 0;
      if (!wait_for(socket.get(), reason == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, time_limit, deadline)) {
        errno = errno != 0 ? errno : ETIMEDOUT;
        return reason;
      }
    }
  }
};

Result<TlsIdentity> TlsIdentity::make(const PrivateKey& key) {
  if (key.public_key().kind() != KeyKind::kEcP256) return Error(ErrorCategory::kUsage, "TLS keys here are P-256 keys");
  auto shared = std::make_shared<Context>();
  shared->context = CASEMATE_TRY(new_context(TLS_server_method()));
  std::string pem = key.to_pem();
  const std::unique_ptr<BIO, Deleter<BIO_free>> file(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const KeyPointer handle(file ? PEM_read_bio_PrivateKey(file.get(), nullptr, nullptr, nullptr) : nullptr);
  wipe(std::as_writable_bytes(std::span(pem)));
  if (!handle) return refused("cannot use the key of a TLS server");
  const CertificatePointer certificate = CASEMATE_TRY(self_signed(handle.get()));
  const Sha256Digest key_id = CASEMATE_TRY(key_id_of(certificate.get()));
  if (SSL_CTX_use_certificate(shared->context.get(), certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(shared->context.get(), handle.get()) != 1) {
    return refused("cannot use the key of a TLS server");
  }
  return TlsIdentity(std::move(shared), key_id);
}

TlsChannel::TlsChannel(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsChannel::TlsChannel(TlsChannel&&) noexcept = default;
TlsChannel& TlsChannel::operator=(TlsChannel&&) noexcept = default;

TlsChannel::~TlsChannel() {
  if (state_ == nullptr || state_->ssl == nullptr) return;
  ERR_clear_error();
  if (SSL_in_init(state_->ssl.get()) == 0) static_cast<void>(SSL_shutdown(state_->ssl.get()));
}

Result<TlsChannel> TlsChannel::connect(UniqueFd socket, std::chrono::milliseconds time_limit) {
  auto state = std::make_unique<State>();
  state->socket = std::move(socket);
  state->time_limit = time_limit;
  state->ssl.reset(client_context() == nullptr ? nullptr : SSL_new(client_context()));
  TlsChannel channel(std::move(state));
  if (auto shaken = channel.shake_hands(false); !shaken) return shaken.error();
  const CertificatePointer shown(SSL_get1_peer_certificate(channel.state_->ssl.get()));
  channel.server_key_id_ = CASEMATE_TRY(key_id_of(shown.get()));
  return channel;
}

Result<TlsChannel> TlsChannel::accept(const TlsIdentity& identity, UniqueFd socket,
                                      std::chrono::milliseconds time_limit) {
  auto state = std::make_unique<State>();
  state->socket = std::move(socket);
  state->time_limit = time_limit;
  state->ssl.reset(SSL_new(identity.context_->context.get()));
  TlsChannel channel(std::move(state));
  if (auto shaken = channel.shake_hands(true); !shaken) return shaken.error();
  channel.server_key_id_ = identity.key_id();
  return channel;
}

Result<void> TlsChannel::shake_hands(bool is_server) {
  SSL* const ssl = state_->ssl.get();
  const int fd = state_->socket.get();
  const int flags = fcntl(fd, F_GETFL);
  const bool is_ready = (flags & O_NONBLOCK) != 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
  if (ssl == nullptr || !is_ready || SSL_set_fd(ssl, fd) != 1) {
    return refused("cannot begin TLS");
  }
  const int reason = state_->drive([&] { return is_server ? SSL_accept(ssl) : SSL_connect(ssl); });
  if (reason != SSL_ERROR_NONE) return failure("TLS: the handshake failed", reason);
  return {};
}

Error TlsChannel::failure(const char* what, int reason) const {
  const int code = errno;
  if (reason == SSL_ERROR_ZERO_RETURN) return Error(ErrorCategory::kNotFound, "TLS: the peer ended the connection");
  if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
    return Error(ErrorCategory::kSystem, std::string(what) + ": the peer is too slow", ETIMEDOUT);
  }
  const char* const detail = ERR_reason_error_string(ERR_peek_last_error());
  std::string text = what;
  if (detail != nullptr) text += std::string(": ") + detail;
  return Error(ErrorCategory::kSystem, text, code != 0 ? code : ECONNRESET);
}

Result<void> TlsChannel::read(std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    std::size_t got = 0;
    const int reason =
        state_->drive([&] { return SSL_read_ex(state_->ssl.get(), out.data() + done, out.size() - done, &got); });
    if (reason == SSL_ERROR_ZERO_RETURN && done != 0) return refused("TLS: the peer ended within a message");
    if (reason != SSL_ERROR_NONE) return failure("TLS: cannot read", reason);
    done += got;
  }
  return {};
}

Result<void> TlsChannel::write(ByteView bytes) {
  while (!bytes.empty()) {
    std::size_t put = 0;
    const int reason = state_->drive([&] { return SSL_write_ex(state_->ssl.get(), bytes.data(), bytes.size(), &put); });
    if (reason != SSL_ERROR_NONE) return failure("TLS: cannot write", reason);
    bytes = bytes.subspan(put);
  }
  return {};
}

void TlsChannel::set_time_limit(std::chrono::milliseconds time_limit) { state_->time_limit = time_limit; }
// Refused, without harm, while there is something in them.
void TlsChannel::release_buffers() { static_cast<void>(SSL_free_buffers(state_->ssl.get())); }
bool TlsChannel::has_pending() const { return SSL_has_pending(state_->ssl.get()) == 1; }
int TlsChannel::descriptor() const { return state_->socket.get(); }

Result<Sha256Digest> TlsChannel::export_binding(std::string_view label, ByteView context) const {
  Sha256Digest binding{};
  if (SSL_export_keying_material(state_->ssl.get(), writable(binding), binding.size(), label.data(), label.size(),
                                 octets(context), context.size(), 1) != 1) {
    return refused("TLS: cannot export a binding");
  }
  return binding;
}

Result<Bytes> read_frame(TlsChannel& channel, std::size_t limit) {
  std::array<std::byte, 4> header{};
  if (auto read = channel.read(header); !read) return read.error();
  std::size_t size = 0;
  for (std::size_t i = 0; i < header.size(); ++i) size |= std::to_integer<std::size_t>(header[i]) << (8 * i);
  if (size > limit) return Error(ErrorCategory::kFormat, "the peer announces a message that is too long");
  Bytes message(size);
  if (auto read = channel.read(message); !read) return read.error();
  return message;
}

Result<void> write_frame(TlsChannel& channel, ByteView message) {
  Bytes frame;
  frame.reserve(4 + message.size());
  for (unsigned shift = 0; shift < 32; shift += 8) frame.push_back(static_cast<std::byte>(message.size() >> shift));
  append(frame, message);
  auto written = channel.write(frame);
  wipe(frame);
  return written;
}

}  // namespace casemate::crypto
