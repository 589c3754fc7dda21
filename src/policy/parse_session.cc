// The top level of a session, its version and name first: defaults and relative names depend on them.
#include <algorithm>

#include "policy/names.h"
#include "policy/parse.h"
#include "policy/parse_internal.h"

namespace casemate::policy {
namespace {

struct VersionRow {
  std::string_view word;
  Version version;
};
constexpr VersionRow kVersions[] = {
    {"0.3", Version::kScone0_3}, {"0.3.10", Version::kScone0_3_10}, {"casemate-1", Version::kCasemate1}};

// Versions that exist and that we do not read: what differs.
struct ForeignVersion {
  std::string_view word, difference;
};
constexpr ForeignVersion kForeignVersions[] = {
    {"0.1", "0.1 keeps measurements in images and has no access by key; rewrite it as 0.3.10 or casemate-1"},
    {"0.2",
     "0.2 names certificates by hash, imports by session:secret and needs no private key for x509; rewrite it as "
     "0.3.10"},
    {"0.3.11", "what 0.3.11 adds is not public; if the session uses nothing new, write \"0.3.10\""},
};

// A whole node that is one reference and nothing else.
std::optional<FragmentReference> as_fragment_reference(const Node& node) {
  if (node.kind != NodeKind::kScalar) return std::nullopt;
  Result<std::vector<SecretReference>> references = find_references(node.text);
  if (!references || references.value().size() != 1) return std::nullopt;
  const SecretReference& reference = references.value().front();
  if (reference.size != node.text.size() || !reference.format.empty()) return std::nullopt;
  return FragmentReference{reference.name, node.where};
}

const Node* find_key(const Node& node, std::string_view key) {
  for (const Entry& entry : node.entries) {
    if (entry.key.text == key) return &entry.value;
  }
  return nullptr;
}

template <typename T>
void read_section(std::variant<T, FragmentReference>& target, const Node& node, const std::string& what, Reader& reader,
                  T (*read)(Reader&, const Node&)) {
  if (std::optional<FragmentReference> fragment = as_fragment_reference(node)) {
    target = *fragment;
  } else if (node.kind == NodeKind::kScalar) {
    reader.wrong(node, what, "a mapping, or $$CASEMATE::name$$ of a config-fragment");
  } else {
    target = read(reader, node);
  }
}

void read_predecessor(Session& session, const Node& node, Reader& reader) {
  session.predecessor_where = node.where;
  if (is_null(node)) return;
  session.predecessor = reader.hex(node, "`predecessor`", 32);
}

template <const char* kName>
void ignore(Session&, const Node& node, Reader& reader) {
  reader.out.warning(node.where, "`" + std::string(kName) + "` is ignored: CAS fills it in itself", "remove it");
}
constexpr char kDigest[] = "digest", kCreator[] = "creator";

constexpr Field<Session> kSessionFields[] = {
    {"version", [](Session&, const Node&, Reader&) {}},  // read before
    {"name", [](Session&, const Node&, Reader&) {}},
    {"predecessor", read_predecessor},
    {"commitment_salt", [](Session& session, const Node& node,
                           Reader& reader) { session.commitment_salt = reader.hex(node, "`commitment_salt`", 32); }},
    {"access_policy",
     [](Session& session, const Node& node, Reader& reader) {
       read_section<AccessPolicy>(session.access_policy, node, "`access_policy`", reader, internal::read_access_policy);
     }},
    {"security",
     [](Session& session, const Node& node, Reader& reader) {
       read_section<Security>(session.security, node, "`security`", reader, internal::read_security);
     }},
    {"services",
     [](Session& session, const Node& node, Reader& reader) {
       session.services = reader.list<Service>(node, "`services`", "services", internal::read_service);
     }},
    {"images",
     [](Session& session, const Node& node, Reader& reader) {
       session.images = reader.list<Image>(node, "`images`", "images", internal::read_image);
     }},
    {"volumes",
     [](Session& session, const Node& node, Reader& reader) {
       session.volumes = reader.list<Volume>(node, "`volumes`", "volumes", internal::read_volume);
     }},
    {"secrets",
     [](Session& session, const Node& node, Reader& reader) {
       session.secrets = reader.list<Secret>(node, "`secrets`", "secrets", internal::read_secret);
     }},
    {"digest", ignore<kDigest>},
    {"creator", ignore<kCreator>},
};

std::optional<Version> read_version(const Node& root, Diagnostics& diagnostics) {
  constexpr const char* kAdvice = "write version: casemate-1, or \"0.3\" or \"0.3.10\" for a session of SCONE's";
  const Node* node = find_key(root, "version");
  if (node == nullptr) {
    diagnostics.error(root.where, "the session lacks the key `version`", kAdvice);
    return std::nullopt;
  }
  for (const VersionRow& row : kVersions) {
    if (node->kind == NodeKind::kScalar && node->text == row.word) return row.version;
  }
  for (const ForeignVersion& row : kForeignVersions) {
    if (node->kind != NodeKind::kScalar || node->text != row.word) continue;
    diagnostics.error(node->where, "version " + node->text + " of the session language is not read",
                      std::string(row.difference));
    return std::nullopt;
  }
  diagnostics.error(node->where, "`version`: expected 0.3, 0.3.10 or casemate-1, found " + describe(*node), kAdvice);
  return std::nullopt;
}

std::string read_name(const Node& root, const ParseOptions& options, Diagnostics& diagnostics) {
  const Node* node = find_key(root, "name");
  if (options.name.empty() && node == nullptr) {
    diagnostics.error(root.where, "the session lacks the key `name`", "add it, or give --name");
    return "";
  }
  Reader reader("", Version::kCasemate1, diagnostics);
  const std::string name = options.name.empty() ? reader.text(*node, "`name`") : options.name;
  if (name.empty() && node != nullptr && (node->kind != NodeKind::kScalar || node->quoting == Quoting::kPlain))
    return "";
  if (Result<void> good = check_session_name(name); !good) {
    diagnostics.error(node == nullptr ? Position{} : node->where, "`name`: " + good.error().message(),
                      "for example clinic/records-db");
  }
  return name;
}

}  // namespace

std::optional<Session> parse_session(std::string_view text, const ParseOptions& options, Diagnostics& diagnostics) {
  const std::optional<Node> root = parse_yaml(text, diagnostics);
  if (!root) return std::nullopt;
  if (root->kind != NodeKind::kMapping) {
    diagnostics.error(root->where, "a session is a mapping with `name`, `version`, ..., found " + describe(*root),
                      "begin with `name: my-session`");
    return std::nullopt;
  }
  const std::optional<Version> version = read_version(*root, diagnostics);
  Session session;
  session.where = session.name_where = session.predecessor_where = root->where;
  session.name = read_name(*root, options, diagnostics);
  if (const Node* name = find_key(*root, "name")) session.name_where = name->where;
  session.version = version.value_or(Version::kCasemate1);
  Reader reader(session.name, session.version, diagnostics);
  read_mapping<Session>(session, *root, "a session", kSessionFields, reader);
  internal::check_unique(session, diagnostics);
  if (!diagnostics.has_errors()) resolve_local_fragments(session, diagnostics);
  if (diagnostics.has_errors()) return std::nullopt;
  return session;
}

std::optional<AccessPolicy> parse_access_fragment(const Node& fragment, const Session& session,
                                                  Diagnostics& diagnostics) {
  const std::size_t before = diagnostics.error_count();
  Reader reader(session.name, session.version, diagnostics);
  AccessPolicy policy = internal::read_access_policy(reader, fragment);
  if (diagnostics.error_count() != before) return std::nullopt;
  return policy;
}

std::optional<Security> parse_security_fragment(const Node& fragment, const Session& session,
                                                Diagnostics& diagnostics) {
  const std::size_t before = diagnostics.error_count();
  Reader reader(session.name, session.version, diagnostics);
  Security security = internal::read_security(reader, fragment);
  if (diagnostics.error_count() != before) return std::nullopt;
  return security;
}

void resolve_local_fragments(Session& session, Diagnostics& diagnostics) {
  const auto fragment_of = [&](const FragmentReference& reference) -> const Node* {
    const Secret* secret = session.find_secret(reference.secret);
    return secret == nullptr ? nullptr : secret->fragment.get();
  };
  if (const auto* reference = std::get_if<FragmentReference>(&session.access_policy)) {
    if (const Node* node = fragment_of(*reference)) {
      if (std::optional<AccessPolicy> policy = parse_access_fragment(*node, session, diagnostics))
        session.access_policy = *policy;
    }
  }
  if (const auto* reference = std::get_if<FragmentReference>(&session.security)) {
    if (const Node* node = fragment_of(*reference)) {
      if (std::optional<Security> security = parse_security_fragment(*node, session, diagnostics))
        session.security = *security;
    }
  }
}

}  // namespace casemate::policy
