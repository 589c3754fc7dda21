// From the kernel's first instruction to the program's. Runs once per exec, single-threaded, on the kernel's stack,
// with nothing of the program mapped yet.
//
// What a hostile host can do here -> what we answer
//  - hand over a LaunchState that is too short, of another version or without terminators -> refused with one line
//  - start us directly, without `casemate run` -> refused with one line that says how
#include <elf.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "runtime/boot/attest.h"
#include "runtime/boot/launch_state.h"
#include "runtime/boot/program.h"
#include "runtime/boot/words.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/intercept/patch/patcher.h"
#include "runtime/intercept/process.h"
#include "runtime/intercept/sud.h"
#include "runtime/intercept/tracing.h"
#include "runtime/netshield/net.h"
#include "runtime/shield/shield.h"
#include "runtime/signal/signals.h"
#include "runtime/task/tasks.h"

extern "C" {
extern char __ehdr_start[] __attribute__((visibility("hidden")));
extern char __executable_start[] __attribute__((visibility("hidden")));
extern char etext[] __attribute__((visibility("hidden")));
extern char _end[] __attribute__((visibility("hidden")));
[[gnu::visibility("hidden")]] void casemate_exit_to_program();
[[gnu::visibility("hidden")]] void casemate_entry_patched();
[[noreturn]] void casemate_switch_stack(std::uint64_t stack, void (*function)(void*), void* argument);
[[noreturn]] void casemate_boot(std::uint64_t* stack, const Elf64_Dyn* dynamic);
}

namespace casemate::runtime {
namespace {

inline constexpr int kExitRuntimeFailure = 125;  // as env(1), nohup(1) ...: the tool itself failed

constinit LaunchState g_state = {};

// static-pie without libc: apply our own R_X86_64_RELATIVE relocations before any table with addresses is used.
void relocate_self(const Elf64_Dyn* dynamic) {
  if (dynamic == nullptr) return;
  const auto base = reinterpret_cast<std::uint64_t>(__ehdr_start);
  std::uint64_t table = 0, size = 0;
  for (; dynamic->d_tag != DT_NULL; ++dynamic) {
    if (dynamic->d_tag == DT_RELA) table = base + dynamic->d_un.d_ptr;
    if (dynamic->d_tag == DT_RELASZ) size = dynamic->d_un.d_val;
  }
  const auto* entry = reinterpret_cast<const Elf64_Rela*>(table);
  for (std::uint64_t i = 0; i < size / sizeof(Elf64_Rela); ++i) {
    *reinterpret_cast<std::uint64_t*>(base + entry[i].r_offset) = base + static_cast<std::uint64_t>(entry[i].r_addend);
  }
}

std::uint64_t auxiliary(const InitialStack& stack, std::uint64_t type) {
  for (const Elf64_auxv_t* entry = stack.auxv; entry->a_type != AT_NULL; ++entry) {
    if (entry->a_type == type) return entry->a_un.a_val;
  }
  return 0;
}

// "/dev/fd/N", which the kernel makes of execveat(N, "", AT_EMPTY_PATH).
std::int32_t runtime_descriptor(const char* exec_name) {
  const char* prefix = "/dev/fd/";
  while (*prefix != 0) {
    if (exec_name == nullptr || *exec_name++ != *prefix++) return -1;
  }
  std::int32_t fd = 0;
  if (*exec_name == 0) return -1;
  for (; *exec_name != 0; ++exec_name) {
    if (*exec_name < '0' || *exec_name > '9' || fd > 10000000) return -1;
    fd = fd * 10 + (*exec_name - '0');
  }
  return fd;
}

void take_state(std::int32_t fd) {
  const long size = host_call(SYS_pread64, fd, reinterpret_cast<long>(&g_state), sizeof(g_state), 0);
  const bool valid = size == static_cast<long>(sizeof(g_state)) && g_state.magic == kLaunchMagic &&
                     g_state.version == kLaunchVersion && g_state.exec_path[sizeof(g_state.exec_path) - 1] == 0 &&
                     g_state.comm[sizeof(g_state.comm) - 1] == 0 &&
                     g_state.first_directory[sizeof(g_state.first_directory) - 1] == 0;
  if (!valid) {
    fail("this is the runtime, not a command: start programs with `casemate run -- PROGRAM`", nullptr,
         kExitRuntimeFailure);
  }
  host_call(SYS_close, fd);
}

void note_stack(const InitialStack& stack) {
  g_process.initial_stack = reinterpret_cast<std::uint64_t>(stack.argc);
  g_process.auxv_begin = reinterpret_cast<std::uint64_t>(stack.auxv);
  const Elf64_auxv_t* end = stack.auxv;
  while (end->a_type != AT_NULL) ++end;
  g_process.auxv_size = reinterpret_cast<std::uint64_t>(end + 1) - g_process.auxv_begin;
}

void fill_process(const InitialStack& stack) {
  g_process.text_begin = reinterpret_cast<std::uint64_t>(__executable_start);
  g_process.text_end = reinterpret_cast<std::uint64_t>(etext);
  g_process.image_begin = reinterpret_cast<std::uint64_t>(__ehdr_start) & ~std::uint64_t{4095};
  g_process.image_end = (reinterpret_cast<std::uint64_t>(_end) + 4095) & ~std::uint64_t{4095};
  protect_range(g_process.image_begin, g_process.image_end - g_process.image_begin);
  std::uint32_t random = 0;
  host_call(SYS_getrandom, reinterpret_cast<long>(&random), sizeof(random), 0);
  g_process.gs_cookie = (random & 0x7fffffff) | 1;
  g_process.trace_mode = g_state.trace_mode;
  g_process.first_pid = (g_state.flags & kLaunchFirst) != 0 ? host_call(SYS_getpid) : g_state.first_pid;
  g_process.launch_flags = g_state.flags;
  g_process.shield_active = g_state.shield_fd >= 0;
  g_process.net_active = g_state.net_fd >= 0;
  __builtin_memcpy(g_process.warned, g_state.warned, sizeof(g_process.warned));
  __builtin_memcpy(g_process.exec_path, g_state.exec_path, sizeof(g_process.exec_path));
  __builtin_memcpy(g_process.comm, g_state.comm, sizeof(g_process.comm));
  g_process.has_fsgsbase = (auxiliary(stack, 26) & 2) != 0;  // AT_HWCAP2, HWCAP2_FSGSBASE
  note_stack(stack);
}

Thread& first_thread(std::int32_t runtime_fd) {
  Thread* thread = thread_allocate();
  if (thread == nullptr) fail("no memory for the first thread's record", nullptr, kExitRuntimeFailure);
  DescriptorState initial{};
  initial.own[kRuntimeFd] = runtime_fd;
  initial.own[kTraceFd] = g_state.trace_fd;
  initial.own[kSummaryFd] = -1;
  initial.own[kNetFd] = g_state.net_fd;
  initial.own[kNetArenaFd] = g_state.net_arena_fd;
  initial.own_count = kOwnWithoutShield;
  thread->descriptors = descriptors_create(initial);
  thread->tid = static_cast<std::int32_t>(host_call(SYS_gettid));
  host_call(SYS_fcntl, runtime_fd, F_SETFD, FD_CLOEXEC);
  if (g_state.trace_fd >= 0) host_call(SYS_fcntl, g_state.trace_fd, F_SETFD, FD_CLOEXEC);
  thread->virtually_blocked = g_state.virtually_blocked;
  return *thread;
}

void arm(Thread& thread) {
  if (is_error(host_call(SYS_arch_prctl, 0x1001, reinterpret_cast<long>(&thread)))) {
    fail("the kernel refuses to set GS (arch_prctl)", "a seccomp profile may forbid it", kExitRuntimeFailure);
  }
  signals_arm_thread(thread);
  signals_boot(thread, g_state.ignored_runtime_signals);
  const std::uint64_t needed = kRuntimeSignals;
  std::uint64_t inherited = 0;
  host_call(SYS_rt_sigprocmask, 1, reinterpret_cast<long>(&needed), reinterpret_cast<long>(&inherited), 8);
  thread.virtually_blocked |= inherited & kRuntimeSignals;
  patcher_init(reinterpret_cast<std::uint64_t>(&casemate_entry_patched), g_process.gs_cookie);
  fill_fast_calls();
  if (is_error(sud_arm())) {
    fail("the kernel does not offer Syscall User Dispatch",
         "Linux >= 5.11 with CONFIG_GENERIC_ENTRY is needed; see `casemate run --doctor`", kExitRuntimeFailure);
  }
}

struct Start {
  InitialStack stack;
  Thread* thread;
};
constinit Start g_start = {};

// On the runtime stack from here on: copies that fault, locks and signals work as in any call.
void start_program(void*) {
  Thread& thread = *g_start.thread;
  if (g_state.words_fd >= 0) {
    g_start.stack = take_words(g_start.stack, g_state.words_fd);
    note_stack(g_start.stack);
  }
  tracing_boot(thread, (g_state.flags & kLaunchFirst) != 0 ? -1 : g_state.summary_fd);
  if (g_process.net_active) net_boot(thread, g_state);
  if (g_process.shield_active) {
    shield_boot(thread, g_state);
    const bool first = (g_state.flags & kLaunchFirst) != 0;
    if (first && g_state.program_fd < 0) shield_find_program(thread, g_state, g_start.stack.envp);
  }
  const std::uint64_t entry = start_image(thread, g_state, g_start.stack);
  if (g_process.comm[0] != 0) host_call(SYS_prctl, 15, reinterpret_cast<long>(g_process.comm));
  thread.regs = Regs{};
  thread.regs.rsp = g_process.initial_stack;
  thread.regs.rip = thread.regs.resume = entry;
  thread.regs.rflags = 0x202;
  thread.entry_kind = EntryKind::kInterrupted;
  casemate_exit_to_program();
}

}  // namespace
}  // namespace casemate::runtime

void casemate_boot(std::uint64_t* stack_pointer, const Elf64_Dyn* dynamic) {
  using namespace casemate::runtime;
  relocate_self(dynamic);
  const InitialStack stack = find_initial_stack(stack_pointer);
  const std::int32_t runtime_fd = runtime_descriptor(reinterpret_cast<const char*>(auxiliary(stack, AT_EXECFN)));
  take_state(runtime_fd < 0 ? -1 : runtime_fd + 1);
  prove_identity(g_state, stack);
  fill_process(stack);
  Thread& thread = first_thread(runtime_fd);
  arm(thread);
  g_start.stack = stack;
  g_start.thread = &thread;
  casemate_switch_stack(reinterpret_cast<std::uint64_t>(&thread), &start_program, nullptr);
}
