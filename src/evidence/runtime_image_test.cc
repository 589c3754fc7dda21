#include "evidence/runtime_image.h"

#include <gtest/gtest.h>

namespace casemate::evidence {
namespace {

struct TestSegment {
  std::uint32_t type = 1, flags = 5;
  std::uint64_t offset = 0, address = 0, file_size = 0, memory_size = 0;
};

// A static executable of two segments: 0x1800 bytes of text from the file's start, then data with a zero-filled end.
struct TestImage {
  std::vector<TestSegment> segments = {{1, 5, 0, 0, 0x1800, 0x1800}, {1, 6, 0x2000, 0x3000, 0x400, 0x1900}};
  std::uint64_t entry = 0x1000;
  std::uint16_t type = 3, machine = 62;
  std::size_t size = 0x3000;

  Bytes build() const {
    FieldWriter writer(size);
    for (std::size_t i = 0; i < size; ++i) writer.number(i, static_cast<std::uint8_t>(i / 16 + 1));
    writer.bytes(0, Bytes(64));
    writer.bytes(0, crypto::from_hex("7f454c46020101").value())
        .number(16, type)
        .number(18, machine)
        .number(24, entry)
        .number(32, std::uint64_t{64})
        .number(54, std::uint16_t{56})
        .number(56, static_cast<std::uint16_t>(segments.size()));
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const std::size_t at = 64 + 56 * i;
      writer.number(at, segments[i].type)
          .number(at + 4, segments[i].flags)
          .number(at + 8, segments[i].offset)
          .number(at + 16, segments[i].address)
          .number(at + 24, segments[i].address)
          .number(at + 32, segments[i].file_size)
          .number(at + 40, segments[i].memory_size)
          .number(at + 48, std::uint64_t{4096});
    }
    return writer.finish();
  }
};

Mrenclave measure(const Bytes& file) { return measure_runtime_image(file).value().mr_enclave; }

TEST(RuntimeImage, MeasuresSegmentsConfigurationTcsAndSsa) {
  Bytes stream;
  const RuntimeMeasurement measurement =
      measure_runtime_image(TestImage().build(), [&](ByteView bytes) { crypto::append(stream, bytes); }).value();
  EXPECT_EQ(measurement.image_size, 0x5000U);
  EXPECT_EQ(measurement.page_count, 2U + 2U + 3U);
  EXPECT_EQ(measurement.enclave_size, 0x8000U);
  EXPECT_EQ(measure_sgxs(stream).value().mr_enclave, measurement.mr_enclave);
}

TEST(RuntimeImage, ChangesWithEveryMappedByte) {
  const Bytes file = TestImage().build();
  const Mrenclave original = measure(file);
  // 0x1fff stands behind the text in its last page: the kernel maps it, so it counts.
  for (std::size_t offset : {std::size_t{0x200}, std::size_t{0x1000}, std::size_t{0x17ff}, std::size_t{0x1fff},
                             std::size_t{0x2000}, std::size_t{0x23ff}}) {
    Bytes changed = file;
    changed[offset] ^= std::byte{1};
    EXPECT_NE(measure(changed), original) << offset;
  }
}

TEST(RuntimeImage, LeavesOutWhatIsNeverMapped) {
  const Bytes file = TestImage().build();
  // Behind the data's part of the file memory is zero, whatever the file has there.
  for (std::size_t offset : {std::size_t{0x2400}, std::size_t{0x2fff}}) {
    Bytes changed = file;
    changed[offset] ^= std::byte{1};
    EXPECT_EQ(measure(changed), measure(file)) << offset;
  }
  Bytes longer = file;
  longer.resize(longer.size() + 5000, std::byte{9});
  EXPECT_EQ(measure(longer), measure(file));
}

TEST(RuntimeImage, ChangesWithPermissionsEntryAndSize) {
  const Mrenclave original = measure(TestImage().build());
  TestImage permissions, entry, size;
  permissions.segments[1].flags = 4;
  entry.entry = 0x1010;
  size.segments[1].memory_size = 0x2900;
  for (const TestImage& image : {permissions, entry, size}) EXPECT_NE(measure(image.build()), original);
}

TEST(RuntimeImage, RefusesWhatCannotBeARuntime) {
  std::vector<TestImage> images(12);
  images[0].type = 1;
  images[1].machine = 183;
  images[2].segments.push_back({3, 4, 0, 0, 1, 1});  // interpreter
  images[3].segments.clear();
  images[4].segments[1].offset = 0x2001;     // not congruent
  images[5].segments[1].file_size = 0x2000;  // more than memory
  images[6].segments[1].offset = 0x100000;
  images[7].segments[1].memory_size = std::uint64_t{1} << 40;
  images[8].segments[1].address = UINT64_MAX - 0xfff;
  images[9].segments[1].address = 0x1000;  // overlaps
  images[10].entry = 0x9000;
  images[11].segments[1].address = std::uint64_t{1} << 33;  // spans too much
  for (std::size_t i = 0; i < images.size(); ++i) EXPECT_FALSE(measure_runtime_image(images[i].build())) << i;
  const Bytes good = TestImage().build();
  for (std::size_t cut : {std::size_t{0}, std::size_t{63}, std::size_t{100}}) {
    EXPECT_FALSE(measure_runtime_image(ByteView(good).first(cut)));
  }
}

}  // namespace
}  // namespace casemate::evidence
