// Sessions of the store, parsed once per version and kept while there is room.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "cas/sessions/records.h"
#include "cas/store/store.h"
#include "policy/check.h"
#include "policy/session.h"

namespace casemate::cas {

// A version of a session. Threads: immutable.
struct StoredSession {
  SessionRecord record;
  policy::Session session;
  std::uint64_t row_version = 0;  // of its row: what a change that relies on it checks
};
using StoredSessionPointer = std::shared_ptr<const StoredSession>;

// Threads: any number at once.
class ParsedSessions {
 public:
  explicit ParsedSessions(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  // Null when there is no such session. Access policy and security that are imported stay references. Errors: kFormat.
  Result<StoredSessionPointer> plain(const Snapshot& snapshot, const std::string& name);
  // As plain, with what is imported filled in, as far as it can be.
  Result<StoredSessionPointer> complete(const Snapshot& snapshot, const std::string& name);

  // The sessions that `session` imports from, as far as they exist. `keep` owns them. Errors: kFormat.
  Result<policy::KnownSessions> exporters_of(const Snapshot& snapshot, const policy::Session& session,
                                             std::list<StoredSessionPointer>& keep);

 private:
  struct Kept {
    StoredSessionPointer session;
    std::list<std::string>::iterator use;
  };
  StoredSessionPointer kept(const std::string& name, std::uint64_t row_version);
  void keep(const std::string& name, const StoredSessionPointer& session);
  void drop(std::map<std::string, Kept>::iterator entry);

  const std::size_t most_bytes_;
  std::mutex mutex_;
  std::map<std::string, Kept> sessions_;
  std::list<std::string> uses_;  // the longest unused first
  std::size_t bytes_ = 0;
};

}  // namespace casemate::cas
