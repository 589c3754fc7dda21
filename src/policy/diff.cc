#include "policy/diff.h"

#include <algorithm>
#include <set>

#include "policy/canonical.h"
#include "policy/diff_meanings.h"

namespace casemate::policy {
namespace {

using internal::Happening;
using internal::RawChange;

const AccessRule kCreatorOnly = {AccessTerm{TermKind::kCreator, "", 0, {}, {}, 0, {}}};

// What the language assumes where a text says nothing, written out.
Session with_defaults(Session session) {
  session.commitment_salt.clear();  // values are compared, not their commitments' salts
  session.predecessor.reset();
  if (auto* access = std::get_if<AccessPolicy>(&session.access_policy); access != nullptr) {
    if (!access->read) access->read = kCreatorOnly;
    if (!access->update) access->update = kCreatorOnly;
    if (!access->create_sessions) access->create_sessions = access->update;
  }
  for (Service& service : session.services) {
    if (service.tee.empty()) service.tee = {"sgx"};
  }
  return session;
}

class Comparison {
 public:
  std::vector<Difference> run(const Value& before, const Value& after) {
    compare(before, after);
    return std::move(differences_);
  }

 private:
  void compare(const Value& before, const Value& after);
  void compare_objects(const Value::Object& before, const Value::Object& after);
  void compare_sets(const Value::List& before, const Value::List& after);
  void tell(RawChange change) {
    change.path = path_;
    Difference difference;
    if (internal::explain(change, difference)) differences_.push_back(std::move(difference));
  }

  std::vector<std::string> path_;
  std::vector<Difference> differences_;
};

void Comparison::compare_objects(const Value::Object& before, const Value::Object& after) {
  static const Value kNothing;
  std::set<std::string_view> keys;
  for (const auto& [key, value] : before) keys.insert(key);
  for (const auto& [key, value] : after) keys.insert(key);
  for (const std::string_view key : keys) {
    const auto old = before.find(key), now = after.find(key);
    path_.emplace_back(key);
    compare(old == before.end() ? kNothing : old->second, now == after.end() ? kNothing : now->second);
    path_.pop_back();
  }
}

void Comparison::compare_sets(const Value::List& before, const Value::List& after) {
  const auto lacks = [](const Value::List& list, const Value& value) {
    return std::find(list.begin(), list.end(), value) == list.end();
  };
  for (const Value& value : after) {
    if (lacks(before, value)) tell({{}, Happening::kAdded, Value(), value, before.empty(), false});
  }
  for (const Value& value : before) {
    if (lacks(after, value)) tell({{}, Happening::kRemoved, value, Value(), false, after.empty()});
  }
}

void Comparison::compare(const Value& before, const Value& after) {
  if (before == after) return;
  const bool is_whole = !path_.empty() && (path_.back() == "command" || path_.back() == "import");
  const bool is_set =
      (before.list() != nullptr || before.is_null()) && (after.list() != nullptr || after.is_null()) && !is_whole;
  const bool is_object =
      (before.object() != nullptr || before.is_null()) && (after.object() != nullptr || after.is_null());
  if (is_set)
    return compare_sets(before.list() == nullptr ? Value::List() : *before.list(),
                        after.list() == nullptr ? Value::List() : *after.list());
  const Happening happening = before.is_null()  ? Happening::kAdded
                              : after.is_null() ? Happening::kRemoved
                                                : Happening::kChanged;
  if (!is_object || is_whole || happening != Happening::kChanged) tell({{}, happening, before, after, true, true});
  if (!is_object || is_whole) return;
  compare_objects(before.object() == nullptr ? Value::Object() : *before.object(),
                  after.object() == nullptr ? Value::Object() : *after.object());
}

}  // namespace

std::vector<Difference> semantic_diff(const Session& before, const Session& after) {
  std::vector<Difference> differences =
      Comparison().run(canonical_form(with_defaults(before)), canonical_form(with_defaults(after)));
  if (before.commitment_salt != after.commitment_salt) {
    const Happening happening = before.commitment_salt.empty()  ? Happening::kAdded
                                : after.commitment_salt.empty() ? Happening::kRemoved
                                                                : Happening::kChanged;
    Difference salt;
    if (internal::explain({{"commitment_salt"}, happening, Value(), Value()}, salt)) differences.push_back(salt);
  }
  std::stable_sort(differences.begin(), differences.end(),
                   [](const Difference& left, const Difference& right) { return left.effect < right.effect; });
  return differences;
}

std::string to_text(const std::vector<Difference>& differences) {
  constexpr const char* kMarks[] = {"+ ", "- ", "~ "};
  std::string text;
  for (const Difference& difference : differences) {
    text += kMarks[static_cast<std::size_t>(difference.effect)] + difference.meaning + "\n";
  }
  return text;
}

}  // namespace casemate::policy
