// Errors of hosted code: a function that can fail returns Result<T>, which must not be ignored. The runtime core does
// not use this: inside it results are numbers in the kernel's convention.
//
// An Error is written for the person at the terminal: what failed, where, and what to do about it. Callers branch on
// the category, never on the text.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace casemate {

enum class ErrorCategory {
  kSystem,     // the kernel refused something; `system_code` holds errno
  kUsage,      // the caller asked for something that makes no sense
  kNotFound,   // a named thing does not exist
  kFormat,     // data does not follow its specification
  kExhausted,  // memory, descriptors, space
};

class [[nodiscard]] Error {
 public:
  Error(ErrorCategory category, std::string message, int system_code = 0)
      : category_(category), system_code_(system_code), message_(std::move(message)) {}

  // "<what>: <errno text>". Defined for hosted code only.
  static Error from_errno(const std::string& what, int system_code);

  ErrorCategory category() const { return category_; }
  int system_code() const { return system_code_; }
  const std::string& message() const { return message_; }

  // The same error, told from one level further up: "<context>: <message>".
  Error with_context(const std::string& context) const {
    return Error(category_, context + ": " + message_, system_code_);
  }

 private:
  ErrorCategory category_;
  int system_code_;
  std::string message_;
};

// Either a value or an error. value() requires has_value(), error() the opposite; both stop the process otherwise,
// because going on with a value that is not there is never right.
template <typename T>
class [[nodiscard]] Result {
 public:
  // Implicit on purpose: `return value;` and `return Error(...)` are what every function body says.
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : error_(std::move(error)) {}

  bool has_value() const { return value_.has_value(); }
  explicit operator bool() const { return has_value(); }

  T& value() & { return require(value_); }
  const T& value() const& { return require(value_); }
  T&& value() && { return std::move(require(value_)); }
  const Error& error() const { return require(error_); }

 private:
  template <typename Optional>
  static auto& require(Optional& optional) {
    if (!optional.has_value()) __builtin_trap();
    return *optional;
  }

  std::optional<T> value_;
  std::optional<Error> error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }
  const Error& error() const {
    if (!error_.has_value()) __builtin_trap();
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace casemate

// Gives the value of a Result, or returns its error from the enclosing function.
#define CASEMATE_TRY(expression)                                              \
  __extension__({                                                             \
    auto casemate_try_result = (expression);                                  \
    if (!casemate_try_result.has_value()) return casemate_try_result.error(); \
    std::move(casemate_try_result).value();                                   \
  })
