#include "policy/diagnostics.h"

#include <algorithm>
#include <tuple>

namespace casemate::policy {

void Diagnostics::add(Diagnostic diagnostic) {
  if (diagnostic.severity == Severity::kError) ++error_count_;
  if (all_.size() >= kMaxKept) {
    ++omitted_count_;
    return;
  }
  all_.push_back(std::move(diagnostic));
}

void Diagnostics::sort() {
  std::stable_sort(all_.begin(), all_.end(), [](const Diagnostic& left, const Diagnostic& right) {
    return std::tie(left.where.line, left.where.column) < std::tie(right.where.line, right.where.column);
  });
}

std::string to_text(const Diagnostic& diagnostic, std::string_view file) {
  std::string text(file);
  if (diagnostic.where.line != 0) {
    text += ":" + std::to_string(diagnostic.where.line) + ":" + std::to_string(diagnostic.where.column);
  }
  text += diagnostic.severity == Severity::kError ? ": error: " : ": warning: ";
  text += diagnostic.message;
  if (!diagnostic.advice.empty()) text += "; " + diagnostic.advice;
  return text;
}

}  // namespace casemate::policy
