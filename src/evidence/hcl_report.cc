#include "evidence/hcl_report.h"

#include "crypto/hash.h"
#include "crypto/sha384.h"

namespace casemate::evidence {
namespace {

constexpr std::string_view kMagic = "HCLA";
constexpr std::size_t kHeaderSize = 32, kReportAreaSize = 1184, kTdReportSize = 1024, kRequestHeaderSize = 20;

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "HCL report: " + what); }

}  // namespace

bool looks_like_hcl_report(ByteView data) {
  return data.size() > kMagic.size() && crypto::equal(data.first(kMagic.size()), crypto::as_byte_view(kMagic));
}

Result<HclReport> parse_hcl_report(ByteView data) {
  if (!looks_like_hcl_report(data)) return malformed("it does not start as one");
  ByteReader reader(data, "HCL report");
  if (Result<ByteView> header = reader.take(kHeaderSize); !header) return header.error();
  const ByteView area = CASEMATE_TRY(reader.take(kReportAreaSize));
  const FieldView request(CASEMATE_TRY(reader.take(kRequestHeaderSize)));
  const auto type = request.number<std::uint32_t>(8), hash = request.number<std::uint32_t>(12);
  HclReport report;
  report.type = static_cast<HclReportType>(type);
  report.hash = static_cast<HclHash>(hash);
  if (report.type != HclReportType::kSnp && report.type != HclReportType::kTdx) {
    return malformed("report type " + std::to_string(type) + " is not supported");
  }
  if (hash < 1 || hash > 3) return malformed("hash type " + std::to_string(hash) + " is not supported");
  report.hardware_report = report.type == HclReportType::kSnp ? area : area.first(kTdReportSize);
  report.runtime_data = CASEMATE_TRY(reader.take(request.number<std::uint32_t>(16)));
  if (!crypto::is_all_zero(reader.rest())) return malformed("something follows the runtime data");
  return report;
}

Bytes build(const HclReport& report) {
  FieldWriter writer(kHeaderSize + kReportAreaSize + kRequestHeaderSize);
  const std::size_t request = kHeaderSize + kReportAreaSize;
  writer.bytes(0, crypto::as_byte_view(kMagic))
      .number(4, std::uint32_t{2})
      .number(8, static_cast<std::uint32_t>(kReportAreaSize + kRequestHeaderSize + report.runtime_data.size()))
      .number(12, std::uint32_t{2})
      .bytes(kHeaderSize, report.hardware_report)
      .number(request, static_cast<std::uint32_t>(kRequestHeaderSize + report.runtime_data.size()))
      .number(request + 4, std::uint32_t{1})
      .number(request + 8, static_cast<std::uint32_t>(report.type))
      .number(request + 12, static_cast<std::uint32_t>(report.hash))
      .number(request + 16, static_cast<std::uint32_t>(report.runtime_data.size()));
  Bytes bytes = writer.finish();
  crypto::append(bytes, report.runtime_data);
  return bytes;
}

FixedBytes<64> expected_report_data(const HclReport& report) {
  FixedBytes<64> expected{};
  switch (report.hash) {
    case HclHash::kSha256:
      std::ranges::copy(crypto::sha256(report.runtime_data), expected.begin());
      break;
    case HclHash::kSha384:
      std::ranges::copy(crypto::sha384(report.runtime_data), expected.begin());
      break;
    case HclHash::kSha512:
      expected = crypto::sha512(report.runtime_data);
      break;
  }
  return expected;
}

bool binds_runtime_data(const HclReport& report, const FixedBytes<64>& report_data) {
  return expected_report_data(report) == report_data;
}

}  // namespace casemate::evidence
