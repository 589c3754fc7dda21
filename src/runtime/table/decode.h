// Turns the arguments and the result of a system call into text, from the argument kinds of the table.
//
// What a hostile program can do here -> what we answer
//  - hand over any address, or change memory while we read -> copies through copy_from_guest; unreadable memory is
//  shown
//    as its address
//  - any count or length                                   -> element, string and line limits below; lengths are
//  clamped
//    before they size a copy
//  - control characters in strings                         -> escaped
#pragma once

#include <cstdint>

#include "runtime/memory/guest.h"
#include "runtime/table/table.h"
#include "runtime/table/text_writer.h"
#include "runtime/table/value_names.h"

namespace casemate::runtime {

// Arrays show so many elements, then "...".
inline constexpr std::uint64_t kElementLimit = 16;

enum class CallPhase : std::uint8_t {
  kEntered,   // before the call: out arguments hold nothing yet
  kReturned,  // `result` is valid
};

struct CallView {
  const SyscallEntry& entry;
  const std::uint64_t* arguments;  // six
  long result;
  CallPhase phase;
  std::uint32_t string_limit;  // bytes of buffers and strings that are shown; paths are shown in full
  TextWriter& out;

  const ArgumentKind& kind(unsigned index) const { return entry.arguments[index]; }
  bool has_succeeded() const { return phase == CallPhase::kReturned && result >= 0; }
  // Whether memory of this direction holds something to show.
  bool is_filled(Direction direction) const {
    return direction == Direction::kOut ? has_succeeded() : direction != Direction::kNone;
  }
};

// "AT_FDCWD, "/etc/passwd", O_RDONLY"
void write_arguments(const CallView& view);
// "3", "-1 ENOENT (No such file or directory)", "0x7f0000000000"
void write_result(const CallView& view);

// Parts, each in the file of its name. `index` is the argument's.
void write_address(TextWriter& out, std::uint64_t address);  // NULL or 0x...
// A string literal of at most `limit` of the `size` bytes at `address`.
void write_bytes(TextWriter& out, GuestAddr address, std::uint64_t size, std::uint64_t limit);
// A NUL-terminated string.
void write_string(TextWriter& out, GuestAddr address, std::uint64_t limit);

// decode_structures.cc. False when the memory is not readable or the structure has no decoder: show the address then.
[[nodiscard]] bool write_structure(TextWriter& out, Structure structure, GuestAddr address, std::uint64_t size);
void write_structure_or_address(TextWriter& out, Structure structure, std::uint64_t address);
void write_device(TextWriter& out, std::uint64_t device);
void write_signal_set(TextWriter& out, std::uint64_t set);
void write_signal_info(TextWriter& out, const void* bytes);  // 128 bytes

// decode_sockets.cc
void write_socket_address(TextWriter& out, GuestAddr address, std::uint64_t size);
void write_socket_address_argument(const CallView& view, unsigned index);
void write_message(const CallView& view, unsigned index);
void write_messages(const CallView& view, unsigned index);
void write_option_name(const CallView& view, unsigned index);
void write_option_value(const CallView& view, GuestAddr address, std::uint64_t size);
void write_io_vector(const CallView& view, GuestAddr vector, std::uint64_t count, Direction direction,
                     std::uint64_t transferred);

// decode_requests.cc: arguments whose meaning depends on another one.
void write_ioctl_request(TextWriter& out, std::uint64_t request);
void write_ioctl_argument(const CallView& view, unsigned index);
void write_fcntl_argument(const CallView& view, unsigned index);
void write_prctl_argument(const CallView& view, unsigned index);
void write_arch_prctl_argument(const CallView& view, unsigned index);
void write_futex_timeout(const CallView& view, unsigned index);
void write_semctl_argument(const CallView& view, unsigned index);
// How many arguments this call really has: open without O_CREAT has no mode, F_GETFL no third argument.
unsigned used_argument_count(const CallView& view);
// " (flags O_RDWR)" behind the result of F_GETFL.
void write_result_detail(const CallView& view);

}  // namespace casemate::runtime
