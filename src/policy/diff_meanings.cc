#include "policy/diff_meanings.h"

#include <algorithm>
#include <span>

#include "policy/describe.h"

namespace casemate::policy::internal {
namespace {

using enum Effect;

// How more and less follow from a difference.
enum class Sense {
  kGrant,        // an element more allows more
  kRestriction,  // an element allows less; from none at all to some allows less, and back
  kNeutral,
  kSteps,  // words from tight to loose
};

struct MeaningRow {
  std::string_view pattern;  // "*" matches one step
  Sense sense;
  // {1}, {2}: what the asterisks matched; {old}, {new}: values. Empty: not told at this place.
  std::string_view added, removed, changed;
  std::span<const std::string_view> steps = {};
};

constexpr std::string_view kShieldSteps[] = {"protected", "unprotected", "disabled"};
constexpr std::string_view kProtectionSteps[] = {"protected", "unprotected"};
constexpr std::string_view kUnsupportedSteps[] = {"refuse", "unprotected"};
constexpr std::string_view kFreshnessSteps[] = {"strict", "bounded", "local"};
constexpr std::string_view kLossSteps[] = {"stop", "wait", "insecure-continue"};
constexpr std::string_view kModeSteps[] = {"hardware", "maa", "none"};

constexpr MeaningRow kMeanings[] = {
    {"name", Sense::kNeutral, "", "", "the session's name changes from {old} to {new}"},
    {"version", Sense::kNeutral, "", "", "the language's version changes from {old} to {new}: defaults may differ"},
    {"commitment_salt", Sense::kNeutral, "commitments of explicit values are salted from now on",
     "commitments of explicit values are no longer salted: guesses can be tested",
     "commitments of explicit values are salted anew"},

    {"access_policy/read", Sense::kGrant, "{new} may now read the session", "{old} may no longer read the session", ""},
    {"access_policy/update", Sense::kGrant, "{new} may now change the session",
     "{old} may no longer change the session", ""},
    {"access_policy/create_sessions", Sense::kGrant, "{new} may now create sessions below this one",
     "{old} may no longer create sessions below this one", ""},
    {"access_policy/break_glass", Sense::kGrant, "{new} may now change the session by breaking the glass",
     "{old} may no longer break the glass", ""},
    {"access_policy/fragment_of", Sense::kNeutral, "who may do what is now decided by fragment {new}",
     "who may do what is no longer decided by fragment {old}",
     "who may do what is decided by fragment {new} instead of {old}"},

    {"security/mode", Sense::kSteps, "", "", "attestation changes from {old} to {new}", kModeSteps},
    {"security/tolerate", Sense::kGrant, "{new} is now tolerated in evidence",
     "{old} is no longer tolerated in evidence", ""},
    {"security/ignore_advisories", Sense::kGrant, "platforms with advisory {new} are now accepted",
     "platforms with advisory {old} are no longer accepted", ""},
    {"security/ignore_all_advisories", Sense::kGrant, "platforms with any advisory are now accepted",
     "platforms with advisories are no longer accepted as a whole", ""},
    {"security/trusted_scone_qe_pubkeys", Sense::kGrant, "quoting key {new} is now trusted",
     "quoting key {old} is no longer trusted", ""},
    {"security/singleton_enclaves", Sense::kRestriction, "of each service only one instance may run now",
     "several instances of a service may run now", ""},
    {"security/one_time_password_shared_secret", Sense::kRestriction, "every start needs a one-time password now",
     "starts no longer need a one-time password", "one-time passwords come from another secret"},
    {"security/service_access_token", Sense::kRestriction, "every start needs the access token now",
     "starts no longer need the access token", "the access token is another one"},
    {"security/fragment_of", Sense::kNeutral, "what evidence is accepted is now decided by fragment {new}",
     "what evidence is accepted is no longer decided by fragment {old}",
     "what evidence is accepted is decided by fragment {new} instead of {old}"},

    {"services/*", Sense::kGrant, "service `{1}` is new", "service `{1}` is gone", ""},
    {"services/*/attestation", Sense::kGrant, "service `{1}` may now be started by code with {new}",
     "service `{1}` may no longer be started by code with {old}", ""},
    {"services/*/platforms", Sense::kRestriction, "service `{1}` may run on platform {new}",
     "service `{1}` may no longer run on platform {old}", ""},
    {"services/*/tee", Sense::kGrant, "evidence of kind {new} is now accepted for service `{1}`",
     "evidence of kind {old} is no longer accepted for service `{1}`", ""},
    {"services/*/node/*", Sense::kGrant, "service `{1}` may now run on a {2} node with {new}",
     "service `{1}` may no longer run on a {2} node with {old}", ""},
    {"services/*/command", Sense::kNeutral, "service `{1}` runs {new}", "service `{1}` has no command any more",
     "service `{1}` runs {new} instead of {old}"},
    {"services/*/image_name", Sense::kNeutral, "service `{1}` uses image {new}", "service `{1}` uses no image any more",
     "service `{1}` uses image {new} instead of {old}"},
    {"services/*/environment/*", Sense::kNeutral, "service `{1}` gets variable `{2}` = {new}",
     "service `{1}` no longer gets variable `{2}`", "variable `{2}` of service `{1}` changes from {old} to {new}"},
    {"services/*/environment_of_host", Sense::kGrant, "the host chooses variable {new} of service `{1}` from now on",
     "the host no longer chooses variable {old} of service `{1}`", ""},
    {"services/*/pwd", Sense::kNeutral, "service `{1}` starts in {new}", "service `{1}` no longer starts in {old}",
     "service `{1}` starts in {new} instead of {old}"},
    {"services/*/allow", Sense::kGrant, "service `{1}` now permits {new}", "service `{1}` no longer permits {old}", ""},
    {"services/*/network/mode", Sense::kSteps, "", "",
     "the network shield of service `{1}` changes from {old} to {new}", kShieldSteps},
    {"services/*/network/unsupported_protocols", Sense::kSteps, "", "",
     "protocols that cannot be shielded: service `{1}` changes from {old} to {new}", kUnsupportedSteps},
    {"services/*/network/servers/*", Sense::kGrant, "service `{1}` may now serve by rule `{2}`",
     "service `{1}` may no longer serve by rule `{2}`", ""},
    {"services/*/network/clients/*", Sense::kGrant, "service `{1}` may now connect by rule `{2}`",
     "service `{1}` may no longer connect by rule `{2}`", ""},
    {"services/*/network/*/*/protection", Sense::kSteps, "", "",
     "connections of service `{1}` by rule `{3}` change from {old} to {new}", kProtectionSteps},
    {"services/*/network/*/*/peer", Sense::kGrant, "rule `{3}` of service `{1}` no longer authenticates its peer",
     "rule `{3}` of service `{1}` authenticates its peer now", ""},
    {"services/*/network/*/*/peer_names", Sense::kRestriction, "by rule `{3}` service `{1}` may talk to {new}",
     "by rule `{3}` service `{1}` may no longer talk to {old}", ""},

    {"images/*", Sense::kNeutral, "image `{1}` is new", "image `{1}` is gone", ""},
    {"images/*/files/*", Sense::kGrant, "file {2} of image `{1}` is trusted with SHA-256 {new}",
     "file {2} of image `{1}` is no longer trusted",
     "file {2} of image `{1}` is trusted with other contents: SHA-256 {new} instead of {old}"},
    {"images/*/volumes/*", Sense::kNeutral, "image `{1}` mounts volume {new} at {2}",
     "image `{1}` no longer mounts volume {old} at {2}", "image `{1}` mounts volume {new} instead of {old} at {2}"},
    {"images/*/injection_files/*", Sense::kNeutral, "image `{1}` gets an injected file {2}",
     "image `{1}` no longer gets the injected file {2}", ""},
    {"images/*/injection_files/*/content", Sense::kNeutral, "the injected file {2} of image `{1}` contains {new}", "",
     "the injected file {2} of image `{1}` contains {new} instead of {old}"},
    {"images/*/regions/*", Sense::kGrant, "image `{1}` has a region at {2}",
     "image `{1}` has no region at {2} any more", ""},
    {"images/*/regions/*/protection", Sense::kNeutral, "region {2} of image `{1}` is {new}", "",
     "region {2} of image `{1}` changes from {old} to {new}"},
    {"images/*/regions/*/manifest", Sense::kNeutral, "region {2} of image `{1}` has the contents of manifest {new}",
     "region {2} of image `{1}` has no manifest any more",
     "region {2} of image `{1}` has other contents: manifest {new} instead of {old}"},
    {"images/*/regions/*/executable", Sense::kGrant, "code may run from region {2} of image `{1}`",
     "code may no longer run from region {2} of image `{1}`", ""},
    {"images/*/regions/*/insecure_host_code", Sense::kGrant,
     "the host chooses what code runs from region {2} of image `{1}`",
     "the host no longer chooses what code runs from region {2} of image `{1}`", ""},

    {"volumes/*", Sense::kNeutral, "volume `{1}` is new, with a fresh key",
     "volume `{1}` is gone: its key is lost and so are its contents", ""},
    {"volumes/*/export", Sense::kGrant, "volume `{1}` may now be imported by {new}",
     "volume `{1}` may no longer be imported by {old}", ""},
    {"volumes/*/freshness", Sense::kSteps, "volume `{1}` gets freshness {new}",
     "volume `{1}` gets the default freshness instead of {old}",
     "freshness of volume `{1}` changes from {old} to {new}", kFreshnessSteps},
    {"volumes/*/on_cas_loss", Sense::kSteps, "without CAS, volume `{1}` will {new}",
     "without CAS, volume `{1}` will do the default instead of {old}",
     "without CAS, volume `{1}` will {new} instead of {old}", kLossSteps},
    {"volumes/*/root_tag", Sense::kNeutral, "volume `{1}` must have root tag {new}",
     "volume `{1}` may have any contents", "volume `{1}` must have other contents: root tag {new} instead of {old}"},

    {"secrets/*", Sense::kNeutral, "secret `{1}` is new", "secret `{1}` is gone", ""},
    {"secrets/*/export", Sense::kGrant, "secret `{1}` may now be imported by {new}",
     "secret `{1}` may no longer be imported by {old}", ""},
    {"secrets/*/export_public", Sense::kGrant, "everybody may now read secret `{1}`",
     "secret `{1}` is no longer public, but copies may exist", ""},
    {"secrets/*/import", Sense::kNeutral, "secret `{1}` is imported from {new}",
     "secret `{1}` is no longer imported from {old}", "secret `{1}` is imported from {new} instead of {old}"},
    {"secrets/*/value_commitment", Sense::kNeutral, "secret `{1}` has a value that this text gives",
     "secret `{1}` no longer has the value of the text", "secret `{1}` gets another value"},
    {"secrets/*/survives_update", Sense::kNeutral, "secret `{1}` survives updates",
     "secret `{1}` is generated anew by every update", ""},
    {"secrets/*/kind", Sense::kNeutral, "secret `{1}` is of kind {new}", "",
     "secret `{1}` changes its kind from {old} to {new}"},
    {"secrets/*/names", Sense::kGrant, "certificate `{1}` is valid for {new}",
     "certificate `{1}` is no longer valid for {old}", ""},
};

// Whether `pattern` fits; `matched` gets what the asterisks stand for.
bool fits(std::string_view pattern, const std::vector<std::string>& path, std::vector<std::string>& matched) {
  matched.clear();
  for (const std::string& step : path) {
    const std::size_t end = std::min(pattern.find('/'), pattern.size());
    const std::string_view part = pattern.substr(0, end);
    if (part.empty() || (part != "*" && part != step)) return false;
    if (part == "*") matched.push_back(step);
    pattern.remove_prefix(std::min(end + 1, pattern.size()));
  }
  return pattern.empty();
}

std::string shown(const Value& value, const std::vector<std::string>& path) {
  if (path.front() == "access_policy" && path.back() != "fragment_of") return describe_term(value);
  return describe_value(value);
}

std::string fill(std::string_view sentence, const RawChange& change, const std::vector<std::string>& matched) {
  std::string text;
  while (!sentence.empty()) {
    const std::size_t open = sentence.find('{');
    text += sentence.substr(0, open);
    if (open == std::string_view::npos) break;
    const std::size_t close = sentence.find('}', open);
    const std::string_view name = sentence.substr(open + 1, close - open - 1);
    if (name == "old") text += shown(change.before, change.path);
    if (name == "new") text += shown(change.after, change.path);
    if (name.size() == 1) text += matched[static_cast<std::size_t>(name.front() - '1')];
    sentence.remove_prefix(close + 1);
  }
  return text;
}

Effect effect_of_steps(const MeaningRow& row, const RawChange& change) {
  const auto rank = [&](const Value& value) {
    const auto found =
        value.text() == nullptr ? row.steps.end() : std::find(row.steps.begin(), row.steps.end(), *value.text());
    return found - row.steps.begin();
  };
  if (change.happening != Happening::kChanged) return kDiffers;
  return rank(change.after) > rank(change.before) ? kAllowsMore : kAllowsLess;
}

Effect effect_of(const MeaningRow& row, const RawChange& change) {
  switch (row.sense) {
    case Sense::kNeutral:
      return kDiffers;
    case Sense::kSteps:
      return effect_of_steps(row, change);
    case Sense::kGrant:
      if (change.happening == Happening::kChanged) return kDiffers;
      return change.happening == Happening::kAdded ? kAllowsMore : kAllowsLess;
    case Sense::kRestriction:
      break;
  }
  if (change.happening == Happening::kChanged) return kDiffers;
  const bool from_or_to_nothing = change.happening == Happening::kAdded ? change.set_was_empty : change.set_gets_empty;
  const bool allows_less = (change.happening == Happening::kAdded) == from_or_to_nothing;
  return allows_less ? kAllowsLess : kAllowsMore;
}

std::string joined(const std::vector<std::string>& path) {
  std::string text;
  for (const std::string& step : path) text += (text.empty() ? "" : "/") + step;
  return text;
}

std::string plain_sentence(const RawChange& change) {
  const std::string where = joined(change.path);
  if (change.happening == Happening::kAdded) return where + " is now " + describe_value(change.after);
  if (change.happening == Happening::kRemoved) return where + " is no longer " + describe_value(change.before);
  return where + " changes from " + describe_value(change.before) + " to " + describe_value(change.after);
}

}  // namespace

bool explain(const RawChange& change, Difference& difference) {
  difference.path = joined(change.path);
  std::vector<std::string> matched;
  for (const MeaningRow& row : kMeanings) {
    if (!fits(row.pattern, change.path, matched)) continue;
    const std::string_view sentence = change.happening == Happening::kAdded     ? row.added
                                      : change.happening == Happening::kRemoved ? row.removed
                                                                                : row.changed;
    if (sentence.empty()) break;
    difference.meaning = fill(sentence, change, matched);
    difference.effect = effect_of(row, change);
    return true;
  }
  const bool is_container = change.before.object() != nullptr || change.after.object() != nullptr;
  if (is_container) return false;
  difference.meaning = plain_sentence(change);
  difference.effect = Effect::kDiffers;
  return true;
}

}  // namespace casemate::policy::internal
