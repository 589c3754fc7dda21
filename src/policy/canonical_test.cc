#include "policy/canonical.h"

#include <gtest/gtest.h>

#include "crypto/bytes.h"
#include "policy/testing/texts.h"

namespace casemate::policy {
namespace {

using testing::session_of;

std::string form(const std::string& text) { return to_json(canonical_form(session_of(text))); }
std::string hash(const std::string& text) { return crypto::to_hex(session_hash(session_of(text))); }

const std::string kHead = "name: s\nversion: casemate-1\n";

TEST(CanonicalForm, IsJsonWithSortedKeysAndNothingThatIsNotGiven) {
  EXPECT_EQ(form(kHead), R"({"name":"s","version":"casemate-1"})");
  EXPECT_EQ(form(kHead + "secrets: [{name: b, kind: ascii, size: 8}, {name: a, kind: private-key}]\n"),
            R"({"name":"s","secrets":{"a":{"kind":"private-key","survives_update":true},)"
            R"("b":{"kind":"ascii","size":8,"survives_update":true}},"version":"casemate-1"})");
}

TEST(CanonicalForm, WritesTextsInExactlyOneWay) {
  EXPECT_EQ(to_json(Value(std::string("\"\\\b\f\n\r\t\x01/\x7f\xc3\xa4"))),
            "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001/\x7f\xc3\xa4\"");
  EXPECT_EQ(to_json(Value(Value::List{Value(), Value(true), Value(std::uint64_t{7})})), "[null,true,7]");
}

// These never change: versions are named by them, and approvals are signatures over them.
TEST(SessionHash, IsStable) {
  EXPECT_EQ(hash(kHead), "748cf3d792e76370aa87c408d00a087a647e63de624bb42ce698c792c664e6d1");
  EXPECT_EQ(hash("name: clinic/api\nversion: \"0.3.10\"\npredecessor: " + std::string(64, '1') +
                 "\nservices:\n  - {name: api, command: /bin/api --port @@1, mrenclaves: [" + testing::kMeasurement +
                 "], environment: {A: b, \"@@HOSTNAME\": \"\"}, pwd: /srv}\n"),
            "6db915eac47a9a95731ce8a71a17d2c5302dfa3e5e2e454c4c32e53a2b60209f");
  EXPECT_EQ(hash(kHead + "commitment_salt: " + std::string(64, '2') +
                 "\nsecrets: [{name: pw, kind: ascii, value: hello, export: [t]}]\n"),
            "e06ca649b8dfd4bf7d3e7b8aae5aac51330fe400c7a5b34d14eb24f6b35ad4bb");
}

TEST(SessionHash, DoesNotDependOnOrderQuotingAliasesOrSpelling) {
  const std::string service = "services:\n  - {name: a, command: /bin/x y, mrenclaves: [" + testing::kMeasurement +
                              ", " + testing::kOtherMeasurement + "]}\n";
  const std::string same = "services:\n  - attestation: [{mrenclave: [" + testing::kOtherMeasurement +
                           "]}, {measurement: " + testing::kMeasurement +
                           "}]\n    command: ['/bin/x', \"y\"]\n    name: \"a\"\n";
  EXPECT_EQ(hash(kHead + service), hash("version: casemate-1\n" + same + "name: 's'\n"));
  const std::string upper = "services:\n  - {name: a, command: /bin/x y, mrenclaves: [" + std::string(64, 'A') + ", " +
                            testing::kOtherMeasurement + "]}\n";
  EXPECT_EQ(hash(kHead + service), hash(kHead + upper));
}

TEST(SessionHash, ChangesWithEveryPartOfASession) {
  const std::string base =
      kHead + "services:\n  - {name: a, command: /bin/x, mrenclaves: [" + testing::kMeasurement + "]}\n";
  for (const char* more :
       {"predecessor: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", "volumes: [{name: v}]\n",
        "images: [{name: i}]\n", "secrets: [{name: x, kind: ascii, size: 8}]\n", "access_policy: {read: [ANY]}\n",
        "security: {singleton_enclaves: true}\n",
        "commitment_salt: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"}) {
    EXPECT_NE(hash(base), hash(base + more)) << more;
  }
}

TEST(Commitment, HidesTheValueAndDependsOnSaltPathAndValue) {
  const std::string salt(64, '3');
  const std::string text = form(kHead + "commitment_salt: " + salt +
                                "\nsecrets: [{name: pw, kind: ascii, value: Marker-81734, export: [t]}]\n");
  EXPECT_EQ(text.find("Marker"), std::string::npos);
  EXPECT_EQ(text.find(salt), std::string::npos);
  EXPECT_NE(text.find(commitment(salt, "secrets/pw/value", "Marker-81734")), std::string::npos);
  EXPECT_NE(commitment(salt, "a", "b"), commitment("", "a", "b"));
  EXPECT_NE(commitment(salt, "ab", "c"), commitment(salt, "a", "bc"));
}

TEST(SessionHash, OfAnImportedFragmentIsTheSameResolvedOrNot) {
  const Session owner = session_of(
      "name: c\nversion: casemate-1\nsecrets:\n  - {name: f, kind: config-fragment, export: [{namespace: c}], value: "
      "{read: [ANY]}}\n");
  Session session = session_of(
      "name: c/x\nversion: casemate-1\naccess_policy: $$CASEMATE::f$$\nsecrets: [{name: f, import: {session: .., "
      "secret: f}}]\n");
  const auto before = session_hash(session);
  Diagnostics diagnostics;
  resolve_imported_fragments(session, {{"c", &owner}}, diagnostics);
  ASSERT_FALSE(diagnostics.has_errors()) << testing::all_findings(diagnostics);
  ASSERT_NE(session.access(), nullptr);
  EXPECT_EQ(session.access()->read->front().kind, TermKind::kAny);
  EXPECT_EQ(session_hash(session), before);
}

}  // namespace
}  // namespace casemate::policy
