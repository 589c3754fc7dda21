// Sharing, access rules and security: what others may do, and who could ever change that.
#include <algorithm>
#include <set>

#include "policy/canonical.h"
#include "policy/check_internal.h"
#include "policy/suggestion.h"

namespace casemate::policy::internal {
namespace {

// ---- imports and exports --------------------------------------------------------------------------------------------

// A pinned version of the consumer may be this one: its hash is not known before it is complete.
bool is_target(const std::vector<ExportTarget>& exports, std::string_view consumer) {
  return std::any_of(exports.begin(), exports.end(), [&](const ExportTarget& target) {
    return is_exported_to({target}, consumer, target.session_hash);
  });
}
bool may_import(const Secret& original, std::string_view consumer) {
  return original.export_public || is_target(original.exports, consumer);
}
bool may_import(const Volume& original, std::string_view consumer) { return is_target(original.exports, consumer); }

template <typename T>
void check_imports(Checker& checker, const std::vector<T>& all, const char* what,
                   const T* (Session::*find)(std::string_view) const) {
  std::map<std::string, std::string> sources;
  for (const T& one : all) {
    if (!one.import) continue;
    const std::string who = std::string(what) + " `" + one.name + "`";
    if (one.import->session == checker.session.name) {
      checker.out.error(one.import->where, who + " is imported from its own session",
                        "use `" + one.import->name + "` itself");
      continue;
    }
    const auto [first, is_new] = sources.emplace(one.import->session + " " + one.import->name, one.name);
    if (!is_new) {
      checker.out.error(one.import->where,
                        who + " imports what `" + first->second + "` imports already: which one is meant is ambiguous",
                        "keep one of them");
    }
    const auto owner = checker.known.find(one.import->session);
    if (owner == checker.known.end()) continue;  // CAS resolves it when a service starts
    const T* original = (owner->second->*find)(one.import->name);
    if (original == nullptr) {
      checker.out.error(one.import->where,
                        who + ": session `" + owner->first + "` has no " + what + " `" + one.import->name + "`",
                        "ask its owner for the right name");
    } else if (original->import) {
      checker.out.error(one.import->where,
                        who + ": session `" + owner->first + "` imports `" + one.import->name + "` itself",
                        "import it from session `" + original->import->session + "`");
    } else if (!may_import(*original, checker.session.name)) {
      checker.out.error(one.import->where,
                        who + ": session `" + owner->first + "` does not export `" + one.import->name + "` to `" +
                            checker.session.name + "`",
                        "its owner must add an `export`");
    }
  }
}

template <typename T>
void check_exports(Checker& checker, const std::vector<T>& all, const char* what) {
  for (const T& one : all) {
    if (one.import && !one.exports.empty()) {
      checker.out.error(one.where, std::string(what) + " `" + one.name + "` is imported and cannot be exported further",
                        "let the consumer import it from session `" + one.import->session + "`");
    }
    for (const ExportTarget& target : one.exports) {
      if (target.kind == ExportTarget::Kind::kSession && target.name == checker.session.name) {
        checker.out.warning(target.where, std::string(what) + " `" + one.name + "` is exported to its own session",
                            "remove the export");
      }
    }
  }
}

// ---- access ---------------------------------------------------------------------------------------------------------

using Seen = std::set<std::string>;

void check_quorum(Checker& checker, const AccessTerm& term, Seen& seen);

void check_member(Checker& checker, const AccessTerm& member, Seen& seen) {
  if (member.kind == TermKind::kAny || member.kind == TermKind::kNone) {
    checker.out.error(member.where, "ANY and NONE cannot be members of a quorum",
                      "name signers, key hashes, CREATOR or quorums");
  }
  if (member.kind == TermKind::kQuorum) check_quorum(checker, member, seen);
  if (member.kind == TermKind::kQuorum && member.time_lock != 0) {
    checker.out.error(member.where, "a time lock inside a quorum", "move it to the outermost quorum");
  }
  if (member.kind == TermKind::kQuorum && !member.veto.empty()) {
    checker.out.error(member.where, "a veto inside a quorum", "move it to the outermost quorum");
  }
}

// `seen`: keys anywhere in the tree.
void check_quorum(Checker& checker, const AccessTerm& term, Seen& seen) {
  if (term.at_least > term.of.size()) {
    checker.out.error(term.where,
                      "at least " + std::to_string(term.at_least) + " of " + std::to_string(term.of.size()) +
                          " members can never be reached",
                      "lower at_least or add members");
  }
  for (const AccessTerm& member : term.of) {
    check_member(checker, member, seen);
    if (!member.identity.empty() && !seen.insert(member.identity).second) {
      checker.out.error(member.where, "a member is there twice: one person could count for two", "remove one");
    }
  }
  for (const AccessTerm& member : term.veto) {
    if (member.kind != TermKind::kSigner) {
      checker.out.error(member.where, "a veto is a signature: only signers can have one", "write {signer: KEY}");
    }
  }
  if (!term.veto.empty() && term.time_lock == 0) {
    checker.out.warning(term.where,
                        "a veto without `time_lock`: a change can be carried out before anybody could object",
                        "add time_lock: 24h");
  }
}

void check_rule(Checker& checker, const std::optional<AccessRule>& rule, const char* name) {
  if (!rule) return;
  for (const AccessTerm& term : *rule) {
    const bool is_absolute = term.kind == TermKind::kAny || term.kind == TermKind::kNone;
    if (is_absolute && rule->size() > 1) {
      checker.out.error(term.where, std::string("`") + name + "`: ANY or NONE stands alone",
                        "remove it or everything else");
    }
    Seen seen;
    if (term.kind == TermKind::kQuorum) check_quorum(checker, term, seen);
    const bool is_old_hash =
        term.kind == TermKind::kKeyHash &&
        (term.identity.size() != 64 || term.identity.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos);
    if (is_old_hash) {
      checker.out.warning(
          term.where,
          std::string("`") + name + "`: this key hash has SCONE's own form, which no client of Casemate has",
          "write the 64 hex digits that `casemate session sign --show-key` prints");
    }
  }
}

bool has_kind(const std::optional<AccessRule>& rule, TermKind kind) {
  return rule && std::any_of(rule->begin(), rule->end(), [&](const AccessTerm& term) { return term.kind == kind; });
}

// ---- security -------------------------------------------------------------------------------------------------------

// A generated one-time password secret needs enough bits: RFC 4226 asks for at least 128.
void check_one_time_password(Checker& checker, const Security& security) {
  if (!security.one_time_password) return;
  const std::string& text = *security.one_time_password;
  if (text.find("$$") == std::string::npos) {
    checker.out.warning(security.one_time_password_where, "the one-time password secret stands in the session itself",
                        "declare a binary secret of 20 bytes and write $$CASEMATE::name:base32nopad$$");
    return;
  }
  for (const Secret& secret : checker.session.secrets) {
    const bool is_meant = text.find("::" + secret.name + "$$") != std::string::npos ||
                          text.find("::" + secret.name + ":") != std::string::npos;
    if (is_meant && secret.size && *secret.size < 16 && security.scope == checker.session.name) {
      checker.out.error(security.one_time_password_where,
                        "a one-time password secret of " + std::to_string(*secret.size) + " bytes can be guessed",
                        "make secret `" + secret.name + "` at least 16 bytes");
    }
  }
}

struct LooseToleration {
  std::string_view name, message;
};
constexpr LooseToleration kLoose[] = {
    {"debug-mode", "debug mode is tolerated: the host may read and change the memory of every service"},
    {"simulation", "simulation is tolerated: nothing protects against root of a pinned platform"},
    {"outdated-tcb", "platforms with known, unfixed weaknesses are tolerated"},
    {"insecure-configuration", "platforms in an insecure configuration are tolerated"},
};

}  // namespace

void check_sharing(Checker& checker) {
  check_imports<Secret>(checker, checker.session.secrets, "secret", &Session::find_secret);
  check_imports<Volume>(checker, checker.session.volumes, "volume", &Session::find_volume);
  check_exports(checker, checker.session.secrets, "secret");
  check_exports(checker, checker.session.volumes, "volume");
}

void check_access(Checker& checker) {
  const AccessPolicy* access = checker.session.access();
  if (access == nullptr) return;
  check_rule(checker, access->read, "read");
  check_rule(checker, access->update, "update");
  check_rule(checker, access->create_sessions, "create_sessions");
  check_rule(checker, access->break_glass, "break_glass");
  if (has_kind(access->update, TermKind::kAny)) {
    checker.own_error(access->where, "`update: [ANY]` lets everybody change this session and so obtain its secrets",
                      "name who may");
  }
  if (has_kind(access->break_glass, TermKind::kAny)) {
    checker.out.error(access->where, "`break_glass: [ANY]` lets everybody change this session", "name who may");
  }
  if (has_kind(access->create_sessions, TermKind::kAny)) {
    checker.out.warning(access->where,
                        "everybody may create sessions below `" + checker.session.name +
                            "` and import what is exported to the namespace",
                        "name who may");
  }
  if (has_kind(access->update, TermKind::kNone)) {
    checker.out.warning(access->where, "`update: [NONE]`: this session can never be changed again", "is that meant?");
  }
}

void check_security(Checker& checker) {
  const Security* security = checker.session.security_rules();
  if (security == nullptr) return;
  if (security->mode == AttestationMode::kNone) {
    checker.own_error(security->where,
                      "attestation mode `none` is not done by Casemate: no service of this session can start",
                      "for tests tolerate simulation and pin a platform");
  }
  if (security->mode == AttestationMode::kMaa) {
    checker.own_error(security->where,
                      "attestation mode `maa` is not done by Casemate: no service of this session can start",
                      "use mode: hardware");
  }
  if (security->ignore_all_advisories) {
    checker.out.warning(security->where, "all advisories are ignored, those of the future included",
                        "list those that you have judged");
  }
  for (const LooseToleration& row : kLoose) {
    if (security->tolerates(row.name))
      checker.out.warning(security->tolerate_where, std::string(row.message),
                          "remove `" + std::string(row.name) + "` in production");
  }
  if (!security->trusted_scone_quoting_keys.empty()) {
    checker.out.warning(security->where, "quotes of SCONE's own quoting enclaves are not accepted by Casemate",
                        "remove trusted_scone_qe_pubkeys");
  }
  const bool has_maa_keys = !security->maa_url.empty() || security->maa_minimum_key_size;
  if (has_maa_keys && security->mode != AttestationMode::kMaa) {
    checker.out.error(security->where, "`url` and `min_rsa_signing_key_size` belong to mode maa", "remove them");
  }
  check_one_time_password(checker, *security);
}

}  // namespace casemate::policy::internal
