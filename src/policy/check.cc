#include "policy/check.h"

#include <algorithm>

#include "policy/check_internal.h"
#include "policy/names.h"
#include "policy/parse.h"

namespace casemate::policy {
namespace {

// The exporter's secret behind an imported config-fragment, or null with an error.
struct FoundFragment {
  const Session* owner = nullptr;
  const Node* node = nullptr;
};

FoundFragment find_fragment(const Session& session, const FragmentReference& reference, const KnownSessions& known,
                            Diagnostics& out) {
  const Secret* secret = session.find_secret(reference.secret);
  if (secret == nullptr || !secret->import) return {};  // the checker reports both
  const auto owner = known.find(secret->import->session);
  if (owner == known.end()) {
    out.error(secret->import->where, "session `" + secret->import->session + "`, which has the fragment, is not known",
              "create it first");
    return {};
  }
  const Secret* original = owner->second->find_secret(secret->import->name);
  if (original == nullptr || original->fragment == nullptr) {
    out.error(secret->import->where,
              "session `" + owner->first + "` has no config-fragment `" + secret->import->name + "`",
              "import what it declares");
    return {};
  }
  if (!is_exported_to(original->exports, session.name, "")) {
    out.error(secret->import->where,
              "session `" + owner->first + "` does not export `" + original->name + "` to `" + session.name + "`",
              "its owner must add an `export`");
    return {};
  }
  return {owner->second, original->fragment.get()};
}

bool is_same_shape(const Secret& left, const Secret& right) {
  return left.kind == right.kind && left.size == right.size && left.key_type == right.key_type;
}

void check_migrated(const Session& next, const Secret& old, Diagnostics& out) {
  const Secret* secret = next.find_secret(old.name);
  if (secret == nullptr) {
    out.warning(next.where, "generated secret `" + old.name + "` is gone in this version: its value is lost for good",
                "keep it until nothing needs it any more");
    return;
  }
  if (!secret->is_generated()) return;
  if (!secret->survives_update(next.version)) {
    out.warning(secret->where,
                "secret `" + old.name + "` is generated anew by this update: what was made with it is lost",
                "add `migrate: true` to keep it");
    return;
  }
  if (is_same_shape(old, *secret)) return;
  out.error(secret->where, "secret `" + old.name + "` survives the update, but its kind, size or key type changes",
            "give the new one another name");
}

}  // namespace

bool is_exported_to(const std::vector<ExportTarget>& exports, std::string_view consumer,
                    std::string_view consumer_hash) {
  return std::any_of(exports.begin(), exports.end(), [&](const ExportTarget& target) {
    if (target.kind == ExportTarget::Kind::kNamespace) return is_below(consumer, target.name);
    return target.name == consumer && (target.session_hash.empty() || target.session_hash == consumer_hash);
  });
}

void check_session(const Session& session, const KnownSessions& known, Diagnostics& diagnostics) {
  internal::Checker checker(session, known, diagnostics);
  internal::check_services(checker);
  internal::check_images(checker);
  internal::check_volumes(checker);
  internal::check_networks(checker);
  internal::check_secrets(checker);
  internal::check_secret_uses(checker);
  internal::check_sharing(checker);
  internal::check_access(checker);
  internal::check_security(checker);
}

void check_update(const Session& stored, std::string_view stored_hash, const Session& next, Diagnostics& diagnostics) {
  if (next.name != stored.name) {
    diagnostics.error(next.name_where,
                      "the new version is named `" + next.name + "`, the stored one `" + stored.name + "`",
                      "names never change: create a new session instead");
  }
  if (!next.predecessor) {
    diagnostics.error(next.predecessor_where,
                      "session `" + stored.name + "` exists, and this version names no predecessor",
                      "write predecessor: " + std::string(stored_hash));
  } else if (*next.predecessor != stored_hash) {
    diagnostics.error(
        next.predecessor_where,
        "`predecessor` is " + *next.predecessor + ", but the stored version is " + std::string(stored_hash),
        "somebody changed it meanwhile: read the stored version, apply your change to it, then write that hash");
  }
  for (const Secret& old : stored.secrets) {
    const bool has_state = old.is_generated() && old.kind != SecretKind::kX509 && old.kind != SecretKind::kX509Ca;
    if (has_state) check_migrated(next, old, diagnostics);
  }
}

void resolve_imported_fragments(Session& session, const KnownSessions& known, Diagnostics& diagnostics) {
  if (const auto* reference = std::get_if<FragmentReference>(&session.access_policy)) {
    const std::string name = reference->secret;
    const FoundFragment found = find_fragment(session, *reference, known, diagnostics);
    auto policy = found.node == nullptr ? std::nullopt : parse_access_fragment(*found.node, *found.owner, diagnostics);
    if (policy) {
      session.access_policy = *policy;
      session.access_fragment = name;
    }
  }
  if (const auto* reference = std::get_if<FragmentReference>(&session.security)) {
    const std::string name = reference->secret;
    const FoundFragment found = find_fragment(session, *reference, known, diagnostics);
    auto security =
        found.node == nullptr ? std::nullopt : parse_security_fragment(*found.node, *found.owner, diagnostics);
    if (security) {
      session.security = *security;
      session.security_fragment = name;
    }
  }
}

}  // namespace casemate::policy
