// Which table of the store has what. Numbers are stored: never renumber, never reuse. docs/development/plan-cas.md says
// who writes which; keys of rows that belong to a session begin with its name and a NUL byte.
#pragma once

#include <string>
#include <string_view>

#include "cas/store/rows.h"

namespace casemate::cas {

enum class Table : TableNumber {
  kSessions = 1,      // name -> SessionRecord, the current version
  kSecrets = 2,       // session NUL name -> generated values
  kVolumes = 3,       // session NUL name -> keys and positions
  kHistory = 4,       // session NUL version (8 bytes, big-endian) -> SessionRecord of an older version
  kProposals = 5,     // hash of the proposed version, 64 hex digits -> ProposalRecord
  kOneTimeCodes = 6,  // session whose text names the shared secret, NUL -> what was used of it
  kRefusals = 7,
  kAuthority = 8,  // session NUL "ca"
  kServer = 9,     // "owner", "tls-client", "tls-runtime"
  kClients = 10,
  kInstances = 11,  // session NUL service -> the instance that a singleton's place belongs to
};

constexpr TableNumber number_of(Table table) { return static_cast<TableNumber>(table); }

inline std::string session_row_key(std::string_view session, std::string_view name) {
  std::string key(session);
  key.push_back('\0');
  key.append(name);
  return key;
}

}  // namespace casemate::cas
