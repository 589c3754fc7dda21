// Counting, deciding, writing. The order of writes that other threads can see:
//   1. the stub is complete and its record published: from here handlers can answer for every boundary
//   2. int3 at the jump's first byte and at every covered boundary (single bytes)         3. all cores synchronised
//   4. the remaining bytes of the displacement                                           5. all cores synchronised
//   6. the first byte of the jump and the boundaries
// Wherever a thread stood, it next executes an old instruction as a whole, an int3 that is redirected, or the jump.
// Taking a patch back is the same in reverse.
#include "runtime/intercept/patch/patcher.h"

#include <linux/mman.h>
#include <sys/syscall.h>

#include <atomic>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/lock.h"
#include "runtime/intercept/patch/code_writer.h"
#include "runtime/intercept/patch/patch_plan.h"
#include "runtime/intercept/patch/patch_table.h"
#include "runtime/intercept/patch/site_counter.h"
#include "runtime/intercept/patch/site_proof.h"
#include "runtime/intercept/patch/stub.h"
#include "runtime/intercept/patch/stub_memory.h"
#include "runtime/intercept/thread.h"
#include "runtime/memory/code_map.h"
#include "runtime/memory/guest.h"

namespace casemate::runtime {
namespace {

inline constexpr std::uint8_t kInt3 = 0xcc;
inline constexpr std::size_t kCallSize = 2;
inline constexpr unsigned kMaxRevivals = 8;  // code that is made writable again and again is left alone

constinit Lock g_lock;
constinit std::uint64_t g_entry_address = 0;
constinit std::uint32_t g_cookie = 0;
constinit Patch* g_writing = nullptr;  // set while bytes change: whoever finds it set inherits the rest (see Section)
constinit PatcherStatistics g_statistics{};

enum class Direction : std::uint8_t { kInstall, kRestore };

class ByteSteps {
 public:
  ByteSteps(CodeWriter& writer, const Patch& patch) : writer_(writer), patch_(patch) {}

  // Writes those bytes of the jump whose bit is set in `mask`.
  bool write(unsigned mask, const std::uint8_t* bytes) {
    for (unsigned i = 0; i < kJumpSize; ++i) {
      if ((mask >> i & 1) != 0 && !writer_.write(patch_.jump + i, {bytes + i, 1})) return false;
    }
    return true;
  }

 private:
  CodeWriter& writer_;
  const Patch& patch_;
};

// Alone, order does not matter.
bool write_at_once(CodeWriter& writer, const Patch& patch, const std::uint8_t* bytes) {
  return writer.write(patch.jump, {bytes, kJumpSize});
}

bool write_in_steps(CodeWriter& writer, const Patch& patch, const std::uint8_t* bytes) {
  constexpr std::uint8_t kTraps[kJumpSize] = {kInt3, kInt3, kInt3, kInt3, kInt3};
  const unsigned boundaries = patch.boundary_mask, others = ~boundaries & ((1u << kJumpSize) - 1);
  ByteSteps steps(writer, patch);
  return steps.write(boundaries, kTraps) && synchronize_cores() && steps.write(others, bytes) && synchronize_cores() &&
         steps.write(boundaries, bytes);
}

Concurrency concurrency() { return process_thread_count() == 1 ? Concurrency::kAlone : Concurrency::kThreads; }

// Changes the bytes of the jump to its own or to the original ones. `protection`: the code's.
bool change_bytes(CodeWriter& writer, Patch& patch, Direction direction, std::uint32_t protection) {
  std::uint8_t bytes[kJumpSize];
  jump_bytes(patch, bytes);
  if (direction == Direction::kRestore) __builtin_memcpy(bytes, patch.original, kJumpSize);
  if (!writer.open({patch.jump, patch.jump + kJumpSize, protection, CodeOwner::kProgram})) return false;
  set_state(patch, PatchState::kWriting);
  const bool alone = writer.concurrency() == Concurrency::kAlone;
  bool done = alone ? write_at_once(writer, patch, bytes) : write_in_steps(writer, patch, bytes);
  // Bytes of the program's own must come back in any case: int3 must not stay behind.
  if (!done && direction == Direction::kRestore) done = write_at_once(writer, patch, bytes);
  writer.close();
  std::uint8_t now[kJumpSize];
  return done && copy_from_guest(now, guest(patch.jump), kJumpSize) == 0 &&
         __builtin_memcmp(now, bytes, kJumpSize) == 0;
}

bool change_bytes_logged(CodeWriter& writer, Patch& patch, Direction direction, std::uint32_t protection) {
  g_writing = &patch;
  const bool done = change_bytes(writer, patch, direction, protection);
  g_writing = nullptr;
  return done;
}

// Puts the program's bytes back, as far as they are ours to change.
void restore(Patch& patch) {
  const CodeLookup code = code_map_find(patch.jump);
  bool done = false;
  if (code.found && code.mapping.sharing == CodeSharing::kPrivate) {
    CodeWriter writer(concurrency());
    done = change_bytes_logged(writer, patch, Direction::kRestore, code.mapping.protection);
  }
  // When the code cannot be written any more the jump stays, and must stay known.
  const bool stays = !done && jump_is_in_place(patch);
  set_state(patch, stays ? PatchState::kLive : PatchState::kRetired);
}

// Holds the lock. A holder that died inside (a vfork child that was killed) may have left bytes half written.
class Section {
 public:
  Section() : guard_(g_lock) {
    if (g_writing != nullptr) restore(*g_writing);
  }

 private:
  LockGuard guard_;
};

bool is_patched(std::uint64_t site) {
  for (std::size_t i = 0; i < patch_count(); ++i) {
    Patch& patch = patch_at(i);
    if (patch.site() != site) continue;
    const bool live = patch.state.load(std::memory_order_relaxed) == PatchState::kLive;
    const bool in_place = jump_is_in_place(patch);
    if (in_place != live) set_state(patch, in_place ? PatchState::kLive : PatchState::kRetired);
    if (in_place) return true;
  }
  return false;
}

// Everything one attempt to patch needs to know. `window[kWindowBefore]` is the site.
struct Attempt {
  std::uint64_t site;
  CodeMapping mapping;
  std::size_t window_size;
  std::uint8_t window[kWindowBefore + kCallSize + kWindowAfter];
};

bool read_window(Attempt& attempt) {
  const std::uint64_t site = attempt.site;
  const std::uint64_t available = site - attempt.mapping.start;
  const std::uint64_t start = available < kWindowBefore ? attempt.mapping.start : site - kWindowBefore;
  const std::uint64_t wanted_end = site + kCallSize + kWindowAfter;
  const std::uint64_t end = wanted_end < attempt.mapping.end ? wanted_end : attempt.mapping.end;
  const std::size_t skipped = kWindowBefore - (site - start);
  attempt.window_size = skipped + (end - start);
  return copy_original_code(attempt.window + skipped, start, end - start) == 0;
}

// A retired patch whose code came back, byte for byte: threads may still be in its stub, and it fits.
Patch* find_revivable(const Attempt& attempt) {
  for (std::size_t i = 0; i < patch_count(); ++i) {
    Patch& patch = patch_at(i);
    if (patch.site() != attempt.site || patch.state.load(std::memory_order_relaxed) != PatchState::kRetired) continue;
    const std::uint8_t* covered = attempt.window + kWindowBefore - patch.before_size;
    if (overlaps_patch(patch.jump, patch.jump + patch.covered_size)) continue;
    if (__builtin_memcmp(covered, patch.original, patch.covered_size) == 0) return &patch;
  }
  return nullptr;
}

bool write_stub(CodeWriter& writer, const StubPlacement& place, const Stub& stub) {
  constexpr std::uint32_t kProtection = PROT_READ | PROT_EXEC;
  if (!writer.open({place.chunk, place.chunk + kChunkSize, kProtection, CodeOwner::kStubs})) return false;
  bool done = true;
  if (!place.chunk_is_ready) {
    std::uint8_t entry[sizeof(g_entry_address)];
    __builtin_memcpy(entry, &g_entry_address, sizeof(entry));
    done = writer.write(place.chunk, entry);
    if (done) mark_chunk_ready(place.chunk);
  }
  done = done && writer.write(place.address, {stub.code, stub.size});
  writer.close();
  return done;
}

void fill_record(Patch& patch, const Attempt& attempt, const PatchPlan& plan, const StubPlacement& place,
                 const Stub& stub) {
  patch.jump = attempt.site - plan.before_size;
  patch.stub = place.address;
  patch.stub_size = stub.size;
  patch.check = stub.check;
  patch.entered = stub.entered;
  patch.before_size = plan.before_size;
  patch.covered_size = plan.covered_size;
  patch.boundary_mask = 1;
  patch.revived = 0;
  patch.point_count = stub.point_count;
  for (unsigned i = 0; i < stub.point_count; ++i) {
    patch.points[i] = stub.points[i];
    // The address behind all that is covered is no boundary, even if the jump's filling reaches it.
    const unsigned offset = stub.points[i].original;
    if (offset < kJumpSize && offset < plan.covered_size) {
      patch.boundary_mask |= static_cast<std::uint8_t>(1u << offset);
    }
  }
  __builtin_memcpy(patch.original, attempt.window + kWindowBefore - plan.before_size, plan.covered_size);
  set_state(patch, PatchState::kRetired);
}

enum class Outcome : std::uint8_t { kPatched, kTryOther, kUnwritable };

// Gives the record its jump, or leaves the program's bytes as they were.
Outcome install(CodeWriter& writer, Patch& patch, std::uint32_t protection) {
  if (change_bytes_logged(writer, patch, Direction::kInstall, protection)) {
    set_state(patch, PatchState::kLive);
    return Outcome::kPatched;
  }
  if (patch.state.load(std::memory_order_relaxed) == PatchState::kWriting) restore(patch);
  return Outcome::kUnwritable;
}

Outcome apply_plan(CodeWriter& writer, const Attempt& attempt, const PatchPlan& plan) {
  const std::uint64_t jump = attempt.site - plan.before_size;
  const std::uint64_t covered_end = jump + (plan.covered_size > kJumpSize ? plan.covered_size : kJumpSize);
  if (jump < attempt.mapping.start || covered_end > attempt.mapping.end) return Outcome::kTryOther;
  if (overlaps_patch(jump, covered_end)) return Outcome::kTryOther;
  Patch* patch = next_patch();
  if (patch == nullptr) return Outcome::kUnwritable;
  const std::size_t size = stub_size(plan);
  const StubPlacement place = place_stub({jump, attempt.mapping.start, size, plan.pattern});
  if (place.address == 0) return Outcome::kTryOther;
  Stub stub;
  const StubRequest request{.plan = &plan,
                            .site = attempt.site,
                            .covered = {attempt.window + kWindowBefore - plan.before_size, plan.covered_size},
                            .stub_address = place.address,
                            .entry_pointer_address = place.chunk,
                            .cookie = g_cookie};
  if (!emit_stub(request, stub) || !write_stub(writer, place, stub)) {
    release_stub(place.address, size);
    return Outcome::kTryOther;
  }
  fill_record(*patch, attempt, plan, place, stub);
  publish_patch();
  return install(writer, *patch, attempt.mapping.protection);
}

// Asked once: what works the first time keeps working (the program cannot install seccomp filters for us).
bool can_synchronize() {
  static constinit bool works = false;
  if (!works) works = synchronize_cores();
  return works;
}

// True when the site is patched now.
bool patch_site(Attempt& attempt) {
  if (!read_window(attempt)) return false;
  CodeWriter writer(concurrency());
  if (writer.concurrency() == Concurrency::kThreads && !can_synchronize()) return false;
  if (Patch* patch = find_revivable(attempt)) {
    if (++patch->revived > kMaxRevivals) return false;
    return install(writer, *patch, attempt.mapping.protection) == Outcome::kPatched;
  }
  const SiteProof proof = prove_site(attempt.mapping, attempt.site);
  if (proof.kind == ProofKind::kNone) {
    ++g_statistics.unproven;
    return false;
  }
  const PatchPlans plans = plan_patch({attempt.site, {attempt.window, attempt.window_size}, &proof});
  if (plans.count == 0) {
    ++g_statistics.unplanned;
    return false;
  }
  for (std::size_t i = 0; i < plans.count; ++i) {
    const Outcome outcome = apply_plan(writer, attempt, plans.plans[i]);
    if (outcome == Outcome::kPatched) return true;
    if (outcome == Outcome::kUnwritable) break;
  }
  ++g_statistics.unwritable;
  return false;
}

bool may_be_patched(const CodeLookup& code) {
  return code.found && code.mapping.sharing == CodeSharing::kPrivate && (code.mapping.protection & PROT_EXEC) != 0;
}

// What an int3 at `address` of the program means, by the present state of patches and bytes.
PatchRedirect classify_trap(std::uint64_t address) {
  const BoundaryMatch match = find_by_boundary(address);
  if (match.patch == nullptr) return {PatchRedirectKind::kNotOurs, 0};
  const std::uint64_t offset = address - match.patch->jump;
  const bool in_stub = match.kind == BoundaryKind::kWriting || (match.kind == BoundaryKind::kInPlace && offset != 0);
  if (in_stub) return {PatchRedirectKind::kContinue, stub_of_offset(*match.patch, offset)};
  // The jump was completed, taken back or written over between the trap and now: execute what is there, unless that is
  // an int3 of the program's own.
  std::uint8_t now = kInt3;
  const bool own = copy_from_guest(&now, guest(address), 1) != 0 || now == kInt3;
  return {own ? PatchRedirectKind::kNotOurs : PatchRedirectKind::kContinue, address};
}

// Within a section.
void retire_patches(std::uint64_t start, std::uint64_t size, Direction direction) {
  for (std::size_t i = 0; i < patch_count(); ++i) {
    Patch& patch = patch_at(i);
    if (patch.jump + kJumpSize <= start || patch.jump >= start + size) continue;
    if (patch.state.load(std::memory_order_relaxed) != PatchState::kLive) continue;
    if (direction == Direction::kRestore && jump_is_in_place(patch)) {
      restore(patch);
    } else {
      set_state(patch, PatchState::kRetired);
    }
  }
  forget_sites(start, size);
}

void retire_range(std::uint64_t start, std::uint64_t size, Direction direction) {
  if (!may_hold_sites(start, size)) return;
  const Section section;
  retire_patches(start, size, direction);
}

}  // namespace

void patcher_init(std::uint64_t entry_address, std::uint64_t gs_cookie) {
  g_entry_address = entry_address;
  g_cookie = static_cast<std::uint32_t>(gs_cookie);
  if (!patch_table_init()) return;
  register_core_synchronization();
  site_counter_init();
}

void patcher_on_trap(std::uint64_t site) {
  if (count_trap(site) == TrapAdvice::kLater) return;
  const Section section;
  Attempt attempt{};
  attempt.site = site;
  const CodeLookup code = code_map_find(site);
  attempt.mapping = code.mapping;
  const bool anonymous = code.mapping.backing == CodeBacking::kAnonymous;
  if (may_be_patched(code) && anonymous && !is_stable(site)) return;
  // Success or not: whoever still arrives at the call itself need not be examined again.
  if (may_be_patched(code) && !is_patched(site)) patch_site(attempt);
  give_up_site(site);
}

std::uint64_t patcher_resume_address(std::uint64_t rip) {
  for (std::size_t i = 0; i < patch_count(); ++i) {
    const Patch& patch = patch_at(i);
    const std::uint64_t offset = rip - patch.jump;
    if (offset == 0 || offset >= kMaxCovered) continue;
    const bool boundary = offset < kJumpSize && (patch.boundary_mask >> offset & 1) != 0;
    if (!boundary && offset != patch.before_size) continue;
    if (jump_is_in_place(patch)) return stub_of_offset(patch, offset);
  }
  return rip;
}

PatchRedirect patcher_redirect(std::uint64_t rip_after_int3) {
  const std::uint64_t address = rip_after_int3 - 1;
  if (in_stub_memory(address)) {
    const Patch* patch = find_by_stub(address);
    if (patch == nullptr || address < patch->stub + patch->check || address >= patch->stub + patch->entered) {
      return {PatchRedirectKind::kNotOurs, 0};
    }
    return {PatchRedirectKind::kFixGs, patch->stub + patch->check};
  }
  for (;;) {
    const std::uint64_t changes = change_count();
    const PatchRedirect answer = classify_trap(address);
    if (change_count() == changes) return answer;
  }
}

PatchRedirect patcher_fault_redirect(std::uint64_t rip) {
  const Patch* patch = in_stub_memory(rip) ? find_by_stub(rip) : nullptr;
  if (patch == nullptr || rip != patch->stub + patch->check) return {PatchRedirectKind::kNotOurs, 0};
  return {PatchRedirectKind::kFixGs, rip};
}

bool patcher_owns(std::uint64_t rip) {
  const Patch* patch = in_stub_memory(rip) ? find_by_stub(rip) : nullptr;
  return patch != nullptr && rip >= patch->stub + patch->check && rip < patch->stub + patch->entered;
}

std::uint64_t patcher_original_pc(std::uint64_t rip) {
  const Patch* patch = in_stub_memory(rip) ? find_by_stub(rip) : nullptr;
  if (patch == nullptr) return 0;
  const std::uint64_t offset = rip - patch->stub;
  std::uint64_t original = patch->jump;
  for (unsigned i = 0; i < patch->point_count && patch->points[i].stub <= offset; ++i) {
    original = patch->jump + patch->points[i].original;
  }
  return original;
}

void patcher_code_unmapped(std::uint64_t start, std::uint64_t size) { retire_range(start, size, Direction::kInstall); }
void patcher_code_changed(std::uint64_t start, std::uint64_t size) { retire_range(start, size, Direction::kRestore); }

long patcher_change_protection(std::uint64_t start, std::uint64_t size, std::uint32_t protection) {
  const Section section;
  if ((protection & PROT_WRITE) != 0 && may_hold_sites(start, size)) {
    retire_patches(start, size, Direction::kRestore);
  }
  const long result =
      host_call(SYS_mprotect, static_cast<long>(start), static_cast<long>(size), static_cast<long>(protection));
  if (result == 0) code_map_protect(start, size, protection);
  return result;
}

void patcher_before_fork() { g_lock.acquire(); }
void patcher_after_fork_in_parent() { g_lock.release(); }
void patcher_after_fork_in_child() {
  g_lock.reset();
  code_map_after_fork_in_child();
}

PatcherStatistics patcher_statistics() {
  PatcherStatistics result = g_statistics;
  for (std::size_t i = 0; i < patch_count(); ++i) {
    result.patched += patch_at(i).state.load(std::memory_order_relaxed) == PatchState::kLive;
  }
  const StubMemoryUse use = stub_memory_use();
  result.stub_bytes = use.bytes;
  result.stub_pages = use.pages;
  result.stub_chunks = use.chunks;
  return result;
}

}  // namespace casemate::runtime
