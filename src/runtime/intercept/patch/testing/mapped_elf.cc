#include "runtime/intercept/patch/testing/mapped_elf.h"

#include <Zydis/Zydis.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "runtime/intercept/patch/patcher.h"
#include "runtime/memory/code_map.h"

namespace casemate::runtime::testing {
namespace {

constexpr std::uint64_t kPage = 4096;
std::uint64_t page_down(std::uint64_t value) { return value & ~(kPage - 1); }
std::uint64_t page_up(std::uint64_t value) { return page_down(value + kPage - 1); }

}  // namespace

MappedElf::MappedElf(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  Elf64_Ehdr header{};
  std::vector<Elf64_Phdr> segments;
  if (read(fd, &header, sizeof(header)) == sizeof(header) && std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
      header.e_machine == EM_X86_64) {
    segments.resize(header.e_phnum);
    const auto size = static_cast<ssize_t>(segments.size() * sizeof(Elf64_Phdr));
    if (pread(fd, segments.data(), static_cast<std::size_t>(size), static_cast<off_t>(header.e_phoff)) != size) {
      segments.clear();
    }
  }
  std::uint64_t low = ~0ull, high = 0;
  for (const auto& segment : segments) {
    if (segment.p_type != PT_LOAD) continue;
    low = std::min(low, page_down(segment.p_vaddr));
    high = std::max(high, page_up(segment.p_vaddr + segment.p_memsz));
  }
  if (high == 0) {
    close(fd);
    return;
  }
  size_ = high - low;
  base_ = reinterpret_cast<std::uint64_t>(mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (const auto& segment : segments) {
    if (segment.p_type != PT_LOAD || segment.p_filesz == 0) continue;
    const bool executable = (segment.p_flags & PF_X) != 0;
    const int protection = PROT_READ | (executable ? PROT_EXEC : 0);
    const std::uint64_t start = base_ + page_down(segment.p_vaddr) - low;
    const std::uint64_t extra = segment.p_vaddr & (kPage - 1);
    mmap(reinterpret_cast<void*>(start), segment.p_filesz + extra, protection, MAP_PRIVATE | MAP_FIXED, fd,
         static_cast<off_t>(page_down(segment.p_offset)));
    if (!executable) continue;
    code_map_add(start, segment.p_filesz + extra, static_cast<std::uint32_t>(protection), CodeSharing::kPrivate,
                 CodeBacking::kFile);
    sweep(start + extra, segment.p_filesz);
  }
  close(fd);
}

MappedElf::~MappedElf() {
  if (size_ == 0) return;
  code_map_remove(base_, size_);
  patcher_code_unmapped(base_, size_);
  munmap(reinterpret_cast<void*>(base_), size_);
}

void MappedElf::sweep(std::uint64_t start, std::uint64_t size) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(start);
  std::vector<std::uint64_t> found;
  for (std::uint64_t at = 0; at < size;) {
    ZydisDecodedInstruction instruction;
    const ZyanStatus status = ZydisDecoderDecodeInstruction(&decoder, nullptr, bytes + at, size - at, &instruction);
    const bool valid = ZYAN_SUCCESS(status);
    if (valid && instruction.mnemonic == ZYDIS_MNEMONIC_SYSCALL) found.push_back(start + at);
    at += valid ? instruction.length : 1;
  }
  for (std::uint64_t at = 0; at + 1 < size; ++at) {
    if (bytes[at] != 0x0f || bytes[at + 1] != 0x05) continue;
    const bool real = std::binary_search(found.begin(), found.end(), start + at);
    (real ? sites_ : others_).push_back(start + at);
  }
}

}  // namespace casemate::runtime::testing
