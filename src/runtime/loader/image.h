// Maps the segments of an ElfPlan from a file descriptor, at the addresses and with the protections that Linux would
// choose (fs/binfmt_elf.c, Linux 6.6 and later).
//
// What a hostile host or peer can do here -> what we answer
//  - a program that asks for addresses where the runtime lives -> only addresses that were free are ever used: each
//  range
//    is reserved with MAP_FIXED_NOREPLACE before anything is mapped over it
//  - a file that shrinks while we map it -> the one store of ours into the image (zeroing the last page) goes through
//    copy_to_guest, which turns a fault into an error
#pragma once

#include <cstdint>

#include "runtime/loader/elf.h"
#include "runtime/loader/load_error.h"

namespace casemate::runtime {

enum class Randomization : std::uint8_t { kOff, kOn };

// Called for each executable mapping, after it is in place; addresses and sizes are whole pages.
struct CodeMappedHook {
  void (*function)(void* context, std::uint64_t start, std::uint64_t size) = nullptr;
  void* context = nullptr;
};

struct MapRequest {
  int fd;  // open for reading
  ImageRole role;
  Randomization randomization;
  CodeMappedHook on_code_mapped;
};

struct MappedImage {
  std::uint64_t load_bias;
  std::uint64_t start, end;  // page-aligned hull; gaps between segments are not mapped
  std::uint64_t entry;
  std::uint64_t phdr_address;  // AT_PHDR
  std::uint16_t phent, phnum;
  std::uint64_t end_of_bss;  // not rounded
  std::uint64_t brk_start;   // where Linux starts the heap before randomising it
  ElfType type;
  StackExecution stack;
  std::uint64_t interpreter_size;  // of the PT_INTERP path; 0: none
};

// What personality(2) says about this process (setarch -R switches randomisation off).
[[nodiscard]] Randomization process_randomization();

// Requires: `plan` was parsed from the file behind request.fd. On failure everything mapped is unmapped again.
// Blocks: on storage only. Allocates: address space only.
[[nodiscard]] LoadFailure map_image(const ElfPlan& plan, const MapRequest& request, MappedImage& image);

void unmap_image(const ElfPlan& plan, const MappedImage& image);

}  // namespace casemate::runtime
