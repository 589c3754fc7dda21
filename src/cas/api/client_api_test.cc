// Routes and their document, strict bodies, access, claiming, limits, and a rolled back store.
#include "cas/api/client_api.h"

#include <gtest/gtest.h>

#include <set>

#include "cas/sessions/tables.h"
#include "cas/store/testing/temporary_directory.h"

namespace casemate::cas {
namespace {

// Methods and paths of the document, by its indentation: "  /v1/..:" and "    get:" below it.
std::set<std::string> documented_routes() {
  std::set<std::string> routes;
  std::string path;
  std::string_view rest = openapi_document();
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.starts_with("  /") && line.ends_with(":")) path = std::string(line.substr(2, line.size() - 3));
    if (!line.starts_with("  ")) path.clear();
    for (const char* method : {"get", "put", "post", "delete"}) {
      if (path.empty() || line != "    " + std::string(method) + ":") continue;
      std::string upper;
      for (const char* c = method; *c != 0; ++c) upper.push_back(static_cast<char>(*c - 'a' + 'A'));
      routes.insert(upper + " " + path);
    }
  }
  return routes;
}

TEST(OpenApiDocument, HasExactlyTheRoutesThatAreServed) {
  std::set<std::string> served;
  for (const RouteName& route : ClientApi::routes()) served.insert(route.method + " " + route.pattern);
  EXPECT_EQ(served, documented_routes());
  EXPECT_GT(served.size(), 15U);
}

std::string refusal_of(std::string_view body) {
  const auto parsed = parse_request_body(body, {BodyKey::kText}, {BodyKey::kDecisions, BodyKey::kBreakGlass});
  return parsed ? "accepted" : parsed.error().message;
}

TEST(RequestBody, IsReadStrictly) {
  EXPECT_EQ(refusal_of(R"({"text":"a"})"), "accepted");
  EXPECT_EQ(refusal_of(R"({"text":"a","break_glass":true,"decisions":[]})"), "accepted");
  for (const char* wrong : {"", "{", "[]", "3", "{}", R"({"text":1})", R"({"text":"a","text":"b"})", R"({"text":"a"}x)",
                            R"({"text":"a","proof":"b"})", R"({"text":"a","x":1})", R"({"text":"a","decisions":[{}]})",
                            "{\"text\":\"\xff\"}"}) {
    EXPECT_NE(refusal_of(wrong), "accepted") << wrong;
  }
  EXPECT_NE(
      refusal_of(R"({"text":"a","decisions":)" + std::string(1000, '[') + std::string(1000, ']') + "}").find("nested"),
      std::string::npos);
  EXPECT_NE(refusal_of(R"({"decisions":[{"a":1,"a":2}],"text":"a"})").find("twice"), std::string::npos);
}

TEST(RequestTarget, IsDecodedOnceAndRefusesWhatIsNoText) {
  const auto target = parse_target("/v1/sessions/a%2fb?after=x%20y&limit=3").value();
  EXPECT_EQ(target.path, "/v1/sessions/a/b");
  EXPECT_EQ(target.value_of("after"), "x y");
  EXPECT_EQ(target.value_of("limit"), "3");
  EXPECT_EQ(parse_target("/%2541").value().path, "/%41");
  for (const char* wrong : {"", "x", "/%", "/%1", "/%zz", "/%00", "/%0a", "/?a=1&a=2"})
    EXPECT_FALSE(parse_target(wrong)) << wrong;
}

TEST(ClaimProof, BindsTokenSideAndKeys) {
  const std::string token(64, 'a'), other(64, 'b');
  std::set<std::string> proofs;
  for (const std::string& one : {token, other}) {
    for (const ClaimSide side : {ClaimSide::kClient, ClaimSide::kServer}) {
      for (const char* key : {"k1", "k2"}) proofs.insert(claim_proof(one, side, key, "o", "l").value());
    }
  }
  EXPECT_EQ(proofs.size(), 8U);
}

class ClientApiTest : public testing::Test {
 protected:
  ClientApiTest() {
    method_ = unseal_with_new_key_file(directory_.path() + "/key").value();
    StoreOptions store;
    store.directory = directory_.path() + "/store";
    store_ = Store::create(store, {method_.get()}).value();
    registry_ = SessionRegistry::open(*store_, {}).value();
    options_.server_key = std::string(64, 'e');
    options_.claim_token = std::string(64, 'c');
    restart();
  }
  void restart() { api_ = std::make_unique<ClientApi>(*store_, *registry_, options_); }
  HttpAnswer ask(const std::string& method, const std::string& target, const std::string& body = "",
                 const std::string& key = std::string(64, '1')) {
    return api_->handle({method, target, "", body, {key, ""}});
  }
  HttpAnswer claim(const std::string& token, const std::string& key = std::string(64, '1')) {
    const std::string proof =
        claim_proof(token, ClaimSide::kClient, options_.server_key, key, registry_->log_id()).value();
    return ask("POST", "/v1/claim", "{\"proof\":\"" + proof + "\"}", key);
  }

  testing_support::TemporaryDirectory directory_;
  std::unique_ptr<UnsealMethod> method_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<SessionRegistry> registry_;
  ApiOptions options_;
  std::unique_ptr<ClientApi> api_;
};

TEST_F(ClientApiTest, IsClaimedOnceWithTheTokenAndWrongGuessesEndClaiming) {
  EXPECT_EQ(claim(std::string(64, 'd')).status, 403U);
  EXPECT_EQ(claim(options_.claim_token).status, 200U);
  EXPECT_EQ(claim(options_.claim_token).status, 200U);  // the owner again, whose answer was lost
  EXPECT_EQ(claim(options_.claim_token, std::string(64, '2')).status, 409U);
}

TEST_F(ClientApiTest, EndsClaimingAfterWrongGuesses) {
  for (int i = 0; i < 20; ++i) EXPECT_EQ(claim(std::string(64, 'd')).status, 403U);
  EXPECT_EQ(claim(options_.claim_token).status, 403U);
}

TEST_F(ClientApiTest, NeedsACertificateExceptForWhatEverybodyMayKnow) {
  for (const RouteName& route : ClientApi::routes()) {
    const unsigned status = ask(route.method, route.pattern, "", "").status;
    const bool is_public = route.pattern == "/v1/health" || route.pattern == "/v1/openapi" ||
                           route.pattern == "/v1/status" || route.pattern == "/v1/log/head" ||
                           route.pattern == "/v1/log/consistency" || route.pattern == "/v1/certificates/{name}";
    EXPECT_EQ(status == 401, !is_public) << route.method << " " << route.pattern << " " << status;
  }
}

TEST_F(ClientApiTest, LimitsTheRequestsOfOneKey) {
  options_.requests_per_second = 0.001;
  options_.burst = 3;
  restart();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask("GET", "/v1/sessions").status, 200U);
  const HttpAnswer refused = ask("GET", "/v1/sessions");
  EXPECT_EQ(refused.status, 429U);
  EXPECT_EQ(refused.fields.front().first, "Retry-After");
  EXPECT_EQ(ask("GET", "/v1/sessions", "", std::string(64, '2')).status, 200U);
}

TEST_F(ClientApiTest, RefusesChangesWhileItStops) {
  ASSERT_EQ(claim(options_.claim_token).status, 200U);
  api_->begin_to_stop();
  EXPECT_EQ(ask("PUT", "/v1/sessions/a", R"({"text":"version: casemate-1\n"})").status, 503U);
  EXPECT_EQ(ask("GET", "/v1/sessions").status, 200U);
  EXPECT_EQ(ask("GET", "/v1/health").status, 503U);
}

TEST_F(ClientApiTest, IgnoresHeadsThatItNeverSigned) {
  const auto key = crypto::PrivateKey::generate(crypto::KeyKind::kEd25519).value();
  TreeHead head = store_->snapshot().head().head;
  head.size += 100;
  std::string note = to_note(sign_head(head, key).value()), escaped;
  for (const char c : note) escaped += c == '\n' ? std::string("\\n") : std::string(1, c);
  EXPECT_EQ(ask("POST", "/v1/log/consistency", "{\"head\":\"" + escaped + "\"}").status, 400U);
  EXPECT_FALSE(api_->is_rolled_back());
}

}  // namespace
}  // namespace casemate::cas
