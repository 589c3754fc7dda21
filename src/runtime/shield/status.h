// Attributes of shielded files as stat(2) and statx(2) show them.
#pragma once

#include <sys/stat.h>

#include "protocol/shield.h"
#include "runtime/intercept/thread.h"
#include "runtime/memory/guest.h"

namespace casemate::runtime {

// 0 or -EFAULT.
[[nodiscard]] long give_stat(const protocol::ShieldAttributes& attributes, GuestAddr buffer);
[[nodiscard]] long give_statx(const protocol::ShieldAttributes& attributes, GuestAddr buffer);

// fstat of an open slot, without a request: the slot's attributes, and the memory file's size and times where they are
// newer. 0 or a negative errno.
[[nodiscard]] long attributes_of(std::int64_t fd, std::uint32_t slot, protocol::ShieldAttributes& attributes);

}  // namespace casemate::runtime
