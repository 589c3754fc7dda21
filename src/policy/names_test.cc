#include "policy/names.h"

#include <gtest/gtest.h>

namespace casemate::policy {
namespace {

TEST(SessionName, AcceptsSegmentsAndRefusesEverythingElse) {
  for (const char* good : {"a", "clinic/records-db", "x~y/1.2", "a/b/c/d"})
    EXPECT_TRUE(check_session_name(good)) << good;
  for (const char* bad : {"", "/a", "a/", "a//b", ".", "a/..", "a b", "a\n", "ä", "a$b"})
    EXPECT_FALSE(check_session_name(bad)) << bad;
  EXPECT_TRUE(check_session_name(std::string(255, 'a')));
  EXPECT_FALSE(check_session_name(std::string(256, 'a')));
}

TEST(SessionName, ResolvesRelativeReferencesAgainstTheSessionItself) {
  EXPECT_EQ(resolve_session("clinic/triage", "..").value(), "clinic");
  EXPECT_EQ(resolve_session("clinic/triage", "../records-db").value(), "clinic/records-db");
  EXPECT_EQ(resolve_session("clinic/triage", "./child").value(), "clinic/triage/child");
  EXPECT_EQ(resolve_session("a/b/c", "../../x/y").value(), "a/x/y");
  EXPECT_EQ(resolve_session("a/b", "other").value(), "other");
  EXPECT_FALSE(resolve_session("a", ".."));
  EXPECT_FALSE(resolve_session("a", "../../b"));
  EXPECT_FALSE(resolve_session("a", "b/../c"));
}

TEST(SessionName, KnowsWhatLiesBelowANamespace) {
  EXPECT_TRUE(is_below("clinic/a", "clinic"));
  EXPECT_TRUE(is_below("clinic/a/b", "clinic"));
  EXPECT_FALSE(is_below("clinic", "clinic"));
  EXPECT_FALSE(is_below("clinic2/a", "clinic"));
  EXPECT_FALSE(is_below("a", "clinic"));
}

TEST(SecretReferences, AreFoundSideBySideWithAnyFormat) {
  const auto found = find_references("$$SCONE::k:pkcs8:pem$$$$SCONE::c:crt:pem$$ and $$CASEMATE::pw$$").value();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].name, "k");
  EXPECT_EQ(found[0].format, "pkcs8:pem");
  EXPECT_EQ(found[1].name, "c");
  EXPECT_EQ(found[1].format, "crt:pem");
  EXPECT_EQ(found[2].name, "pw");
  EXPECT_EQ(found[2].format, "");
}

TEST(SecretReferences, LeaveOtherDollarsAlone) {
  EXPECT_TRUE(find_references("$$ $$$ $HOME $$OTHER::x$$ 5$").value().empty());
  EXPECT_EQ(find_references("$$$CASEMATE::a$$").value().front().begin, 1U);
}

TEST(SecretReferences, RefuseWhatWouldReachAProgramUnsubstituted) {
  for (const char* bad :
       {"$$SCONE::a", "$$SCONE::$$", "$$CASEMATE::a b$$", "$$CASEMATE::a:$$", "$$CASEMATE::a:x y$$"}) {
    EXPECT_FALSE(find_references(bad)) << bad;
  }
}

TEST(SecretReferences, SplitTheOldDottedStyle) {
  EXPECT_EQ(split_dotted("ca.chain").name, "ca");
  EXPECT_EQ(split_dotted("ca.chain").format, "chain");
  EXPECT_EQ(split_dotted("app.properties").name, "app.properties");
  EXPECT_EQ(split_dotted("crt").name, "crt");
}

}  // namespace
}  // namespace casemate::policy
