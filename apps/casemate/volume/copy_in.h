// Import: a tree of the host becomes part of a volume, with everything that tar keeps and holes besides.
#pragma once

#include <string>

#include "base/result.h"
#include "casemate/volume/opening.h"
#include "casemate/volume/progress.h"
#include "casemate/volume/tree.h"

namespace casemate::volume_tool {

enum class MountBorders { kCross, kStay };

// Puts the contents of directory `source` into directory `target` of the volume, and gives that directory the
// attributes of `source`. Directories are merged, anything else is replaced. Nodes of the host that cannot be read go
// to `complaints` and are left out. Commits now and then, so that journal and memory stay small: after a crash the
// volume holds a part of the tree. Errors: those of the volume; what was committed stays.
Result<void> copy_in(OpenedVolume& volume, volume::InodeNumber target, TreeNode& source, MountBorders borders,
                     Progress& progress, Complaints& complaints);

}  // namespace casemate::volume_tool
