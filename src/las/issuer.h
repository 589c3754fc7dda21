// Makes evidence: a signed statement and, on confidential virtual machines, the node part that vouches for the key.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

#include "base/result.h"
#include "crypto/bytes.h"
#include "crypto/signature.h"
#include "evidence/simulation.h"

namespace casemate::las {

// What hardware says about `report_data`.
struct NodeQuote {
  crypto::Bytes quote;
  crypto::Bytes auxiliary;
};
using QuoteNode = std::function<Result<NodeQuote>(const evidence::Digest64& report_data)>;

// Threads: any. A node quote that is too old is renewed by the caller that finds it so, with that caller's nonce;
// others wait for it.
class Issuer {
 public:
  // `quote_node`: empty with simulation, required otherwise. `renew_after`: how old a node quote may become.
  Issuer(crypto::PrivateKey key, evidence::LasBackend backend, QuoteNode quote_node, std::chrono::seconds renew_after)
      : key_(std::move(key)),
        key_id_(evidence::las_key_id(key_.public_key())),
        backend_(backend),
        quote_node_(std::move(quote_node)),
        renew_after_(renew_after) {}

  struct Subject {
    evidence::StatementPurpose purpose;
    std::uint32_t caller_checks = 0;
    evidence::Digest32 measurement = {};
    crypto::ByteView nonce;
  };
  // Serialized evidence. Blocks while the node's quote is made. Errors: those of the hardware.
  Result<crypto::Bytes> issue(const Subject& subject);

  evidence::LasBackend backend() const { return backend_; }
  const evidence::Digest32& key_id() const { return key_id_; }
  const crypto::PublicKey& public_key() const { return key_.public_key(); }
  // When the node's quote was made; 0: not yet, or simulation.
  std::uint64_t node_issued_at() const;

 private:
  Result<std::optional<evidence::NodePart>> node_part(const evidence::Digest64& nonce_digest);

  crypto::PrivateKey key_;
  evidence::Digest32 key_id_;
  evidence::LasBackend backend_;
  QuoteNode quote_node_;
  std::chrono::seconds renew_after_;
  mutable std::mutex mutex_;
  std::optional<evidence::NodePart> node_;
  std::chrono::steady_clock::time_point node_made_;
};

}  // namespace casemate::las
