#include "evidence/tdx_report.h"

namespace casemate::evidence {
namespace {

constexpr std::size_t kRtmrOffset = 328;
constexpr std::uint8_t kTdxReportType = 0x81;

}  // namespace

Result<TdReportBody> parse_td_report_body(ByteView data) {
  if (data.size() != kTdReport10Size && data.size() != kTdReport15Size) {
    return Error(ErrorCategory::kFormat, "TD report: " + std::to_string(data.size()) + " bytes instead of 584 or 648");
  }
  const FieldView view(data);
  TdReportBody body;
  body.tee_tcb_svn = view.bytes<16>(0);
  body.mr_seam = view.bytes<48>(16);
  body.mr_signer_seam = view.bytes<48>(64);
  body.seam_attributes = view.bytes<8>(112);
  body.td_attributes = view.bytes<8>(120);
  body.xfam = view.bytes<8>(128);
  body.mr_td = view.bytes<48>(136);
  body.mr_config_id = view.bytes<48>(184);
  body.mr_owner = view.bytes<48>(232);
  body.mr_owner_config = view.bytes<48>(280);
  for (std::size_t i = 0; i < body.rtmr.size(); ++i) body.rtmr[i] = view.bytes<48>(kRtmrOffset + 48 * i);
  body.report_data = view.bytes<64>(520);
  if (data.size() == kTdReport15Size) body.version15 = TdReport15Fields{view.bytes<16>(584), view.bytes<48>(600)};
  return body;
}

Bytes build(const TdReportBody& body) {
  FieldWriter writer(body.version15 ? kTdReport15Size : kTdReport10Size);
  writer.bytes(0, body.tee_tcb_svn)
      .bytes(16, body.mr_seam)
      .bytes(64, body.mr_signer_seam)
      .bytes(112, body.seam_attributes)
      .bytes(120, body.td_attributes)
      .bytes(128, body.xfam)
      .bytes(136, body.mr_td)
      .bytes(184, body.mr_config_id)
      .bytes(232, body.mr_owner)
      .bytes(280, body.mr_owner_config)
      .bytes(520, body.report_data);
  for (std::size_t i = 0; i < body.rtmr.size(); ++i) writer.bytes(kRtmrOffset + 48 * i, body.rtmr[i]);
  if (body.version15) writer.bytes(584, body.version15->tee_tcb_svn2).bytes(600, body.version15->mr_service_td);
  return writer.finish();
}

Result<TdReportStructure> parse_td_report_structure(ByteView data) {
  const FieldView view(CASEMATE_TRY(require_size(data, kTdReportStructureSize, "TDREPORT")));
  TdReportStructure report;
  report.type = view.number<std::uint8_t>(0);
  report.subtype = view.number<std::uint8_t>(1);
  report.version = view.number<std::uint8_t>(2);
  if (report.type != kTdxReportType) {
    return Error(ErrorCategory::kFormat, "TDREPORT: type " + std::to_string(report.type) + " is not that of TDX");
  }
  if (!view.is_zero(3, 13) || !view.is_zero(192, 32) || !view.is_zero(495, 17)) {
    return Error(ErrorCategory::kFormat, "TDREPORT: reserved bytes are not zero");
  }
  report.cpu_svn = view.bytes<16>(16);
  report.tee_tcb_info_hash = view.bytes<48>(32);
  report.td_info_hash = view.bytes<48>(80);
  report.report_data = view.bytes<64>(128);
  report.mac = view.bytes<32>(224);
  report.tee_tcb_info = view.bytes<239>(256);
  report.td_info = view.bytes<512>(512);
  return report;
}

Bytes build(const TdReportStructure& report) {
  return FieldWriter(kTdReportStructureSize)
      .number(0, report.type)
      .number(1, report.subtype)
      .number(2, report.version)
      .bytes(16, report.cpu_svn)
      .bytes(32, report.tee_tcb_info_hash)
      .bytes(80, report.td_info_hash)
      .bytes(128, report.report_data)
      .bytes(224, report.mac)
      .bytes(256, report.tee_tcb_info)
      .bytes(512, report.td_info)
      .finish();
}

}  // namespace casemate::evidence
