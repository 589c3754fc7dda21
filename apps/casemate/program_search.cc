#include "casemate/program_search.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace casemate::cli {
namespace {

Error not_executable(const std::string& path, const std::string& reason) {
  return Error(ErrorCategory::kSystem, path + ": " + reason, EACCES);
}

// A set-id bit would have to give its privileges to the runtime's image, which the kernel does not do.
bool gains_privileges(const struct stat& status) {
  const bool sets_user = (status.st_mode & S_ISUID) != 0 && status.st_uid != geteuid();
  const bool sets_group =
      (status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0 && status.st_gid != getegid();
  return sets_user || sets_group;
}

Result<Program> open_program(const std::string& path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) {
    const int code = errno;
    if (code == ENOENT) return Error(ErrorCategory::kNotFound, path + ": no such file; check the name", code);
    if (code == ENOTDIR) {
      return Error(ErrorCategory::kSystem, path + ": not a directory: a part of the path is a file; check it", code);
    }
    return Error::from_errno(path, code);
  }
  if (S_ISDIR(status.st_mode)) {
    return Error(ErrorCategory::kSystem, path + ": is a directory; name a program in it", EISDIR);
  }
  if (!S_ISREG(status.st_mode)) return not_executable(path, "is not a regular file; name a program");
  if (faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0) {
    return not_executable(path, "is not executable; allow it with `chmod +x`, or check the mount option noexec");
  }
  if (gains_privileges(status)) {
    return not_executable(path, "is set-user-ID or set-group-ID, which Casemate cannot honour; start it as that user");
  }
  UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (file.is_open()) return Program{path, std::move(file)};
  if (errno == EACCES) return not_executable(path, "cannot be read, and the runtime must read what it loads");
  return Error::from_errno(path + ": cannot open", errno);
}

// Directories of the wanted name, and elements of PATH that are no directories, count as nothing there.
bool is_unusable_file(const Error& error) {
  return error.category() != ErrorCategory::kNotFound && error.system_code() != EISDIR &&
         error.system_code() != ENOTDIR;
}

}  // namespace

Result<Program> find_program(const std::string& name, std::string_view path_variable) {
  if (name.empty()) return Error(ErrorCategory::kNotFound, "the program's name is empty; name a program", ENOENT);
  if (name.find('/') != std::string::npos) return open_program(name);
  std::optional<Error> refused;
  while (true) {
    const std::size_t end = path_variable.find(':');
    std::string path(path_variable.substr(0, end));
    if (!path.empty()) path += '/';
    Result<Program> found = open_program(path.append(name));
    if (found.has_value()) return found;
    // As shells do: go on looking, but remember the file that was there and could not be used.
    if (is_unusable_file(found.error()) && !refused) refused = found.error();
    if (end == std::string_view::npos) break;
    path_variable.remove_prefix(end + 1);
  }
  if (refused) return *refused;
  return Error(ErrorCategory::kNotFound, name + ": not found in PATH; check the name or give a path with a slash",
               ENOENT);
}

int exit_code_of(const Error& error) {
  return error.category() == ErrorCategory::kNotFound ? kExitNotFound : kExitNotExecutable;
}

}  // namespace casemate::cli
