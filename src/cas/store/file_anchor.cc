// Replaced as a whole by rename, so it is always one or the other state.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>

#include "base/unique_fd.h"
#include "cas/log/text_lines.h"
#include "cas/store/anchor.h"

namespace casemate::cas {
namespace {

constexpr std::string_view kTitle = "casemate-cas-anchor v1";

class FileAnchor final : public FreshnessAnchor {
 public:
  explicit FileAnchor(std::string path) : path_(std::move(path)) {}

  const char* kind() const override { return "file"; }
  const char* promise() const override {
    return "notices accidents only: whoever may write the anchor file can set it back together with the database";
  }

  Result<std::uint64_t> read() override {
    const UniqueFd file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open() && errno == ENOENT) return std::uint64_t{0};
    std::array<char, 256> text{};
    const ssize_t size = file.is_open() ? ::read(file.get(), text.data(), text.size()) : -1;
    if (size < 0) return Error::from_errno("anchor " + path_, errno);
    internal::LineReader lines(std::string_view(text.data(), static_cast<std::size_t>(size)), "anchor");
    if (auto title = lines.expect(kTitle); !title) return title.error().with_context(path_);
    const auto words = lines.words("counter", 2);
    if (!words || !lines.at_end()) return Error(ErrorCategory::kFormat, path_ + " is no anchor file");
    return internal::parse_number(words.value().front());
  }

  Result<void> advance(std::uint64_t value) override {
    const std::string text = std::string(kTitle) + "\ncounter " + std::to_string(value) + '\n', fresh = path_ + ".new";
    const UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.is_open() || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        ::fsync(file.get()) != 0 || std::rename(fresh.c_str(), path_.c_str()) != 0) {
      return Error::from_errno("anchor " + path_ + " cannot be written", errno);
    }
    const std::size_t slash = path_.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    const UniqueFd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.is_open() || ::fsync(directory.get()) != 0) return Error::from_errno("anchor " + folder, errno);
    return {};
  }

 private:
  std::string path_;
};

}  // namespace

std::unique_ptr<FreshnessAnchor> make_file_anchor(const std::string& path) {
  return std::make_unique<FileAnchor>(path);
}

}  // namespace casemate::cas
