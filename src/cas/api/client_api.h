// The client API: what can be asked of the CAS over HTTPS. docs/formats/cas-api.yaml (served at /v1/openapi) describes
// it for others; unit tests compare that document with the table of routes here.
//
// What a hostile client can do here -> what we answer
//   anything without a certificate         -> 401, except for what everybody may know
//   guess the claim token                  -> it has 256 bits; some wrong guesses end claiming until the next start
//   show a head that this log never signed -> 400; only heads with our own signature are judged
//   show a head of ours that we do not continue -> this CAS was rolled back: it stops serving and says what to do
//   ask without end                        -> 429 per key; see http_server.h for what comes before
//
// Secrets: bodies are never logged; answers carry a session's text only to whom its read rule admits.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cas/api/http_message.h"
#include "cas/api/request_body.h"
#include "cas/service/activation.h"
#include "cas/sessions/registry.h"
#include "cas/store/store.h"

namespace casemate::cas {

struct ApiOptions {
  std::string server_key;   // SHA-256 of the TLS key, 64 hex digits
  std::string claim_token;  // 64 hex digits; empty: nobody can claim
  std::string unseal_kind;
  std::string version;           // of the software
  std::string backup_directory;  // where backups are made; empty: not at all
  bool public_metrics = false;
  double requests_per_second = 500, burst = 2000;  // of one client key
  std::function<void()> on_claimed;
  // One event: its name and words about it. Called by many threads.
  std::function<void(const std::string& event, const std::vector<std::pair<std::string, std::string>>& words)> log;
  // More lines of the metrics, complete with their newlines.
  std::function<std::string()> more_metrics;
  // A refused activation by its reference; unset where no services are started. Called by many threads.
  std::function<std::optional<ActivationRefusal>(const std::string& reference)> find_refusal;
  // Called once, when somebody shows that this store is older than what it signed.
  std::function<void()> on_rolled_back;
};

enum class RouteAccess { kPublic, kCertificate, kOwner };

struct RouteName {
  std::string method, pattern;
};

// Threads: any number at once.
class ClientApi {
 public:
  ClientApi(Store& store, SessionRegistry& registry, ApiOptions options);
  ~ClientApi();

  HttpAnswer handle(const HttpRequest& request);
  // From now on nothing is changed and "not ready" is told.
  void begin_to_stop() { stopping_ = true; }
  // Whether somebody showed that this store is older than what it signed.
  bool is_rolled_back() const { return rolled_back_; }

  static std::vector<RouteName> routes();

 private:
  struct Route;
  struct Call;
  struct Bucket {
    double tokens = 0;
    std::chrono::steady_clock::time_point filled;
  };
  friend struct RouteTable;

  HttpAnswer dispatch(const HttpRequest& request, std::string& route_name);
  Outcome<Done> admit(const Route& route, const HttpRequest& request);
  bool takes_token(const std::string& key);

  using Answer = Outcome<HttpAnswer>;
  Answer health(const Call& call);
  Answer metrics(const Call& call);
  Answer openapi(const Call& call);
  Answer status(const Call& call);
  Answer claim(const Call& call);
  Answer list_sessions(const Call& call);
  Answer read_session(const Call& call);
  Answer put_session(const Call& call);
  Answer remove_session(const Call& call);
  Answer list_proposals(const Call& call);
  Answer propose(const Call& call);
  Answer read_proposal(const Call& call);
  Answer withdraw_proposal(const Call& call);
  Answer decide_proposal(const Call& call);
  Answer apply_proposal(const Call& call);
  Answer log_head(const Call& call);
  Answer log_consistency(const Call& call);
  Answer log_export(const Call& call);
  Answer make_backup(const Call& call);
  Answer read_refusal(const Call& call);
  Answer read_certificate(const Call& call);

  Store& store_;
  SessionRegistry& registry_;
  const ApiOptions options_;
  const std::chrono::steady_clock::time_point started_;
  std::atomic<bool> stopping_{false}, rolled_back_{false}, exporting_{false};
  std::atomic<unsigned> wrong_claims_{0};
  std::mutex claim_mutex_;
  std::mutex buckets_mutex_;
  std::map<std::string, Bucket> buckets_;
  std::mutex counts_mutex_;
  std::map<std::pair<std::string, unsigned>, std::uint64_t> counts_;  // by route and status
};

// What client and server prove to each other with the claim token, which itself is never sent: 64 hex digits.
enum class ClaimSide { kClient, kServer };
Result<std::string> claim_proof(const std::string& token, ClaimSide side, const std::string& server_key,
                                const std::string& owner_key, const std::string& log_id);

// The document, as it was when this was built.
std::string_view openapi_document();

}  // namespace casemate::cas
