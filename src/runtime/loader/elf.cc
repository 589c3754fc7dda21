// See elf.h. The order of checks follows binfmt_elf.c, so that a file with several defects fails for Linux's reason.
#include "runtime/loader/elf.h"

#include <linux/elf.h>
#include <linux/mman.h>

namespace casemate::runtime {
namespace {

constexpr std::uint64_t kMaxFileOffset = 0x7fffffffffffffff;

template <typename T>
T load_at(const std::byte* bytes, std::size_t offset) {
  T value;
  __builtin_memcpy(&value, bytes + offset, sizeof value);
  return value;
}

std::uint16_t swap_bytes(std::uint16_t value) { return static_cast<std::uint16_t>(value << 8 | value >> 8); }

std::uint8_t ident(std::span<const std::byte> head, std::size_t index) {
  return static_cast<std::uint8_t>(head[index]);
}

bool has_magic(std::span<const std::byte> head) {
  return head.size() >= 4 && ident(head, 0) == 0x7f && ident(head, 1) == 'E' && ident(head, 2) == 'L' &&
         ident(head, 3) == 'F';
}

bool is_elf_type(std::uint16_t type) { return type == ET_EXEC || type == ET_DYN; }

// Linux looks at type and machine only; class and byte order serve to name the reason when those do not fit.
LoadError check_identity(std::span<const std::byte> head, ElfHeader& header) {
  if (head.size() < offsetof(Elf64_Ehdr, e_version)) return LoadError::kTruncatedHeader;
  const auto type = load_at<std::uint16_t>(head.data(), offsetof(Elf64_Ehdr, e_type));
  header.machine = load_at<std::uint16_t>(head.data(), offsetof(Elf64_Ehdr, e_machine));
  if (header.machine == EM_X86_64 && is_elf_type(type)) {
    header.type = static_cast<ElfType>(type);
    return LoadError::kNone;
  }
  if (header.machine == EM_X86_64) return LoadError::kNotExecutableType;
  if (ident(head, EI_DATA) == ELFDATA2MSB) {
    header.machine = swap_bytes(header.machine);
    return LoadError::kBigEndian;
  }
  return ident(head, EI_CLASS) == ELFCLASS32 ? LoadError::k32Bit : LoadError::kWrongMachine;
}

LoadError check_segment(const ProgramHeader& header) {
  if (header.file_size > header.memory_size) return LoadError::kSegmentFileExceedsMemory;
  if (header.address >= kTaskSize || header.memory_size > kTaskSize || kTaskSize - header.memory_size < header.address)
    return LoadError::kSegmentOutsideAddressSpace;
  if (header.file_size == 0) return LoadError::kNone;
  if (page_offset(header.offset) != page_offset(header.address)) return LoadError::kSegmentMisaligned;
  const std::uint64_t mapped = page_end(header.file_size + page_offset(header.address));
  if (header.offset > kMaxFileOffset || mapped > kMaxFileOffset - page_begin(header.offset))
    return LoadError::kSegmentOffsetOverflow;
  return LoadError::kNone;
}

// The smallest page-aligned power of two that every segment's usable p_align divides. Linux skips other values.
std::uint64_t larger_alignment(std::uint64_t current, std::uint64_t alignment) {
  const bool power_of_two = alignment != 0 && (alignment & (alignment - 1)) == 0;
  return power_of_two && alignment > current ? alignment : current;
}

void add_segment(const ProgramHeader& header, ElfPlan& plan) {
  const std::uint64_t begin = page_begin(header.address);
  const std::uint64_t end = header.address + header.memory_size;
  if (plan.load_count == 0 || begin < plan.span_begin) plan.span_begin = begin;
  if (page_end(end) > plan.span_end) plan.span_end = page_end(end);
  if (end > plan.end_of_bss) plan.end_of_bss = end;
  plan.maximum_alignment = larger_alignment(plan.maximum_alignment, header.alignment);
  const std::uint64_t table = plan.header.table_offset;
  // No wrap: check_segment bounds offset + file_size where file_size is not 0.
  if (header.file_size != 0 && header.offset <= table && table < header.offset + header.file_size)
    plan.table_address = table - header.offset + header.address;
  ++plan.load_count;
}

LoadError add_interpreter(const ProgramHeader& header, ElfPlan& plan) {
  if (plan.interpreter_size != 0) return LoadError::kNone;  // the first one counts
  if (header.file_size < 2 || header.file_size > kMaxInterpreterPath) return LoadError::kInterpreterPathSize;
  if (header.offset > kMaxFileOffset - header.file_size) return LoadError::kInterpreterPathTruncated;
  plan.interpreter_offset = header.offset;
  plan.interpreter_size = header.file_size;
  return LoadError::kNone;
}

PageRange pages_of(const ProgramHeader& header) {
  return {page_begin(header.address), page_end(header.address + header.memory_size)};
}

bool covers_pages(const ProgramHeader& header) { return is_load(header) && header.memory_size != 0; }

// Grows `range` by every segment that overlaps or touches it, until nothing changes.
PageRange extend(const ElfPlan& plan, PageRange range) {
  for (bool grown = true; grown;) {
    grown = false;
    for (unsigned index = 0; index < plan.header.table_count; ++index) {
      const ProgramHeader header = program_header(plan, index);
      if (!covers_pages(header)) continue;
      const PageRange pages = pages_of(header);
      if (pages.begin > range.end || pages.end <= range.end) continue;
      range.end = pages.end;
      grown = true;
    }
  }
  return range;
}

}  // namespace

LoadError parse_elf_header(std::span<const std::byte> head, ElfHeader& header) {
  header = {};
  if (!has_magic(head)) return LoadError::kNotElf;
  if (const LoadError error = check_identity(head, header); error != LoadError::kNone) return error;
  if (head.size() < kElfHeaderSize) return LoadError::kTruncatedHeader;
  const std::byte* bytes = head.data();
  if (load_at<std::uint16_t>(bytes, offsetof(Elf64_Ehdr, e_phentsize)) != sizeof(ProgramHeader)) {
    // An x32 program says x86-64 but has the 32-bit layout, in which this field stands elsewhere.
    return ident(head, EI_CLASS) == ELFCLASS32 ? LoadError::k32Bit : LoadError::kHeaderEntrySize;
  }
  header.entry = load_at<std::uint64_t>(bytes, offsetof(Elf64_Ehdr, e_entry));
  header.table_offset = load_at<std::uint64_t>(bytes, offsetof(Elf64_Ehdr, e_phoff));
  header.table_count = load_at<std::uint16_t>(bytes, offsetof(Elf64_Ehdr, e_phnum));
  if (header.table_count == 0) return LoadError::kNoProgramHeaders;
  if (table_size(header) > kMaxTableSize) return LoadError::kTooManyProgramHeaders;
  if (header.table_offset > kMaxFileOffset - kMaxTableSize) return LoadError::kTruncatedTable;
  return LoadError::kNone;
}

LoadError parse_program_headers(const ElfHeader& header, std::span<const std::byte> table, ElfPlan& plan) {
  plan = {};
  plan.header = header;
  plan.maximum_alignment = kPageSize;
  if (table.size() < table_size(header)) return LoadError::kTruncatedTable;
  plan.table = table.data();
  LoadError segment_error = LoadError::kNone;
  for (unsigned index = 0; index < header.table_count; ++index) {
    const ProgramHeader entry = program_header(plan, index);
    LoadError error = LoadError::kNone;
    if (entry.type == PT_INTERP) error = add_interpreter(entry, plan);
    if (error != LoadError::kNone) return error;
    if (entry.type == PT_GNU_STACK)
      plan.stack = entry.flags & PF_X ? StackExecution::kAllowed : StackExecution::kForbidden;
    if (entry.type != PT_LOAD || segment_error != LoadError::kNone) continue;
    segment_error = check_segment(entry);
    if (segment_error == LoadError::kNone) add_segment(entry, plan);
  }
  // Linux comes to the segments after the interpreter, so their errors come second.
  if (segment_error != LoadError::kNone) return segment_error;
  if (plan.load_count == 0 || plan.span_begin == plan.span_end) return LoadError::kNoLoadSegments;
  if (header.type == ElfType::kFixedAddress && !has_interpreter(plan) && header.entry >= kTaskSize)
    return LoadError::kEntryOutsideAddressSpace;
  return LoadError::kNone;
}

LoadError check_interpreter_path(std::span<const std::byte> path) {
  if (path.size() < 2 || path.size() > kMaxInterpreterPath) return LoadError::kInterpreterPathSize;
  return path.back() == std::byte{0} ? LoadError::kNone : LoadError::kInterpreterPathUnterminated;
}

LoadError parse_elf(std::span<const std::byte> file, ElfPlan& plan) {
  ElfHeader header;
  plan = {};
  const LoadError header_error = parse_elf_header(file, header);
  plan.header = header;
  if (header_error != LoadError::kNone) return header_error;
  if (header.table_offset > file.size()) return LoadError::kTruncatedTable;
  const LoadError error = parse_program_headers(header, file.subspan(header.table_offset), plan);
  if (!has_interpreter(plan)) return error;
  if (plan.interpreter_offset > file.size() || plan.interpreter_size > file.size() - plan.interpreter_offset)
    return LoadError::kInterpreterPathTruncated;
  const LoadError path_error = check_interpreter_path(file.subspan(plan.interpreter_offset, plan.interpreter_size));
  return path_error != LoadError::kNone ? path_error : error;
}

ProgramHeader program_header(const ElfPlan& plan, unsigned index) {
  return load_at<ProgramHeader>(plan.table, index * sizeof(ProgramHeader));
}

bool is_load(const ProgramHeader& header) { return header.type == PT_LOAD; }

LoadSegment load_segment(const ProgramHeader& header) {
  LoadSegment segment = {};
  segment.protection = (header.flags & PF_R ? PROT_READ : 0u) | (header.flags & PF_W ? PROT_WRITE : 0u) |
                       (header.flags & PF_X ? PROT_EXEC : 0u);
  const std::uint64_t file_end = header.address + header.file_size;
  std::uint64_t bss_begin = page_begin(header.address);
  if (header.file_size != 0) {
    segment.file_address = page_begin(header.address);
    segment.file_size = page_end(file_end) - segment.file_address;
    segment.file_offset = page_begin(header.offset);
    bss_begin = page_end(file_end);
  }
  if (header.memory_size <= header.file_size) return segment;
  if (header.file_size != 0) {
    segment.pad_address = file_end;
    segment.pad_size = page_end(file_end) - file_end;
  }
  const std::uint64_t bss_end = page_end(header.address + header.memory_size);
  segment.bss_address = bss_begin;
  segment.bss_size = bss_end - bss_begin;
  return segment;
}

PageRange next_covered_range(const ElfPlan& plan, std::uint64_t from) {
  PageRange lowest = {0, 0};
  for (unsigned index = 0; index < plan.header.table_count; ++index) {
    const ProgramHeader header = program_header(plan, index);
    if (!covers_pages(header)) continue;
    const PageRange pages = pages_of(header);
    if (pages.end <= from) continue;
    if (lowest.end == 0 || pages.begin < lowest.begin) lowest = pages;
  }
  return lowest.end == 0 ? lowest : extend(plan, lowest);
}

}  // namespace casemate::runtime
