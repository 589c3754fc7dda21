// How the root key of the store is got at its start: named methods, each with slots in the store that wrap the root.
//
// What a hostile disk or host can do here -> what we answer
//   read the slots               -> they hold the root only encrypted; how strongly, the method's label says
//   change or swap slots         -> the root does not come out
//   guess passphrases            -> scrypt makes each guess cost 64 MiB; a weak one still falls: development only
//   read a key file (root can)   -> opens everything: development only; a TEE's or TPM's method closes that
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cas/store/sealing.h"
#include "cas/store/shamir.h"
#include "crypto/key_agreement.h"

namespace casemate::cas {

using RootKey = crypto::SecretBytes<32>;

struct UnsealSlot {
  std::string kind;
  Bytes parameters;  // the method's own, in the clear
  Bytes wrapped;     // root key, encrypted under what the method yields
};

// One way to the root key. Later ones (TPM with a PCR policy, SGX seal key, SNP derived key, attested peer) are further
// implementations. Threads: one at a time.
class UnsealMethod {
 public:
  virtual ~UnsealMethod() = default;
  // "key-file", ...: what slots are told apart by, and what evidence of the CAS names.
  virtual const char* kind() const = 0;
  // One line for people: what the method is worth.
  virtual const char* promise() const = 0;
  // A new slot for `root`. Errors: kSystem; kUsage when the method only recovers.
  virtual Result<UnsealSlot> protect(const RootKey& root) = 0;
  // Errors: kFormat when this method's secret does not open the slot.
  virtual Result<RootKey> recover(const UnsealSlot& slot) = 0;
};

// 32 random bytes in a file (raw or 64 hex digits) of mode 0600 or 0400. Errors of the makers: kSystem, kUsage
// (permissions), kFormat.
Result<std::unique_ptr<UnsealMethod>> unseal_with_key_file(const std::string& path);
// Makes the file first, never over an existing one.
Result<std::unique_ptr<UnsealMethod>> unseal_with_new_key_file(const std::string& path);

std::unique_ptr<UnsealMethod> unseal_with_passphrase(SecretValue passphrase);

// A share as it stands in the slot: encrypted to its holder.
struct SealedShare {
  std::uint8_t number = 0;
  crypto::AgreementPublicKey holder{};
  Bytes box;
};

// Protects only: splits among `holders`, any `threshold` of whom can recover. Nobody ever sees a share of another.
std::unique_ptr<UnsealMethod> split_among_holders(std::vector<crypto::AgreementPublicKey> holders, unsigned threshold);
// Recovers only.
std::unique_ptr<UnsealMethod> unseal_with_shares(std::vector<SecretShare> shares);

struct ShareSlot {
  unsigned threshold = 0;
  std::vector<SealedShare> shares;
};
// What a slot of kind "shares" holds. Errors: kFormat.
Result<ShareSlot> read_share_slot(const UnsealSlot& slot);
// What a holder does with the sealed share that carries his public key. Errors: kFormat.
Result<SecretShare> open_share(const SealedShare& share, const crypto::AgreementKey& holder);

}  // namespace casemate::cas
