#include "policy/diff.h"

#include <gtest/gtest.h>

#include "policy/explain.h"
#include "policy/testing/texts.h"

namespace casemate::policy {
namespace {

using testing::session_of;

const std::string kSessionHead = "name: s\nversion: casemate-1\n";
const std::string kService =
    "services:\n  - {name: web, command: /bin/web, mrenclaves: [" + testing::kMeasurement + "]";

std::string diff(const std::string& before, const std::string& after) {
  return to_text(semantic_diff(session_of(kSessionHead + before), session_of(kSessionHead + after)));
}

struct Row {
  std::string before, after, meaning;
};

class SemanticDiff : public ::testing::TestWithParam<Row> {};

TEST_P(SemanticDiff, TellsWhatAChangeAllows) {
  EXPECT_EQ(diff(GetParam().before, GetParam().after), GetParam().meaning);
}

const Row kRows[] = {
    {"", "", ""},
    {"access_policy: {read: [CREATOR]}\n", "", ""},  // the default written out
    {"", "access_policy: {read: [ANY]}\n",
     "+ ANY may now read the session\n- CREATOR may no longer read the session\n"},
    {"", "security: {attestation: {tolerate: [debug-mode]}}\n", "+ \"debug-mode\" is now tolerated in evidence\n"},
    {"security: {singleton_enclaves: true}\n", "", "+ several instances of a service may run now\n"},
    {"", "security: {service_access_token: x}\n", "- every start needs the access token now\n"},
    {"security: {attestation: {mode: none}}\n", "", "~ security/mode is no longer \"none\"\n"},
    {kService + "}\n", kService + ", platforms: [" + std::string(64, '1') + "]}\n",
     "- service `web` may run on platform \"" + std::string(64, '1') + "\"\n"},
    {kService + ", platforms: [" + std::string(64, '1') + "]}\n",
     kService + ", platforms: [" + std::string(64, '1') + ", " + std::string(64, '2') + "]}\n",
     "+ service `web` may run on platform \"" + std::string(64, '2') + "\"\n"},
    {kService + "}\n", kService + ", tee: [sgx]}\n", ""},
    {kService + "}\n", kService + ", environment: {A: b}}\n", "~ service `web` gets variable `A` = \"b\"\n"},
    {kService + "}\n", kService + ", environment: {\"@@A\": \"\"}}\n",
     "+ the host chooses variable \"A\" of service `web` from now on\n"},
    {kService + ", network: {mode: protected}}\n", kService + ", network: {mode: disabled}}\n",
     "+ the network shield of service `web` changes from \"protected\" to \"disabled\"\n"},
    {"volumes: [{name: v, freshness: bounded}]\n", "volumes: [{name: v, freshness: strict}]\n",
     "- freshness of volume `v` changes from \"bounded\" to \"strict\"\n"},
    {"secrets: [{name: k, kind: ascii, size: 8}]\n", "secrets: [{name: k, kind: ascii, size: 8, export: [t]}]\n",
     "+ secret `k` may now be imported by session t\n"},
    {"secrets: [{name: k, kind: ascii, size: 8}]\n",
     "secrets: [{name: k, kind: ascii, size: 8, export_public: true}]\n", "+ everybody may now read secret `k`\n"},
    {"secrets: [{name: k, kind: ascii, value: one}]\n", "secrets: [{name: k, kind: ascii, value: two}]\n",
     "~ secret `k` gets another value\n"},
    {"secrets: [{name: k, import: {session: a, secret: k}}]\n",
     "secrets: [{name: k, import: {session: b, secret: k}}]\n",
     "~ secret `k` is imported from name k, session b instead of name k, session a\n"},
    {"secrets: [{name: k, kind: ascii, size: 8}]\n", "secrets: [{name: k, kind: ascii, size: 9}]\n",
     "~ secrets/k/size changes from 8 to 9\n"},
    {"images: [{name: i, files: {/a: " + std::string(64, '1') + "}}]\n",
     "images: [{name: i, files: {/a: " + std::string(64, '2') + "}}]\n",
     "~ file /a of image `i` is trusted with other contents: SHA-256 \"" + std::string(64, '2') + "\" instead of \"" +
         std::string(64, '1') + "\"\n"},
};
INSTANTIATE_TEST_SUITE_P(Rows, SemanticDiff, ::testing::ValuesIn(kRows));

TEST(SemanticDiffOfSecrets, ComparesValuesAndNotSalts) {
  const std::string before =
      "commitment_salt: " + std::string(64, '1') + "\nsecrets: [{name: k, kind: ascii, value: one}]\n";
  const std::string after =
      "commitment_salt: " + std::string(64, '2') + "\nsecrets: [{name: k, kind: ascii, value: one}]\n";
  EXPECT_EQ(diff(before, after), "~ commitments of explicit values are salted anew\n");
}

TEST(SemanticDiffOfServices, TellsEverythingOfANewOne) {
  const std::string text = diff("", kService + "}\n");
  EXPECT_NE(text.find("+ service `web` is new\n"), std::string::npos) << text;
  EXPECT_NE(text.find("+ service `web` may now be started by code with measurement " + testing::kMeasurement),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("~ service `web` runs [\"/bin/web\"]\n"), std::string::npos) << text;
}

std::string explained(const std::string& text, const char* secret) {
  return to_text({explain_secret(session_of(kSessionHead + text), secret, {})});
}

TEST(Explanation, FollowsASecretThroughOtherSecretsIntoServices) {
  const std::string text =
      explained(kService +
                    ", environment: {URL: \"$$CASEMATE::url$$\"}}\nsecrets:\n  - {name: pw, kind: ascii, size: 8}\n"
                    "  - {name: url, kind: ascii, value: \"db://$$CASEMATE::pw$$\", export: [{session: t}]}\n",
                "pw");
  EXPECT_NE(text.find("goes to service `web`: environment variable `URL` of service `web`, inside secret `url`"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("may be imported by session `t`, inside secret `url`"), std::string::npos) << text;
  EXPECT_NE(text.find("by who may change this session, by adding a service or an export: CREATOR"), std::string::npos)
      << text;
}

TEST(Explanation, KnowsThatACertificatesKeyFormHandsOutItsPrivateKey) {
  const std::string text =
      explained(kService +
                    ", environment: {K: \"$$CASEMATE::crt.key$$\"}}\nsecrets:\n  - {name: k, kind: private-key}\n"
                    "  - {name: crt, kind: x509, private_key: k, dns: [web]}\n",
                "k");
  EXPECT_NE(text.find("goes to service `web`: environment variable `K` of service `web`, as the key of `crt`"),
            std::string::npos)
      << text;
}

TEST(Explanation, KnowsThatUpdatesReplaceWhatDoesNotSurvive) {
  const std::string text = explained("secrets: [{name: k, kind: ascii, size: 8, migrate: false}]\n", "k");
  EXPECT_NE(text.find("could not be obtained by changing this session: every change makes a new value"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace casemate::policy
