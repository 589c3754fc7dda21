#include "evidence/snp_report.h"

#include "crypto/asn1.h"

namespace casemate::evidence {
namespace {

using crypto::DerReader;
namespace der_tag = crypto::der_tag;

constexpr std::size_t kSignatureNumberSize = 72, kP384Size = 48;
constexpr std::uint8_t kFamilyZen3And4 = 0x19, kFamilyZen5 = 0x1a;

struct ProductFacts {
  std::string_view prefix;
  SnpGeneration generation;
};
// Bergamo and Siena are Genoa's siblings and hang below its root.
constexpr std::array kProducts = {
    ProductFacts{"Milan", SnpGeneration::kMilan},   ProductFacts{"Genoa", SnpGeneration::kGenoa},
    ProductFacts{"Bergamo", SnpGeneration::kGenoa}, ProductFacts{"Siena", SnpGeneration::kGenoa},
    ProductFacts{"Turin", SnpGeneration::kTurin},
};

struct ProcessorFacts {
  std::uint8_t family, first_model, last_model;
  SnpGeneration generation;
};
constexpr std::array kProcessors = {
    ProcessorFacts{kFamilyZen3And4, 0x00, 0x0f, SnpGeneration::kMilan},
    ProcessorFacts{kFamilyZen3And4, 0x10, 0x1f, SnpGeneration::kGenoa},
    ProcessorFacts{kFamilyZen3And4, 0xa0, 0xaf, SnpGeneration::kGenoa},
    ProcessorFacts{kFamilyZen5, 0x00, 0x1f, SnpGeneration::kTurin},
};

// Where each component stands in a TCB_VERSION.
struct TcbLayout {
  SnpGeneration generation;
  int fmc;  // -1: does not exist
  std::size_t bootloader, tee, snp, microcode;
};
constexpr std::array kTcbLayouts = {
    TcbLayout{SnpGeneration::kMilan, -1, 0, 1, 6, 7},
    TcbLayout{SnpGeneration::kGenoa, -1, 0, 1, 6, 7},
    TcbLayout{SnpGeneration::kTurin, 0, 1, 2, 3, 7},
};

const TcbLayout& layout_of(SnpGeneration generation) {
  for (const TcbLayout& layout : kTcbLayouts) {
    if (layout.generation == generation) return layout;
  }
  __builtin_trap();
}

constexpr std::string_view kProductOid = "1.3.6.1.4.1.3704.1.2", kBootloaderOid = "1.3.6.1.4.1.3704.1.3.1",
                           kTeeOid = "1.3.6.1.4.1.3704.1.3.2", kSnpOid = "1.3.6.1.4.1.3704.1.3.3",
                           kMicrocodeOid = "1.3.6.1.4.1.3704.1.3.8", kFmcOid = "1.3.6.1.4.1.3704.1.3.9",
                           kHardwareIdOid = "1.3.6.1.4.1.3704.1.4", kProviderOid = "1.3.6.1.4.1.3704.1.5",
                           kStructureVersionOid = "1.3.6.1.4.1.3704.1.1";

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "SNP certificate: " + what); }

SnpFirmwareVersion read_firmware(const FieldView& view, std::size_t offset) {
  return {view.number<std::uint8_t>(offset), view.number<std::uint8_t>(offset + 1),
          view.number<std::uint8_t>(offset + 2)};
}

const crypto::CertificateExtension* find(const std::vector<crypto::CertificateExtension>& extensions,
                                         std::string_view oid) {
  for (const crypto::CertificateExtension& extension : extensions) {
    if (extension.oid == oid) return &extension;
  }
  return nullptr;
}

Result<std::uint8_t> read_svn(const std::vector<crypto::CertificateExtension>& extensions, std::string_view oid) {
  const crypto::CertificateExtension* extension = find(extensions, oid);
  if (extension == nullptr) return malformed("extension " + std::string(oid) + " is missing");
  DerReader reader(extension->value);
  const std::uint64_t value = CASEMATE_TRY(reader.read_number());
  if (Result<void> end = reader.finish(); !end) return end.error();
  if (value > 255) return malformed("a security version above 255");
  return static_cast<std::uint8_t>(value);
}

Result<std::string> read_text(const crypto::CertificateExtension& extension) {
  DerReader reader(extension.value);
  const crypto::DerElement element = CASEMATE_TRY(reader.read());
  if (Result<void> end = reader.finish(); !end) return end.error();
  const bool is_text = element.tag == der_tag::kIa5String || element.tag == der_tag::kUtf8String ||
                       element.tag == der_tag::kPrintableString;
  if (!is_text) return malformed("extension " + extension.oid + " is not a text");
  return std::string(crypto::as_text(element.contents));
}

// Raw bytes, or an OCTET STRING of them: both are in circulation.
Bytes read_hardware_id(ByteView value) {
  Result<DerReader> wrapped = crypto::enter_only(value, der_tag::kOctetString);
  const bool is_raw = value.size() == 64 || value.size() == 8 || !wrapped;
  return crypto::to_bytes(is_raw ? value : value.subspan(2));
}

}  // namespace

const char* to_text(SnpGeneration generation) {
  switch (generation) {
    case SnpGeneration::kMilan:
      return "Milan";
    case SnpGeneration::kGenoa:
      return "Genoa";
    case SnpGeneration::kTurin:
      return "Turin";
  }
  __builtin_trap();
}

std::optional<SnpGeneration> generation_of_product(std::string_view product) {
  for (const ProductFacts& facts : kProducts) {
    if (product.starts_with(facts.prefix)) return facts.generation;
  }
  return std::nullopt;
}

std::optional<SnpGeneration> generation_of_processor(std::uint8_t family, std::uint8_t model) {
  for (const ProcessorFacts& facts : kProcessors) {
    if (facts.family == family && facts.first_model <= model && model <= facts.last_model) return facts.generation;
  }
  return std::nullopt;
}

bool SnpTcb::is_at_least(const SnpTcb& minimum) const {
  return fmc >= minimum.fmc && bootloader >= minimum.bootloader && tee >= minimum.tee && snp >= minimum.snp &&
         microcode >= minimum.microcode;
}

std::string to_text(const SnpTcb& tcb, SnpGeneration generation) {
  std::string text;
  if (layout_of(generation).fmc >= 0) text = "fmc=" + std::to_string(tcb.fmc) + " ";
  return text + "bootloader=" + std::to_string(tcb.bootloader) + " tee=" + std::to_string(tcb.tee) +
         " snp=" + std::to_string(tcb.snp) + " microcode=" + std::to_string(tcb.microcode);
}

SnpTcb decode_snp_tcb(const FixedBytes<8>& raw, SnpGeneration generation) {
  const TcbLayout& layout = layout_of(generation);
  const FieldView view(raw);
  SnpTcb tcb;
  if (layout.fmc >= 0) tcb.fmc = view.number<std::uint8_t>(static_cast<std::size_t>(layout.fmc));
  tcb.bootloader = view.number<std::uint8_t>(layout.bootloader);
  tcb.tee = view.number<std::uint8_t>(layout.tee);
  tcb.snp = view.number<std::uint8_t>(layout.snp);
  tcb.microcode = view.number<std::uint8_t>(layout.microcode);
  return tcb;
}

FixedBytes<8> encode_snp_tcb(const SnpTcb& tcb, SnpGeneration generation) {
  const TcbLayout& layout = layout_of(generation);
  FixedBytes<8> raw{};
  if (layout.fmc >= 0) raw[static_cast<std::size_t>(layout.fmc)] = std::byte{tcb.fmc};
  raw[layout.bootloader] = std::byte{tcb.bootloader};
  raw[layout.tee] = std::byte{tcb.tee};
  raw[layout.snp] = std::byte{tcb.snp};
  raw[layout.microcode] = std::byte{tcb.microcode};
  return raw;
}

Result<SnpReport> parse_snp_report(ByteView data) {
  const FieldView view(CASEMATE_TRY(require_size(data, kSnpReportSize, "SNP report")));
  SnpReport report;
  report.version = view.number<std::uint32_t>(0);
  if (report.version < kSnpOldestVersion || report.version > kSnpNewestVersion) {
    return Error(ErrorCategory::kFormat,
                 "SNP report: version " + std::to_string(report.version) + " is not supported (2 to 5 are)");
  }
  report.guest_svn = view.number<std::uint32_t>(4);
  report.policy = view.number<std::uint64_t>(8);
  report.family_id = view.bytes<16>(16);
  report.image_id = view.bytes<16>(32);
  report.vmpl = view.number<std::uint32_t>(48);
  report.signature_algorithm = view.number<std::uint32_t>(52);
  report.current_tcb = view.bytes<8>(56);
  report.platform_info = view.number<std::uint64_t>(64);
  report.flags = view.number<std::uint32_t>(72);
  report.report_data = view.bytes<64>(80);
  report.measurement = view.bytes<48>(144);
  report.host_data = view.bytes<32>(192);
  report.id_key_digest = view.bytes<48>(224);
  report.author_key_digest = view.bytes<48>(272);
  report.report_id = view.bytes<32>(320);
  report.report_id_migration_agent = view.bytes<32>(352);
  report.reported_tcb = view.bytes<8>(384);
  if (report.version >= kSnpVersionWithCpuid) {
    report.cpuid_family = view.number<std::uint8_t>(392);
    report.cpuid_model = view.number<std::uint8_t>(393);
    report.cpuid_stepping = view.number<std::uint8_t>(394);
  }
  report.chip_id = view.bytes<64>(416);
  report.committed_tcb = view.bytes<8>(480);
  report.current_firmware = read_firmware(view, 488);
  report.committed_firmware = read_firmware(view, 492);
  report.launch_tcb = view.bytes<8>(496);
  if (report.version >= kSnpVersionWithMitigations) {
    report.launch_mitigations = view.number<std::uint64_t>(504);
    report.current_mitigations = view.number<std::uint64_t>(512);
  }
  report.signature_r = view.bytes<kSignatureNumberSize>(kSnpSignedSize);
  report.signature_s = view.bytes<kSignatureNumberSize>(kSnpSignedSize + kSignatureNumberSize);
  if (!view.is_zero(kSnpSignedSize + 2 * kSignatureNumberSize, 368)) {
    return Error(ErrorCategory::kFormat, "SNP report: bytes behind the signature are not zero");
  }
  return report;
}

Bytes build(const SnpReport& report) {
  FieldWriter writer(kSnpReportSize);
  writer.number(0, report.version)
      .number(4, report.guest_svn)
      .number(8, report.policy)
      .bytes(16, report.family_id)
      .bytes(32, report.image_id)
      .number(48, report.vmpl)
      .number(52, report.signature_algorithm)
      .bytes(56, report.current_tcb)
      .number(64, report.platform_info)
      .number(72, report.flags)
      .bytes(80, report.report_data)
      .bytes(144, report.measurement)
      .bytes(192, report.host_data)
      .bytes(224, report.id_key_digest)
      .bytes(272, report.author_key_digest)
      .bytes(320, report.report_id)
      .bytes(352, report.report_id_migration_agent)
      .bytes(384, report.reported_tcb)
      .bytes(416, report.chip_id)
      .bytes(480, report.committed_tcb)
      .number(488, report.current_firmware.build)
      .number(489, report.current_firmware.minor)
      .number(490, report.current_firmware.major)
      .number(492, report.committed_firmware.build)
      .number(493, report.committed_firmware.minor)
      .number(494, report.committed_firmware.major)
      .bytes(496, report.launch_tcb)
      .bytes(kSnpSignedSize, report.signature_r)
      .bytes(kSnpSignedSize + kSignatureNumberSize, report.signature_s);
  if (report.version >= kSnpVersionWithCpuid) {
    writer.number(392, report.cpuid_family).number(393, report.cpuid_model).number(394, report.cpuid_stepping);
  }
  if (report.version >= kSnpVersionWithMitigations) {
    writer.number(504, report.launch_mitigations).number(512, report.current_mitigations);
  }
  return writer.finish();
}

Bytes snp_signature(const SnpReport& report) {
  Bytes signature;
  for (const FixedBytes<kSignatureNumberSize>* number : {&report.signature_r, &report.signature_s}) {
    if (!crypto::is_all_zero(ByteView(*number).subspan(kP384Size))) return {};
    const ByteView significant = ByteView(*number).first(kP384Size);
    signature.insert(signature.end(), significant.rbegin(), significant.rend());
  }
  return signature;
}

Result<SnpCertificateFields> parse_snp_certificate_fields(const std::vector<crypto::CertificateExtension>& extensions) {
  SnpCertificateFields fields;
  const crypto::CertificateExtension* product = find(extensions, kProductOid);
  if (product == nullptr) return malformed("no product name");
  fields.product = CASEMATE_TRY(read_text(*product));
  fields.tcb.bootloader = CASEMATE_TRY(read_svn(extensions, kBootloaderOid));
  fields.tcb.tee = CASEMATE_TRY(read_svn(extensions, kTeeOid));
  fields.tcb.snp = CASEMATE_TRY(read_svn(extensions, kSnpOid));
  fields.tcb.microcode = CASEMATE_TRY(read_svn(extensions, kMicrocodeOid));
  if (find(extensions, kFmcOid) != nullptr) fields.tcb.fmc = CASEMATE_TRY(read_svn(extensions, kFmcOid));
  if (const crypto::CertificateExtension* id = find(extensions, kHardwareIdOid)) {
    fields.hardware_id = read_hardware_id(id->value);
  }
  if (const crypto::CertificateExtension* provider = find(extensions, kProviderOid)) {
    fields.provider = CASEMATE_TRY(read_text(*provider));
  }
  return fields;
}

std::vector<crypto::CertificateExtension> build_snp_certificate_fields(const SnpCertificateFields& fields) {
  std::vector<crypto::CertificateExtension> extensions;
  const auto add = [&](std::string_view oid, Bytes value) {
    extensions.push_back({std::string(oid), false, std::move(value)});
  };
  add(kStructureVersionOid, crypto::der_integer(1));
  add(kProductOid, crypto::der_text(der_tag::kIa5String, fields.product));
  add(kBootloaderOid, crypto::der_integer(fields.tcb.bootloader));
  add(kTeeOid, crypto::der_integer(fields.tcb.tee));
  add(kSnpOid, crypto::der_integer(fields.tcb.snp));
  add(kMicrocodeOid, crypto::der_integer(fields.tcb.microcode));
  if (fields.tcb.fmc != 0) add(kFmcOid, crypto::der_integer(fields.tcb.fmc));
  if (fields.hardware_id) add(kHardwareIdOid, *fields.hardware_id);
  if (fields.provider) add(kProviderOid, crypto::der_text(der_tag::kIa5String, *fields.provider));
  return extensions;
}

}  // namespace casemate::evidence
