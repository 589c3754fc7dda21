// casemate-keeper --provision: attests, receives the service's configuration, forks the keeper that serves its files,
// and becomes the runtime. docs/development/plan-cas.md, "Processes".
#pragma once

namespace casemate::keeper_app {

// Returns the exit code when no program was started: 125, after one line.
int start_service();

// --rejoin: a new connection to the CAS for a keeper whose own broke (keeper/provision/cas_link.h).
int rejoin_service();

}  // namespace casemate::keeper_app
