// Secrets: keys that fit the kind, references that lead somewhere in a form that exists, no cycles, sharing.
#include <algorithm>
#include <set>

#include "policy/check_internal.h"
#include "policy/formats.h"
#include "policy/suggestion.h"
#include "policy/uses.h"

namespace casemate::policy::internal {
namespace {

struct KindRow {
  SecretKind kind;
  std::initializer_list<std::string_view> keys;  // besides those that every kind has
};
constexpr std::string_view kCommonKeys[] = {"name", "kind", "export", "import", "export_public", "migrate"};
const KindRow kKindRows[] = {
    {SecretKind::kAscii, {"value", "size", "import_akv"}},
    {SecretKind::kBinary, {"value", "size"}},
    {SecretKind::kPrivateKey, {"value", "key_type"}},
    {SecretKind::kX509,
     {"value", "private_key", "issuer", "common_name", "dns", "san", "endpoint", "valid_for", "import_akv"}},
    {SecretKind::kX509Ca, {"value", "private_key", "issuer", "common_name", "dns", "san", "endpoint", "valid_for"}},
    {SecretKind::kPgpKey, {"value"}},
    {SecretKind::kConfigFragment, {"value"}},
    {SecretKind::kAadToken, {"tenant_id", "client_id", "application_secret", "private_key"}},
};

std::string called(const Secret& secret) { return "secret `" + secret.name + "`"; }

bool is_certificate(SecretKind kind) { return kind == SecretKind::kX509 || kind == SecretKind::kX509Ca; }

void check_keys(Checker& checker, const Secret& secret) {
  for (const KindRow& row : kKindRows) {
    if (row.kind != secret.kind || !secret.has_kind) continue;
    for (const std::string& key : secret.given) {
      const bool fits = std::find(row.keys.begin(), row.keys.end(), key) != row.keys.end() ||
                        std::find(std::begin(kCommonKeys), std::end(kCommonKeys), key) != std::end(kCommonKeys);
      if (fits) continue;
      checker.out.error(secret.where,
                        called(secret) + ": `" + key + "` means nothing for kind " + std::string(name_of(secret.kind)),
                        "remove it");
    }
  }
}

// Where the value comes from: exactly one of given, imported, generated.
void check_source(Checker& checker, const Secret& secret) {
  const bool has_value = secret.value != nullptr || secret.fragment != nullptr;
  if (!secret.import && !secret.has_kind) {
    checker.out.error(secret.where, called(secret) + " has neither `kind` nor `import`",
                      "add kind: ascii, binary, private-key, x509, ...");
  }
  if (secret.import && has_value) {
    checker.out.error(secret.where, called(secret) + " has a value and an import: it is not clear which one counts",
                      "keep one of them");
  }
  if (secret.import &&
      (secret.size || !secret.private_key.empty() || !secret.issuer.empty() || !secret.key_type.empty())) {
    checker.out.error(secret.where, called(secret) + " is imported: what it is made of is the exporter's decision",
                      "keep name, kind, import and export only");
  }
  if (secret.value != nullptr && secret.size) {
    checker.out.error(secret.where, called(secret) + " has a value and a size: a size is for generated secrets",
                      "remove `size`");
  }
  if (secret.fragment != nullptr && secret.kind != SecretKind::kConfigFragment) {
    checker.out.error(secret.value_where,
                      called(secret) + ": the value of kind " + std::string(name_of(secret.kind)) + " is a text",
                      "write it in quotes or as a block (|)");
  }
  if (secret.kind == SecretKind::kConfigFragment && secret.fragment == nullptr && !secret.import) {
    checker.out.error(secret.where, called(secret) + ": a config-fragment needs a mapping as its value",
                      "write it below `value:`");
  }
  const bool is_sized = secret.kind == SecretKind::kAscii || secret.kind == SecretKind::kBinary;
  if (is_sized && secret.has_kind && secret.is_generated() && !secret.size) {
    checker.out.error(secret.where, called(secret) + " has neither `value` nor `size`",
                      "add size: 32 to have it generated");
  }
}

void check_binary_value(Checker& checker, const Secret& secret) {
  if (secret.kind != SecretKind::kBinary || secret.value == nullptr) return;
  const std::string_view value = secret.value->expose();
  if (value.find("$$") != std::string_view::npos) return;
  if (value.size() % 2 == 0 && value.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos) return;
  checker.out.error(secret.value_where,
                    called(secret) + ": the value of a binary secret is an even number of hex digits",
                    "for text use kind: ascii");
}

void check_certificate(Checker& checker, const Secret& secret) {
  if (!is_certificate(secret.kind) || secret.import || secret.value != nullptr || !secret.external.empty()) return;
  if (secret.private_key.empty()) {
    checker.out.error(secret.where, called(secret) + ": a certificate needs a `private_key`",
                      "declare a secret of kind private-key and name it");
  }
  const bool has_name = !secret.common_name.empty() || !secret.alternative_names.empty();
  if (!has_name && secret.kind == SecretKind::kX509) {
    checker.out.warning(secret.where, called(secret) + ": a certificate without a name", "add common_name or dns");
  }
}

// Imported ones may have any kind.
bool may_be(const Secret& secret, SecretKind kind) {
  return (!secret.has_kind && secret.import) || secret.kind == kind;
}

void check_relatives(Checker& checker, const Secret& secret) {
  if (const Secret* key = checker.session.find_secret(secret.private_key);
      key != nullptr && !may_be(*key, SecretKind::kPrivateKey)) {
    checker.out.error(secret.where,
                      called(secret) + ": `private_key` names `" + key->name + "`, which is of kind " +
                          std::string(name_of(key->kind)),
                      "name a secret of kind private-key");
  }
  if (const Secret* issuer = checker.session.find_secret(secret.issuer);
      issuer != nullptr && !may_be(*issuer, SecretKind::kX509Ca)) {
    checker.out.error(secret.where,
                      called(secret) + ": `issuer` names `" + issuer->name + "`, which is of kind " +
                          std::string(name_of(issuer->kind)),
                      "name a secret of kind x509-ca");
  }
}

// What Casemate reads and does not do.
void check_foreign(Checker& checker, const Secret& secret) {
  if (secret.kind == SecretKind::kPgpKey && secret.is_generated()) {
    checker.out.warning(secret.where,
                        called(secret) + ": CAS does not generate OpenPGP keys: services that use it cannot start",
                        "give the key as kind: ascii, or use private-key");
  }
  if (secret.kind == SecretKind::kAadToken || !secret.external.empty()) {
    checker.out.warning(secret.where,
                        called(secret) + ": CAS does not speak to Azure: services that use it cannot start",
                        "give the value here or import it from another session");
  }
}

void check_publicity(Checker& checker, const Secret& secret) {
  if (secret.export_public && !is_certificate(secret.kind) && secret.has_kind) {
    checker.own_error(secret.where,
                      called(secret) + " of kind " + std::string(name_of(secret.kind)) + " is exported to everybody",
                      "remove export_public; certificates may have it");
  }
  const bool is_guessable =
      secret.value != nullptr && checker.session.commitment_salt.empty() && !is_certificate(secret.kind);
  if (is_guessable) {
    checker.out.warning(
        secret.value_where,
        called(secret) +
            ": without `commitment_salt` whoever sees the session's canonical form can test guesses at this value",
        "let CAS generate it (size: 32), or add commitment_salt: 64 random hex digits");
  }
}

// ---- cycles ---------------------------------------------------------------------------------------------------------

// One walk over all edges; a secret that is met while it is still on the way closes a circle.
class CycleFinder {
 public:
  explicit CycleFinder(Checker& checker) : checker_(checker) {
    for (const Secret& secret : checker.session.secrets) marks_[secret.name] = Mark::kNew;
    for (const SecretUse& use : secret_uses(checker.session)) {
      const bool is_edge =
          use.kind == UseKind::kValueOfSecret || use.kind == UseKind::kPrivateKey || use.kind == UseKind::kIssuer;
      if (is_edge && marks_.contains(use.secret)) edges_[use.holder].insert(use.secret);
    }
  }

  void run() {
    for (const Secret& secret : checker_.session.secrets) walk(secret);
  }

 private:
  enum class Mark { kNew, kOnTheWay, kDone };

  // As deep as there are secrets (2000 at most).
  void walk(const Secret& secret) {
    if (marks_[secret.name] != Mark::kNew) return;
    marks_[secret.name] = Mark::kOnTheWay;
    way_.push_back(secret.name);
    for (const std::string& next : edges_[secret.name]) {
      if (marks_[next] == Mark::kOnTheWay) {
        tell(next, secret.where);
      } else if (const Secret* found = checker_.session.find_secret(next)) {
        walk(*found);
      }
    }
    way_.pop_back();
    marks_[secret.name] = Mark::kDone;
  }
  void tell(const std::string& first, Position where) {
    std::string circle;
    for (auto at = std::find(way_.begin(), way_.end(), first); at != way_.end(); ++at) circle += *at + " -> ";
    checker_.out.error(where, "secrets refer to each other in a circle: " + circle + first,
                       "remove one of the references");
  }

  Checker& checker_;
  std::map<std::string, std::set<std::string>> edges_;
  std::map<std::string, Mark> marks_;
  std::vector<std::string> way_;
};

}  // namespace

void check_secrets(Checker& checker) {
  for (const Secret& secret : checker.session.secrets) {
    check_keys(checker, secret);
    check_source(checker, secret);
    check_binary_value(checker, secret);
    check_certificate(checker, secret);
    check_relatives(checker, secret);
    check_foreign(checker, secret);
    check_publicity(checker, secret);
  }
  CycleFinder(checker).run();
}

void check_secret_uses(Checker& checker) {
  std::set<std::string, std::less<>> used;
  for (const SecretUse& use : secret_uses(checker.session)) {
    if (checker.out.is_full()) return;
    const Secret* secret = checker.session.find_secret(use.secret);
    if (secret == nullptr) {
      checker.out.error(use.where, use.place + " refers to a secret `" + use.secret + "` that is not declared",
                        suggest(use.secret, names_of(checker.session.secrets)));
      continue;
    }
    used.insert(use.secret);
    const bool is_template =
        use.kind != UseKind::kPrivateKey && use.kind != UseKind::kIssuer && use.kind != UseKind::kFragment;
    if (use.kind == UseKind::kFragment && !may_be(*secret, SecretKind::kConfigFragment)) {
      checker.out.error(use.where,
                        use.place + ": secret `" + use.secret + "` is of kind " + std::string(name_of(secret->kind)),
                        "name a config-fragment");
    }
    if (!is_template) continue;
    if (secret->has_kind && secret->kind == SecretKind::kConfigFragment) {
      checker.out.error(use.where, use.place + ": a config-fragment is no text",
                        "use it as access_policy or security as a whole");
      continue;
    }
    const bool is_known = secret->has_kind ? find_format(secret->kind, use.format) != nullptr : true;
    const std::vector<std::string_view> formats = secret->has_kind ? formats_of(secret->kind) : all_formats();
    const bool exists = use.format.empty() || std::find(formats.begin(), formats.end(), use.format) != formats.end();
    if (is_known && exists) continue;
    const std::string kind = secret->has_kind ? std::string(name_of(secret->kind)) : "of any kind";
    checker.out.error(use.where,
                      use.place + ": secret `" + use.secret + "` (" + kind + ") has no format `" + use.format + "`",
                      suggest(use.format, formats));
  }
  for (const Secret& secret : checker.session.secrets) {
    const bool is_shared =
        !secret.exports.empty() || secret.export_public || secret.kind == SecretKind::kConfigFragment;
    if (used.contains(secret.name) || is_shared || (secret.import && !secret.has_kind)) continue;
    checker.out.warning(secret.where, called(secret) + " is used nowhere and exported to nobody", "remove it");
  }
}

}  // namespace casemate::policy::internal
