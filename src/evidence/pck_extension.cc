#include "evidence/pck_extension.h"

#include <limits>
#include <set>

#include "crypto/asn1.h"

namespace casemate::evidence {
namespace {

using crypto::DerReader;
namespace der_tag = crypto::der_tag;

constexpr std::uint64_t kPpid = 1, kTcb = 2, kPceId = 3, kFmspc = 4, kSgxType = 5, kPlatformInstance = 6;
constexpr std::uint64_t kTcbPceSvn = 17, kTcbCpuSvn = 18;

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "PCK certificate extension: " + what); }

// The arc of `oid` below the extension's own, when it is directly below `parent`.
Result<std::uint64_t> arc_below(const std::string& oid, const std::string& parent) {
  if (!oid.starts_with(parent + ".") || oid.size() > parent.size() + 3) return malformed("unexpected field " + oid);
  std::uint64_t arc = 0;
  for (char digit : oid.substr(parent.size() + 1)) {
    if (digit < '0' || digit > '9') return malformed("unexpected field " + oid);
    arc = arc * 10 + static_cast<std::uint64_t>(digit - '0');
  }
  return arc;
}

template <std::size_t kSize>
Result<FixedBytes<kSize>> read_octets(DerReader& reader) {
  const ByteView contents = CASEMATE_TRY(reader.read(der_tag::kOctetString)).contents;
  if (contents.size() != kSize) return malformed("a field of " + std::to_string(contents.size()) + " bytes");
  return FieldView(contents).bytes<kSize>(0);
}

template <typename Number>
Result<Number> read_small(DerReader& reader, std::uint8_t tag) {
  const std::uint64_t value = CASEMATE_TRY(reader.read_number(tag));
  if (value > std::numeric_limits<Number>::max()) return malformed("a number out of range");
  return static_cast<Number>(value);
}

Result<void> read_tcb_field(std::uint64_t arc, DerReader& reader, PckExtension& extension) {
  if (arc >= 1 && arc <= extension.component_svns.size()) {
    extension.component_svns[arc - 1] = CASEMATE_TRY(read_small<std::uint8_t>(reader, der_tag::kInteger));
    return {};
  }
  if (arc == kTcbPceSvn) {
    extension.pce_svn = CASEMATE_TRY(read_small<std::uint16_t>(reader, der_tag::kInteger));
    return {};
  }
  if (arc != kTcbCpuSvn) return malformed("unexpected TCB field");
  extension.cpu_svn = CASEMATE_TRY(read_octets<16>(reader));
  return {};
}

// Calls `handle(arc, value reader)` for every { OID, value } pair; each arc at most once.
template <typename Handler>
Result<std::set<std::uint64_t>> read_pairs(DerReader pairs, const std::string& parent, Handler handle) {
  std::set<std::uint64_t> seen;
  while (!pairs.at_end()) {
    DerReader pair = CASEMATE_TRY(pairs.enter(der_tag::kSequence));
    const std::string oid = CASEMATE_TRY(pair.read_object_identifier());
    const std::uint64_t arc = CASEMATE_TRY(arc_below(oid, parent));
    if (!seen.insert(arc).second) return malformed("field " + oid + " twice");
    if (Result<void> handled = handle(arc, pair); !handled) return handled.error();
    if (Result<void> end = pair.finish(); !end) return end.error();
  }
  return seen;
}

Result<void> read_tcb(DerReader& reader, PckExtension& extension) {
  DerReader pairs = CASEMATE_TRY(reader.enter(der_tag::kSequence));
  const auto seen =
      CASEMATE_TRY(read_pairs(pairs, std::string(kPckExtensionOid) + ".2", [&](std::uint64_t arc, DerReader& value) {
        return read_tcb_field(arc, value, extension);
      }));
  if (seen.size() != kTcbCpuSvn) return malformed("an incomplete TCB");
  return {};
}

Result<void> read_field(std::uint64_t arc, DerReader& reader, PckExtension& extension) {
  switch (arc) {
    case kPpid:
      extension.ppid = CASEMATE_TRY(read_octets<16>(reader));
      return {};
    case kTcb:
      return read_tcb(reader, extension);
    case kPceId:
      extension.pce_id = CASEMATE_TRY(read_octets<2>(reader));
      return {};
    case kFmspc:
      extension.fmspc = CASEMATE_TRY(read_octets<6>(reader));
      return {};
    case kSgxType:
      extension.sgx_type = CASEMATE_TRY(read_small<std::uint8_t>(reader, der_tag::kEnumerated));
      return {};
    case kPlatformInstance:
      extension.platform_instance_id = CASEMATE_TRY(read_octets<16>(reader));
      return {};
    default:  // configuration, and what later profiles add
      if (Result<crypto::DerElement> skipped = reader.read(); !skipped) return skipped.error();
      return {};
  }
}

Bytes pair(const std::string& oid, Bytes value) {
  return crypto::der(der_tag::kSequence, {crypto::der_object_identifier(oid), std::move(value)});
}

}  // namespace

Result<PckExtension> parse_pck_extension(ByteView value) {
  PckExtension extension;
  DerReader pairs = CASEMATE_TRY(crypto::enter_only(value, der_tag::kSequence));
  const auto seen =
      CASEMATE_TRY(read_pairs(pairs, std::string(kPckExtensionOid),
                              [&](std::uint64_t arc, DerReader& field) { return read_field(arc, field, extension); }));
  for (std::uint64_t required : {kPpid, kTcb, kPceId, kFmspc, kSgxType}) {
    if (!seen.contains(required)) return malformed("field " + std::to_string(required) + " is missing");
  }
  return extension;
}

Bytes build(const PckExtension& extension) {
  const std::string base(kPckExtensionOid);
  Bytes tcb;
  for (std::size_t i = 0; i < extension.component_svns.size(); ++i) {
    crypto::append(tcb, pair(base + ".2." + std::to_string(i + 1), crypto::der_integer(extension.component_svns[i])));
  }
  crypto::append(tcb, pair(base + ".2.17", crypto::der_integer(extension.pce_svn)));
  crypto::append(tcb, pair(base + ".2.18", crypto::der(der_tag::kOctetString, extension.cpu_svn)));

  Bytes fields = pair(base + ".1", crypto::der(der_tag::kOctetString, extension.ppid));
  crypto::append(fields, pair(base + ".2", crypto::der(der_tag::kSequence, tcb)));
  crypto::append(fields, pair(base + ".3", crypto::der(der_tag::kOctetString, extension.pce_id)));
  crypto::append(fields, pair(base + ".4", crypto::der(der_tag::kOctetString, extension.fmspc)));
  const Bytes type{std::byte{extension.sgx_type}};
  crypto::append(fields, pair(base + ".5", crypto::der(der_tag::kEnumerated, type)));
  if (extension.platform_instance_id) {
    crypto::append(fields, pair(base + ".6", crypto::der(der_tag::kOctetString, *extension.platform_instance_id)));
  }
  return crypto::der(der_tag::kSequence, fields);
}

}  // namespace casemate::evidence
