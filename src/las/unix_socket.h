// Names of unix sockets: a path, or "@name" for the abstract name space.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace casemate::las {

// The bytes of sun_path, without a terminator. Errors: kUsage when it does not fit.
Result<std::string> socket_name(const std::string& path);
// Errors: kSystem, kUsage.
Result<UniqueFd> connect_unix(const std::string& path, int type);

// SOCK_SEQPACKET, messages carry the sender's process id, anybody may connect. A file that nobody listens on is
// replaced. Errors: kUsage when another service listens there, kSystem.
Result<UniqueFd> listen_unix(const std::string& path);
// At an abstract name that the kernel chooses; `name` receives what connect() wants.
Result<UniqueFd> listen_anywhere(std::string& name);

}  // namespace casemate::las
