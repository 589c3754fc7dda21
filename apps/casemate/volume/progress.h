// What long work tells while it goes on: how far it is, and which of many files it could not treat.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "casemate/volume/options.h"

namespace casemate::volume_tool {

// One line on standard error that is rewritten on a terminal; with --progress elsewhere, a line every few seconds.
class Progress {
 public:
  Progress(std::string command, const Options& options);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void add_file() { ++files_; }
  void add_bytes(std::uint64_t size) { bytes_ += size; }
  // Shows, at most a few times per second.
  void tick();
  // For work that knows its whole.
  void set(std::uint64_t done, std::uint64_t total);
  std::function<void(std::uint64_t, std::uint64_t)> callback();

  std::uint64_t files() const { return files_; }
  std::uint64_t bytes() const { return bytes_; }
  // Gives the terminal line back, before something else is printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  enum class Form { kNone, kTerminal, kLines };

  std::string command_;
  Form form_;
  Clock::time_point start_, next_;
  std::uint64_t files_ = 0, bytes_ = 0, total_ = 0;
  bool line_is_open_ = false;
};

// Prints one line per file that could not be treated, and remembers that there were some.
class Complaints {
 public:
  Complaints(std::string command, Progress& progress) : command_(std::move(command)), progress_(progress) {}
  // `path`: as bytes; printed printably.
  void add(const std::string& path, const Error& error);
  std::size_t count() const { return count_; }

 private:
  std::string command_;
  Progress& progress_;
  std::size_t count_ = 0;
};

}  // namespace casemate::volume_tool
