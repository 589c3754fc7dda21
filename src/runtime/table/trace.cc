#include "runtime/table/trace.h"

#include <linux/time_types.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/table/decode.h"
#include "runtime/table/trace_line.h"

namespace casemate::runtime {
namespace {

constexpr long kClockRealtime = 0;  // <linux/time.h> does not go with what <atomic> includes
constexpr std::uint64_t kSecond = 1'000'000'000;
// Room behind the arguments: error text, remark, time, newline.
constexpr std::size_t kTailReserve = 256;

void write_time_of_day(TextWriter& out, std::uint64_t nanoseconds) {
  const std::uint64_t second_of_day = nanoseconds / kSecond % 86400;
  out.unsigned_decimal(second_of_day / 3600, 2).put(':').unsigned_decimal(second_of_day / 60 % 60, 2).put(':');
  out.unsigned_decimal(second_of_day % 60, 2).put('.').unsigned_decimal(nanoseconds % kSecond / 1000, 6);
}

void begin_line(TextWriter& out, const Thread& thread, std::uint64_t time) {
  out.put('[').decimal(thread.tid).text("] ");
  write_time_of_day(out, time);
  out.put(' ');
}

// The clock may have been set back meanwhile.
std::uint64_t elapsed(std::uint64_t start, std::uint64_t end) { return end > start ? end - start : 0; }

void write_duration(TextWriter& out, std::uint64_t nanoseconds) {
  out.text(" <").unsigned_decimal(nanoseconds / kSecond).put('.');
  out.unsigned_decimal(nanoseconds % kSecond / 1000, 6).put('>');
}

void write_call(const CallView& view, std::uint64_t number) {
  TextWriter& out = view.out;
  out.set_limit(kTraceLineSize - kTailReserve);
  if (view.entry.status == Status::kUnknown) {
    out.text("syscall_").hex(number);
  } else {
    out.text(view.entry.name);
  }
  out.put('(');
  write_arguments(view);
  const bool was_cut = out.is_cut();
  out.set_limit(kTraceLineSize);
  if (was_cut) out.text("...");
  out.text(") = ");
}

void write_remark(TextWriter& out, const SyscallEntry& entry) {
  if (entry.status == Status::kRefused) out.text(" [refused by casemate]");
  if (entry.status == Status::kUnknown) out.text(" [unknown to casemate]");
}

void count_call(TraceSummary& summary, std::uint64_t number, long result, std::uint64_t nanoseconds) {
  if (result == kRestartCall) return;
  TraceCounter& counter = summary.counters[number < kSyscallLimit ? number : kSyscallLimit];
  counter.calls.fetch_add(1, std::memory_order_relaxed);
  counter.nanoseconds.fetch_add(nanoseconds, std::memory_order_relaxed);
  if (is_error(result)) counter.errors.fetch_add(1, std::memory_order_relaxed);
}

bool is_summary(const TraceTarget& target) { return target.mode == TraceMode::kSummary && target.summary != nullptr; }
bool prints_lines(const TraceTarget& target) { return target.mode == TraceMode::kCalls && target.fd >= 0; }

}  // namespace

std::uint64_t trace_now() {
  __kernel_timespec now{};
  host_call(SYS_clock_gettime, kClockRealtime, reinterpret_cast<long>(&now));
  return static_cast<std::uint64_t>(now.tv_sec) * kSecond + static_cast<std::uint64_t>(now.tv_nsec);
}

void trace_call(const TraceTarget& target, const Thread& thread, const SyscallEntry& entry, std::uint64_t number,
                const std::uint64_t (&arguments)[6], long result, std::uint64_t start_ns, std::uint64_t end_ns) {
  if (is_summary(target)) return count_call(*target.summary, number, result, elapsed(start_ns, end_ns));
  if (!prints_lines(target)) return;
  TraceLine line(thread.tid);
  TextWriter& out = line.out();
  begin_line(out, thread, start_ns);
  const CallView view{entry, arguments, result, CallPhase::kReturned, target.string_limit, out};
  write_call(view, number);
  write_result(view);
  write_remark(out, entry);
  write_duration(out, elapsed(start_ns, end_ns));
  out.put('\n');
  line.write_to(target.fd);
}

void trace_unfinished(const TraceTarget& target, const Thread& thread, const SyscallEntry& entry, std::uint64_t number,
                      const std::uint64_t (&arguments)[6], std::uint64_t start_ns) {
  if (is_summary(target)) return count_call(*target.summary, number, 0, 0);
  if (!prints_lines(target)) return;
  TraceLine line(thread.tid);
  TextWriter& out = line.out();
  begin_line(out, thread, start_ns);
  const CallView view{entry, arguments, 0, CallPhase::kEntered, target.string_limit, out};
  write_call(view, number);
  out.text("?\n");
  line.write_to(target.fd);
}

void trace_signal(const TraceTarget& target, const Thread& thread, const SigInfo& info) {
  if (!prints_lines(target)) return;
  TraceLine line(thread.tid);
  TextWriter& out = line.out();
  begin_line(out, thread, trace_now());
  write_signal(out.text("--- "), static_cast<std::uint32_t>(info.signal));
  write_signal_info(out.put(' '), &info);
  out.text(" ---\n");
  line.write_to(target.fd);
}

void trace_reset_after_fork() { trace_lines_reset(); }

}  // namespace casemate::runtime
