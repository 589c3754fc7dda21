#include "runtime/intercept/patch/testing/code_page.h"

#include <asm/prctl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <random>

#include "runtime/intercept/patch/patcher.h"
#include "runtime/intercept/patch/stub_memory.h"
#include "runtime/memory/code_map.h"

extern "C" void run_with_registers(std::uint64_t code, casemate::runtime::testing::Registers* in_out);

namespace casemate::runtime::testing {
namespace {

constexpr std::uint64_t kTrapFlag = 0x100;

std::atomic<std::uint64_t> g_traps{0};
thread_local TestThread* t_thread = nullptr;
thread_local unsigned t_interrupt_step = 0, t_steps_seen = 0;

void step_trap(greg_t* registers) {
  const auto rip = static_cast<std::uint64_t>(registers[REG_RIP]);
  if (t_interrupt_step == 0 || !in_stub_memory(rip) || ++t_steps_seen != t_interrupt_step) return;
  registers[REG_RIP] = static_cast<greg_t>(patcher_original_pc(rip));
  registers[REG_EFL] &= ~static_cast<greg_t>(kTrapFlag);
}

[[noreturn]] void die(const char* why) {
  const ssize_t written = write(2, why, std::strlen(why));
  _exit(written > 0 ? 99 : 98);
}

void handle(int signal, siginfo_t* info, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (signal == SIGTRAP && info->si_code == TRAP_TRACE) return step_trap(registers);
  ++g_traps;
  const auto rip = static_cast<std::uint64_t>(registers[REG_RIP]);
  const PatchRedirect redirect = signal == SIGTRAP ? patcher_redirect(rip) : patcher_fault_redirect(rip);
  if (redirect.kind == PatchRedirectKind::kNotOurs) die(signal == SIGTRAP ? "foreign int3\n" : "fault\n");
  if (redirect.kind == PatchRedirectKind::kFixGs) use_gs(reinterpret_cast<std::uint64_t>(t_thread));
  registers[REG_RIP] = static_cast<greg_t>(redirect.rip);
}

void install_handlers() {
  struct sigaction action {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigaction(SIGTRAP, &action, nullptr);
  sigaction(SIGSEGV, &action, nullptr);
}

}  // namespace

const std::vector<Snippet>& snippets() {
  // `eb 00` before the call keeps the planner from using what stands before it. Data is at +3072 from the code.
  static const std::vector<Snippet> list = {
      {"mov imm32", {0xb8, 0x27, 0, 0, 0, 0x0f, 0x05, 0xc3}, 5, {0, 5}},
      {"mov simm32", {0x48, 0xc7, 0xc0, 0x27, 0, 0, 0, 0x0f, 0x05, 0xc3}, 7, {0, 7}},
      {"compare behind", {0xeb, 0, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0xc3}, 2, {2, 4}},
      {"two behind", {0xeb, 0, 0x0f, 0x05, 0x89, 0xc3, 0x85, 0xdb, 0xc3}, 2, {2, 4, 6}},
      {"one byte each behind", {0xeb, 0, 0x0f, 0x05, 0x50, 0x5b, 0x90, 0xc3}, 2, {2}},
      {"return behind", {0xeb, 0, 0x31, 0xdb, 0x0f, 0x05, 0xc3}, 4, {2, 4, 6}},
      {"three bytes before", {0xeb, 0, 0x4c, 0x89, 0xd2, 0x0f, 0x05, 0xeb, 0, 0xc3}, 5, {2, 5, 7}},
      {"four bytes before", {0xeb, 0, 0x48, 0x83, 0xc2, 0x01, 0x0f, 0x05, 0xeb, 0, 0xc3}, 6, {2, 6, 8}},
      {"two before", {0xeb, 0, 0x31, 0xdb, 0x4c, 0x89, 0xd2, 0x0f, 0x05, 0xeb, 0, 0xc3}, 7, {2, 4, 7}},
      {"stack load before", {0xeb, 0, 0x48, 0x8b, 0x54, 0x24, 0xc8, 0x0f, 0x05, 0xc3}, 7, {2, 7}},
      {"store to rip-relative", {0xeb, 0, 0x89, 0x35, 0xf8, 0x0b, 0, 0, 0x0f, 0x05, 0xc3}, 8, {2, 8}},
      {"load of rip-relative behind", {0xeb, 0, 0x0f, 0x05, 0x8b, 0x1d, 0xf6, 0x0b, 0, 0, 0xc3}, 2, {2, 4}},
      {"carry used behind", {0xeb, 0, 0x0f, 0x05, 0x48, 0x83, 0xd3, 0x00, 0xc3}, 2, {2, 4}},
  };
  return list;
}

CodePage::CodePage(const Snippet& snippet) : snippet_(snippet) {
  void* mapped = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) die("no memory\n");
  base_ = reinterpret_cast<std::uint64_t>(mapped);
  std::memset(mapped, 0x90, 4096);
  std::memcpy(as_pointer(code()), snippet.bytes.data(), snippet.bytes.size());
  *reinterpret_cast<std::uint64_t*>(base_ + 4096) = 0x1122334455667788;
  mprotect(mapped, 4096, PROT_READ | PROT_EXEC);
  code_map_protect(base_, 4096, PROT_READ | PROT_EXEC);
}

CodePage::~CodePage() {
  code_map_remove(base_, 8192);
  patcher_code_unmapped(base_, 8192);
  munmap(as_pointer(base_), 8192);
}

void use_gs(std::uint64_t base) { syscall(SYS_arch_prctl, ARCH_SET_GS, base); }

void adopt_thread(TestThread& thread) {
  static std::once_flag once;
  std::call_once(once, install_handlers);
  thread.cookie = kTestCookie;
  thread.stack_top = reinterpret_cast<std::uint64_t>(thread.stack) + sizeof(thread.stack);
  t_thread = &thread;
  static thread_local std::vector<std::uint8_t> signal_stack(64 * 1024);
  const stack_t stack{signal_stack.data(), 0, signal_stack.size()};
  sigaltstack(&stack, nullptr);
  use_gs(reinterpret_cast<std::uint64_t>(&thread));
}

Registers run(std::uint64_t address, const Registers& input) {
  Registers state = input;
  run_with_registers(address, &state);
  return state;
}

Registers random_registers(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Registers registers{};
  auto* words = reinterpret_cast<std::uint64_t*>(&registers);
  for (unsigned i = 0; i < sizeof(Registers) / 8; ++i) words[i] = random();
  registers.rax = SYS_getpid;
  registers.rflags = 0x202 | (random() & 0x8d5);  // arithmetic flags
  return registers;
}

const char* difference(const Registers& left, const Registers& right) {
  static const char* const kNames[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8",
                                       "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rflags"};
  for (unsigned i = 0; i < 16; ++i) {
    if (std::memcmp(&left.rax + i, &right.rax + i, 8) != 0) return kNames[i];
  }
  if (std::memcmp(left.xmm, right.xmm, sizeof(left.xmm)) != 0) return "xmm";
  return left.red_zone == right.red_zone ? nullptr : "red zone";
}

bool run_interrupted(std::uint64_t address, const Registers& input, unsigned step, Registers& output) {
  Registers state = input;
  state.rflags |= kTrapFlag;
  t_interrupt_step = step;
  t_steps_seen = 0;
  run_with_registers(address, &state);
  t_interrupt_step = 0;
  output = state;
  output.rflags &= ~kTrapFlag;
  output.r11 &= ~kTrapFlag;
  return t_steps_seen >= step;
}

std::uint64_t trap_count() { return g_traps; }

}  // namespace casemate::runtime::testing
