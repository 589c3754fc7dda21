// The system call table: what every x86-64 call is, what its arguments are, and what the runtime does with it.
//
// Generated from syscalls.def, the one place where a call is described. Dispatch, tracing (--trace), the compatibility
// page (docs/compatibility.md) and the completeness test read this table.
//
// What a hostile program or host can do here -> what we answer
//  - a program calls a number that no row knows, also negative or huge ones -> the "unknown" entry: ENOSYS, not passed
//  - a future kernel gives an unknown number a meaning                        -> still ENOSYS until a row describes it
#pragma once

#include <cstddef>
#include <cstdint>

namespace casemate::runtime {

struct Thread;
struct Regs;

enum class Status : std::uint8_t {
  kPass,      // the kernel serves it, arguments and result unchanged
  kShielded,  // handler: data leaves the process protected only
  kEmulated,  // handler: the runtime answers, with the kernel's semantics
  kPartial,   // handler: the kernel's semantics except for what the note says
  kRefused,   // refused_errno; the note says why
  kUnknown,   // no row: ENOSYS
};

// What a call that waits does when a signal handler of the program ran (signal(7), "Interruption of system calls").
enum class RestartClass : std::uint8_t {
  kNever,         // does not end with EINTR
  kRestarts,      // made again if the handler has SA_RESTART, otherwise EINTR (kernel: ERESTARTSYS)
  kNoHandler,     // EINTR after any handler; made again only if none ran (kernel: ERESTARTNOHAND)
  kInterrupted,   // EINTR whatever woke it, also after stop and continue (kernel: EINTR)
  kRestartBlock,  // EINTR after a handler; otherwise goes on with the time that is left (kernel: ERESTART_RESTARTBLOCK)
};

enum class ResultKind : std::uint8_t {
  kZero,     // 0 is the only success
  kFd,       // a new descriptor
  kSize,     // bytes
  kCount,    // elements
  kPid,      // process, thread, group or session
  kValue,    // another number, decimal
  kHex,      // bits
  kAddress,  // in the program's address space
  kNone,     // does not come back on success
};

enum class ArgumentForm : std::uint8_t {
  kNone,
  // Numbers.
  kFd,
  kDirFd,  // a descriptor or AT_FDCWD
  kPid,
  kId,  // user or group
  kSignal,
  kMode,    // permission bits, octal
  kSize,    // bytes
  kCount,   // elements or bits
  kOffset,  // signed, in a file
  kNumber,  // signed 32 bits
  kLong,    // signed 64 bits
  kHex,     // bits without a named set
  kDevice,
  kValue,     // detail: ValueSet
  kReserved,  // ignored or must be 0
  // Addresses whose contents the call does not transfer.
  kAddress,
  kFutexWord,
  // Memory; `direction` says who writes it. NULL is possible everywhere (the kernel decides whether it may be).
  kPath,           // NUL-terminated, file name
  kString,         // NUL-terminated
  kStringArray,    // NULL-terminated array of strings
  kStructure,      // one; detail: Structure
  kSized,          // one; detail: Structure, its size in bytes is argument `reference`
  kArray,          // detail: element; capacity = argument `reference`; an out array holds `result` elements afterwards
  kFixedArray,     // detail: element; `reference` is the element count itself
  kBuffer,         // bytes, capacity = argument `reference`; an out buffer holds `result` bytes afterwards
  kBlock,          // bytes, argument `reference` of them, all of them transferred
  kPointedBuffer,  // bytes, capacity and final size in the int32 that argument `reference` points to
  kBits,           // bit set of argument `reference` bits, rounded up to 64
  kByteBits,       // bit set of argument `reference` bytes; an out set holds `result` bytes afterwards
  kPages,          // one byte per page of the argument `reference` bytes
  kIoVector,       // iovec[argument `reference`]; direction is that of the buffers
  kMessage,        // msghdr; direction is that of its data
  kMessages,       // mmsghdr[argument `reference`]
  kSocketAddress,  // in: argument `reference` bytes; out: as kPointedBuffer
  kLengthPointer,  // int32, in and out: size of another argument
  // Arguments whose kind depends on another argument, `reference`.
  kIoctlArgument,
  kFcntlArgument,
  kPrctlArgument,
  kArchPrctlArgument,
  kFutexTimeout,  // timespec of waits, a number (val2) of requeue and wake operations
  kSocketOption,  // name within the level in argument `reference`
  kOptionValue,   // bytes, kBuffer of the next argument (setsockopt)
  kSemctlArgument,
  kMultiplexed,  // request-dependent word of a rarely used multiplexed call (keyctl, quotactl, ptrace ...)
};

enum class Direction : std::uint8_t { kNone, kIn, kOut, kInOut };

enum class Structure : std::uint8_t {
#define STRUCTURE(name, bytes) name,
#include "runtime/table/structures.def"
#undef STRUCTURE
};

enum class ValueSet : std::uint8_t {
#define VALUE_SET(name) name,
#include "runtime/table/value_sets.def"
#undef VALUE_SET
};

inline constexpr std::int8_t kNoReference = -1;

struct ArgumentKind {
  ArgumentForm form = ArgumentForm::kNone;
  Direction direction = Direction::kNone;
  std::uint8_t detail = 0;               // Structure or ValueSet, by form
  std::int8_t reference = kNoReference;  // index of another argument, by form

  constexpr Structure structure() const { return static_cast<Structure>(detail); }
  constexpr ValueSet value_set() const { return static_cast<ValueSet>(detail); }
};

// Serves one call: reads its arguments from `regs`, returns the result in the kernel's convention.
using SyscallHandler = long (*)(Thread& thread, Regs& regs);

struct SyscallEntry {
  const char* name;
  SyscallHandler handler;
  const char* note;  // "" or one to three sentences: what differs and why; also part of the page and of warnings
  std::int16_t refused_errno;  // positive; 0 unless refused or unknown
  Status status;
  RestartClass restart;
  ResultKind result;
  std::uint8_t argument_count;
  ArgumentKind arguments[6];
};

// The first number above all rows. Numbers below it without a row lead to the unknown entry.
inline constexpr std::size_t kSyscallLimit = 471;

// One entry per number, then the unknown entry.
struct SyscallTable {
  SyscallEntry entries[kSyscallLimit + 1];
};
extern const SyscallTable kSyscallTable;

// Never fails: numbers without a row give the entry named "unknown" (refused with ENOSYS). O(1). [signal-safe]
inline const SyscallEntry& syscall_entry(std::uint64_t number) {
  return kSyscallTable.entries[number < kSyscallLimit ? number : kSyscallLimit];
}

inline constexpr std::uint16_t kStructureSizes[] = {
#define STRUCTURE(name, bytes) bytes,
#include "runtime/table/structures.def"
#undef STRUCTURE
};

constexpr std::size_t structure_size(Structure structure) {
  return kStructureSizes[static_cast<std::size_t>(structure)];
}

// Handlers of rows that are shielded, emulated or partial, one per row: `long sys_<name>(Thread&, Regs&)`.
#define CASEMATE_HANDLER_pass(name)
#define CASEMATE_HANDLER_shielded(name) long sys_##name(Thread& thread, Regs& regs);
#define CASEMATE_HANDLER_emulated(name) long sys_##name(Thread& thread, Regs& regs);
#define CASEMATE_HANDLER_partial(name) long sys_##name(Thread& thread, Regs& regs);
#define CALL(number, name, status, ...) CASEMATE_HANDLER_##status(name)
#define REFUSED(number, name, ...)
#include "runtime/table/syscalls.def"
#undef REFUSED
#undef CALL
#undef CASEMATE_HANDLER_pass
#undef CASEMATE_HANDLER_shielded
#undef CASEMATE_HANDLER_emulated
#undef CASEMATE_HANDLER_partial

}  // namespace casemate::runtime
