#include "las/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace casemate::las {
namespace {

constexpr int kBacklog = 128;

struct Address {
  sockaddr_un data = {};
  socklen_t size = 0;
};

Result<Address> address_of(const std::string& path) {
  const std::string name = CASEMATE_TRY(socket_name(path));
  Address address;
  address.data.sun_family = AF_UNIX;
  std::memcpy(address.data.sun_path, name.data(), name.size());
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  return address;
}

Result<UniqueFd> listening(const Address& address) {
  UniqueFd listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!listener.is_open()) return Error::from_errno("cannot make a socket", errno);
  const int on = 1;
  // Accepted sockets inherit it.
  if (setsockopt(listener.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0) {
    return Error::from_errno("cannot ask for credentials", errno);
  }
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address.data), address.size) != 0) {
    return Error::from_errno("cannot use the socket's name", errno);
  }
  if (listen(listener.get(), kBacklog) != 0) return Error::from_errno("cannot listen", errno);
  return listener;
}

// Something that answers is left alone; a leftover of a service that ended is removed.
Result<void> make_room(const std::string& path) {
  struct stat status = {};
  if (path.starts_with('@') || lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode)) return Error(ErrorCategory::kUsage, path + ": exists and is not a socket");
  if (connect_unix(path, SOCK_SEQPACKET).has_value()) {
    return Error(ErrorCategory::kUsage, path + ": another service listens there");
  }
  if (unlink(path.c_str()) != 0) return Error::from_errno(path + ": cannot remove the old socket", errno);
  return {};
}

}  // namespace

Result<std::string> socket_name(const std::string& path) {
  if (path.empty() || path == "@" || path.size() > sizeof(sockaddr_un::sun_path)) {
    return Error(ErrorCategory::kUsage, "\"" + path + "\": a socket's name has 1 to 108 bytes");
  }
  std::string name = path;
  if (name.front() == '@') name.front() = '\0';
  return name;
}

Result<UniqueFd> connect_unix(const std::string& path, int type) {
  const Address address = CASEMATE_TRY(address_of(path));
  UniqueFd connection(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!connection.is_open()) return Error::from_errno("cannot make a socket", errno);
  if (connect(connection.get(), reinterpret_cast<const sockaddr*>(&address.data), address.size) != 0) {
    return Error::from_errno(path + ": cannot connect", errno);
  }
  return connection;
}

Result<UniqueFd> listen_unix(const std::string& path) {
  const Address address = CASEMATE_TRY(address_of(path));
  if (Result<void> room = make_room(path); !room.has_value()) return room.error();
  Result<UniqueFd> listener = listening(address);
  if (!listener.has_value()) return listener.error().with_context(path);
  // Whoever connects is looked at; the file's permissions say nothing.
  if (!path.starts_with('@') && chmod(path.c_str(), 0666) != 0) return Error::from_errno(path, errno);
  return listener;
}

Result<UniqueFd> listen_anywhere(std::string& name) {
  Address address;
  address.data.sun_family = AF_UNIX;
  address.size = sizeof(address.data.sun_family);
  UniqueFd listener = CASEMATE_TRY(listening(address));
  address.size = sizeof(address.data);
  if (getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address.data), &address.size) != 0) {
    return Error::from_errno("cannot learn the socket's name", errno);
  }
  name.assign(address.data.sun_path, address.size - offsetof(sockaddr_un, sun_path));
  return listener;
}

}  // namespace casemate::las
