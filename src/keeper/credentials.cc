#include "keeper/credentials.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace casemate::keeper {

bool CallerCredentials::is_member(std::uint32_t group) const {
  return group == gid || std::ranges::find(groups, group) != groups.end();
}

int check_access(const CallerCredentials& caller, const volume::Attributes& attributes, std::uint32_t wanted) {
  if (caller.is_privileged()) {
    const bool runs = (wanted & kMayExecute) != 0 && !S_ISDIR(attributes.mode);
    return runs && (attributes.mode & 0111) == 0 ? EACCES : 0;
  }
  std::uint32_t granted = attributes.mode & 7;
  if (attributes.uid == caller.uid) {
    granted = attributes.mode >> 6 & 7;
  } else if (caller.is_member(attributes.gid)) {
    granted = attributes.mode >> 3 & 7;
  }
  return (wanted & ~granted) == 0 ? 0 : EACCES;
}

int check_removal(const CallerCredentials& caller, const volume::Attributes& directory,
                  const volume::Attributes& victim) {
  if (const int refused = check_access(caller, directory, kMayWrite | kMayExecute)) return refused;
  const bool sticky = (directory.mode & S_ISVTX) != 0;
  return sticky && !caller.owns(victim) && !caller.owns(directory) ? EPERM : 0;
}

volume::NodeSpecification specify_new_node(const CallerCredentials& caller, const volume::Attributes& directory,
                                           std::uint32_t mode) {
  volume::NodeSpecification specification;
  specification.uid = caller.uid;
  specification.gid = caller.gid;
  specification.mode = S_ISLNK(mode) ? mode : mode & ~(caller.umask & 0777);
  if ((directory.mode & S_ISGID) == 0) return specification;
  specification.gid = directory.gid;
  if (S_ISDIR(mode)) specification.mode |= S_ISGID;
  const bool would_run_as_group = !S_ISDIR(mode) && (mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
  if (would_run_as_group && !caller.is_privileged() && !caller.is_member(directory.gid)) specification.mode &= ~S_ISGID;
  return specification;
}

std::uint32_t permitted_mode(const CallerCredentials& caller, const volume::Attributes& attributes,
                             std::uint32_t mode) {
  mode &= 07777;
  return caller.is_privileged() || caller.is_member(attributes.gid) ? mode : mode & ~std::uint32_t{S_ISGID};
}

}  // namespace casemate::keeper
