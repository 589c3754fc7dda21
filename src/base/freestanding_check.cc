// Compiled with the runtime core's flags, linked into nothing: proves that the freestanding half of base stays
// freestanding. The core symbol check (tools/check-core-symbols) looks at this object, too.
#include "base/text_buffer.h"

namespace casemate {

extern "C" std::size_t casemate_base_freestanding_check(char* buffer, std::size_t capacity, std::int64_t value) {
  TextBuffer text(buffer, capacity);
  text.append("value ").append_signed(value).append(' ').append_hex(static_cast<std::uint64_t>(value), 16);
  text.append_octal(0644).append_padded(static_cast<std::uint64_t>(value), 9);
  return text.size();
}

}  // namespace casemate
