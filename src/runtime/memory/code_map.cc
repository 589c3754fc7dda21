// Two buffers: a change builds the new table in the idle one and publishes it with one store, so a fork in the middle
// (another thread of the parent was at work) copies a table that is whole.
#include "runtime/memory/code_map.h"

#include <linux/mman.h>
#include <sys/syscall.h>

#include <atomic>
#include <cstddef>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/lock.h"

namespace casemate::runtime {
namespace {

inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::uint64_t kUserEnd = 0x7ffffffff000;

struct Table {
  CodeMapping* entries;
  std::size_t count, capacity;
};

constinit Lock g_lock;
constinit Table g_tables[2] = {};
constinit std::atomic<unsigned> g_published{0};

struct Range {
  std::uint64_t start, end;
  bool empty() const { return start >= end; }
};

Range page_range(std::uint64_t start, std::uint64_t size) {
  if (start > kUserEnd || size > kUserEnd || size == 0) return {0, 0};
  const std::uint64_t end = (start + size + kPage - 1) & ~(kPage - 1);
  return {start & ~(kPage - 1), end};
}

const Table& published() { return g_tables[g_published.load(std::memory_order_relaxed)]; }

// Index of the first entry that ends after `address`.
std::size_t first_after(const Table& table, std::uint64_t address) {
  std::size_t low = 0, high = table.count;
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (table.entries[middle].end <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

bool overlaps(const Table& table, Range range) {
  const std::size_t index = first_after(table, range.start);
  return index < table.count && table.entries[index].start < range.end;
}

// Collects the next table in the idle buffer, in ascending order; neighbours that agree are merged.
class Builder {
 public:
  Builder() : table_(g_tables[1 - g_published.load(std::memory_order_relaxed)]) {
    table_.count = 0;
    const std::size_t wanted = 2 * published().count + 8;  // protect may fill every gap
    if (table_.capacity < wanted) grow(wanted);
  }

  // Without memory the entry is forgotten: that code is never patched.
  void append(const CodeMapping& mapping) {
    if (mapping.start >= mapping.end) return;
    if (mapping.sharing == CodeSharing::kPrivate && (mapping.protection & PROT_EXEC) == 0) return;
    if (table_.count > 0 && merges(table_.entries[table_.count - 1], mapping)) {
      table_.entries[table_.count - 1].end = mapping.end;
      return;
    }
    if (table_.count < table_.capacity) table_.entries[table_.count++] = mapping;
  }

  void publish() { g_published.store(1 - g_published.load(std::memory_order_relaxed), std::memory_order_release); }

 private:
  // File mappings keep their own entries: an entry's start then is where the file's segment starts.
  static bool merges(const CodeMapping& left, const CodeMapping& right) {
    return left.end == right.start && left.protection == right.protection && left.sharing == right.sharing &&
           left.backing == CodeBacking::kAnonymous && right.backing == CodeBacking::kAnonymous;
  }

  void grow(std::size_t wanted) {
    const std::size_t size = (wanted * sizeof(CodeMapping) + kPage - 1) & ~(kPage - 1);
    const long mapped =
        host_call(SYS_mmap, 0, static_cast<long>(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (is_error(mapped)) return;
    if (table_.entries != nullptr) {
      host_call(SYS_munmap, reinterpret_cast<long>(table_.entries),
                static_cast<long>((table_.capacity * sizeof(CodeMapping) + kPage - 1) & ~(kPage - 1)));
    }
    table_ = {reinterpret_cast<CodeMapping*>(mapped), 0, size / sizeof(CodeMapping)};
  }

  Table& table_;
};

CodeMapping clipped(const CodeMapping& mapping, std::uint64_t start, std::uint64_t end) {
  CodeMapping part = mapping;
  part.start = mapping.start > start ? mapping.start : start;
  part.end = mapping.end < end ? mapping.end : end;
  return part;
}

// Builds the table anew: outside `range` as it was, inside what `emit(builder, piece)` makes of each old piece, after
// `before` was emitted.
template <typename Emit>
void rebuild(Range range, const CodeMapping* replacement, Emit emit) {
  const Table& old = published();
  Builder builder;
  bool placed = replacement == nullptr;
  for (std::size_t i = 0; i < old.count; ++i) {
    const CodeMapping& mapping = old.entries[i];
    builder.append(clipped(mapping, 0, range.start));
    if (!placed && mapping.end > range.start) {
      builder.append(*replacement);
      placed = true;
    }
    emit(builder, clipped(mapping, range.start, range.end));
    builder.append(clipped(mapping, range.end, kUserEnd));
  }
  if (!placed) builder.append(*replacement);
  builder.publish();
}

void drop(Builder&, const CodeMapping&) {}

void add_locked(const CodeMapping& mapping) { rebuild({mapping.start, mapping.end}, &mapping, drop); }

bool is_noted(std::uint32_t protection, CodeSharing sharing) {
  return (protection & PROT_EXEC) != 0 || sharing == CodeSharing::kShared;
}

}  // namespace

void code_map_add(std::uint64_t start, std::uint64_t size, std::uint32_t protection, CodeSharing sharing,
                  CodeBacking backing) {
  const Range range = page_range(start, size);
  if (range.empty()) return;
  const LockGuard guard(g_lock);
  if (!is_noted(protection, sharing) && !overlaps(published(), range)) return;
  add_locked({range.start, range.end, protection, sharing, backing});
}

void code_map_remove(std::uint64_t start, std::uint64_t size) {
  const Range range = page_range(start, size);
  if (range.empty()) return;
  const LockGuard guard(g_lock);
  if (!overlaps(published(), range)) return;
  rebuild(range, nullptr, drop);
}

void code_map_protect(std::uint64_t start, std::uint64_t size, std::uint32_t protection) {
  const Range range = page_range(start, size);
  if (range.empty()) return;
  const LockGuard guard(g_lock);
  const bool executable = (protection & PROT_EXEC) != 0;
  if (!executable && !overlaps(published(), range)) return;
  std::uint64_t next = range.start;
  const auto fill = [&](Builder& builder, std::uint64_t end) {
    if (executable) builder.append({next, end, protection, CodeSharing::kPrivate, CodeBacking::kAnonymous});
  };
  const Table& old = published();
  Builder builder;
  for (std::size_t i = 0; i < old.count; ++i) {
    const CodeMapping& mapping = old.entries[i];
    builder.append(clipped(mapping, 0, range.start));
    CodeMapping piece = clipped(mapping, range.start, range.end);
    if (piece.start < piece.end) {
      fill(builder, piece.start);
      piece.protection = protection;
      builder.append(piece);
      next = piece.end;
    }
    if (mapping.end > range.end && next < range.end) {
      fill(builder, range.end);
      next = range.end;
    }
    builder.append(clipped(mapping, range.end, kUserEnd));
  }
  if (next < range.end) fill(builder, range.end);
  builder.publish();
}

void code_map_move(std::uint64_t old_start, std::uint64_t old_size, std::uint64_t new_start, std::uint64_t new_size) {
  const Range from = page_range(old_start, old_size);
  const Range to = page_range(new_start, new_size);
  if (to.empty()) return;
  const LockGuard guard(g_lock);
  const Table& table = published();
  if (!overlaps(table, to) && (from.empty() || !overlaps(table, from))) return;
  // One mapping moves at a time (mremap), so the piece at the end of the old range speaks for all of it. What is moved
  // in parts of different protection loses its entry and is never patched, unless sharing must be remembered.
  CodeMapping moved{};
  bool known = false;
  if (!from.empty()) {
    const std::size_t index = first_after(table, from.end - 1);
    known = index < table.count && table.entries[index].start < from.end;
    if (known) moved = table.entries[index];
    rebuild(from, nullptr, drop);
  }
  if (!known) return rebuild(to, nullptr, drop);
  moved.start = to.start;
  moved.end = to.end;
  add_locked(moved);
}

CodeLookup code_map_find(std::uint64_t address) {
  const LockGuard guard(g_lock);
  const Table& table = published();
  const std::size_t index = first_after(table, address);
  if (index == table.count || table.entries[index].start > address) return {false, {}};
  return {true, table.entries[index]};
}

bool code_map_overlaps(std::uint64_t start, std::uint64_t size) {
  const Range range = page_range(start, size);
  if (range.empty()) return false;
  const LockGuard guard(g_lock);
  return overlaps(published(), range);
}

void code_map_after_fork_in_child() { g_lock.reset(); }

}  // namespace casemate::runtime
