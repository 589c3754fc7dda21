// What a client of a CAS keeps on its own machine: its key with the certificate around it, and for each CAS the key and
// log that it trusts with the newest signed head that it saw.
//
// What others on this machine can do here -> what we answer
//   read the key             -> the files have mode 0600 in a directory of mode 0700; looser ones are refused
//   put back an older head   -> whoever may write this directory is the client: not defended against
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "cas/api/http_client.h"

namespace casemate::cas_tool {

inline constexpr std::int64_t kDay = 24 * 3600;         // seconds
inline constexpr std::int64_t kCertificateDays = 3650;  // of self-signed certificates

// $XDG_STATE_HOME/casemate, else ~/.local/state/casemate. Errors: kUsage when neither is known.
Result<std::string> default_client_directory();

struct Identity {
  cas::ClientIdentity files;
  std::string key_hash;  // 64 hex digits: what access rules name
};

// Reads the identity in `directory`. Errors: kNotFound, kUsage (others may read it), kFormat.
Result<Identity> load_identity(const std::string& directory);
// As load_identity; makes one when there is none. `is_new` tells.
Result<Identity> load_or_make_identity(const std::string& directory, bool& is_new);

struct KnownCas {
  std::string address, server_key, log_id;
  std::string head;  // the newest seen, as a note; may be empty
};

// The CAS with this address; with an empty address the only one known. Errors: kNotFound with what to do, kFormat.
Result<KnownCas> find_known(const std::string& directory, const std::string& address);
// Adds or replaces it. Errors: kSystem.
Result<void> remember(const std::string& directory, const KnownCas& known);

// Replaces `path` as a whole, durably, with mode 0600. Errors: kSystem.
Result<void> replace_private_file(const std::string& path, std::string_view contents);
// At most 16 MiB. Errors: kNotFound, kSystem.
Result<std::string> read_private_file(const std::string& path);

}  // namespace casemate::cas_tool
