#include "runtime/boot/program.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "runtime/intercept/line.h"
#include "runtime/intercept/process.h"
#include "runtime/loader/load.h"
#include "runtime/loader/script.h"
#include "runtime/loader/stack.h"
#include "runtime/memory/code_map.h"
#include "runtime/shield/shield.h"
#include "runtime/task/exec.h"

namespace casemate::runtime {
namespace {

inline constexpr int kExitNotFound = 127, kExitNotExecutable = 126;
constinit std::byte g_scratch[kLoadScratchSize] = {};

[[noreturn]] void fail_loading(const char* path, const LoadFailure& failure) {
  const LoadErrorText text = describe(failure.error);
  Line line;
  line.text(path).text(failure.role == ImageRole::kInterpreter ? ": its interpreter: " : ": ");
  line.text(text.what).text(": ").text(text.why);
  if (failure.machine != 0) line.text(" (").text(machine_name(failure.machine)).text(")");
  line.text("; ").text(text.remedy);
  fail(line.c_str(), nullptr, failure.error_number == 2 ? kExitNotFound : kExitNotExecutable);
}

void set_auxiliary(const InitialStack& stack, std::uint64_t type, std::uint64_t value) {
  for (Elf64_auxv_t* entry = stack.auxv; entry->a_type != AT_NULL; ++entry) {
    if (entry->a_type == type) entry->a_un.a_val = value;
  }
}

void edit_auxiliary_vector(const InitialStack& stack, const LoadedProgram& loaded) {
  set_auxiliary(stack, AT_PHDR, loaded.program.phdr_address);
  set_auxiliary(stack, AT_PHENT, loaded.program.phent);
  set_auxiliary(stack, AT_PHNUM, loaded.program.phnum);
  set_auxiliary(stack, AT_BASE, loaded.program.interpreter_size != 0 ? loaded.interpreter.load_bias : 0);
  set_auxiliary(stack, AT_ENTRY, loaded.program.entry);
  set_auxiliary(stack, AT_EXECFN, reinterpret_cast<std::uint64_t>(g_process.exec_path));
}

void set_exe_path(Thread& thread, int fd) {
  if (g_process.shield_active && shield_path_of(thread, fd, g_process.exe_path, sizeof(g_process.exe_path))) return;
  Line link;
  link.text("/proc/self/fd/").number(fd);
  const long size = host_call(SYS_readlinkat, AT_FDCWD, reinterpret_cast<long>(link.c_str()),
                              reinterpret_cast<long>(g_process.exe_path), sizeof(g_process.exe_path) - 1);
  if (size > 0) {
    g_process.exe_path[size] = 0;
  } else {
    __builtin_memcpy(g_process.exe_path, g_process.exec_path, sizeof(g_process.exe_path));
  }
}

// The kernel starts the heap up to 32 MiB behind the image.
void place_break(const LoadedProgram& loaded, Randomization randomization) {
  std::uint32_t random = 0;
  if (randomization == Randomization::kOn) host_call(SYS_getrandom, reinterpret_cast<long>(&random), sizeof(random), 0);
  const std::uint64_t start = (loaded.program.brk_start + 4095) & ~std::uint64_t{4095};
  g_process.brk_start = g_process.brk_end = start + (random % 0x2000) * 4096;
}

void note_code(void*, std::uint64_t start, std::uint64_t size) {
  code_map_add(start, size, PROT_READ | PROT_EXEC, CodeSharing::kPrivate, CodeBacking::kFile);
}

bool starts_as_script(int fd) {
  ElfFile file;
  file.fd = fd;
  file.scratch = g_scratch;
  if (failed(read_head(file, ImageRole::kProgram))) return false;
  return is_script(std::span<const std::byte>(g_scratch, file.head_size));
}

}  // namespace

InitialStack find_initial_stack(std::uint64_t* stack_pointer) {
  InitialStack stack{};
  stack.argc = stack_pointer;
  stack.argv = reinterpret_cast<char**>(stack_pointer + 1);
  stack.envp = stack.argv + *stack_pointer + 1;
  char** end = stack.envp;
  while (*end != nullptr) ++end;
  stack.auxv = reinterpret_cast<Elf64_auxv_t*>(end + 1);
  return stack;
}

std::uint64_t start_image(Thread& thread, const LaunchState& state, const InitialStack& stack) {
  if (state.program_fd < 0) fail("no program was handed over", nullptr, 125);
  if ((state.flags & kLaunchFirst) != 0 && starts_as_script(state.program_fd)) {
    host_call(SYS_close, state.program_fd);
    const long error = exec_script_at_start(thread, state.exec_path, stack.argv, stack.envp);
    Line line;
    line.text(state.exec_path).text(": cannot start the script's interpreter (errno ").number(-error);
    line.text("); check the first line of the script");
    fail(line.c_str(), nullptr, error == -2 ? kExitNotFound : kExitNotExecutable);
  }
  set_exe_path(thread, state.program_fd);
  const Randomization randomization = process_randomization();
  LoadedProgram loaded{};
  const LoadFailure failure = load_program({.fd = state.program_fd,
                                            .randomization = randomization,
                                            .on_code_mapped = {&note_code, nullptr},
                                            .scratch = g_scratch},
                                           loaded);
  if (failed(failure)) fail_loading(state.exec_path, failure);
  host_call(SYS_close, state.program_fd);
  place_break(loaded, randomization);
  const std::uint64_t end = stack_end(read_entry_stack(stack.argc));
  edit_auxiliary_vector(stack, loaded);
  if (loaded.stack == StackExecution::kAllowed) static_cast<void>(make_stack_executable(g_process.initial_stack, end));
  return loaded.start_address;
}

}  // namespace casemate::runtime
