#include "crypto/testing/openssl_peer.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <cstdlib>

namespace casemate::crypto::testing {
namespace {

void require(bool good) {
  if (!good) std::abort();
}

BIO* over(const std::string& text) { return BIO_new_mem_buf(text.data(), static_cast<int>(text.size())); }

X509* certificate_from(const std::string& text) {
  BIO* const file = over(text);
  X509* const certificate = PEM_read_bio_X509(file, nullptr, nullptr, nullptr);
  BIO_free(file);
  require(certificate != nullptr);
  return certificate;
}

void use_identity(SSL_CTX* context, const OpensslPeerSettings& settings) {
  X509* const certificate = certificate_from(settings.certificate);
  BIO* const file = over(settings.key);
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(file, nullptr, nullptr, nullptr);
  require(SSL_CTX_use_certificate(context, certificate) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1);
  BIO_free(file);
  EVP_PKEY_free(key);
  X509_free(certificate);
}

int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
                    void* argument) {
  const auto& ours = *static_cast<const std::string*>(argument);
  const std::string wire = std::string(1, static_cast<char>(ours.size())) + ours;
  unsigned char* chosen = nullptr;
  const int found = SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(wire.data()),
                                          static_cast<unsigned>(wire.size()), in, in_size);
  if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *out = in + 1;  // the tests offer one
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

struct OpensslPeer::State {
  OpensslPeerSettings settings;
  SSL_CTX* context = nullptr;
  SSL* ssl = nullptr;
  BIO *input = nullptr, *output = nullptr;
  SSL_SESSION* session = nullptr;
  std::string error;

  Bytes drain() {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(output, &bytes);
    const Bytes all = to_bytes(std::as_bytes(std::span(bytes, static_cast<std::size_t>(size < 0 ? 0 : size))));
    static_cast<void>(BIO_reset(output));
    return all;
  }
  void feed(ByteView in) {
    if (!in.empty()) require(BIO_write(input, in.data(), static_cast<int>(in.size())) == static_cast<int>(in.size()));
  }
  void note(int result) {
    const int reason = SSL_get_error(ssl, result);
    if (reason != SSL_ERROR_SSL && reason != SSL_ERROR_SYSCALL) return;
    const char* const text = ERR_reason_error_string(ERR_peek_error());
    error = text != nullptr ? text : "unknown";
    ERR_clear_error();
  }
};

OpensslPeer::OpensslPeer(const OpensslPeerSettings& settings) : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.settings = settings;
  SSL_CTX* const context = SSL_CTX_new(settings.is_server ? TLS_server_method() : TLS_client_method());
  state.context = context;
  if (!settings.certificate.empty()) use_identity(context, settings);
  if (!settings.anchors.empty()) {
    X509* const anchor = certificate_from(settings.anchors);
    require(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), anchor) == 1);
    X509_free(anchor);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  if (!settings.suites.empty()) require(SSL_CTX_set_ciphersuites(context, settings.suites.c_str()) == 1);
  if (settings.largest_version != 0) require(SSL_CTX_set_max_proto_version(context, settings.largest_version) == 1);
  if (settings.is_server) {
    SSL_CTX_set_num_tickets(context, static_cast<std::size_t>(settings.ticket_count));
    const unsigned char id[] = "peer";
    SSL_CTX_set_session_id_context(context, id, sizeof(id));
    if (!settings.protocol.empty()) SSL_CTX_set_alpn_select_cb(context, choose_protocol, &state.settings.protocol);
  }
  SSL_CTX_set_block_padding(context, settings.padding);
  SSL* const ssl = SSL_new(context);
  state.ssl = ssl;
  state.input = BIO_new(BIO_s_mem());
  state.output = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(state.input, -1);
  SSL_set_bio(ssl, state.input, state.output);
  if (settings.is_server) {
    SSL_set_accept_state(ssl);
    return;
  }
  SSL_set_connect_state(ssl);
  std::string name = settings.server_name;
  if (!name.empty()) SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
  if (!settings.protocol.empty()) {
    const std::string wire = std::string(1, static_cast<char>(settings.protocol.size())) + settings.protocol;
    SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(wire.data()), static_cast<unsigned>(wire.size()));
  }
}

OpensslPeer::~OpensslPeer() {
  SSL_SESSION_free(state_->session);
  SSL_free(state_->ssl);
  SSL_CTX_free(state_->context);
}

Bytes OpensslPeer::shake_hands(ByteView in) {
  state_->feed(in);
  state_->note(SSL_do_handshake(state_->ssl));
  return state_->drain();
}

bool OpensslPeer::is_connected() const { return SSL_is_init_finished(state_->ssl) == 1 && state_->error.empty(); }

Bytes OpensslPeer::write(ByteView data) {
  std::size_t put = 0;
  const int result = SSL_write_ex(state_->ssl, data.data(), data.size(), &put);
  if (result != 1) state_->note(result);
  return state_->drain();
}

Bytes OpensslPeer::read(ByteView in, Bytes& out) {
  state_->feed(in);
  Bytes data;
  for (;;) {
    std::byte buffer[16384];
    std::size_t got = 0;
    const int result = SSL_read_ex(state_->ssl, buffer, sizeof(buffer), &got);
    if (result != 1) {
      state_->note(result);
      break;
    }
    append(data, std::span(buffer, got));
  }
  append(out, state_->drain());
  return data;
}

Bytes OpensslPeer::update_key(bool asks_for_peers) {
  SSL_key_update(state_->ssl, asks_for_peers ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
  state_->note(SSL_do_handshake(state_->ssl));
  return state_->drain();
}

Bytes OpensslPeer::shut_down() {
  SSL_shutdown(state_->ssl);
  ERR_clear_error();
  return state_->drain();
}

bool OpensslPeer::has_end() const { return (SSL_get_shutdown(state_->ssl) & SSL_RECEIVED_SHUTDOWN) != 0; }
const std::string& OpensslPeer::error() const { return state_->error; }
bool OpensslPeer::is_resumed() const { return SSL_session_reused(state_->ssl) == 1; }

std::string OpensslPeer::protocol() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(state_->ssl, &name, &size);
  return std::string(reinterpret_cast<const char*>(name), size);
}

void OpensslPeer::take_session_from(OpensslPeer& other) {
  SSL_set_shutdown(other.state_->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_SESSION* const session = SSL_get1_session(other.state_->ssl);
  SSL_set_session(state_->ssl, session);
  SSL_SESSION_free(session);
}

}  // namespace casemate::crypto::testing
