#include "evidence/runtime_image.h"

#include <bit>
#include <vector>

namespace casemate::evidence {
namespace {

// ELF (System V gABI, chapters 4 and 5), 64-bit, little-endian.
constexpr std::size_t kElfHeaderSize = 64, kProgramHeaderSize = 56, kMaximumSegmentCount = 64;
constexpr std::uint16_t kTypeExecutable = 2, kTypeShared = 3, kMachineX86_64 = 62;
constexpr std::uint32_t kLoad = 1, kInterpreter = 3, kRelro = 0x6474e552;
constexpr std::uint32_t kExecute = 1, kWrite = 2, kRead = 4;

constexpr std::uint64_t kMaximumSpan = std::uint64_t{256} << 20;
constexpr std::uint32_t kSsaFramePageCount = 1;
constexpr std::string_view kConfigurationMagic = "CASEMATE-RUNTIME";
constexpr std::uint32_t kConfigurationVersion = 1;
constexpr std::uint64_t kAttributesMode64 = 0x4, kXfrmLegacy = 0x3;

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "runtime executable: " + what); }

constexpr std::uint64_t page_of(std::uint64_t address) { return address / kEnclavePageSize * kEnclavePageSize; }
constexpr std::uint64_t page_end(std::uint64_t address) { return page_of(address + kEnclavePageSize - 1); }

struct Segment {
  std::uint32_t flags = 0;
  std::uint64_t offset = 0, address = 0, file_size = 0, memory_size = 0;

  std::uint64_t begin() const { return page_of(address); }
  std::uint64_t end() const { return page_end(address + memory_size); }
};

struct Image {
  std::vector<Segment> segments;  // ascending, no page in two of them
  std::uint64_t entry = 0;
  std::uint64_t relro_begin = 0, relro_size = 0;

  std::uint64_t base() const { return segments.front().begin(); }
  std::uint64_t span() const { return segments.back().end() - base(); }
};

Result<Segment> check_segment(const Segment& segment, std::size_t file_size) {
  if (segment.file_size > segment.memory_size || segment.memory_size == 0 || segment.memory_size > kMaximumSpan ||
      segment.address > UINT64_MAX - 2 * kMaximumSpan) {
    return malformed("a segment of impossible size");
  }
  if (segment.offset > file_size || segment.file_size > file_size - segment.offset) {
    return malformed("a segment lies outside of the file");
  }
  if (segment.address % kEnclavePageSize != segment.offset % kEnclavePageSize) {
    return malformed("a segment is not aligned as it is in the file");
  }
  return segment;
}

Result<void> take_program_header(const FieldView& view, std::size_t file_size, Image& image) {
  const auto type = view.number<std::uint32_t>(0);
  if (type == kInterpreter) return malformed("it is dynamically linked");
  if (type == kRelro) {
    image.relro_begin = view.number<std::uint64_t>(16);
    image.relro_size = view.number<std::uint64_t>(40);
  }
  if (type != kLoad) return {};
  const Segment raw{view.number<std::uint32_t>(4), view.number<std::uint64_t>(8), view.number<std::uint64_t>(16),
                    view.number<std::uint64_t>(32), view.number<std::uint64_t>(40)};
  const Segment segment = CASEMATE_TRY(check_segment(raw, file_size));
  if (!image.segments.empty() && segment.begin() < image.segments.back().end()) {
    return malformed("segments overlap or are not in ascending order");
  }
  image.segments.push_back(segment);
  return {};
}

Result<Image> read_image(ByteView file) {
  if (file.size() < kElfHeaderSize) return malformed("too short");
  const FieldView header(file);
  constexpr std::string_view kIdentification{
      "\x7f"
      "ELF\x02\x01\x01",
      7};  // 64-bit, little-endian, version 1
  if (crypto::as_text(file.first(kIdentification.size())) != kIdentification) return malformed("no 64-bit ELF file");
  const auto type = header.number<std::uint16_t>(16), machine = header.number<std::uint16_t>(18);
  if ((type != kTypeExecutable && type != kTypeShared) || machine != kMachineX86_64) {
    return malformed("no executable for x86-64");
  }
  const auto table = header.number<std::uint64_t>(32);
  const std::size_t count = header.number<std::uint16_t>(56);
  if (header.number<std::uint16_t>(54) != kProgramHeaderSize || count > kMaximumSegmentCount || table > file.size() ||
      count * kProgramHeaderSize > file.size() - table) {
    return malformed("its program headers lie outside of the file");
  }
  Image image;
  for (std::size_t i = 0; i < count; ++i) {
    const FieldView view(file.subspan(table + i * kProgramHeaderSize, kProgramHeaderSize));
    if (Result<void> taken = take_program_header(view, file.size(), image); !taken) return taken.error();
  }
  if (image.segments.empty()) return malformed("it has no segments");
  if (image.span() > kMaximumSpan) return malformed("it spans more than 256 MiB");
  image.entry = header.number<std::uint64_t>(24);
  if (image.entry < image.base() || image.entry - image.base() >= image.span()) {
    return malformed("its entry point lies outside of it");
  }
  return image;
}

std::uint64_t secinfo_of(std::uint32_t segment_flags) {
  return kSecinfoRegular | ((segment_flags & kRead) != 0 ? kSecinfoRead : 0) |
         ((segment_flags & kWrite) != 0 ? kSecinfoWrite : 0) | ((segment_flags & kExecute) != 0 ? kSecinfoExecute : 0);
}

// The page at `address` as the kernel lets the process see it at its start: whole pages of the file, so also what
// stands before and behind the segment there; zero behind the file's part where memory goes on.
Bytes page_contents(ByteView file, const Segment& segment, std::uint64_t address) {
  Bytes page(kEnclavePageSize);
  const std::uint64_t file_part_end = segment.address + segment.file_size;
  if (segment.file_size == 0 || address >= page_end(file_part_end)) return page;
  const std::uint64_t offset = page_of(segment.offset) + (address - segment.begin());
  std::uint64_t size =
      std::min<std::uint64_t>(kEnclavePageSize, file.size() - std::min<std::uint64_t>(file.size(), offset));
  if (segment.memory_size > segment.file_size) size = std::min(size, file_part_end - std::min(file_part_end, address));
  std::ranges::copy(file.subspan(offset, size), page.begin());
  return page;
}

Bytes configuration_page(const Image& image) {
  return FieldWriter(kEnclavePageSize)
      .bytes(0, crypto::as_byte_view(kConfigurationMagic))
      .number(16, kConfigurationVersion)
      .number(20, kSsaFramePageCount)
      .number(24, image.entry - image.base())
      .number(32, image.span())
      .number(40, image.relro_size == 0 ? std::uint64_t{0} : image.relro_begin - image.base())
      .number(48, image.relro_size)
      .number(56, kAttributesMode64)
      .number(64, kXfrmLegacy)
      .finish();
}

// Thread control structure (Intel SDM vol. 3D, chapter 34): one thread, entered where the executable starts.
Bytes tcs_page(const Image& image, std::uint64_t ssa_offset) {
  constexpr std::uint32_t kNoLimit = 0xffffffff;
  return FieldWriter(kEnclavePageSize)
      .number(16, ssa_offset)
      .number(28, kSsaFramePageCount)
      .number(32, image.entry - image.base())
      .number(64, kNoLimit)
      .number(68, kNoLimit)
      .finish();
}

}  // namespace

Result<RuntimeMeasurement> measure_runtime_image(ByteView file, const EnclaveRecorder::Sink& sink) {
  const Image image = CASEMATE_TRY(read_image(file));
  const std::uint64_t configuration = image.span(), tcs = configuration + kEnclavePageSize,
                      ssa = tcs + kEnclavePageSize;
  RuntimeMeasurement measurement;
  measurement.enclave_size = std::bit_ceil(ssa + kEnclavePageSize);
  measurement.image_size = image.span();
  measurement.entry = image.entry - image.base();

  EnclaveRecorder recorder(sink);
  recorder.create(kSsaFramePageCount, measurement.enclave_size);
  for (const Segment& segment : image.segments) {
    for (std::uint64_t page = segment.begin(); page < segment.end(); page += kEnclavePageSize) {
      recorder.add_measured_page(page - image.base(), secinfo_of(segment.flags), page_contents(file, segment, page));
      ++measurement.page_count;
    }
  }
  recorder.add_measured_page(configuration, kSecinfoRegular | kSecinfoRead, configuration_page(image));
  recorder.add_measured_page(tcs, kSecinfoTcs, tcs_page(image, ssa));
  recorder.add_measured_page(ssa, kSecinfoRegular | kSecinfoRead | kSecinfoWrite, Bytes(kEnclavePageSize));
  measurement.page_count += 3;
  measurement.mr_enclave = recorder.finish();
  return measurement;
}

}  // namespace casemate::evidence
