#include "runtime/loader/load.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <initializer_list>

#include "runtime/loader/stack.h"
#include "runtime/loader/testing/support.h"

namespace casemate::runtime {
namespace {

using testing::SmallElf;

LoadFailure load(const std::string& path, LoadedProgram& loaded) {
  std::byte scratch[kLoadScratchSize];
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const LoadFailure failure =
      load_program({.fd = fd, .randomization = Randomization::kOn, .on_code_mapped = {}, .scratch = scratch}, loaded);
  close(fd);
  return failure;
}

std::string program_with_interpreter(const std::string& path) {
  SmallElf elf(ET_DYN);
  elf.add_interpreter(path + std::string(1, '\0'));
  return elf.file();
}

// Starts a loaded program in this process, on a stack made here from the process's own auxiliary vector.
[[noreturn]] void start(const LoadedProgram& loaded, const std::vector<std::string>& arguments) {
  std::vector<std::uint64_t> words = {arguments.size()};
  for (const std::string& argument : arguments) words.push_back(reinterpret_cast<std::uint64_t>(argument.c_str()));
  words.insert(words.end(), {0, 0});
  for (const std::uint64_t type : {AT_PHDR, AT_PHENT, AT_PHNUM, AT_BASE, AT_ENTRY, AT_EXECFN, AT_PAGESZ, AT_RANDOM,
                                   AT_SECURE, AT_CLKTCK, AT_HWCAP, AT_SYSINFO_EHDR, AT_UID, AT_EUID, AT_GID, AT_EGID})
    words.insert(words.end(), {type, getauxval(type)});
  words.insert(words.end(), {AT_NULL, 0});
  std::uint64_t* const stack = reinterpret_cast<std::uint64_t*>(
      (reinterpret_cast<std::uint64_t>(__builtin_alloca(words.size() * 8 + 16)) + 15) & ~std::uint64_t{15});
  std::memcpy(stack, words.data(), words.size() * 8);
  const auto name = reinterpret_cast<std::uint64_t>(arguments[0].c_str());
  if (describe_program(read_entry_stack(stack), loaded, name) != AuxEdit::kDone) _exit(100);
  asm volatile("mov %0, %%rsp\n xor %%edx, %%edx\n jmp *%1"
               :
               : "r"(stack), "r"(loaded.start_address)
               : "memory", "rdx");
  __builtin_unreachable();
}

struct Outcome {
  std::string output;
  int status;
};

// Loads and runs a program in a child process.
Outcome run(const std::vector<std::string>& arguments) {
  int ends[2];
  if (pipe(ends) != 0) return {"", -1};
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    LoadedProgram loaded;
    if (failed(load(arguments[0], loaded))) _exit(101);
    start(loaded, arguments);
  }
  close(ends[1]);
  Outcome outcome = {};
  char buffer[4096];
  for (ssize_t count; (count = read(ends[0], buffer, sizeof buffer)) > 0;)
    outcome.output.append(buffer, static_cast<std::size_t>(count));
  close(ends[0]);
  waitpid(child, &outcome.status, 0);
  return outcome;
}

TEST(LoadProgram, RunsHandmadePrograms) {
  const testing::TemporaryDirectory directory;
  for (const std::uint16_t type : {ET_EXEC, ET_DYN}) {
    const Outcome outcome = run({directory.write("program", SmallElf(type).file())});
    EXPECT_TRUE(WIFEXITED(outcome.status));
    EXPECT_EQ(WEXITSTATUS(outcome.status), 42);
  }
}

TEST(LoadProgram, StartsAtTheInterpreter) {
  const testing::TemporaryDirectory directory;
  const std::string interpreter = directory.write("interpreter", SmallElf(ET_DYN).file());
  const std::string path = directory.write("program", program_with_interpreter(interpreter));
  LoadedProgram loaded;
  ASSERT_FALSE(failed(load(path, loaded)));
  EXPECT_EQ(loaded.start_address, loaded.interpreter.entry);
  EXPECT_NE(loaded.interpreter.load_bias, loaded.program.load_bias);
  EXPECT_EQ(WEXITSTATUS(run({path}).status), 42);
}

TEST(LoadProgram, RunsRealPrograms) {
  const Outcome echo = run({"/bin/echo", "from", "glibc"});
  EXPECT_EQ(echo.output, "from glibc\n");
  EXPECT_EQ(echo.status, 0);
  const Outcome direct = run({"/lib64/ld-linux-x86-64.so.2", "/bin/echo", "through ld.so"});
  EXPECT_EQ(direct.output, "through ld.so\n");
}

TEST(LoadProgram, RunsEveryKindOfCompiledProgram) {
  const testing::TemporaryDirectory directory;
  const std::string source =
      "#include <stdio.h>\n#include <stdlib.h>\nstatic char bss[70000];\n"
      "int main(int argc, char** argv) { for (unsigned i = 0; i < sizeof bss; i++) if (bss[i]) return 1;\n"
      "  char* heap = malloc(200000); heap[199999] = 1; puts(argv[argc - 1]); return 5; }\n";
  for (const char* command : {"gcc", "gcc -no-pie", "gcc -static", "gcc -static-pie",
                              "gcc -Wl,-z,max-page-size=0x200000", "musl-gcc", "musl-gcc -static"}) {
    const std::string path = directory.compile("program", source, command);
    if (path.empty() && std::string(command).starts_with("musl")) continue;  // musl-tools is optional
    ASSERT_FALSE(path.empty()) << command;
    const Outcome outcome = run({path, "hello"});
    EXPECT_EQ(outcome.output, "hello\n") << command;
    EXPECT_TRUE(WIFEXITED(outcome.status)) << command;
    EXPECT_EQ(WEXITSTATUS(outcome.status), 5) << command;
  }
}

TEST(LoadProgram, LeavesNothingBehindWhenTheInterpreterFails) {
  const testing::TemporaryDirectory directory;
  std::string cut = SmallElf(ET_EXEC).file();
  cut.resize(0x1f00);
  const std::string path = directory.write("program", program_with_interpreter(directory.write("interpreter", cut)));
  const std::string missing = directory.write("missing", program_with_interpreter("/nowhere"));
  LoadedProgram loaded;
  const LoadFailure truncated = load(path, loaded);
  EXPECT_EQ(truncated.error, LoadError::kTruncatedFile);
  EXPECT_EQ(truncated.role, ImageRole::kInterpreter);
  const LoadFailure absent = load(missing, loaded);
  EXPECT_EQ(absent.error, LoadError::kNotFound);
  EXPECT_EQ(absent.error_number, ENOENT);
  for (const testing::Mapping& mapping : testing::parse_maps(testing::read_file("/proc/self/maps")))
    EXPECT_EQ(mapping.name.find(directory.path("")), std::string::npos) << mapping.name;
}

}  // namespace
}  // namespace casemate::runtime
