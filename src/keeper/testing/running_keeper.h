// A keeper with a server thread in the test's process, and a scratch directory of the host.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "keeper/keeper.h"

namespace casemate::keeper::testing {

class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  void write(const std::string& name, const std::string& contents) const;

 private:
  std::string path_;
};

class RunningKeeper {
 public:
  // `description`: JSON; relative host paths are below `directory`. A failed start leaves error().
  RunningKeeper(const std::string& description, const std::string& directory);
  ~RunningKeeper();

  bool is_running() const { return keeper_ != nullptr; }
  const std::string& error() const { return error_; }
  int hello() const { return members_.get(); }
  Keeper& keeper() { return *keeper_; }
  std::vector<std::string> warnings();
  // As when the last member ends: everything is committed and closed.
  Result<void> end();

 private:
  UniqueFd members_;
  std::unique_ptr<Keeper> keeper_;
  std::thread server_;
  std::string error_;
  std::mutex mutex_;
  std::vector<std::string> warnings_;
};

// Makes an encrypted volume `name` with key file `name`.key in the directory.
void make_volume(const ScratchDirectory& directory, const std::string& name, std::uint64_t maximum_size);

}  // namespace casemate::keeper::testing
