// Every reason for which a file cannot become a program image, with the error number execve gives for it and the words
// a user reads. Pure: no system calls. Numbers follow Linux's fs/exec.c, fs/binfmt_elf.c and execve(2).
#pragma once

#include <cstdint>

namespace casemate::runtime {

// Which of the files of one execve an answer is about: the same defect has another error number in the interpreter.
enum class ImageRole : std::uint8_t { kProgram = 0, kInterpreter = 1 };

enum class LoadError : std::uint8_t {
  kNone = 0,
  // The file cannot be used, whatever it contains.
  kNotFound,
  kNotRegularFile,
  kNotExecutable,
  kNoexecMount,
  kNotReadable,
  kBusy,
  kSystemRefused,
  // ELF header.
  kNotElf,
  kTruncatedHeader,
  k32Bit,
  kBigEndian,
  kWrongMachine,
  kNotExecutableType,
  // Program header table.
  kHeaderEntrySize,
  kNoProgramHeaders,
  kTooManyProgramHeaders,
  kTruncatedTable,
  // PT_INTERP.
  kInterpreterPathSize,
  kInterpreterPathUnterminated,
  kInterpreterPathTruncated,
  // PT_LOAD.
  kNoLoadSegments,
  kSegmentFileExceedsMemory,
  kSegmentOutsideAddressSpace,
  kSegmentMisaligned,
  kSegmentOffsetOverflow,
  kEntryOutsideAddressSpace,
  // Mapping.
  kTruncatedFile,
  kAddressConflict,
  kOutOfMemory,
  // Scripts.
  kUnknownFormat,
  kScriptWithoutInterpreter,
  kScriptPathTruncated,
  kScriptTooDeep,
  kCount,
};

// What, why and what to do: three phrases without a trailing period, for one line such as
// "casemate: ./tool: <what>: <why>; <remedy>". Static text, never null.
struct LoadErrorText {
  const char* what;
  const char* why;
  const char* remedy;
};

// What Linux does when it meets the defect: execve returns the error, or -found only after the old image was given up-
// the process dies of SIGSEGV. Our checks come before that point, so the caller may choose either.
enum class NativeOutcome : std::uint8_t { kReturnsError, kKillsProcess };

struct LoadFailure {
  LoadError error = LoadError::kNone;
  ImageRole role = ImageRole::kProgram;
  std::uint16_t machine = 0;      // e_machine, where the error is about the architecture
  std::int32_t error_number = 0;  // positive errno; what execve returns negated
};

inline bool failed(const LoadFailure& failure) { return failure.error != LoadError::kNone; }

[[nodiscard]] LoadErrorText describe(LoadError error);

// Positive errno; 0 for kNone. For errors that a system call reported (kSystemRefused and friends) the number in
// LoadFailure is the exact one and this is the usual one.
[[nodiscard]] std::int32_t errno_of(LoadError error, ImageRole role);

[[nodiscard]] NativeOutcome native_outcome(LoadError error, ImageRole role);

// "aarch64", "i386", ... for an e_machine value; "unknown" otherwise.
[[nodiscard]] const char* machine_name(std::uint16_t machine);

inline LoadFailure failure_of(LoadError error, ImageRole role) {
  return {.error = error, .role = role, .error_number = errno_of(error, role)};
}

// A negative system call result as the reason for `error`.
inline LoadFailure failure_from_call(LoadError error, ImageRole role, long result) {
  return {.error = error, .role = role, .error_number = static_cast<std::int32_t>(-result)};
}

}  // namespace casemate::runtime
