#include "policy/canonical.h"

#include <algorithm>

#include "crypto/bytes.h"
#include "policy/reader.h"

namespace casemate::policy {
namespace {

using Object = Value::Object;
using List = Value::List;

constexpr std::string_view kHashLabel = "casemate session hash v1";
constexpr std::string_view kCommitmentLabel = "casemate secret commitment v1";
constexpr std::string_view kSaltLabel = "casemate commitment salt v1";

// ---- building blocks: what is empty or default does not appear ------------------------------------------------------

void put(Object& object, const char* key, std::string_view text) {
  if (!text.empty()) object.emplace(key, text);
}
void put(Object& object, const char* key, const std::optional<std::uint64_t>& number) {
  if (number) object.emplace(key, *number);
}
void put_flag(Object& object, const char* key, bool is_set) {
  if (is_set) object.emplace(key, true);
}
void put(Object& object, const char* key, List list) {
  if (!list.empty()) object.emplace(key, std::move(list));
}

// A set: sorted by the JSON of the elements, each once.
List as_set(List list) {
  std::sort(list.begin(), list.end(),
            [](const Value& left, const Value& right) { return to_json(left) < to_json(right); });
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

List as_set(const std::vector<std::string>& texts) { return as_set(List(texts.begin(), texts.end())); }

template <typename T, typename F>
List map_all(const std::vector<T>& all, F&& form) {
  List list;
  list.reserve(all.size());
  for (const T& one : all) list.emplace_back(form(one));
  return list;
}

// Things with names: an object by name, because their order means nothing.
template <typename T, typename F>
void put_named(Object& object, const char* key, const std::vector<T>& all, F&& form) {
  Object named;
  for (const T& one : all) named.emplace(one.name, form(one));
  if (!named.empty()) object.emplace(key, std::move(named));
}

// ---- access ---------------------------------------------------------------------------------------------------------

Value form_of(const AccessTerm& term) {
  switch (term.kind) {
    case TermKind::kCreator:
      return "CREATOR";
    case TermKind::kAny:
      return "ANY";
    case TermKind::kNone:
      return "NONE";
    case TermKind::kKeyHash:
      return Object{{"key_hash", term.identity}};
    case TermKind::kCertificate:
      return Object{{"certificate", term.identity}};
    case TermKind::kSigner:
      return Object{{"signer", term.identity}};
    case TermKind::kQuorum:
      break;
  }
  Object object{{"at_least", std::uint64_t{term.at_least}}};
  put(object, "of", as_set(map_all(term.of, form_of)));
  put(object, "veto", as_set(map_all(term.veto, form_of)));
  if (term.time_lock != 0) object.emplace("time_lock", term.time_lock);
  return object;
}

Value form_of(const AccessPolicy& policy) {
  Object object;
  const auto put_rule = [&](const char* key, const std::optional<AccessRule>& rule) {
    if (rule) object.emplace(key, canonical_rule(*rule));
  };
  put_rule("read", policy.read);
  put_rule("update", policy.update);
  put_rule("create_sessions", policy.create_sessions);
  put_rule("break_glass", policy.break_glass);
  return object;
}

// ---- security -------------------------------------------------------------------------------------------------------

Value form_of(const Security& security) {
  Object object;
  constexpr const char* kModes[] = {"", "none", "maa"};
  put(object, "mode", std::string_view(kModes[static_cast<std::size_t>(security.mode)]));
  put(object, "url", security.maa_url);
  put(object, "min_rsa_signing_key_size", security.maa_minimum_key_size);
  put(object, "tolerate", as_set(security.tolerate));
  put_flag(object, "ignore_all_advisories", security.ignore_all_advisories);
  put(object, "ignore_advisories", as_set(security.ignore_advisories));
  put(object, "trusted_scone_qe_pubkeys", as_set(security.trusted_scone_quoting_keys));
  if (security.one_time_password) object.emplace("one_time_password_shared_secret", *security.one_time_password);
  if (security.service_access_token) object.emplace("service_access_token", *security.service_access_token);
  put_flag(object, "singleton_enclaves", security.singleton);
  return object;
}

// ---- services -------------------------------------------------------------------------------------------------------

Value form_of(const AttestationAlternative& alternative) {
  Object object;
  put(object, "measurement", as_set(alternative.measurements));
  if (alternative.signer) {
    Object signer{{"mrsigner", alternative.signer->mrsigner}};
    if (alternative.signer->product_id) signer.emplace("isvprodid", std::uint64_t{*alternative.signer->product_id});
    if (alternative.signer->minimum_security_version) {
      signer.emplace("isvsvn", std::uint64_t{*alternative.signer->minimum_security_version});
    }
    object.emplace("signer", std::move(signer));
  }
  return object;
}

// An alternative of measurements alone is one alternative per measurement: both spellings of SCONE's mean that.
List alternatives_of(const Service& service) {
  List list;
  for (const AttestationAlternative& alternative : service.attestation) {
    for (const std::string& measurement : alternative.measurements) {
      AttestationAlternative single = alternative;
      single.measurements = {measurement};
      list.emplace_back(form_of(single));
    }
    if (alternative.measurements.empty()) list.emplace_back(form_of(alternative));
  }
  return as_set(std::move(list));
}

Value form_of(const TdxNode& node) {
  Object object{
      {"mrtd", node.mrtd}, {"rtmr0", node.rtmr0}, {"rtmr1", node.rtmr1}, {"rtmr2", node.rtmr2}, {"rtmr3", node.rtmr3}};
  put(object, "mrseam", node.mrseam);
  put(object, "attributes", node.attributes);
  put(object, "xfam", node.xfam);
  return object;
}

Value form_of(const SnpNode& node) {
  Object object{{"measurement", node.measurement}, {"vmpl", std::uint64_t{node.vmpl}}};
  put(object, "guest_policy", node.guest_policy);
  Object minimum;
  for (const auto& [part, version] : node.minimum_tcb) minimum.emplace(part, std::uint64_t{version});
  object.emplace("minimum_tcb", std::move(minimum));
  return object;
}

Value form_of(const NetworkRule& rule) {
  Object object;
  object.emplace("protection", rule.is_protected ? "protected" : "unprotected");
  put(object, "endpoint", rule.endpoint);
  put(object, "destination_ip", rule.destination_ip);
  put(object, "identity", rule.identity);
  if (rule.authentication == PeerAuthentication::kDisabled) object.emplace("peer", "disabled");
  if (rule.authentication == PeerAuthentication::kChain) object.emplace("peer_chain", rule.peer_chain);
  put(object, "peer_names", as_set(rule.peer_names));
  return object;
}

Value form_of(const Network& network) {
  Object object;
  constexpr const char* kModes[] = {"disabled", "unprotected", "protected"};
  if (network.mode) object.emplace("mode", kModes[static_cast<std::size_t>(*network.mode)]);
  if (network.refuse_unsupported_protocols) {
    object.emplace("unsupported_protocols", *network.refuse_unsupported_protocols ? "refuse" : "unprotected");
  }
  Object servers, clients;
  for (const NetworkRule& rule : network.rules) {
    (rule.side == RuleSide::kServer ? servers : clients).emplace(rule.name, form_of(rule));
  }
  if (!servers.empty()) object.emplace("servers", std::move(servers));
  if (!clients.empty()) object.emplace("clients", std::move(clients));
  return object;
}

void put_file_protection(Object& object, const SconeFileProtection& protection, std::string_view salt,
                         const std::string& path) {
  if (!protection.is_given()) return;
  Object form;
  put(form, "path", protection.path);
  put(form, "tag", protection.tag);
  put(form, "update_policy", protection.update_policy);
  if (protection.key != nullptr) form.emplace("key_commitment", commitment(salt, path, protection.key->expose()));
  object.emplace("fspf", std::move(form));
}

Value form_of(const Service& service, std::string_view salt) {
  Object object;
  put(object, "image_name", service.image);
  put(object, "command", List(service.command.begin(), service.command.end()));
  put(object, "attestation", alternatives_of(service));
  put(object, "platforms", as_set(service.platforms));
  put(object, "tee", as_set(service.tee));
  Object node;
  put(node, "tdx", as_set(map_all(service.node.tdx, [](const TdxNode& one) { return form_of(one); })));
  put(node, "snp", as_set(map_all(service.node.snp, [](const SnpNode& one) { return form_of(one); })));
  if (!node.empty()) object.emplace("node", std::move(node));
  Object environment;
  List passed;
  for (const EnvironmentVariable& variable : service.environment) {
    if (variable.pass_through) {
      passed.emplace_back(variable.name);
    } else {
      environment.emplace(variable.name, variable.value);
    }
  }
  if (!environment.empty()) object.emplace("environment", std::move(environment));
  put(object, "environment_of_host", as_set(std::move(passed)));
  put(object, "pwd", service.pwd);
  Value network = form_of(service.network);
  if (!network.object()->empty()) object.emplace("network", std::move(network));
  put(object, "allow", as_set(service.allow));
  put_file_protection(object, service.file_protection, salt, "services/" + service.name + "/fspf_key");
  return object;
}

// ---- images, volumes ------------------------------------------------------------------------------------------------

Value form_of(const Region& region) {
  constexpr const char* kKinds[] = {"host", "ephemeral", "authenticated"};
  Object object{{"protection", kKinds[static_cast<std::size_t>(region.kind)]}};
  put(object, "manifest", region.manifest);
  put_flag(object, "executable", region.executable);
  put_flag(object, "insecure_host_code", region.insecure_host_code);
  return object;
}

Value form_of(const Image& image) {
  Object object, mounts, injected, regions, files;
  for (const Mount& mount : image.mounts) mounts.emplace(mount.path, mount.volume);
  for (const InjectedFile& file : image.injected) {
    Object form{{"content", file.content}};
    if (file.mode != InjectedFile().mode) form.emplace("mode", std::uint64_t{file.mode});
    injected.emplace(file.path, std::move(form));
  }
  for (const Region& region : image.regions) regions.emplace(region.path, form_of(region));
  for (const FileDigest& file : image.files) files.emplace(file.path, file.sha256);
  const auto put_object = [&](const char* key, Object&& part) {
    if (!part.empty()) object.emplace(key, std::move(part));
  };
  put_object("volumes", std::move(mounts));
  put_object("injection_files", std::move(injected));
  put_object("regions", std::move(regions));
  put_object("files", std::move(files));
  return object;
}

Value form_of(const ExportTarget& target) {
  Object object{{target.kind == ExportTarget::Kind::kSession ? "session" : "namespace", target.name}};
  put(object, "session_hash", target.session_hash);
  return object;
}

void put_sharing(Object& object, const std::vector<ExportTarget>& exports, const std::optional<Import>& import) {
  put(object, "export", as_set(map_all(exports, [](const ExportTarget& target) { return form_of(target); })));
  if (import) object.emplace("import", Object{{"session", import->session}, {"name", import->name}});
}

Value form_of(const Volume& volume, std::string_view salt) {
  constexpr const char* kFreshness[] = {"strict", "bounded", "local"};
  constexpr const char* kOnCasLoss[] = {"wait", "stop", "insecure-continue"};
  Object object;
  put_sharing(object, volume.exports, volume.import);
  if (volume.freshness) object.emplace("freshness", kFreshness[static_cast<std::size_t>(*volume.freshness)]);
  put(object, "freshness_bound", volume.freshness_bound);
  if (volume.on_cas_loss) object.emplace("on_cas_loss", kOnCasLoss[static_cast<std::size_t>(*volume.on_cas_loss)]);
  put(object, "root_tag", volume.root_tag);
  put_file_protection(object, volume.file_protection, salt, "volumes/" + volume.name + "/fspf_key");
  return object;
}

// ---- secrets --------------------------------------------------------------------------------------------------------

// Of a config-fragment: scalars as they are read, no types.
Value form_of(const Node& node) {
  if (node.kind == NodeKind::kScalar) return is_null(node) ? Value() : Value(node.text);
  if (node.kind == NodeKind::kList) return map_all(node.items, [](const Node& item) { return form_of(item); });
  Object object;
  for (const Entry& entry : node.entries) object.emplace(entry.key.text, form_of(entry.value));
  return object;
}

Value form_of(const Secret& secret, Version version, std::string_view salt) {
  Object object;
  if (secret.has_kind) object.emplace("kind", name_of(secret.kind));
  if (secret.value != nullptr) {
    object.emplace("value_commitment", commitment(salt, "secrets/" + secret.name + "/value", secret.value->expose()));
  }
  if (secret.fragment != nullptr) object.emplace("fragment", form_of(*secret.fragment));
  put(object, "size", secret.size);
  put(object, "key_type", secret.key_type);
  put(object, "private_key", secret.private_key);
  put(object, "issuer", secret.issuer);
  put(object, "common_name", secret.common_name);
  put(object, "names", as_set(secret.alternative_names));
  put(object, "endpoint", secret.endpoint);
  put(object, "valid_for", secret.valid_for);
  put_sharing(object, secret.exports, secret.import);
  put_flag(object, "export_public", secret.export_public);
  if (secret.is_generated()) put_flag(object, "survives_update", secret.survives_update(version));
  for (const auto& [key, value] : secret.external) {
    object.emplace(key, Object{{"commitment", commitment(salt, "secrets/" + secret.name + "/" + key, value)}});
  }
  return object;
}

void append_size(crypto::Bytes& bytes, std::uint64_t size) {
  for (int shift = 56; shift >= 0; shift -= 8)
    bytes.push_back(static_cast<std::byte>(size >> static_cast<unsigned>(shift)));
}

// Imported fragments appear by name, resolved or not.
void put_rules(Object& object, const Session& session) {
  const auto put_part = [&](const char* key, const std::string& fragment, Value form) {
    if (!fragment.empty()) {
      object.emplace(key, Object{{"fragment_of", fragment}});
    } else if (!form.object()->empty()) {
      object.emplace(key, std::move(form));
    }
  };
  const auto* access = std::get_if<FragmentReference>(&session.access_policy);
  const auto* security = std::get_if<FragmentReference>(&session.security);
  put_part("access_policy", access != nullptr ? access->secret : session.access_fragment,
           access != nullptr ? Value(Object()) : form_of(*session.access()));
  put_part("security", security != nullptr ? security->secret : session.security_fragment,
           security != nullptr ? Value(Object()) : form_of(*session.security_rules()));
}

}  // namespace

Value canonical_rule(const AccessRule& rule) {
  return as_set(map_all(rule, [](const AccessTerm& term) { return form_of(term); }));
}

std::string commitment(std::string_view salt, std::string_view path, std::string_view value) {
  crypto::Sha256 hash;
  hash.update(crypto::as_byte_view(kCommitmentLabel));
  crypto::Bytes head{std::byte{0}};
  if (Result<crypto::Bytes> bytes = crypto::from_hex(salt)) crypto::append(head, bytes.value());
  append_size(head, path.size());
  crypto::append(head, crypto::as_byte_view(path));
  append_size(head, value.size());
  hash.update(head);
  hash.update(crypto::as_byte_view(value));
  return crypto::to_hex(hash.finish());
}

Value canonical_form(const Session& session) {
  const std::string& salt = session.commitment_salt;
  Object object{{"name", session.name}, {"version", name_of(session.version)}};
  if (session.predecessor) object.emplace("predecessor", *session.predecessor);
  if (!salt.empty()) {
    // Bound, but not shown: it is what keeps guesses at low-entropy values from being checked.
    crypto::Bytes bytes = crypto::to_bytes(crypto::as_byte_view(kSaltLabel));
    bytes.push_back(std::byte{0});
    if (Result<crypto::Bytes> raw = crypto::from_hex(salt)) crypto::append(bytes, raw.value());
    object.emplace("commitment_salt", crypto::to_hex(crypto::sha256(bytes)));
  }
  put_rules(object, session);
  put_named(object, "services", session.services, [&](const Service& service) { return form_of(service, salt); });
  put_named(object, "images", session.images, [](const Image& image) { return form_of(image); });
  put_named(object, "volumes", session.volumes, [&](const Volume& volume) { return form_of(volume, salt); });
  put_named(object, "secrets", session.secrets,
            [&](const Secret& secret) { return form_of(secret, session.version, salt); });
  return object;
}

crypto::Sha256Digest hash_of_form(const Value& form) {
  crypto::Sha256 hash;
  hash.update(crypto::as_byte_view(kHashLabel));
  const std::byte separator{0};
  hash.update({&separator, 1});
  hash.update(crypto::as_byte_view(to_json(form)));
  return hash.finish();
}

crypto::Sha256Digest session_hash(const Session& session) { return hash_of_form(canonical_form(session)); }

}  // namespace casemate::policy
