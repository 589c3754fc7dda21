// Small reads from /proc and elsewhere.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "crypto/bytes.h"

namespace casemate::las {

// Everything from the descriptor's start, at most `limit` bytes. Errors: kSystem; kExhausted when there is more.
Result<std::string> read_from_start(int fd, std::size_t limit);
Result<std::string> read_file_at(int directory, const char* name, std::size_t limit);
// Writes all of it in one call, as attributes of kernel trees want it. Errors: kSystem.
Result<void> write_once_at(int directory, const char* name, crypto::ByteView data);

}  // namespace casemate::las
