// What the kernel maps for a static executable (System V gABI, ch. 5; Linux fs/binfmt_elf.c), and whether a process has
// mapped that and nothing else.
//
// What a hostile caller can do here -> what we answer
//  - run other code under the executable's name -> every executable mapping must be the file's text or the kernel's
//  - keep program code beside the runtime -> any mapping that the executable does not ask for is refused
//  - name a file "[vdso]", label memory -> the kernel's own names are believed for mappings without an inode only, and
//    a label of the user's shows as "[anon:...]"
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/bytes.h"
#include "las/process_text.h"
#include "protocol/las.h"

namespace casemate::las {

// One mapping that a fresh process image has, relative to where the executable was loaded.
struct ExpectedMapping {
  std::uint64_t start = 0, end = 0, offset = 0;
  std::string permissions;
  bool from_file = false;
  bool operator==(const ExpectedMapping&) const = default;
};

// How /proc shows the mapped file; not always what stat(2) says (btrfs, overlayfs).
struct MappedFile {
  std::string device;
  std::uint64_t inode = 0;
};

inline constexpr std::size_t kImageHeadSize = 4096;  // headers must lie in the first page

// From the first bytes of the file. Errors: kFormat for anything but a static x86-64 executable of up to 16 segments.
Result<std::vector<ExpectedMapping>> expected_mappings(crypto::ByteView head);

// kNone, kProgramMapped, or kCodeChanged when pages of code or constants are not the file's any more.
protocol::LasRefusal judge_mappings(const std::vector<Mapping>& found, const std::vector<ExpectedMapping>& expected,
                                    const MappedFile& file);

// Hosted executables (docs/las.md, "Hosted executables") say by a note in their image that no program ever runs in
// their address space: ELF note "Casemate", type kHostedNote, without contents, inside of what is mapped and measured.
// True when `head` has it.
inline constexpr std::uint32_t kHostedNote = 1;
bool is_hosted(crypto::ByteView head);

// As judge_mappings() for hosted executables, which have a libc and so a heap: memory without a file may be there, as
// long as it is not executable; of files the executable alone, and its code complete and unchanged.
protocol::LasRefusal judge_hosted_mappings(const std::vector<Mapping>& found,
                                           const std::vector<ExpectedMapping>& expected, const MappedFile& file);

// Whether two looks at one layout tell images apart: the stack of an image without randomization ends at the end of the
// address space.
bool is_randomized(const std::vector<Mapping>& found);

}  // namespace casemate::las
