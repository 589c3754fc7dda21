#include "las/image_layout.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace casemate::las {
namespace {

using protocol::LasRefusal;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kAddressLimit = std::uint64_t{1} << 47;
constexpr std::size_t kSegmentLimit = 16;

std::uint64_t page_down(std::uint64_t address) { return address & ~(kPage - 1); }
std::uint64_t page_up(std::uint64_t address) { return page_down(address + kPage - 1); }

Error unsuitable(const char* what) { return Error(ErrorCategory::kFormat, std::string("executable: ") + what); }

std::string permissions_of(std::uint32_t flags) {
  std::string text = "---p";
  if ((flags & PF_R) != 0) text[0] = 'r';
  if ((flags & PF_W) != 0) text[1] = 'w';
  if ((flags & PF_X) != 0) text[2] = 'x';
  return text;
}

bool is_plausible(const Elf64_Phdr& segment) {
  return segment.p_filesz <= segment.p_memsz && segment.p_vaddr < kAddressLimit && segment.p_memsz < kAddressLimit &&
         segment.p_offset < kAddressLimit && segment.p_vaddr % kPage == segment.p_offset % kPage;
}

void add_segment(std::vector<ExpectedMapping>& mappings, const Elf64_Phdr& segment) {
  const std::uint64_t file_end = page_up(segment.p_vaddr + segment.p_filesz);
  const std::uint64_t memory_end = page_up(segment.p_vaddr + segment.p_memsz);
  const std::string permissions = permissions_of(segment.p_flags);
  const std::uint64_t start = page_down(segment.p_vaddr);
  if (segment.p_filesz != 0) mappings.push_back({start, file_end, page_down(segment.p_offset), permissions, true});
  const std::uint64_t zero_start = segment.p_filesz != 0 ? file_end : start;
  if (memory_end > zero_start) mappings.push_back({zero_start, memory_end, 0, permissions, false});
}

struct KernelMapping {
  std::string_view name;
  std::string_view permissions;
};
constexpr KernelMapping kKernelMappings[] = {{"[stack]", "rw-p"}, {"[vvar]", "r--p"},     {"[vvar_vclock]", "r--p"},
                                             {"[vdso]", "r-xp"},  {"[vsyscall]", "--xp"}, {"[vsyscall]", "r-xp"}};

bool is_the_kernels(const Mapping& mapping) {
  return mapping.inode == 0 &&
         std::any_of(std::begin(kKernelMappings), std::end(kKernelMappings), [&](const KernelMapping& known) {
           return mapping.name == known.name && mapping.permissions == known.permissions;
         });
}

bool fits(const Mapping& mapping, const ExpectedMapping& expected, std::uint64_t bias, const MappedFile& file) {
  if (mapping.start != bias + expected.start || mapping.end != bias + expected.end) return false;
  if (mapping.permissions != expected.permissions) return false;
  if (!expected.from_file) return mapping.inode == 0 && mapping.name.empty();
  return mapping.offset == expected.offset && mapping.inode == file.inode && mapping.device == file.device;
}

bool has_note(crypto::ByteView notes) {
  constexpr std::string_view kName("Casemate", 9);  // with its NUL
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr note;
    std::memcpy(&note, notes.data(), sizeof(note));
    const std::uint64_t name_size = (std::uint64_t{note.n_namesz} + 3) & ~std::uint64_t{3};
    const std::uint64_t size = sizeof(note) + name_size + ((std::uint64_t{note.n_descsz} + 3) & ~std::uint64_t{3});
    if (size > notes.size()) return false;
    const std::string_view name = crypto::as_text(notes.subspan(sizeof(note), note.n_namesz));
    if (name == kName && note.n_type == kHostedNote && note.n_descsz == 0) return true;
    notes = notes.subspan(static_cast<std::size_t>(size));
  }
  return false;
}

bool is_part_of(const Mapping& mapping, const ExpectedMapping& expected, std::uint64_t bias, const MappedFile& file) {
  const std::uint64_t start = bias + expected.start;
  if (!expected.from_file || mapping.inode != file.inode || mapping.device != file.device) return false;
  if (mapping.start < start || mapping.end > bias + expected.end) return false;
  if (mapping.offset != expected.offset + (mapping.start - start)) return false;
  const bool made_constant = expected.permissions == "rw-p" && mapping.permissions == "r--p";  // RELRO
  return mapping.permissions == expected.permissions || made_constant;
}

}  // namespace

bool is_hosted(crypto::ByteView head) {
  Elf64_Ehdr header;
  if (!expected_mappings(head).has_value()) return false;
  std::memcpy(&header, head.data(), sizeof(header));
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, head.data() + header.e_phoff + i * sizeof(segment), sizeof(segment));
    if (segment.p_type != PT_NOTE || segment.p_offset > head.size()) continue;
    if (segment.p_filesz > head.size() - segment.p_offset) continue;
    const bool is_mapped = [&] {
      for (std::size_t j = 0; j < header.e_phnum; ++j) {
        Elf64_Phdr load;
        std::memcpy(&load, head.data() + header.e_phoff + j * sizeof(load), sizeof(load));
        if (load.p_type == PT_LOAD && load.p_offset <= segment.p_offset &&
            segment.p_offset + segment.p_filesz <= load.p_offset + load.p_filesz) {
          return true;
        }
      }
      return false;
    }();
    const auto offset = static_cast<std::size_t>(segment.p_offset);
    if (is_mapped && has_note(head.subspan(offset, static_cast<std::size_t>(segment.p_filesz)))) return true;
  }
  return false;
}

LasRefusal judge_hosted_mappings(const std::vector<Mapping>& found, const std::vector<ExpectedMapping>& expected,
                                 const MappedFile& file) {
  const auto first = std::ranges::find_if(found, [&](const Mapping& mapping) { return mapping.inode == file.inode; });
  if (first == found.end()) return LasRefusal::kProgramMapped;
  const std::uint64_t bias = first->start - expected.front().start;
  std::size_t code_seen = 0;
  for (const Mapping& mapping : found) {
    if (is_the_kernels(mapping)) continue;
    if (mapping.inode == 0 && mapping.permissions[2] != 'x' && mapping.permissions[3] == 'p') continue;
    const auto part = std::ranges::find_if(
        expected, [&](const ExpectedMapping& candidate) { return is_part_of(mapping, candidate, bias, file); });
    if (part == expected.end()) return LasRefusal::kProgramMapped;
    if (part->permissions[2] == 'x') code_seen += mapping.end - mapping.start;
    if (part->permissions[1] != 'w' && mapping.private_pages_kib != 0) return LasRefusal::kCodeChanged;
  }
  std::size_t code = 0;
  for (const ExpectedMapping& mapping : expected)
    code += mapping.permissions[2] == 'x' ? mapping.end - mapping.start : 0;
  return code == code_seen ? LasRefusal::kNone : LasRefusal::kProgramMapped;
}

Result<std::vector<ExpectedMapping>> expected_mappings(crypto::ByteView head) {
  Elf64_Ehdr header;
  if (head.size() < sizeof(header)) return unsuitable("too short");
  std::memcpy(&header, head.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_machine != EM_X86_64 || (header.e_type != ET_DYN && header.e_type != ET_EXEC)) {
    return unsuitable("not an x86-64 executable");
  }
  const std::uint64_t table_size = std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > kSegmentLimit || header.e_phoff > head.size() ||
      head.size() - header.e_phoff < table_size) {
    return unsuitable("program headers");
  }
  std::vector<ExpectedMapping> mappings;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, head.data() + header.e_phoff + i * sizeof(segment), sizeof(segment));
    if (segment.p_type == PT_INTERP) return unsuitable("it needs an interpreter");
    if (segment.p_type != PT_LOAD) continue;
    if (!is_plausible(segment)) return unsuitable("implausible segment");
    add_segment(mappings, segment);
  }
  if (mappings.empty() || !mappings.front().from_file) return unsuitable("nothing to load");
  return mappings;
}

bool is_randomized(const std::vector<Mapping>& found) {
  return std::ranges::any_of(found, [](const Mapping& mapping) {
    return mapping.name == "[stack]" && mapping.inode == 0 && mapping.end != kAddressLimit - kPage;
  });
}

LasRefusal judge_mappings(const std::vector<Mapping>& found, const std::vector<ExpectedMapping>& expected,
                          const MappedFile& file) {
  std::vector<Mapping> own;
  std::ranges::copy_if(found, std::back_inserter(own), [](const Mapping& mapping) { return !is_the_kernels(mapping); });
  if (own.size() != expected.size()) return LasRefusal::kProgramMapped;
  const std::uint64_t bias = own.front().start - expected.front().start;
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (!fits(own[i], expected[i], bias, file)) return LasRefusal::kProgramMapped;
    const bool constant = expected[i].permissions[1] != 'w';
    if (constant && own[i].private_pages_kib != 0) return LasRefusal::kCodeChanged;
  }
  return LasRefusal::kNone;
}

}  // namespace casemate::las
