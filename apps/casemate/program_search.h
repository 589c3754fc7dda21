// Finds the program that the user names, as a shell does: a name with a slash is a path, any other is looked for in the
// directories of PATH. Whether the file is a valid program is the runtime's question, not ours.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace casemate::cli {

// The exit codes of a shell and of env(1), nohup(1), timeout(1).
inline constexpr int kExitOwnFailure = 125;
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;

struct Program {
  std::string path;  // what the program sees as AT_EXECFN: the name, or directory of PATH and name
  UniqueFd file;     // open for reading, close-on-exec
};

// `path_variable`: the value of PATH; an empty element means the current directory.
// Errors: kNotFound -> exit code 127; everything else -> 126.
Result<Program> find_program(const std::string& name, std::string_view path_variable);

int exit_code_of(const Error& error);

}  // namespace casemate::cli
