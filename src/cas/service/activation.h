// Activations: a service shows evidence, the CAS appraises it, writes verdict and release into the log, and only then
// answers with the configuration. Verification, substitution and key generation run outside of all locks, on the
// caller's thread; the session is checked again in the commit.
//
// What a hostile host or peer can do here -> what we answer
//   show evidence of another channel, time, service -> the bound value differs: refused
//   show a runtime's evidence, a program's, a debugger's -> purpose, caller checks, measurement: refused
//   ask for a service that is not its own           -> the measurement may fit; the configuration it gets is that
//                                                      service's, with its own program: selecting is no power
//   edit the stored session                         -> the row does not open (store.h)
//   be refused a thousand times                     -> one line each for the owner, bounded; nothing is written
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "attest/process_verifier.h"
#include "cas/service/records.h"
#include "cas/service/start_rules.h"
#include "cas/sessions/registry.h"
#include "protocol/provision.h"

namespace casemate::cas {

// For the owner, never for the attester.
struct ActivationRefusal {
  std::string reference;  // 16 hex digits: what the attester was told
  std::string session, service;
  std::string rule;              // what was not satisfied
  std::string expected, actual;  // may be empty
  std::string advice;
  std::uint64_t time = 0;  // milliseconds since 1970
};
// One line.
std::string describe(const ActivationRefusal& refusal);

// An activation whose service runs: by what it is judged again, and whether it has the newest files.
struct LiveActivation {
  std::string session, service;
  crypto::AgreementPublicKey runtime_key{};
  attest::VerificationResult verified;
  Digest evidence{};                // SHA-256
  std::vector<RowCheck> relied_on;  // the rows that the last look saw, as it saw them
  Digest files{};                   // SHA-256 of encode_files() of what the service was told last; zero: nothing
  std::uint64_t look_again = 0;     // milliseconds since 1970: a certificate is due by then; 0: at once
};

struct Activation {
  protocol::Configuration configuration;
  std::string receipt;                   // of the release
  Bytes holder;                          // names this activation in tag reports
  std::shared_ptr<InstancePlace> place;  // of a singleton: to be kept while its connection lives; null for others
  LiveActivation live;
};

// What evidence of hardware is judged by.
struct EvidenceBasis {
  const attest::TrustAnchors* anchors = &attest::vendor_anchors();
  std::shared_ptr<const attest::PreparedDcapCollateral> dcap;  // null: evidence of TDX is refused
  attest::SnpEndorsements snp;                                 // besides those that SNP machines send along
};

// Threads: any number at once.
class Activator {
 public:
  using Clock = std::function<std::uint64_t()>;
  using Refused = std::function<void(const ActivationRefusal&)>;

  // Store, sessions and anchors must outlive it. `refused` is called for every refusal, from any thread.
  Activator(Store& store, const SessionRegistry& sessions, Refused refused, EvidenceBasis basis = {},
            Clock clock = system_time)
      : store_(store),
        sessions_(sessions),
        refused_(std::move(refused)),
        basis_(std::move(basis)),
        clock_(std::move(clock)) {}

  // Blocks until verdict and release are durable. `bound`: what the evidence must carry. Errors are refusals: the
  // message is the reference.
  Result<Activation> activate(const protocol::ProvisionRequest& request, const crypto::Sha512Digest& bound);

  // Whether refresh() may find something new. Cheap: opens no row.
  bool is_outdated(const LiveActivation& live, const Snapshot& snapshot) const;
  bool is_due(const LiveActivation& live) const { return clock_() >= live.look_again; }
  // The newest injected files, when they are others than the service was told; with their generation, which
  // never falls unless the store was put back.
  // Certificates past half of their life are renewed. Durable and logged when it returns. Errors: kUsage when the
  // session allows the service no longer: the message is the reference of the refusal; kSystem when the files could not
  // be made, which is told to the owner and tried again after the next change.
  struct Refreshed {
    std::uint64_t generation = 0;
    std::vector<protocol::GrantedFile> files;
  };
  Result<std::optional<Refreshed>> refresh(LiveActivation& live);

  // A volume's newest position, by the activation that holds it. Durable when it returns. False: another activation
  // holds the volume now, or the position is older than the known one. Errors: kSystem.
  Result<bool> note_position(const std::string& session, const protocol::TagUpdate& update, ByteView holder);

  // From now on nothing is granted and no position is taken: this store must not be relied on. For good.
  void refuse_all(const std::string& why);

  // Of the last refusals; nullopt: too old, or never.
  std::optional<ActivationRefusal> why(const std::string& reference) const;

 private:
  std::string refuses_all() const;
  // Told to the owner; the reference.
  std::string refuse(ActivationRefusal refusal);

  Store& store_;
  const SessionRegistry& sessions_;
  Refused refused_;
  const EvidenceBasis basis_;
  Clock clock_;
  attest::NodeVerdicts node_verdicts_;  // by this basis
  InstanceWatch watch_;
  std::mutex contended_;  // held by whoever lost a race, for its next tries: losers must not race each other again
  mutable std::mutex mutex_;
  std::deque<ActivationRefusal> refusals_;
  std::string refuses_all_;  // why; empty: it does not
};

}  // namespace casemate::cas
