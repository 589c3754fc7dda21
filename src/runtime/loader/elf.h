// Reads the ELF header and program headers of an x86-64 program into an ElfPlan. Pure: no system calls, no memory but
// the caller's. Specification: System V ABI (gABI) chapter 4/5, elf(5); acceptance follows Linux's fs/binfmt_elf.c.
//
// What a hostile host or peer can do here -> what we answer
//  - any bytes as headers: every field is used only after a range check, sums are checked for overflow, and the table
//  is
//    the caller's private copy, so that it cannot change between check and use
//  - huge tables, huge alignments, segments over one another or out of order -> Linux's limits; overlap is legal there
//    (the later segment wins), and mapping never leaves [span_begin, span_end)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/loader/load_error.h"

namespace casemate::runtime {

inline constexpr std::uint64_t kPageSize = 4096;
// First address behind user space with four-level page tables. Programs that insist on higher fixed addresses (possible
// with five levels) are refused.
inline constexpr std::uint64_t kTaskSize = 0x7ffffffff000;
inline constexpr std::size_t kElfHeaderSize = 64;
inline constexpr std::size_t kMaxTableSize = 65536;       // Linux's limit for the program header table
inline constexpr std::size_t kMaxInterpreterPath = 4096;  // PATH_MAX, with the NUL

constexpr std::uint64_t page_begin(std::uint64_t address) { return address & ~(kPageSize - 1); }
constexpr std::uint64_t page_offset(std::uint64_t address) { return address & (kPageSize - 1); }
constexpr std::uint64_t page_end(std::uint64_t address) { return page_begin(address + kPageSize - 1); }

struct ProgramHeader {
  std::uint32_t type, flags;
  std::uint64_t offset, address, physical_address, file_size, memory_size, alignment;
};
static_assert(sizeof(ProgramHeader) == 56);

enum class ElfType : std::uint16_t { kFixedAddress = 2, kPositionIndependent = 3 };  // ET_EXEC, ET_DYN

// PT_GNU_STACK. Absent means the kernel's default, which on x86-64 is a stack that cannot be executed.
enum class StackExecution : std::uint8_t { kDefault, kForbidden, kAllowed };

struct ElfHeader {
  ElfType type;
  std::uint16_t machine;  // also set on failure, when the file is long enough to tell
  std::uint16_t table_count;
  std::uint64_t entry;
  std::uint64_t table_offset;
};

constexpr std::size_t table_size(const ElfHeader& header) { return header.table_count * sizeof(ProgramHeader); }

// All addresses are the file's own; the load bias is added by whoever maps.
struct ElfPlan {
  ElfHeader header;
  const std::byte* table;    // table_count entries, unaligned; must outlive the plan
  std::uint16_t load_count;  // PT_LOAD headers
  StackExecution stack;
  std::uint64_t span_begin, span_end;  // page-aligned hull of all PT_LOAD
  std::uint64_t end_of_bss;            // largest p_vaddr + p_memsz
  std::uint64_t maximum_alignment;     // largest power-of-two p_align, at least a page
  std::uint64_t table_address;         // AT_PHDR before the bias: 0 when no segment holds the table, as Linux does
  std::uint64_t interpreter_offset;    // PT_INTERP
  std::uint64_t interpreter_size;      // bytes with NUL; 0: no interpreter
};

inline bool has_interpreter(const ElfPlan& plan) { return plan.interpreter_size != 0; }

// One PT_LOAD as the three things to do. Sizes of 0: nothing to do. Addresses without bias.
struct LoadSegment {
  std::uint32_t protection;                            // PROT_*
  std::uint64_t file_address, file_size, file_offset;  // whole pages to map from the file
  std::uint64_t pad_address, pad_size;                 // rest of the last file page, to be zeroed if writable
  std::uint64_t bss_address, bss_size;                 // whole anonymous pages, writable whatever `protection` says
};

// A range of whole pages.
struct PageRange {
  std::uint64_t begin, end;
};

// Checks the first bytes of a file. `head` may be shorter than a header (a short file).
[[nodiscard]] LoadError parse_elf_header(std::span<const std::byte> head, ElfHeader& header);

// `table` holds at least table_size(header) bytes.
[[nodiscard]] LoadError parse_program_headers(const ElfHeader& header, std::span<const std::byte> table, ElfPlan& plan);

// Both steps, over a file that is wholly in memory. Includes the check of the interpreter path.
[[nodiscard]] LoadError parse_elf(std::span<const std::byte> file, ElfPlan& plan);

// Checks the bytes of PT_INTERP: NUL at the end. (A NUL earlier shortens the path, as with Linux.)
[[nodiscard]] LoadError check_interpreter_path(std::span<const std::byte> path);

[[nodiscard]] ProgramHeader program_header(const ElfPlan& plan, unsigned index);
[[nodiscard]] bool is_load(const ProgramHeader& header);
[[nodiscard]] LoadSegment load_segment(const ProgramHeader& header);

// The lowest maximal range of pages at or above `from` that segments cover; {0, 0} when there is none. Call again with
// the returned end to walk all of them.
[[nodiscard]] PageRange next_covered_range(const ElfPlan& plan, std::uint64_t from);

}  // namespace casemate::runtime
