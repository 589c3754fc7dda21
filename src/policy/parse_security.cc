// security: what evidence is accepted, one-time passwords, tokens, singletons.
#include <algorithm>

#include "policy/parse_internal.h"

namespace casemate::policy::internal {
namespace {

constexpr std::string_view kTolerations[] = {
    "simulation",  // ours
    "debug-mode",
    "hyperthreading",
    "insecure-igpu",
    "outdated-tcb",
    "software-hardening-needed",
    "insecure-configuration",
    "aepic-leak",
    "local-attestation-trust-cas-tcb",
    "maa-managed-tcb",
};

constexpr Choice<AttestationMode> kModes[] = {
    {"hardware", AttestationMode::kHardware},
    {"none", AttestationMode::kNone},
    {"maa", AttestationMode::kMaa},
};

void sort_and_unite(std::vector<std::string>& words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
}

std::string read_toleration(Reader& reader, const Node& node) {
  return std::string(kTolerations[reader.choose(node, "`tolerate`", kTolerations)]);
}

bool is_advisory(std::string_view text) {
  for (const std::string_view prefix : {std::string_view("INTEL-SA-"), std::string_view("AMD-SB-")}) {
    if (!text.starts_with(prefix)) continue;
    const std::string_view number = text.substr(prefix.size());
    return number.size() >= 4 && number.size() <= 6 && number.find_first_not_of("0123456789") == std::string_view::npos;
  }
  return false;
}

std::string read_advisory(Reader& reader, const Node& node) {
  std::string advisory = reader.text(node, "`ignore_advisories`");
  if (!advisory.empty() && advisory != "*" && !is_advisory(advisory)) {
    reader.out.error(node.where, "`ignore_advisories`: `" + advisory.substr(0, 60) + "` is no advisory",
                     "write INTEL-SA-00615 or AMD-SB-3019");
  }
  return advisory;
}

void read_advisories(Security& security, const Node& node, Reader& reader) {
  if (node.kind == NodeKind::kScalar && node.text == "*") {
    security.ignore_all_advisories = true;
    return;
  }
  security.ignore_advisories = reader.list<std::string>(node, "`ignore_advisories`", "advisories", read_advisory);
  security.ignore_all_advisories = std::erase(security.ignore_advisories, "*") != 0;
  sort_and_unite(security.ignore_advisories);
}

void read_mode(Security& security, const Node& node, Reader& reader) {
  security.mode = reader.choice<AttestationMode>(node, "`mode`", kModes);
}

void read_tolerate(Security& security, const Node& node, Reader& reader) {
  security.tolerate = reader.list<std::string>(node, "`tolerate`", "what is tolerated", read_toleration);
  security.tolerate_where = node.where;
  sort_and_unite(security.tolerate);
}

constexpr Field<Security> kAttestationFields[] = {
    {"mode", read_mode},
    {"url",
     [](Security& security, const Node& node, Reader& reader) { security.maa_url = reader.text(node, "`url`"); }},
    {"min_rsa_signing_key_size",
     [](Security& security, const Node& node, Reader& reader) {
       security.maa_minimum_key_size = reader.integer(node, "`min_rsa_signing_key_size`", 1024, 16384);
     }},
    {"tolerate", read_tolerate},
    {"ignore_advisories", read_advisories},
    {"trusted_scone_qe_pubkeys",
     [](Security& security, const Node& node, Reader& reader) {
       security.trusted_scone_quoting_keys = reader.list<std::string>(
           node, "`trusted_scone_qe_pubkeys`", "keys",
           [](Reader& inner, const Node& item) { return inner.text(item, "`trusted_scone_qe_pubkeys`"); });
     }},
    {"one_time_password_shared_secret",
     [](Security& security, const Node& node, Reader& reader) {
       security.one_time_password = reader.template_text(node, "`one_time_password_shared_secret`");
       security.one_time_password_where = node.where;
     }},
};

constexpr Field<Security> kSecurityFields[] = {
    {"attestation",
     [](Security& security, const Node& node, Reader& reader) {
       read_mapping<Security>(security, node, "`attestation`", kAttestationFields, reader);
     }},
    {"service_access_token",
     [](Security& security, const Node& node, Reader& reader) {
       security.service_access_token = reader.template_text(node, "`service_access_token`");
       security.token_where = node.where;
     }},
    {"singleton_enclaves", [](Security& security, const Node& node,
                              Reader& reader) { security.singleton = reader.boolean(node, "`singleton_enclaves`"); }},
};

}  // namespace

Security read_security(Reader& reader, const Node& node) {
  Security security;
  security.scope = reader.session;
  security.where = node.where;
  security.tolerate_where = node.where;
  read_mapping<Security>(security, node, "`security`", kSecurityFields, reader);
  return security;
}

}  // namespace casemate::policy::internal
