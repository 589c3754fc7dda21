// Whole lines, as they arrive in a pipe or file, from one and from many threads; and the summary.
#include "runtime/table/trace.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "runtime/engine/process/host_call.h"
#include "runtime/table/trace_line.h"

namespace casemate::runtime {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kStart = (12 * 3600 + 34 * 60 + 56) * kSecond + 123'456'789;

class TraceTest : public ::testing::Test {
 protected:
  TraceTest() : fd_(memfd_create("trace", MFD_CLOEXEC)) {
    thread_->tid = 4711;
    target_ = {.fd = fd_, .mode = TraceMode::kCalls};
  }
  ~TraceTest() override { close(fd_); }

  void call(long number, long result, const std::uint64_t (&arguments)[6], std::uint64_t duration = 12'000) {
    trace_call(target_, *thread_, syscall_entry(static_cast<std::uint64_t>(number)), static_cast<std::uint64_t>(number),
               arguments, result, kStart, kStart + duration);
  }
  std::string written() const {
    std::string text(static_cast<std::size_t>(lseek(fd_, 0, SEEK_END)), 0);
    EXPECT_EQ(pread(fd_, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return text;
  }

  const std::unique_ptr<Thread> thread_ = std::make_unique<Thread>();
  TraceTarget target_;
  int fd_;
};

std::uint64_t word(const void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }

TEST_F(TraceTest, LineHasThreadTimeCallResultAndDuration) {
  call(SYS_openat, 3, {static_cast<std::uint64_t>(AT_FDCWD), word("/etc/passwd"), O_RDONLY | O_CLOEXEC});
  EXPECT_EQ(written(), "[4711] 12:34:56.123456 openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3 <0.000012>\n");
}

TEST_F(TraceTest, RefusedAndUnknownCallsAreMarked) {
  call(SYS_restart_syscall, -EINTR, {});
  call(9999, -ENOSYS, {1});
  const std::string text = written();
  EXPECT_NE(text.find("restart_syscall() = -1 EINTR (Interrupted system call) [refused by casemate] <"),
            std::string::npos);
  EXPECT_NE(
      text.find("syscall_0x270f(0x1, 0, 0, 0, 0, 0) = -1 ENOSYS (Function not implemented) [unknown to casemate]"),
      std::string::npos)
      << text;
}

TEST_F(TraceTest, CallsThatDoNotReturnArePrintedAtEntry) {
  trace_unfinished(target_, *thread_, syscall_entry(SYS_exit_group), SYS_exit_group, {3}, kStart);
  EXPECT_EQ(written(), "[4711] 12:34:56.123456 exit_group(3) = ?\n");
}

TEST_F(TraceTest, SignalsHaveALineOfTheirOwn) {
  SigInfo info{};
  info.signal = SIGUSR1;
  const std::int32_t sender[2] = {42, 1000};
  std::memcpy(info.fields, sender, sizeof(sender));
  trace_signal(target_, *thread_, info);
  const std::regex pattern(
      R"(\[4711\] \d\d:\d\d:\d\d\.\d{6} --- SIGUSR1 \{si_signo=SIGUSR1, si_code=SI_USER, si_pid=42, si_uid=1000\} ---\n)");
  EXPECT_TRUE(std::regex_match(written(), pattern)) << written();
}

TEST_F(TraceTest, AClockThatWasSetBackGivesNoNegativeDuration) {
  trace_call(target_, *thread_, syscall_entry(SYS_getpid), SYS_getpid, {}, 1, kStart, kStart - kSecond);
  EXPECT_NE(written().find("getpid() = 1 <0.000000>\n"), std::string::npos);
}

TEST_F(TraceTest, LongLinesKeepTheirResult) {
  const std::string path(4000, 'p');
  call(SYS_rename, -ENOENT, {word(path.c_str()), word(path.c_str())});
  const std::string text = written();
  EXPECT_LE(text.size(), kTraceLineSize);
  EXPECT_NE(text.find("...) = -1 ENOENT (No such file or directory) <0.000012>\n"), std::string::npos);
}

TEST_F(TraceTest, StringLimitIsTheTargets) {
  target_.string_limit = 4;
  call(SYS_write, 8, {1, word("abcdefgh"), 8});
  EXPECT_NE(written().find("write(1, \"abcd\"..., 8) = 8"), std::string::npos);
}

TEST_F(TraceTest, OffWritesNothing) {
  target_.mode = TraceMode::kOff;
  call(SYS_getpid, 1, {});
  EXPECT_EQ(written(), "");
}

TEST_F(TraceTest, LinesOfManyThreadsAndProcessesAreWhole) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  target_.fd = ends[1];
  constexpr int kThreads = 24, kCalls = 200;
  const std::string data(300, 'd');
  const auto work = [&](int id) {
    auto thread = std::make_unique<Thread>();
    thread->tid = static_cast<std::int32_t>(host_call(SYS_gettid));
    for (int i = 0; i < kCalls; i++) {
      const std::uint64_t arguments[6] = {static_cast<std::uint64_t>(id), word(data.c_str()), data.size()};
      TraceTarget target = target_;
      target.string_limit = 300;
      trace_call(target, *thread, syscall_entry(SYS_write), SYS_write, arguments, i, kStart, kStart);
    }
  };
  const pid_t child = fork();
  if (child == 0) {
    trace_reset_after_fork();
    work(1000);
    _exit(0);
  }
  std::string text;
  std::thread reader([&] {
    char buffer[65536];
    for (ssize_t size; (size = read(ends[0], buffer, sizeof(buffer))) > 0;)
      text.append(buffer, static_cast<std::size_t>(size));
  });
  std::vector<std::thread> threads;
  for (int id = 0; id < kThreads; id++) threads.emplace_back(work, id);
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  close(ends[1]);
  reader.join();
  close(ends[0]);
  std::istringstream lines(text);
  std::set<std::string> calls;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t begin = line.find(" write(");
    ASSERT_NE(begin, std::string::npos) << line;
    ASSERT_EQ(line.find(" write(", begin + 1), std::string::npos) << line;
    calls.insert(line.substr(begin));
  }
  EXPECT_EQ(calls.size(), static_cast<std::size_t>(kThreads + 1) * kCalls);
}

TEST_F(TraceTest, AClosedPipeDoesNotKillTheProgram) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  target_.fd = ends[1];
  call(SYS_getpid, 1, {});  // SIGPIPE would end the test
  close(ends[1]);
}

// A vfork child killed inside a line leaves its slot claimed in the parent's memory.
TEST_F(TraceTest, SlotsOfDeadThreadsAreTakenBack) {
  const pid_t dead = fork();
  if (dead == 0) _exit(0);
  ASSERT_EQ(waitpid(dead, nullptr, 0), dead);
  for (int i = 0; i < 16; i++) new TraceLine(dead);  // never given back: that is the case
  call(SYS_getpid, 1, {});
  EXPECT_NE(written().find("getpid() = 1"), std::string::npos);
  trace_reset_after_fork();
}

class TraceSummaryTest : public TraceTest {
 protected:
  TraceSummaryTest()
      : summary_(static_cast<TraceSummary*>(
            mmap(nullptr, sizeof(TraceSummary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    target_ = {.fd = -1, .mode = TraceMode::kSummary, .summary = summary_};
  }
  ~TraceSummaryTest() override { munmap(summary_, sizeof(TraceSummary)); }

  std::vector<std::string> lines() const {
    trace_summary_print(*summary_, fd_);
    std::istringstream text(written());
    std::vector<std::string> result;
    for (std::string line; std::getline(text, line);) result.push_back(line);
    return result;
  }

  TraceSummary* summary_;
};

TEST_F(TraceSummaryTest, SortsByTimeAndAddsUp) {
  call(SYS_read, 5, {}, 2'000'000);
  call(SYS_read, -EAGAIN, {}, 1'000'000);
  call(SYS_write, 5, {}, 7'000'000);
  call(SYS_getpid, 5, {}, 0);
  const auto table = lines();
  ASSERT_EQ(table.size(), 7U);
  EXPECT_EQ(table[0], "% time     seconds  usecs/call     calls    errors syscall");
  EXPECT_EQ(table[1], "------ ----------- ----------- --------- --------- ----------------");
  EXPECT_EQ(table[2], " 70.00    0.007000        7000         1           write");
  EXPECT_EQ(table[3], " 30.00    0.003000        1500         2         1 read");
  EXPECT_EQ(table[4], "  0.00    0.000000           0         1           getpid");
  EXPECT_EQ(table[6], "100.00    0.010000        2500         4         1 total");
}

TEST_F(TraceSummaryTest, ProcessesAreSummed) {
  for (int i = 0; i < 4; i++) {
    const pid_t child = fork();
    if (child == 0) {
      for (int k = 0; k < 1000; k++) call(SYS_getppid, 1, {}, 1000);
      _exit(0);
    }
    ASSERT_GT(child, 0);
  }
  while (wait(nullptr) > 0) {
  }
  EXPECT_EQ(lines()[2], "100.00    0.004000           1      4000           getppid");
}

TEST_F(TraceSummaryTest, RestartedCallsCountOnceUnknownOnesTogether) {
  call(SYS_read, kRestartCall, {});
  call(SYS_read, 1, {}, 1000);
  call(9998, -ENOSYS, {}, 0);
  call(9999, -ENOSYS, {}, 0);
  trace_unfinished(target_, *thread_, syscall_entry(SYS_exit_group), SYS_exit_group, {0}, kStart);
  const auto table = lines();
  EXPECT_EQ(table[2], "100.00    0.000001           1         1           read");
  EXPECT_EQ(table[3], "  0.00    0.000000           0         2         2 unknown");
  EXPECT_EQ(table[4], "  0.00    0.000000           0         1           exit_group");
}

TEST_F(TraceSummaryTest, EveryCallFitsIntoTheTable) {
  for (long number = 0; number <= static_cast<long>(kSyscallLimit); number++) {
    if (syscall_entry(static_cast<std::uint64_t>(number)).status == Status::kUnknown) continue;
    call(number, -1, {}, ~std::uint64_t{0} / 1024);
  }
  EXPECT_GT(lines().size(), 350U);
}

}  // namespace
}  // namespace casemate::runtime
