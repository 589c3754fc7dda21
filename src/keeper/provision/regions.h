// From a service's configuration to the regions that its keeper opens: verified copies of files that the session lists,
// injected files, volumes with their keys and positions.
//
// What a hostile host can do here -> what we answer
//   change a listed file, or exchange it meanwhile -> it is read once; what was hashed is what runs
//   delete a volume's file, or give an old one     -> refused: the CAS knows its newest position
#pragma once

#include <memory>

#include "keeper/description.h"
#include "keeper/provision/cas_anchor.h"
#include "protocol/start_request.h"

namespace casemate::keeper {

// Makes volumes that are new. Errors are lines for the user. Reads every listed file.
Result<RunDescription> describe_service(const protocol::Configuration& configuration,
                                        const protocol::StartRequest& request,
                                        const std::shared_ptr<PositionReporter>& reporter);

}  // namespace casemate::keeper
