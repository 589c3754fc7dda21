#include "evidence/dcap_quote.h"

namespace casemate::evidence {
namespace {

constexpr std::size_t kSignatureSize = 64, kKeySize = 64;
constexpr std::uint16_t kBodySgx = 1, kBodyTd10 = 2, kBodyTd15 = 3;

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "quote: " + what); }

struct BodyFacts {
  std::uint16_t type;
  std::uint32_t tee_type;
  std::size_t size;
};
constexpr std::array kBodies = {
    BodyFacts{kBodySgx, kTeeTypeSgx, kSgxReportBodySize},
    BodyFacts{kBodyTd10, kTeeTypeTdx, kTdReport10Size},
    BodyFacts{kBodyTd15, kTeeTypeTdx, kTdReport15Size},
};

Result<QuoteHeader> read_header(ByteReader& reader) {
  const FieldView view(CASEMATE_TRY(reader.take(kQuoteHeaderSize)));
  QuoteHeader header;
  header.version = view.number<std::uint16_t>(0);
  header.attestation_key_type = view.number<std::uint16_t>(2);
  header.tee_type = view.number<std::uint32_t>(4);
  header.qe_svn = view.number<std::uint16_t>(8);
  header.pce_svn = view.number<std::uint16_t>(10);
  header.qe_vendor = view.bytes<16>(12);
  header.user_data = view.bytes<20>(28);
  if (header.version < kQuoteVersion3 || header.version > kQuoteVersion5) {
    return malformed("version " + std::to_string(header.version) + " is not supported (3, 4 and 5 are)");
  }
  if (header.attestation_key_type != kAttestationKeyEcdsaP256) {
    return malformed("attestation key type " + std::to_string(header.attestation_key_type) +
                     " is not supported (2, ECDSA P-256, is)");
  }
  const bool is_known_tee = header.tee_type == kTeeTypeSgx || header.tee_type == kTeeTypeTdx;
  // In version 3 the field is reserved.
  if (!is_known_tee || (header.version == kQuoteVersion3 && header.tee_type != kTeeTypeSgx)) {
    return malformed("TEE type " + std::to_string(header.tee_type) + " is not supported in version " +
                     std::to_string(header.version));
  }
  return header;
}

// Which body follows, and how large it is.
Result<BodyFacts> read_body_descriptor(ByteReader& reader, const QuoteHeader& header) {
  if (header.version != kQuoteVersion5) return header.tee_type == kTeeTypeSgx ? kBodies[0] : kBodies[1];
  const std::uint16_t type = CASEMATE_TRY(reader.number<std::uint16_t>());
  const std::uint32_t size = CASEMATE_TRY(reader.number<std::uint32_t>());
  for (const BodyFacts& facts : kBodies) {
    if (facts.type != type) continue;
    if (facts.tee_type != header.tee_type) return malformed("body type and TEE type contradict each other");
    if (facts.size != size) return malformed("body of " + std::to_string(size) + " bytes");
    return facts;
  }
  return malformed("body type " + std::to_string(type) + " is not supported");
}

Result<void> read_body(ByteReader& reader, DcapQuote& quote) {
  const BodyFacts facts = CASEMATE_TRY(read_body_descriptor(reader, quote.header));
  const ByteView bytes = CASEMATE_TRY(reader.take(facts.size));
  quote.body_type = facts.type;
  if (facts.type == kBodySgx) {
    quote.body = CASEMATE_TRY(parse_sgx_report_body(bytes));
  } else {
    quote.body = CASEMATE_TRY(parse_td_report_body(bytes));
  }
  return {};
}

struct CertificationData {
  CertificationDataType type;
  ByteView data;
};

Result<CertificationData> read_certification_data(ByteReader& reader) {
  const std::uint16_t type = CASEMATE_TRY(reader.number<std::uint16_t>());
  const std::uint32_t size = CASEMATE_TRY(reader.number<std::uint32_t>());
  if (type < 1 || type > 7) return malformed("certification data of type " + std::to_string(type));
  return CertificationData{static_cast<CertificationDataType>(type), CASEMATE_TRY(reader.take(size))};
}

// QE report, its signature, authentication data and certification data: the tail of version 3, wrapped in certification
// data of type 6 later.
Result<void> read_quoting_enclave_part(ByteReader& reader, DcapQuote& quote) {
  quote.qe_report_bytes = CASEMATE_TRY(reader.take(kSgxReportBodySize));
  quote.qe_report = CASEMATE_TRY(parse_sgx_report_body(quote.qe_report_bytes));
  quote.qe_report_signature = CASEMATE_TRY(reader.take(kSignatureSize));
  const std::uint16_t size = CASEMATE_TRY(reader.number<std::uint16_t>());
  quote.qe_authentication_data = CASEMATE_TRY(reader.take(size));
  const CertificationData certification = CASEMATE_TRY(read_certification_data(reader));
  if (certification.type == CertificationDataType::kQeReport) return malformed("certification data nested twice");
  quote.certification_type = certification.type;
  quote.certification_data = certification.data;
  return reader.finish();
}

Result<void> read_signature_data(ByteView data, DcapQuote& quote) {
  ByteReader reader(data, "quote signature data");
  quote.signature = CASEMATE_TRY(reader.take(kSignatureSize));
  quote.attestation_key = CASEMATE_TRY(reader.take(kKeySize));
  if (quote.header.version == kQuoteVersion3) return read_quoting_enclave_part(reader, quote);
  const CertificationData outer = CASEMATE_TRY(read_certification_data(reader));
  if (outer.type != CertificationDataType::kQeReport) {
    return malformed("certification data of type " + std::to_string(static_cast<unsigned>(outer.type)) +
                     " instead of 6");
  }
  if (Result<void> end = reader.finish(); !end) return end;
  ByteReader inner(outer.data, "QE report certification data");
  return read_quoting_enclave_part(inner, quote);
}

void append_certification_data(Bytes& target, CertificationDataType type, ByteView data) {
  append_number(target, static_cast<std::uint16_t>(type));
  append_number(target, static_cast<std::uint32_t>(data.size()));
  crypto::append(target, data);
}

}  // namespace

const FixedBytes<16> kIntelQuotingEnclaveVendor = {std::byte{0x93}, std::byte{0x9a}, std::byte{0x72}, std::byte{0x33},
                                                   std::byte{0xf7}, std::byte{0x9c}, std::byte{0x4c}, std::byte{0xa9},
                                                   std::byte{0x94}, std::byte{0x0a}, std::byte{0x0d}, std::byte{0xb3},
                                                   std::byte{0x95}, std::byte{0x7f}, std::byte{0x06}, std::byte{0x07}};

Result<DcapQuote> parse_dcap_quote(ByteView data) {
  ByteReader reader(data, "quote");
  DcapQuote quote;
  quote.header = CASEMATE_TRY(read_header(reader));
  if (Result<void> read = read_body(reader, quote); !read) return read.error();
  quote.signed_bytes = data.first(data.size() - reader.left());
  const std::uint32_t size = CASEMATE_TRY(reader.number<std::uint32_t>());
  const ByteView signature_data = CASEMATE_TRY(reader.take(size));
  if (Result<void> read = read_signature_data(signature_data, quote); !read) return read.error();
  quote.trailing_size = reader.left();
  quote.size = data.size() - reader.left();
  return quote;
}

bool looks_like_dcap_quote(ByteView data) {
  if (data.size() < kQuoteHeaderSize) return false;
  const FieldView view(data);
  return view.bytes<16>(12) == kIntelQuotingEnclaveVendor;
}

Bytes build_quote_signed_part(const QuoteHeader& header, const std::variant<SgxReportBody, TdReportBody>& body) {
  Bytes bytes = FieldWriter(kQuoteHeaderSize)
                    .number(0, header.version)
                    .number(2, header.attestation_key_type)
                    .number(4, header.tee_type)
                    .number(8, header.qe_svn)
                    .number(10, header.pce_svn)
                    .bytes(12, header.qe_vendor)
                    .bytes(28, header.user_data)
                    .finish();
  const Bytes body_bytes = std::visit([](const auto& report) { return build(report); }, body);
  if (header.version == kQuoteVersion5) {
    for (const BodyFacts& facts : kBodies) {
      if (facts.size == body_bytes.size()) append_number(bytes, facts.type);
    }
    append_number(bytes, static_cast<std::uint32_t>(body_bytes.size()));
  }
  crypto::append(bytes, body_bytes);
  return bytes;
}

Bytes build_quote(ByteView signed_part, const QuoteSignatureParts& parts) {
  Bytes inner = crypto::to_bytes(parts.qe_report);
  crypto::append(inner, parts.qe_report_signature);
  append_number(inner, static_cast<std::uint16_t>(parts.qe_authentication_data.size()));
  crypto::append(inner, parts.qe_authentication_data);
  append_certification_data(inner, parts.certification_type, parts.certification_data);

  Bytes signature_data = crypto::to_bytes(parts.signature);
  crypto::append(signature_data, parts.attestation_key);
  const std::uint16_t version = FieldView(signed_part).number<std::uint16_t>(0);
  if (version == kQuoteVersion3) {
    crypto::append(signature_data, inner);
  } else {
    append_certification_data(signature_data, CertificationDataType::kQeReport, inner);
  }
  Bytes quote = crypto::to_bytes(signed_part);
  append_number(quote, static_cast<std::uint32_t>(signature_data.size()));
  crypto::append(quote, signature_data);
  return quote;
}

}  // namespace casemate::evidence
