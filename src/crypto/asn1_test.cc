#include "crypto/asn1.h"

#include <gtest/gtest.h>

namespace casemate::crypto {
namespace {

Bytes hex(std::string_view digits) { return from_hex(digits).value(); }

TEST(DerReader, ReadsNestedElements) {
  const Bytes encoded = der(der_tag::kSequence, {der_integer(300), der_text(der_tag::kUtf8String, "x")});
  DerReader outer(encoded);
  DerReader inner = outer.enter(der_tag::kSequence).value();
  EXPECT_EQ(inner.read_number().value(), 300U);
  EXPECT_TRUE(inner.next_is(der_tag::kUtf8String));
  EXPECT_EQ(as_text(inner.read().value().contents), "x");
  EXPECT_TRUE(inner.finish());
  EXPECT_TRUE(outer.at_end());
}

TEST(DerReader, RefusesLengthsThatAreNotTheOneShortForm) {
  for (const char* encoded : {"0480", "048001", "04810100", "0482000100", "0402ff", "04", "0484ffffffff",
                              "0485000000000100", "04ff", "1f0100", "3f8100"}) {
    const Bytes bytes = hex(encoded);
    EXPECT_FALSE(DerReader(bytes).read()) << encoded;
  }
}

TEST(DerReader, RefusesNumbersThatAreNegativePaddedOrTooLarge) {
  for (const char* encoded : {"0200", "0201ff", "02020001", "02020080ff"}) {
    const Bytes bytes = hex(encoded);
    DerReader reader(bytes);
    const bool is_read = reader.read_unsigned().has_value() && reader.at_end();
    EXPECT_FALSE(is_read) << encoded;
  }
  const Bytes large = der(der_tag::kInteger, hex("0100000000000000ff"));
  EXPECT_FALSE(DerReader(large).read_number());
}

TEST(DerReader, RoundTripsNumbersAtTheirEdges) {
  for (std::uint64_t value : {0ULL, 1ULL, 127ULL, 128ULL, 255ULL, 256ULL, 65535ULL, (1ULL << 62)}) {
    const Bytes encoded = der_integer(value);
    EXPECT_EQ(DerReader(encoded).read_number().value(), value);
  }
}

TEST(DerReader, RoundTripsObjectIdentifiers) {
  for (const char* oid : {"1.2.840.113741.1.13.1", "2.5.29.15", "0.6.9.42", "2.999.3", "1.3.6.1.4.1.3704.1.3.8"}) {
    const Bytes encoded = der_object_identifier(oid);
    EXPECT_EQ(DerReader(encoded).read_object_identifier().value(), oid);
  }
  for (const char* encoded : {"0600", "060180", "060b2affffffffffffffffffff"}) {
    const Bytes bytes = hex(encoded);
    EXPECT_FALSE(DerReader(bytes).read_object_identifier()) << encoded;
  }
}

TEST(DerReader, RoundTripsTimes) {
  for (std::int64_t moment : {std::int64_t{0}, std::int64_t{951782400}, std::int64_t{1768478400},
                              std::int64_t{2524607999}, std::int64_t{2524608000}, std::int64_t{253402300799}}) {
    const Bytes encoded = der_time(moment);
    EXPECT_EQ(DerReader(encoded).read_time().value(), moment);
  }
}

TEST(DerReader, RefusesTimesThatDoNotExist) {
  for (const char* text : {"250230", "251301000000Z", "250100000000Z", "250101240000Z", "250101006000Z", "2501010000Z",
                           "250101000000+0100", "25010100000aZ"}) {
    const Bytes encoded = der_text(der_tag::kUtcTime, text);
    EXPECT_FALSE(DerReader(encoded).read_time()) << text;
  }
}

TEST(EnterOnly, RefusesTrailingBytes) {
  Bytes encoded = der(der_tag::kSequence, {der_integer(1)});
  EXPECT_TRUE(enter_only(encoded, der_tag::kSequence));
  encoded.push_back(std::byte{0});
  EXPECT_FALSE(enter_only(encoded, der_tag::kSequence));
}

}  // namespace
}  // namespace casemate::crypto
