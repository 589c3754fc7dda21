#include <algorithm>

#include "crypto/asn1.h"
#include "crypto/certificate.h"
#include "crypto/signed_structure.h"

namespace casemate::crypto {
namespace {

constexpr std::uint64_t kVersion2 = 1;
constexpr std::size_t kMaximumExtensionCount = 32;

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "revocation list: " + what); }

bool is_time(const DerReader& reader) {
  return reader.next_is(der_tag::kUtcTime) || reader.next_is(der_tag::kGeneralizedTime);
}

// One entry: SEQUENCE { serial, date, extensions OPTIONAL }.
Result<ByteView> read_entry(DerReader& entries) {
  DerReader entry = CASEMATE_TRY(entries.enter(der_tag::kSequence));
  const ByteView serial = CASEMATE_TRY(entry.read_unsigned());
  if (Result<std::int64_t> date = entry.read_time(); !date) return date.error();
  if (!entry.at_end()) {
    if (Result<DerElement> extensions = entry.read(der_tag::kSequence); !extensions) return extensions.error();
  }
  if (Result<void> end = entry.finish(); !end) return end.error();
  return serial;
}

}  // namespace

Result<RevocationList> RevocationList::from_der(ByteView der) {
  const SignedStructure structure = CASEMATE_TRY(read_signed_structure(der));
  RevocationList list;
  list.der_ = to_bytes(der);
  list.signed_part_ = structure.part;
  if (Result<void> read = list.read_signed_part(structure.contents); !read) {
    return read.error().with_context("revocation list");
  }
  return list;
}

Result<void> RevocationList::read_signed_part(ByteView bytes) {
  DerReader reader(bytes);
  if (CASEMATE_TRY(reader.read_number()) != kVersion2) return malformed("not of version 2");
  const ByteView algorithm = CASEMATE_TRY(reader.read(der_tag::kSequence)).whole;
  if (!names_algorithm_of(signed_part_, algorithm)) return malformed("two different signature algorithms");
  issuer_ = CASEMATE_TRY(read_name(reader));
  this_update_ = CASEMATE_TRY(reader.read_time());
  if (is_time(reader)) next_update_ = CASEMATE_TRY(reader.read_time());
  if (reader.next_is(der_tag::kSequence)) {
    const ByteView entries = CASEMATE_TRY(reader.read()).contents;
    if (Result<void> read = read_entries(entries); !read) return read;
  }
  if (reader.next_is(der_tag::context_constructed(0))) {
    const ByteView extensions = CASEMATE_TRY(reader.read()).contents;
    if (Result<void> read = read_extensions(extensions); !read) return read;
  }
  return reader.finish();
}

// Everything is read once here, so that lists() meets nothing malformed.
Result<void> RevocationList::read_entries(ByteView contents) {
  for (DerReader entries(contents); !entries.at_end(); ++entry_count_) {
    if (Result<ByteView> serial = read_entry(entries); !serial) return serial.error();
  }
  entries_ = to_bytes(contents);
  return {};
}

Result<void> RevocationList::read_extensions(ByteView contents) {
  for (const CertificateExtension& extension : CASEMATE_TRY(read_extension_list(contents, kMaximumExtensionCount))) {
    if (extension.is_critical) unknown_critical_extensions_.push_back(extension.oid);
  }
  return {};
}

bool RevocationList::lists(ByteView serial) const {
  for (DerReader entries(entries_); !entries.at_end();) {
    Result<ByteView> listed = read_entry(entries);
    if (!listed) return true;  // cannot be: read_entries saw all of them; a damaged list must not clear anybody
    if (equal(listed.value(), serial)) return true;
  }
  return false;
}

}  // namespace casemate::crypto
