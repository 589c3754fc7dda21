// The manifest of a host directory: what an `authenticated` region of a run description is checked against.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/unique_fd.h"
#include "casemate/subcommands.h"
#include "casemate/volume/attempt.h"
#include "casemate/volume/commands.h"
#include "casemate/volume/opening.h"
#include "casemate/volume/progress.h"
#include "casemate/volume/text.h"
#include "keeper/manifest.h"

namespace casemate::volume_tool {
namespace {

Result<void> write_everything(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = write(file, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Error::from_errno("cannot be written", errno);
    text.remove_prefix(static_cast<std::size_t>(size));
  }
  return {};
}

// Beside, then renamed over: a reader sees the old or the new manifest, whole.
Result<void> replace_file(const std::string& path, std::string_view text) {
  const std::string beside = path + ".new";
  UniqueFd file(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file.is_open()) return Error::from_errno(printable(beside) + ": cannot be written", errno);
  auto written = write_everything(file.get(), text);
  if (written.has_value() && (fsync(file.get()) != 0 || rename(beside.c_str(), path.c_str()) != 0)) {
    written = Error::from_errno("cannot be put in its place", errno);
  }
  if (written.has_value()) return make_entry_durable(path);
  unlink(beside.c_str());
  return written.error().with_context(printable(path));
}

}  // namespace

Result<int> make_manifest(const Options& options) {
  if (options.output.empty()) return Error(ErrorCategory::kUsage, "manifest: name the file to make: -o FILE");
  Progress progress("manifest", options);
  keeper::ManifestSummary summary;
  const auto tell = [&](std::uint64_t bytes) {
    progress.add_bytes(bytes);
    progress.tick();
  };
  const std::string text = CASEMATE_TRY(keeper::make_manifest(options.operands.front(), &summary, tell));
  progress.clear();
  CASEMATE_ATTEMPT(replace_file(options.output, text));
  std::printf("%s  %s\n", keeper::manifest_digest(text).c_str(), printable(options.output).c_str());
  if (summary.skipped > 0 && !options.quiet) {
    std::fprintf(stderr, "casemate volume manifest: left out %llu sockets, devices and the like\n",
                 static_cast<unsigned long long>(summary.skipped));
  }
  return 0;
}

}  // namespace casemate::volume_tool
