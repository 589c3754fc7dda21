#include "casemate/volume/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "casemate/volume/text.h"

namespace casemate::volume_tool {
namespace {

constexpr std::chrono::milliseconds kTerminalPeriod{200}, kLinePeriod{5000};

}  // namespace

Progress::Progress(std::string command, const Options& options) : command_(std::move(command)), form_(Form::kNone) {
  const bool terminal = isatty(STDERR_FILENO) == 1;
  if (!options.quiet && terminal) form_ = Form::kTerminal;
  if (options.progress && !terminal) form_ = Form::kLines;
  start_ = Clock::now();
  // Short work ends before it says anything, unless somebody asked.
  next_ = options.progress ? start_ : start_ + kTerminalPeriod;
}

Progress::~Progress() { clear(); }

void Progress::tick() {
  if (form_ == Form::kNone) return;
  const Clock::time_point now = Clock::now();
  if (now < next_) return;
  next_ = now + (form_ == Form::kTerminal ? kTerminalPeriod : kLinePeriod);
  const double seconds = std::max(std::chrono::duration<double>(now - start_).count(), 0.001);
  const auto rate = static_cast<std::uint64_t>(static_cast<double>(bytes_) / seconds);
  std::string text = command_ + ": ";
  if (files_ > 0) text += fmt::format("{} files, ", files_);
  text += readable_size(bytes_);
  if (total_ > 0) text += fmt::format(" of {} ({} %)", readable_size(total_), bytes_ / (total_ / 100 + 1));
  text += fmt::format(", {}/s", readable_size(rate));
  if (form_ == Form::kTerminal) {
    std::fprintf(stderr, "\r\033[K%s", text.c_str());
    std::fflush(stderr);
    line_is_open_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
}

void Progress::set(std::uint64_t done, std::uint64_t total) {
  bytes_ = done;
  total_ = total;
  tick();
}

std::function<void(std::uint64_t, std::uint64_t)> Progress::callback() {
  return [this](std::uint64_t done, std::uint64_t total) { set(done, total); };
}

void Progress::clear() {
  if (!line_is_open_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  line_is_open_ = false;
}

void Complaints::add(const std::string& path, const Error& error) {
  progress_.clear();
  ++count_;
  std::fprintf(stderr, "casemate volume %s: %s: %s\n", command_.c_str(), printable(path).c_str(),
               error.message().c_str());
}

}  // namespace casemate::volume_tool
