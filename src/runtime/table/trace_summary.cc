// The table of `--trace=summary`: which calls a run made, how often, and where its time in the kernel went.
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/table/trace.h"
#include "runtime/table/trace_line.h"

namespace casemate::runtime {
namespace {

constexpr std::size_t kCounterCount = kSyscallLimit + 1;
constexpr std::size_t kRowReserve = 160;  // no row is longer

struct Totals {
  std::uint64_t calls = 0, errors = 0, nanoseconds = 0;
};

Totals read_counter(const TraceSummary& summary, std::size_t number) {
  const TraceCounter& counter = summary.counters[number];
  return {counter.calls.load(std::memory_order_relaxed), counter.errors.load(std::memory_order_relaxed),
          counter.nanoseconds.load(std::memory_order_relaxed)};
}

Totals sum(const TraceSummary& summary) {
  Totals totals;
  for (std::size_t number = 0; number < kCounterCount; number++) {
    const Totals row = read_counter(summary, number);
    totals.calls += row.calls;
    totals.errors += row.errors;
    totals.nanoseconds += row.nanoseconds;
  }
  return totals;
}

// Hundredths of a percent, without overflow for runs of any length.
std::uint64_t share(std::uint64_t part, std::uint64_t total) {
  if (total == 0) return 0;
  if (total < 10000 || part < ~std::uint64_t{0} / 10000) return part * 10000 / total;
  return part / (total / 10000);
}

void write_row(TextWriter& out, const Totals& row, const Totals& totals, const char* name) {
  const std::uint64_t percent = share(row.nanoseconds, totals.nanoseconds);
  out.right_aligned(percent / 100, 3).put('.').unsigned_decimal(percent % 100, 2);
  out.right_aligned(row.nanoseconds / 1'000'000'000, 5).put('.');
  out.unsigned_decimal(row.nanoseconds % 1'000'000'000 / 1000, 6);
  out.right_aligned(row.calls == 0 ? 0 : row.nanoseconds / row.calls / 1000, 12);
  out.right_aligned(row.calls, 10);
  row.errors == 0 ? out.text("          ") : out.right_aligned(row.errors, 10);
  out.put(' ').text(name).put('\n');
}

void write_ruler(TextWriter& out) { out.text("------ ----------- ----------- --------- --------- ----------------\n"); }

class Printed {
 public:
  bool contains(std::size_t number) const { return (words_[number / 64] >> (number % 64) & 1) != 0; }
  void add(std::size_t number) { words_[number / 64] |= std::uint64_t{1} << (number % 64); }

 private:
  std::uint64_t words_[kCounterCount / 64 + 1] = {};
};

// The row with the most time that was not printed yet; kCounterCount when there is none.
std::size_t next_row(const TraceSummary& summary, const Printed& printed) {
  std::size_t best = kCounterCount;
  Totals best_row;
  for (std::size_t number = 0; number < kCounterCount; number++) {
    const Totals row = read_counter(summary, number);
    if (row.calls == 0 || printed.contains(number)) continue;
    const bool is_better = best == kCounterCount || row.nanoseconds > best_row.nanoseconds ||
                           (row.nanoseconds == best_row.nanoseconds && row.calls > best_row.calls);
    if (!is_better) continue;
    best = number;
    best_row = row;
  }
  return best;
}

}  // namespace

void trace_summary_print(const TraceSummary& summary, std::int32_t fd) {
  const auto tid = static_cast<std::int32_t>(host_call(SYS_gettid));
  const Totals totals = sum(summary);
  Printed printed;
  std::size_t number = next_row(summary, printed);
  {
    TraceLine head(tid);
    head.out().text("% time     seconds  usecs/call     calls    errors syscall\n");
    write_ruler(head.out());
    head.write_to(fd);
  }
  while (number != kCounterCount) {
    TraceLine block(tid);
    while (number != kCounterCount && block.out().size() < kTraceLineSize - kRowReserve) {
      write_row(block.out(), read_counter(summary, number), totals, syscall_entry(number).name);
      printed.add(number);
      number = next_row(summary, printed);
    }
    block.write_to(fd);
  }
  TraceLine foot(tid);
  write_ruler(foot.out());
  write_row(foot.out(), totals, totals, "total");
  foot.write_to(fd);
}

}  // namespace casemate::runtime
