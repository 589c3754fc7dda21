#include "runtime/loader/probe.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "runtime/loader/testing/support.h"

namespace casemate::runtime {
namespace {

using testing::NativeStart;
using testing::SmallElf;

constexpr char kInterpreter[] = "/lib64/ld-linux-x86-64.so.2";

struct Verdict {
  long result;  // 0 or negative errno
  LoadFailure failure;
  std::vector<std::string> arguments;  // what scripts put before the program's own
};

// What exec.cc does: probe, follow scripts, build their arguments.
Verdict probe_path(const std::string& path) {
  std::byte scratch[kLoadScratchSize];
  Verdict verdict = {0, {}, {path}};
  for (unsigned depth = 0;; ++depth) {
    const long fd = open_executable(AT_FDCWD, verdict.arguments[0].c_str(), 0);
    if (fd < 0) return {fd, open_failure(fd, ImageRole::kProgram), {}};
    const ExecProbe probe = probe_program(static_cast<int>(fd), depth, scratch);
    close(static_cast<int>(fd));
    if (probe.kind == ProbeKind::kFailed) return {-probe.failure.error_number, probe.failure, {}};
    if (probe.kind == ProbeKind::kElf) return verdict;
    std::vector<std::string> inserted = {probe.interpreter};
    if (probe.argument != nullptr) inserted.emplace_back(probe.argument);
    verdict.arguments.insert(verdict.arguments.begin(), inserted.begin(), inserted.end());
  }
}

// The same answer as Linux. Files that Linux accepts and then kills must be failures of that kind here.
Verdict expect_same_as_natively(const std::string& path) {
  SCOPED_TRACE(path);
  const Verdict verdict = probe_path(path);
  const testing::NativeExec native = testing::run_natively(path);
  if (native.start == NativeStart::kError) {
    EXPECT_EQ(-verdict.result, native.error_number);
  } else if (native.start == NativeStart::kStarted) {
    EXPECT_EQ(verdict.result, 0) << describe(verdict.failure.error).why;
    EXPECT_EQ(verdict.arguments, native.arguments);
  } else {
    EXPECT_NE(verdict.result, 0);
    EXPECT_EQ(native_outcome(verdict.failure.error, verdict.failure.role), NativeOutcome::kKillsProcess);
  }
  return verdict;
}

std::string program_with_interpreter(std::string path) {
  SmallElf elf(ET_DYN);
  path.push_back('\0');
  elf.add_interpreter(path);
  return elf.file();
}

TEST(Probe, AcceptsRealPrograms) {
  for (const char* path : {"/bin/true", "/bin/bash", kInterpreter}) EXPECT_EQ(expect_same_as_natively(path).result, 0);
  const testing::TemporaryDirectory directory;
  const std::string fixed = directory.compile("fixed", "int main(void) { return 0; }", "gcc -static");
  ASSERT_FALSE(fixed.empty());
  EXPECT_EQ(expect_same_as_natively(fixed).result, 0);
}

TEST(Probe, RefusesWhatIsNoProgram) {
  const testing::TemporaryDirectory directory;
  const std::string plain = directory.write("plain", "text\n");
  EXPECT_EQ(expect_same_as_natively(plain).failure.error, LoadError::kUnknownFormat);
  EXPECT_EQ(expect_same_as_natively(directory.write("empty", "")).result, -ENOEXEC);
  EXPECT_EQ(expect_same_as_natively(directory.path("missing")).result, -ENOENT);
  EXPECT_EQ(expect_same_as_natively("").result, -ENOENT);
  EXPECT_EQ(expect_same_as_natively(plain + "/x").result, -ENOTDIR);
  EXPECT_EQ(expect_same_as_natively("/").result, -EACCES);
  EXPECT_EQ(expect_same_as_natively("/dev/null").result, -EACCES);
  EXPECT_EQ(expect_same_as_natively(directory.path(std::string(300, 'n'))).result, -ENAMETOOLONG);
  const Verdict closed = expect_same_as_natively(directory.write("closed", SmallElf(ET_EXEC).file(), 0644));
  EXPECT_EQ(closed.failure.error, LoadError::kNotExecutable);
}

TEST(Probe, DoesNotOpenFifos) {
  const testing::TemporaryDirectory directory;
  ASSERT_EQ(mkfifo(directory.path("fifo").c_str(), 0755), 0);
  EXPECT_EQ(expect_same_as_natively(directory.path("fifo")).result, -EACCES);
}

TEST(Probe, FollowsLinksAndRefusesCircles) {
  const testing::TemporaryDirectory directory;
  ASSERT_EQ(symlink("loop", directory.path("loop").c_str()), 0);
  ASSERT_EQ(symlink("/bin/true", directory.path("link").c_str()), 0);
  EXPECT_EQ(expect_same_as_natively(directory.path("loop")).result, -ELOOP);
  EXPECT_EQ(expect_same_as_natively(directory.path("link")).result, 0);
  EXPECT_EQ(open_executable(AT_FDCWD, directory.path("link").c_str(), AT_SYMLINK_NOFOLLOW), -ELOOP);
}

TEST(Probe, RefusesFilesThatAreBeingWritten) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.write("program", SmallElf(ET_EXEC).file());
  const int writer = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_GE(writer, 0);
  expect_same_as_natively(path);  // ETXTBSY, except on kernels 6.11 and 6.12
  close(writer);
  EXPECT_EQ(expect_same_as_natively(path).result, 0);
}

TEST(Probe, ChecksTheInterpreterAsLinuxDoes) {
  const testing::TemporaryDirectory directory;
  SmallElf foreign(ET_DYN);
  foreign.header.e_machine = EM_AARCH64;
  SmallElf object(ET_DYN);
  object.header.e_type = ET_REL;
  SmallElf corrupt(ET_DYN);
  corrupt.header.e_phentsize = 1;
  SmallElf inflated(ET_DYN);
  inflated.segments[1].p_filesz = 0x3000;
  const struct {
    const char* name;
    std::string path;
    LoadError error;
    long result;
  } cases[] = {
      {"missing", directory.path("nothing"), LoadError::kNotFound, -ENOENT},
      {"below_file", "/bin/true/x", LoadError::kSystemRefused, -ENOTDIR},
      {"directory", "/", LoadError::kNotReadable, -EACCES},
      {"closed", directory.write("closed", SmallElf(ET_DYN).file(), 0644), LoadError::kNotExecutable, -EACCES},
      {"empty", directory.write("empty", ""), LoadError::kTruncatedHeader, -EIO},
      {"short", directory.write("short", std::string(63, 'x')), LoadError::kTruncatedHeader, -EIO},
      {"text", directory.write("text", std::string(100, 'x')), LoadError::kNotElf, -ELIBBAD},
      {"script", directory.write("script", "#!/bin/sh\n" + std::string(100, 'x')), LoadError::kNotElf, -ELIBBAD},
      {"foreign", directory.write("foreign", foreign.file()), LoadError::kWrongMachine, -ELIBBAD},
      {"corrupt", directory.write("corrupt", corrupt.file()), LoadError::kHeaderEntrySize, -ELIBBAD},
      {"object", directory.write("object", object.file()), LoadError::kNotExecutableType, -EPERM},
      {"inflated", directory.write("inflated", inflated.file()), LoadError::kSegmentFileExceedsMemory, -ENOMEM},
      {"two_nuls", std::string(1, '\0'), LoadError::kNotReadable, -EACCES},
      {"none", "", LoadError::kInterpreterPathSize, -ENOEXEC},
      {"itself_static", directory.write("plain", SmallElf(ET_DYN).file()), LoadError::kNone, 0},
      {"usual", kInterpreter, LoadError::kNone, 0},
  };
  for (const auto& each : cases) {
    const Verdict verdict = expect_same_as_natively(
        directory.write(std::string("program_") + each.name, program_with_interpreter(each.path)));
    EXPECT_EQ(verdict.failure.error, each.error) << each.name;
    EXPECT_EQ(verdict.result, each.result) << each.name;
  }
}

TEST(Probe, ReadsInterpreterPathsOfFullLength) {
  const testing::TemporaryDirectory directory;
  SmallElf elf(ET_DYN);
  elf.content.resize(0x5000, 'x');
  elf.add_interpreter(std::string("/x", 3));
  elf.content.replace(0x3000, 4096, std::string(4096 - sizeof kInterpreter, '/') + kInterpreter + std::string(1, '\0'));
  elf.segments[0].p_offset = 0x3000;
  elf.segments[0].p_filesz = 4096;
  EXPECT_EQ(expect_same_as_natively(directory.write("program", elf.file())).result, 0);
}

TEST(Probe, EarlierErrorWinsWhenProgramAndInterpreterAreBad) {
  const testing::TemporaryDirectory directory;
  SmallElf elf(ET_DYN);
  elf.add_interpreter(directory.path("nothing") + std::string(1, '\0'));
  elf.segments[2].p_filesz = elf.segments[2].p_memsz + 1;
  EXPECT_EQ(expect_same_as_natively(directory.write("program", elf.file())).result, -ENOENT);
}

TEST(Probe, ScriptsInsertInterpreterAndArgument) {
  const testing::TemporaryDirectory directory;
  const std::string script = directory.write("script", "#! /bin/true  one two \t\nrest\n");
  EXPECT_EQ(expect_same_as_natively(script).arguments, (std::vector<std::string>{"/bin/true", "one two", script}));
  EXPECT_EQ(expect_same_as_natively(directory.write("nul", std::string("#!\0x\n", 5))).result, -EACCES);
  EXPECT_EQ(expect_same_as_natively(directory.write("bare", "#!")).result, -EACCES);
  EXPECT_EQ(expect_same_as_natively(directory.write("none", "#!\n")).result, -ENOEXEC);
  EXPECT_EQ(expect_same_as_natively(directory.write("lost", "#!/nowhere/sh\n")).result, -ENOENT);
  EXPECT_EQ(expect_same_as_natively(directory.write("folder", "#!/bin\n")).result, -EACCES);
}

TEST(Probe, FollowsFiveScriptsAndNoMore) {
  const testing::TemporaryDirectory directory;
  std::string interpreter = "/bin/true";
  for (int level = 1; level <= 8; ++level) {
    interpreter = directory.write("level" + std::to_string(level), "#!" + interpreter + " a" + std::to_string(level));
    EXPECT_EQ(expect_same_as_natively(interpreter).result, level <= 5 ? 0 : -ELOOP) << level;
  }
  const std::string own = directory.path("own");
  directory.write("own", "#!" + own + "\n");
  EXPECT_EQ(expect_same_as_natively(own).result, -ELOOP);
}

TEST(OpenExecutable, WorksFromDescriptorsOfEveryKind) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.write("program", SmallElf(ET_EXEC).file());
  for (const int mode : {O_RDONLY, O_PATH}) {
    const int fd = open(path.c_str(), mode | O_CLOEXEC);
    const long result = open_executable(fd, "", AT_EMPTY_PATH);
    ASSERT_GE(result, 0);
    std::byte scratch[kLoadScratchSize];
    EXPECT_EQ(probe_program(static_cast<int>(result), 0, scratch).kind, ProbeKind::kElf);
    EXPECT_NE(fcntl(static_cast<int>(result), F_GETFD) & FD_CLOEXEC, 0);
    close(static_cast<int>(result));
    close(fd);
  }
  EXPECT_EQ(open_executable(9999, "", AT_EMPTY_PATH), -EBADF);
  EXPECT_EQ(open_executable(9999, "x", 0), -EBADF);
}

// Runs `check` in a child that may give up privileges; 77 means that the machine does not allow the preparation.
int status_of_child(const std::function<int()>& check) {
  const pid_t child = fork();
  if (child == 0) _exit(check());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Probe, AnswersForTheEffectiveUser) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  const testing::TemporaryDirectory directory;
  const std::string others = directory.write("others", SmallElf(ET_EXEC).file(), 0700);
  const std::string unreadable = directory.write("unreadable", SmallElf(ET_EXEC).file(), 0711);
  const std::string script = directory.write("script", "#!" + unreadable + "\n");
  const int status = status_of_child([&] {
    if (setgid(65534) != 0 || setuid(65534) != 0) return 77;
    if (probe_path(others).result != -EACCES) return 1;
    if (probe_path(unreadable).failure.error != LoadError::kNotReadable) return 2;
    if (probe_path(script).result != -EACCES) return 3;
    return 0;
  });
  if (status == 77) GTEST_SKIP() << "cannot change the user";
  EXPECT_EQ(status, 0);
}

TEST(Probe, NamesNoexecMounts) {
  const testing::TemporaryDirectory directory;
  const std::string folder = directory.path("mount");
  ASSERT_EQ(mkdir(folder.c_str(), 0755), 0);
  const int status = status_of_child([&] {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
    if (mount("none", folder.c_str(), "tmpfs", MS_NOEXEC, nullptr) != 0) return 77;
    const std::string path = directory.write("mount/program", SmallElf(ET_EXEC).file());
    const Verdict verdict = probe_path(path);
    if (verdict.result != -EACCES || testing::run_natively(path).error_number != EACCES) return 1;
    return verdict.failure.error == LoadError::kNoexecMount ? 0 : 2;
  });
  if (status == 77) GTEST_SKIP() << "mounting is not permitted";
  EXPECT_EQ(status, 0);
}

TEST(Probe, ReportsExhaustedDescriptors) {
  const int status = status_of_child([] {
    const rlimit none = {0, 0};
    if (setrlimit(RLIMIT_NOFILE, &none) != 0) return 77;
    return open_executable(AT_FDCWD, "/bin/true", 0) == -EMFILE ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace casemate::runtime
