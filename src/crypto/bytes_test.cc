#include "crypto/bytes.h"

#include <gtest/gtest.h>

namespace casemate::crypto {
namespace {

Bytes bytes_of(std::string_view text) { return to_bytes(as_byte_view(text)); }

TEST(Hex, RoundTripsAndTakesEitherCase) {
  const Bytes bytes = from_hex("00fFAa10").value();
  EXPECT_EQ(to_hex(bytes), "00ffaa10");
  EXPECT_TRUE(from_hex("").value().empty());
}

TEST(Hex, RefusesAnythingElse) {
  for (const char* text : {"0", "0g", " 00", "0x00", "00 ", "\xc3\xa4"}) EXPECT_FALSE(from_hex(text)) << text;
}

// RFC 4648, section 10.
TEST(Base64, GivesTheVectorsOfTheSpecification) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(to_base64(bytes_of(plain)), encoded);
    EXPECT_EQ(from_base64(encoded).value(), bytes_of(plain));
  }
}

TEST(Base64, RefusesWrongPaddingStrayBitsAndOtherDigits) {
  for (const char* text : {"Zg", "Zg=", "Zg===", "Z", "Zh==", "Zm9=", "Zm=8", "Z_8=", "Zm8=Zg=="}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
}

TEST(Pem, ReadsBlocksInOrderWithATrailingNul) {
  const Bytes first = bytes_of("first"), second(200, std::byte{7});
  std::string text = to_pem(first, "THING") + "\r\n" + to_pem(second, "THING");
  text.push_back('\0');
  EXPECT_EQ(from_pem(text, "THING").value(), (std::vector<Bytes>{first, second}));
}

TEST(Pem, RefusesOtherTextOtherLabelsAndCutOffBlocks) {
  const std::string block = to_pem(bytes_of("x"), "THING");
  const std::string cases[] = {
      "", " \n", "note\n" + block, block + "note", to_pem(bytes_of("x"), "OTHER"), block.substr(0, block.size() - 8)};
  for (const std::string& text : cases) EXPECT_FALSE(from_pem(text, "THING")) << text;
}

}  // namespace
}  // namespace casemate::crypto
