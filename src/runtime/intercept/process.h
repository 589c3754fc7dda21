// What all threads of one address space share.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/boot/launch_state.h"
#include "runtime/intercept/lock.h"
#include "runtime/intercept/thread.h"

namespace casemate::runtime {

// The runtime's own descriptors. The hello socket and the channels belong to the file shield (docs/runtime/files.md),
// the socket to the keeper and the arena to the network shield (docs/runtime/network.md).
enum OwnDescriptor : unsigned { kRuntimeFd, kTraceFd, kSummaryFd, kNetFd, kNetArenaFd, kHelloFd, kFirstChannelFd };
inline constexpr unsigned kChannelCapacity = 16;
inline constexpr unsigned kOwnCapacity = kFirstChannelFd + kChannelCapacity;
inline constexpr std::uint32_t kOwnWithoutShield = kHelloFd;

// What the runtime knows of one descriptor table (CLONE_FILES shares it). Its own descriptors live high and are
// invisible to the program.
struct DescriptorState {
  std::atomic<std::uint32_t> references;
  std::atomic<std::uint32_t> own_count;         // entries of `own` that may be in use
  std::atomic<std::int32_t> own[kOwnCapacity];  // -1: none

  // File shield. A channel's word: kChannelFree or kChannelTaken; a stale one is a copy of the parent's.
  std::atomic<std::uint32_t> channel_words[kChannelCapacity];
  std::atomic<std::uint32_t> stale_channels;    // bit per channel
  std::atomic<std::uint32_t> channel_releases;  // futex: changes whenever a channel becomes free
  std::atomic<std::uint32_t> channel_waiters;
  std::atomic<std::uint64_t>* kinds;  // per descriptor, what is known of it (shield/kinds.h); null: nothing
  std::uint32_t net_member;           // network shield: the member that has this table's words

  std::int32_t runtime_fd() const { return own[kRuntimeFd].load(std::memory_order_relaxed); }
  std::int32_t trace_fd() const { return own[kTraceFd].load(std::memory_order_relaxed); }
  std::int32_t summary_fd() const { return own[kSummaryFd].load(std::memory_order_relaxed); }
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
  bool shield_active;  // this run has volumes; never changes after the boot
  bool net_active;     // this run has the network shield; never changes after the boot
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
