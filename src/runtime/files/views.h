// Files below /proc/self that show the program, not the runtime.
#pragma once

#include <cstdint>

#include "runtime/memory/guest.h"

namespace casemate::runtime {

enum class View : std::uint8_t { kNone, kExe, kMaps, kSmaps, kAuxv, kRefused };

// Which view a NUL-terminated absolute path names; kNone for every other path.
View view_of(const char* path);
// The same for a path in program memory; kNone when it cannot be read (the kernel gives the error then).
View guest_view(GuestAddr path_address);
// A descriptor with the view's contents (kMaps, kAuxv), made now. `flags`: O_CLOEXEC counts.
long open_view(View view, std::uint64_t flags);

}  // namespace casemate::runtime
