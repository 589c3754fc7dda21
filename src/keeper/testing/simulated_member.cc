#include "keeper/testing/simulated_member.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace casemate::keeper::testing {
namespace {

using protocol::Operation;
using protocol::Place;
using protocol::PlaceKind;

Place place_of(const OpenFile& file) { return {PlaceKind::kSlot, 0, file.slot}; }

void send_descriptor(int socket, int fd) {
  char byte = 0;
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
  ASSERT_EQ(sendmsg(socket, &message, 0), 1);
}

}  // namespace

SimulatedMember::SimulatedMember(int hello) {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  channel_.reset(ends[0]);
  send_descriptor(hello, ends[1]);
  close(ends[1]);
  Reply reply = call({.operation = Operation::kAttach});
  EXPECT_EQ(reply.descriptors.size(), 2U);
  if (reply.descriptors.size() != 2) return;
  arena_ = static_cast<const protocol::ShieldArena*>(
      mmap(nullptr, protocol::kArenaMemorySize, PROT_READ, MAP_SHARED, reply.descriptors[0].get(), 0));
  EXPECT_NE(static_cast<const void*>(arena_), MAP_FAILED);
  states_size_ = arena_->states_size;
  states_ = static_cast<std::byte*>(
      mmap(nullptr, states_size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, reply.descriptors[1].get(), 0));
  EXPECT_NE(static_cast<void*>(states_), MAP_FAILED);
}

SimulatedMember::~SimulatedMember() {
  if (arena_ != nullptr) munmap(const_cast<protocol::ShieldArena*>(arena_), protocol::kArenaMemorySize);
  if (states_ != nullptr) munmap(states_, states_size_);
}

bool SimulatedMember::send_raw(std::span<const std::byte> bytes) {
  return send(channel_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0;
}

Reply SimulatedMember::call(const Call& call) {
  protocol::Request request = {};
  request.version = protocol::kShieldVersion;
  request.operation = call.operation;
  request.credentials = {user, group, 022, static_cast<std::uint32_t>(groups.size())};
  request.root = call.root;
  request.base[0] = call.base;
  std::ranges::copy(call.arguments, request.arguments);
  request.base_path_size[0] = static_cast<std::uint32_t>(call.base_path.size());
  request.path_size[0] = static_cast<std::uint32_t>(call.path.size());
  request.path_size[1] = static_cast<std::uint32_t>(call.second_path.size());
  request.data_size = static_cast<std::uint32_t>(call.data.size());
  std::string message(reinterpret_cast<const char*>(&request), sizeof(request));
  message.append(reinterpret_cast<const char*>(groups.data()), groups.size() * 4);
  message += call.base_path + call.path + call.second_path + call.data;
  Reply reply;
  reply.header.result = -EIO;
  if (!send_raw(std::as_bytes(std::span(message)))) return reply;

  std::vector<char> text(protocol::kMessageCapacity);
  iovec part = {text.data(), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 4)] = {};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t size = recvmsg(channel_.get(), &header, MSG_CMSG_CLOEXEC);
  if (size < static_cast<ssize_t>(sizeof(protocol::Reply))) return reply;
  std::memcpy(&reply.header, text.data(), sizeof(protocol::Reply));
  const char* at = text.data() + sizeof(protocol::Reply);
  for (int i = 0; i < 2; ++i) {
    reply.host_paths[i].assign(at, reply.header.host_path_size[i]);
    at += reply.header.host_path_size[i];
  }
  reply.data.assign(at, reply.header.data_size);
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    for (std::size_t i = 0; i < (item->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof(fd));
      reply.descriptors.emplace_back(fd);
    }
  }
  return reply;
}

OpenFile SimulatedMember::open(const std::string& path, int flags, std::uint32_t mode) {
  Reply reply =
      call({.operation = Operation::kOpen, .path = path, .arguments = {static_cast<std::uint64_t>(flags), mode}});
  OpenFile file;
  file.result = reply.result();
  file.slot = reply.header.slot;
  file.is_host = reply.is_host();
  file.host_path = reply.host_paths[0];
  if (!reply.descriptors.empty()) file.fd = std::move(reply.descriptors[0]);
  return file;
}

Reply SimulatedMember::ask_at_root(Operation operation, const std::string& path, std::vector<std::uint64_t> arguments) {
  return call({.operation = operation,
               .path = path,
               .arguments = std::move(arguments),
               .base = {protocol::PlaceKind::kRoot, 0, 0}});
}

std::optional<std::int64_t> SimulatedMember::kept_answer(Operation operation, const std::string& path, std::uint64_t a0,
                                                         protocol::ShieldAttributes* out) const {
  const auto& answers = *reinterpret_cast<const protocol::SharedAnswers*>(reinterpret_cast<const std::byte*>(arena_) +
                                                                          protocol::kAnswersOffset);
  protocol::Request request = {};
  request.credentials = {user, group, 022, static_cast<std::uint32_t>(groups.size())};
  request.root = request.base[0] = {protocol::PlaceKind::kRoot, 0, 0};
  request.path_size[0] = static_cast<std::uint32_t>(path.size());
  protocol::AnswerKey key;
  if (!protocol::make_answer_key(request, groups.data(), operation, a0, 0, key)) return std::nullopt;
  for (const protocol::AnswerEntry& entry : answers.entries) {
    if (entry.hash != protocol::hash_of_answer(key, path.data())) continue;
    if (std::memcmp(&entry.key, &key, sizeof(key)) != 0 || path != std::string_view(entry.path, path.size())) continue;
    if (entry.depends.structure != answers.structure) return std::nullopt;
    for (int i = 0; i < 2; ++i) {
      if (entry.depends.value[i] != answers.changes[entry.depends.counter[i]]) return std::nullopt;
    }
    if (out != nullptr) *out = entry.attributes;
    return entry.result;
  }
  return std::nullopt;
}

std::int64_t SimulatedMember::status(const std::string& path, protocol::ShieldAttributes* out) {
  const Reply reply = call({.operation = Operation::kStatus, .path = path});
  if (out != nullptr) *out = reply.header.attributes;
  return reply.result();
}

std::int64_t SimulatedMember::make_directory(const std::string& path, std::uint32_t mode) {
  return call({.operation = Operation::kMakeNode, .path = path, .arguments = {S_IFDIR | mode}}).result();
}

std::int64_t SimulatedMember::unlink(const std::string& path, int flags) {
  return call({.operation = Operation::kUnlink, .path = path, .arguments = {static_cast<std::uint64_t>(flags)}})
      .result();
}

std::int64_t SimulatedMember::rename(const std::string& from, const std::string& to, unsigned flags) {
  return call({.operation = Operation::kRename, .path = from, .second_path = to, .arguments = {flags}}).result();
}

std::int64_t SimulatedMember::link_symbolically(const std::string& path, const std::string& target) {
  return call({.operation = Operation::kMakeSymbolicLink, .path = path, .second_path = target}).result();
}

std::int64_t SimulatedMember::synchronize(const OpenFile& file) {
  return call({.operation = Operation::kSynchronize, .base = place_of(file)}).result();
}

std::int64_t SimulatedMember::synchronize_data(const OpenFile& file) {
  return call({.operation = Operation::kSynchronize, .arguments = {0, 0, 1}, .base = place_of(file)}).result();
}

std::vector<std::string> SimulatedMember::list(const OpenFile& directory, std::size_t capacity) {
  std::vector<std::string> names;
  std::uint64_t cookie = 0;
  for (;;) {
    const Reply reply =
        call({.operation = Operation::kReadDirectory, .arguments = {cookie, capacity}, .base = place_of(directory)});
    EXPECT_GE(reply.result(), 0);
    if (reply.result() <= 0) return names;
    for (std::size_t at = 0; at < reply.data.size();) {
      std::uint16_t size = 0;
      std::memcpy(&size, reply.data.data() + at + 16, 2);
      const std::string name = reply.data.c_str() + at + 19;
      if (name != "." && name != "..") names.push_back(name);
      at += size;
    }
    cookie = reply.header.arguments[0];
  }
}

StateByte* SimulatedMember::states(std::uint32_t index) const {
  return reinterpret_cast<StateByte*>(states_ + arena_->slots[index].states_offset);
}

std::uint8_t SimulatedMember::page_state(std::uint32_t slot, std::uint64_t page) const {
  return states(slot)[page].load();
}

std::int64_t SimulatedMember::find_slot(int fd) const {
  struct stat status = {};
  if (fstat(fd, &status) != 0 || status.st_dev != arena_->memfd_device) return -1;
  for (std::size_t at = (status.st_ino * 0x9e3779b97f4a7c15) >> 46;; at = (at + 1) % protocol::kIndexCapacity) {
    const std::uint64_t present = arena_->index[at].memfd_inode.load();
    if (present == 0) return -1;
    if (present == status.st_ino) return arena_->index[at].slot.load();
  }
}

// Marks pages before or after a write; loads and reserves as needed.
std::int64_t SimulatedMember::mark(const OpenFile& file, std::uint64_t first, std::uint64_t end) {
  auto& space = *reinterpret_cast<std::atomic<std::int64_t>*>(states_ + protocol::kSpaceOffset);
  for (std::uint64_t page = first; page < end;) {
    if (end > slot(file.slot).states_count) {
      const auto grown =
          call({.operation = Operation::kGrowStates, .arguments = {end}, .base = place_of(file)}).result();
      if (grown < 0) return grown;
    }
    StateByte& state = states(file.slot)[page];
    const std::uint8_t seen = state.load();
    if (seen == protocol::kPageDirty ||
        (seen == protocol::kPageClean && change_state(state, seen, protocol::kPageDirty))) {
      page += 1;
      continue;
    }
    if (seen == protocol::kPageAbsent && page >= slot(file.slot).backed_pages.load()) {
      if (space.fetch_sub(1) <= 0) {
        space.fetch_add(1);
        const auto granted =
            call({.operation = Operation::kReserve, .arguments = {1}, .base = place_of(file)}).result();
        if (granted < 0) return granted;
        continue;
      }
      change_state(state, seen, protocol::kPageDirty);
      continue;
    }
    const auto loaded =
        call({.operation = Operation::kPopulate, .arguments = {page, 1, 1}, .base = place_of(file)}).result();
    if (loaded < 0) return loaded;
  }
  reinterpret_cast<protocol::SlotActivity*>(states_)[file.slot].dirty.store(1);
  return 0;
}

std::int64_t SimulatedMember::write(const OpenFile& file, std::uint64_t offset, std::string_view data) {
  const std::uint64_t first = offset / protocol::kPageSize, end = pages_of(offset + data.size());
  for (;;) {
    const std::uint64_t evictions = slot(file.slot).eviction_count.load();
    if (const auto code = mark(file, first, end); code < 0) return code;
    const ssize_t written = pwrite(file.fd.get(), data.data(), data.size(), static_cast<off_t>(offset));
    if (written < 0) return -errno;
    if (const auto code = mark(file, first, end); code < 0) return code;
    if (slot(file.slot).eviction_count.load() == evictions) return written;
  }
}

std::string SimulatedMember::read(const OpenFile& file, std::uint64_t offset, std::size_t size) {
  std::string out(size, '\0');
  for (;;) {
    const std::uint64_t evictions = slot(file.slot).eviction_count.load();
    const std::uint64_t end = std::min(pages_of(offset + size), slot(file.slot).backed_pages.load());
    for (std::uint64_t page = offset / protocol::kPageSize; page < end; ++page) {
      const std::uint8_t state = states(file.slot)[page].load();
      if (state == protocol::kPageClean || state == protocol::kPageDirty) continue;
      const Reply reply =
          call({.operation = Operation::kPopulate, .arguments = {page, end - page, 0}, .base = place_of(file)});
      EXPECT_EQ(reply.result(), 0);
      if (reply.result() != 0) return "";
    }
    const ssize_t got = pread(file.fd.get(), out.data(), size, static_cast<off_t>(offset));
    if (slot(file.slot).eviction_count.load() != evictions) continue;
    out.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return out;
  }
}

}  // namespace casemate::keeper::testing
