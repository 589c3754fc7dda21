#include "casemate/volume/opening.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/unique_fd.h"
#include "casemate/volume/attempt.h"
#include "casemate/volume/text.h"
#include "keeper/file_anchor.h"
#include "keeper/key_file.h"

namespace casemate::volume_tool {
namespace {

struct Advice {
  int code;
  const char* text;
};

// What the owner can do; the engine knows only what is wrong.
constexpr Advice kAdvice[] = {
    {ESTALE, "; if this state is the one to keep (a backup was restored, say): `casemate volume accept`"},
    {EROFS, "; to change its contents, export them and import them into a new volume"},
};

// What a mount finds wrong is a fact about the volume (a newer format, say), never a mistake in the words.
Error as_answer(const Error& error) {
  const bool is_mistake = error.category() == ErrorCategory::kUsage;
  return is_mistake ? Error(ErrorCategory::kFormat, error.message(), error.system_code()) : error;
}

void say_freshness_is_unchecked(const std::string& path) {
  std::fprintf(stderr,
               "casemate volume: notice: freshness of %s is not checked: an older copy in its place would not be "
               "noticed (use --anchor FILE)\n",
               printable(path).c_str());
}

}  // namespace

Error of_volume(const Error& error, const std::string& path) {
  // Errors of the engine do not know the file; those of the store name it already.
  const bool is_named = error.message().find(path) != std::string::npos;
  std::string advice;
  for (const Advice& row : kAdvice) {
    if (row.code == error.system_code()) advice = row.text;
  }
  return Error(error.category(), (is_named ? "" : printable(path) + ": ") + error.message() + advice,
               error.system_code());
}

Credentials credentials_of(const Options& options) {
  return {"--key-file", options.key_file, options.key_fd, options.anchor};
}

Credentials other_credentials_of(const Options& options) {
  const bool own = !options.other_key_file.empty() || options.other_key_fd.has_value();
  return {"--other-key-file", own ? options.other_key_file : options.key_file,
          own ? options.other_key_fd : options.key_fd, options.other_anchor};
}

Result<volume::VolumeKey> read_key(const Credentials& credentials) {
  if (!credentials.key_file.empty() && credentials.key_fd.has_value()) {
    return Error(ErrorCategory::kUsage, "give the key once: as a file or as a descriptor");
  }
  if (credentials.key_fd.has_value()) {
    return keeper::read_key_descriptor(*credentials.key_fd, "descriptor " + std::to_string(*credentials.key_fd));
  }
  if (!credentials.key_file.empty()) return keeper::read_key_file(credentials.key_file);
  return Error(ErrorCategory::kUsage,
               std::string("no key: give ") + credentials.option + " FILE (`casemate volume key -o FILE` makes one)");
}

Result<volume::VolumeKey> make_key(const std::string& path) { return keeper::create_key_file(path); }

Result<void> make_entry_durable(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd opened(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.is_open() && fsync(opened.get()) == 0) return {};
  return Error::from_errno(printable(directory) + ": the new file's name cannot be made durable", errno);
}

Result<std::unique_ptr<OpenedVolume>> OpenedVolume::open(const Options& options, const Credentials& credentials,
                                                         const std::string& path, volume::Access access,
                                                         FreshnessNotice notice) {
  auto opened = std::make_unique<OpenedVolume>();
  opened->path_ = path;
  opened->key_ = CASEMATE_TRY(read_key(credentials));
  const auto store_access =
      access == volume::Access::kReadOnly ? keeper::StoreAccess::kReadOnly : keeper::StoreAccess::kReadWrite;
  opened->store_ = CASEMATE_TRY(keeper::HostStore::open(path, {.access = store_access}));
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) return Error::from_errno(printable(path), errno);
  opened->identity_ = {status.st_dev, status.st_ino};
  opened->clock_ = std::make_unique<keeper::SystemClock>();
  if (!credentials.anchor.empty()) opened->anchor_ = CASEMATE_TRY(opened->anchor_in(credentials.anchor));
  volume::MountOptions mount_options{.access = access, .anchor = opened->anchor_.get(), .notice = nullptr};
  if (!options.quiet) {
    mount_options.notice = [path](std::string_view text) {
      std::fprintf(stderr, "casemate volume: notice: %s: %s\n", printable(path).c_str(), printable(text).c_str());
    };
  }
  auto mounted = volume::Volume::mount(*opened->store_, *opened->clock_, opened->key_, mount_options);
  if (!mounted.has_value()) return of_volume(as_answer(mounted.error()), path);
  opened->volume_ = std::move(mounted).value();
  if (opened->anchor_ == nullptr && notice == FreshnessNotice::kSay && !options.quiet) {
    say_freshness_is_unchecked(path);
  }
  return opened;
}

OpenedVolume::~OpenedVolume() = default;

Result<std::unique_ptr<volume::Anchor>> OpenedVolume::anchor_in(const std::string& file) const {
  return std::unique_ptr<volume::Anchor>(CASEMATE_TRY(keeper::FileAnchor::open(file, key_)));
}

Result<void> OpenedVolume::commit() {
  const auto position = volume_->sync();
  if (!position.has_value()) return of_volume(position.error(), path_);
  if (anchor_ != nullptr) {
    CASEMATE_ATTEMPT(anchor_->store(position.value()));
    volume_->acknowledge(position.value());
  }
  if (!volume_->wants_checkpoint()) return {};
  auto done = volume_->checkpoint();
  return done.has_value() ? done : of_volume(done.error(), path_);
}

Result<void> OpenedVolume::close() {
  auto done = volume_->close();
  return done.has_value() ? done : of_volume(done.error(), path_);
}

}  // namespace casemate::volume_tool
