// Wrong sessions and their messages stand in tests/policy; here is what needs two sessions.
#include "policy/check.h"

#include <gtest/gtest.h>

#include "policy/testing/texts.h"

namespace casemate::policy {
namespace {

using testing::findings_of;
using testing::session_of;

std::string update_findings(const std::string& stored, const std::string& hash, const std::string& next) {
  Diagnostics diagnostics;
  check_update(session_of(stored), hash, session_of(next), diagnostics);
  return testing::all_findings(diagnostics);
}

const std::string kHash(64, 'c');
const std::string kOwn = "name: s\nversion: casemate-1\n";
const std::string kNext = kOwn + "predecessor: " + kHash + "\n";

TEST(CheckUpdate, AcceptsTheStoredVersionAsPredecessorOnly) {
  EXPECT_EQ(update_findings(kOwn, kHash, kNext), "");
  EXPECT_NE(update_findings(kOwn, kHash, kOwn).find("names no predecessor; write predecessor: " + kHash),
            std::string::npos);
  EXPECT_NE(update_findings(kOwn, std::string(64, 'd'), kNext).find("somebody changed it meanwhile"),
            std::string::npos);
  EXPECT_NE(update_findings("name: t\nversion: casemate-1\n", kHash, kNext).find("names never change"),
            std::string::npos);
}

TEST(CheckUpdate, RefusesAnotherShapeOfASecretThatSurvives) {
  const std::string stored = kOwn + "secrets: [{name: k, kind: binary, size: 16}]\n";
  EXPECT_EQ(update_findings(stored, kHash, kNext + "secrets: [{name: k, kind: binary, size: 16}]\n"), "");
  const std::string refused = "error: secret `k` survives the update, but its kind, size or key type changes";
  EXPECT_NE(update_findings(stored, kHash, kNext + "secrets: [{name: k, kind: binary, size: 32}]\n").find(refused),
            std::string::npos);
  EXPECT_NE(update_findings(stored, kHash, kNext + "secrets: [{name: k, kind: private-key}]\n").find(refused),
            std::string::npos);
}

TEST(CheckUpdate, WarnsOfLostSecrets) {
  const std::string stored = kOwn + "secrets: [{name: k, kind: binary, size: 16}]\n";
  EXPECT_NE(update_findings(stored, kHash, kNext).find("warning: generated secret `k` is gone"), std::string::npos);
  EXPECT_NE(update_findings(stored, kHash, kNext + "secrets: [{name: k, kind: binary, size: 16, migrate: false}]\n")
                .find("generated anew by this update"),
            std::string::npos);
}

TEST(Secret, SurvivesUpdatesByDefaultInOurVersionOnly) {
  const std::string secrets = "secrets: [{name: k, kind: binary, size: 16}]\n";
  const Session own = session_of(kOwn + secrets), scone = session_of("name: s\nversion: \"0.3.10\"\n" + secrets);
  EXPECT_TRUE(own.secrets[0].survives_update(own.version));
  EXPECT_FALSE(scone.secrets[0].survives_update(scone.version));
}

TEST(Imports, AreFollowedWhereTheExporterIsKnown) {
  const Session exporter = session_of(
      "name: a/x\nversion: casemate-1\nsecrets:\n  - {name: k, kind: ascii, size: 8, export: [{session: a/y}]}\n"
      "  - {name: ns, kind: ascii, size: 8, export: [{namespace: a}]}\n  - {name: p, kind: ascii, size: 8}\n");
  const auto findings = [&](const std::string& session, const std::string& secret) {
    const Session importer =
        session_of("name: " + session +
                   "\nversion: casemate-1\nsecrets: [{name: k, import: {session: a/x, secret: " + secret + "}}]\n");
    return findings_of(importer, {{"a/x", &exporter}});
  };
  EXPECT_EQ(findings("a/y", "k"), "");
  EXPECT_EQ(findings("a/z/deep", "ns"), "");
  EXPECT_NE(findings("a/z", "k").find("does not export `k` to `a/z`"), std::string::npos);
  EXPECT_NE(findings("b", "ns").find("does not export `ns` to `b`"), std::string::npos);
  EXPECT_NE(findings("a/y", "p").find("does not export `p`"), std::string::npos);
  EXPECT_NE(findings("a/y", "q").find("has no secret `q`"), std::string::npos);
}

TEST(Exports, PinnedToAVersionNeedThatVersion) {
  ExportTarget pinned;
  pinned.name = "s";
  pinned.session_hash = kHash;
  EXPECT_TRUE(is_exported_to({pinned}, "s", kHash));
  EXPECT_FALSE(is_exported_to({pinned}, "s", std::string(64, 'd')));
  EXPECT_FALSE(is_exported_to({pinned}, "s", ""));
}

TEST(ImportedFragments, AreRefusedWhenNotExportedToTheSession) {
  const Session owner = session_of(
      "name: c\nversion: casemate-1\nsecrets:\n  - {name: f, kind: config-fragment, export: [{session: c/y}], value: "
      "{read: [ANY]}}\n");
  Session session = session_of(
      "name: c/x\nversion: casemate-1\naccess_policy: $$CASEMATE::f$$\nsecrets: [{name: f, import: {session: c, "
      "secret: f}}]\n");
  Diagnostics diagnostics;
  resolve_imported_fragments(session, {{"c", &owner}}, diagnostics);
  EXPECT_NE(testing::all_findings(diagnostics).find("does not export `f` to `c/x`"), std::string::npos);
  EXPECT_EQ(session.access(), nullptr);
}

TEST(SconeSessions, AreAcceptedWhereOurVersionRefuses) {
  const std::string body =
      "services:\n  - {name: web, image_name: nginx, command: nginx -g 'daemon off;', mrenclaves: [" +
      testing::kMeasurement + "]}\n";
  const std::string scone = findings_of(session_of("name: s\nversion: \"0.3\"\n" + body));
  EXPECT_EQ(scone.find("error"), std::string::npos) << scone;
  EXPECT_NE(findings_of(session_of(kOwn + body)).find("error"), std::string::npos);
}

}  // namespace
}  // namespace casemate::policy
