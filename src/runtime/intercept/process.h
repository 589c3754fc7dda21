// What all threads of one address space share.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/boot/launch_state.h"
#include "runtime/intercept/lock.h"
#include "runtime/intercept/thread.h"

namespace casemate::runtime {

// The runtime's own descriptors in one descriptor table (CLONE_FILES shares it). They live high and are invisible.
struct DescriptorState {
  std::atomic<std::uint32_t> references;
  std::int32_t runtime_fd;  // the runtime's executable, for exec
  std::int32_t trace_fd;    // -1: none
  std::int32_t summary_fd;  // -1: none
};

struct Process {
  std::uint64_t gs_cookie;
  std::uint64_t text_begin, text_end;    // what SUD lets through
  std::uint64_t image_begin, image_end;  // the whole runtime executable
  TraceMode trace_mode;
  std::uint32_t launch_flags;
  std::uint64_t warned[8];
  char exec_path[4096];  // as the program was started
  char exe_path[4096];   // what /proc/self/exe must show
  char comm[16];
  std::uint64_t initial_stack;  // address of argc
  std::uint64_t auxv_begin, auxv_size;
  Lock brk_lock;
  std::uint64_t brk_start, brk_end;
  Lock fork_lock;
  bool has_fsgsbase;
  std::int64_t first_pid;
};

extern Process g_process;

// Runtime descriptors of the calling thread's table.
bool is_runtime_descriptor(const Thread& thread, std::int64_t fd);
// Writes one line to standard error of the program (or nothing in quiet runs). `text` ends with a newline.
void diagnose(const char* text, std::uint64_t size);
// Prints "casemate: ..." and ends the process with `code`.
[[noreturn]] void fail(const char* message, const char* detail, int code);

}  // namespace casemate::runtime
