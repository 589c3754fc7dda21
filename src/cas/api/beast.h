// The HTTP library (Boost.Beast, header only) with what both users of it want; includes take seconds to compile, so
// only http_server.cc and http_client.cc have this one. Private to cas/api.
#pragma once

#define BOOST_ERROR_CODE_HEADER_ONLY
#define BOOST_BEAST_USE_STD_STRING_VIEW
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <string>
#include <utility>

#include "base/result.h"
#include "crypto/bytes.h"
#include "crypto/certificate.h"
#include "crypto/hash.h"

namespace casemate::cas::internal {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Tcp = asio::ip::tcp;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;
using ErrorCode = beast::error_code;

// The peer's certificate, DER; empty when it showed none.
inline crypto::Bytes peer_certificate(TlsStream& stream) {
  X509* const certificate = SSL_get1_peer_certificate(stream.native_handle());
  if (certificate == nullptr) return {};
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  crypto::Bytes bytes;
  if (size > 0) bytes.assign(reinterpret_cast<std::byte*>(der), reinterpret_cast<std::byte*>(der) + size);
  OPENSSL_free(der);
  X509_free(certificate);
  return bytes;
}

// SHA-256 of its SubjectPublicKeyInfo in hex digits; empty for what we cannot read.
inline std::string key_hash_of(const crypto::Bytes& certificate_der) {
  const auto certificate = crypto::Certificate::from_der(certificate_der);
  if (!certificate) return "";
  return crypto::to_hex(crypto::sha256(certificate.value().subject_public_key_info()));
}

// "127.0.0.1:8900", "[::1]:8900", "localhost:8900".
inline Result<Tcp::endpoint> endpoint_of(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  std::string host = colon == std::string::npos ? "" : address.substr(0, colon);
  const std::string port = colon == std::string::npos ? "" : address.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  ErrorCode code;
  const auto ip = asio::ip::make_address(host, code);
  const bool is_port = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  if (code || !is_port || std::stoul(port) > 65535) {
    return Error(ErrorCategory::kUsage, "'" + address + "' is no address: write IP:PORT, for example 127.0.0.1:8900");
  }
  return Tcp::endpoint(ip, static_cast<unsigned short>(std::stoul(port)));
}

// TLS 1.3 only, nothing is resumed, no early data, peers are known by their keys.
inline void make_strict(asio::ssl::context& context) {
  SSL_CTX* const raw = context.native_handle();
  SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  context.set_verify_callback([](bool, asio::ssl::verify_context&) { return true; });
}

}  // namespace casemate::cas::internal
