#include "evidence/sgx_report.h"

namespace casemate::evidence {

Result<SgxReportBody> parse_sgx_report_body(ByteView data) {
  const FieldView view(CASEMATE_TRY(require_size(data, kSgxReportBodySize, "SGX report body")));
  SgxReportBody body;
  body.cpu_svn = view.bytes<16>(0);
  body.misc_select = view.number<std::uint32_t>(16);
  body.cet_attributes = view.number<std::uint8_t>(20);
  body.isv_extended_product_id = view.bytes<16>(32);
  body.attributes = view.bytes<16>(48);
  body.mr_enclave = view.bytes<32>(64);
  body.mr_signer = view.bytes<32>(128);
  body.config_id = view.bytes<64>(192);
  body.isv_product_id = view.number<std::uint16_t>(256);
  body.isv_svn = view.number<std::uint16_t>(258);
  body.config_svn = view.number<std::uint16_t>(260);
  body.isv_family_id = view.bytes<16>(304);
  body.report_data = view.bytes<64>(320);
  return body;
}

Result<SgxReport> parse_sgx_report(ByteView data) {
  const FieldView view(CASEMATE_TRY(require_size(data, kSgxReportSize, "SGX report")));
  return SgxReport{CASEMATE_TRY(parse_sgx_report_body(data.first(kSgxReportBodySize))), view.bytes<32>(384),
                   view.bytes<16>(416)};
}

Result<SgxTargetInfo> parse_sgx_target_info(ByteView data) {
  const FieldView view(CASEMATE_TRY(require_size(data, kSgxTargetInfoSize, "SGX target information")));
  if (!view.is_zero(49, 1) || !view.is_zero(56, 8) || !view.is_zero(128, 384)) {
    return Error(ErrorCategory::kFormat, "SGX target information: reserved bytes are not zero");
  }
  SgxTargetInfo target;
  target.mr_enclave = view.bytes<32>(0);
  target.attributes = view.bytes<16>(32);
  target.cet_attributes = view.number<std::uint8_t>(48);
  target.config_svn = view.number<std::uint16_t>(50);
  target.misc_select = view.number<std::uint32_t>(52);
  target.config_id = view.bytes<64>(64);
  return target;
}

Bytes build(const SgxReportBody& body) {
  return FieldWriter(kSgxReportBodySize)
      .bytes(0, body.cpu_svn)
      .number(16, body.misc_select)
      .number(20, body.cet_attributes)
      .bytes(32, body.isv_extended_product_id)
      .bytes(48, body.attributes)
      .bytes(64, body.mr_enclave)
      .bytes(128, body.mr_signer)
      .bytes(192, body.config_id)
      .number(256, body.isv_product_id)
      .number(258, body.isv_svn)
      .number(260, body.config_svn)
      .bytes(304, body.isv_family_id)
      .bytes(320, body.report_data)
      .finish();
}

Bytes build(const SgxReport& report) {
  return FieldWriter(kSgxReportSize)
      .bytes(0, build(report.body))
      .bytes(384, report.key_id)
      .bytes(416, report.mac)
      .finish();
}

Bytes build(const SgxTargetInfo& target) {
  return FieldWriter(kSgxTargetInfoSize)
      .bytes(0, target.mr_enclave)
      .bytes(32, target.attributes)
      .number(48, target.cet_attributes)
      .number(50, target.config_svn)
      .number(52, target.misc_select)
      .bytes(64, target.config_id)
      .finish();
}

}  // namespace casemate::evidence
