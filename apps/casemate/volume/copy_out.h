// Export: a tree becomes files of the host, with everything that tar keeps and holes besides.
//
// What a hostile host or volume can do here -> what we answer
//   a link stands where we write               -> never followed: each step opens one component, links refused
//   a name of the volume is "..", or has a '/' -> refused; nothing is written outside of the directory
//   device nodes and set-id bits in the volume -> written as they are, if the user may; who exports decides for whom
#pragma once

#include <string>

#include "base/result.h"
#include "casemate/volume/progress.h"
#include "casemate/volume/tree.h"

namespace casemate::volume_tool {

enum class Existing { kRefuse, kReplace };

// Puts `source` into `directory`, which is made where it is missing: the contents of a directory, or one file under
// `name`. Directories that exist are merged; other nodes are refused or replaced. What could not be read or written
// goes to `complaints`; a file that does not verify is left out. Owners are restored by root only. Errors: those after
// which going on makes no sense (host full or read-only).
Result<void> copy_out(TreeNode& source, const std::string& name, const std::string& directory, Existing existing,
                      Progress& progress, Complaints& complaints);

}  // namespace casemate::volume_tool
