#include "keeper/manifest.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "keeper/testing/running_keeper.h"

namespace casemate::keeper {
namespace {

TEST(Manifest, IsReadBackAsMade) {
  testing::ScratchDirectory scratch;
  scratch.write("t/a b%", std::string(kManifestChunk + 1, 'x'));
  scratch.write("t/sub/empty", "");
  std::filesystem::create_symlink("to somewhere\n", scratch / "t/sub/link");
  const auto text = make_manifest(scratch / "t", nullptr, {});
  ASSERT_TRUE(text) << text.error().message();
  const auto entries = parse_manifest(text.value());
  ASSERT_TRUE(entries) << entries.error().message();
  ASSERT_EQ(entries.value().size(), 5U);
  EXPECT_EQ(entries.value()[1].path, "/a b%");
  EXPECT_EQ(entries.value()[1].chunks.size(), 2U);
  EXPECT_EQ(entries.value()[1].size, kManifestChunk + 1);
  EXPECT_EQ(entries.value()[3].size, 0U);
  EXPECT_EQ(entries.value()[4].target, "to somewhere\n");
  EXPECT_TRUE(S_ISLNK(entries.value()[4].mode));
}

TEST(Manifest, RefusesEverythingElse) {
  const std::string first = "casemate-manifest 1\n", root = "directory 0755 0 0 /\n";
  ASSERT_TRUE(parse_manifest(first + root));
  const std::string wrong[] = {
      "",
      "casemate-manifest 2\n" + root,
      first,
      first + "directory 0755 0 0 /",
      root,
      first + root + root,
      first + root + "file 0644 0 0 1 - /a\n",
      first + root + "file 0644 0 0 0 - /a/\n",
      first + root + "file 0644 0 0 0 - /a/../b\n",
      first + root + "file 0644 0 0 0 - a\n",
      first + root + "file 0644 0 0 0 - /%61\n",
      first + root + "file 0644 0 0 0 - /%0\n",
      first + root + "file 0644 0 0 0 - /%00\n",
      first + root + "file 10644 0 0 0 - /a\n",
      first + root + "file 0644 0 0 0 - /a extra\n",
      first + root + "file 0644 0 -1 0 - /a\n",
      first + root + "file 0644 0 0 140737488355329 - /a\n",
      first + root + "file 0644 0 0 99999999999999999999 - /a\n",
      first + root + "link 0777 0 0 /a\n",
      first + root + "socket 0777 0 0 /a\n",
      first + root + "directory 0755 0 0 /b\ndirectory 0755 0 0 /a\n",
      first + "file 0644 0 0 0 - /\n",
  };
  for (const std::string& text : wrong) EXPECT_FALSE(parse_manifest(text)) << text;
}

}  // namespace
}  // namespace casemate::keeper
