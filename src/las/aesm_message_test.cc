#include "las/aesm_message.h"

#include <gtest/gtest.h>

namespace casemate::las {
namespace {

using crypto::Bytes;

Bytes bytes(std::initializer_list<int> octets) {
  Bytes out;
  for (const int octet : octets) out.push_back(static_cast<std::byte>(octet));
  return out;
}

TEST(AesmMessage, WritesTheQuoteSizeRequestAsProtocolBuffersDo) {
  const Bytes request = quote_size_request();
  // Field 16 of Request: key 0x82 0x01, then the length of the inner message.
  EXPECT_EQ(crypto::to_hex(crypto::ByteView(request).first(2)), "8201");
  // Inner: field 1, 256 bytes (0x0a 0x80 0x02); field 9, the timeout (0x48 ...).
  EXPECT_EQ(crypto::to_hex(crypto::ByteView(request).subspan(4, 3)), "0a8002");
  EXPECT_EQ(request[4 + 3 + 256], std::byte{0x48});
  EXPECT_EQ(request.size(), 2 + 2 + 3 + 256 + 1 + 4);
}

TEST(AesmMessage, NamesTheQuotingEnclavesKey) {
  const Bytes id = ecdsa_attestation_key_id();
  ASSERT_EQ(id.size(), kAttestationKeyIdSize);
  EXPECT_EQ(crypto::to_hex(crypto::ByteView(id).first(8)), "0000000020008c4f");
  EXPECT_EQ(crypto::to_hex(crypto::ByteView(id).subspan(54, 4)), "01000000");   // product
  EXPECT_EQ(crypto::to_hex(crypto::ByteView(id).subspan(154, 4)), "02000000");  // ECDSA P-256
}

TEST(AesmMessage, ReadsResponses) {
  // Field 17 (key 0x8a 0x01), inner: error 0, quote "ab".
  const auto quote = parse_quote_response(bytes({0x8a, 0x01, 6, 0x08, 0, 0x12, 2, 'a', 'b'}));
  ASSERT_TRUE(quote.has_value()) << quote.error().message();
  EXPECT_EQ(quote.value().error, 0U);
  EXPECT_EQ(crypto::as_text(quote.value().quote), "ab");
  const auto size = parse_quote_size_response(bytes({0x82, 0x01, 5, 0x08, 0, 0x10, 0xb0, 0x25}));
  ASSERT_TRUE(size.has_value()) << size.error().message();
  EXPECT_EQ(size.value().size, 0x12b0U);
  const auto failed = parse_quote_response(bytes({0x8a, 0x01, 2, 0x08, 42}));
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed.value().error, kAesmKeyNotInitialised);
}

TEST(AesmMessage, RefusesAnswersToOtherRequests) {
  EXPECT_FALSE(parse_quote_response(bytes({0x82, 0x01, 2, 0x08, 0})).has_value());
  EXPECT_FALSE(parse_quote_response({}).has_value());
  EXPECT_FALSE(parse_quote_response(bytes({0x8a, 0x01, 2, 0x08, 0, 0x8a, 0x01, 2, 0x08, 0})).has_value());
}

TEST(AesmMessage, RefusesLengthsThatLie) {
  EXPECT_FALSE(parse_quote_response(bytes({0x8a, 0x01, 7, 0x08, 0, 0x12, 3, 'a', 'b'})).has_value());
  EXPECT_FALSE(parse_quote_response(bytes({0x8a, 0x01, 6, 0x08, 0, 0x12, 3, 'a', 'b'})).has_value());
  EXPECT_FALSE(parse_quote_response(bytes({0x8a, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}))
                   .has_value());
  EXPECT_FALSE(parse_quote_response(bytes({0x8a})).has_value());
  // Without an error code, with one that is no number, and with an absurd size.
  EXPECT_FALSE(parse_quote_response(bytes({0x8a, 0x01, 4, 0x12, 2, 'a', 'b'})).has_value());
  EXPECT_FALSE(parse_quote_response(bytes({0x8a, 0x01, 3, 0x0a, 1, 0})).has_value());
  EXPECT_FALSE(
      parse_quote_size_response(bytes({0x82, 0x01, 8, 0x08, 0, 0x10, 0xff, 0xff, 0xff, 0xff, 0x0f})).has_value());
}

TEST(AesmMessage, EveryTruncationIsRefused) {
  const Bytes whole = bytes({0x8a, 0x01, 6, 0x08, 0, 0x12, 2, 'a', 'b'});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse_quote_response(crypto::ByteView(whole).first(size)).has_value()) << size;
  }
}

}  // namespace
}  // namespace casemate::las
