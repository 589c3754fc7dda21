#include "policy/describe.h"

#include "crypto/bytes.h"
#include "crypto/hash.h"

namespace casemate::policy {
namespace {

struct DurationUnit {
  std::uint64_t seconds;
  char suffix;
};
constexpr DurationUnit kUnits[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};

std::string member_text(const Value::Object& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->second.text() == nullptr ? "" : *found->second.text();
}

std::string list_text(const Value::Object& object, const char* key) {
  std::string text;
  const auto found = object.find(key);
  if (found == object.end() || found->second.list() == nullptr) return text;
  for (const Value& member : *found->second.list()) text += (text.empty() ? "" : ", ") + describe_term(member);
  return text;
}

std::uint64_t member_number(const Value::Object& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->second.number() == nullptr ? 0 : *found->second.number();
}

}  // namespace

std::string key_hash(std::string_view public_key_hex) {
  Result<crypto::Bytes> key = crypto::from_hex(public_key_hex);
  return key ? crypto::to_hex(crypto::sha256(key.value())) : "";
}

std::string short_key_name(std::string_view public_key_hex) { return key_hash(public_key_hex).substr(0, 16); }

std::string describe_duration(std::uint64_t seconds) {
  for (const DurationUnit& unit : kUnits) {
    if (seconds % unit.seconds == 0) return std::to_string(seconds / unit.seconds) + unit.suffix;
  }
  return "0s";
}

std::string describe_term(const Value& form) {
  if (const std::string* word = form.text()) return *word;
  if (form.object() == nullptr) return to_json(form);
  const Value::Object& object = *form.object();
  if (object.contains("signer")) return "signer " + short_key_name(member_text(object, "signer"));
  if (object.contains("key_hash")) return "key " + member_text(object, "key_hash").substr(0, 16);
  if (object.contains("certificate")) return "certificate " + short_key_name(member_text(object, "certificate"));
  if (!object.contains("at_least")) return to_json(form);
  std::string text =
      "at least " + std::to_string(member_number(object, "at_least")) + " of (" + list_text(object, "of") + ")";
  if (object.contains("veto")) text += ", unless vetoed by " + list_text(object, "veto");
  if (object.contains("time_lock"))
    text += ", " + describe_duration(member_number(object, "time_lock")) + " after the proposal";
  return text;
}

namespace {

// Without the punctuation of JSON: "measurement 5f1c...", "session clinic/api, session_hash 09ab...".
std::string plain_words(const Value& value) {
  if (const std::string* text = value.text()) return *text;
  std::string words;
  const auto add = [&](const std::string& more) { words += (words.empty() ? "" : ", ") + more; };
  if (const Value::List* list = value.list()) {
    for (const Value& item : *list) add(plain_words(item));
  } else if (const Value::Object* object = value.object()) {
    for (const auto& [key, member] : *object) add(key + " " + plain_words(member));
  } else {
    words = to_json(value);
  }
  return words;
}

}  // namespace

std::string describe_value(const Value& value) {
  constexpr std::size_t kMostShown = 200;
  std::string text = value.object() != nullptr ? plain_words(value) : to_json(value);
  if (text.size() > kMostShown) text = text.substr(0, kMostShown) + "...";
  return text;
}

}  // namespace casemate::policy
