// See image.h. Order of work: reserve every page the image will cover (so that a conflict shows before anything is
// mapped), map the segments over the reservation, give back what no segment covers.
#include "runtime/loader/image.h"

#include <asm/errno.h>
#include <asm/stat.h>
#include <asm/unistd.h>
#include <linux/mman.h>
#include <linux/personality.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/memory/guest.h"

namespace casemate::runtime {
namespace {

// Linux's ELF_ET_DYN_BASE: two thirds of the address space; and mmap_rnd_bits of x86-64's default configuration.
constexpr std::uint64_t kProgramBase = page_begin(kTaskSize / 3 * 2);
constexpr unsigned kRandomBits = 28;
constexpr unsigned kPlacementAttempts = 16;
constexpr std::uint64_t kPlacementStep = std::uint64_t{1} << 30;  // between attempts without randomisation
constexpr long kGetrandomInsecure = 4;  // GRND_INSECURE: never blocks, also early in the boot of the machine

constexpr long kReserve = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

struct Mapper {
  const ElfPlan& plan;
  const MapRequest& request;
  std::uint64_t bias = 0;
  std::uint64_t reserved_begin = 0, reserved_end = 0;  // the hull at its final address
  std::uint64_t file_size = 0;
};

LoadFailure fail(const Mapper& mapper, LoadError error) { return failure_of(error, mapper.request.role); }

// ENOMEM and EEXIST have a meaning of their own for users; the rest keeps its number.
LoadFailure fail_with(const Mapper& mapper, long result) {
  if (result == -ENOMEM) return fail(mapper, LoadError::kOutOfMemory);
  if (result == -EEXIST) return fail(mapper, LoadError::kAddressConflict);
  return failure_from_call(LoadError::kSystemRefused, mapper.request.role, result);
}

void unmap(std::uint64_t begin, std::uint64_t end) {
  if (begin < end) host_call(__NR_munmap, static_cast<long>(begin), static_cast<long>(end - begin));
}

// Reserves exactly [begin, end). 0 or negative errno. Kernels that do not know the flag treat it as a hint.
long reserve_at(std::uint64_t begin, std::uint64_t end) {
  const long result = host_call(__NR_mmap, static_cast<long>(begin), static_cast<long>(end - begin), PROT_NONE,
                                kReserve | MAP_FIXED_NOREPLACE, -1, 0);
  if (is_error(result)) return result;
  if (static_cast<std::uint64_t>(result) == begin) return 0;
  unmap(static_cast<std::uint64_t>(result), static_cast<std::uint64_t>(result) + (end - begin));
  return -EEXIST;
}

std::uint64_t random_page_offset() {
  std::uint64_t value = 0;
  host_call(__NR_getrandom, reinterpret_cast<long>(&value), sizeof value, kGetrandomInsecure);
  return (value & ((std::uint64_t{1} << kRandomBits) - 1)) * kPageSize;
}

// A fixed-address program: each covered range on its own, because what lies between may be in use.
LoadFailure reserve_fixed(Mapper& mapper) {
  for (PageRange range = next_covered_range(mapper.plan, 0); range.end != 0;
       range = next_covered_range(mapper.plan, range.end)) {
    const long result = reserve_at(range.begin, range.end);
    if (result == 0) continue;
    for (PageRange done = next_covered_range(mapper.plan, 0); done.end < range.end;
         done = next_covered_range(mapper.plan, done.end)) {
      unmap(done.begin, done.end);
    }
    return fail_with(mapper, result);
  }
  mapper.reserved_begin = mapper.plan.span_begin;
  mapper.reserved_end = mapper.plan.span_end;
  return {};
}

// A program with interpreter: in the area that Linux keeps for such programs, away from libraries and heap.
LoadFailure reserve_in_program_area(Mapper& mapper) {
  const std::uint64_t size = mapper.plan.span_end - mapper.plan.span_begin;
  long result = -ENOMEM;
  for (unsigned attempt = 0; attempt < kPlacementAttempts; ++attempt) {
    std::uint64_t base = kProgramBase + attempt * kPlacementStep;
    if (mapper.request.randomization == Randomization::kOn) base = kProgramBase + random_page_offset();
    base &= ~(mapper.plan.maximum_alignment - 1);
    if (size > kTaskSize - base) return fail(mapper, LoadError::kOutOfMemory);
    result = reserve_at(base, base + size);
    if (result == 0) {
      mapper.reserved_begin = base;
      mapper.reserved_end = base + size;
      return {};
    }
    if (result != -EEXIST) break;
  }
  return fail_with(mapper, result);
}

// Interpreters and static-pie programs: where mmap would put them. The kernel honours p_align for the latter only.
LoadFailure reserve_anywhere(Mapper& mapper) {
  const std::uint64_t size = mapper.plan.span_end - mapper.plan.span_begin;
  const std::uint64_t alignment =
      mapper.request.role == ImageRole::kProgram ? mapper.plan.maximum_alignment : kPageSize;
  if (alignment > kTaskSize || size > kTaskSize) return fail(mapper, LoadError::kOutOfMemory);
  const std::uint64_t slack = alignment - kPageSize;
  const long result = host_call(__NR_mmap, 0, static_cast<long>(size + slack), PROT_NONE, kReserve, -1, 0);
  if (is_error(result)) return fail_with(mapper, result);
  const auto address = static_cast<std::uint64_t>(result);
  mapper.reserved_begin = (address + slack) & ~(alignment - 1);
  mapper.reserved_end = mapper.reserved_begin + size;
  unmap(address, mapper.reserved_begin);
  unmap(mapper.reserved_end, address + size + slack);
  return {};
}

LoadFailure reserve(Mapper& mapper) {
  LoadFailure failure;
  if (mapper.plan.header.type == ElfType::kFixedAddress) {
    failure = reserve_fixed(mapper);
  } else if (has_interpreter(mapper.plan) && mapper.request.role == ImageRole::kProgram) {
    failure = reserve_in_program_area(mapper);
  } else {
    failure = reserve_anywhere(mapper);
  }
  mapper.bias = mapper.reserved_begin - mapper.plan.span_begin;
  return failure;
}

// Linux zeroes the rest of the last file page of a writable segment with bss; ld.so's first allocations rely on it.
LoadFailure zero_pad(const Mapper& mapper, const LoadSegment& segment) {
  static constexpr std::byte kZeros[512] = {};
  if (segment.pad_size == 0 || (segment.protection & PROT_WRITE) == 0) return {};
  const std::uint64_t last_page = segment.file_offset + segment.file_size - kPageSize;
  if (last_page >= mapper.file_size) return fail(mapper, LoadError::kTruncatedFile);
  std::uint64_t address = mapper.bias + segment.pad_address;
  for (std::uint64_t left = segment.pad_size; left != 0;) {
    const std::uint64_t size = left < sizeof kZeros ? left : sizeof kZeros;
    if (copy_to_guest(guest(address), kZeros, size) != 0) return fail(mapper, LoadError::kTruncatedFile);
    address += size;
    left -= size;
  }
  return {};
}

void report_code(const Mapper& mapper, std::uint64_t start, std::uint64_t size) {
  const CodeMappedHook& hook = mapper.request.on_code_mapped;
  if (hook.function != nullptr) hook.function(hook.context, start, size);
}

LoadFailure map_file_part(const Mapper& mapper, const LoadSegment& segment) {
  if (segment.file_size == 0) return {};
  const std::uint64_t address = mapper.bias + segment.file_address;
  const long result =
      host_call(__NR_mmap, static_cast<long>(address), static_cast<long>(segment.file_size), segment.protection,
                MAP_PRIVATE | MAP_FIXED, mapper.request.fd, static_cast<long>(segment.file_offset));
  if (is_error(result)) return fail_with(mapper, result);
  if (const LoadFailure failure = zero_pad(mapper, segment); failed(failure)) return failure;
  if (segment.protection & PROT_EXEC) report_code(mapper, address, segment.file_size);
  return {};
}

LoadFailure map_bss_part(const Mapper& mapper, const LoadSegment& segment) {
  if (segment.bss_size == 0) return {};
  const std::uint64_t address = mapper.bias + segment.bss_address;
  const long protection = PROT_READ | PROT_WRITE | (segment.protection & PROT_EXEC);
  const long result = host_call(__NR_mmap, static_cast<long>(address), static_cast<long>(segment.bss_size), protection,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (is_error(result)) return fail_with(mapper, result);
  if (protection & PROT_EXEC) report_code(mapper, address, segment.bss_size);
  return {};
}

LoadFailure map_segments(const Mapper& mapper) {
  for (unsigned index = 0; index < mapper.plan.header.table_count; ++index) {
    const ProgramHeader header = program_header(mapper.plan, index);
    if (!is_load(header)) continue;
    const LoadSegment segment = load_segment(header);
    if (const LoadFailure failure = map_file_part(mapper, segment); failed(failure)) return failure;
    if (const LoadFailure failure = map_bss_part(mapper, segment); failed(failure)) return failure;
  }
  return {};
}

// Position-independent images were reserved as one piece.
void release_gaps(const Mapper& mapper) {
  if (mapper.plan.header.type == ElfType::kFixedAddress) return;
  std::uint64_t position = mapper.plan.span_begin;
  for (PageRange range = next_covered_range(mapper.plan, position); range.end != 0;
       range = next_covered_range(mapper.plan, range.end)) {
    unmap(mapper.bias + position, mapper.bias + range.begin);
    position = range.end;
  }
  unmap(mapper.bias + position, mapper.bias + mapper.plan.span_end);
}

MappedImage image_of(const Mapper& mapper) {
  const ElfPlan& plan = mapper.plan;
  const bool stands_alone = plan.header.type == ElfType::kPositionIndependent && !has_interpreter(plan);
  return {
      .load_bias = mapper.bias,
      .start = mapper.reserved_begin,
      .end = mapper.reserved_end,
      .entry = plan.header.entry + mapper.bias,
      .phdr_address = plan.table_address + mapper.bias,
      .phent = sizeof(ProgramHeader),
      .phnum = plan.header.table_count,
      .end_of_bss = plan.end_of_bss + mapper.bias,
      // Linux moves the heap of static-pie programs out of the mmap area, where it would soon hit a neighbour.
      .brk_start = stands_alone ? kProgramBase : page_end(plan.end_of_bss + mapper.bias),
      .type = plan.header.type,
      .stack = plan.stack,
      .interpreter_size = plan.interpreter_size,
  };
}

LoadFailure check_entry(const Mapper& mapper, const MappedImage& image) {
  const bool starts_here = mapper.request.role == ImageRole::kInterpreter || !has_interpreter(mapper.plan);
  if (starts_here && image.entry >= kTaskSize) return fail(mapper, LoadError::kEntryOutsideAddressSpace);
  return {};
}

LoadFailure find_file_size(Mapper& mapper) {
  struct stat status;
  const long result = host_call(__NR_fstat, mapper.request.fd, reinterpret_cast<long>(&status));
  if (is_error(result)) return failure_from_call(LoadError::kSystemRefused, mapper.request.role, result);
  if (status.st_size > 0) mapper.file_size = static_cast<std::uint64_t>(status.st_size);
  return {};
}

}  // namespace

Randomization process_randomization() {
  const long result = host_call(__NR_personality, 0xffffffff);
  return !is_error(result) && (result & ADDR_NO_RANDOMIZE) != 0 ? Randomization::kOff : Randomization::kOn;
}

LoadFailure map_image(const ElfPlan& plan, const MapRequest& request, MappedImage& image) {
  Mapper mapper = {.plan = plan, .request = request};
  if (const LoadFailure failure = find_file_size(mapper); failed(failure)) return failure;
  if (const LoadFailure failure = reserve(mapper); failed(failure)) return failure;
  image = image_of(mapper);
  LoadFailure failure = check_entry(mapper, image);
  if (!failed(failure)) failure = map_segments(mapper);
  // Also on failure: afterwards exactly the covered ranges are ours.
  release_gaps(mapper);
  if (failed(failure)) unmap_image(plan, image);
  return failure;
}

void unmap_image(const ElfPlan& plan, const MappedImage& image) {
  for (PageRange range = next_covered_range(plan, 0); range.end != 0; range = next_covered_range(plan, range.end))
    unmap(image.load_bias + range.begin, image.load_bias + range.end);
}

}  // namespace casemate::runtime
