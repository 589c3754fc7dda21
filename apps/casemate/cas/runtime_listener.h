// The runtime API inside of `casemate cas serve`: activations over the store and the sessions that the client API
// changes, on a listener of its own. docs/formats/provisioning.md has the conversation.
//
// What a hostile peer can do here -> what we answer: see cas/service/runtime_api.h, which does all the talking.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "cas/service/runtime_api.h"
#include "cas/sessions/registry.h"

namespace casemate::cas_tool {

// Threads: start and stop by one; everything else any.
class RuntimeListener {
 public:
  using Words = std::vector<std::pair<std::string, std::string>>;
  using Log = std::function<void(const std::string& event, const Words& words)>;

  // `address`: "IP:PORT", "[IPv6]:PORT"; port 0: any. Store and registry must outlive it. Serves when it returns.
  // Errors: kUsage (no such address), kSystem.
  static Result<std::unique_ptr<RuntimeListener>> start(const std::string& address, cas::Store& store,
                                                        const cas::SessionRegistry& registry, cas::EvidenceBasis basis,
                                                        Log log);
  ~RuntimeListener();

  // Ends all connections and waits until nothing of this API uses the store. Once is enough.
  void stop();

  const std::string& address() const { return address_; }
  std::string key_hash() const { return crypto::to_hex(identity_.key_id()); }
  cas::Activator& activator() { return activator_; }
  // Lines for /v1/metrics.
  std::string metrics() const;

 private:
  RuntimeListener(cas::Store& store, const cas::SessionRegistry& registry, cas::EvidenceBasis basis,
                  crypto::TlsIdentity identity, Log log);

  Log log_;
  crypto::TlsIdentity identity_;
  cas::Activator activator_;
  cas::RuntimeApi api_;
  UniqueFd stop_;
  std::string address_;
  std::thread thread_;
};

}  // namespace casemate::cas_tool
