#include "policy/substitute.h"

#include <gtest/gtest.h>

#include <map>

#include "policy/testing/texts.h"

namespace casemate::policy {
namespace {

SharedSecretText text_of(std::string text) { return std::make_shared<const SecretText>(std::move(text)); }
crypto::Bytes bytes_of(std::string_view text) { return crypto::to_bytes(crypto::as_byte_view(text)); }

class Source : public SecretSource {
 public:
  Source() {
    secrets_["pw"].value = text_of("hello $$CASEMATE::key$$ @@1");
    secrets_["raw"].kind = SecretKind::kBinary;
    secrets_["raw"].value = text_of(std::string("\x00\xffz", 3));
    secrets_["key"].kind = SecretKind::kPrivateKey;
    secrets_["key"].private_key = text_of("PKCS8");
    secrets_["key"].public_key = bytes_of("SPKI");
    secrets_["crt"].kind = SecretKind::kX509;
    secrets_["crt"].certificate = bytes_of("LEAF");
    secrets_["crt"].issuers = {bytes_of("CA"), bytes_of("ROOT")};
  }
  const SecretMaterial* find(std::string_view name) const override {
    const auto found = secrets_.find(name);
    return found == secrets_.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::string, SecretMaterial, std::less<>> secrets_;
};

class Substitution : public ::testing::Test {
 protected:
  std::string filled(std::string_view text) {
    Result<SharedSecretText> result = substitute(text, session_, source_);
    return result ? std::string(result.value()->expose()) : "error: " + result.error().message();
  }
  std::string word(std::string_view text, const std::vector<std::string>& arguments) {
    Result<SharedSecretText> result = substitute_word(text, session_, source_, arguments);
    return result ? std::string(result.value()->expose()) : "error: " + result.error().message();
  }

  Session session_ = testing::session_of("name: s\nversion: casemate-1\n");
  Source source_;
};

std::string block(const char* label, const char* base64) {
  return std::string("-----BEGIN ") + label + "-----\n" + base64 + "\n-----END " + label + "-----\n";
}

TEST_F(Substitution, FillsValuesInOnceAndNeverLooksAtThemAgain) {
  EXPECT_EQ(filled("a $$CASEMATE::pw$$ b"), "a hello $$CASEMATE::key$$ @@1 b");
  EXPECT_EQ(filled("$$SCONE::pw$$"), filled("$$CASEMATE::pw$$"));
  EXPECT_EQ(word("$$CASEMATE::pw$$", {"x", "y"}), "hello $$CASEMATE::key$$ @@1");
}

TEST_F(Substitution, NeverLooksAtTheHostsArguments) {
  EXPECT_EQ(word("--x=@@1", {"", "$$CASEMATE::pw$$"}), "--x=$$CASEMATE::pw$$");
  EXPECT_EQ(word("@@0@@1", {"@@1", "b"}), "@@1b");
}

TEST_F(Substitution, SaysWhichArgumentIsMissing) {
  EXPECT_EQ(word("@@2", {"a"}), "error: the command takes the host's argument @@2, but the host gave 1");
}

TEST_F(Substitution, WritesEveryFormat) {
  EXPECT_EQ(filled("$$CASEMATE::raw:hex$$"), "00ff7a");
  EXPECT_EQ(filled("$$CASEMATE::raw:base64$$"), "AP96");
  EXPECT_EQ(filled("$$CASEMATE::raw:base32nopad$$"), "AD7XU");
  EXPECT_EQ(filled("$$CASEMATE::raw$$"), std::string("\x00\xffz", 3));
  EXPECT_EQ(filled("$$CASEMATE::key:pkcs8:pem$$"), block("PRIVATE KEY", "UEtDUzg="));
  EXPECT_EQ(filled("$$CASEMATE::key:publickey:base64$$"), "U1BLSQ==");
  EXPECT_EQ(filled("$$CASEMATE::crt.crt$$"), block("CERTIFICATE", "TEVBRg=="));
  EXPECT_EQ(filled("$$CASEMATE::crt:chain$$"),
            block("CERTIFICATE", "TEVBRg==") + block("CERTIFICATE", "Q0E=") + block("CERTIFICATE", "Uk9PVA=="));
}

TEST_F(Substitution, RefusesArgumentsAndVariablesThatANulWouldCut) {
  EXPECT_NE(word("$$CASEMATE::raw$$", {}).find("a secret with a NUL byte"), std::string::npos);
  EXPECT_FALSE(substitute_variable("$$CASEMATE::raw$$", session_, source_));
  EXPECT_TRUE(substitute_variable("$$CASEMATE::raw:hex$$", session_, source_));
}

TEST_F(Substitution, NamesWhatIsMissingAndNoValue) {
  EXPECT_EQ(filled("$$CASEMATE::none$$"), "error: secret `none` is not there");
  EXPECT_EQ(filled("$$CASEMATE::pw:pem$$"), "error: secret `pw` (ascii) has no format `pem`; known are hex, base64");
  EXPECT_EQ(filled("$$CASEMATE::crt:key$$"), "error: secret `crt` (x509) has no private key for this service");
}

TEST(Base32, FollowsRfc4648WithoutPadding) {
  const std::pair<const char*, const char*> kVectors[] = {{"", ""},
                                                          {"f", "MY"},
                                                          {"fo", "MZXQ"},
                                                          {"foo", "MZXW6"},
                                                          {"foob", "MZXW6YQ"},
                                                          {"fooba", "MZXW6YTB"},
                                                          {"foobar", "MZXW6YTBOI"}};
  for (const auto& [bytes, text] : kVectors) EXPECT_EQ(to_base32(bytes), text);
}

}  // namespace
}  // namespace casemate::policy
