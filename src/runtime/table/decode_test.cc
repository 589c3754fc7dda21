// Arguments and results as text: each case is a call with real memory behind its pointers.
#include "runtime/table/decode.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <string>

#include "runtime/abi/signal_abi.h"
#include "runtime/table/testing/guest_memory.h"

namespace casemate::runtime {
namespace {

template <typename T>
std::uint64_t word(T value) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<std::uint64_t>(value);
  } else {
    return static_cast<std::uint64_t>(value);
  }
}

struct Call {
  long number;
  long result;
  CallPhase phase = CallPhase::kReturned;
  std::uint32_t string_limit = 32;
  std::size_t capacity = 4096;
};

template <typename... Arguments>
std::string show(const Call& call, Arguments... arguments) {
  const std::uint64_t words[6] = {word(arguments)...};
  static char buffer[4096];
  TextWriter out(buffer, call.capacity);
  const SyscallEntry& entry = syscall_entry(static_cast<std::uint64_t>(call.number));
  const CallView view{entry, words, call.result, call.phase, call.string_limit, out};
  write_arguments(view);
  out.text(" = ");
  write_result(view);
  return {out.data(), out.size()};
}

std::string hex(const void* pointer) {
  char text[32];
  std::snprintf(text, sizeof(text), "0x%lx", reinterpret_cast<unsigned long>(pointer));
  return text;
}

TEST(Decode, OpenShowsFlagsAndModeOnlyWithCreation) {
  EXPECT_EQ(show({SYS_openat, 3}, AT_FDCWD, "/etc/passwd", O_RDONLY | O_CLOEXEC, 0666),
            "AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC = 3");
  EXPECT_EQ(show({SYS_openat, 3}, 7, "x", O_WRONLY | O_CREAT | O_TRUNC, 0644),
            "7, \"x\", O_WRONLY|O_CREAT|O_TRUNC, 0644 = 3");
  EXPECT_EQ(show({SYS_open, 3}, "d", O_RDWR | O_TMPFILE, 0600), "\"d\", O_RDWR|O_TMPFILE, 0600 = 3");
  EXPECT_EQ(show({SYS_open, 3}, "d", O_RDONLY | O_DIRECTORY | O_SYNC), "\"d\", O_RDONLY|O_SYNC|O_DIRECTORY = 3");
  EXPECT_EQ(show({SYS_open, 3}, "d", O_RDONLY | 0x10000000), "\"d\", O_RDONLY|0x10000000 = 3");
}

TEST(Decode, ErrorsHaveNameAndText) {
  EXPECT_EQ(show({SYS_close, -9}, 77), "77 = -1 EBADF (Bad file descriptor)");
  EXPECT_EQ(show({SYS_close, -4000}, 77), "77 = -1 (error 4000)");
}

TEST(Decode, RestartedCallsHaveNoResult) {
  EXPECT_EQ(show({SYS_close, -100000}, 77), "77 = ? (made again after the signal)");
}

TEST(Decode, AddressesBehindTheSignBitOfIntAreNotErrors) {
  EXPECT_EQ(show({SYS_brk, 0x7ffff0000000}, 0), "NULL = 0x7ffff0000000");
}

TEST(Decode, StringsAreEscaped) {
  EXPECT_EQ(show({SYS_write, 8}, 1, "a\n\"\\\0\0017\x80", 8), R"(1, "a\n\"\\\0\0017\200", 8 = 8)");
  EXPECT_EQ(show({SYS_chdir, 0}, "\x1b[31m"), R"("\33[31m" = 0)");
}

TEST(Decode, BuffersAreCutAtTheStringLimit) {
  EXPECT_EQ(show({SYS_write, 6, CallPhase::kReturned, 3}, 1, "abcdef", 6), R"(1, "abc"..., 6 = 6)");
  EXPECT_EQ(show({SYS_write, 3, CallPhase::kReturned, 3}, 1, "abc", 3), R"(1, "abc", 3 = 3)");
  const std::string megabyte(1 << 20, 'x');
  EXPECT_EQ(show({SYS_write, 1 << 20}, 1, megabyte.c_str(), megabyte.size()),
            "1, \"" + std::string(32, 'x') + "\"..., 1048576 = 1048576");
}

TEST(Decode, PathsAreShownInFull) {
  for (const std::size_t size : {1U, 255U, 256U, 257U, 512U, 1000U}) {
    const std::string path(size, 'p');
    EXPECT_EQ(show({SYS_chdir, 0}, path.c_str()), "\"" + path + "\" = 0") << size;
  }
}

TEST(Decode, ReadShowsOnlyTheBytesThatWereRead) {
  char buffer[16] = "hello, world";
  EXPECT_EQ(show({SYS_read, 5}, 0, buffer, 16), "0, \"hello\", 16 = 5");
  EXPECT_EQ(show({SYS_read, 0}, 0, buffer, 16), "0, \"\", 16 = 0");
  EXPECT_EQ(show({SYS_read, -11}, 0, buffer, 16),
            "0, " + hex(buffer) + ", 16 = -1 EAGAIN (Resource temporarily unavailable)");
}

TEST(Decode, UnreadableMemoryIsShownAsItsAddress) {
  char path[] = "/secret";
  testing::set_faulting_range(path, sizeof(path));
  EXPECT_EQ(show({SYS_chdir, -14}, path), hex(path) + " = -1 EFAULT (Bad address)");
  EXPECT_EQ(show({SYS_write, -14}, 1, path, 7), "1, " + hex(path) + ", 7 = -1 EFAULT (Bad address)");
  EXPECT_EQ(show({SYS_fstat, 0}, 1, path), "1, " + hex(path) + " = 0");
  EXPECT_EQ(show({SYS_nanosleep, 0}, path, 0), hex(path) + ", NULL = 0");
  testing::set_faulting_range(nullptr, 0);
  EXPECT_EQ(show({SYS_chdir, -14}, 0), "NULL = -1 EFAULT (Bad address)");
  EXPECT_EQ(show({SYS_chdir, -14}, ~0UL), "0xffffffffffffffff = -1 EFAULT (Bad address)");
}

TEST(Decode, AStringThatRunsIntoUnreadableMemoryIsShownAsItsAddress) {
  std::array<char, 600> text;
  text.fill('y');
  testing::set_faulting_range(text.data() + 300, 300);
  const std::string shown = show({SYS_chdir, -14}, text.data());
  testing::set_faulting_range(nullptr, 0);
  EXPECT_EQ(shown, "\"" + std::string(256, 'y') + "\"... = -1 EFAULT (Bad address)");
}

TEST(Decode, MemoryCallsShowProtectionAndFlags) {
  EXPECT_EQ(show({SYS_mmap, 0x7f0000000000}, 0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            "NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0 = 0x7f0000000000");
  EXPECT_EQ(show({SYS_mprotect, 0}, 4096, 4096, PROT_NONE), "0x1000, 4096, PROT_NONE = 0");
  EXPECT_EQ(show({SYS_mremap, 0x1000}, 4096, 1, 2, MREMAP_MAYMOVE, 99), "0x1000, 1, 2, MREMAP_MAYMOVE = 0x1000");
  EXPECT_EQ(show({SYS_mremap, 0x1000}, 4096, 1, 2, MREMAP_MAYMOVE | MREMAP_FIXED, 8192),
            "0x1000, 1, 2, MREMAP_MAYMOVE|MREMAP_FIXED, 0x2000 = 0x1000");
  EXPECT_EQ(show({SYS_madvise, 0}, 4096, 4096, MADV_DONTNEED), "0x1000, 4096, MADV_DONTNEED = 0");
}

TEST(Decode, StatShowsTypeAndSize) {
  struct stat file {};
  file.st_mode = S_IFREG | 0644;
  file.st_size = 1234;
  EXPECT_EQ(show({SYS_newfstatat, 0}, AT_FDCWD, "f", &file, AT_SYMLINK_NOFOLLOW),
            "AT_FDCWD, \"f\", {st_mode=S_IFREG|0644, st_size=1234, ...}, AT_SYMLINK_NOFOLLOW = 0");
  file.st_mode = S_IFCHR | 0620;
  file.st_rdev = 0x8803;
  EXPECT_EQ(show({SYS_fstat, 0}, 1, &file), "1, {st_mode=S_IFCHR|0620, st_rdev=makedev(0x88, 0x3), ...} = 0");
}

TEST(Decode, TimesAndLimits) {
  const timespec time{1, 500};
  EXPECT_EQ(show({SYS_clock_nanosleep, 0}, CLOCK_MONOTONIC, TIMER_ABSTIME, &time, 0),
            "CLOCK_MONOTONIC, TIMER_ABSTIME, {tv_sec=1, tv_nsec=500}, NULL = 0");
  const rlimit limit{1024, RLIM_INFINITY};
  EXPECT_EQ(show({SYS_prlimit64, 0}, 0, RLIMIT_NOFILE, &limit, 0),
            "0, RLIMIT_NOFILE, {rlim_cur=1024, rlim_max=RLIM_INFINITY}, NULL = 0");
}

TEST(Decode, PollShowsReturnedEvents) {
  pollfd entries[2] = {{3, POLLIN, POLLIN | POLLHUP}, {4, POLLOUT, 0}};
  EXPECT_EQ(show({SYS_poll, 1}, entries, 2, -1),
            "[{fd=3, events=POLLIN, revents=POLLIN|POLLHUP}, {fd=4, events=POLLOUT}], 2, -1 = 1");
}

TEST(Decode, EpollWaitShowsAsManyEventsAsWereReturned) {
  epoll_event events[3] = {};
  events[0].events = EPOLLIN | EPOLLET;
  events[0].data.u64 = 7;
  EXPECT_EQ(show({SYS_epoll_wait, 1}, 5, events, 3, -1), "5, [{events=EPOLLIN|EPOLLET, data=0x7}], 3, -1 = 1");
  EXPECT_EQ(show({SYS_epoll_ctl, 0}, 5, EPOLL_CTL_ADD, 6, events),
            "5, EPOLL_CTL_ADD, 6, {events=EPOLLIN|EPOLLET, data=0x7} = 0");
}

TEST(Decode, LongArraysAreCut) {
  std::array<pollfd, 40> entries{};
  const std::string shown = show({SYS_poll, 0}, entries.data(), entries.size(), 0);
  EXPECT_NE(shown.find(", ...], 40, 0 = 0"), std::string::npos) << shown;
  std::size_t count = 0;
  for (std::size_t at = shown.find("{fd="); at != std::string::npos; at = shown.find("{fd=", at + 1)) count++;
  EXPECT_EQ(count, kElementLimit);
}

TEST(Decode, ImpossibleCountsDoNotMatter) {
  pollfd entry{};
  const std::string shown = show({SYS_poll, -22}, &entry, ~0UL, 0);
  EXPECT_NE(shown.find("-1 EINVAL"), std::string::npos);
  EXPECT_NE(show({SYS_writev, -22}, 1, &entry, ~0UL).find("-1 EINVAL"), std::string::npos);
  EXPECT_NE(show({SYS_select, -22}, -1, &entry, 0, 0, 0).find("[], NULL, NULL, NULL"), std::string::npos);
}

TEST(Decode, VectorsShowTransferredBytesOnly) {
  char first[4] = "ab";
  char second[8] = "cdefg";
  const iovec vector[2] = {{first, 2}, {second, 8}};
  EXPECT_EQ(show({SYS_writev, 2}, 1, vector, 1), "1, [{iov_base=\"ab\", iov_len=2}], 1 = 2");
  EXPECT_EQ(show({SYS_readv, 5}, 0, vector, 2),
            "0, [{iov_base=\"ab\", iov_len=2}, {iov_base=\"cde\", iov_len=8}], 2 = 5");
}

TEST(Decode, SocketAddresses) {
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(6379);
  inet_pton(AF_INET, "127.0.0.1", &four.sin_addr);
  EXPECT_EQ(show({SYS_connect, -111}, 3, &four, sizeof(four)),
            "3, {sa_family=AF_INET, sin_port=6379, sin_addr=127.0.0.1}, 16 = -1 ECONNREFUSED (Connection refused)");
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  std::strcpy(local.sun_path, "/run/x.sock");
  EXPECT_EQ(show({SYS_bind, 0}, 3, &local, sizeof(local)), "3, {sa_family=AF_UNIX, sun_path=\"/run/x.sock\"}, 110 = 0");
  std::memcpy(local.sun_path, "\0abc", 4);
  EXPECT_EQ(show({SYS_bind, 0}, 3, &local, 2 + 4), "3, {sa_family=AF_UNIX, sun_path=@\"abc\"}, 6 = 0");
  EXPECT_EQ(show({SYS_bind, 0}, 3, &local, 2), "3, {sa_family=AF_UNIX}, 2 = 0");
}

TEST(Decode, Ipv6AddressesAreWrittenAsInetNtopDoes) {
  for (const char* text : {"::", "::1", "2001:db8::1", "fe80::1:0:0:1", "1:2:3:4:5:6:7:8", "1::", "1:0:2:0:3:0:4:5",
                           "1:2:3:4:5:6:7:0", "0:0:3:4:5:6:7:8", "ff02::fb"}) {
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    ASSERT_EQ(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    char expected[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, &six.sin6_addr, expected, sizeof(expected));
    EXPECT_EQ(show({SYS_bind, 0}, 3, &six, sizeof(six)),
              std::string("3, {sa_family=AF_INET6, sin6_port=0, sin6_addr=") + expected + "}, 28 = 0");
  }
}

TEST(Decode, AcceptShowsThePeer) {
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(99);
  socklen_t size = sizeof(peer);
  EXPECT_EQ(show({SYS_accept4, 9}, 3, &peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK),
            "3, {sa_family=AF_INET, sin_port=99, sin_addr=0.0.0.0}, [16], SOCK_CLOEXEC|SOCK_NONBLOCK = 9");
  EXPECT_EQ(show({SYS_accept, -11}, 3, &peer, 0),
            "3, " + hex(&peer) + ", NULL = -1 EAGAIN (Resource temporarily unavailable)");
}

TEST(Decode, MessagesShowPassedDescriptors) {
  char data[] = "x";
  iovec vector{data, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(2 * sizeof(int));
  const int fds[2] = {8, 9};
  std::memcpy(CMSG_DATA(header), fds, sizeof(fds));
  EXPECT_EQ(show({SYS_sendmsg, 1}, 4, &message, MSG_NOSIGNAL),
            "4, {msg_name=NULL, msg_iov=[{iov_base=\"x\", iov_len=1}], msg_control=[{cmsg_level=SOL_SOCKET, "
            "cmsg_type=SCM_RIGHTS, cmsg_data=[8, 9]}], msg_flags=0}, MSG_NOSIGNAL = 1");
  header->cmsg_len = ~std::size_t{0};  // a lie
  EXPECT_NE(show({SYS_sendmsg, 1}, 4, &message, 0).find("msg_control=[]"), std::string::npos);
}

TEST(Decode, SocketCallsShowFamilyTypeAndOptions) {
  const int one = 1;
  EXPECT_EQ(show({SYS_socket, 3}, AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP),
            "AF_INET6, SOCK_STREAM|SOCK_CLOEXEC, 6 = 3");
  EXPECT_EQ(show({SYS_setsockopt, 0}, 3, SOL_SOCKET, SO_REUSEADDR, &one, 4), "3, SOL_SOCKET, SO_REUSEADDR, [1], 4 = 0");
  EXPECT_EQ(show({SYS_setsockopt, 0}, 3, IPPROTO_TCP, TCP_NODELAY, &one, 4), "3, SOL_TCP, TCP_NODELAY, [1], 4 = 0");
  const timeval limit{2, 0};
  EXPECT_EQ(show({SYS_setsockopt, 0}, 3, SOL_SOCKET, SO_RCVTIMEO, &limit, 16),
            "3, SOL_SOCKET, SO_RCVTIMEO, {tv_sec=2, tv_usec=0}, 16 = 0");
  socklen_t size = 4;
  EXPECT_EQ(show({SYS_getsockopt, 0}, 3, SOL_SOCKET, SO_ERROR, &one, &size), "3, SOL_SOCKET, SO_ERROR, [1], [4] = 0");
}

TEST(Decode, IoctlArgumentsFollowTheRequest) {
  const int one = 1;
  EXPECT_EQ(show({SYS_ioctl, 0}, 3, FIONBIO, &one), "3, FIONBIO, [1] = 0");
  EXPECT_EQ(show({SYS_ioctl, 0}, 3, FIOCLEX, 5), "3, FIOCLEX = 0");
  const winsize window{24, 80, 0, 0};
  EXPECT_EQ(show({SYS_ioctl, 0}, 1, TIOCGWINSZ, &window),
            "1, TIOCGWINSZ, {ws_row=24, ws_col=80, ws_xpixel=0, ws_ypixel=0} = 0");
  EXPECT_EQ(show({SYS_ioctl, -25}, 1, TIOCGWINSZ, &window),
            "1, TIOCGWINSZ, " + hex(&window) + " = -1 ENOTTY (Inappropriate ioctl for device)");
  EXPECT_EQ(show({SYS_ioctl, -25}, 1, _IOW('T', 0x99, int), 5),
            "1, _IOC(_IOC_WRITE, 0x54, 0x99, 0x4), 0x5 = -1 ENOTTY (Inappropriate ioctl for device)");
}

TEST(Decode, FcntlArgumentsFollowTheCommand) {
  EXPECT_EQ(show({SYS_fcntl, 0x8002}, 3, F_GETFL, 9), "3, F_GETFL = 32770 (flags O_RDWR|O_LARGEFILE)");
  EXPECT_EQ(show({SYS_fcntl, 1}, 3, F_GETFD), "3, F_GETFD = 1 (flags FD_CLOEXEC)");
  EXPECT_EQ(show({SYS_fcntl, 0}, 3, F_SETFD, FD_CLOEXEC), "3, F_SETFD, FD_CLOEXEC = 0");
  EXPECT_EQ(show({SYS_fcntl, 0}, 3, F_SETFL, O_RDWR | O_NONBLOCK), "3, F_SETFL, O_RDWR|O_NONBLOCK = 0");
  EXPECT_EQ(show({SYS_fcntl, 10}, 3, F_DUPFD_CLOEXEC, 10), "3, F_DUPFD_CLOEXEC, 10 = 10");
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_len = 5;
  EXPECT_EQ(show({SYS_fcntl, 0}, 3, F_SETLK, &lock),
            "3, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=0, l_len=5} = 0");
}

TEST(Decode, PrctlArgumentsFollowTheOption) {
  EXPECT_EQ(show({SYS_prctl, 0}, PR_SET_NAME, "worker"), "PR_SET_NAME, \"worker\" = 0");
  EXPECT_EQ(show({SYS_prctl, 0}, PR_SET_PDEATHSIG, SIGTERM), "PR_SET_PDEATHSIG, SIGTERM = 0");
  EXPECT_EQ(show({SYS_prctl, 1}, PR_GET_DUMPABLE), "PR_GET_DUMPABLE = 1");
  EXPECT_EQ(show({SYS_prctl, -22}, 12345, 1, 2, 3, 4), "0x3039, 0x1, 0x2, 0x3, 0x4 = -1 EINVAL (Invalid argument)");
}

TEST(Decode, FutexArgumentsFollowTheOperation) {
  const timespec limit{0, 1};
  EXPECT_EQ(show({SYS_futex, 0}, 0x1000, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 2, 0, 9, 9),
            "0x1000, FUTEX_WAIT|FUTEX_PRIVATE_FLAG, 2, NULL = 0");
  EXPECT_EQ(show({SYS_futex, 1}, 0x1000, FUTEX_WAKE, 1, 5), "0x1000, FUTEX_WAKE, 1 = 1");
  EXPECT_EQ(show({SYS_futex, 1}, 0x1000, FUTEX_CMP_REQUEUE, 1, 7, 0x2000, 3),
            "0x1000, FUTEX_CMP_REQUEUE, 1, 7, 0x2000, 3 = 1");
  EXPECT_EQ(show({SYS_futex, -110}, 0x1000, FUTEX_WAIT_BITSET, 1, &limit, 0, -1),
            "0x1000, FUTEX_WAIT_BITSET, 1, {tv_sec=0, tv_nsec=1}, NULL, -1 = -1 ETIMEDOUT (Connection timed out)");
}

TEST(Decode, CloneShowsFlagsAndExitSignal) {
  EXPECT_EQ(show({SYS_clone, 77}, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0),
            "CLONE_VM|CLONE_VFORK|SIGCHLD, NULL, NULL, NULL, NULL = 77");
  EXPECT_EQ(show({SYS_unshare, 0}, CLONE_NEWNS), "CLONE_NEWNS = 0");
  clone_args arguments{};
  arguments.flags = CLONE_VM;
  arguments.exit_signal = SIGCHLD;
  EXPECT_EQ(show({SYS_clone3, 5}, &arguments, sizeof(arguments)),
            "{flags=CLONE_VM, exit_signal=SIGCHLD, stack=NULL, stack_size=0}, 88 = 5");
}

TEST(Decode, WaitStatusSaysWhatHappened) {
  const auto wait = [](int status) { return show({SYS_wait4, 7}, -1, &status, WNOHANG, 0); };
  EXPECT_EQ(wait(3 << 8), "-1, [exited 3], WNOHANG, NULL = 7");
  EXPECT_EQ(wait(SIGSEGV | 0x80), "-1, [killed by SIGSEGV, core dumped], WNOHANG, NULL = 7");
  EXPECT_EQ(wait(SIGTSTP << 8 | 0x7f), "-1, [stopped by SIGTSTP], WNOHANG, NULL = 7");
  EXPECT_EQ(wait(0xffff), "-1, [continued], WNOHANG, NULL = 7");
  int untouched = 0;
  EXPECT_EQ(show({SYS_wait4, 0}, -1, &untouched, WNOHANG, 0), "-1, " + hex(&untouched) + ", WNOHANG, NULL = 0");
}

TEST(Decode, SignalSetsAndActions) {
  const std::uint64_t set = signal_bit(SIGINT) | signal_bit(SIGCHLD) | signal_bit(34);
  EXPECT_EQ(show({SYS_rt_sigprocmask, 0}, SIG_BLOCK, &set, 0, 8), "SIG_BLOCK, [SIGINT SIGCHLD SIGRT_2], NULL, 8 = 0");
  const std::uint64_t all = ~signal_bit(SIGSYS);
  EXPECT_EQ(show({SYS_rt_sigprocmask, 0}, SIG_SETMASK, &all, 0, 8), "SIG_SETMASK, ~[SIGSYS], NULL, 8 = 0");
  const KernelSigAction action{0x401000, kSaRestart | kSaRestorer | kSaSigInfo, 0x402000, 0};
  EXPECT_EQ(show({SYS_rt_sigaction, 0}, SIGUSR1, &action, 0, 8),
            "SIGUSR1, {sa_sigaction=0x401000, sa_mask=[], sa_flags=SA_SIGINFO|SA_RESTORER|SA_RESTART, "
            "sa_restorer=0x402000}, NULL, 8 = 0");
  const KernelSigAction ignore{1, 0, 0, 0};
  EXPECT_EQ(show({SYS_rt_sigaction, 0}, SIGPIPE, &ignore, 0, 8),
            "SIGPIPE, {sa_handler=SIG_IGN, sa_mask=[], sa_flags=0}, NULL, 8 = 0");
}

TEST(Decode, SignalInfoNamesCodeAndFault) {
  SigInfo info{};
  info.signal = SIGSEGV;
  info.code = 1;
  const std::uint64_t address = 0x10;
  std::memcpy(info.fields, &address, sizeof(address));
  char buffer[256];
  TextWriter out(buffer, sizeof(buffer));
  write_signal_info(out, &info);
  EXPECT_EQ(std::string(out.data(), out.size()), "{si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x10}");
}

TEST(Decode, ExecveShowsArgumentsAndCountsTheEnvironment) {
  const char* arguments[] = {"ls", "-l", nullptr};
  const char* environment[] = {"A=secret", "B=2", nullptr};
  EXPECT_EQ(show({SYS_execve, -2}, "/bin/ls", arguments, environment),
            "\"/bin/ls\", [\"ls\", \"-l\"], " + hex(environment) +
                " /* 2 variables */ = -1 ENOENT (No such file or directory)");
}

TEST(Decode, BitSets) {
  const std::uint64_t bits[2] = {0b101, 1};
  EXPECT_EQ(show({SYS_select, 1}, 65, bits, 0, 0, 0), "65, [0 2 64], NULL, NULL, NULL = 1");
  EXPECT_EQ(show({SYS_sched_getaffinity, 8}, 0, 128, bits), "0, 128, [0 2] = 8");
}

TEST(Decode, BeforeTheCallOutArgumentsAreAddresses) {
  char buffer[8] = "unset";
  EXPECT_EQ(show({SYS_read, 0, CallPhase::kEntered}, 0, buffer, 8), "0, " + hex(buffer) + ", 8 = 0");
}

// Every row with hostile registers: nothing may crash, overflow the line or read a faulting page.
TEST(Decode, SurvivesAnyArguments) {
  alignas(8) std::array<unsigned char, 512> memory;
  memory.fill(0xff);
  const std::uint64_t values[] = {0,
                                  1,
                                  0xffffffff,
                                  ~std::uint64_t{0},
                                  std::uint64_t{1} << 63,
                                  0x7ffffffff000,
                                  reinterpret_cast<std::uint64_t>(memory.data())};
  for (long number = 0; number <= static_cast<long>(kSyscallLimit); number++) {
    for (const std::uint64_t a : values) {
      for (const std::uint64_t b : values) {
        for (const long result : {0L, 1L, -22L, 4096L, -100000L}) {
          const std::string text = show({number, result, CallPhase::kReturned, 32, 200}, a, b, a, b, a, b);
          ASSERT_LE(text.size(), 200U);
          for (const char c : text) ASSERT_TRUE(c >= 0x20 && c < 0x7f);
        }
      }
    }
  }
}

}  // namespace
}  // namespace casemate::runtime
