// The runtime API of the CAS: accepts services, on a thread each, for as long as they run. docs/formats/provisioning.md
// has the conversation, protocol/provision.h the messages.
//
// What a hostile peer can do here -> what we answer
//   connect and wait                -> ten seconds until its request is there; a bounded number that have not shown
//                                      evidence yet, of which the oldest is dropped for a new one. Never per address
//   send anything                   -> sizes are limited before anything is proved; decoders take exact messages only
//   report tags of others' volumes  -> only of its own session, and only while its activation holds the volume
#pragma once

#include <atomic>
#include <condition_variable>
#include <list>
#include <mutex>
#include <string>

#include "cas/service/activation.h"
#include "crypto/tls_channel.h"

namespace casemate::cas {

struct RuntimeApiLimits {
  std::chrono::milliseconds nonce_lifetime{10'000};
  std::size_t unproved = 256;  // connections that have not shown evidence yet
  std::size_t connections = 8192;
};

// Threads: any number at once; serve() once per listener.
class RuntimeApi {
 public:
  // All must outlive it.
  RuntimeApi(Store& store, Activator& activator, const crypto::TlsIdentity& identity, RuntimeApiLimits limits = {})
      : store_(store), activator_(activator), identity_(identity), limits_(limits) {}
  ~RuntimeApi();

  // Blocks until `stop` is readable. Errors: kSystem when accepting fails for good.
  Result<void> serve(UniqueFd listener, int stop);

  std::size_t connection_count() const;
  std::uint64_t activation_count() const { return activations_; }

 private:
  struct Connection {
    int socket = -1;
    bool is_proved = false, given_up = false;
  };
  using Connections = std::list<Connection>;  // in the order of arrival

  void take(UniqueFd socket);
  void converse(Connections::iterator connection, UniqueFd socket);
  void serve_tags(crypto::TlsChannel& channel, const std::string& session, const Activation& activation);
  void end_all();

  Store& store_;
  Activator& activator_;
  const crypto::TlsIdentity& identity_;
  RuntimeApiLimits limits_;
  std::atomic<std::uint64_t> activations_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Connections connections_;
};

// The key of the runtime API: in the store, made when there is none. Errors: those of the store.
Result<crypto::TlsIdentity> runtime_api_identity(Store& store);

}  // namespace casemate::cas
