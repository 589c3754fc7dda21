#include "keeper/description.h"

#include <gtest/gtest.h>

namespace casemate::keeper {
namespace {

RunDescription parse(const std::string& text) {
  auto parsed = parse_description(text, "/here");
  EXPECT_TRUE(parsed) << parsed.error().message();
  return parsed ? parsed.value() : RunDescription{};
}

std::string mistake(const std::string& text) {
  auto parsed = parse_description(text, "/here");
  return parsed ? "accepted" : parsed.error().message();
}

TEST(Description, ReadsEveryKindWithCommentsAndDefaults) {
  const RunDescription description = parse(R"({
    "cache": "512M", // bytes
    "regions": [
      {"path": "/", "kind": "host"},
      {"path": "/data//x/", "kind": "encrypted", "volume": "app.cmv", "key-file": "/keys/app.key",
       "freshness": "bounded", "bound": "250ms", "anchor": "app.anchor", "directory": "/sub", "access": "read-only"},
      {"path": "/usr", "kind": "authenticated", "source": "/usr", "manifest": "usr.manifest",
       "sha256": "ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789"},
      {"path": "/scratch", "kind": "ephemeral", "size": "2G", "mode": "1777"},
      /* an injected one */
      {"path": "/etc/a.cnf", "kind": "file", "text": "a\u00e9", "mode": "0640", "uid": 5, "gid": 6}
    ]})");
  EXPECT_EQ(description.cache_size, std::uint64_t{512} << 20);
  ASSERT_EQ(description.regions.size(), 5U);
  const RegionDescription& data = description.regions[1];
  EXPECT_EQ(data.path, "/data/x");
  EXPECT_EQ(data.volume, "/here/app.cmv");
  EXPECT_EQ(data.key_file, "/keys/app.key");
  EXPECT_EQ(data.freshness, Freshness::kBounded);
  EXPECT_EQ(data.bound_milliseconds, 250U);
  EXPECT_EQ(data.directory, "/sub");
  EXPECT_EQ(data.access, RegionAccess::kReadOnly);
  EXPECT_TRUE(description.regions[2].manifest_sha256.starts_with("abcdef"));
  EXPECT_EQ(description.regions[3].size, std::uint64_t{2} << 30);
  EXPECT_EQ(description.regions[3].mode, 01777U);
  EXPECT_EQ(description.regions[4].text, "a\xc3\xa9");
  EXPECT_EQ(description.regions[4].uid, 5U);
  EXPECT_EQ(description.regions[4].access, RegionAccess::kReadOnly);
}

TEST(Description, TellsMistakesWithLineAndColumn) {
  EXPECT_EQ(mistake("{\n  \"regions\": [\n    {\"path\": \"/\", \"kind\": \"host\", \"kind\": \"host\"}]}"),
            "line 3, column 41: \"kind\" is given twice");
  EXPECT_TRUE(mistake("{\n\"regions\": [,]}").starts_with("line 2, column 14: no JSON"))
      << mistake("{\n\"regions\": [,]}");
  EXPECT_TRUE(mistake("{\"cash\": \"1M\"}").find("unknown key \"cash\"") != std::string::npos);
}

struct Mistake {
  const char* regions;
  const char* expected;
};

TEST(Description, RefusesWhatItDoesNotUnderstand) {
  const Mistake mistakes[] = {
      {R"({"kind": "host"})", "needs a \"path\""},
      {R"({"path": "/a"})", "needs a \"kind\""},
      {R"({"path": "/a", "kind": "magic"})", "one of: host, encrypted"},
      {R"({"path": "a", "kind": "host"})", "must begin with /"},
      {R"({"path": "/a/../b", "kind": "host"})", "must not contain . or .."},
      {R"({"path": "/a", "kind": "host", "volume": "x"})", "has no \"volume\""},
      {R"({"path": "/a", "kind": "host", "access": "read-only"})", "has no \"access\""},
      {R"({"path": "/a", "kind": "encrypted", "volume": "x"})", "needs \"key-file\""},
      {R"({"path": "/a", "kind": "host"}, {"path": "/a/", "kind": "ephemeral"})", "a second region"},
      {R"({"path": "/a", "kind": "ephemeral", "size": "12Q"})", "is a size"},
      {R"({"path": "/a", "kind": "ephemeral", "size": 12})", "is a size"},
      {R"({"path": "/a", "kind": "ephemeral", "mode": "9"})", "octal"},
      {R"({"path": "/a", "kind": "ephemeral", "uid": -1})", "whole number"},
      {R"({"path": "/a", "kind": "ephemeral", "uid": 1.5})", "whole"},
      {R"({"path": "/", "kind": "file", "text": ""})", "cannot be the root"},
      {R"({"path": "/a", "kind": "encrypted", "volume": "x", "key-file": "k", "freshness": "strict"})", "CAS"},
      {R"({"path": "/a", "kind": "encrypted", "volume": "x", "key-file": "k", "freshness": "local"})", "anchor"},
      {R"({"path": "/a", "kind": "encrypted", "volume": "x", "key-file": "k", "bound": "1s"})", "bounded"},
      {R"({"path": "/a", "kind": "authenticated", "source": "s", "manifest": "m", "sha256": "12"})", "64 hex"},
      {R"("text")", "a region is an object"},
  };
  for (const Mistake& row : mistakes) {
    const std::string told = mistake(std::string("{\"regions\": [") + row.regions + "]}");
    EXPECT_NE(told.find(row.expected), std::string::npos) << row.regions << " -> " << told;
    EXPECT_TRUE(told.starts_with("line ")) << told;
  }
  EXPECT_NE(mistake("{}").find("\"regions\""), std::string::npos);
  EXPECT_NE(mistake("").find("no JSON"), std::string::npos);
  EXPECT_NE(mistake(std::string(100, '[')).find("too deeply"), std::string::npos);
  EXPECT_NE(mistake("{\"regions\": []} x").find("no JSON"), std::string::npos);
}

TEST(Sizes, HaveUnitsOf1024) {
  EXPECT_EQ(parse_size("1"), 1U);
  EXPECT_EQ(parse_size("3K"), 3072U);
  EXPECT_EQ(parse_size("1T"), std::uint64_t{1} << 40);
  for (const char* text : {"", "K", "1k", "1KB", "-1", "1.5G", "99999999999999999999", "9999999999T"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

}  // namespace
}  // namespace casemate::keeper
