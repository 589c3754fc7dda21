#include "cas/sessions/parsed_sessions.h"

#include <set>

#include "cas/sessions/tables.h"
#include "policy/parse.h"

namespace casemate::cas {
namespace {

std::set<std::string> imported_sessions(const policy::Session& session) {
  std::set<std::string> names;
  for (const policy::Secret& secret : session.secrets) {
    if (secret.import) names.insert(secret.import->session);
  }
  for (const policy::Volume& volume : session.volumes) {
    if (volume.import) names.insert(volume.import->session);
  }
  names.erase(session.name);
  return names;
}

}  // namespace

Result<StoredSessionPointer> ParsedSessions::plain(const Snapshot& snapshot, const std::string& name) {
  const std::uint64_t row_version = snapshot.version_of(number_of(Table::kSessions), name);
  if (row_version == kAbsent) return StoredSessionPointer();
  if (StoredSessionPointer known = kept(name, row_version)) return known;
  const auto row = CASEMATE_TRY(snapshot.find(number_of(Table::kSessions), name));
  if (!row) return StoredSessionPointer();
  auto stored = std::make_shared<StoredSession>();
  stored->record = CASEMATE_TRY(decode_session_record(row->value.expose()));
  stored->row_version = row->version;
  policy::Diagnostics diagnostics;
  auto session = policy::parse_session(stored->record.text, {name}, diagnostics);
  if (!session) {
    return Error(ErrorCategory::kFormat, "the stored session '" + name + "' is refused by this version of the CAS: " +
                                             policy::to_text(diagnostics.all().front(), name));
  }
  stored->session = std::move(*session);
  const StoredSessionPointer result = stored;
  keep(name, result);
  return result;
}

Result<StoredSessionPointer> ParsedSessions::complete(const Snapshot& snapshot, const std::string& name) {
  StoredSessionPointer found = CASEMATE_TRY(plain(snapshot, name));
  if (!found) return found;
  if (found->session.access() != nullptr && found->session.security_rules() != nullptr) return found;
  auto filled = std::make_shared<StoredSession>(*found);
  std::list<StoredSessionPointer> owned;
  const policy::KnownSessions known = CASEMATE_TRY(exporters_of(snapshot, filled->session, owned));
  policy::Diagnostics diagnostics;
  policy::resolve_imported_fragments(filled->session, known, diagnostics);
  return StoredSessionPointer(std::move(filled));
}

Result<policy::KnownSessions> ParsedSessions::exporters_of(const Snapshot& snapshot, const policy::Session& session,
                                                           std::list<StoredSessionPointer>& keep) {
  policy::KnownSessions known;
  for (const std::string& name : imported_sessions(session)) {
    StoredSessionPointer exporter = CASEMATE_TRY(plain(snapshot, name));
    if (!exporter) continue;
    known[name] = &exporter->session;
    keep.push_back(std::move(exporter));
  }
  return known;
}

StoredSessionPointer ParsedSessions::kept(const std::string& name, std::uint64_t row_version) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(name);
  if (found == sessions_.end() || found->second.session->row_version != row_version) return nullptr;
  uses_.splice(uses_.end(), uses_, found->second.use);
  return found->second.session;
}

void ParsedSessions::keep(const std::string& name, const StoredSessionPointer& session) {
  const std::lock_guard lock(mutex_);
  if (const auto old = sessions_.find(name); old != sessions_.end()) {
    // A reader with an older snapshot must not push out what newer ones use.
    if (old->second.session->row_version >= session->row_version) return;
    drop(old);
  }
  bytes_ += session->record.text.size();
  sessions_[name] = {session, uses_.insert(uses_.end(), name)};
  while (bytes_ > most_bytes_ && sessions_.size() > 1) drop(sessions_.find(uses_.front()));
}

void ParsedSessions::drop(std::map<std::string, Kept>::iterator entry) {
  bytes_ -= entry->second.session->record.text.size();
  uses_.erase(entry->second.use);
  sessions_.erase(entry);
}

}  // namespace casemate::cas
