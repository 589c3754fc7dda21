#include "policy/uses.h"

#include <set>

namespace casemate::policy {
namespace {

class Collector {
 public:
  explicit Collector(const Session& session) : session_(session) {
    for (const Secret& secret : session.secrets) names_.insert(secret.name);
  }

  void add_template(std::string_view text, SecretUse use) {
    Result<std::vector<SecretReference>> references = find_references(text);
    if (!references) return;  // the parser has refused it
    for (const SecretReference& reference : references.value()) {
      NamedFormat named = names_.contains(reference.name) ? NamedFormat{reference.name, reference.format}
                                                          : named_format(session_, reference);
      use.secret = std::move(named.secret);
      use.format = std::move(named.format);
      uses_.push_back(use);
    }
  }
  void add(SecretUse use) { uses_.push_back(std::move(use)); }

  void walk(const Service& service);
  void walk(const Image& image);
  void walk(const Secret& secret);
  void walk_fragment(const Node& node, const Secret& secret);
  void walk_rules();
  std::vector<SecretUse> take() { return std::move(uses_); }

 private:
  const Session& session_;
  std::set<std::string_view> names_;
  std::vector<SecretUse> uses_;
};

std::string of(const char* what, const std::string& name, const char* owner_kind, const std::string& owner) {
  return std::string(what) + " `" + name + "` of " + owner_kind + " `" + owner + "`";
}

void Collector::walk(const Service& service) {
  for (const std::string& word : service.command) {
    add_template(word, {UseKind::kCommand, "", "", service.name, "the command of service `" + service.name + "`",
                        service.command_where});
  }
  for (const EnvironmentVariable& variable : service.environment) {
    add_template(variable.value, {UseKind::kEnvironment, "", "", service.name,
                                  of("environment variable", variable.name, "service", service.name), variable.where});
  }
  for (const NetworkRule& rule : service.network.rules) {
    const SecretUse use{UseKind::kNetwork, "", "", service.name, of("network rule", rule.name, "service", service.name),
                        rule.where};
    add_template(rule.identity, use);
    add_template(rule.peer_chain, use);
  }
}

void Collector::walk(const Image& image) {
  for (const InjectedFile& file : image.injected) {
    add_template(file.content, {UseKind::kInjectedFile, "", "", image.name,
                                of("injected file", file.path, "image", image.name), file.where});
  }
}

// The rules in a fragment are compared by CAS wherever the fragment is used; they hand nothing out.
void Collector::walk_fragment(const Node& node, const Secret& secret) {
  add_template(node.text, {UseKind::kSecurity, "", "", "", "config-fragment `" + secret.name + "`", node.where});
  for (const Node& item : node.items) walk_fragment(item, secret);
  for (const Entry& entry : node.entries) walk_fragment(entry.value, secret);
}

void Collector::walk(const Secret& secret) {
  if (secret.fragment != nullptr) walk_fragment(*secret.fragment, secret);
  if (secret.value != nullptr) {
    add_template(secret.value->expose(), {UseKind::kValueOfSecret, "", "", secret.name,
                                          "the value of secret `" + secret.name + "`", secret.value_where});
  }
  if (!secret.private_key.empty()) {
    add({UseKind::kPrivateKey, secret.private_key, "", secret.name, "`private_key` of secret `" + secret.name + "`",
         secret.where});
  }
  if (!secret.issuer.empty()) {
    add({UseKind::kIssuer, secret.issuer, "", secret.name, "`issuer` of secret `" + secret.name + "`", secret.where});
  }
  for (const auto& [key, value] : secret.external) {
    add_template(value,
                 {UseKind::kValueOfSecret, "", "", secret.name, of("key", key, "secret", secret.name), secret.where});
  }
}

void Collector::walk_rules() {
  if (const auto* fragment = std::get_if<FragmentReference>(&session_.access_policy)) {
    add({UseKind::kFragment, fragment->secret, "", "", "`access_policy`", fragment->where});
  }
  if (const auto* fragment = std::get_if<FragmentReference>(&session_.security)) {
    add({UseKind::kFragment, fragment->secret, "", "", "`security`", fragment->where});
    return;
  }
  const Security& security = *session_.security_rules();
  if (security.scope != session_.name && !security.scope.empty()) return;  // names of another session
  add_template(security.one_time_password.value_or(""),
               {UseKind::kSecurity, "", "", "", "`one_time_password_shared_secret`", security.one_time_password_where});
  add_template(security.service_access_token.value_or(""),
               {UseKind::kSecurity, "", "", "", "`service_access_token`", security.token_where});
}

}  // namespace

NamedFormat named_format(const Session& session, const SecretReference& reference) {
  if (!reference.format.empty() || session.find_secret(reference.name) != nullptr)
    return {reference.name, reference.format};
  const DottedName dotted = split_dotted(reference.name);
  return {std::string(dotted.name), std::string(dotted.format)};
}

std::vector<SecretUse> secret_uses(const Session& session) {
  Collector collector(session);
  for (const Service& service : session.services) collector.walk(service);
  for (const Image& image : session.images) collector.walk(image);
  for (const Secret& secret : session.secrets) collector.walk(secret);
  collector.walk_rules();
  return collector.take();
}

}  // namespace casemate::policy
