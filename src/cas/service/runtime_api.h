// The runtime API of the CAS: accepts services and keeps their connections for as long as they run. A conversation has
// a thread while somebody waits for its answer; between messages a connection is only watched. What changes in the
// store meanwhile reaches the services that it concerns within RuntimeApiLimits::look: new contents of injected files,
// and that the session allows a service no longer. docs/formats/provisioning.md has the conversation,
// protocol/provision.h the messages.
//
// What a hostile peer can do here -> what we answer
//   connect and wait                -> ten seconds until its request is there; a bounded number that have not shown
//                                      evidence yet, of which the oldest is dropped for a new one. Never per address
//   send anything                   -> sizes are limited before anything is proved; decoders take exact messages only
//   report tags of others' volumes  -> only of its own session, and only while its activation holds the volume
//   begin a message and stop        -> a limited time for the rest of it, and a limited number of threads
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cas/service/activation.h"
#include "cas/service/event_workers.h"
#include "crypto/tls_channel.h"

namespace casemate::cas {

struct RuntimeApiLimits {
  std::chrono::milliseconds nonce_lifetime{10'000};
  std::size_t unproved = 256;  // connections that have not shown evidence yet
  std::size_t connections = 8192;
  std::chrono::milliseconds look{100};  // between two looks at what running services rely on
};

// Threads: any number at once; serve() once per listener.
class RuntimeApi {
 public:
  // All must outlive it.
  RuntimeApi(Store& store, Activator& activator, const crypto::TlsIdentity& identity, RuntimeApiLimits limits = {});
  ~RuntimeApi();

  // Blocks until `stop` is readable. Errors: kSystem when accepting fails for good.
  Result<void> serve(UniqueFd listener, int stop);

  std::size_t connection_count() const;
  std::uint64_t activation_count() const { return activations_; }
  std::uint64_t push_count() const { return pushes_; }
  std::uint64_t revocation_count() const { return revocations_; }

 private:
  using Id = std::uint64_t;
  static constexpr Id kListenerId = 0, kFirstId = 1;
  struct Parked {
    std::unique_ptr<crypto::TlsChannel> channel;
    Bytes holder;
    std::shared_ptr<const LiveActivation> live;
    std::shared_ptr<InstancePlace> place;  // of a singleton
  };
  struct Connection {
    int socket = -1;  // of whoever talks; valid as long as this is listed
    bool given_up = false, is_outdated = false;
    Parked parked;  // while nobody talks
  };

  void handle(Id id, std::uint32_t events);
  void accept_all();
  void hand_over(Id id, UniqueFd socket);
  // Nothing when there are too many.
  std::optional<Id> list(int socket);
  void unlist(Id id);
  void converse(Id id, UniqueFd socket);
  bool greet(Id id, UniqueFd socket, Parked& parked);
  void prove(Id id, int socket);
  void park(Id id, Parked parked);
  void go_on(Id id);
  Result<void> answer_tag(const Parked& parked);
  void look_around();
  bool push(Parked& parked);
  void end_all();

  Store& store_;
  Activator& activator_;
  const crypto::TlsIdentity& identity_;
  RuntimeApiLimits limits_;
  std::atomic<std::uint64_t> activations_ = 0, pushes_ = 0, revocations_ = 0;
  crypto::HolderSealer sealer_;
  UniqueFd listener_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Id next_id_ = kFirstId;
  std::map<Id, Connection> unproved_, proved_;  // in the order of arrival
  std::size_t given_up_ = 0;                    // of the unproved
  std::map<Id, UniqueFd> arrived_;              // accepted, and nobody looked at them yet
  bool is_ending_ = false;
  std::atomic<bool> has_news_ = false;  // connections that the last look did not see
  std::uint64_t looked_at_ = 0;         // the log's size at the last look
  std::chrono::steady_clock::time_point looked_;
  EventWorkers workers_;  // the last: ends first
};

// The key of the runtime API: in the store, made when there is none. Errors: those of the store.
Result<crypto::TlsIdentity> runtime_api_identity(Store& store);

}  // namespace casemate::cas
