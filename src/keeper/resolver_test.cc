#include "keeper/resolver.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "keeper/host_store.h"
#include "keeper/testing/running_keeper.h"

namespace casemate::keeper {
namespace {

// "/" is a directory of the host, /vol a volume in memory with some names in it, /vol/inner another one, /x/y/z a third
// whose way the host lacks.
class PathResolution : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(scratch_ / "etc/ssl");
    std::filesystem::create_directories(scratch_ / "proc");
    scratch_.write("etc/hosts", "h");
    link("../vol/file", "etc/into-volume");
    link("ssl", "etc/ssl-link");
    link("/etc/loop", "etc/loop");
    link("/vol/dir/../../etc", "etc-again");
    std::vector<std::unique_ptr<Region>> regions;
    regions.push_back(host("/", scratch_.path()));
    regions.push_back(memory("/vol"));
    regions.push_back(memory("/vol/inner"));
    regions.push_back(memory("/x/y/z"));
    table_ = std::move(MountTable::create(std::move(regions), clock_)).value();
    resolver_ = std::make_unique<Resolver>(*table_, [this](const std::string& text) { warnings_.push_back(text); });
    ASSERT_EQ(resolver_->root(&root_), 0);
    volume::Volume& volume = *table_->regions()[1]->volume;
    const auto dir = add(volume, volume::kRootInode, "dir", S_IFDIR | 0755);
    add(volume, volume::kRootInode, "file", S_IFREG | 0644);
    add(volume, volume::kRootInode, "private", S_IFDIR | 0700);
    add(volume, volume::kRootInode, "up", S_IFLNK | 0777, "../etc/hosts");
    add(volume, volume::kRootInode, "absolute", S_IFLNK | 0777, "/vol/dir");
    add(volume, volume::kRootInode, "dangling", S_IFLNK | 0777, "nowhere");
    add(volume, volume::kRootInode, "self", S_IFLNK | 0777, "self");
    add(volume, dir, "below", S_IFREG | 0600);
    add(volume, dir, "to-inner", S_IFLNK | 0777, "../inner");
  }

  static std::unique_ptr<Region> host(const std::string& path, const std::string& source) {
    auto region = std::make_unique<Region>();
    region->kind = RegionKind::kHost;
    region->path = path;
    region->source = source;
    return region;
  }
  std::unique_ptr<Region> memory(const std::string& path) {
    auto region = std::make_unique<Region>();
    region->kind = RegionKind::kEphemeral;
    region->path = path;
    region->owned_volume = std::make_unique<MemoryVolume>(clock_, MemoryVolume::Options{.capacity = 1 << 20});
    region->volume = region->owned_volume.get();
    return region;
  }
  void link(const std::string& target, const std::string& name) {
    std::filesystem::create_symlink(target, scratch_ / name);
  }
  static volume::InodeNumber add(volume::Volume& volume, volume::InodeNumber directory, const std::string& name,
                                 std::uint32_t mode, const std::string& target = "") {
    return volume.create_node(directory, name, {mode, 0, 0, 0, target}).value().inode;
  }

  // Where a path leads: "E<code>", "host <path below the scratch directory>", "<region's path>:<inode>" or
  // "missing <name> in ...".
  std::string where(const std::string& path, LastLink last = LastLink::kFollow, std::uint64_t flags = 0,
                    const Position* start = nullptr, std::uint32_t uid = 0) {
    Resolution found;
    CallerCredentials caller;
    caller.uid = caller.gid = uid;
    const int code = resolver_->resolve(start != nullptr ? *start : root_, root_, path, caller,
                                        {.last_link = last, .flags = flags}, &found);
    if (code != 0) return std::string("E") + strerrorname_np(code);
    if (found.is_host()) return "host " + found.host_path().substr(scratch_.path().size());
    if (!found.exists) return "missing " + found.name + " in " + describe(found.parent);
    return describe(found.target);
  }
  static std::string describe(const Position& at) {
    if (at.is_host()) return "host " + at.host_path;
    return (at.region->kind == RegionKind::kSkeleton ? "skeleton" : at.region->path) + ":" + std::to_string(at.node);
  }
  Position at(const std::string& path) {
    Resolution found;
    EXPECT_EQ(resolver_->resolve(root_, root_, path, {}, {}, &found), 0) << path;
    return found.target;
  }

  SystemClock clock_;
  testing::ScratchDirectory scratch_;
  std::unique_ptr<MountTable> table_;
  std::unique_ptr<Resolver> resolver_;
  std::vector<std::string> warnings_;
  Position root_;
};

TEST_F(PathResolution, WalksVolumesAndHost) {
  const std::pair<const char*, const char*> cases[] = {
      {"/vol", "/vol:1"},
      {"/vol/", "/vol:1"},
      {"//vol///dir/./below", "/vol:9"},
      {"/vol/dir/below/", "EENOTDIR"},
      {"/vol/file/x", "EENOTDIR"},
      {"/vol/none", "missing none in /vol:1"},
      {"/vol/none/x", "EENOENT"},
      {"/vol/dir/..", "/vol:1"},
      {"/vol/inner", "/vol/inner:1"},
      {"/vol/inner/..", "/vol:1"},
      {"/vol/inner/../dir/..", "/vol:1"},
      {"/vol/..", "host "},
      {"/..", "host "},
      {"/../../vol/file", "/vol:3"},
      {"/etc/hosts", "host /etc/hosts"},
      {"/etc/none", "host /etc/none"},
      {"/etc/ssl/", "host /etc/ssl/"},
      {"/vol/../etc/../vol/file", "/vol:3"},
      {"", "EENOENT"},
  };
  for (const auto& [path, expected] : cases) EXPECT_EQ(where(path), expected) << path;
}

TEST_F(PathResolution, ExpandsLinksInTheProgramsView) {
  const std::pair<const char*, const char*> cases[] = {
      {"/etc/into-volume", "/vol:3"},         // from the host into a volume
      {"/vol/up", "host /etc/hosts"},         // from a volume to the host
      {"/vol/absolute/below", "/vol:9"},      // absolute: from the program's root
      {"/vol/dir/to-inner", "/vol/inner:1"},  // through a mount point
      {"/vol/dangling", "missing nowhere in /vol:1"},
      {"/vol/self", "EELOOP"},
      {"/etc/loop", "EELOOP"},
      {"/etc/ssl-link", "host /etc/ssl"},
      {"/etc-again/hosts", "host /etc/hosts"},  // host link through a volume and back
      {"/etc-again/../vol/dir", "/vol:2"},
  };
  for (const auto& [path, expected] : cases) EXPECT_EQ(where(path), expected) << path;
  EXPECT_EQ(where("/vol/up", LastLink::kKeep), "/vol:5");
  EXPECT_EQ(where("/vol/absolute/", LastLink::kKeep), "/vol:2");
  EXPECT_EQ(where("/vol/absolute", LastLink::kNever), "/vol:6");
  EXPECT_EQ(where("/etc/into-volume", LastLink::kKeep), "host /etc/into-volume");
}

TEST_F(PathResolution, MakesUpTheWayToMountPoints) {
  EXPECT_EQ(where("/x/y/z"), "/x/y/z:1");
  EXPECT_TRUE(where("/x").starts_with("skeleton:"));
  EXPECT_EQ(where("/x/y/z/.."), where("/x/y"));
  EXPECT_EQ(where("/x/y/../.."), "host ");
  EXPECT_EQ(where("/x/other"), "EEACCES");
  ASSERT_EQ(warnings_.size(), 1U);
  EXPECT_NE(warnings_[0].find("/x/other"), std::string::npos);
}

TEST_F(PathResolution, StartsWhereItIsTold) {
  const Position dir = at("/vol/dir"), host = at("/etc"), made_up = at("/x/y");
  EXPECT_EQ(where("below", LastLink::kFollow, 0, &dir), "/vol:9");
  EXPECT_EQ(where("../file", LastLink::kFollow, 0, &dir), "/vol:3");
  EXPECT_EQ(where("../../etc/hosts", LastLink::kFollow, 0, &dir), "host /etc/hosts");
  EXPECT_EQ(where("hosts", LastLink::kFollow, 0, &host), "host /etc/hosts");
  EXPECT_EQ(where("../vol/file", LastLink::kFollow, 0, &host), "/vol:3");
  EXPECT_EQ(where("z", LastLink::kFollow, 0, &made_up), "/x/y/z:1");
  // As a directory descriptor names it: region and inode only.
  Position again;
  ASSERT_EQ(resolver_->position_of_node(*made_up.region, made_up.node, &again), 0);
  EXPECT_EQ(where("z/../..", LastLink::kFollow, 0, &again), where("/x"));
}

TEST_F(PathResolution, HonoursResolveFlags) {
  const Position dir = at("/vol/dir"), volume = at("/vol");
  EXPECT_EQ(where("../file", LastLink::kFollow, RESOLVE_BENEATH, &dir), "EEXDEV");
  EXPECT_EQ(where("../dir/below", LastLink::kFollow, RESOLVE_BENEATH, &volume), "EEXDEV");
  EXPECT_EQ(where("dir/../file", LastLink::kFollow, RESOLVE_BENEATH, &volume), "/vol:3");
  EXPECT_EQ(where("/vol/file", LastLink::kFollow, RESOLVE_BENEATH, &dir), "EEXDEV");
  EXPECT_EQ(where("/file", LastLink::kFollow, RESOLVE_IN_ROOT, &volume), "/vol:3");
  EXPECT_EQ(where("../../file", LastLink::kFollow, RESOLVE_IN_ROOT, &volume), "/vol:3");
  EXPECT_EQ(where("absolute", LastLink::kFollow, RESOLVE_NO_SYMLINKS, &volume), "EELOOP");
  EXPECT_EQ(where("inner", LastLink::kFollow, RESOLVE_NO_XDEV, &volume), "EEXDEV");
  EXPECT_EQ(where("..", LastLink::kFollow, RESOLVE_NO_XDEV, &volume), "EEXDEV");
}

TEST_F(PathResolution, ChecksSearchPermissionAndLengths) {
  EXPECT_EQ(where("/vol/private/x", LastLink::kFollow, 0, nullptr, 1000), "EEACCES");
  EXPECT_EQ(where("/vol/private", LastLink::kFollow, 0, nullptr, 1000), "/vol:4");
  EXPECT_EQ(where("/vol/" + std::string(255, 'n')), "missing " + std::string(255, 'n') + " in /vol:1");
  EXPECT_EQ(where("/vol/" + std::string(256, 'n')), "EENAMETOOLONG");
  EXPECT_EQ(where("/" + std::string(4096, 'n')), "EENAMETOOLONG");
}

TEST_F(PathResolution, FollowsAtMostFortyLinks) {
  volume::Volume& volume = *table_->regions()[1]->volume;
  for (int i = 1; i <= 41; ++i) {
    add(volume, volume::kRootInode, "l" + std::to_string(i), S_IFLNK | 0777,
        i == 1 ? "file" : "l" + std::to_string(i - 1));
  }
  EXPECT_EQ(where("/vol/l40"), "/vol:3");
  EXPECT_EQ(where("/vol/l41"), "EELOOP");
}

TEST_F(PathResolution, TellsPathsBack) {
  for (const char* path : {"/", "/vol", "/vol/dir", "/vol/inner", "/x", "/x/y", "/x/y/z", "/etc", "/etc/ssl"}) {
    std::string told;
    EXPECT_EQ(resolver_->path_of(at(path), root_, &told), 0) << path;
    EXPECT_EQ(told, path);
  }
  std::string told;
  EXPECT_EQ(resolver_->path_of(at("/vol/dir"), at("/vol"), &told), 0);
  EXPECT_EQ(told, "/dir");
  EXPECT_EQ(resolver_->path_of(at("/etc"), at("/vol"), &told), ENOENT);
}

TEST_F(PathResolution, KeepsARootThatWasChanged) {
  const Position jail = at("/vol/dir");
  Resolution found;
  EXPECT_EQ(resolver_->resolve(jail, jail, "../../../below", {}, {}, &found), 0);
  EXPECT_EQ(describe(found.target), "/vol:9");
  EXPECT_EQ(resolver_->resolve(jail, jail, "/to-inner", {}, {}, &found), 0) << "the link's .. stays in the root";
  EXPECT_FALSE(found.exists);
}

}  // namespace
}  // namespace casemate::keeper
