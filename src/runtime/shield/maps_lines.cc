#include "runtime/shield/maps_lines.h"

#include "runtime/intercept/line.h"
#include "runtime/intercept/thread.h"
#include "runtime/shield/arena.h"
#include "runtime/shield/channel.h"

namespace casemate::runtime {
namespace {

inline constexpr std::uint64_t kPathColumn = 73;  // fs/proc/task_mmu.c, seq_pad

const char* field(const char* line, unsigned index) {
  for (; index > 0; --index) {
    while (*line != 0 && *line != ' ') ++line;
    while (*line == ' ') ++line;
  }
  return line;
}

std::uint64_t number_at(const char* digits) {
  std::uint64_t value = 0;
  while (*digits >= '0' && *digits <= '9') value = value * 10 + static_cast<std::uint64_t>(*digits++ - '0');
  return value;
}

bool starts_with(const char* text, const char* prefix) {
  while (*prefix != 0) {
    if (*text++ != *prefix++) return false;
  }
  return true;
}

// At least two digits.
char* put_hex(char* out, std::uint64_t value) {
  int shift = 4;
  while (shift < 28 && (value >> (shift + 4)) != 0) shift += 4;
  for (; shift >= 0; shift -= 4) *out++ = "0123456789abcdef"[(value >> shift) & 15];
  return out;
}

}  // namespace

std::uint64_t shielded_maps_line(const char* line, char* out, std::uint64_t capacity) {
  const char* const device = field(line, 3);
  const char* const inode = field(line, 4);
  if (!starts_with(field(line, 5), "/memfd:")) return 0;
  const std::uint32_t slot = slot_of_inode(number_at(inode));
  if (slot == kNoSlot) return 0;
  Thread& thread = current_thread();
  if (is_error(slot_request(thread, protocol::Operation::kPathOf, slot))) return 0;
  const RequestMemory& memory = *thread.request_memory;
  const auto kept = static_cast<std::uint64_t>(device - line);
  if (kept + 64 + kPathColumn + memory.reply.data_size > capacity) return 0;
  const protocol::ShieldAttributes& attributes = slot_at(slot).attributes;
  __builtin_memcpy(out, line, kept);
  char* at = put_hex(out + kept, (attributes.device & 0xfff00) >> 8);
  *at++ = ':';
  at = put_hex(at, (attributes.device & 0xff) | ((attributes.device >> 12) & 0xfff00));
  *at++ = ' ';
  Line number;
  number.number(static_cast<std::int64_t>(attributes.inode));
  __builtin_memcpy(at, number.data(), number.size());
  at += number.size();
  do {
    *at++ = ' ';
  } while (static_cast<std::uint64_t>(at - out) < kPathColumn);
  __builtin_memcpy(at, reply_data(memory), memory.reply.data_size);
  return static_cast<std::uint64_t>(at - out) + memory.reply.data_size;
}

}  // namespace casemate::runtime
