#include "las/tsm_report.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>

#include "base/unique_fd.h"
#include "las/files.h"

namespace casemate::las {
namespace {

constexpr std::size_t kBlobLimit = 32 * 1024;
constexpr std::size_t kAuxiliaryLimit = evidence::kNodePartMaximumSize - kBlobLimit;
constexpr int kAttempts = 5;

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

// A request's directory: made on entry, gone at the end.
class Entry {
 public:
  static Result<Entry> create(const std::string& tree) {
    static std::atomic<unsigned> count = 0;
    Entry entry;
    entry.path_ = tree + "/casemate-" + std::to_string(getpid()) + "-" + std::to_string(count++);
    if (mkdir(entry.path_.c_str(), 0700) != 0) {
      const int code = errno;
      entry.path_.clear();
      if (code == ENOENT) return Error(ErrorCategory::kNotFound, tree + ": this kernel offers no such quotes", code);
      return Error::from_errno(tree + ": cannot make a request", code);
    }
    entry.directory_.reset(open(entry.path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!entry.directory_.is_open()) return Error::from_errno(entry.path_, errno);
    return entry;
  }
  Entry(Entry&& other) noexcept
      : path_(std::exchange(other.path_, std::string())), directory_(std::move(other.directory_)) {}
  Entry& operator=(Entry&&) = delete;
  ~Entry() {
    directory_.reset();
    if (!path_.empty()) rmdir(path_.c_str());
  }

  Result<std::string> read(const char* name, std::size_t limit) const {
    Result<std::string> text = read_file_at(directory_.get(), name, limit);
    if (!text.has_value()) return text.error().with_context(path_ + "/" + name);
    return text;
  }
  Result<void> write(const char* name, crypto::ByteView data) const {
    Result<void> written = write_once_at(directory_.get(), name, data);
    if (!written.has_value()) return written.error().with_context(path_);
    return {};
  }

 private:
  Entry() = default;
  std::string path_;
  UniqueFd directory_;
};

bool is_worth_repeating(const Error& error) {
  return error.system_code() == EBUSY || error.system_code() == EINTR || error.system_code() == EIO ||
         error.system_code() == EWOULDBLOCK || error.system_code() == ETIMEDOUT;
}

Result<TsmReport> ask_once(const std::string& tree, const evidence::Digest64& report_data) {
  const Entry entry = CASEMATE_TRY(Entry::create(tree));
  TsmReport report;
  report.provider = trimmed(CASEMATE_TRY(entry.read("provider", 256)));
  const std::string before = trimmed(CASEMATE_TRY(entry.read("generation", 64)));
  if (Result<void> written = entry.write("inblob", report_data); !written.has_value()) return written.error();
  report.quote = crypto::to_bytes(crypto::as_byte_view(CASEMATE_TRY(entry.read("outblob", kBlobLimit))));
  const Result<std::string> auxiliary = entry.read("auxblob", kAuxiliaryLimit);
  if (auxiliary.has_value()) {
    report.auxiliary = crypto::to_bytes(crypto::as_byte_view(auxiliary.value()));
  } else if (auxiliary.error().system_code() != ENOENT) {
    return auxiliary.error();  // the attribute exists where the provider has something to say there
  }
  const std::string after = trimmed(CASEMATE_TRY(entry.read("generation", 64)));
  if (report.quote.empty()) return Error(ErrorCategory::kSystem, tree + ": an empty quote", EIO);
  if (after != std::to_string(std::strtoull(before.c_str(), nullptr, 10) + 1)) {
    return Error(ErrorCategory::kSystem, tree + ": somebody else wrote into our request", EBUSY);
  }
  return report;
}

}  // namespace

Result<TsmReport> tsm_report(const std::string& tree, const evidence::Digest64& report_data) {
  for (int attempt = 1;; ++attempt) {
    Result<TsmReport> report = ask_once(tree, report_data);
    if (report.has_value() || attempt == kAttempts || !is_worth_repeating(report.error())) return report;
    std::this_thread::sleep_for(std::chrono::milliseconds(50 << attempt));
  }
}

Result<std::string> tsm_provider(const std::string& tree) {
  const Entry entry = CASEMATE_TRY(Entry::create(tree));
  return trimmed(CASEMATE_TRY(entry.read("provider", 256)));
}

}  // namespace casemate::las
