// Buffers of trace lines and their way out. A line is longer than a runtime stack may be deep, so it is composed in one
// of a few static slots; slots are claimed without waiting on each other and no lock is held while the line is written.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/table/text_writer.h"

namespace casemate::runtime {

inline constexpr std::size_t kTraceLineSize = 4096;  // PIPE_BUF: a pipe takes it in one piece

struct TraceSlot {
  std::atomic<std::int32_t> owner{0};  // tid, 0: free
  char text[kTraceLineSize] = {};
};

// Claims a slot for the thread `tid` and gives it back at the end of the scope.
class TraceLine {
 public:
  explicit TraceLine(std::int32_t tid);
  ~TraceLine() { slot_.owner.store(0, std::memory_order_release); }
  TraceLine(const TraceLine&) = delete;
  TraceLine& operator=(const TraceLine&) = delete;

  TextWriter& out() { return out_; }
  // One write() of what was written so far. A line that nobody can receive (closed pipe) is dropped.
  void write_to(std::int32_t fd);

 private:
  TraceSlot& slot_;
  TextWriter out_;
};

void trace_lines_reset();

}  // namespace casemate::runtime
