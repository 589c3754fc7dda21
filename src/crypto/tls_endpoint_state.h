// What tls_endpoint.cc makes and tls_handshake.cc uses. Not for others.
#pragma once

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "crypto/tls_handshake.h"

namespace casemate::crypto {

namespace internal {

template <auto kFree>
struct OpensslDeleter {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
template <typename T, auto kFree>
using OpensslPointer = std::unique_ptr<T, OpensslDeleter<kFree>>;
using SessionPointer = OpensslPointer<SSL_SESSION, SSL_SESSION_free>;

// What SSL_get_app_data of a handshake's SSL gives to OpenSSL's callbacks.
struct HandshakeNotes {
  std::shared_ptr<void> endpoint;  // keeps it alive
  SecretBytes<48> client_secret, server_secret;
  bool has_client_secret = false, has_server_secret = false;
  std::string ticket_name;
  std::string name_mismatch;  // the peer's names, when none was wanted
};

}  // namespace internal

struct TlsEndpoint::State {
  internal::OpensslPointer<SSL_CTX, SSL_CTX_free> context;
  TlsSide side = TlsSide::kServer;
  TlsPeerProof peer_proof = TlsPeerProof::kRequired;
  std::vector<std::string> peer_dns_names, peer_uris;
  std::vector<unsigned char> protocols;  // in the wire's form

  // Clients' tickets: the newest per name, used once.
  static constexpr std::size_t kMostTickets = 1024;
  std::mutex tickets_mutex;
  std::map<std::string, internal::SessionPointer> tickets;

  void keep_ticket(const std::string& name, internal::SessionPointer session);
  internal::SessionPointer take_ticket(const std::string& name);
};

namespace internal {

// "dns:..." and "uri:..." of a certificate's subjectAltName.
std::vector<std::string> names_of(const X509* certificate);
// Whether the certificate has one of the wanted names; true when none is wanted.
bool has_wanted_name(const TlsEndpoint::State& endpoint, X509* certificate);

}  // namespace internal

}  // namespace casemate::crypto
