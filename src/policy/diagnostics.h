// What is wrong with a session text: where, what was expected, what to do. All findings of one text are collected, so
// that its author repairs them in one go.
//
// Security: messages quote names, keywords and numbers of the text, never what may be a secret (values, contents,
// environment, commands).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace casemate::policy {

// Counted from 1, in characters. Line 0: the text as a whole.
struct Position {
  unsigned line = 0;
  unsigned column = 0;
};

enum class Severity {
  kError,    // the session is refused
  kWarning,  // it is accepted; something is weaker than it looks, or cannot start
};

struct Diagnostic {
  Severity severity = Severity::kError;
  Position where;
  std::string message;
  std::string advice;  // may be empty
};

// Threads: one object by one thread at a time.
class Diagnostics {
 public:
  // More errors than this are counted, not kept: a hostile text must not make us write a book.
  static constexpr std::size_t kMaxKept = 200;

  void error(Position where, std::string message, std::string advice = "") {
    add({Severity::kError, where, std::move(message), std::move(advice)});
  }
  void warning(Position where, std::string message, std::string advice = "") {
    add({Severity::kWarning, where, std::move(message), std::move(advice)});
  }
  void add(Diagnostic diagnostic);

  // Nothing more is kept: advice that costs time need not be worked out.
  bool is_full() const { return all_.size() >= kMaxKept; }
  bool has_errors() const { return error_count_ != 0; }
  std::size_t error_count() const { return error_count_; }
  std::size_t omitted_count() const { return omitted_count_; }
  const std::vector<Diagnostic>& all() const { return all_; }
  // In the order of the text.
  void sort();

 private:
  std::vector<Diagnostic> all_;
  std::size_t error_count_ = 0;
  std::size_t omitted_count_ = 0;
};

// "app.yml:3:5: error: MESSAGE; ADVICE"
std::string to_text(const Diagnostic& diagnostic, std::string_view file);

}  // namespace casemate::policy
