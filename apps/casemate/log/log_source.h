// Where `casemate log` reads from and writes to: exported files, store directories, heads.
#pragma once

#include <string>

#include "base/result.h"
#include "cas/log/proof_files.h"
#include "casemate/log/log_options.h"

namespace casemate::log_tool {

// Errors: kSystem; kExhausted beyond 1 GiB.
Result<std::string> read_text(const std::string& path);
// To `path`, which must not exist, or to standard output when it is empty.
Result<void> write_text(const std::string& path, const std::string& text);

// An export, verified, or the log of a store directory with the entries that `options` ask for.
Result<cas::LogExport> read_log_source(const std::string& source, const Options& options);
// The log id to trust: that of --log-id, or else `claimed`, which is told on standard error.
Result<cas::Digest> trusted_log_id(const Options& options, const cas::Digest& claimed);
// A head from a file of its own, or from any proof file that ends in one.
Result<cas::SignedHead> read_head(const std::string& path);

}  // namespace casemate::log_tool
