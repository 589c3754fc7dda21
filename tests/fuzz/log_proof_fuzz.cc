// Receipts, consistency proofs, exports, heads and entries: whatever parses must come out as the same bytes again, and
// must be verified without crashing.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cas/log/proof_files.h"

namespace {

using namespace casemate;
using namespace casemate::cas;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

template <typename Verify>
void exercise(std::string_view text, const auto& parsed, Verify verify) {
  if (!parsed) return;
  require(to_text(parsed.value()) == text);
  static_cast<void>(verify(parsed.value()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  exercise(text, parse_receipt(text),
           [](const Receipt& receipt) { return verify_receipt(receipt, receipt.head.head.log_id).has_value(); });
  exercise(text, parse_consistency_proof(text), [](const ConsistencyProof& proof) {
    return verify_consistency_proof(proof, proof.newer.head.log_id).has_value();
  });
  exercise(text, parse_export(text),
           [](const LogExport& log) { return verify_export(log, log.head.head.log_id).has_value(); });
  if (const auto head = parse_note(text); head) require(to_note(head.value()) == text);
  if (const auto entry = decode_entry(crypto::as_byte_view(text)); entry) {
    require(crypto::equal(encode_entry(entry.value()).value(), crypto::as_byte_view(text)));
    static_cast<void>(describe_entry(entry.value()));
  }
  return 0;
}
