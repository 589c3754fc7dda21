#include "casemate/log/log_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/unique_fd.h"
#include "cas/store/store.h"

namespace casemate::log_tool {
namespace {

constexpr std::size_t kLargestFile = std::size_t{1} << 30, kChunk = 1 << 16;

bool is_directory(const std::string& path) {
  struct stat facts {};
  return ::stat(path.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode);
}

Result<std::unique_ptr<cas::UnsealMethod>> method_of(const Options& options) {
  if (!options.key_file.empty()) return cas::unseal_with_key_file(options.key_file);
  if (!options.passphrase_file.empty()) {
    std::string text = CASEMATE_TRY(read_text(options.passphrase_file));
    if (text.ends_with('\n')) text.pop_back();
    return cas::unseal_with_passphrase(cas::SecretValue::copy_of(text));
  }
  return Error(ErrorCategory::kUsage, "a store directory is opened with --key-file or --passphrase-file");
}

struct SessionOf {
  std::string operator()(const auto& body) const {
    if constexpr (requires { body.session; }) return body.session;
    return "";
  }
};

std::function<bool(const cas::Entry&)> disclosure_of(const Options& options) {
  if (options.hashes_only) return [](const cas::Entry&) { return false; };
  if (options.sessions.empty()) return [](const cas::Entry&) { return true; };
  return [sessions = options.sessions](const cas::Entry& entry) {
    const std::string session = std::visit(SessionOf(), entry.body);
    return std::find(sessions.begin(), sessions.end(), session) != sessions.end();
  };
}

}  // namespace

Result<std::string> read_text(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return Error::from_errno(path, errno);
  std::string text;
  while (true) {
    const std::size_t before = text.size();
    if (before > kLargestFile) return Error(ErrorCategory::kExhausted, path + " is larger than 1 GiB");
    text.resize(before + kChunk);
    const ssize_t size = ::read(file.get(), text.data() + before, kChunk);
    if (size < 0) return Error::from_errno(path, errno);
    text.resize(before + static_cast<std::size_t>(size));
    if (size == 0) return text;
  }
}

Result<void> write_text(const std::string& path, const std::string& text) {
  if (path.empty()) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return {};
  }
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file.is_open()) return Error::from_errno(path, errno);
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t size = ::write(file.get(), text.data() + done, text.size() - done);
    if (size < 0) return Error::from_errno(path, errno);
    done += static_cast<std::size_t>(size);
  }
  return {};
}

Result<cas::LogExport> read_log_source(const std::string& source, const Options& options) {
  if (is_directory(source)) {
    const auto method = CASEMATE_TRY(method_of(options));
    return cas::read_log(source, *method, disclosure_of(options));
  }
  const std::string text = CASEMATE_TRY(read_text(source));
  cas::LogExport log = CASEMATE_TRY(cas::parse_export(text));
  const cas::Digest id = CASEMATE_TRY(trusted_log_id(options, log.head.head.log_id));
  if (auto verified = cas::verify_export(log, id); !verified) return verified.error().with_context(source);
  return log;
}

Result<cas::Digest> trusted_log_id(const Options& options, const cas::Digest& claimed) {
  if (options.log_id.empty()) {
    std::fprintf(stderr, "casemate log: trusting the log id that the file claims, %s (--log-id checks it)\n",
                 crypto::to_hex(claimed).c_str());
    return claimed;
  }
  const crypto::Bytes bytes = CASEMATE_TRY(crypto::from_hex(options.log_id));
  cas::Digest id{};
  if (bytes.size() != id.size()) return Error(ErrorCategory::kUsage, "--log-id: 64 hexadecimal digits were expected");
  std::copy(bytes.begin(), bytes.end(), id.begin());
  return id;
}

Result<cas::SignedHead> read_head(const std::string& path) {
  const std::string text = CASEMATE_TRY(read_text(path));
  if (!cas::kind_of_proof_file(text)) return cas::parse_note(text);
  const std::size_t head = text.rfind("\nhead\n");
  if (head == std::string::npos) return Error(ErrorCategory::kFormat, path + " has no head");
  return cas::parse_note(std::string_view(text).substr(head + 6));
}

}  // namespace casemate::log_tool
