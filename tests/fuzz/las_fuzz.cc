// What the local attestation service reads from others: aesmd's answers, the kernel's text about a process, the head of
// an executable, and its own evidence. The first byte chooses the parser.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "evidence/simulation.h"
#include "las/aesm_message.h"
#include "las/image_layout.h"
#include "las/process_text.h"

namespace {

using casemate::crypto::ByteView;

void read_aesm(ByteView bytes) {
  static_cast<void>(casemate::las::parse_init_quote_response(bytes));
  static_cast<void>(casemate::las::parse_quote_size_response(bytes));
  static_cast<void>(casemate::las::parse_quote_response(bytes));
}

void read_text(ByteView bytes) {
  const std::string_view text = casemate::crypto::as_text(bytes);
  static_cast<void>(casemate::las::parse_maps(text));
  static_cast<void>(casemate::las::parse_smaps(text));
  static_cast<void>(casemate::las::parse_status(text));
  static_cast<void>(casemate::las::parse_start_time(text));
}

// Whatever the executable asks for, an empty address space is not it.
void read_image(ByteView bytes) {
  const auto expected = casemate::las::expected_mappings(bytes);
  if (!expected.has_value()) return;
  if (expected.value().empty() || expected.value().size() > 32) std::abort();
  const auto refusal = casemate::las::judge_mappings({}, expected.value(), {"00:00", 1});
  if (refusal == casemate::protocol::LasRefusal::kNone) std::abort();
}

// What is accepted is written back the same.
void read_evidence(ByteView bytes) {
  const auto evidence = casemate::evidence::parse_process_evidence(bytes);
  if (!evidence.has_value()) return;
  if (!casemate::crypto::equal(casemate::evidence::serialize(evidence.value()), bytes)) std::abort();
}

constexpr void (*kParsers[])(ByteView) = {read_aesm, read_text, read_image, read_evidence};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView rest = std::as_bytes(std::span(data, size)).subspan(1);
  kParsers[data[0] % std::size(kParsers)](rest);
  return 0;
}
