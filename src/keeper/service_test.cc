// The keeper as members see it: real sockets, real memory files, regions in memory.
#include "keeper/service.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <thread>

#include "keeper/testing/running_keeper.h"
#include "keeper/testing/simulated_member.h"

namespace casemate::keeper {
namespace {

using protocol::Operation;
using testing::OpenFile;
using testing::Reply;
using testing::RunningKeeper;
using testing::SimulatedMember;

constexpr const char* kDescription = R"({"cache": "4M", "regions": [
  {"path": "/", "kind": "host"},
  {"path": "/data", "kind": "ephemeral", "size": "64M", "mode": "1777"},
  {"path": "/other", "kind": "ephemeral", "size": "1M"},
  {"path": "/data/mounted", "kind": "ephemeral", "size": "1M"},
  {"path": "/etc/injected", "kind": "file", "text": "injected", "mode": "0640"}]})";

constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

class ServedMember : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(keeper_.is_running()) << keeper_.error();
    member_ = std::make_unique<SimulatedMember>(keeper_.hello());
  }
  protocol::Place slot_of(const OpenFile& file) { return {protocol::PlaceKind::kSlot, 0, file.slot}; }
  std::int64_t slot_call(Operation operation, const OpenFile& file, std::vector<std::uint64_t> arguments = {}) {
    return member_->call({.operation = operation, .arguments = std::move(arguments), .base = slot_of(file)}).result();
  }

  testing::ScratchDirectory scratch_;
  RunningKeeper keeper_{kDescription, "/"};
  std::unique_ptr<SimulatedMember> member_;
};

TEST_F(ServedMember, ReadsBackWhatItWrote) {
  const OpenFile file = member_->open("/data/a", O_RDWR | O_CREAT);
  ASSERT_EQ(file.result, 0);
  EXPECT_EQ(member_->find_slot(file.fd.get()), file.slot);
  EXPECT_EQ(member_->write(file, 5000, "hello"), 5);
  const OpenFile again = member_->open("/data/a", O_RDONLY);
  EXPECT_EQ(again.slot, file.slot);
  EXPECT_EQ(member_->read(again, 5000, 100), "hello");
  EXPECT_EQ(write(again.fd.get(), "x", 1), -1) << "opened for reading only";
  EXPECT_NE(lseek(file.fd.get(), 7, SEEK_SET), lseek(again.fd.get(), 0, SEEK_CUR)) << "descriptions of their own";
}

TEST_F(ServedMember, GivesFlagsThatTheKernelActsOn) {
  const OpenFile file = member_->open("/data/a", O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK);
  EXPECT_EQ(fcntl(file.fd.get(), F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), O_RDWR | O_APPEND | O_NONBLOCK);
  const OpenFile path = member_->open("/data/a", O_PATH);
  ASSERT_EQ(path.result, 0);
  EXPECT_NE(fcntl(path.fd.get(), F_GETFL) & O_PATH, 0);
  EXPECT_EQ(member_->find_slot(path.fd.get()), file.slot);
}

struct OpenCase {
  const char* path;
  int flags;
  std::int64_t expected;
};

TEST_F(ServedMember, OpensAsOpen2Does) {
  member_->make_directory("/data/dir");
  member_->link_symbolically("/data/link", "file");
  ASSERT_EQ(member_->open("/data/file", O_RDWR | O_CREAT).result, 0);
  const OpenCase cases[] = {
      {"/data/none", O_RDONLY, -ENOENT},
      {"/data/none/", O_RDWR | O_CREAT, -EISDIR},
      {"/data/file", O_RDWR | O_CREAT | O_EXCL, -EEXIST},
      {"/data/link", O_RDWR | O_CREAT | O_EXCL, -EEXIST},
      {"/data/link", O_RDONLY | O_NOFOLLOW, -ELOOP},
      {"/data/link", O_RDONLY, 0},
      {"/data/dir", O_RDONLY, 0},
      {"/data/dir", O_WRONLY, -EISDIR},
      {"/data/dir", O_RDONLY | O_CREAT, -EISDIR},
      {"/data/file", O_RDONLY | O_DIRECTORY, -ENOTDIR},
      {"/data/file/", O_RDONLY, -ENOTDIR},
      {"/data/file/x", O_RDONLY, -ENOTDIR},
      {"/data/link", O_PATH | O_NOFOLLOW, 0},
      {"/data", O_RDONLY | O_TMPFILE, -EINVAL},
      {"/data/file", O_RDWR | O_TMPFILE, -ENOTDIR},
      {"/data", O_RDWR | O_TMPFILE, 0},
      {"/etc/injected", O_RDWR, -EROFS},
      {"/etc/injected", O_RDONLY, 0},
      {"/data/", O_RDWR | O_CREAT, -EISDIR},
  };
  for (const OpenCase& row : cases)
    EXPECT_EQ(member_->open(row.path, row.flags).result, row.expected) << row.path << " " << std::oct << row.flags;
}

TEST_F(ServedMember, ChecksPermissionsOfTheCaller) {
  ASSERT_EQ(member_->open("/data/private", O_RDWR | O_CREAT, 0600).result, 0);
  ASSERT_EQ(member_->make_directory("/data/closed", 0700), 0);
  member_->user = member_->group = 1000;
  EXPECT_EQ(member_->open("/data/private", O_RDONLY).result, -EACCES);
  EXPECT_EQ(member_->open("/data/closed/x", O_RDONLY).result, -EACCES);
  EXPECT_EQ(member_->unlink("/data/private"), -EPERM) << "sticky directory";
  EXPECT_EQ(member_->open("/data/mine", O_RDWR | O_CREAT).result, 0);
  EXPECT_EQ(member_->open("/etc/injected", O_RDONLY).result, -EACCES) << "0640 root root";
  protocol::ShieldAttributes attributes;
  EXPECT_EQ(member_->status("/data/mine", &attributes), 0);
  EXPECT_EQ(attributes.uid, 1000U);
  EXPECT_EQ(attributes.mode, S_IFREG | 0644U);
  EXPECT_EQ(
      member_->call({.operation = Operation::kChangeOwner, .path = "/data/mine", .arguments = {0, ~0ULL}}).result(),
      -EPERM);
  EXPECT_EQ(member_->unlink("/data/mine"), 0);
}

TEST_F(ServedMember, RemovesAndRenamesAsTheKernelDoes) {
  ASSERT_EQ(member_->make_directory("/data/d"), 0);
  ASSERT_EQ(member_->open("/data/d/f", O_RDWR | O_CREAT).result, 0);
  EXPECT_EQ(member_->unlink("/data/d", AT_REMOVEDIR), -ENOTEMPTY);
  EXPECT_EQ(member_->unlink("/data/d"), -EISDIR);
  EXPECT_EQ(member_->unlink("/data/d/f", AT_REMOVEDIR), -ENOTDIR);
  EXPECT_EQ(member_->unlink("/data/d/.", AT_REMOVEDIR), -EINVAL);
  EXPECT_EQ(member_->unlink("/data/mounted", AT_REMOVEDIR), -EBUSY);
  EXPECT_EQ(member_->unlink("/data/none"), -ENOENT);
  EXPECT_EQ(member_->unlink("/etc/injected"), -EISDIR) << "a mount point";
  EXPECT_EQ(member_->rename("/data/d", "/data/d/below"), -EINVAL);
  EXPECT_EQ(member_->rename("/data/d/f", "/other/f"), -EXDEV);
  EXPECT_EQ(member_->rename("/data/d/f", "/tmp/casemate-none"), -EXDEV);
  EXPECT_EQ(member_->rename("/data/mounted", "/data/x"), -EBUSY);
  EXPECT_EQ(member_->rename("/data/d/f", "/data/g"), 0);
  ASSERT_EQ(member_->open("/data/h", O_RDWR | O_CREAT).result, 0);
  EXPECT_EQ(member_->rename("/data/g", "/data/h", 1), -EEXIST);
  EXPECT_EQ(member_->rename("/data/g", "/data/h", 2), 0);
  EXPECT_EQ(member_->rename("/data/g", "/data/h", 3), -EINVAL);
  EXPECT_EQ(member_->rename("/data/h", "/data/d"), -EISDIR);
  EXPECT_EQ(member_->unlink("/data/d", AT_REMOVEDIR), 0);
}

TEST_F(ServedMember, KeepsDeletedFilesWhileTheyAreOpenAndFreesThemAfter) {
  OpenFile file = member_->open("/data/gone", O_RDWR | O_CREAT);
  ASSERT_EQ(member_->write(file, 0, "still here"), 10);
  const auto before = keeper_.keeper().cache().counts().nodes;
  ASSERT_EQ(member_->unlink("/data/gone"), 0);
  EXPECT_EQ(member_->open("/data/gone", O_RDONLY).result, -ENOENT);
  EXPECT_EQ(member_->read(file, 0, 10), "still here");
  EXPECT_EQ(member_->call({.operation = Operation::kPathOf, .base = slot_of(file)}).data, "/data/gone (deleted)");
  // A mapping alone keeps it, too.
  void* const mapped = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file.fd.get(), 0);
  file.fd.reset();
  keeper_.keeper().cache().probe(1000);
  EXPECT_EQ(keeper_.keeper().cache().counts().nodes, before);
  munmap(mapped, 4096);
  keeper_.keeper().cache().probe(1000);
  EXPECT_EQ(keeper_.keeper().cache().counts().nodes, before - 1);
}

TEST_F(ServedMember, ListsDirectoriesWithMountPointsOnceEach) {
  for (int i = 0; i < 300; ++i) ASSERT_EQ(member_->make_directory("/data/entry" + std::to_string(i)), 0);
  const OpenFile directory = member_->open("/data", O_RDONLY | O_DIRECTORY);
  for (const std::size_t capacity : {std::size_t{32}, std::size_t{100}, std::size_t{32768}}) {
    auto names = member_->list(directory, capacity);
    EXPECT_EQ(names.size(), 301U) << capacity;
    std::ranges::sort(names);
    EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
    EXPECT_TRUE(std::ranges::binary_search(names, "mounted"));
  }
  EXPECT_EQ(slot_call(Operation::kReadDirectory, directory, {0, 10}), -EINVAL);
}

TEST_F(ServedMember, LeavesRemovedDirectoriesByTheirParents) {
  ASSERT_EQ(member_->make_directory("/data/up"), 0);
  ASSERT_EQ(member_->make_directory("/data/up/down"), 0);
  const auto enter = [&](const protocol::Place& base, const char* path) {
    return member_->call({.operation = Operation::kChangeDirectory, .path = path, .base = base});
  };
  const auto there = enter({}, "/data/up/down");
  ASSERT_EQ(there.result(), 0);
  const protocol::Place place = there.header.place;
  ASSERT_EQ(
      member_->call({.operation = Operation::kUnlink, .path = "/data/up/down", .arguments = {AT_REMOVEDIR}}).result(),
      0);
  EXPECT_EQ(enter(place, ".").result(), 0);
  const auto up = enter(place, "..");
  EXPECT_EQ(up.result(), 0);
  EXPECT_EQ(up.header.place.node, enter({}, "/data/up").header.place.node);
  EXPECT_EQ(
      member_->call({.operation = Operation::kMakeNode, .path = "new", .arguments = {S_IFREG | 0644}, .base = place})
          .result(),
      -ENOENT);
}

TEST_F(ServedMember, FindsDataAndHolesOfWhatIsWrittenAndOfWhatIsNot) {
  const auto seek = [&](const OpenFile& file, std::uint64_t offset, protocol::SeekFor wanted) {
    return slot_call(Operation::kSeek, file, {offset, static_cast<std::uint64_t>(wanted)});
  };
  constexpr auto kData = protocol::SeekFor::kData, kHole = protocol::SeekFor::kHole;
  const OpenFile file = member_->open("/data/holes", O_RDWR | O_CREAT);
  ASSERT_EQ(slot_call(Operation::kTruncate, file, {1 << 20, kNoLimit}), 0);
  EXPECT_EQ(seek(file, 0, kData), -ENXIO);
  EXPECT_EQ(seek(file, 7, kHole), 7);
  ASSERT_EQ(member_->write(file, 100 * 4096 + 5, "data"), 4);
  for (int round = 0; round < 2; ++round) {  // in memory only, then in the volume
    EXPECT_EQ(seek(file, 0, kData), 100 * 4096);
    EXPECT_EQ(seek(file, 100 * 4096 + 9, kData), 100 * 4096 + 9);
    EXPECT_EQ(seek(file, 0, kHole), 0);
    EXPECT_EQ(seek(file, 100 * 4096, kHole), 101 * 4096);
    EXPECT_EQ(seek(file, 101 * 4096, kData), -ENXIO);
    EXPECT_EQ(seek(file, 1 << 20, kHole), -ENXIO);
    ASSERT_EQ(member_->synchronize(file), 0);
  }
  // Reading holes makes neither memory nor blocks of them.
  EXPECT_EQ(member_->read(file, 0, 1 << 20).size(), std::size_t{1} << 20);
  protocol::ShieldAttributes attributes;
  EXPECT_EQ(member_->status("/data/holes", &attributes), 0);
  EXPECT_EQ(attributes.block_count, 8U);
  EXPECT_EQ(slot_call(Operation::kSeek, file, {0, 2}), -EINVAL);
}

TEST_F(ServedMember, TruncatesForEverybody) {
  const OpenFile file = member_->open("/data/t", O_RDWR | O_CREAT);
  ASSERT_EQ(member_->write(file, 0, std::string(10000, 'x')), 10000);
  EXPECT_EQ(slot_call(Operation::kTruncate, file, {5000, kNoLimit}), 0);
  EXPECT_EQ(member_->read(file, 4990, 100), std::string(10, 'x'));
  EXPECT_EQ(slot_call(Operation::kTruncate, file, {9000, 9000}), 0);
  EXPECT_EQ(member_->read(file, 4990, 100), std::string(10, 'x') + std::string(90, '\0'));
  protocol::ShieldAttributes attributes;
  EXPECT_EQ(member_->status("/data/t", &attributes), 0);
  EXPECT_EQ(attributes.size, 9000U);
  EXPECT_EQ(slot_call(Operation::kTruncate, file, {9001, 9000}), -EFBIG);
  EXPECT_EQ(slot_call(Operation::kTruncate, file, {9000, 100}), 0);  // does not grow
  EXPECT_EQ(slot_call(Operation::kTruncate, file, {~0ULL, kNoLimit}), -EINVAL);
  EXPECT_EQ(slot_call(Operation::kTruncate, file, {std::uint64_t{1} << 60, kNoLimit}), -EFBIG);
  const OpenFile emptied = member_->open("/data/t", O_RDWR | O_TRUNC);
  EXPECT_EQ(member_->read(file, 0, 10), "");
}

TEST_F(ServedMember, PunchesAndMovesRanges) {
  const OpenFile file = member_->open("/data/p", O_RDWR | O_CREAT);
  std::string expected;
  for (char letter = 'a'; letter < 'i'; ++letter) expected += std::string(4096, letter);
  ASSERT_EQ(member_->write(file, 0, expected), static_cast<std::int64_t>(expected.size()));
  EXPECT_EQ(slot_call(Operation::kAllocate, file, {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 6000, 5000}), 0);
  expected.replace(6000, 5000, 5000, '\0');
  EXPECT_EQ(member_->read(file, 0, 40000), expected);
  EXPECT_EQ(slot_call(Operation::kAllocate, file, {FALLOC_FL_COLLAPSE_RANGE, 4096, 8192}), 0);
  expected.erase(4096, 8192);
  EXPECT_EQ(member_->read(file, 0, 40000), expected);
  EXPECT_EQ(slot_call(Operation::kAllocate, file, {FALLOC_FL_INSERT_RANGE, 4096, 4096}), 0);
  expected.insert(4096, 4096, '\0');
  EXPECT_EQ(member_->read(file, 0, 40000), expected);
  EXPECT_EQ(slot_call(Operation::kAllocate, file, {0, 0, 100000}), 0);
  EXPECT_EQ(lseek(file.fd.get(), 0, SEEK_END), 100000);
}

TEST_F(ServedMember, RunsOutOfSpaceWhenItWrites) {
  const OpenFile file = member_->open("/other/big", O_RDWR | O_CREAT);
  std::int64_t result = 0;
  std::uint64_t offset = 0;
  const std::string chunk(65536, 'c');
  while (result >= 0 && offset < (std::uint64_t{64} << 20)) {
    result = member_->write(file, offset, chunk);
    offset += chunk.size();
  }
  EXPECT_EQ(result, -ENOSPC);
}

TEST_F(ServedMember, KeepsItsCacheBelowTheBound) {
  const OpenFile file = member_->open("/data/large", O_RDWR | O_CREAT);
  std::string expected;
  for (int i = 0; i < 256; ++i) {
    const std::string chunk(65536, static_cast<char>('A' + i % 50));
    ASSERT_EQ(member_->write(file, static_cast<std::uint64_t>(i) * 65536, chunk), 65536);
  }
  keeper_.keeper().cache().measure();
  keeper_.keeper().cache().make_room(0);
  EXPECT_LE(keeper_.keeper().cache().counts().resident_pages, (std::uint64_t{4} << 20) / 4096);
  EXPECT_GT(member_->slot(file.slot).eviction_count.load(), 0U);
  for (int i = 0; i < 256; ++i) {
    ASSERT_EQ(member_->read(file, static_cast<std::uint64_t>(i) * 65536, 65536),
              std::string(65536, static_cast<char>('A' + i % 50)))
        << i;
  }
}

TEST_F(ServedMember, ServesSocketsFifosAndDevices) {
  EXPECT_EQ(
      member_->call({.operation = Operation::kMakeNode, .path = "/data/fifo", .arguments = {S_IFIFO | 0600}}).result(),
      0);
  const OpenFile fifo = member_->open("/data/fifo", O_RDWR);
  ASSERT_TRUE(fifo.is_host);
  struct stat status = {};
  ASSERT_EQ(stat(fifo.host_path.c_str(), &status), 0);
  EXPECT_TRUE(S_ISFIFO(status.st_mode));
  EXPECT_EQ(member_->unlink("/data/fifo"), 0);
  EXPECT_NE(stat(fifo.host_path.c_str(), &status), 0) << "gone with its last name";

  const Reply bound = member_->call({.operation = Operation::kBindSocket, .path = "/data/socket", .arguments = {0777}});
  ASSERT_TRUE(bound.is_host());
  EXPECT_LT(bound.host_paths[0].size(), 100U) << "must fit into sun_path";
  EXPECT_EQ(member_->call({.operation = Operation::kBindSocket, .path = "/data/socket", .arguments = {0777}}).result(),
            -EADDRINUSE);
  EXPECT_EQ(member_->call({.operation = Operation::kResolve, .path = "/data/socket"}).host_paths[0],
            bound.host_paths[0]);
  EXPECT_EQ(member_->call({.operation = Operation::kRemoteHostPath, .data = bound.host_paths[0]}).data, "/data/socket");
  EXPECT_EQ(member_->open("/data/socket", O_RDWR).result, -ENXIO);

  EXPECT_EQ(
      member_
          ->call(
              {.operation = Operation::kMakeNode, .path = "/data/null", .arguments = {S_IFCHR | 0666, makedev(1, 3)}})
          .result(),
      0);
  EXPECT_EQ(member_->open("/data/null", O_RDWR).host_path, "/dev/null");
  EXPECT_EQ(
      member_
          ->call(
              {.operation = Operation::kMakeNode, .path = "/data/disk", .arguments = {S_IFBLK | 0666, makedev(8, 0)}})
          .result(),
      0);
  EXPECT_EQ(member_->open("/data/disk", O_RDWR).result, -EACCES);
}

TEST_F(ServedMember, KeepsExtendedAttributes) {
  ASSERT_EQ(member_->open("/data/x", O_RDWR | O_CREAT).result, 0);
  const auto set = [&](const std::string& name, int flags) {
    return member_
        ->call({.operation = Operation::kSetAttribute,
                .path = "/data/x",
                .second_path = name,
                .arguments = {static_cast<std::uint64_t>(flags)},
                .data = "value"})
        .result();
  };
  EXPECT_EQ(set("user.one", 0), 0);
  EXPECT_EQ(set("user.one", 1), -EEXIST);
  EXPECT_EQ(set("user.two", 2), -ENODATA);
  EXPECT_EQ(set("system.posix_acl_access", 0), -EOPNOTSUPP);
  const auto get = [&](std::uint64_t capacity) {
    return member_->call(
        {.operation = Operation::kGetAttribute, .path = "/data/x", .second_path = "user.one", .arguments = {capacity}});
  };
  EXPECT_EQ(get(100).data, "value");
  EXPECT_EQ(get(0).result(), 5);
  EXPECT_EQ(get(4).result(), -ERANGE);
  EXPECT_EQ(member_->call({.operation = Operation::kListAttributes, .path = "/data/x", .arguments = {100}}).data,
            std::string("user.one\0", 9));
}

TEST_F(ServedMember, SurvivesAnyBytes) {
  std::mt19937 random(20261123);
  std::vector<std::byte> bytes(400);
  for (int i = 0; i < 20000; ++i) {
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    const std::size_t size = random() % bytes.size() + 1;
    ASSERT_TRUE(member_->send_raw(std::span(bytes).first(size)));
    char reply[4096];
    ASSERT_GT(recv(member_->channel(), reply, sizeof(reply), MSG_TRUNC), 0);
    std::int64_t result = 0;
    std::memcpy(&result, reply, sizeof(result));
    ASSERT_EQ(result, -EINVAL);
  }
  EXPECT_EQ(member_->status("/data"), 0);
}

// Well-formed requests with numbers that mean nothing: any answer will do, none may be missing.
TEST_F(ServedMember, SurvivesAnyNumbers) {
  std::mt19937_64 random(4711);
  const auto number = [&]() -> std::uint64_t {
    const std::uint64_t choices[] = {
        0, 1, random() % 8, random() % 100000, random(), ~std::uint64_t{0}, std::uint64_t{1} << 63};
    return choices[random() % std::size(choices)];
  };
  const std::string paths[] = {
      "", "/", "/data", "/data/a", "/data/a/..", "../..", "/data/mounted/../b", "/etc/injected", "/data/l"};
  member_->link_symbolically("/data/l", "../data/a");
  for (int i = 0; i < 20000; ++i) {
    testing::Call call = {.operation = static_cast<Operation>(random() % 31)};
    call.path = paths[random() % std::size(paths)];
    call.second_path = paths[random() % std::size(paths)];
    call.arguments = {number(), number(), number(), number()};
    call.base = {static_cast<protocol::PlaceKind>(random() % 7), static_cast<std::uint32_t>(number()), number()};
    call.root = {static_cast<protocol::PlaceKind>(random() % 7), static_cast<std::uint32_t>(number()), number()};
    call.base_path = random() % 2 == 0 ? "" : "/tmp";
    call.data = std::string(random() % 40, 'd');
    member_->call(call);
  }
  SimulatedMember another(keeper_.hello());
  EXPECT_EQ(another.status("/data"), 0);
}

TEST_F(ServedMember, ServesOthersWhenOneDies) {
  for (int i = 0; i < 50; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      // Dies at some point of its work, with a request under way as often as not.
      SimulatedMember doomed(keeper_.hello());
      OpenFile file = doomed.open("/data/shared", O_RDWR | O_CREAT);
      for (int round = 0; round < i; ++round)
        doomed.write(file, static_cast<std::uint64_t>(round) * 4096, std::string(4096, 'd'));
      protocol::Request request = {};
      request.version = protocol::kShieldVersion;
      request.operation = Operation::kSynchronizeAll;
      doomed.send_raw(std::as_bytes(std::span(&request, 1)));
      kill(getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(member_->status("/data"), 0);
  }
  const OpenFile file = member_->open("/data/shared", O_RDWR);
  ASSERT_EQ(file.result, 0);
  EXPECT_EQ(member_->read(file, 48 * 4096, 4096), std::string(4096, 'd')) << "what the killed ones wrote is there";
}

TEST_F(ServedMember, WritersAndReadersMeetEvictionWithoutLoss) {
  const OpenFile file = member_->open("/data/raced", O_RDWR | O_CREAT);
  ASSERT_EQ(member_->write(file, 0, std::string(1 << 20, '0')), 1 << 20);
  std::atomic<bool> stop{false};
  std::thread evictor([&] {
    while (!stop) {
      const NodeReference node = keeper_.keeper().cache().find_slot(file.slot);
      (void)node->write_back();
      node->evict(16);
    }
  });
  std::mt19937 random(1);
  std::vector<std::string> pages(256, std::string(4096, '0'));
  for (int i = 0; i < 4000; ++i) {
    const std::size_t page = random() % 256, at = random() % 4000, size = random() % 90 + 1;
    const std::string text(size, static_cast<char>('a' + i % 26));
    ASSERT_EQ(member_->write(file, page * 4096 + at, text), static_cast<std::int64_t>(size));
    pages[page].replace(at, size, text);
    const std::size_t other = random() % 256;
    ASSERT_EQ(member_->read(file, other * 4096, 4096), pages[other]) << i;
  }
  stop = true;
  evictor.join();
}

TEST_F(ServedMember, ExchangesAFileWholeAndKeepsTheOldOneWhereItIsOpen) {
  const OpenFile old = member_->open("/etc/injected", O_RDONLY);
  ASSERT_EQ(old.result, 0);
  EXPECT_EQ(member_->read(old, 0, 64), "injected");
  for (const std::string contents : {"new", "newer and longer than it was before", ""}) {
    EXPECT_TRUE(keeper_.keeper().replace_file("/etc/injected", contents).value());
    EXPECT_FALSE(keeper_.keeper().replace_file("/etc/injected", contents).value()) << "it is there already";
    const OpenFile fresh = member_->open("/etc/injected", O_RDONLY);
    ASSERT_EQ(fresh.result, 0);
    EXPECT_EQ(member_->read(fresh, 0, 64), contents);
    EXPECT_EQ(member_->read(old, 0, 64), "injected");
    protocol::ShieldAttributes attributes;
    EXPECT_EQ(member_->status("/etc/injected", &attributes), 0);
    EXPECT_EQ(attributes.size, contents.size());
    EXPECT_EQ(attributes.mode & 07777, 0640U);
  }
  EXPECT_FALSE(keeper_.keeper().replace_file("/etc/other", "x"));
  EXPECT_FALSE(keeper_.keeper().replace_file("/data", "x"));
}

}  // namespace
}  // namespace casemate::keeper
