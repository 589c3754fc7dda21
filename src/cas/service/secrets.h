// The secrets that one service uses: found in the store, generated when they are needed first, given by the session's
// text, or imported from sessions that export them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cas/service/records.h"
#include "cas/sessions/registry.h"
#include "cas/sessions/tables.h"
#include "policy/substitute.h"

namespace casemate::cas {

// Threads: one at a time. Ownership: what find() gives lives as long as this.
class ServiceSecrets final : public policy::SecretSource {
 public:
  // Makes everything that `service` and its image refer to, directly and through other secrets, and what the security
  // rules compare. `stored` must outlive the result. Errors: kUsage with a sentence for the owner.
  static Result<ServiceSecrets> gather(const Snapshot& snapshot, const SessionRegistry& sessions,
                                       const StoredSession& stored, const policy::Service& service, std::uint64_t now);

  // Makes the public part of one certificate of `stored`, and what signs it. Errors: as gather().
  static Result<ServiceSecrets> gather_certificate(const Snapshot& snapshot, const SessionRegistry& sessions,
                                                   const StoredSession& stored, const std::string& secret,
                                                   std::uint64_t now);

  const policy::SecretMaterial* find(std::string_view name) const override;
  // What the service shows where its network rules name no identity: a key of this activation alone, named
  // "uri:casemate://SESSION/SERVICE" and "dns:SERVICE" by the session's authority, which is the last of the issuers.
  // Null: no rule needs it.
  const policy::SecretMaterial* identity() const;
  // Of one that find() has.
  std::uint64_t version_of(const std::string& name) const { return released_.all.find(name)->second.version; }

  // A template of the session's `security` rules, filled in: the CAS compares it and gives it to nobody. The names in
  // it are of the session in whose text the rules stand. Errors: as policy::substitute().
  Result<policy::SharedSecretText> security_text(const std::string& text) const;

  // Rows of newly generated ones, and checks on the exporters' sessions: part of the release's change.
  void add_to(Change& change) const;
  bool has_new_rows() const { return !new_rows_.empty(); }
  // "name@version", sorted: for the log.
  std::vector<std::string> names() const;

 private:
  struct Item {
    policy::SecretMaterial material;
    std::uint64_t version = 1;
  };
  struct NewRow {
    Table table;
    std::string session, name;
    std::uint64_t expected_version;  // kAbsent: there is none yet
    SecretValue value;
  };
  struct Items final : policy::SecretSource {
    const policy::SecretMaterial* find(std::string_view name) const override;
    std::map<std::string, Item, std::less<>> all;
  };
  class Gatherer;
  static constexpr std::string_view kIdentity = "service/identity";  // no secret's name has a slash
  Items released_, compared_;                                        // for the service; for the CAS alone
  StoredSessionPointer rules_of_;  // whose text has the security rules, when it is another session
  const policy::Session* rules_session_ = nullptr;
  std::vector<NewRow> new_rows_;
  std::vector<RowCheck> checks_;
};

}  // namespace casemate::cas
