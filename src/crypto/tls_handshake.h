// Handshakes of TLS 1.3 (RFC 8446) over bytes that the caller carries, between peers that show certificates. When one
// is complete, it hands out the application traffic secrets and is done: records are somebody else's business
// (src/netshield/record). OpenSSL does the handshake and nothing after it.
//
// What a hostile peer or network can do here -> what we answer
//   show no, a wrong, expired, not yet valid or revoked certificate, or one for other names or another purpose
//                              -> the handshake fails with an alert, and says which
//   offer older versions only  -> protocol_version; nothing below 1.3 exists here, and no suites but AES-GCM's
//   speak plain text, garbage  -> fails at the first record
//   send without end           -> fails after kMostHandshakeBytes; certificates together may have 32 KiB
//   send slowly or never       -> the caller's time limit
//   resume with old tickets    -> tickets are bound to the endpoint object: after a rotation they are void, and the
//                                 handshake is a full one. The peer's certificate is looked at again in each case
//   renegotiate, early data, authentication later -> not offered
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/bytes.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

namespace casemate::crypto {

enum class TlsSide { kClient, kServer };
enum class TlsPeerProof { kRequired, kNone };
enum class TlsResumption { kOff, kTickets };

inline constexpr std::size_t kMostHandshakeBytes = 64 * 1024;

struct TlsEndpointSettings {
  TlsSide side = TlsSide::kServer;
  // PEM texts, as files and policies carry them. The chain: our certificate first, then intermediate ones. Servers need
  // both; clients may have neither.
  std::string certificate_chain;
  std::string private_key;
  // Whom we believe. With kRequired there must be anchors: a peer's chain must lead to one of them (they need not be
  // roots; a peer's own certificate will do).
  TlsPeerProof peer_proof = TlsPeerProof::kRequired;
  std::string anchors;           // PEM certificates
  std::string revocation_lists;  // PEM; if any is given, the issuer of each peer's certificate must have a current one
  // The peer's certificate must have one of these names (subjectAltName; DNS names match wildcards of the certificate,
  // URIs match exactly). Both empty: any name.
  std::vector<std::string> peer_dns_names, peer_uris;
  std::vector<std::string> protocols;  // ALPN, most wanted first; empty: not negotiated
  TlsResumption resumption = TlsResumption::kTickets;
};

// Settings that were checked and loaded. A new identity, anchor or revocation list is a new endpoint. Threads: any
// number; copies share.
class TlsEndpoint {
 public:
  // Errors: kFormat for texts that cannot be read, kUsage when parts do not fit together (key and certificate, a server
  // without identity, required proof without anchors); kSystem.
  static Result<TlsEndpoint> make(const TlsEndpointSettings& settings);

  struct State;

 private:
  friend class TlsHandshake;
  explicit TlsEndpoint(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

// Who is at the other end. Without a certificate all is empty.
struct TlsPeer {
  std::string common_name;
  std::vector<std::string> names;  // "dns:web.example", "uri:casemate://..."
  std::int64_t not_after = 0;      // seconds since 1970
  Sha256Digest certificate_digest{};
};

struct TlsOutcome {
  std::uint16_t suite = 0;                       // 0x1301 or 0x1302
  SecretBytes<48> client_secret, server_secret;  // application traffic secrets 0; 32 bytes of them with 0x1301
  std::uint64_t write_sequence = 0;              // records that take_output() has under our secret already
  Bytes leftover;                                // of the input, what came behind the handshake
  std::string protocol;                          // ALPN
  std::string server_name;                       // SNI, at the server
  bool is_resumed = false;
  TlsPeer peer;
};

// Threads: one at a time. Blocks: no.
class TlsHandshake {
 public:
  // `server_name`, for clients: goes out as SNI unless it is an address, and is the name under which tickets are kept.
  static Result<TlsHandshake> start(const TlsEndpoint& endpoint, std::string_view server_name = "");
  TlsHandshake(TlsHandshake&&) noexcept;
  TlsHandshake& operator=(TlsHandshake&&) noexcept;
  ~TlsHandshake();

  enum class Progress { kNeedsInput, kComplete };
  // Goes on with what came from the peer (empty for a client's first step). In every case take_output() follows, and
  // what it gives goes to the peer: after an error it is the alert. Errors: kFormat with the reason, for the log; then
  // the handshake is over.
  Result<Progress> advance(ByteView input);
  Bytes take_output();

  // Once, after kComplete.
  TlsOutcome take_outcome();
  // After take_outcome(), clients only: a record as it came, in the order of the connection from the first one on,
  // until the first with data. Keeps the session tickets in it for later handshakes of this endpoint. False: no more
  // wanted.
  bool take_ticket_record(ByteView record);

 private:
  struct State;
  explicit TlsHandshake(std::unique_ptr<State> state);
  Error failure() const;
  Result<void> check_resumed_peer() const;
  void collect_output();
  void complete();
  std::unique_ptr<State> state_;
};

}  // namespace casemate::crypto
