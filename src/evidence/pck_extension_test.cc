#include "evidence/pck_extension.h"

#include <gtest/gtest.h>

#include "crypto/asn1.h"

namespace casemate::evidence {
namespace {

PckExtension sample() {
  PckExtension extension;
  for (std::size_t i = 0; i < 16; ++i) extension.component_svns[i] = static_cast<std::uint8_t>(i * 17);
  extension.pce_svn = 400;
  extension.fmspc.fill(std::byte{0x22});
  extension.sgx_type = 2;
  return extension;
}

TEST(PckExtension, RoundTripsWithAndWithoutPlatformInstance) {
  PckExtension extension = sample();
  for (int i = 0; i < 2; ++i) {
    const PckExtension parsed = parse_pck_extension(build(extension)).value();
    EXPECT_EQ(parsed.component_svns, extension.component_svns);
    EXPECT_EQ(parsed.pce_svn, 400);
    EXPECT_EQ(parsed.fmspc, extension.fmspc);
    EXPECT_EQ(parsed.sgx_type, 2);
    EXPECT_EQ(parsed.platform_instance_id, extension.platform_instance_id);
    extension.platform_instance_id.emplace();
  }
}

TEST(PckExtension, RefusesCutAndFlippedOnesWithoutCrashing) {
  const Bytes good = build(sample());
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(parse_pck_extension(ByteView(good).first(size)));
  for (std::size_t i = 0; i < good.size(); ++i) {
    Bytes spoiled = good;
    spoiled[i] ^= std::byte{0xff};
    const Result<PckExtension> parsed = parse_pck_extension(spoiled);  // values may change, structure may not
    if (parsed) {
      EXPECT_EQ(build(parsed.value()).size(), good.size()) << i;
    }
  }
}

TEST(PckExtension, RefusesDoubledAndMissingFields) {
  const Bytes good = build(sample());
  // The outer SEQUENCE's contents twice: every field is there twice then.
  Bytes contents = crypto::to_bytes(ByteView(good).subspan(4));
  crypto::append(contents, ByteView(good).subspan(4));
  EXPECT_FALSE(parse_pck_extension(crypto::der(crypto::der_tag::kSequence, contents)));
  EXPECT_FALSE(parse_pck_extension(crypto::from_hex("3000").value()));
}

}  // namespace
}  // namespace casemate::evidence
