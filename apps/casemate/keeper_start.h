// Starts the keeper of a run with volumes or the network shield, before this process becomes the runtime.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace casemate::cli {

// What members of the application have of their keeper.
struct KeeperEnds {
  UniqueFd hello;                   // files; not open without volumes
  UniqueFd network, network_arena;  // not open without the network shield
};

// Returns the members' ends once the keeper has mounted everything and loaded all identities. Either path may be empty,
// not both. Errors: what the keeper reported, for the user. The keeper is no child of this process and of no terminal;
// it ends when all copies of the returned sockets are closed.
Result<KeeperEnds> start_keeper(const std::string& description_path, const std::string& rules_path);

}  // namespace casemate::cli
