// The words in which syscalls.def describes arguments. Only table.cc needs them.
//
// A word is a constant (`fd`, `path`, any name of value_sets.def) or a function of a structure and of the index of the
// argument that carries a size: `out_buffer(2)`, `in(timespec)`, `out_array(epoll_event, 2)`.
#pragma once

#include "runtime/table/table.h"

namespace casemate::runtime::vocabulary {

using enum Structure;

#define VALUE_SET(name) \
  inline constexpr ArgumentKind name{ArgumentForm::kValue, Direction::kNone, static_cast<std::uint8_t>(ValueSet::name)};
#include "runtime/table/value_sets.def"
#undef VALUE_SET

inline constexpr ArgumentKind fd{ArgumentForm::kFd};
inline constexpr ArgumentKind dirfd{ArgumentForm::kDirFd};
inline constexpr ArgumentKind pid{ArgumentForm::kPid};
inline constexpr ArgumentKind id{ArgumentForm::kId};
inline constexpr ArgumentKind signal{ArgumentForm::kSignal};
inline constexpr ArgumentKind mode{ArgumentForm::kMode};
inline constexpr ArgumentKind size{ArgumentForm::kSize};
inline constexpr ArgumentKind count{ArgumentForm::kCount};
inline constexpr ArgumentKind offset{ArgumentForm::kOffset};
inline constexpr ArgumentKind number{ArgumentForm::kNumber};
inline constexpr ArgumentKind long_number{ArgumentForm::kLong};
inline constexpr ArgumentKind hex{ArgumentForm::kHex};
inline constexpr ArgumentKind device{ArgumentForm::kDevice};
inline constexpr ArgumentKind reserved{ArgumentForm::kReserved};
inline constexpr ArgumentKind address{ArgumentForm::kAddress};
inline constexpr ArgumentKind futex_word{ArgumentForm::kFutexWord};
inline constexpr ArgumentKind path{ArgumentForm::kPath, Direction::kIn};
inline constexpr ArgumentKind string{ArgumentForm::kString, Direction::kIn};
inline constexpr ArgumentKind strings{ArgumentForm::kStringArray, Direction::kIn};
inline constexpr ArgumentKind in_message{ArgumentForm::kMessage, Direction::kIn};
inline constexpr ArgumentKind out_message{ArgumentForm::kMessage, Direction::kOut};
inline constexpr ArgumentKind length_pointer{ArgumentForm::kLengthPointer, Direction::kInOut};

constexpr ArgumentKind pointed(ArgumentForm form, Direction direction, int reference) {
  return {form, direction, 0, static_cast<std::int8_t>(reference)};
}
constexpr ArgumentKind structured(ArgumentForm form, Direction direction, Structure structure,
                                  int reference = kNoReference) {
  return {form, direction, static_cast<std::uint8_t>(structure), static_cast<std::int8_t>(reference)};
}

constexpr ArgumentKind in(Structure s) { return structured(ArgumentForm::kStructure, Direction::kIn, s); }
constexpr ArgumentKind out(Structure s) { return structured(ArgumentForm::kStructure, Direction::kOut, s); }
constexpr ArgumentKind in_out(Structure s) { return structured(ArgumentForm::kStructure, Direction::kInOut, s); }
constexpr ArgumentKind in_sized(Structure s, int k) { return structured(ArgumentForm::kSized, Direction::kIn, s, k); }
constexpr ArgumentKind out_sized(Structure s, int k) { return structured(ArgumentForm::kSized, Direction::kOut, s, k); }
constexpr ArgumentKind in_out_sized(Structure s, int k) {
  return structured(ArgumentForm::kSized, Direction::kInOut, s, k);
}
constexpr ArgumentKind in_array(Structure s, int k) { return structured(ArgumentForm::kArray, Direction::kIn, s, k); }
constexpr ArgumentKind out_array(Structure s, int k) { return structured(ArgumentForm::kArray, Direction::kOut, s, k); }
constexpr ArgumentKind in_out_array(Structure s, int k) {
  return structured(ArgumentForm::kArray, Direction::kInOut, s, k);
}
constexpr ArgumentKind in_several(Structure s, int elements) {
  return structured(ArgumentForm::kFixedArray, Direction::kIn, s, elements);
}
constexpr ArgumentKind in_buffer(int k) { return pointed(ArgumentForm::kBuffer, Direction::kIn, k); }
constexpr ArgumentKind out_buffer(int k) { return pointed(ArgumentForm::kBuffer, Direction::kOut, k); }
constexpr ArgumentKind out_block(int k) { return pointed(ArgumentForm::kBlock, Direction::kOut, k); }
constexpr ArgumentKind out_pointed_buffer(int k) { return pointed(ArgumentForm::kPointedBuffer, Direction::kOut, k); }
constexpr ArgumentKind in_bits(int k) { return pointed(ArgumentForm::kBits, Direction::kIn, k); }
constexpr ArgumentKind out_bits(int k) { return pointed(ArgumentForm::kBits, Direction::kOut, k); }
constexpr ArgumentKind in_out_bits(int k) { return pointed(ArgumentForm::kBits, Direction::kInOut, k); }
constexpr ArgumentKind in_byte_bits(int k) { return pointed(ArgumentForm::kByteBits, Direction::kIn, k); }
constexpr ArgumentKind out_byte_bits(int k) { return pointed(ArgumentForm::kByteBits, Direction::kOut, k); }
constexpr ArgumentKind out_pages(int k) { return pointed(ArgumentForm::kPages, Direction::kOut, k); }
constexpr ArgumentKind in_iovec(int k) { return pointed(ArgumentForm::kIoVector, Direction::kIn, k); }
constexpr ArgumentKind out_iovec(int k) { return pointed(ArgumentForm::kIoVector, Direction::kOut, k); }
constexpr ArgumentKind in_messages(int k) { return pointed(ArgumentForm::kMessages, Direction::kIn, k); }
constexpr ArgumentKind out_messages(int k) { return pointed(ArgumentForm::kMessages, Direction::kOut, k); }
constexpr ArgumentKind in_sockaddr(int k) { return pointed(ArgumentForm::kSocketAddress, Direction::kIn, k); }
constexpr ArgumentKind out_sockaddr(int k) { return pointed(ArgumentForm::kSocketAddress, Direction::kOut, k); }
constexpr ArgumentKind ioctl_argument(int k) { return pointed(ArgumentForm::kIoctlArgument, Direction::kInOut, k); }
constexpr ArgumentKind fcntl_argument(int k) { return pointed(ArgumentForm::kFcntlArgument, Direction::kInOut, k); }
constexpr ArgumentKind prctl_argument(int k) { return pointed(ArgumentForm::kPrctlArgument, Direction::kInOut, k); }
constexpr ArgumentKind arch_prctl_argument(int k) {
  return pointed(ArgumentForm::kArchPrctlArgument, Direction::kInOut, k);
}
constexpr ArgumentKind futex_timeout(int k) { return pointed(ArgumentForm::kFutexTimeout, Direction::kIn, k); }
constexpr ArgumentKind option_name(int k) { return pointed(ArgumentForm::kSocketOption, Direction::kNone, k); }
constexpr ArgumentKind option_value(int k) { return pointed(ArgumentForm::kOptionValue, Direction::kIn, k); }
constexpr ArgumentKind semctl_argument(int k) { return pointed(ArgumentForm::kSemctlArgument, Direction::kInOut, k); }
constexpr ArgumentKind multiplexed(int k) { return pointed(ArgumentForm::kMultiplexed, Direction::kInOut, k); }

}  // namespace casemate::runtime::vocabulary
