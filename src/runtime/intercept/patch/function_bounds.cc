#include "runtime/intercept/patch/function_bounds.h"

#include <linux/elf.h>

#include <cstddef>

#include "runtime/memory/guest.h"

namespace casemate::runtime {
namespace {

inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::uint64_t kHeaderSearchPages = 32768;  // 128 MiB of read-only data before the code
inline constexpr unsigned kMaxHolePages = 512;              // segments aligned to 2 MiB leave holes
inline constexpr std::uint32_t kElfMagic = 0x464c457f;
inline constexpr unsigned kMaxProgramHeaders = 64;
inline constexpr std::uint32_t kMaxFrameSize = 1 << 20;

// DWARF pointer encodings (LSB): low nibble the format, next three bits what it is relative to.
inline constexpr std::uint8_t kFormatMask = 0x0f, kRelationMask = 0x70, kIndirect = 0x80;
inline constexpr std::uint8_t kAbsolute = 0x00, kPcRelative = 0x10;
inline constexpr std::uint8_t kPcRelativeSigned4 = 0x1b, kUnsigned4 = 0x03, kDataRelativeSigned4 = 0x3b;

struct FrameHeader {
  std::uint64_t address, size;
};

bool read_program_header(std::uint64_t base, const Elf64_Ehdr& header, unsigned index, Elf64_Phdr& out) {
  return read_guest(out, guest(base + header.e_phoff + index * sizeof(Elf64_Phdr))) == 0;
}

bool is_usable(const Elf64_Ehdr& header) {
  return header.e_ident[EI_MAG0] == ELFMAG0 && header.e_ident[EI_MAG1] == ELFMAG1 &&
         header.e_ident[EI_MAG2] == ELFMAG2 && header.e_ident[EI_MAG3] == ELFMAG3 &&
         header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_machine == EM_X86_64 &&
         header.e_phentsize == sizeof(Elf64_Phdr) && header.e_phnum <= kMaxProgramHeaders && header.e_phoff <= kPage;
}

enum class ObjectKind : std::uint8_t { kOther, kWithoutFrames, kWithFrames };

// Is the header at `base` that of the object whose code contains `address`, and where is its frame table?
ObjectKind read_object(std::uint64_t base, std::uint64_t address, FrameHeader& frames) {
  Elf64_Ehdr header;
  if (read_guest(header, guest(base)) != 0 || !is_usable(header)) return ObjectKind::kOther;
  std::uint64_t bias = 0, frame_offset = 0;
  bool has_bias = false, has_frames = false, has_code = false;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (!read_program_header(base, header, i, segment)) return ObjectKind::kOther;
    if (segment.p_type == PT_LOAD && segment.p_offset == 0 && !has_bias) {
      bias = base - segment.p_vaddr;
      has_bias = true;
    }
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0 && has_bias) {
      has_code |= address - (bias + segment.p_vaddr) < segment.p_memsz;
    }
    if (segment.p_type == PT_GNU_EH_FRAME) {
      frame_offset = segment.p_vaddr;
      frames.size = segment.p_memsz;
      has_frames = true;
    }
  }
  frames.address = bias + frame_offset;
  if (!has_bias || !has_code) return ObjectKind::kOther;
  return has_frames && frames.size >= 12 ? ObjectKind::kWithFrames : ObjectKind::kWithoutFrames;
}

bool find_object(const CodeMapping& mapping, std::uint64_t address, FrameHeader& frames) {
  std::uint64_t page = mapping.start & ~(kPage - 1);
  unsigned hole = 0;
  for (std::uint64_t i = 0; i < kHeaderSearchPages && hole <= kMaxHolePages && page >= kPage; ++i, page -= kPage) {
    std::uint32_t magic;
    const bool readable = read_guest(magic, guest(page)) == 0;
    hole = readable ? 0 : hole + 1;
    if (!readable || magic != kElfMagic) continue;
    const ObjectKind kind = read_object(page, address, frames);
    if (kind != ObjectKind::kOther) return kind == ObjectKind::kWithFrames;
  }
  return false;
}

struct TableRow {
  std::int32_t location, frame;  // relative to the header
};

// The row with the greatest location not above `address`.
bool search_table(const FrameHeader& frames, std::uint64_t address, TableRow& found) {
  struct {
    std::uint8_t version, frame_pointer_encoding, count_encoding, table_encoding;
    std::uint32_t frame_pointer, count;
  } header;
  if (read_guest(header, guest(frames.address)) != 0 || header.version != 1) return false;
  if (header.frame_pointer_encoding != kPcRelativeSigned4 || header.count_encoding != kUnsigned4 ||
      header.table_encoding != kDataRelativeSigned4 || header.count > (frames.size - sizeof(header)) / 8) {
    return false;
  }
  const auto wanted = static_cast<std::int64_t>(address - frames.address);
  std::uint32_t low = 0, high = header.count;
  bool any = false;
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    TableRow row;
    if (read_guest(row, guest(frames.address + sizeof(header) + middle * 8u)) != 0) return false;
    if (row.location <= wanted) {
      found = row;
      any = true;
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return any;
}

// Bounded reader over a copied record.
class RecordReader {
 public:
  RecordReader(const std::uint8_t* bytes, std::size_t size) : bytes_(bytes), size_(size) {}
  std::uint8_t byte() {
    if (position_ >= size_) {
      failed_ = true;
      return 0;
    }
    return bytes_[position_++];
  }
  void skip(std::size_t count) {
    if (count > size_ - position_) failed_ = true;
    position_ = failed_ ? size_ : position_ + count;
  }
  void skip_leb() {
    for (unsigned i = 0; i < 10; ++i) {
      if ((byte() & 0x80) == 0) return;
    }
    failed_ = true;
  }
  bool failed() const { return failed_; }

 private:
  const std::uint8_t* bytes_;
  std::size_t size_, position_ = 0;
  bool failed_ = false;
};

// Size of an encoded pointer; 0: not understood.
unsigned pointer_size(std::uint8_t encoding) {
  switch (encoding & kFormatMask) {
    case 0x00:
    case 0x04:
    case 0x0c:
      return 8;
    case 0x03:
    case 0x0b:
      return 4;
    case 0x02:
    case 0x0a:
      return 2;
    default:
      return 0;
  }
}

// The encoding of code addresses in frames of this common information entry.
bool read_address_encoding(std::uint64_t entry, std::uint8_t& encoding) {
  std::uint8_t record[64];
  if (copy_from_guest(record, guest(entry), sizeof(record)) != 0) return false;
  std::uint32_t size, id;
  __builtin_memcpy(&size, record, 4);
  __builtin_memcpy(&id, record + 4, 4);
  if (id != 0 || size < 8 || size > kMaxFrameSize) return false;
  const std::size_t available = size + 4 < sizeof(record) ? size + 4 : sizeof(record);
  RecordReader reader(record + 8, available - 8);
  const std::uint8_t version = reader.byte();
  if (version != 1 && version != 3) return false;
  const std::uint8_t* letters = record + 9;
  std::size_t letter_count = 0;
  while (reader.byte() != 0) ++letter_count;
  if (reader.failed() || letter_count == 0 || letters[0] != 'z') return false;
  reader.skip_leb();  // code alignment
  reader.skip_leb();  // data alignment
  if (version == 1) {
    reader.byte();
  } else {
    reader.skip_leb();
  }
  reader.skip_leb();  // size of the augmentation data
  encoding = kAbsolute;
  for (std::size_t i = 1; i < letter_count; ++i) {
    if (letters[i] == 'R') {
      encoding = reader.byte();
    } else if (letters[i] == 'P') {
      const unsigned personality_size = pointer_size(reader.byte());
      if (personality_size == 0) return false;
      reader.skip(personality_size);
    } else if (letters[i] == 'L') {
      reader.byte();
    } else if (letters[i] != 'S') {
      return false;
    }
  }
  return !reader.failed();
}

FunctionBounds read_frame(std::uint64_t frame, std::uint64_t location) {
  std::uint8_t record[24] = {};
  if (copy_from_guest(record, guest(frame), sizeof(record)) != 0) return {};
  std::uint32_t size, distance;
  __builtin_memcpy(&size, record, 4);
  __builtin_memcpy(&distance, record + 4, 4);
  if (size < 12 || size > kMaxFrameSize || distance == 0) return {};
  std::uint8_t encoding;
  if (!read_address_encoding(frame + 4 - distance, encoding) || (encoding & kIndirect) != 0) return {};
  const std::uint8_t relation = encoding & kRelationMask;
  const unsigned width = pointer_size(encoding);
  if (width < 4 || (relation != kAbsolute && relation != kPcRelative) || size < 4 + 2 * width) return {};
  std::uint64_t start = 0, length = 0;
  __builtin_memcpy(&start, record + 8, width);
  __builtin_memcpy(&length, record + 8 + width, width);
  const bool is_signed = (encoding & 0x08) != 0;
  if (width == 4 && is_signed) start = static_cast<std::uint64_t>(static_cast<std::int32_t>(start));
  if (relation == kPcRelative) start += frame + 8;
  if (start != location || length > (1ull << 31)) return {};
  return {true, start, start + length};
}

}  // namespace

FunctionBounds find_function(const CodeMapping& mapping, std::uint64_t address) {
  FrameHeader frames{};
  TableRow row{};
  if (!find_object(mapping, address, frames) || !search_table(frames, address, row)) return {};
  const std::uint64_t location = frames.address + static_cast<std::uint64_t>(std::int64_t{row.location});
  const std::uint64_t frame = frames.address + static_cast<std::uint64_t>(std::int64_t{row.frame});
  const FunctionBounds bounds = read_frame(frame, location);
  if (!bounds.found || address < bounds.start || address + 2 > bounds.end) return {};
  if (bounds.start < mapping.start || bounds.end > mapping.end) return {};
  return bounds;
}

}  // namespace casemate::runtime
