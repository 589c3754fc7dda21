#include "las/caller.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "las/files.h"

namespace casemate::las {
namespace {

using protocol::LasRefusal;

constexpr int kPeerPidfd = 77;  // SO_PEERPIDFD, Linux 6.5
constexpr std::size_t kTextLimit = 256 * 1024;

struct SameFile {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const SameFile&) const = default;
};

std::optional<SameFile> identity_of(int fd) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) return std::nullopt;
  return SameFile{status.st_dev, status.st_ino};
}

std::optional<SameFile> identity_at(int directory, const char* name) {
  const UniqueFd file(openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  return file.is_open() ? identity_of(file.get()) : std::nullopt;
}

// A pidfd of the process that connected. Before Linux 6.5 by number: should the number have been taken by another
// process meanwhile, then that one is looked at, and cannot answer the challenge (messages carry the sender's number).
UniqueFd peer_process(int socket, pid_t pid) {
  int fd = -1;
  socklen_t size = sizeof(fd);
  if (getsockopt(socket, SOL_SOCKET, kPeerPidfd, &fd, &size) == 0) return UniqueFd(fd);
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

// How /proc shows mappings of this file: the kernel is asked by mapping it here.
std::optional<MappedFile> shown_as(int fd) {
  constexpr std::size_t kSize = 4096;
  void* const address = mmap(nullptr, kSize, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED) return std::nullopt;
  const UniqueFd maps(open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
  const Result<std::string> text =
      maps.is_open() ? read_from_start(maps.get(), 4 * kTextLimit) : Error::from_errno("maps", errno);
  munmap(address, kSize);
  if (!text.has_value()) return std::nullopt;
  const Result<std::vector<Mapping>> mappings = parse_maps(text.value());
  if (!mappings.has_value()) return std::nullopt;
  for (const Mapping& mapping : mappings.value()) {
    if (mapping.start == reinterpret_cast<std::uint64_t>(address)) return MappedFile{mapping.device, mapping.inode};
  }
  return std::nullopt;
}

// Touched data pages and the stack may grow between the looks; nothing else may change. A hosted executable may have
// more memory without a file: what cannot change there is where image, stack and the kernel's pages are.
std::vector<Mapping> places_of(std::vector<Mapping> mappings, bool is_hosted) {
  if (is_hosted) {
    std::erase_if(mappings, [](const Mapping& mapping) {
      return mapping.inode == 0 && mapping.name != "[stack]" && mapping.name != "[vdso]";
    });
  }
  for (Mapping& mapping : mappings) {
    mapping.private_pages_kib = 0;
    if (mapping.name == "[stack]") mapping.start = 0;
  }
  return mappings;
}

bool same_user_namespace(int process_directory) {
  const UniqueFd own(open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto here = identity_at(own.get(), "ns/user");
  return here.has_value() && here == identity_at(process_directory, "ns/user");
}

}  // namespace

Result<CallerRules> own_rules() {
  const UniqueFd self(open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!self.is_open()) return Error::from_errno("/proc/self: is /proc mounted?", errno);
  const std::string text = CASEMATE_TRY(read_file_at(self.get(), "status", kTextLimit));
  CallerRules rules;
  rules.seccomp_filters = CASEMATE_TRY(parse_status(text)).seccomp_filters;
  return rules;
}

std::optional<uid_t> peer_user(int socket) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  return peer.uid;
}

LasRefusal Caller::hold(int socket, const CallerRules& rules) {
  rules_ = rules;
  ucred peer = {};
  socklen_t size = sizeof(peer);
  // Number 0: a process that our PID namespace cannot name.
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) {
    return LasRefusal::kUninspectable;
  }
  pid_ = peer.pid;
  uid_ = peer.uid;
  if (rules.only.has_value() && pid_ != *rules.only) return LasRefusal::kOtherSender;
  has_group_ = rules.group.has_value() && peer.gid == *rules.group;
  if (rules.group.has_value() && !has_group_) return LasRefusal::kGroup;
  process_ = peer_process(socket, pid_);
  if (!process_.is_open()) return LasRefusal::kGone;
  directory_.reset(open(("/proc/" + std::to_string(pid_)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  // Alive now, so the number was not free between connect and here: the directory is that process's.
  if (!directory_.is_open() || !is_alive()) return LasRefusal::kGone;
  return hold_image();
}

LasRefusal Caller::hold_image() {
  const Result<std::string> stat = read_file_at(directory_.get(), "stat", kTextLimit);
  if (!stat.has_value()) return LasRefusal::kGone;
  const Result<std::uint64_t> start_time = parse_start_time(stat.value());
  if (!start_time.has_value()) return LasRefusal::kUninspectable;
  start_time_ = start_time.value();
  // The address space of now: reading it later tells whether it still is the process's.
  smaps_.reset(openat(directory_.get(), "smaps", O_RDONLY | O_CLOEXEC));
  executable_.reset(openat(directory_.get(), "exe", O_RDONLY | O_CLOEXEC));
  if (!smaps_.is_open() || !executable_.is_open()) return is_alive() ? LasRefusal::kUninspectable : LasRefusal::kGone;
  std::byte head[kImageHeadSize];
  const ssize_t head_size = pread(executable_.get(), head, sizeof(head), 0);
  if (head_size <= 0) return LasRefusal::kNotExecutable;
  Result<std::vector<ExpectedMapping>> expected =
      expected_mappings(crypto::ByteView(head, static_cast<std::size_t>(head_size)));
  if (!expected.has_value()) return LasRefusal::kNotExecutable;
  expected_ = std::move(expected).value();
  is_hosted_ = casemate::las::is_hosted(crypto::ByteView(head, static_cast<std::size_t>(head_size)));
  const std::optional<MappedFile> file = shown_as(executable_.get());
  if (!file.has_value()) return LasRefusal::kUninspectable;
  file_ = *file;
  return LasRefusal::kNone;
}

LasRefusal Caller::look() {
  for (const auto part : {&Caller::look_at_identity, &Caller::look_at_status, &Caller::look_at_mappings}) {
    if (const LasRefusal refusal = (this->*part)(); refusal != LasRefusal::kNone) {
      return is_alive() ? refusal : LasRefusal::kGone;
    }
  }
  return is_alive() ? LasRefusal::kNone : LasRefusal::kGone;
}

LasRefusal Caller::look_at_identity() {
  const auto now = identity_at(directory_.get(), "exe");
  if (!now.has_value()) return LasRefusal::kUninspectable;
  if (now != identity_of(executable_.get())) return LasRefusal::kImageReplaced;
  return same_user_namespace(directory_.get()) ? LasRefusal::kNone : LasRefusal::kUserNamespace;
}

LasRefusal Caller::look_at_status() {
  const Result<std::string> text = read_file_at(directory_.get(), "status", kTextLimit);
  if (!text.has_value()) return LasRefusal::kUninspectable;
  const Result<ProcessStatus> parsed = parse_status(text.value());
  if (!parsed.has_value()) return LasRefusal::kUninspectable;
  const ProcessStatus& status = parsed.value();
  if (status.tracer != 0) return LasRefusal::kTraced;
  if (status.threads != 1) return LasRefusal::kNotAlone;
  if (status.seccomp_filters > rules_.seccomp_filters) return LasRefusal::kFiltered;
  return is_hosted_ || status.peak_kib == status.size_kib ? LasRefusal::kNone : LasRefusal::kProgramMapped;
}

// Behind the status, and of both the address space held from the beginning and the process's current one: when they
// agree now, then the status was that of the former. (An address space outlives an exec where another task shares it.)
LasRefusal Caller::look_at_mappings() {
  const Result<std::string> held = read_from_start(smaps_.get(), kTextLimit);
  const Result<std::string> current = read_file_at(directory_.get(), "maps", kTextLimit);
  if (!held.has_value() || !current.has_value()) return LasRefusal::kProgramMapped;
  const Result<std::vector<Mapping>> parsed = parse_smaps(held.value());
  const Result<std::vector<Mapping>> parsed_now = parse_maps(current.value());
  if (!parsed.has_value() || !parsed_now.has_value()) return LasRefusal::kUninspectable;
  if (parsed.value().empty()) return LasRefusal::kImageReplaced;
  const LasRefusal refusal = is_hosted_ ? judge_hosted_mappings(parsed.value(), expected_, file_)
                                        : judge_mappings(parsed.value(), expected_, file_);
  if (refusal != LasRefusal::kNone) return refusal;
  if (!is_randomized(parsed.value())) return LasRefusal::kNotRandom;
  const std::vector<Mapping> places = places_of(parsed.value(), is_hosted_);
  if (first_seen_.empty()) first_seen_ = places;
  const bool same = places == first_seen_ && places_of(parsed_now.value(), is_hosted_) == first_seen_;
  return same ? LasRefusal::kNone : LasRefusal::kImageReplaced;
}

bool Caller::is_alive() const {
  pollfd state = {process_.get(), POLLIN, 0};
  return poll(&state, 1, 0) == 0;
}

}  // namespace casemate::las
