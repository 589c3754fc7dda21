// The table behind load_error.h. Columns: error number when the program has the defect, when its interpreter has it,
// what Linux does in both cases, and the text.
#include "runtime/loader/load_error.h"

#include <asm/errno.h>
#include <linux/elf-em.h>

#include <cstddef>

namespace casemate::runtime {
namespace {

constexpr auto kReturns = NativeOutcome::kReturnsError;
constexpr auto kKills = NativeOutcome::kKillsProcess;

struct Row {
  LoadError error;
  std::int16_t program_errno, interpreter_errno;
  NativeOutcome program_outcome, interpreter_outcome;
  LoadErrorText text;
};

constexpr Row kRows[] = {
    {LoadError::kNone, 0, 0, kReturns, kReturns, {"no error", "the file can be loaded", "nothing to do"}},
    {LoadError::kNotFound,
     ENOENT,
     ENOENT,
     kReturns,
     kReturns,
     {"no such file", "the path, or the interpreter that the file names, does not exist",
      "check the path, or install the package that provides the interpreter"}},
    {LoadError::kNotRegularFile,
     EACCES,
     EACCES,
     kReturns,
     kReturns,
     {"not a regular file", "directories, devices, sockets and pipes cannot be executed", "name a program file"}},
    {LoadError::kNotExecutable,
     EACCES,
     EACCES,
     kReturns,
     kReturns,
     {"permission denied", "the file has no execute permission for this user", "chmod +x the file"}},
    {LoadError::kNoexecMount,
     EACCES,
     EACCES,
     kReturns,
     kReturns,
     {"permission denied", "the file system is mounted noexec", "move the file, or remount with exec"}},
    {LoadError::kNotReadable,
     EACCES,
     EACCES,
     kReturns,
     kReturns,
     {"permission denied",
      "the path does not lead to a regular file that this user may read (execute permission alone is not enough)",
      "check the path, chmod +r the file"}},
    {LoadError::kBusy,
     ETXTBSY,
     ETXTBSY,
     kReturns,
     kReturns,
     {"file is busy", "another process has it open for writing", "close the writer first"}},
    {LoadError::kSystemRefused,
     EIO,
     EIO,
     kReturns,
     kReturns,
     {"the system refused", "a system call that loading needs failed", "see the error name"}},

    {LoadError::kNotElf,
     ENOEXEC,
     ELIBBAD,
     kReturns,
     kReturns,
     {"not an ELF program", "the file does not start with the ELF magic", "name a program for x86-64 Linux"}},
    {LoadError::kTruncatedHeader,
     ENOEXEC,
     EIO,
     kReturns,
     kReturns,
     {"truncated ELF file", "it ends inside the ELF header", "copy or build the file again"}},
    {LoadError::k32Bit,
     ENOEXEC,
     ELIBBAD,
     kReturns,
     kReturns,
     {"32-bit program", "the runtime runs 64-bit x86-64 programs only", "build or install the x86-64 variant"}},
    {LoadError::kBigEndian,
     ENOEXEC,
     ELIBBAD,
     kReturns,
     kReturns,
     {"big-endian program", "it was built for another processor", "build or install the x86-64 variant"}},
    {LoadError::kWrongMachine,
     ENOEXEC,
     ELIBBAD,
     kReturns,
     kReturns,
     {"program for another processor", "the runtime runs x86-64 programs only", "build or install the x86-64 variant"}},
    {LoadError::kNotExecutableType,
     ENOEXEC,
     EPERM,
     kReturns,
     kKills,
     {"not a linked program", "the ELF file is an object file, a core dump or of an unknown type",
      "link it into a program"}},

    {LoadError::kHeaderEntrySize,
     ENOEXEC,
     ELIBBAD,
     kReturns,
     kReturns,
     {"corrupt ELF file", "its program headers have the wrong entry size", "copy or build the file again"}},
    {LoadError::kNoProgramHeaders,
     ENOEXEC,
     ELIBBAD,
     kReturns,
     kReturns,
     {"corrupt ELF file", "it has no program headers", "copy or build the file again"}},
    {LoadError::kTooManyProgramHeaders,
     ENOEXEC,
     ELIBBAD,
     kReturns,
     kReturns,
     {"corrupt ELF file", "its program header table exceeds Linux's limit of 64 KiB", "copy or build the file again"}},
    {LoadError::kTruncatedTable,
     ENOEXEC,
     ELIBBAD,
     kReturns,
     kReturns,
     {"truncated ELF file", "it ends before or inside the program header table", "copy or build the file again"}},

    {LoadError::kInterpreterPathSize,
     ENOEXEC,
     ENOEXEC,
     kReturns,
     kReturns,
     {"corrupt ELF file", "its interpreter path is empty or longer than 4096 bytes", "copy or build the file again"}},
    {LoadError::kInterpreterPathUnterminated,
     ENOEXEC,
     ENOEXEC,
     kReturns,
     kReturns,
     {"corrupt ELF file", "its interpreter path does not end in a NUL byte", "copy or build the file again"}},
    {LoadError::kInterpreterPathTruncated,
     EIO,
     EIO,
     kReturns,
     kReturns,
     {"truncated ELF file", "it ends before or inside the interpreter path", "copy or build the file again"}},

    {LoadError::kNoLoadSegments,
     EINVAL,
     EINVAL,
     kKills,
     kKills,
     {"corrupt ELF file", "it has nothing to load (no PT_LOAD header)", "copy or build the file again"}},
    {LoadError::kSegmentFileExceedsMemory,
     EINVAL,
     ENOMEM,
     kKills,
     kKills,
     {"corrupt ELF file", "a segment is larger in the file than in memory", "copy or build the file again"}},
    {LoadError::kSegmentOutsideAddressSpace,
     EINVAL,
     ENOMEM,
     kKills,
     kKills,
     {"corrupt ELF file", "a segment lies outside the address space", "copy or build the file again"}},
    {LoadError::kSegmentMisaligned,
     EINVAL,
     EINVAL,
     kKills,
     kKills,
     {"corrupt ELF file", "a segment's file offset and address differ within the page",
      "copy or build the file again"}},
    {LoadError::kSegmentOffsetOverflow,
     EOVERFLOW,
     EOVERFLOW,
     kKills,
     kKills,
     {"corrupt ELF file", "a segment's file offset is beyond any file", "copy or build the file again"}},
    {LoadError::kEntryOutsideAddressSpace,
     EINVAL,
     EINVAL,
     kKills,
     kKills,
     {"corrupt ELF file", "its entry point lies outside the address space", "copy or build the file again"}},

    {LoadError::kTruncatedFile,
     EFAULT,
     EFAULT,
     kKills,
     kKills,
     {"truncated ELF file", "it ends before its data segment does", "copy or build the file again"}},
    {LoadError::kAddressConflict,
     EEXIST,
     EEXIST,
     kKills,
     kKills,
     {"address in use", "the program must be loaded at a fixed address that is taken",
      "build it as position-independent executable (-pie)"}},
    {LoadError::kOutOfMemory,
     ENOMEM,
     ENOMEM,
     kKills,
     kKills,
     {"out of memory", "the address space or memory limit does not hold the program",
      "raise the limit (ulimit -v, container memory)"}},

    {LoadError::kUnknownFormat,
     ENOEXEC,
     ENOEXEC,
     kReturns,
     kReturns,
     {"unknown program format", "the file is neither an ELF program nor a script that starts with #!",
      "name a program, or start the script with #!/path/to/interpreter"}},
    {LoadError::kScriptWithoutInterpreter,
     ENOEXEC,
     ENOEXEC,
     kReturns,
     kReturns,
     {"script without interpreter", "nothing stands behind #! in its first line", "write #!/path/to/interpreter"}},
    {LoadError::kScriptPathTruncated,
     ENOEXEC,
     ENOEXEC,
     kReturns,
     kReturns,
     {"interpreter path too long", "the #! line does not end its path within Linux's 256 bytes", "use a shorter path"}},
    {LoadError::kScriptTooDeep,
     ELOOP,
     ELOOP,
     kReturns,
     kReturns,
     {"too many script interpreters", "each interpreter is a script again, more than five times",
      "name a binary interpreter in the #! line"}},
};

constexpr bool rows_in_enum_order() {
  for (std::size_t index = 0; index < sizeof kRows / sizeof kRows[0]; ++index) {
    if (kRows[index].error != static_cast<LoadError>(index)) return false;
  }
  return sizeof kRows / sizeof kRows[0] == static_cast<std::size_t>(LoadError::kCount);
}
static_assert(rows_in_enum_order());

const Row& row_of(LoadError error) {
  if (error >= LoadError::kCount) return kRows[static_cast<std::size_t>(LoadError::kSystemRefused)];
  return kRows[static_cast<std::size_t>(error)];
}

struct MachineName {
  std::uint16_t machine;
  const char* name;
};

constexpr MachineName kMachines[] = {
    {EM_386, "i386"},    {EM_X86_64, "x86-64"},   {EM_AARCH64, "aarch64"},
    {EM_ARM, "arm"},     {243, "riscv"},          {EM_PPC64, "powerpc64"},
    {EM_PPC, "powerpc"}, {EM_S390, "s390"},       {258, "loongarch"},
    {EM_MIPS, "mips"},   {EM_SPARCV9, "sparc64"}, {EM_SPARC, "sparc"},
    {50, "ia64"},        {EM_68K, "m68k"},        {EM_PARISC, "parisc"},
    {EM_ALPHA, "alpha"}, {EM_SH, "superh"},       {EM_486, "i486"},
    {252, "arc"},        {94, "xtensa"},          {EM_BPF, "bpf"},
};

}  // namespace

LoadErrorText describe(LoadError error) { return row_of(error).text; }

std::int32_t errno_of(LoadError error, ImageRole role) {
  const Row& row = row_of(error);
  return role == ImageRole::kProgram ? row.program_errno : row.interpreter_errno;
}

NativeOutcome native_outcome(LoadError error, ImageRole role) {
  const Row& row = row_of(error);
  return role == ImageRole::kProgram ? row.program_outcome : row.interpreter_outcome;
}

const char* machine_name(std::uint16_t machine) {
  for (const MachineName& entry : kMachines) {
    if (entry.machine == machine) return entry.name;
  }
  return "unknown";
}

}  // namespace casemate::runtime
