// Why the CAS refuses a request of a client, written for the person who sent it: what, where, what to do. The client
// API turns the kind into a status code.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "policy/diagnostics.h"

namespace casemate::cas {

enum class RefusalKind {
  kMalformed,     // the session's text is wrong: see `findings`
  kUnauthorized,  // nobody knows who asks
  kForbidden,     // the rules do not let the caller do it
  kNotFound,      // also: exists, but the caller may not know
  kConflict,      // lost update, name taken, still in use
  kRace,          // somebody else's change was made at the same moment: another try may succeed
  kPrecondition,  // the version that the caller named is not the stored one
  kTooLarge,
  kLimit,  // too many pending proposals, too many requests
  kStorageFull,
  kUnavailable,  // stopping, or not to be trusted any more
  kDefect,
};

struct Refusal {
  Refusal(RefusalKind refusal_kind, std::string what, std::string what_to_do = "")
      : kind(refusal_kind), message(std::move(what)), advice(std::move(what_to_do)) {}

  RefusalKind kind;
  std::string message;
  std::string advice;                        // may be empty
  std::vector<policy::Diagnostic> findings;  // of the session's text
  std::vector<std::string> explanation;      // of the access rule: what counted, what is missing
};

// An error of the store, for a client: conflicts and full disks are told apart, everything else is a defect.
Refusal refusal_from(const Error& error);

// Either a value or a refusal; used as Result is, CASEMATE_TRY included.
template <typename T>
class [[nodiscard]] Outcome {
 public:
  Outcome(T value) : value_(std::move(value)) {}
  Outcome(Refusal refusal) : refusal_(std::move(refusal)) {}
  Outcome(const Error& error) : refusal_(refusal_from(error)) {}

  bool has_value() const { return value_.has_value(); }
  explicit operator bool() const { return has_value(); }
  T& value() & { return require(value_); }
  const T& value() const& { return require(value_); }
  T&& value() && { return std::move(require(value_)); }
  const Refusal& error() const { return require(refusal_); }

 private:
  template <typename Optional>
  static auto& require(Optional& optional) {
    if (!optional.has_value()) __builtin_trap();
    return *optional;
  }
  std::optional<T> value_;
  std::optional<Refusal> refusal_;
};

struct Done {};

}  // namespace casemate::cas
