// Builds the dispatch table from syscalls.def at compile time. A number outside the table, or two rows for one number,
// does not compile.
#include "runtime/table/table.h"

#include <linux/errno.h>

#include "runtime/intercept/dispatch.h"
#include "runtime/table/vocabulary.h"

namespace casemate::runtime {
namespace {

constexpr SyscallEntry kUnknownEntry{
    .name = "unknown",
    .handler = &refuse,
    .note = "The table of this version does not know the number.",
    .refused_errno = ENOSYS,
    .status = Status::kUnknown,
    .restart = RestartClass::kNever,
    .result = ResultKind::kValue,
    .argument_count = 6,
    .arguments = {vocabulary::hex, vocabulary::hex, vocabulary::hex, vocabulary::hex, vocabulary::hex, vocabulary::hex},
};

// Not constexpr on purpose: reaching a call of it at compile time is the error message.
void number_outside_table_or_given_twice() {}

consteval void add(SyscallTable& table, std::size_t number, const SyscallEntry& entry) {
  if (number >= kSyscallLimit || table.entries[number].status != Status::kUnknown) {
    number_outside_table_or_given_twice();
  }
  table.entries[number] = entry;
}

template <typename... Arguments>
consteval SyscallEntry make_entry(SyscallEntry entry, Arguments... arguments) {
  static_assert(sizeof...(arguments) <= 6);
  entry.argument_count = sizeof...(arguments);
  std::size_t index = 0;
  ((entry.arguments[index++] = arguments), ...);
  return entry;
}

namespace status_word {
[[maybe_unused]] constexpr Status pass = Status::kPass, shielded = Status::kShielded, emulated = Status::kEmulated,
                                  partial = Status::kPartial;
}
namespace restart_word {
constexpr RestartClass never = RestartClass::kNever, restarts = RestartClass::kRestarts,
                       no_handler = RestartClass::kNoHandler, interrupted = RestartClass::kInterrupted,
                       restart_block = RestartClass::kRestartBlock;
}
namespace result_word {
constexpr ResultKind zero = ResultKind::kZero, fd = ResultKind::kFd, size = ResultKind::kSize,
                     count = ResultKind::kCount, pid = ResultKind::kPid, value = ResultKind::kValue,
                     hex = ResultKind::kHex, address = ResultKind::kAddress, none = ResultKind::kNone;
}

#define HANDLER_pass(name) pass_through
#define HANDLER_shielded(name) sys_##name
#define HANDLER_emulated(name) sys_##name
#define HANDLER_partial(name) sys_##name

#define CALL(number, name, status, restart, result, note, ...)                                                       \
  add(table, number, make_entry(SyscallEntry {                                                                       \
#name, &HANDLER_##status(name), note, 0, status_word::status, restart_word::restart, result_word::result, 0, \
        {}                                                                                                           \
      } __VA_OPT__(, ) __VA_ARGS__));
#define REFUSED(number, name, error, result, note, ...)                                                 \
  add(table, number, make_entry(SyscallEntry {                                                          \
#name, &refuse, note, error, Status::kRefused, RestartClass::kNever, result_word::result, 0, {} \
      } __VA_OPT__(, ) __VA_ARGS__));

consteval SyscallTable build_table() {
  using namespace vocabulary;
  SyscallTable table{};
  for (SyscallEntry& entry : table.entries) entry = kUnknownEntry;
#include "runtime/table/syscalls.def"
  return table;
}

#undef CALL
#undef REFUSED
#undef HANDLER_pass
#undef HANDLER_shielded
#undef HANDLER_emulated
#undef HANDLER_partial

}  // namespace

constinit const SyscallTable kSyscallTable = build_table();

}  // namespace casemate::runtime
