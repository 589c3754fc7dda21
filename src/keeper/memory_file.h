// Memory files of the keeper and what it asks the kernel about them.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace casemate::keeper {

// A memory file of fixed size that nobody can resize any more.
Result<UniqueFd> create_sealed_memory(const char* name, std::uint64_t size);

// A memory file for the contents of one program file. The descriptor counts as an ordinary open for writing (one that
// memfd_create returns does not), which is_only_user() relies on.
Result<UniqueFd> create_page_memory();

// Another description of the same file with open(2) flags `flags`. Not open on failure, with errno.
UniqueFd reopen(int fd, int flags);

// True when `fd` (from create_page_memory) is the only description of its file that can read or write: no descriptor of
// any process, none on its way in a message, no mapping. O_PATH descriptors are not seen.
bool is_only_user(int fd);

}  // namespace casemate::keeper
