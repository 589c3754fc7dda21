// secrets[]: every kind of SCONE's, with exports and imports. Which keys go with which kind is a matter of meaning and
// stands in check_secrets.cc.
#include <algorithm>

#include "policy/names.h"
#include "policy/parse_internal.h"

namespace casemate::policy::internal {
namespace {

constexpr std::uint64_t kMaxSecretSize = 65536;

constexpr Choice<SecretKind> kKinds[] = {
    {"ascii", SecretKind::kAscii},
    {"binary", SecretKind::kBinary},
    {"private-key", SecretKind::kPrivateKey},
    {"x509", SecretKind::kX509},
    {"x509-ca", SecretKind::kX509Ca},
    {"config-fragment", SecretKind::kConfigFragment},
    {"pgp-key", SecretKind::kPgpKey},
    {"aad-token", SecretKind::kAadToken},
};
constexpr std::string_view kKeyTypes[] = {"P-256", "P-384", "Ed25519", "RSA-2048", "RSA-3072", "RSA-4096"};
constexpr std::string_view kEndpoints[] = {"client", "server"};

ExportTarget read_export_target(Reader& reader, const Node& node);

void read_export_session(ExportTarget& target, const Node& node, Reader& reader) {
  target.kind = ExportTarget::Kind::kSession;
  target.name = reader.absolute_session(node, "`session`");
}
constexpr Field<ExportTarget> kSessionTargetFields[] = {
    {"session", read_export_session, Presence::kRequired},
    {"session_hash", [](ExportTarget& target, const Node& node,
                        Reader& reader) { target.session_hash = reader.hex(node, "`session_hash`", 32); }},
};
constexpr Field<ExportTarget> kNamespaceTargetFields[] = {
    {"namespace",
     [](ExportTarget& target, const Node& node, Reader& reader) {
       target.kind = ExportTarget::Kind::kNamespace;
       target.name = reader.absolute_session(node, "`namespace`");
     },
     Presence::kRequired},
};

bool has_key(const Node& node, std::string_view key) {
  return std::any_of(node.entries.begin(), node.entries.end(),
                     [&](const Entry& entry) { return entry.key.text == key; });
}

ExportTarget read_export_target(Reader& reader, const Node& node) {
  ExportTarget target;
  target.where = node.where;
  if (node.kind == NodeKind::kScalar) {
    target.name = reader.absolute_session(node, "`export`");
  } else if (has_key(node, "namespace")) {
    read_mapping<ExportTarget>(target, node, "an export to a namespace", kNamespaceTargetFields, reader);
  } else {
    read_mapping<ExportTarget>(target, node, "an export", kSessionTargetFields, reader);
  }
  return target;
}

constexpr Field<Import> kSecretImportFields[] = {
    {"session",
     [](Import& import, const Node& node, Reader& reader) {
       import.session = reader.absolute_session(node, "`session`");
     },
     Presence::kRequired},
    {"secret",
     [](Import& import, const Node& node, Reader& reader) { import.name = reader.local_name(node, "`secret`"); },
     Presence::kRequired},
};

void read_import(Secret& secret, const Node& node, Reader& reader) {
  Import import;
  import.where = node.where;
  if (node.kind == NodeKind::kScalar) {
    reader.wrong(node, "`import`", "a mapping with `session` and `secret`", "write {session: NAME, secret: NAME}");
    return;
  }
  read_mapping<Import>(import, node, "`import`", kSecretImportFields, reader);
  secret.import = import;
}

void read_value(Secret& secret, const Node& node, Reader& reader) {
  secret.value_where = node.where;
  if (node.kind != NodeKind::kScalar) {  // only a config-fragment may; the checker says so otherwise
    secret.fragment = std::make_shared<const Node>(node);
    return;
  }
  secret.value = std::make_shared<const SecretText>(reader.template_text(node, "`value`"));
}

std::string read_dns_name(Reader& reader, const Node& node) { return "dns:" + reader.text(node, "`dns`"); }

std::string read_alternative_name(Reader& reader, const Node& node) {
  std::string name = reader.text(node, "`san`");
  std::string lower = name.substr(0, name.find(':'));
  for (char& letter : lower) letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  const bool known = lower == "dns" || lower == "ip" || lower == "uri";
  if (!name.empty() && (!known || name.size() <= lower.size() + 1)) {
    reader.out.error(node.where, "`san`: expected a name with its type in front",
                     "write \"dns:records-db\", \"ip:10.0.0.1\" or \"uri:spiffe://...\"");
    return "";
  }
  return lower + name.substr(std::min(lower.size(), name.size()));
}

void append_names(Secret& secret, std::vector<std::string> names) {
  secret.alternative_names.insert(secret.alternative_names.end(), names.begin(), names.end());
}

void read_common_name(Secret& secret, const Node& node, Reader& reader) {
  secret.common_name = reader.text(node, "`common_name`");
  if (secret.common_name.size() > 64) {
    reader.out.error(node.where, "`common_name`: more than 64 characters, the most that X.509 allows",
                     "put long names under `dns`");
  }
}

void read_azure_vault(Secret& secret, const Node& node, Reader& reader) {
  if (!reader.expect_mapping(node, "`import_akv`")) return;
  constexpr std::string_view kKeys[] = {"vault", "secret_name", "token"};
  for (const Entry& entry : node.entries) {
    if (std::find(std::begin(kKeys), std::end(kKeys), entry.key.text) == std::end(kKeys)) {
      reader.report_unknown(entry.key, "`import_akv`", kKeys);
      continue;
    }
    secret.external["import_akv." + entry.key.text] = reader.template_text(entry.value, "`" + entry.key.text + "`");
  }
}

template <const char* kName>
void read_external(Secret& secret, const Node& node, Reader& reader) {
  secret.external[kName] = reader.template_text(node, "`" + std::string(kName) + "`");
}
constexpr char kTenant[] = "tenant_id", kClient[] = "client_id", kApplication[] = "application_secret";

constexpr Field<Secret> kSecretFields[] = {
    {"name",
     [](Secret& secret, const Node& node, Reader& reader) {
       secret.name = reader.local_name(node, "a secret's `name`");
     },
     Presence::kRequired},
    {"kind",
     [](Secret& secret, const Node& node, Reader& reader) {
       secret.kind = reader.choice<SecretKind>(node, "`kind`", kKinds);
       secret.has_kind = true;
     }},
    {"value", read_value},
    {"size", [](Secret& secret, const Node& node,
                Reader& reader) { secret.size = reader.integer(node, "`size`", 1, kMaxSecretSize); }},
    {"key_type", [](Secret& secret, const Node& node,
                    Reader& reader) { secret.key_type = kKeyTypes[reader.choose(node, "`key_type`", kKeyTypes)]; }},
    {"private_key", [](Secret& secret, const Node& node,
                       Reader& reader) { secret.private_key = reader.local_name(node, "`private_key`"); }},
    {"issuer",
     [](Secret& secret, const Node& node, Reader& reader) { secret.issuer = reader.local_name(node, "`issuer`"); }},
    {"common_name", read_common_name},
    {"dns",
     [](Secret& secret, const Node& node, Reader& reader) {
       append_names(secret, reader.list<std::string>(node, "`dns`", "names", read_dns_name));
     }},
    {"san",
     [](Secret& secret, const Node& node, Reader& reader) {
       append_names(secret, reader.list<std::string>(node, "`san`", "names", read_alternative_name));
     }},
    {"endpoint", [](Secret& secret, const Node& node,
                    Reader& reader) { secret.endpoint = kEndpoints[reader.choose(node, "`endpoint`", kEndpoints)]; }},
    {"valid_for",
     [](Secret& secret, const Node& node, Reader& reader) { secret.valid_for = reader.duration(node, "`valid_for`"); }},
    {"export", [](Secret& secret, const Node& node, Reader& reader) { secret.exports = read_exports(reader, node); }},
    {"import", read_import},
    {"export_public", [](Secret& secret, const Node& node,
                         Reader& reader) { secret.export_public = reader.boolean(node, "`export_public`"); }},
    {"migrate",
     [](Secret& secret, const Node& node, Reader& reader) { secret.migrate = reader.boolean(node, "`migrate`"); }},
    {"import_akv", read_azure_vault},
    {"tenant_id", read_external<kTenant>},
    {"client_id", read_external<kClient>},
    {"application_secret", read_external<kApplication>},
};

}  // namespace

std::vector<ExportTarget> read_exports(Reader& reader, const Node& node) {
  if (node.kind == NodeKind::kScalar) return {read_export_target(reader, node)};
  return reader.list<ExportTarget>(node, "`export`", "sessions and namespaces", read_export_target);
}

Secret read_secret(Reader& reader, const Node& node) {
  Secret secret;
  secret.where = node.where;
  secret.value_where = node.where;
  read_mapping<Secret>(secret, node, "a secret", kSecretFields, reader);
  for (const Entry& entry : node.entries) secret.given.push_back(entry.key.text);
  return secret;
}

}  // namespace casemate::policy::internal
