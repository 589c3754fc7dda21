// From a session's text to its structures.
//
// Everything here is pure: bytes in, structures and diagnostics out. The text is untrusted; see yaml_tree.h for what a
// hostile one meets first. Sessions of SCONE's versions 0.3 and 0.3.10 and of our own version `casemate-1` are read by
// the same code: our keys may be used in all of them, only defaults differ.
//
// Threads: any. Blocks: no.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "policy/diagnostics.h"
#include "policy/session.h"

namespace casemate::policy {

struct ParseOptions {
  // The name the session is stored under, when the caller knows it (the CLI's --name, CAS's path); it wins over the
  // text's, as SCONE's CLI does it. Empty: the text must say it.
  std::string name;
};

// Nothing when there are errors. Warnings alone do not hinder. Meaning is not checked here: see check.h.
std::optional<Session> parse_session(std::string_view text, const ParseOptions& options, Diagnostics& diagnostics);

// The node of a config-fragment secret as what it stands for. `owner` is the session in whose text it stands, which is
// not always the one that uses it. Errors are reported at the fragment's places in that text.
std::optional<AccessPolicy> parse_access_fragment(const Node& fragment, const Session& session,
                                                  Diagnostics& diagnostics);
std::optional<Security> parse_security_fragment(const Node& fragment, const Session& owner, Diagnostics& diagnostics);

// Replaces references to config-fragments of the session itself by what they say. Those that are imported stay until
// the exporter's session is known (resolve_imported_fragments).
void resolve_local_fragments(Session& session, Diagnostics& diagnostics);

}  // namespace casemate::policy
