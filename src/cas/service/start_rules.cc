#include "cas/service/start_rules.h"

#include <algorithm>

#include "cas/sessions/tables.h"
#include "crypto/hash.h"
#include "crypto/one_time_password.h"

namespace casemate::cas {
namespace {

using Ruling = Result<std::optional<StartRefusal>>;

constexpr const char* kTokenVariables[] = {"CASEMATE_SERVICE_ACCESS_TOKEN", "SCONE_SERVICE_ACCESS_TOKEN"};
constexpr std::uint64_t kMostWrongTries = 5;  // per step
constexpr int kConflictTries = 32;

// In time that does not depend on what they are, or on how long.
bool is_same(std::string_view left, std::string_view right) {
  return crypto::equal_in_constant_time(crypto::sha256(crypto::as_byte_view(left)),
                                        crypto::sha256(crypto::as_byte_view(right)));
}

// RFC 4648 base 32, upper or lower case, padding and blanks allowed: as people copy it. Errors: kUsage.
Result<SecretValue> from_base32(std::string_view text) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  Bytes bytes;
  std::uint32_t collected = 0;
  unsigned bits = 0;
  for (char letter : text) {
    if (letter == ' ' || letter == '\n' || letter == '=' || letter == '-') continue;
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
    const std::size_t digit = kAlphabet.find(letter);
    if (digit == std::string_view::npos) {
      return Error(ErrorCategory::kUsage,
                   "`one_time_password_shared_secret` is no base 32; a binary secret has the format base32nopad");
    }
    collected = (collected << 5 | static_cast<std::uint32_t>(digit)) & 0xfffU;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push_back(static_cast<std::byte>(collected >> bits));
  }
  if (bytes.size() < 10) {
    return Error(ErrorCategory::kUsage, "`one_time_password_shared_secret` is too short: 10 bytes are the least");
  }
  return SecretValue(std::move(bytes));
}

// Codes are six digits whoever asks: others are not tries.
bool is_code(std::string_view text) {
  return text.size() == crypto::kOneTimePasswordDigits &&
         std::ranges::all_of(text, [](char letter) { return letter >= '0' && letter <= '9'; });
}

}  // namespace

// --- instances

void InstanceWatch::connected(const Bytes& holder) {
  const std::lock_guard lock(mutex_);
  ++seen_[std::string(crypto::as_text(holder))].connections;
}

void InstanceWatch::left(const Bytes& holder, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto found = seen_.find(crypto::as_text(holder));
  if (found != seen_.end() && found->second.connections != 0 && --found->second.connections == 0) {
    found->second.left_at = now;
  }
  std::erase_if(seen_, [&](const auto& item) {
    return item.second.connections == 0 && now - item.second.left_at >= kReturnTime;
  });
}

bool InstanceWatch::keeps_place(const Bytes& holder, Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  const auto found = seen_.find(crypto::as_text(holder));
  if (found == seen_.end()) return now - started_ < kReturnTime;
  return found->second.connections != 0 || now - found->second.left_at < kReturnTime;
}

// --- the rules

Ruling StartRules::check_token(const ServiceSecrets& secrets) const {
  const policy::Security& security = *session_.security_rules();
  if (!security.service_access_token) return std::optional<StartRefusal>();
  const policy::SharedSecretText wanted = CASEMATE_TRY(secrets.security_text(*security.service_access_token));
  const char* const advice = "start it with CASEMATE_SERVICE_ACCESS_TOKEN (or SCONE_...) in the host's environment";
  for (const char* const name : kTokenVariables) {
    const auto given = std::ranges::find(request_.environment, name, &protocol::Variable::name);
    if (given == request_.environment.end()) continue;
    if (is_same(given->value, wanted->expose())) return std::optional<StartRefusal>();
    return std::optional(StartRefusal{"`service_access_token`", "the session's token", "another one", advice});
  }
  return std::optional(StartRefusal{"`service_access_token`", "the session's token", "none", advice});
}

Ruling StartRules::check_password(const ServiceSecrets& secrets) {
  const policy::Security& security = *session_.security_rules();
  if (!security.one_time_password) return std::optional<StartRefusal>();
  const char* const rule = "`one_time_password_shared_secret`";
  const std::string& given = request_.one_time_password;
  if (!is_code(given)) {
    return std::optional(StartRefusal{rule, "six digits", given.empty() ? "none" : "something else",
                                      "start it as SESSION/SERVICE@123456"});
  }
  const policy::SharedSecretText text = CASEMATE_TRY(secrets.security_text(*security.one_time_password));
  const SecretValue key = CASEMATE_TRY(from_base32(text->expose()));
  // By whoever shares the secret, so that a password seen at one service opens no other.
  const std::string row_key = session_row_key(security.scope, "");
  auto row = CASEMATE_TRY(snapshot_.find(number_of(Table::kOneTimeCodes), row_key));
  OneTimeRecord record;
  if (row) record = CASEMATE_TRY(decode_one_time_record(row->value.expose()));
  const std::uint64_t now = std::max(now_ms_, snapshot_.head().head.time) / 1000;
  const std::uint64_t step = now / crypto::kOneTimePasswordStepSeconds;
  if (record.window == step && record.wrong_tries >= kMostWrongTries) {
    return std::optional(
        StartRefusal{rule, "at most five wrong passwords in 30 seconds", "more", "wait for the next password"});
  }
  const auto write = [&](Change& change) {
    change.rows.push_back(
        {number_of(Table::kOneTimeCodes), row_key, "", encode_record(record), row ? row->version : kAbsent});
  };
  bool was_used = false;
  for (std::uint64_t candidate = step - std::min<std::uint64_t>(step, 1); candidate <= step + 1; ++candidate) {
    const std::string right = CASEMATE_TRY(crypto::one_time_password(key.expose(), candidate));
    if (!is_same(given, right)) continue;
    was_used = candidate <= record.last_step;
    if (was_used) continue;
    record.last_step = candidate;
    write(change_);
    return std::optional<StartRefusal>();
  }
  record.wrong_tries = record.window == step ? record.wrong_tries + 1 : 1;
  record.window = step;
  write(wrong_try_);
  return std::optional(StartRefusal{rule, "the password of now, once", was_used ? "one that was used" : "another one",
                                    "wait for the next password; are the clocks of both sides right?"});
}

Ruling StartRules::check_singleton(const InstanceWatch& watch, const Bytes& holder, Start start) const {
  if (!session_.security_rules()->singleton) return std::optional<StartRefusal>();
  const std::string key = session_row_key(request_.session, request_.service);
  auto row = CASEMATE_TRY(snapshot_.find(number_of(Table::kInstances), key));
  if (row) {
    const Bytes place = CASEMATE_TRY(decode_instance_record(row->value.expose()));
    if (start == Start::kResumed) {
      if (crypto::equal(place, holder)) return std::optional<StartRefusal>();
      return std::optional(StartRefusal{"`singleton_enclaves`", "the newest instance",
                                        "one that another has taken the place of", "end it"});
    }
    if (watch.keeps_place(place)) {
      return std::optional(StartRefusal{"`singleton_enclaves`", "one instance",
                                        "another one, which runs or lost its connection just now",
                                        "end it first; one that lost its connection keeps its place for " +
                                            std::to_string(InstanceWatch::kReturnTime.count()) + " seconds"});
    }
  }
  change_.rows.push_back({number_of(Table::kInstances), key, request_.session, encode_instance_record(holder),
                          row ? row->version : kAbsent});
  return std::optional<StartRefusal>();
}

InstancePlace::InstancePlace(Store& store, InstanceWatch& watch, std::string session, std::string service, Bytes holder)
    : store_(store),
      watch_(watch),
      session_(std::move(session)),
      service_(std::move(service)),
      holder_(std::move(holder)) {
  watch_.connected(holder_);
}

InstancePlace::~InstancePlace() { watch_.left(holder_); }

void InstancePlace::give_up() {
  const std::string key = session_row_key(session_, service_);
  for (int tries = 0; tries < kConflictTries; ++tries) {
    const auto row = store_.snapshot().find(number_of(Table::kInstances), key);
    if (!row || !row.value()) return;
    const Result<Bytes> place = decode_instance_record(row.value()->value.expose());
    if (!place || !crypto::equal(place.value(), holder_)) return;
    Change change;
    change.rows.push_back({number_of(Table::kInstances), key, "", std::nullopt, row.value()->version});
    const Result<Committed> committed = store_.commit(std::move(change));
    if (committed || committed.error().system_code() != kConflictCode) return;
  }
}

}  // namespace casemate::cas
