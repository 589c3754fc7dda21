// Is the `0f 05` at an address an instruction of the program's own instruction stream, or bytes inside another
// instruction that something jumped into? Only the first may be overwritten.
//
// The caller knows that the processor executed a system call there. What must be excluded is a second reading of the
// same bytes: an instruction that contains them.
//  - kFunction: decoding from the start of the enclosing function (.eh_frame_hdr) arrives exactly at the site.
//  - kUnanimous: no function is known. Among any 15 consecutive addresses of code at least one is the start of a true
//    instruction, because none is longer. So decode from all 15 addresses of a window before the site: if every stream
//    arrives at the site, the true one does. A stream that meets bytes no processor accepts is dropped (the true one
//    does not); one that meets bytes the decoder does not know counts against the site. All windows up to 160 bytes
//    back are tried: one is enough, others may know more neighbours, and two that disagree mean data in between.
//    Assumption: the bytes from the window to the site are code and padding, not data.
//  - kMappingStart: the mapping begins too near for a window (a small piece of generated code). The stream from the
//    mapping's first byte must arrive, and no stream from inside any of its instructions but the last may miss.
#pragma once

#include <cstdint>

#include "runtime/memory/code_map.h"

namespace casemate::runtime {

enum class ProofKind : std::uint8_t { kNone, kFunction, kUnanimous, kMappingStart };

inline constexpr unsigned kMaxProvenBefore = 4;
inline constexpr unsigned kTargetRange = 32;  // bytes on both sides of the site

struct SiteProof {
  ProofKind kind;
  std::uint8_t before_count;                   // proven instructions right before the site
  std::uint8_t before_size[kMaxProvenBefore];  // nearest first
  std::uint64_t code_end;                      // nothing may be covered from here on
  std::uint64_t target_mask;                   // bit (address - site + kTargetRange): a known branch lands there
};

SiteProof prove_site(const CodeMapping& mapping, std::uint64_t site);

}  // namespace casemate::runtime
