// What a keeper does as a process: started by `casemate run`, it reports readiness, cannot be looked into by others of
// the same user, and ends by itself.
//
// Handed over: descriptor 3 is the keeper's end of the hello socket, 4 the pipe for the report; with the network shield
// 5 is its arena, 6 the keeper's end of its socket pair. The report is "ready" or one line for the user; then the pipe
// is closed.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "keeper/description.h"
#include "keeper/keeper.h"
#include "keeper/network_endpoints.h"

namespace casemate::keeper {

inline constexpr int kHelloDescriptor = 3;
inline constexpr int kReportDescriptor = 4;
inline constexpr int kNetworkArenaDescriptor = 5;
inline constexpr int kNetworkDescriptor = 6;
inline constexpr const char* kReadyReport = "ready";

// Runs the whole life of a keeper. Returns the exit code: 0, or 1 after a failure that was reported.
// Either path may be empty: no volumes, or no network shield.
int run_keeper(const std::string& description_path, const std::string& rules_path = "");

// The network shield of a run (network_service.h), for a keeper that has its settings already.
struct NetworkPart {
  Result<NetworkSettings> settings;
  UniqueFd arena, socket;
};

// The same for a process that was forked for it and has `description` already (a service's configuration, or why there
// is none): reports through `report`, serves `hello`. Descriptors that it needs besides 0 to 2 must be close-on-exec.
enum class Warnings { kTold, kLeftOut };
struct KeeperEvents {
  std::function<void(Keeper&)> opened = [](Keeper&) {};  // the keeper is good until `left` returns
  std::function<void()> left = [] {};                    // the application is gone; volumes are still open
};
int run_keeper_with(Result<RunDescription> description, Warnings warnings, KeeperEvents events, UniqueFd hello,
                    UniqueFd report, std::optional<NetworkPart> network = std::nullopt);

}  // namespace casemate::keeper
