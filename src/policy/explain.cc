#include "policy/explain.h"

#include <algorithm>
#include <set>

#include "policy/approval.h"
#include "policy/canonical.h"
#include "policy/describe.h"
#include "policy/formats.h"
#include "policy/uses.h"

namespace casemate::policy {
namespace {

std::string described(const AccessRule& rule) {
  std::string text;
  const Value form = canonical_rule(rule);
  for (const Value& term : *form.list()) text += (text.empty() ? "" : ", or ") + describe_term(term);
  return text;
}

std::string target_text(const ExportTarget& target) {
  if (target.kind == ExportTarget::Kind::kNamespace) return "every session below `" + target.name + "`";
  std::string text = "session `" + target.name + "`";
  if (!target.session_hash.empty()) text += " in its version " + target.session_hash.substr(0, 16);
  return text;
}

// Who may put a session of that kind in place.
std::string control_of_target(const ExportTarget& target, const Session& session, const KnownSessions& known) {
  const auto found = known.find(target.name);
  const Session* other = target.name == session.name ? &session : found == known.end() ? nullptr : found->second;
  const bool is_namespace = target.kind == ExportTarget::Kind::kNamespace;
  if (!target.session_hash.empty()) return "; nobody can change that version";
  if (other == nullptr)
    return std::string("; who controls ") + (is_namespace ? "that namespace" : "it") +
           " is not known here (--with FILE)";
  if (other->access() == nullptr) return "; who controls it is decided by an imported fragment";
  return is_namespace ? "; such sessions may be created by " + described(create_rule(*other->access()))
                      : "; it may be changed by " + described(update_rule(*other->access()));
}

std::string code_text(const Service& service) {
  std::string text;
  for (const AttestationAlternative& alternative : service.attestation) {
    std::string one;
    for (const std::string& measurement : alternative.measurements)
      one += (one.empty() ? "measurement " : " or ") + measurement.substr(0, 16);
    if (alternative.signer) {
      one += (one.empty() ? "" : ", and ") + std::string("signer ") + alternative.signer->mrsigner.substr(0, 16);
      if (alternative.signer->product_id) one += " product " + std::to_string(*alternative.signer->product_id);
      if (alternative.signer->minimum_security_version)
        one += " version " + std::to_string(*alternative.signer->minimum_security_version) + " or later";
    }
    text += (text.empty() ? "" : "; or ") + one;
  }
  return text.empty() ? "nothing" : text;
}

std::string listed(const std::vector<std::string>& words, const char* when_empty) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text.empty() ? when_empty : text;
}

Explanation explain_service(const Session& session, const Service& service) {
  Explanation all{"service `" + service.name + "`", {}};
  all.sentences.push_back("runs: " + listed(service.command, "nothing"));
  all.sentences.push_back("may be started by a runtime with " + code_text(service));
  std::vector<std::string> tees = service.tee.empty() ? std::vector<std::string>{"sgx"} : service.tee;
  const Security* security = session.security_rules();
  if (security != nullptr && security->tolerates("simulation"))
    tees.push_back("simulation (nothing protects against root there)");
  all.sentences.push_back("on evidence of: " + listed(tees, ""));
  all.sentences.push_back("on platforms: " + listed(service.platforms, "any"));
  std::vector<std::string> chosen;
  for (const EnvironmentVariable& variable : service.environment) {
    if (variable.pass_through) chosen.push_back("variable " + variable.name);
  }
  const bool takes_arguments = std::any_of(service.command.begin(), service.command.end(), [](const std::string& word) {
    return word.find("@@") != std::string::npos;
  });
  if (takes_arguments) chosen.push_back("arguments");
  if (!chosen.empty()) all.sentences.push_back("the host chooses: " + listed(chosen, ""));
  if (security == nullptr) {
    all.sentences.push_back("what else a start needs is decided by an imported fragment");
  } else {
    if (security->one_time_password) all.sentences.push_back("every start needs a one-time password");
    if (security->service_access_token) all.sentences.push_back("every start needs the access token");
    if (security->singleton) all.sentences.push_back("one instance at a time");
  }
  return all;
}

Explanation explain_rules(const Session& session) {
  Explanation all{"session `" + session.name + "`", {}};
  const AccessPolicy* access = session.access();
  if (access == nullptr) {
    all.sentences.push_back("who may read and change it is decided by an imported fragment (--with FILE shows it)");
    return all;
  }
  all.sentences.push_back("may be read by " + described(read_rule(*access)));
  all.sentences.push_back("may be changed by " + described(update_rule(*access)));
  all.sentences.push_back("sessions below it may be created by " + described(create_rule(*access)));
  if (access->break_glass)
    all.sentences.push_back("may be changed by breaking the glass, which is logged, by " +
                            described(*access->break_glass));
  return all;
}

Explanation explain_volume(const Session& session, const Volume& volume, const KnownSessions& known) {
  Explanation all{"volume `" + volume.name + "`", {}};
  if (volume.import)
    all.sentences.push_back("is imported: `" + volume.import->name + "` of session `" + volume.import->session + "`");
  for (const Image& image : session.images) {
    for (const Mount& mount : image.mounts) {
      if (mount.volume != volume.name) continue;
      for (const Service& service : session.services) {
        if (service.image == image.name)
          all.sentences.push_back("is opened by service `" + service.name + "` at " + mount.path);
      }
    }
  }
  for (const ExportTarget& target : volume.exports) {
    all.sentences.push_back("may be imported by " + target_text(target) + control_of_target(target, session, known));
  }
  return all;
}

std::string origin_of(const Session& session, const Secret& secret) {
  const std::string kind = secret.has_kind ? std::string(name_of(secret.kind)) : "kind as exported";
  if (secret.import)
    return kind + ", imported: `" + secret.import->name + "` of session `" + secret.import->session + "`";
  if (secret.fragment != nullptr) return kind;
  if (secret.value != nullptr) return kind + ", given by the text";
  return kind + ", generated by CAS, " +
         (secret.survives_update(session.version) ? "survives updates" : "generated anew by every update");
}

// Follows one secret to everything that gets it, directly or inside something else.
class Tracer {
 public:
  Tracer(const Session& session, const KnownSessions& known)
      : session_(session), known_(known), uses_(secret_uses(session)) {}

  std::vector<std::string> trace(const std::string& secret) {
    follow(secret, "");
    return std::move(sentences_);
  }

 private:
  void follow(const std::string& name, const std::string& inside);
  void tell_use(const SecretUse& use, const std::string& inside);
  void tell_sharing(const Secret& secret, const std::string& inside);
  void say(const std::string& sentence) {
    if (std::find(sentences_.begin(), sentences_.end(), sentence) == sentences_.end()) sentences_.push_back(sentence);
  }

  const Session& session_;
  const KnownSessions& known_;
  const std::vector<SecretUse> uses_;
  std::set<std::string> followed_;
  std::vector<std::string> sentences_;
};

void Tracer::tell_use(const SecretUse& use, const std::string& inside) {
  switch (use.kind) {
    case UseKind::kCommand:
    case UseKind::kEnvironment:
    case UseKind::kNetwork:
      return say("goes to service `" + use.holder + "`: " + use.place + inside);
    case UseKind::kInjectedFile:
      for (const Service& service : session_.services) {
        if (service.image == use.holder) say("goes to service `" + service.name + "`: " + use.place + inside);
      }
      return;
    case UseKind::kSecurity:
      return say("is compared by CAS at every start (" + use.place + "); whoever starts services must know it" +
                 inside);
    case UseKind::kValueOfSecret:
      return follow(use.holder, inside + ", inside secret `" + use.holder + "`");
    case UseKind::kIssuer:
      return say("signs certificate `" + use.holder + "` inside CAS");
    case UseKind::kPrivateKey:
    case UseKind::kFragment:
      return;
  }
}

void Tracer::tell_sharing(const Secret& secret, const std::string& inside) {
  for (const ExportTarget& target : secret.exports) {
    say("may be imported by " + target_text(target) + inside + control_of_target(target, session_, known_));
  }
  if (secret.export_public) say("may be read by everybody, without any proof" + inside);
}

void Tracer::follow(const std::string& name, const std::string& inside) {
  if (!followed_.insert(name).second) return;
  const Secret* secret = session_.find_secret(name);
  if (secret != nullptr) tell_sharing(*secret, inside);
  for (const SecretUse& use : uses_) {
    if (use.secret == name) tell_use(use, inside);
    // A certificate's `key` form hands out its private key.
    const Secret* certificate = session_.find_secret(use.secret);
    if (certificate == nullptr || certificate->private_key != name) continue;
    const SecretFormat* format = find_format(certificate->kind, use.format);
    if (format != nullptr && format->part == SecretPart::kPrivateKey)
      tell_use(use, inside + ", as the key of `" + certificate->name + "`");
  }
}

void tell_future(const Session& session, const Secret& secret, std::vector<std::string>& sentences) {
  const AccessPolicy* access = session.access();
  const std::string who = access == nullptr ? "whoever the imported fragment names" : described(update_rule(*access));
  if (secret.import) {
    sentences.push_back("could be handed to other services of this session by who may change it: " + who);
    return;
  }
  const bool keeps = !secret.is_generated() || secret.survives_update(session.version);
  sentences.push_back(keeps
                          ? "could be obtained by who may change this session, by adding a service or an export: " + who
                          : "could not be obtained by changing this session: every change makes a new value");
  if (access != nullptr && access->break_glass && keeps)
    sentences.push_back("and, logged as breaking the glass, by " + described(*access->break_glass));
  if (secret.value != nullptr) sentences.push_back("is known to whoever wrote or holds this text");
}

}  // namespace

Explanation explain_secret(const Session& session, std::string_view name, const KnownSessions& known) {
  const Secret& secret = *session.find_secret(name);
  Explanation all{"secret `" + secret.name + "` (" + origin_of(session, secret) + ")", {}};
  if (secret.import) {
    all.sentences.push_back("belongs to session `" + secret.import->session + "`: explain it there, too");
  }
  const std::vector<std::string> traced = Tracer(session, known).trace(secret.name);
  all.sentences.insert(all.sentences.end(), traced.begin(), traced.end());
  if (secret.fragment == nullptr) tell_future(session, secret, all.sentences);
  return all;
}

std::vector<Explanation> explain_session(const Session& session, const KnownSessions& known) {
  std::vector<Explanation> all{explain_rules(session)};
  for (const Service& service : session.services) all.push_back(explain_service(session, service));
  for (const Volume& volume : session.volumes) all.push_back(explain_volume(session, volume, known));
  for (const Secret& secret : session.secrets) all.push_back(explain_secret(session, secret.name, known));
  return all;
}

std::string to_text(const std::vector<Explanation>& explanations) {
  std::string text;
  for (const Explanation& explanation : explanations) {
    text += explanation.subject + "\n";
    for (const std::string& sentence : explanation.sentences) text += "  " + sentence + "\n";
  }
  return text;
}

}  // namespace casemate::policy
