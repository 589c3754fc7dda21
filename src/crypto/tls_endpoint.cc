// Loading of identities, anchors and revocation lists, and the callbacks with which OpenSSL asks us.
#include <openssl/err.h>
#include <openssl/pem.h>

#include <cstring>

#include "crypto/tls_endpoint_state.h"

namespace casemate::crypto {
namespace {

using internal::HandshakeNotes;
using internal::OpensslPointer;
using internal::SessionPointer;

using BioPointer = OpensslPointer<BIO, BIO_free>;
using KeyPointer = OpensslPointer<EVP_PKEY, EVP_PKEY_free>;
using CertificatePointer = OpensslPointer<X509, X509_free>;
using ListPointer = OpensslPointer<X509_CRL, X509_CRL_free>;

constexpr const char* kSuites = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256";
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr long kMostCertificateBytes = 32 * 1024;
constexpr long kTicketSeconds = 3600;

Error refused(const char* what) { return Error(ErrorCategory::kSystem, what, EIO); }
Error unreadable(const std::string& what) {
  return Error(ErrorCategory::kFormat, "TLS: " + what + " cannot be read; it must be PEM text");
}

BioPointer over(const std::string& text) {
  return BioPointer(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// No prompt for passwords of encrypted keys.
int no_password(char*, int, int, void*) { return 0; }

bool ended_at_the_end() {
  const unsigned long code = ERR_peek_last_error();
  const bool ended = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  return ended;
}

// All blocks of a text. `read` takes a BIO and gives an object or null.
template <typename Pointer, typename Read>
Result<std::vector<Pointer>> read_blocks(const std::string& text, const char* what, Read read) {
  std::vector<Pointer> blocks;
  const BioPointer file = over(text);
  if (!file) return refused("no memory for TLS");
  ERR_clear_error();
  for (;;) {
    Pointer block(read(file.get()));
    if (!block) break;
    blocks.push_back(std::move(block));
  }
  if (!ended_at_the_end()) return unreadable(what);
  return blocks;
}

Result<std::vector<CertificatePointer>> read_certificates(const std::string& text, const char* what) {
  return read_blocks<CertificatePointer>(
      text, what, [](BIO* file) { return PEM_read_bio_X509(file, nullptr, no_password, nullptr); });
}

Result<std::vector<ListPointer>> read_lists(const std::string& text) {
  return read_blocks<ListPointer>(text, "the revocation lists",
                                  [](BIO* file) { return PEM_read_bio_X509_CRL(file, nullptr, no_password, nullptr); });
}

Result<void> load_identity(SSL_CTX* context, const TlsEndpointSettings& settings) {
  const bool is_server = settings.side == TlsSide::kServer;
  if (settings.certificate_chain.empty() && settings.private_key.empty() && !is_server) return {};
  auto chain = CASEMATE_TRY(read_certificates(settings.certificate_chain, "the certificate"));
  const BioPointer file = over(settings.private_key);
  const KeyPointer key(PEM_read_bio_PrivateKey(file.get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  if (chain.empty() || !key) {
    return Error(ErrorCategory::kUsage, "TLS: an identity is a certificate and its unencrypted private key, in PEM");
  }
  if (SSL_CTX_use_certificate(context, chain.front().get()) != 1) {
    return Error(ErrorCategory::kUsage, "TLS: the certificate's key is too weak or of an unknown kind");
  }
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) return refused("TLS: a certificate of the chain");
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    ERR_clear_error();
    return Error(ErrorCategory::kUsage, "TLS: the private key is not that of the certificate");
  }
  return {};
}

Result<void> load_anchors(SSL_CTX* context, const TlsEndpointSettings& settings) {
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  const auto anchors = CASEMATE_TRY(read_certificates(settings.anchors, "the trust anchors"));
  if (settings.peer_proof == TlsPeerProof::kRequired && anchors.empty()) {
    return Error(ErrorCategory::kUsage, "TLS: peers must prove who they are, but there are no trust anchors");
  }
  for (const CertificatePointer& anchor : anchors) {
    if (X509_STORE_add_cert(store, anchor.get()) != 1) return refused("TLS: cannot keep a trust anchor");
  }
  const auto lists = CASEMATE_TRY(read_lists(settings.revocation_lists));
  for (const ListPointer& list : lists) {
    if (X509_STORE_add_crl(store, list.get()) != 1) return refused("TLS: cannot keep a revocation list");
  }
  // An anchor may be any certificate, not only a root.
  unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
  if (!lists.empty()) flags |= X509_V_FLAG_CRL_CHECK;
  if (X509_STORE_set_flags(store, flags) != 1) return refused("TLS: cannot set how chains are checked");
  return {};
}

Result<std::vector<unsigned char>> wire_protocols(const std::vector<std::string>& protocols) {
  std::vector<unsigned char> wire;
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255) {
      return Error(ErrorCategory::kUsage, "TLS: an ALPN protocol has 1 to 255 bytes");
    }
    wire.push_back(static_cast<unsigned char>(protocol.size()));
    wire.insert(wire.end(), protocol.begin(), protocol.end());
  }
  return wire;
}

// ---- callbacks ------------------------------------------------------------------------------------------------------

HandshakeNotes& notes_of(const SSL* ssl) { return *static_cast<HandshakeNotes*>(SSL_get_app_data(ssl)); }
TlsEndpoint::State& endpoint_of(const SSL* ssl) {
  return *static_cast<TlsEndpoint::State*>(notes_of(ssl).endpoint.get());
}

int digit(char letter) {
  if (letter >= '0' && letter <= '9') return letter - '0';
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

// "<label> <client random in hex> <secret in hex>"
void on_secret(const SSL* ssl, const char* line) {
  HandshakeNotes& notes = notes_of(ssl);
  const std::string_view text(line);
  SecretBytes<48>* target = nullptr;
  bool* known = nullptr;
  if (text.starts_with("CLIENT_TRAFFIC_SECRET_0 ")) target = &notes.client_secret, known = &notes.has_client_secret;
  if (text.starts_with("SERVER_TRAFFIC_SECRET_0 ")) target = &notes.server_secret, known = &notes.has_server_secret;
  if (target == nullptr) return;
  const std::string_view digits = text.substr(text.rfind(' ') + 1);
  const auto out = target->expose_for_writing();
  if (digits.size() % 2 != 0 || digits.size() / 2 > out.size()) return;
  for (std::size_t i = 0; i < digits.size() / 2; ++i) {
    const int high = digit(digits[2 * i]), low = digit(digits[2 * i + 1]);
    if (high < 0 || low < 0) return;
    out[i] = static_cast<std::byte>(high * 16 + low);
  }
  *known = true;
}

int on_verify(int is_good, X509_STORE_CTX* chain) {
  if (is_good != 1 || X509_STORE_CTX_get_error_depth(chain) != 0) return is_good;
  const auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  X509* const certificate = X509_STORE_CTX_get_current_cert(chain);
  if (internal::has_wanted_name(endpoint_of(ssl), certificate)) return 1;
  for (const std::string& name : internal::names_of(certificate)) notes_of(ssl).name_mismatch += " " + name;
  X509_STORE_CTX_set_error(chain, X509_V_ERR_HOSTNAME_MISMATCH);
  return 0;
}

int on_protocols(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                 unsigned in_size, void*) {
  const std::vector<unsigned char>& ours = endpoint_of(ssl).protocols;
  unsigned char* chosen = nullptr;
  const int found =
      SSL_select_next_proto(&chosen, out_size, ours.data(), static_cast<unsigned>(ours.size()), in, in_size);
  if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int on_ticket(SSL* ssl, SSL_SESSION* session) {
  endpoint_of(ssl).keep_ticket(notes_of(ssl).ticket_name, SessionPointer(session));
  return 1;  // the session is ours now
}

bool set_up_resumption(SSL_CTX* context, const TlsEndpointSettings& settings) {
  const bool wanted = settings.resumption == TlsResumption::kTickets;
  const bool is_client = settings.side == TlsSide::kClient;
  SSL_CTX_set_session_cache_mode(
      context, wanted && is_client ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, kTicketSeconds);
  if (is_client) {
    if (wanted) SSL_CTX_sess_set_new_cb(context, on_ticket);
    return true;
  }
  static constexpr unsigned char kSessionContext[] = "casemate";
  if (!wanted) SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  return SSL_CTX_set_num_tickets(context, wanted ? 1 : 0) == 1 &&
         SSL_CTX_set_session_id_context(context, kSessionContext, sizeof(kSessionContext) - 1) == 1;
}

Result<void> set_up(SSL_CTX* context, const TlsEndpointSettings& settings, const TlsEndpoint::State& state) {
  SSL_CTX_set_security_level(context, 2);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_max_cert_list(context, kMostCertificateBytes);
  SSL_CTX_set_keylog_callback(context, on_secret);
  if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1 || SSL_CTX_set_ciphersuites(context, kSuites) != 1 ||
      SSL_CTX_set1_groups_list(context, kGroups) != 1 || !set_up_resumption(context, settings)) {
    return refused("TLS 1.3 is not available");
  }
  int mode = SSL_VERIFY_NONE;
  if (settings.peer_proof == TlsPeerProof::kRequired) mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(context, mode, on_verify);
  if (state.protocols.empty()) return {};
  if (settings.side == TlsSide::kServer) {
    SSL_CTX_set_alpn_select_cb(context, on_protocols, nullptr);
  } else if (SSL_CTX_set_alpn_protos(context, state.protocols.data(), static_cast<unsigned>(state.protocols.size())) !=
             0) {
    return refused("TLS: cannot offer the protocols");
  }
  return {};
}

}  // namespace

namespace internal {

std::vector<std::string> names_of(const X509* certificate) {
  std::vector<std::string> names;
  const OpensslPointer<GENERAL_NAMES, GENERAL_NAMES_free> list(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; list && i < sk_GENERAL_NAME_num(list.get()); ++i) {
    int type = 0;
    const void* const value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(list.get(), i), &type);
    if (type != GEN_DNS && type != GEN_URI) continue;
    const auto* text = static_cast<const ASN1_STRING*>(value);
    std::string name = type == GEN_DNS ? "dns:" : "uri:";
    name.append(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                static_cast<std::size_t>(ASN1_STRING_length(text)));
    names.push_back(std::move(name));
  }
  return names;
}

bool has_wanted_name(const TlsEndpoint::State& endpoint, X509* certificate) {
  if (endpoint.peer_dns_names.empty() && endpoint.peer_uris.empty()) return true;
  constexpr unsigned kFlags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
  for (const std::string& name : endpoint.peer_dns_names) {
    if (X509_check_host(certificate, name.data(), name.size(), kFlags, nullptr) == 1) return true;
  }
  const std::vector<std::string> shown = names_of(certificate);
  for (const std::string& uri : endpoint.peer_uris) {
    for (const std::string& name : shown) {
      if (name == "uri:" + uri) return true;
    }
  }
  return false;
}

}  // namespace internal

void TlsEndpoint::State::keep_ticket(const std::string& name, SessionPointer session) {
  const std::lock_guard lock(tickets_mutex);
  if (tickets.size() >= kMostTickets && !tickets.contains(name)) tickets.erase(tickets.begin());
  tickets[name] = std::move(session);
}

SessionPointer TlsEndpoint::State::take_ticket(const std::string& name) {
  const std::lock_guard lock(tickets_mutex);
  const auto found = tickets.find(name);
  if (found == tickets.end()) return nullptr;
  SessionPointer session = std::move(found->second);
  tickets.erase(found);
  return session;
}

Result<TlsEndpoint> TlsEndpoint::make(const TlsEndpointSettings& settings) {
  auto state = std::make_shared<State>();
  state->context.reset(SSL_CTX_new(settings.side == TlsSide::kServer ? TLS_server_method() : TLS_client_method()));
  if (!state->context) return refused("TLS 1.3 is not available");
  state->side = settings.side;
  state->peer_proof = settings.peer_proof;
  state->peer_dns_names = settings.peer_dns_names;
  state->peer_uris = settings.peer_uris;
  state->protocols = CASEMATE_TRY(wire_protocols(settings.protocols));
  if (auto done = set_up(state->context.get(), settings, *state); !done) return done.error();
  if (auto done = load_identity(state->context.get(), settings); !done) return done.error();
  if (auto done = load_anchors(state->context.get(), settings); !done) return done.error();
  ERR_clear_error();
  return TlsEndpoint(std::move(state));
}

}  // namespace casemate::crypto
