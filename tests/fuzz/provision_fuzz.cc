// Provisioning messages and start requests: whatever decodes must encode to the same bytes.
#include <cstddef>
#include <cstdint>

#include "protocol/provision.h"
#include "protocol/start_request.h"

namespace {

using namespace casemate;
using namespace casemate::protocol;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

template <typename Decoded>
void exercise(ByteView bytes, const Decoded& decoded) {
  if (decoded) require(crypto::equal(encode(decoded.value()), bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes = std::as_bytes(std::span(data, size));
  exercise(bytes, decode_challenge(bytes));
  exercise(bytes, decode_request(bytes));
  exercise(bytes, decode_configuration(bytes));
  exercise(bytes, decode_tag_update(bytes));
  exercise(bytes, decode_tag_answer(bytes));
  exercise(bytes, decode_start_request(bytes));
  if (const auto answer = decode_answer(bytes); answer) {
    const Answer& value = answer.value();
    require(crypto::equal(value.is_granted ? encode(value.grant) : encode(value.refusal), bytes));
  }
  return 0;
}
