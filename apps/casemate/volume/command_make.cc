// Keys and whole volumes: key, create, rekey.
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "casemate/volume/attempt.h"
#include "casemate/volume/commands.h"
#include "casemate/volume/opening.h"
#include "casemate/volume/progress.h"
#include "casemate/volume/text.h"

namespace casemate::volume_tool {
namespace {

// A file that this command made and that goes again unless the command comes to its end.
class MadeFile {
 public:
  explicit MadeFile(std::string path) : path_(std::move(path)) {}
  ~MadeFile() {
    if (!path_.empty()) unlink(path_.c_str());
  }
  MadeFile(const MadeFile&) = delete;
  MadeFile& operator=(const MadeFile&) = delete;
  void keep() { path_.clear(); }

 private:
  std::string path_;
};

struct NewKey {
  volume::VolumeKey key;
  std::unique_ptr<MadeFile> file;  // null when the key was there before
};

// The key of a volume to be made: read where it exists, else made where it was asked for.
Result<NewKey> new_key(const Options& options, const Credentials& existing) {
  const bool names_new = !options.new_key_file.empty() || options.new_key_fd.has_value();
  const bool names_existing = !existing.key_file.empty() || existing.key_fd.has_value();
  if (names_new && names_existing) {
    return Error(ErrorCategory::kUsage, "give either --key-file (a key that exists) or --new-key-file, not both");
  }
  if (names_existing) return NewKey{CASEMATE_TRY(read_key(existing)), nullptr};
  if (options.new_key_file.empty() || access(options.new_key_file.c_str(), F_OK) == 0) {
    return NewKey{CASEMATE_TRY(read_key({"--new-key-file", options.new_key_file, options.new_key_fd, ""})), nullptr};
  }
  NewKey made{CASEMATE_TRY(make_key(options.new_key_file)), std::make_unique<MadeFile>(options.new_key_file)};
  if (!options.quiet) {
    std::fprintf(stderr, "casemate volume: made a new key in %s; keep a copy: without it the volume is lost\n",
                 printable(options.new_key_file).c_str());
  }
  return made;
}

volume::CreateOptions creation(const Options& options, volume::CreateOptions defaults) {
  if (options.size.has_value()) defaults.maximum_size = *options.size;
  if (options.journal.has_value()) defaults.journal_size = *options.journal;
  if (!options.label.empty()) defaults.label = options.label;
  return defaults;
}

struct NewStore {
  std::unique_ptr<keeper::HostStore> store;
  std::unique_ptr<MadeFile> file;
};

Result<NewStore> new_store(const std::string& path) {
  auto store = keeper::HostStore::open(path, {.access = keeper::StoreAccess::kCreateNew});
  if (!store.has_value() && store.error().system_code() == EEXIST) {
    return Error(ErrorCategory::kUsage, printable(path) + ": exists already; choose another name, or remove it first",
                 EEXIST);
  }
  if (!store.has_value()) return store.error();
  return NewStore{std::move(store).value(), std::make_unique<MadeFile>(path)};
}

}  // namespace

Result<int> make_volume_key(const Options& options) {
  if (options.output.empty() == options.operands.empty()) {
    return Error(ErrorCategory::kUsage, "key: name the file to make: `casemate volume key -o FILE`");
  }
  CASEMATE_TRY(make_key(options.output.empty() ? options.operands.front() : options.output));
  return 0;
}

Result<int> create_volume(const Options& options) {
  const std::string& path = options.operands.front();
  NewKey key = CASEMATE_TRY(new_key(options, credentials_of(options)));
  NewStore made = CASEMATE_TRY(new_store(path));
  const keeper::SystemClock clock;
  const auto created = volume::Volume::create(*made.store, clock, key.key, creation(options, {}));
  if (!created.has_value()) return of_volume(created.error(), path);
  CASEMATE_ATTEMPT(make_entry_durable(path));
  made.file->keep();
  if (key.file != nullptr) key.file->keep();
  return 0;
}

Result<int> rekey_volume(const Options& options) {
  const std::string& target = options.operands.back();
  auto source = CASEMATE_TRY(
      OpenedVolume::open(options, credentials_of(options), options.operands.front(), volume::Access::kReadOnly));
  NewKey key = CASEMATE_TRY(new_key(options, {"--new-key-file", "", std::nullopt, ""}));
  NewStore made = CASEMATE_TRY(new_store(target));
  const volume::Information information = source->engine().information();
  const volume::CreateOptions creation_options = creation(
      options,
      {.maximum_size = information.maximum_size, .journal_size = information.journal_size, .label = information.label});
  const keeper::SystemClock clock;
  Progress progress("rekey", options);
  const auto done = volume::rekey(source->engine(), *made.store, clock, key.key, creation_options, progress.callback());
  if (!done.has_value()) return of_volume(done.error(), target);
  CASEMATE_ATTEMPT(make_entry_durable(target));
  made.file->keep();
  if (key.file != nullptr) key.file->keep();
  CASEMATE_ATTEMPT(source->close());
  progress.clear();
  if (!options.quiet) {
    std::fprintf(stderr,
                 "casemate volume rekey: %s is a complete copy under the new key; copies of %s can still be read with "
                 "the old one\n",
                 printable(target).c_str(), printable(source->path()).c_str());
  }
  return 0;
}

}  // namespace casemate::volume_tool
