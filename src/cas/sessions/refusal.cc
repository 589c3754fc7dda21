#include "cas/sessions/refusal.h"

#include <cerrno>

#include "cas/store/store.h"

namespace casemate::cas {

Refusal refusal_from(const Error& error) {
  if (error.system_code() == kConflictCode) {
    return Refusal(RefusalKind::kRace, "somebody changed this at the same moment",
                   "read the stored version and send the change again");
  }
  if (error.category() == ErrorCategory::kExhausted) {
    return Refusal(RefusalKind::kStorageFull, "the disk of the CAS is full; nothing was changed",
                   "its owner must make room; then send the change again");
  }
  if (error.category() == ErrorCategory::kNotFound) return Refusal(RefusalKind::kNotFound, error.message());
  if (error.system_code() == ESTALE || error.category() == ErrorCategory::kSystem) {
    return Refusal(RefusalKind::kUnavailable, "the CAS cannot make changes durable; it is not known what its disk has",
                   "its owner must look at the service's log and start it again");
  }
  return Refusal(RefusalKind::kDefect, error.message());
}

}  // namespace casemate::cas
