// What differs between two trees: names, types, contents, owners, modes, times, extended attributes, hard links.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "casemate/volume/progress.h"
#include "casemate/volume/tree.h"

namespace casemate::volume_tool {

struct Difference {
  std::string path;         // bytes, below the roots; "." for the roots themselves
  std::string kind;         // "missing", "type", "contents", "size", "mode", ...: stable words for programs
  std::string left, right;  // printable; empty where a side has nothing to say
};

// Calls `tell` in the order of a walk by name. Times of access and change are not compared (reading changes them).
// What cannot be read goes to `complaints`: it counts as not the same.
void compare(TreeNode& left, TreeNode& right, const std::function<void(const Difference&)>& tell, Progress& progress,
             Complaints& complaints);

}  // namespace casemate::volume_tool
