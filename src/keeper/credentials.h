// Who asks, and what the permission bits of a node allow them: access rules of path_resolution(7), chmod(2), unlink(2).
// User 0 may everything but execute what has no execute bit, as with CAP_DAC_OVERRIDE, CAP_FOWNER and CAP_CHOWN.
#pragma once

#include <cstdint>
#include <span>

#include "volume/volume.h"

namespace casemate::keeper {

inline constexpr std::uint32_t kMayExecute = 1, kMayWrite = 2, kMayRead = 4;  // as access(2)

struct CallerCredentials {
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t umask = 022;
  std::span<const std::uint32_t> groups;

  bool is_privileged() const { return uid == 0; }
  bool is_member(std::uint32_t group) const;
  bool owns(const volume::Attributes& attributes) const { return is_privileged() || attributes.uid == uid; }
};

// 0, or EACCES.
int check_access(const CallerCredentials& caller, const volume::Attributes& attributes, std::uint32_t wanted);

// May the caller remove or replace `victim` in `directory` (write and search permission are checked, too)? 0, EACCES or
// EPERM (sticky directory).
int check_removal(const CallerCredentials& caller, const volume::Attributes& directory,
                  const volume::Attributes& victim);

// Owner and mode of a new node below `directory`: umask, and set-gid directories.
volume::NodeSpecification specify_new_node(const CallerCredentials& caller, const volume::Attributes& directory,
                                           std::uint32_t mode);

// What chmod(2) makes of `mode`: set-gid is lost where the caller is not of the group.
std::uint32_t permitted_mode(const CallerCredentials& caller, const volume::Attributes& attributes, std::uint32_t mode);

}  // namespace casemate::keeper
