#include "keeper/testing/running_keeper.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "keeper/file_anchor.h"
#include "keeper/key_file.h"

namespace casemate::keeper::testing {

ScratchDirectory::ScratchDirectory() {
  char pattern[] = "/tmp/casemate-keeper-test-XXXXXX";
  EXPECT_NE(mkdtemp(pattern), nullptr);
  path_ = pattern;
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void ScratchDirectory::write(const std::string& name, const std::string& contents) const {
  std::filesystem::create_directories(std::filesystem::path(path_ + "/" + name).parent_path());
  std::ofstream(path_ + "/" + name, std::ios::binary) << contents;
}

RunningKeeper::RunningKeeper(const std::string& description, const std::string& directory) {
  auto parsed = parse_description(description, directory);
  if (!parsed) {
    error_ = parsed.error().message();
    return;
  }
  auto opened = Keeper::open(parsed.value(), [this](const std::string& text) {
    const std::lock_guard lock(mutex_);
    warnings_.push_back(text);
  });
  if (!opened) {
    error_ = opened.error().message();
    return;
  }
  keeper_ = std::move(opened).value();
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  members_.reset(ends[0]);
  server_ = std::thread([this, end = ends[1]] { keeper_->serve(UniqueFd(end)); });
}

RunningKeeper::~RunningKeeper() {
  members_.reset();
  if (server_.joinable()) server_.join();
}

Result<void> RunningKeeper::end() {
  members_.reset();
  server_.join();
  Result<void> closed = keeper_->close();
  keeper_.reset();
  return closed;
}

std::vector<std::string> RunningKeeper::warnings() {
  const std::lock_guard lock(mutex_);
  return warnings_;
}

void make_volume(const ScratchDirectory& directory, const std::string& name, std::uint64_t maximum_size) {
  const auto key = create_key_file(directory / (name + ".key"));
  ASSERT_TRUE(key) << key.error().message();
  auto store = HostStore::open(directory / name, {.access = StoreAccess::kCreateNew});
  ASSERT_TRUE(store) << store.error().message();
  const SystemClock clock;
  volume::CreateOptions options;
  options.maximum_size = maximum_size;
  const auto made = volume::Volume::create(*store.value(), clock, key.value(), options);
  ASSERT_TRUE(made) << made.error().message();
  // Remembered in <name>.anchor, as `casemate volume anchor --set` does.
  volume::MountOptions looking;
  looking.access = volume::Access::kReadOnly;
  const auto mounted = volume::Volume::mount(*store.value(), clock, key.value(), looking);
  ASSERT_TRUE(mounted) << mounted.error().message();
  const auto anchor = FileAnchor::open(directory / (name + ".anchor"), key.value());
  ASSERT_TRUE(anchor) << anchor.error().message();
  anchor.value()->bind(mounted.value()->information().volume_id);
  ASSERT_TRUE(anchor.value()->store(mounted.value()->position()));
}

}  // namespace casemate::keeper::testing
