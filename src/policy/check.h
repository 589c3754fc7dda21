// What a session means: references that lead nowhere, rules that nobody can satisfy, protections that are weaker than
// they look, and what SCONE's sessions ask for that Casemate does not do.
//
// In sessions of SCONE's versions some findings are warnings that are errors in our own version, because such sessions
// are accepted as they are; each message says what will not work. Pure; threads: any.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "policy/diagnostics.h"
#include "policy/session.h"

namespace casemate::policy {

// Other sessions by their names, as far as the caller has them: imports from those are followed.
using KnownSessions = std::map<std::string, const Session*, std::less<>>;

void check_session(const Session& session, const KnownSessions& known, Diagnostics& diagnostics);

// What an update of `stored` (with hash `stored_hash`, 64 hex digits) by `next` must satisfy besides: same name, the
// right predecessor, migrated secrets that keep kind and size. Who may update is a matter of approval.h.
void check_update(const Session& stored, std::string_view stored_hash, const Session& next, Diagnostics& diagnostics);

// Replaces references to imported config-fragments by what the exporters' sessions say. Errors where they cannot be
// found in `known`, are not exported to this session, or are no fragments of the right form.
void resolve_imported_fragments(Session& session, const KnownSessions& known, Diagnostics& diagnostics);

// Whether `exports` let session `consumer` (with this hash; empty: unknown, then pinned exports do not count) import.
bool is_exported_to(const std::vector<ExportTarget>& exports, std::string_view consumer,
                    std::string_view consumer_hash);

}  // namespace casemate::policy
