#include "keeper/special_files.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace casemate::keeper {
namespace {

// Where a private directory can be made: memory first, and short, since a socket's path has 108 bytes at most.
constexpr const char* kPlaces[] = {"/dev/shm/casemate-XXXXXX", "/tmp/casemate-XXXXXX", "/run/casemate-XXXXXX"};

struct DeviceRow {
  unsigned major_number, minor_number;
  const char* path;
};

constexpr DeviceRow kDevices[] = {
    {1, 3, "/dev/null"},    {1, 5, "/dev/zero"}, {1, 7, "/dev/full"}, {1, 8, "/dev/random"},
    {1, 9, "/dev/urandom"}, {5, 0, "/dev/tty"},  {5, 2, "/dev/ptmx"},
};

}  // namespace

SpecialFiles::~SpecialFiles() {
  for (const auto& [key, object] : objects_) remove_object(object);
  if (!directory_.empty()) rmdir(directory_.c_str());
}

Result<std::string> SpecialFiles::new_path() {
  for (const char* place : kPlaces) {
    if (!directory_.empty()) break;
    std::string pattern = place;
    if (mkdtemp(pattern.data()) != nullptr) directory_ = pattern;
  }
  if (directory_.empty()) return Error::from_errno("no place on this host for sockets and FIFOs", errno);
  chmod(directory_.c_str(), 0711);
  return directory_ + "/" + std::to_string(next_++);
}

void SpecialFiles::remove_object(const Object& object) {
  unlink(object.host_path.c_str());
  if (!object.directory.empty()) rmdir(object.directory.c_str());
}

// The program's process makes the socket, as whatever user it runs.
Result<std::string> SpecialFiles::add_socket(const NodeKey& node, const std::string& program_path,
                                             std::uint32_t owner) {
  const std::lock_guard lock(mutex_);
  const std::string directory = CASEMATE_TRY(new_path());
  if (mkdir(directory.c_str(), 0711) != 0 || chmod(directory.c_str(), 0711) != 0) {
    return Error::from_errno("cannot make a directory for a socket on this host", errno);
  }
  if (owner != geteuid() && chown(directory.c_str(), owner, static_cast<gid_t>(-1)) != 0) {
    return Error::from_errno("cannot give a directory for a socket to the program's user", errno);
  }
  objects_[node] = {directory + "/s", program_path, directory};
  return directory + "/s";
}

std::optional<std::string> SpecialFiles::socket_path(const NodeKey& node) {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(node);
  if (found == objects_.end()) return std::nullopt;
  chmod(found->second.host_path.c_str(), 0777);  // the binder's umask must not exclude whom the volume's node allows
  return found->second.host_path;
}

Result<std::string> SpecialFiles::fifo_path(const NodeKey& node) {
  const std::lock_guard lock(mutex_);
  if (const auto found = objects_.find(node); found != objects_.end()) return found->second.host_path;
  const std::string path = CASEMATE_TRY(new_path());
  if (mkfifo(path.c_str(), 0666) != 0) return Error::from_errno("cannot make a FIFO on this host", errno);
  chmod(path.c_str(), 0666);
  objects_[node] = {path, "", ""};
  return path;
}

void SpecialFiles::remove(const NodeKey& node) {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(node);
  if (found == objects_.end()) return;
  remove_object(found->second);
  objects_.erase(found);
}

std::optional<std::string> SpecialFiles::program_path_of(const std::string& host_path) {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, object] : objects_) {
    if (object.host_path == host_path && !object.program_path.empty()) return object.program_path;
  }
  return std::nullopt;
}

std::optional<std::string> SpecialFiles::device_path(std::uint32_t mode, std::uint64_t device) {
  if (!S_ISCHR(mode)) return std::nullopt;
  if (major(device) == 136) return "/dev/pts/" + std::to_string(minor(device));
  for (const DeviceRow& row : kDevices) {
    if (major(device) == row.major_number && minor(device) == row.minor_number) return row.path;
  }
  return std::nullopt;
}

}  // namespace casemate::keeper
