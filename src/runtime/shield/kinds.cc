#include "runtime/shield/kinds.h"

#include <fcntl.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/shield/windows.h"

namespace casemate::runtime {
namespace {

// A word: flags in bits 0-7, slot in bits 8-23, epoch of kKindExclusive in bits 24-31, generation above.
inline constexpr std::int64_t kKeptDescriptors = 65536;
inline constexpr std::uint64_t kGeneration = std::uint64_t{1} << 32;

constinit std::atomic<std::uint32_t> g_epoch{0};
constinit std::atomic<std::uint32_t> g_append_changed{0};

using Word = std::atomic<std::uint64_t>;

Word* word_of(const Thread& thread, std::int64_t fd) {
  Word* const words = thread.descriptors->kinds;
  return words == nullptr || fd < 0 || fd >= kKeptDescriptors ? nullptr : words + fd;
}

std::uint64_t generation_of(std::uint64_t word) { return word & ~(kGeneration - 1); }

DescriptorKind read_word(std::uint64_t word) {
  DescriptorKind kind{word, kNoSlot, static_cast<std::uint32_t>(word & 0xff)};
  if ((kind.flags & kKindShielded) != 0) kind.slot = static_cast<std::uint32_t>(word >> 8) & 0xffff;
  const bool current = ((word >> 24) & 0xff) == (g_epoch.load(std::memory_order_relaxed) & 0xff);
  if (!current) kind.flags &= ~kKindExclusive;
  return kind;
}

std::uint64_t make_word(std::uint64_t generation, std::uint32_t slot, std::uint32_t flags) {
  const std::uint64_t epoch = g_epoch.load(std::memory_order_relaxed) & 0xff;
  const std::uint64_t place = slot == kNoSlot ? 0 : std::uint64_t{slot} << 8;
  return generation | epoch << 24 | place | flags;
}

std::uint32_t flags_of_open(std::uint64_t open_flags) {
  std::uint32_t flags = kKindKnown | kKindShielded;
  if ((open_flags & O_DSYNC) != 0) flags |= kKindSync;  // O_SYNC contains it
  if ((open_flags & O_APPEND) != 0) flags |= kKindAppend;
  if ((open_flags & O_PATH) == 0 && (open_flags & O_ACCMODE) != O_RDONLY) flags |= kKindWritable;
  if ((open_flags & O_PATH) == 0 && (open_flags & O_ACCMODE) != O_WRONLY) flags |= kKindReadable;
  return flags;
}

// Asks the kernel. Without kKindKnown: the descriptor is not open.
DescriptorKind find_out(std::int64_t fd) {
  DescriptorKind kind{0, kNoSlot, 0};
  struct stat status;
  if (host_call(SYS_fstat, static_cast<long>(fd), reinterpret_cast<long>(&status)) != 0) return kind;
  kind.flags = kKindKnown;
  if (status.st_dev != arena().memfd_device) return kind;
  kind.slot = slot_of_inode(status.st_ino);
  if (kind.slot == kNoSlot) return kind;
  const long open_flags = host_call(SYS_fcntl, static_cast<long>(fd), F_GETFL);
  if (!is_error(open_flags)) kind.flags = flags_of_open(static_cast<std::uint64_t>(open_flags));
  return kind;
}

void renew(Word* word, std::uint32_t flags) {
  std::uint64_t seen = word->load(std::memory_order_relaxed);
  while (!word->compare_exchange_weak(seen, (generation_of(seen) + kGeneration) | flags)) {
  }
  if ((seen & kKindShielded) != 0) windows_closed(static_cast<std::uint32_t>(seen >> 8) & 0xffff);
}

}  // namespace

void kinds_create(DescriptorState& table) {
  const long mapped = host_call(SYS_mmap, 0, kKeptDescriptors * static_cast<long>(sizeof(Word)), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (is_error(mapped)) return;
  protect_range(static_cast<std::uint64_t>(mapped), kKeptDescriptors * sizeof(Word));
  table.kinds = reinterpret_cast<Word*>(mapped);
}

DescriptorKind kind_of(const Thread& thread, std::int64_t fd) {
  if (fd < 0) return {0, kNoSlot, 0};
  Word* const word = word_of(thread, fd);
  if (word == nullptr) return find_out(fd);
  std::uint64_t seen = word->load(std::memory_order_acquire);
  if ((seen & kKindKnown) != 0) return read_word(seen);
  DescriptorKind kind = find_out(fd);
  kind.word = seen;
  if ((kind.flags & kKindKnown) == 0 || (seen & kKindChanging) != 0) return kind;
  const std::uint64_t made = make_word(generation_of(seen), kind.slot, kind.flags);
  if (word->compare_exchange_strong(seen, made)) kind.word = made;
  return kind;
}

bool kind_is_current(const Thread& thread, std::int64_t fd, const DescriptorKind& kind) {
  const Word* const word = word_of(thread, fd);
  if (word == nullptr) return true;
  return (kind.word & kKindChanging) == 0 && word->load(std::memory_order_acquire) == kind.word;
}

void kind_changed(const Thread& thread, std::int64_t fd) {
  if (Word* const word = word_of(thread, fd); word != nullptr) renew(word, 0);
}

void kind_changing(const Thread& thread, std::int64_t fd) {
  if (Word* const word = word_of(thread, fd); word != nullptr) renew(word, kKindChanging);
}

DescriptorKind kind_now(std::int64_t fd) { return find_out(fd); }

// Whole pages of words go back to the kernel: a range may be every number there is.
void kinds_closed(const Thread& thread, std::uint64_t first, std::uint64_t last) {
  Word* const words = thread.descriptors->kinds;
  if (words == nullptr) return;
  constexpr std::uint64_t kPerPage = 4096 / sizeof(Word), kEnd = kKeptDescriptors;
  const std::uint64_t end = last < kEnd ? last + 1 : kEnd;
  while (first < end && (first % kPerPage != 0 || end - first < kPerPage)) renew(words + first++, 0);
  const std::uint64_t whole_end = end - end % kPerPage;
  if (first < whole_end) {
    windows_closed_all();
    host_call(SYS_madvise, reinterpret_cast<long>(words + first), static_cast<long>((whole_end - first) * sizeof(Word)),
              MADV_DONTNEED);
    first = whole_end;
  }
  while (first < end) renew(words + first++, 0);
}

void kind_opened(const Thread& thread, std::int64_t fd, std::uint32_t slot, std::uint64_t open_flags) {
  Word* const word = word_of(thread, fd);
  if (word == nullptr) return;
  const std::uint64_t generation = generation_of(word->load(std::memory_order_relaxed)) + kGeneration;
  word->store(make_word(generation, slot, flags_of_open(open_flags) | kKindExclusive));
}

bool appends(std::int64_t fd, const DescriptorKind& kind) {
  if (g_append_changed.load(std::memory_order_relaxed) == 0) return (kind.flags & kKindAppend) != 0;
  const long flags = host_call(SYS_fcntl, static_cast<long>(fd), F_GETFL);
  return !is_error(flags) && (flags & O_APPEND) != 0;
}

void kinds_append_changed() { g_append_changed.store(1, std::memory_order_relaxed); }

void kinds_shared() { g_epoch.fetch_add(1, std::memory_order_relaxed); }

}  // namespace casemate::runtime
