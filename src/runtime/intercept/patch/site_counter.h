// How often each unpatched site has trapped, in a small table without locks. Approximate by design: sites that collide
// push each other out and are counted anew.
//
// Thresholds: a trap costs about 1.2 us more than a patched call; making a patch costs 15 us in a process with one
// thread and 100 us and more with several (code_writer.h). Patching after about as many traps as a patch costs bounds
// the loss to a factor of two, whatever the program does next.
#pragma once

#include <cstdint>

namespace casemate::runtime {

inline constexpr std::uint32_t kTrapsBeforePatch = 8;
// Generated code may be rewritten or thrown away: it must have been seen more often, and unchanged.
inline constexpr std::uint32_t kTrapsBeforeAnonymousPatch = 32;

void site_counter_init();

enum class TrapAdvice : std::uint8_t { kLater, kTry };
// One more trap at `site`. kTry at the threshold and after it, until give_up_site.
TrapAdvice count_trap(std::uint64_t site);
// Anonymous code: has it reached the second threshold with the same bytes around the site as when first asked?
bool is_stable(std::uint64_t site);
// Not examined again until forget_sites.
void give_up_site(std::uint64_t site);
void forget_sites(std::uint64_t start, std::uint64_t size);
// Quick answer to "can there be anything to forget in this range?". May say yes wrongly, never no.
bool may_hold_sites(std::uint64_t start, std::uint64_t size);

}  // namespace casemate::runtime
