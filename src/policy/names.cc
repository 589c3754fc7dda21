#include "policy/names.h"

#include <algorithm>

namespace casemate::policy {
namespace {

constexpr std::string_view kPrefixes[] = {"$$CASEMATE::", "$$SCONE::"};
constexpr std::string_view kEnd = "$$";
constexpr std::size_t kMaxReference = 256;

bool is_alphanumeric(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9');
}

bool is_segment_letter(char letter) {
  return is_alphanumeric(letter) || letter == '.' || letter == '_' || letter == '-' || letter == '~';
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

Error format_error(std::string message) { return Error(ErrorCategory::kFormat, std::move(message)); }

bool is_format(std::string_view format) {
  return !format.empty() && std::all_of(format.begin(), format.end(),
                                        [](char letter) { return is_alphanumeric(letter) || letter == ':'; });
}

Result<SecretReference> read_reference(std::string_view text, std::size_t begin, std::size_t prefix_size) {
  const std::size_t end = text.find(kEnd, begin + prefix_size);
  if (end == std::string_view::npos || end - begin > kMaxReference) {
    return format_error("a reference to a secret is not closed: it ends with $$");
  }
  const std::string_view inner = text.substr(begin + prefix_size, end - begin - prefix_size);
  const std::size_t colon = inner.find(':');
  SecretReference reference{begin, end + kEnd.size() - begin, std::string(inner.substr(0, colon)), ""};
  if (!is_local_name(reference.name)) {
    return format_error("a reference to a secret without a proper name between " +
                        std::string(text.substr(begin, prefix_size)) + " and $$");
  }
  if (colon == std::string_view::npos) return reference;
  reference.format = inner.substr(colon + 1);
  if (!is_format(reference.format)) return format_error("a reference to `" + reference.name + "` has no proper format");
  return reference;
}

}  // namespace

Result<void> check_session_name(std::string_view name) {
  if (name.empty()) return format_error("a session's name must not be empty");
  if (name.size() > kMaxSessionName) {
    return format_error("a session's name has at most " + std::to_string(kMaxSessionName) + " characters");
  }
  const std::vector<std::string_view> segments = split(name, '/');
  if (segments.size() > kMaxNamespaceDepth) {
    return format_error("a session's name has at most " + std::to_string(kMaxNamespaceDepth) + " segments");
  }
  for (const std::string_view segment : segments) {
    if (segment.empty()) return format_error("a session's name neither begins nor ends with /, and has no //");
    if (segment == "." || segment == "..") return format_error("a session's own name is absolute: no . or ..");
    if (!std::all_of(segment.begin(), segment.end(), is_segment_letter)) {
      return format_error("a session's name consists of letters, digits, and . _ - ~ between slashes");
    }
  }
  return {};
}

std::string_view parent_namespace(std::string_view session) {
  const std::size_t slash = session.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : session.substr(0, slash);
}

bool is_below(std::string_view session, std::string_view name_space) {
  return session.size() > name_space.size() && session.starts_with(name_space) && session[name_space.size()] == '/';
}

Result<std::string> resolve_session(std::string_view session, std::string_view reference) {
  const std::vector<std::string_view> parts = split(reference, '/');
  if (parts.front() != "." && parts.front() != "..") {
    if (Result<void> good = check_session_name(reference); !good) return good.error();
    return std::string(reference);
  }
  std::string absolute(session);
  for (const std::string_view part : parts) {
    if (part == ".") continue;
    if (part == "..") {
      if (absolute.empty()) return format_error("this reference leads above the top of all namespaces");
      absolute = parent_namespace(absolute);
    } else {
      absolute += (absolute.empty() ? "" : "/") + std::string(part);
    }
  }
  if (absolute.empty()) return format_error("this reference leads to the top of all namespaces, which is no session");
  if (Result<void> good = check_session_name(absolute); !good) return good.error();
  return absolute;
}

bool is_local_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxLocalName || name.front() == '-' || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char letter) {
    return is_alphanumeric(letter) || letter == '_' || letter == '-' || letter == '.';
  });
}

Result<std::vector<SecretReference>> find_references(std::string_view text) {
  std::vector<SecretReference> references;
  std::size_t at = 0;
  while ((at = text.find(kEnd, at)) != std::string_view::npos) {
    std::size_t step = 1;  // "$$$SCONE::" is a dollar before a reference
    for (const std::string_view prefix : kPrefixes) {
      if (!text.substr(at).starts_with(prefix)) continue;
      Result<SecretReference> reference = read_reference(text, at, prefix.size());
      if (!reference) return reference.error();
      step = reference.value().size;
      references.push_back(std::move(reference).value());
      break;
    }
    at += step;
  }
  return references;
}

DottedName split_dotted(std::string_view name) {
  for (const std::string_view format : {std::string_view("crt"), std::string_view("key"), std::string_view("chain")}) {
    if (name.size() > format.size() + 1 && name.ends_with(format) && name[name.size() - format.size() - 1] == '.') {
      return {name.substr(0, name.size() - format.size() - 1), format};
    }
  }
  return {name, {}};
}

}  // namespace casemate::policy
