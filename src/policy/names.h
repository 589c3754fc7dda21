// Names: of sessions (namespaces, relative references), of what a session declares, and references to secrets inside
// texts: `$$CASEMATE::name:format$$`, with `$$SCONE::...$$` as an alias.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace casemate::policy {

inline constexpr std::size_t kMaxSessionName = 255;
inline constexpr std::size_t kMaxNamespaceDepth = 16;
inline constexpr std::size_t kMaxLocalName = 128;

// "clinic/records-db": segments of letters, digits, '.', '_', '-', '~' between slashes; no segment is "." or "..".
// Errors: kFormat, saying which rule is broken.
Result<void> check_session_name(std::string_view name);

// "clinic" of "clinic/records-db"; empty at the top.
std::string_view parent_namespace(std::string_view session);

// Whether `session` lies below `name_space`, at any depth ("clinic/a/b" below "clinic"); itself does not.
bool is_below(std::string_view session, std::string_view name_space);

// An absolute name for `reference` as it stands in session `session`: what begins with "." or ".." is relative to the
// session itself, so ".." is its parent, "../x" its sibling, "./x" its child. Errors: kFormat.
Result<std::string> resolve_session(std::string_view session, std::string_view reference);

// Of services, images, volumes, secrets: letters, digits, '_', '-', '.', not beginning with '-' or '.'.
bool is_local_name(std::string_view name);

// One `$$...$$` inside a text.
struct SecretReference {
  std::size_t begin = 0, size = 0;  // in the text, dollars included
  std::string name;
  std::string format;  // "pem", "pkcs8:pem", ...; empty: none given
};

// All references of a text, from left to right. A `$$CASEMATE::` or `$$SCONE::` that does not become a reference is an
// error (kFormat), because the text would otherwise reach a program unsubstituted. `dotted` names are left whole: see
// split_dotted().
Result<std::vector<SecretReference>> find_references(std::string_view text);

// The 0.2 style `$$SCONE::ca.chain$$`: {"ca", "chain"} for .crt, .key, .chain; otherwise the name and nothing.
struct DottedName {
  std::string_view name, format;
};
DottedName split_dotted(std::string_view name);

}  // namespace casemate::policy
