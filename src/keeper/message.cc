#include "keeper/message.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace casemate::keeper {
namespace {

using protocol::Reply;
using protocol::Request;

constexpr std::size_t kMostDescriptors = 4;

// Takes parts off the front of a message.
class Cutter {
 public:
  explicit Cutter(std::span<const std::byte> rest) : rest_(rest) {}
  bool take(std::size_t size, std::span<const std::byte>* out) {
    if (size > rest_.size()) return false;
    *out = rest_.first(size);
    rest_ = rest_.subspan(size);
    return true;
  }
  // Paths have a bound and no NUL.
  bool take_path(std::size_t size, std::string_view* out) {
    std::span<const std::byte> bytes;
    if (size >= protocol::kPathCapacity || !take(size, &bytes)) return false;
    *out = std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return out->find('\0') == std::string_view::npos;
  }
  bool is_empty() const { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
};

bool append(std::span<std::byte> out, std::size_t* at, const void* bytes, std::size_t size) {
  if (size > out.size() - *at) return false;
  if (size > 0) std::memcpy(out.data() + *at, bytes, size);
  *at += size;
  return true;
}

}  // namespace

bool parse_request(std::span<const std::byte> message, ParsedRequest* out) {
  Cutter cutter(message);
  std::span<const std::byte> part;
  if (!cutter.take(sizeof(Request), &part)) return false;
  std::memcpy(&out->header, part.data(), sizeof(Request));
  const Request& header = out->header;
  if (header.version != protocol::kShieldVersion) return false;
  if (header.operation > protocol::kLastOperation) return false;
  if (!cutter.take(std::size_t{4} * header.credentials.group_count, &part)) return false;
  // Groups beyond what anybody has in practice are left out: that allows less, never more.
  const std::size_t groups_size = std::min(part.size(), sizeof(out->group_storage));
  out->group_count = static_cast<std::uint32_t>(groups_size / 4);
  if (groups_size > 0) std::memcpy(out->group_storage.data(), part.data(), groups_size);
  if (!cutter.take_path(header.root_path_size, &out->root_path)) return false;
  for (std::size_t i = 0; i < 2; ++i) {
    if (!cutter.take_path(header.base_path_size[i], &out->base_paths[i])) return false;
    if (!cutter.take_path(header.path_size[i], &out->paths[i])) return false;
  }
  return cutter.take(header.data_size, &out->data) && cutter.is_empty();
}

std::size_t encode_answer(Answer& answer, std::span<std::byte> out) {
  Reply& header = answer.header;
  header.descriptor_count =
      static_cast<std::uint32_t>(answer.owned_descriptors.size() + answer.lent_descriptors.size());
  header.data_size = static_cast<std::uint32_t>(answer.data.size());
  for (std::size_t i = 0; i < 2; ++i)
    header.host_path_size[i] = static_cast<std::uint32_t>(answer.host_paths[i].size());
  std::size_t size = 0;
  bool fits = append(out, &size, &header, sizeof(header));
  for (const std::string& path : answer.host_paths) fits = fits && append(out, &size, path.data(), path.size());
  fits = fits && append(out, &size, answer.data.data(), answer.data.size());
  return fits ? size : 0;
}

std::optional<std::size_t> receive_message(int channel, std::span<std::byte> out) {
  for (;;) {
    const ssize_t got = recv(channel, out.data(), out.size(), 0);
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0 || errno != EINTR) return std::nullopt;
  }
}

std::optional<std::size_t> find_message(int channel, std::span<std::byte> out) {
  const ssize_t got = recv(channel, out.data(), out.size(), MSG_DONTWAIT);
  return got > 0 ? std::optional(static_cast<std::size_t>(got)) : std::nullopt;
}

bool send_answer(int channel, std::span<const std::byte> message, const Answer& answer) {
  iovec part = {const_cast<std::byte*>(message.data()), message.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostDescriptors)] = {};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  int descriptors[kMostDescriptors];
  std::size_t count = 0;
  for (const UniqueFd& fd : answer.owned_descriptors) descriptors[count++] = fd.get();
  for (const int fd : answer.lent_descriptors) descriptors[count++] = fd;
  if (count > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
    std::memcpy(CMSG_DATA(rights), descriptors, sizeof(int) * count);
  }
  for (;;) {
    if (sendmsg(channel, &header, MSG_NOSIGNAL) >= 0) return true;
    if (errno != EINTR) return false;
  }
}

}  // namespace casemate::keeper
