// A small volume with one of everything, and the question that all attack tests ask of a changed image.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>
#include <utility>

#include "volume/check.h"
#include "volume/format.h"
#include "volume/testing/memory_store.h"
#include "volume/testing/operation.h"

namespace casemate::volume::testing {

struct Sample {
  Bytes image;
  std::string dump;  // without times
  Position position;
  InodeNumber large = 0, small = 0;  // files: 40 pages, a few bytes
};

inline const Clock& sample_clock() {
  static const CountingClock clock;
  return clock;
}

inline Result<std::unique_ptr<Volume>> mount_sample(ByteStore& store, Anchor* anchor = nullptr,
                                                    Access access = Access::kReadWrite, std::uint8_t key = 1) {
  MountOptions options;
  options.anchor = anchor;
  options.access = access;
  return Volume::mount(store, sample_clock(), test_key(key), options);
}

enum class Ending { kClosed, kCrashed };

// Several records in the journal; when closed, all in the tree.
inline Result<Sample> make_sample(Ending ending, std::uint8_t key = 1) {
  MemoryStore store;
  VOLUME_CHECK(Volume::create(store, sample_clock(), test_key(key), small_volume()));
  const std::unique_ptr<Volume> volume = CASEMATE_TRY(mount_sample(store, nullptr, Access::kReadWrite, key));
  Sample sample;
  sample.large = CASEMATE_TRY(volume->create_node(kRootInode, "large", {S_IFREG | 0644, 1, 2, 0, ""})).inode;
  VOLUME_CHECK(volume->write(sample.large, 0, pattern(40 * kPageSize, 1)));
  VOLUME_CHECK(volume->checkpoint());
  sample.small = CASEMATE_TRY(volume->create_node(kRootInode, "small", {S_IFREG | 0600, 1, 2, 0, ""})).inode;
  VOLUME_CHECK(volume->write(sample.small, 0, pattern(100, 2)));
  (void)CASEMATE_TRY(volume->sync());
  const InodeNumber directory =
      CASEMATE_TRY(volume->create_node(kRootInode, "directory", {S_IFDIR | 0755, 0, 0, 0, ""})).inode;
  (void)CASEMATE_TRY(volume->create_node(directory, "link", {S_IFLNK | 0777, 0, 0, 0, "../small"}));
  (void)CASEMATE_TRY(volume->sync());
  VOLUME_CHECK(volume->set_extended_attribute(sample.small, "user.a", pattern(3'000, 3), 0));
  VOLUME_CHECK(volume->write(sample.large, 8 * kPageSize, pattern(8 * kPageSize, 4)));
  (void)CASEMATE_TRY(volume->sync());
  sample.dump = CASEMATE_TRY(dump(*volume, Times::kLeftOut));
  if (ending == Ending::kClosed) VOLUME_CHECK(volume->close());
  sample.position = volume->position();
  sample.image = store.bytes();
  return sample;
}

// What came of mounting and reading everything.
struct Outcome {
  bool is_refused = false;  // by the mount, or by a read
  std::string message;
  int code = 0;
  ErrorCategory category{};
  std::string dump;  // when nothing was refused
};

inline Outcome read_everything(ByteStore& store, Anchor* anchor, Access access = Access::kReadOnly,
                               std::uint8_t key = 1) {
  const auto refused_with = [](const Error& error) {
    return Outcome{true, error.message(), error.system_code(), error.category(), {}};
  };
  const auto mounted = mount_sample(store, anchor, access, key);
  if (!mounted) return refused_with(mounted.error());
  const auto dumped = dump(*mounted.value(), Times::kLeftOut);
  if (!dumped) return refused_with(dumped.error());
  return {false, {}, 0, {}, dumped.value()};
}

}  // namespace casemate::volume::testing
