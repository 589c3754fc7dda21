#include "crypto/tls_handshake.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "crypto/tls_endpoint_state.h"

namespace casemate::crypto {
namespace {

using internal::OpensslPointer;
using CertificatePointer = OpensslPointer<X509, X509_free>;

constexpr std::uint8_t kHandshakeRecord = 22, kAlertRecord = 21, kProtectedRecord = 23;
constexpr std::size_t kRecordHeaderSize = 5;

Error refused(const char* what) { return Error(ErrorCategory::kSystem, what, EIO); }
Error failed(const std::string& why) { return Error(ErrorCategory::kFormat, "TLS handshake: " + why); }

bool is_address(const std::string& name) {
  unsigned char address[16];
  return inet_pton(AF_INET, name.c_str(), address) == 1 || inet_pton(AF_INET6, name.c_str(), address) == 1;
}

// The macro of the same purpose has an old-style cast.
long set_host_name(SSL* ssl, std::string name) {
  return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
}

// Records that are protected, of a sequence of whole ones.
std::uint64_t protected_records(ByteView records) {
  std::uint64_t count = 0;
  while (records.size() >= kRecordHeaderSize) {
    if (std::to_integer<std::uint8_t>(records[0]) == kProtectedRecord) ++count;
    const std::size_t size = std::to_integer<std::size_t>(records[3]) << 8 | std::to_integer<std::size_t>(records[4]);
    records = records.subspan(std::min(records.size(), kRecordHeaderSize + size));
  }
  return count;
}

std::int64_t seconds_of(const ASN1_TIME* time) {
  std::tm parts{};
  return time != nullptr && ASN1_TIME_to_tm(time, &parts) == 1 ? timegm(&parts) : 0;
}

TlsPeer describe(X509* certificate) {
  TlsPeer peer;
  if (certificate == nullptr) return peer;
  char common_name[256] = {};
  const int size =
      X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, common_name, sizeof(common_name));
  if (size > 0) peer.common_name.assign(common_name, static_cast<std::size_t>(size));
  peer.names = internal::names_of(certificate);
  peer.not_after = seconds_of(X509_get0_notAfter(certificate));
  unsigned der_size = 0;
  X509_digest(certificate, EVP_sha256(), reinterpret_cast<unsigned char*>(peer.certificate_digest.data()), &der_size);
  return peer;
}

// OpenSSL's words for what often happens.
struct Wording {
  int reason;
  const char* text;
};
constexpr Wording kWordings[] = {
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the peer shows no certificate"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "the peer offers no TLS 1.3"},
    {SSL_R_NO_SHARED_CIPHER, "the peer offers no AES-GCM suite of TLS 1.3"},
    {SSL_R_HTTP_REQUEST, "the peer speaks HTTP without TLS"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "the peer requires a certificate of ours"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the peer does not believe who issued our certificate"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the peer refuses TLS 1.3"},
    {SSL_R_EXCESSIVE_MESSAGE_SIZE, "the peer's certificates are too large"},
};

}  // namespace

struct TlsHandshake::State {
  std::shared_ptr<TlsEndpoint::State> endpoint;
  internal::HandshakeNotes notes;
  OpensslPointer<SSL, SSL_free> ssl;
  BIO* input = nullptr;  // the SSL's
  BIO* output = nullptr;
  std::size_t fed = 0;
  bool is_failed = false, is_complete = false;
  std::uint8_t first_byte = 0;
  Bytes out, last_step;
  TlsOutcome outcome;

  ~State() {
    // Otherwise OpenSSL declares the session, and tickets of it, unusable.
    if (ssl && is_complete) SSL_set_shutdown(ssl.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }
};

TlsHandshake::TlsHandshake(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsHandshake::TlsHandshake(TlsHandshake&&) noexcept = default;
TlsHandshake& TlsHandshake::operator=(TlsHandshake&&) noexcept = default;
TlsHandshake::~TlsHandshake() = default;

Result<TlsHandshake> TlsHandshake::start(const TlsEndpoint& endpoint, std::string_view server_name) {
  auto state = std::make_unique<State>();
  state->endpoint = endpoint.state_;
  state->notes.endpoint = endpoint.state_;
  state->notes.ticket_name = server_name;
  SSL* const ssl = SSL_new(endpoint.state_->context.get());
  state->ssl.reset(ssl);
  BIO* const input = BIO_new(BIO_s_mem());
  BIO* const output = BIO_new(BIO_s_mem());
  if (ssl == nullptr || input == nullptr || output == nullptr) {
    BIO_free(input);
    BIO_free(output);
    return refused("no memory for a TLS handshake");
  }
  BIO_set_mem_eof_return(input, -1);
  state->input = input;
  state->output = output;
  SSL_set_bio(ssl, input, output);
  SSL_set_app_data(ssl, &state->notes);
  if (endpoint.state_->side == TlsSide::kServer) {
    SSL_set_accept_state(ssl);
  } else {
    SSL_set_connect_state(ssl);
    const std::string& name = state->notes.ticket_name;
    const bool names_a_host = !name.empty() && !is_address(name);
    if (names_a_host && set_host_name(ssl, name) != 1) return refused("TLS: unusable server name");
    const internal::SessionPointer ticket = endpoint.state_->take_ticket(name);
    if (ticket) SSL_set_session(ssl, ticket.get());
  }
  return TlsHandshake(std::move(state));
}

void TlsHandshake::collect_output() {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(state_->output, &bytes);
  state_->last_step.clear();
  if (size <= 0) return;
  state_->last_step = to_bytes(std::as_bytes(std::span(bytes, static_cast<std::size_t>(size))));
  append(state_->out, state_->last_step);
  static_cast<void>(BIO_reset(state_->output));
}

Error TlsHandshake::failure() const {
  SSL* const ssl = state_->ssl.get();
  // Only if chains are checked: without that, a failed check has no consequence.
  if (const long verdict = SSL_get_verify_result(ssl);
      verdict != X509_V_OK && state_->endpoint->peer_proof == TlsPeerProof::kRequired) {
    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH) {
      const std::string& names = state_->notes.name_mismatch;
      return failed("the peer's certificate has none of the wanted names, but:" + (names.empty() ? " none" : names));
    }
    return failed(std::string("the peer's certificate: ") + X509_verify_cert_error_string(verdict));
  }
  if (state_->first_byte != kHandshakeRecord && state_->first_byte != kAlertRecord && state_->fed != 0) {
    return failed("the peer does not speak TLS");
  }
  const unsigned long code = ERR_peek_error();
  for (const Wording& wording : kWordings) {
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == wording.reason) return failed(wording.text);
  }
  const char* const reason = ERR_reason_error_string(code);
  return failed(reason != nullptr ? reason : "the peer breaks the protocol");
}

Result<TlsHandshake::Progress> TlsHandshake::advance(ByteView input) {
  State& state = *state_;
  if (state.is_failed || state.is_complete) return Error(ErrorCategory::kUsage, "TLS: this handshake is over");
  if (!input.empty()) {
    if (state.fed == 0) state.first_byte = std::to_integer<std::uint8_t>(input.front());
    state.fed += input.size();
    if (BIO_write(state.input, input.data(), static_cast<int>(input.size())) != static_cast<int>(input.size())) {
      return refused("no memory for a TLS handshake");
    }
  }
  ERR_clear_error();
  const int result = SSL_do_handshake(state.ssl.get());
  const int reason = SSL_get_error(state.ssl.get(), result);
  collect_output();
  if (result != 1 && reason != SSL_ERROR_WANT_READ) {
    state.is_failed = true;
    const Error error = failure();
    ERR_clear_error();
    return error;
  }
  const std::size_t used = state.fed - BIO_ctrl_pending(state.input);
  if (used > kMostHandshakeBytes || (result != 1 && state.fed > kMostHandshakeBytes)) {
    state.is_failed = true;
    return failed("the peer sends more than a handshake needs");
  }
  if (result != 1) return Progress::kNeedsInput;
  if (auto checked = check_resumed_peer(); !checked) {
    state.is_failed = true;
    return checked.error();
  }
  complete();
  if (!state.notes.has_client_secret || !state.notes.has_server_secret) {
    state.is_failed = true;
    return refused("TLS: the library gives no secrets");
  }
  return Progress::kComplete;
}

// A ticket proves that the peer was good when it was given.
Result<void> TlsHandshake::check_resumed_peer() const {
  const State& state = *state_;
  if (SSL_session_reused(state.ssl.get()) != 1 || state.endpoint->peer_proof == TlsPeerProof::kNone) return {};
  const CertificatePointer certificate(SSL_get1_peer_certificate(state.ssl.get()));
  if (!certificate) return failed("a resumed session without the peer's certificate");
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) <= 0) {
    return failed("the peer's certificate: certificate has expired");
  }
  if (!internal::has_wanted_name(*state.endpoint, certificate.get())) {
    return failed("the peer's certificate has none of the wanted names");
  }
  return {};
}

void TlsHandshake::complete() {
  State& state = *state_;
  SSL* const ssl = state.ssl.get();
  TlsOutcome& outcome = state.outcome;
  state.is_complete = true;
  outcome.suite = static_cast<std::uint16_t>(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl)));
  outcome.client_secret = std::move(state.notes.client_secret);
  outcome.server_secret = std::move(state.notes.server_secret);
  // What a server sends in the step that takes the client's Finished is protected by the application's secret already.
  outcome.write_sequence = state.endpoint->side == TlsSide::kServer ? protected_records(state.last_step) : 0;
  char* bytes = nullptr;
  if (const long left = BIO_get_mem_data(state.input, &bytes); left > 0) {
    outcome.leftover = to_bytes(std::as_bytes(std::span(bytes, static_cast<std::size_t>(left))));
    static_cast<void>(BIO_reset(state.input));
  }
  const unsigned char* protocol = nullptr;
  unsigned protocol_size = 0;
  SSL_get0_alpn_selected(ssl, &protocol, &protocol_size);
  outcome.protocol.assign(reinterpret_cast<const char*>(protocol), protocol_size);
  const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name != nullptr) outcome.server_name = name;
  outcome.is_resumed = SSL_session_reused(ssl) == 1;
  outcome.peer = describe(CertificatePointer(SSL_get1_peer_certificate(ssl)).get());
}

Bytes TlsHandshake::take_output() { return std::exchange(state_->out, {}); }

TlsOutcome TlsHandshake::take_outcome() { return std::move(state_->outcome); }

bool TlsHandshake::take_ticket_record(ByteView record) {
  State& state = *state_;
  if (!state.is_complete || state.is_failed || state.endpoint->side != TlsSide::kClient) return false;
  ERR_clear_error();
  // Tickets are taken within SSL_read, which has nothing for us then.
  char nothing = 0;
  std::size_t got = 0;
  const bool fed =
      BIO_write(state.input, record.data(), static_cast<int>(record.size())) == static_cast<int>(record.size());
  const int result = fed ? SSL_read_ex(state.ssl.get(), &nothing, sizeof(nothing), &got) : 1;
  const bool goes_on = result != 1 && SSL_get_error(state.ssl.get(), result) == SSL_ERROR_WANT_READ;
  state.is_failed = !goes_on;
  ERR_clear_error();
  return goes_on;
}

}  // namespace casemate::crypto
