// Codec of pushes: exact both ways.
#include "protocol/provision_push.h"

#include <gtest/gtest.h>

namespace casemate::protocol {
namespace {

// Every shorter and every longer message is refused.
template <typename Decode>
void expect_exact(const Bytes& message, Decode decode) {
  EXPECT_TRUE(decode(message).has_value());
  for (std::size_t size = 0; size < message.size(); ++size) {
    EXPECT_FALSE(decode(ByteView(message).first(size)).has_value()) << size;
  }
  Bytes longer = message;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode(longer).has_value());
}

TEST(ProvisionPush, TakesExactlyWhatEncodersMake) {
  expect_exact(encode(FilesPush{7, Bytes(20)}), decode_files_push);
  expect_exact(encode(Revocation{"0123456789abcdef"}), decode_revocation);
  expect_exact(encode_files({{"/etc/key", 0440, "secret"}, {"/b", 0, ""}}), decode_files);
}

TEST(ProvisionPush, KeepsWhatItCarries) {
  const FilesPush push = decode_files_push(encode(FilesPush{7, Bytes(20, std::byte{3})})).value();
  EXPECT_EQ(push.generation, 7U);
  EXPECT_EQ(push.sealed, Bytes(20, std::byte{3}));
  EXPECT_EQ(decode_revocation(encode(Revocation{"abc"})).value().reference, "abc");
  const auto files = decode_files(encode_files({{"/etc/key", 0440, "secret"}})).value();
  ASSERT_EQ(files.size(), 1U);
  EXPECT_EQ(files[0].path, "/etc/key");
  EXPECT_EQ(files[0].mode, 0440U);
  EXPECT_EQ(files[0].content, "secret");
}

TEST(ProvisionPush, RefusesOddFilesAndOtherMessages) {
  EXPECT_FALSE(decode_files(encode_files({{"/etc/key", 010000, ""}})).has_value());
  EXPECT_FALSE(decode_files(encode_files({{std::string("a\0b", 3), 0400, ""}})).has_value());
  EXPECT_FALSE(decode_files(encode_files({{std::string(5000, 'a'), 0400, ""}})).has_value());
  EXPECT_FALSE(decode_revocation(encode(FilesPush{7, {}})).has_value());
  EXPECT_FALSE(decode_files_push(encode(TagAnswer{true})).has_value());
}

TEST(ProvisionPush, BindsKeyAndGeneration) {
  crypto::AgreementPublicKey key{}, other{};
  other[0] = std::byte{1};
  EXPECT_NE(push_binding(key, 1), push_binding(other, 1));
  EXPECT_NE(push_binding(key, 1), push_binding(key, 2));
}

}  // namespace
}  // namespace casemate::protocol
