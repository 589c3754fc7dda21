// Fuzzes what the loader reads from a program file before anything is mapped: ELF headers and the "#!" line. A finding
// is a crash, a sanitizer report, or a plan that breaks what map_image relies on.
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "runtime/loader/elf.h"
#include "runtime/loader/script.h"

namespace {

using namespace casemate::runtime;

void require(const char* property, const bool& holds) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", property);
  std::abort();
}

bool is_page(std::uint64_t address) { return page_offset(address) == 0; }

// Some covered range holds all of [begin, begin + size).
bool is_covered(const ElfPlan& plan, std::uint64_t begin, std::uint64_t size) {
  for (PageRange range = next_covered_range(plan, 0); range.end != 0; range = next_covered_range(plan, range.end)) {
    if (begin >= range.begin && begin <= range.end && size <= range.end - begin) return true;
  }
  return false;
}

void check_ranges(const ElfPlan& plan) {
  std::uint64_t previous = 0;
  unsigned count = 0;
  for (PageRange range = next_covered_range(plan, 0); range.end != 0; range = next_covered_range(plan, range.end)) {
    require("ranges are whole, not empty", is_page(range.begin) && is_page(range.end) && range.begin < range.end);
    require("ranges ascend and do not touch", count == 0 || range.begin > previous);
    require("ranges lie in the span", range.begin >= plan.span_begin && range.end <= plan.span_end);
    require("there are no more ranges than segments", ++count <= plan.load_count);
    previous = range.end;
  }
}

void check_segment(const ElfPlan& plan, const ProgramHeader& header) {
  const LoadSegment segment = load_segment(header);
  require("file part is whole pages",
          is_page(segment.file_address) && is_page(segment.file_size) && is_page(segment.file_offset));
  require("bss is whole pages", is_page(segment.bss_address) && is_page(segment.bss_size));
  require("file offset fits", segment.file_offset <= INT64_MAX - segment.file_size);
  require("only protection bits", (segment.protection & ~(PROT_READ | PROT_WRITE | PROT_EXEC)) == 0);
  if (segment.file_size != 0) {
    require("file part is covered", is_covered(plan, segment.file_address, segment.file_size));
  }
  if (segment.bss_size != 0) require("bss is covered", is_covered(plan, segment.bss_address, segment.bss_size));
  if (segment.pad_size == 0) return;
  require("padding ends the last file page",
          segment.pad_size < kPageSize &&
              segment.pad_address + segment.pad_size == segment.file_address + segment.file_size);
  require("padding stays in the last file page",
          segment.pad_address > segment.file_address + segment.file_size - kPageSize);
}

void check_plan(const ElfPlan& plan, std::size_t file_size) {
  require("span is whole, not empty",
          is_page(plan.span_begin) && is_page(plan.span_end) && plan.span_begin < plan.span_end);
  require("span is user space", plan.span_end <= kTaskSize);
  require("bss ends in the span", plan.end_of_bss <= plan.span_end);
  const std::uint64_t alignment = plan.maximum_alignment;
  require("alignment is a power of two of pages", alignment >= kPageSize && (alignment & (alignment - 1)) == 0);
  require("table size is limited", table_size(plan.header) <= kMaxTableSize);
  require("interpreter path lies in the file",
          plan.interpreter_size <= kMaxInterpreterPath && plan.interpreter_offset + plan.interpreter_size <= file_size);
  check_ranges(plan);
  unsigned loads = 0;
  for (unsigned index = 0; index < plan.header.table_count; ++index) {
    const ProgramHeader header = program_header(plan, index);
    if (!is_load(header)) continue;
    check_segment(plan, header);
    ++loads;
  }
  require("all segments are counted", loads == plan.load_count);
}

bool lies_in(std::span<const std::byte> part, std::span<const std::byte> whole) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

void check_script(std::span<const std::byte> head) {
  ScriptLine line;
  if (parse_script_line(head, line) != LoadError::kNone) return;
  require("interpreter lies in the head", lies_in(line.interpreter, head));
  require("parts fit the buffer", line.interpreter.size() < kScriptHeadSize && line.argument.size() < kScriptHeadSize);
  for (const std::byte byte : line.interpreter) {
    const char character = static_cast<char>(byte);
    require("path has no separator", character != ' ' && character != '\t' && character != '\n' && character != '\0');
  }
  if (line.argument.data() == nullptr) return;
  require("argument lies in the head, behind the path",
          lies_in(line.argument, head) && line.argument.data() > line.interpreter.data() + line.interpreter.size());
  for (const std::byte byte : line.argument)
    require("argument is one line", byte != std::byte{'\n'} && byte != std::byte{0});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data), size);
  ElfPlan plan;
  if (parse_elf(file, plan) == LoadError::kNone) check_plan(plan, size);
  check_script(file);
  return 0;
}
