// fork, vfork, clone, clone3 in their thread and process forms. All are one raw clone from runtime text: SUD is off in
// every new task, so the child arms it (casemate_child_start, or finish_fork) before the first program instruction.
#include <linux/sched.h>
#include <sys/syscall.h>

#include "runtime/intercept/dispatch.h"
#include "runtime/intercept/patch/patcher.h"
#include "runtime/intercept/process.h"
#include "runtime/intercept/sud.h"
#include "runtime/intercept/table_pool.h"
#include "runtime/intercept/tracing.h"
#include "runtime/memory/guest.h"
#include "runtime/netshield/net.h"
#include "runtime/shield/channel.h"
#include "runtime/shield/shield.h"
#include "runtime/signal/signals.h"
#include "runtime/task/tasks.h"

extern "C" {
long casemate_clone(long number, long a1, long a2, long a3, long a4, long a5, casemate::runtime::Thread* child);
void casemate_child_start(casemate::runtime::Thread* thread);
}

namespace casemate::runtime {
namespace {

constinit TablePool<DescriptorState> g_descriptor_tables;

struct CloneRequest {
  std::uint64_t flags;
  std::uint64_t stack_top;  // 0: the parent's
  long number;
  long arguments[5];
};

// What a child that shares memory needs of its own. Null: no memory for it.
Thread* prepare_child(Thread& parent, const Regs& regs, const CloneRequest& request, std::uint64_t mask) {
  Thread* child = thread_allocate();
  if (child == nullptr) return nullptr;
  child->regs = regs;
  child->regs.rax = 0;
  if (request.stack_top != 0) child->regs.rsp = request.stack_top;
  child->start_mask = mask;
  child->virtually_blocked = parent.virtually_blocked;
  child->released_by_parent = (request.flags & CLONE_VFORK) != 0 ? 1 : 0;
  child->clear_handlers = (request.flags & CLONE_CLEAR_SIGHAND) != 0 ? 1 : 0;
  // The kernel keeps the alternate stack only where the parent's stack goes on being used.
  if ((request.flags & CLONE_VFORK) != 0) {
    child->altstack_base = parent.altstack_base;
    child->altstack_size = parent.altstack_size;
    child->altstack_flags = parent.altstack_flags;
  }
  if ((request.flags & CLONE_SIGHAND) != 0) {
    child->actions = parent.actions;
    child->actions->references.fetch_add(1);
  } else {
    child->actions = actions_create(parent.actions);
  }
  if ((request.flags & CLONE_FILES) != 0) {
    child->descriptors = parent.descriptors;
    child->descriptors->references.fetch_add(1);
  } else {
    child->descriptors = descriptors_create(*parent.descriptors);
  }
  const bool shielded = !g_process.shield_active || shield_prepare_child(parent, *child, request.flags);
  bool has_member = true;
  if (g_process.net_active && child->descriptors != nullptr && (request.flags & CLONE_FILES) == 0) {
    child->descriptors->net_member = net_copy_member(parent);
    has_member = child->descriptors->net_member != kNoMember;
  }
  if (child->actions == nullptr || child->descriptors == nullptr || !shielded || !has_member) {
    release_task(*child);
    thread_release(child);
    return nullptr;
  }
  process_thread_count_add(1);
  return child;
}

long clone_sharing_memory(Thread& parent, Regs& regs, const CloneRequest& request, std::uint64_t mask) {
  Thread* const child = prepare_child(parent, regs, request, mask);
  if (child == nullptr) return -12;
  const long result = casemate_clone(request.number, request.arguments[0], request.arguments[1], request.arguments[2],
                                     request.arguments[3], request.arguments[4], child);
  const bool has_own_member = g_process.net_active && (request.flags & CLONE_FILES) == 0;
  if (is_error(result) && has_own_member) net_drop_member(parent, child->descriptors->net_member);
  // Any other child's block may be free, or somebody else's, by now.
  if (is_error(result) || (request.flags & CLONE_VFORK) != 0) {
    release_task(*child);
    process_thread_count_add(-1);
    thread_release(child);
  }
  return result;
}

void lock_for_copy(Thread& thread) {
  g_process.fork_lock.acquire();
  g_process.brk_lock.acquire();
  thread.actions->lock.acquire();
  patcher_before_fork();
}

void unlock_after_copy(Thread& thread) {
  patcher_after_fork_in_parent();
  thread.actions->lock.release();
  g_process.brk_lock.release();
  g_process.fork_lock.release();
}

// In the child, whatever was locked in the parent.
void reset_after_copy(Thread& thread, std::uint64_t flags) {
  threads_after_fork(&thread);
  actions_after_fork(*thread.actions);
  g_descriptor_tables.keep_only(*thread.descriptors);
  if (g_process.shield_active) shield_after_fork_in_child(thread, flags);
  patcher_after_fork_in_child();
  thread.actions->lock.reset();
  g_process.brk_lock.reset();
  g_process.fork_lock.reset();
}

long clone_copying_memory(Thread& thread, Regs& regs, const CloneRequest& request) {
  // With CLONE_VFORK this task waits until the child is gone, which may need other threads: nothing can be held
  // meanwhile. What another thread is in the middle of then, the child sees as if that thread had been killed there.
  const bool waits = (request.flags & CLONE_VFORK) != 0;
  const bool needs_member = g_process.net_active && (request.flags & CLONE_FILES) == 0;
  const std::uint32_t member = needs_member ? net_copy_member(thread) : kNoMember;
  if (needs_member && member == kNoMember) return -11;
  if (g_process.shield_active) shield_before_fork(thread, request.flags);
  if (!waits) lock_for_copy(thread);
  const long result = casemate_clone(request.number, request.arguments[0], request.arguments[1], request.arguments[2],
                                     request.arguments[3], request.arguments[4], nullptr);
  if (result != 0) {
    if (!waits) unlock_after_copy(thread);
    if (is_error(result) && needs_member) net_drop_member(thread, member);
    return result;
  }
  thread.tid = static_cast<std::int32_t>(host_call(SYS_gettid));
  sud_arm();
  reset_after_copy(thread, request.flags);
  tracing_after_fork();
  if (needs_member) thread.descriptors->net_member = member;
  if (g_process.net_active) net_join(thread);
  thread.held_count = 0;  // pending signals are not inherited
  if ((request.flags & CLONE_CLEAR_SIGHAND) != 0) actions_clear_handlers(*thread.actions);
  if (request.stack_top != 0) regs.rsp = request.stack_top;
  return 0;
}

long clone_task(Thread& thread, Regs& regs, const CloneRequest& request) {
  const std::uint64_t mask = block_signals() | thread.virtually_blocked;
  if (thread.pending_count != 0) {
    unblock_signals(thread, mask);
    return kRestartCall;
  }
  const long result = (request.flags & CLONE_VM) != 0 ? clone_sharing_memory(thread, regs, request, mask)
                                                      : clone_copying_memory(thread, regs, request);
  unblock_signals(thread, mask);
  return result;
}

}  // namespace

DescriptorState* descriptors_create(const DescriptorState& copied_from) {
  DescriptorState* const state = g_descriptor_tables.claim();
  if (state == nullptr) return nullptr;
  const std::uint32_t count = copied_from.own_count;
  for (std::uint32_t i = 0; i < count; ++i) state->own[i] = copied_from.own[i].load();
  state->own_count = count;
  channels_after_copy(*state);
  state->kinds = nullptr;
  state->net_member = kNoMember;
  return state;
}

void release_task(Thread& thread) {
  if (thread.actions != nullptr) actions_release(thread.actions);
  if (thread.descriptors != nullptr) thread.descriptors->references.fetch_sub(1);
  if (g_process.shield_active) shield_release_task(thread);
}

long sys_fork(Thread& thread, Regs& regs) { return clone_task(thread, regs, {17, 0, SYS_clone, {17, 0, 0, 0, 0}}); }

long sys_vfork(Thread& thread, Regs& regs) {
  constexpr long flags = CLONE_VM | CLONE_VFORK | 17;
  return clone_task(thread, regs, {flags, 0, SYS_clone, {flags, 0, 0, 0, 0}});
}

long sys_clone(Thread& thread, Regs& regs) {
  // The old call's flags have 32 bits.
  CloneRequest request{static_cast<std::uint32_t>(regs.rdi), regs.rsi, SYS_clone, {}};
  request.arguments[0] = static_cast<long>(regs.rdi);
  request.arguments[2] = static_cast<long>(regs.rdx);
  request.arguments[3] = static_cast<long>(regs.r10);
  request.arguments[4] = static_cast<long>(regs.r8);
  return clone_task(thread, regs, request);
}

long sys_clone3(Thread& thread, Regs& regs) {
  union {
    clone_args fields;
    std::uint8_t bytes[256];
  } copy{};
  const std::uint64_t size = regs.rsi;
  if (size < CLONE_ARGS_SIZE_VER0) return -22;
  if (size > sizeof(copy)) return -7;
  if (const long error = copy_from_guest(copy.bytes, guest(regs.rdi), size); error != 0) return error;
  if ((copy.fields.stack == 0) != (copy.fields.stack_size == 0)) return -22;
  CloneRequest request{copy.fields.flags, 0, SYS_clone3, {}};
  // The kernel must not clear the handlers that the runtime needs; the child clears the program's.
  if ((copy.fields.flags & (CLONE_CLEAR_SIGHAND | CLONE_SIGHAND)) == CLONE_CLEAR_SIGHAND) {
    copy.fields.flags &= ~std::uint64_t{CLONE_CLEAR_SIGHAND};
  }
  if (copy.fields.stack != 0) request.stack_top = copy.fields.stack + copy.fields.stack_size;
  copy.fields.stack = copy.fields.stack_size = 0;
  request.arguments[0] = reinterpret_cast<long>(copy.bytes);
  request.arguments[1] = static_cast<long>(size);
  return clone_task(thread, regs, request);
}

long sys_exit(Thread& thread, Regs& regs) {
  // A process's signal that this thread has taken must not go with it.
  const std::uint64_t mask = block_signals();
  if (thread.pending_count != 0) {
    unblock_signals(thread, mask);
    return kRestartCall;
  }
  trace_departure(thread);
  if (g_process.net_active && thread.descriptors->references.load() == 1) net_before_end(thread);
  if (process_thread_count() == 1) {
    tracing_end(thread);
    if (g_process.shield_active) shield_before_end(thread);
  }
  while (thread.released_by_parent != 0) host_call(SYS_exit, static_cast<long>(regs.rdi));
  process_thread_count_add(-1);
  release_task(thread);
  casemate_exit_thread(&thread.state, static_cast<int>(regs.rdi));
}

long sys_exit_group(Thread& thread, Regs& regs) {
  trace_departure(thread);
  tracing_end(thread);
  if (g_process.net_active) net_before_end(thread);
  if (g_process.shield_active) shield_before_end(thread);
  // A vfork child's block is freed by its parent; everybody else's goes with the address space.
  for (;;) host_call(SYS_exit_group, static_cast<long>(regs.rdi));
}

}  // namespace casemate::runtime

void casemate_child_start(casemate::runtime::Thread* thread) {
  using namespace casemate::runtime;
  host_call(SYS_arch_prctl, 0x1001, reinterpret_cast<long>(thread));  // ARCH_SET_GS
  thread->tid = static_cast<std::int32_t>(host_call(SYS_gettid));
  signals_arm_thread(*thread);
  sud_arm();
  if (g_process.net_active && thread->descriptors->references.load() == 1) net_join(*thread);
  if (thread->clear_handlers != 0) actions_clear_handlers(*thread->actions);
  restore_signals(*thread, thread->start_mask);
}
