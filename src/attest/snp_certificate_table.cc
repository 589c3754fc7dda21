#include "attest/snp_verifier.h"
#include "evidence/byte_reader.h"

#include <array>

namespace casemate::attest {
namespace {

using evidence::ByteView;
using evidence::FieldView;

constexpr std::size_t kEntrySize = 24, kGuidSize = 16, kMaximumEntryCount = 32;

enum class EntryKind { kCertificate, kRevocationList };
struct GuidFacts {
  std::string_view digits;
  EntryKind kind;
};
constexpr std::array kGuids = {
    GuidFacts{"63da758de6644564adc5f4b93be8accd", EntryKind::kCertificate},  // VCEK
    GuidFacts{"a8074bc2a25a483eaae639c045a0b8a1", EntryKind::kCertificate},  // VLEK
    GuidFacts{"4ab7b379bbac4fe4a02f05aef327c782", EntryKind::kCertificate},  // ASK or ASVK
    GuidFacts{"c0b406a4a803495297433fb6014cd0ae", EntryKind::kCertificate},  // ARK
    GuidFacts{"92f81bc358114d3d97ffd19f88dc67ea", EntryKind::kRevocationList},
};

}  // namespace

Result<SnpEndorsements> parse_snp_certificate_table(ByteView table) {
  SnpEndorsements endorsements;
  for (std::size_t i = 0; i < kMaximumEntryCount; ++i) {
    const std::size_t offset = i * kEntrySize;
    if (table.size() < kEntrySize || offset > table.size() - kEntrySize) break;
    const FieldView entry(table.subspan(offset, kEntrySize));
    if (entry.is_zero(0, kGuidSize)) return endorsements;
    const std::string guid = crypto::to_hex(entry.bytes<kGuidSize>(0));
    const auto begin = entry.number<std::uint32_t>(16), size = entry.number<std::uint32_t>(20);
    if (begin > table.size() || size > table.size() - begin) {
      return Error(ErrorCategory::kFormat, "SNP certificate table: entry " + std::to_string(i) + " lies outside of it");
    }
    for (const GuidFacts& facts : kGuids) {
      if (facts.digits != guid) continue;
      auto& list = facts.kind == EntryKind::kCertificate ? endorsements.certificates : endorsements.revocation_lists;
      list.push_back(crypto::to_bytes(table.subspan(begin, size)));
    }
  }
  return Error(ErrorCategory::kFormat, "SNP certificate table: it does not end");
}

}  // namespace casemate::attest
