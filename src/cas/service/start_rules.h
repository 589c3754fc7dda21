// What a session asks of every start besides evidence: an access token, a one-time password, that no other instance
// runs (docs/formats/session.md, "security").
//
// What a hostile host can do here -> what we answer
//   show a password twice, or to another service   -> a step of the clock counts once for all who share the secret, and
//                                                     that is durable before anything is granted
//   guess passwords                                -> five wrong ones per 30 seconds, counted durably: restarting the
//   CAS
//                                                     gives no more
//   set the clock back                             -> steps that were used stay used; time never runs below the log's
//   start a singleton twice, at once or by turns   -> one row names the instance; its commit decides
//   cut a running singleton off                    -> nobody else starts for kReturnTime, and then it cannot come back
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>

#include "cas/service/records.h"
#include "cas/service/secrets.h"
#include "protocol/provision.h"

namespace casemate::cas {

// Why a start is refused, on its way to the session's owner; never with a password or a token.
struct StartRefusal {
  std::string rule, expected, actual, advice;
};

// Which singletons are connected, and since when others are not. In memory: after a restart of the CAS every instance
// counts as one that left at that moment. Threads: any.
class InstanceWatch {
 public:
  using Clock = std::chrono::steady_clock;
  // How long an instance whose connection broke keeps its place. It asks again within seconds (keeper/provision).
  static constexpr std::chrono::seconds kReturnTime{60};

  explicit InstanceWatch(Clock::time_point started = Clock::now()) : started_(started) {}

  void connected(const Bytes& holder);
  void left(const Bytes& holder, Clock::time_point now = Clock::now());
  // Whether the place of `holder` is still its own.
  bool keeps_place(const Bytes& holder, Clock::time_point now = Clock::now()) const;

 private:
  struct Seen {
    unsigned connections = 0;
    Clock::time_point left_at;
  };
  const Clock::time_point started_;
  mutable std::mutex mutex_;
  std::map<std::string, Seen, std::less<>> seen_;  // by holder
};

// One activation's look at all three. `change` gets what must become durable with the grant.
class StartRules {
 public:
  StartRules(const Snapshot& snapshot, const policy::Session& session, const protocol::ProvisionRequest& request,
             std::uint64_t now_ms, Change& change)
      : snapshot_(snapshot), session_(session), request_(request), now_ms_(now_ms), change_(change) {}

  // nullopt: satisfied. Errors: those of the store, and of secrets that cannot be written into the rule.
  Result<std::optional<StartRefusal>> check_token(const ServiceSecrets& secrets) const;
  // A wrong password leaves what must be written down about it in wrong_try().
  Result<std::optional<StartRefusal>> check_password(const ServiceSecrets& secrets);
  // A new one asks for the place; a resumed one must still have it.
  enum class Start { kNew, kResumed };
  Result<std::optional<StartRefusal>> check_singleton(const InstanceWatch& watch, const Bytes& holder,
                                                      Start start) const;

  // To be committed when the password was wrong; no rows otherwise.
  Change& wrong_try() { return wrong_try_; }

 private:
  const Snapshot& snapshot_;
  const policy::Session& session_;
  const protocol::ProvisionRequest& request_;
  const std::uint64_t now_ms_;
  Change& change_;
  Change wrong_try_;
};

// The place of a connected singleton, for as long as the object lives; afterwards as InstanceWatch says. Store and
// watch must outlive it. Threads: one at a time.
class InstancePlace {
 public:
  InstancePlace(Store& store, InstanceWatch& watch, std::string session, std::string service, Bytes holder);
  ~InstancePlace();
  InstancePlace(const InstancePlace&) = delete;
  InstancePlace& operator=(const InstancePlace&) = delete;

  // The instance itself said that it ends: the next one need not wait. When that cannot be written down, it waits.
  void give_up();

 private:
  Store& store_;
  InstanceWatch& watch_;
  const std::string session_, service_;
  const Bytes holder_;
};

}  // namespace casemate::cas
