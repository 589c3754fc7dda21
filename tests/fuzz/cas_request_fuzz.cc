// What clients of the CAS send: addresses, bodies of every route, signature files. Nothing may be accepted that has
// other keys than the route knows; nothing may be read out of bounds.
#include <cstdint>
#include <string_view>

#include "cas/api/request_body.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace casemate::cas;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto target = parse_target(text)) {
    // Decoding never makes a text longer, and leaves no control characters.
    if (target.value().path.size() > size) __builtin_trap();
    for (const char c : target.value().path) {
      if (static_cast<unsigned char>(c) < 0x20) __builtin_trap();
    }
  }
  static_cast<void>(parse_decision(text));
  const auto version = parse_request_body(text, {BodyKey::kText}, {BodyKey::kDecisions, BodyKey::kBreakGlass});
  if (version && (version.value().decisions.size() > 64 || !version.value().proof.empty())) __builtin_trap();
  const auto backup = parse_request_body(text, {BodyKey::kHolders, BodyKey::kThreshold}, {});
  if (backup && !backup.value().threshold) __builtin_trap();
  static_cast<void>(parse_request_body(text, {}, {BodyKey::kProof, BodyKey::kHead}));
  return 0;
}
