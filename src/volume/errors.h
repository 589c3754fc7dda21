// Errors of the engine, each with the errno that the matching system call would give.
#pragma once

#include <string>

#include "base/result.h"

namespace casemate::volume {

// The store's bytes do not verify or do not follow the format: EIO.
Error damaged(const std::string& what);
// What a program asked for cannot be done: errno as the system call would give it.
Error refused(int system_code, const std::string& what);
// True when bytes are missing or do not verify, false when the store could not be asked.
bool is_damage(const Error& error);

}  // namespace casemate::volume
