#include "policy/command_line.h"

namespace casemate::policy {
namespace {

bool is_space(char letter) { return letter == ' ' || letter == '\t' || letter == '\n' || letter == '\r'; }
bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

class Splitter {
 public:
  explicit Splitter(std::string_view rest) : rest_(rest) {}

  Result<std::vector<std::string>> words() {
    while (!rest_.empty()) {
      const char letter = take();
      if (is_space(letter)) {
        finish_word();
        continue;
      }
      is_word_ = true;
      if (letter == '\'' || letter == '"') {
        if (!quoted(letter)) return Error(ErrorCategory::kFormat, std::string("a quote ") + letter + " is not closed");
      } else if (letter == '\\') {
        if (rest_.empty()) return Error(ErrorCategory::kFormat, "a \\ at the end keeps nothing");
        word_ += take();
      } else {
        word_ += letter;
      }
    }
    finish_word();
    if (words_.size() > kMaxWordCount) return Error(ErrorCategory::kFormat, "more than 1024 words");
    return std::move(words_);
  }

 private:
  char take() {
    const char letter = rest_.front();
    rest_.remove_prefix(1);
    return letter;
  }
  void finish_word() {
    if (is_word_) words_.push_back(std::exchange(word_, std::string()));
    is_word_ = false;
  }
  bool quoted(char quote) {
    while (!rest_.empty()) {
      const char letter = take();
      if (letter == quote) return true;
      const bool escapes =
          quote == '"' && letter == '\\' && !rest_.empty() && (rest_.front() == '"' || rest_.front() == '\\');
      word_ += escapes ? take() : letter;
    }
    return false;
  }

  std::string_view rest_;
  std::vector<std::string> words_;
  std::string word_;
  bool is_word_ = false;
};

}  // namespace

Result<std::vector<std::string>> split_command(std::string_view command) { return Splitter(command).words(); }

std::vector<WordPart> parts_of_word(std::string_view word) {
  std::vector<WordPart> parts;
  std::size_t begin = 0;
  for (std::size_t at = word.find("@@"); at != std::string_view::npos; at = word.find("@@", at)) {
    std::size_t end = at + 2;
    int number = 0;
    while (end < word.size() && is_digit(word[end]) && end - at - 2 < 4) number = number * 10 + (word[end++] - '0');
    if (end == at + 2 || number > 999) {
      at = end;
      continue;
    }
    if (at > begin) parts.push_back({word.substr(begin, at - begin), -1});
    parts.push_back({{}, number});
    begin = at = end;
  }
  if (begin < word.size() || parts.empty()) parts.push_back({word.substr(begin), -1});
  return parts;
}

}  // namespace casemate::policy
