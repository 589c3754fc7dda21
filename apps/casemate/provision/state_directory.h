// Where the embedded service of one user keeps what it has: ${XDG_STATE_HOME:-~/.local/state}/casemate, or --state DIR.
#pragma once

#include <string>

#include "base/result.h"

namespace casemate::cli {

struct StateDirectory {
  std::string path;  // absolute

  std::string owner_socket() const { return path + "/owner.sock"; }
  std::string cas_socket() const { return path + "/cas.sock"; }
  std::string las_socket() const { return path + "/las.sock"; }
  std::string lock() const { return path + "/lock"; }
  std::string log() const { return path + "/service.log"; }
  std::string store() const { return path + "/cas"; }
  std::string root_key() const { return path + "/root.key"; }
  std::string anchor() const { return path + "/anchor"; }
  std::string las_key() const { return path + "/las.key"; }
  std::string volumes() const { return path + "/volumes"; }
  std::string manifests() const { return path + "/manifests"; }
};

// `option`: what --state said, or empty. Makes the directory (mode 0700) and those for volumes and manifests. Errors:
// kUsage when others may write it or its path is too long for a socket; kSystem.
Result<StateDirectory> open_state(const std::string& option);

// One question to the embedded service there, and its answer; the service is started when nobody listens. Errors:
// what the service says, for the user; kSystem.
Result<std::string> ask_embedded(const StateDirectory& state, const std::string& question);

}  // namespace casemate::cli
