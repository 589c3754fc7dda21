// From descriptions of regions to regions: opens stores, mounts volumes, makes trees in memory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "keeper/description.h"
#include "keeper/region.h"

namespace casemate::keeper {

// In the order of the description. `clock` outlives the regions. Errors name the region's path.
Result<std::vector<std::unique_ptr<Region>>> open_regions(const std::vector<RegionDescription>& descriptions,
                                                          const volume::Clock& clock, std::uint64_t memory_limit,
                                                          const std::function<void(const std::string&)>& warn);

}  // namespace casemate::keeper
