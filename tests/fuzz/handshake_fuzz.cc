// The handshake engine against what a peer may send: a server without and a client with required proof, each fed the
// input in pieces. The random numbers are the library's, so only the unprotected part is reached in depth.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "crypto/testing/test_authority.h"
#include "crypto/tls_handshake.h"

namespace {

using namespace casemate::crypto;

TlsEndpoint make(TlsSide side) {
  const testing::TestAuthority authority;
  const testing::Leaf leaf = authority.issue();
  TlsEndpointSettings settings;
  settings.side = side;
  settings.certificate_chain = leaf.certificate;
  settings.private_key = leaf.key;
  settings.anchors = authority.certificate();
  settings.protocols = {"h2", "http/1.1"};
  settings.peer_proof = side == TlsSide::kServer ? TlsPeerProof::kNone : TlsPeerProof::kRequired;
  return TlsEndpoint::make(settings).value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const TlsEndpoint server = make(TlsSide::kServer), client = make(TlsSide::kClient);
  if (size == 0) return 0;
  const bool is_server = (data[0] & 1) != 0;
  const std::size_t piece = 1 + (data[0] >> 1) * 16;
  TlsHandshake handshake = TlsHandshake::start(is_server ? server : client, "server.test").value();
  if (!is_server && !handshake.advance({}).has_value()) std::abort();
  ByteView rest = std::as_bytes(std::span(data, size)).subspan(1);
  while (!rest.empty()) {
    const ByteView part = rest.first(std::min(piece, rest.size()));
    const auto progress = handshake.advance(part);
    static_cast<void>(handshake.take_output());
    if (!progress.has_value()) return 0;
    // Nobody without the keys completes one.
    if (progress.value() == TlsHandshake::Progress::kComplete) std::abort();
    rest = rest.subspan(part.size());
  }
  return 0;
}
