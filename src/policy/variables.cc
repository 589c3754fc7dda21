#include "policy/variables.h"

#include <algorithm>

namespace casemate::policy {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_letter(char c) { return is_letter(c) || (c >= '0' && c <= '9'); }

class Filler {
 public:
  Filler(std::string_view text, const VariableLookup& lookup, Diagnostics& out)
      : rest_(text), lookup_(lookup), out_(out) {}

  std::optional<std::string> fill() {
    while (!rest_.empty()) {
      const std::size_t end = std::min(rest_.find('\n'), rest_.size() - 1) + 1;
      line_ = rest_.substr(0, end);
      rest_.remove_prefix(end);
      where_ = {where_.line + 1, 1};
      const std::size_t first = line_.find_first_not_of(" \t");
      if (first != std::string_view::npos && line_[first] == '#') {
        filled_ += line_;
      } else {
        fill_line();
      }
    }
    if (out_.has_errors()) return std::nullopt;
    return std::move(filled_);
  }

 private:
  void keep(std::size_t count) {
    filled_ += line_.substr(0, count);
    skip(count);
  }
  void skip(std::size_t count) {
    line_.remove_prefix(count);
    where_.column += static_cast<unsigned>(count);
  }
  void fill_line() {
    while (!line_.empty()) {
      const std::size_t dollar = line_.find('$');
      if (dollar == std::string_view::npos) return keep(line_.size());
      keep(dollar);
      fill_dollar();
    }
  }
  void fill_dollar() {
    if (line_.starts_with("$$CASEMATE::") || line_.starts_with("$$SCONE::")) {
      const std::size_t end = line_.find("$$", 2);
      keep(end == std::string_view::npos ? line_.size() : end + 2);
    } else if (line_.starts_with("$$")) {
      skip(1);
      keep(1);
    } else if (line_.size() > 1 && is_letter(line_[1])) {
      std::size_t end = 1;
      while (end < line_.size() && is_name_letter(line_[end])) ++end;
      insert(line_.substr(1, end - 1), end);
    } else if (line_.starts_with("${")) {
      const std::size_t end = line_.find('}');
      if (end == std::string_view::npos) {
        out_.error(where_, "`${` without `}`", "write ${NAME}, or $${ for a dollar and a brace");
        keep(line_.size());
      } else {
        insert(line_.substr(2, end - 2), end + 1);
      }
    } else {
      keep(1);
    }
  }
  void insert(std::string_view name, std::size_t size) {
    const bool is_name =
        !name.empty() && is_letter(name.front()) && std::all_of(name.begin(), name.end(), is_name_letter);
    const std::optional<std::string> value = is_name ? lookup_(name) : std::nullopt;
    if (!is_name) {
      out_.error(where_, "`${...}` around something that is no name",
                 "names have letters, digits and _; $$ is a dollar");
    } else if (!value) {
      out_.error(where_, "variable `" + std::string(name.substr(0, 60)) + "` has no value",
                 "give -e " + std::string(name.substr(0, 60)) + "=VALUE or --use-env, or write $$ for a dollar");
    } else if (value->find_first_of("\n\r") != std::string::npos) {
      out_.error(where_, "the value of variable `" + std::string(name.substr(0, 60)) + "` has several lines",
                 "write it into the session itself");
    } else {
      filled_ += *value;
    }
    skip(size);
  }

  std::string_view rest_, line_;
  const VariableLookup& lookup_;
  Diagnostics& out_;
  std::string filled_;
  Position where_;
};

}  // namespace

std::optional<std::string> fill_in_variables(std::string_view text, const VariableLookup& lookup,
                                             Diagnostics& diagnostics) {
  return Filler(text, lookup, diagnostics).fill();
}

}  // namespace casemate::policy
