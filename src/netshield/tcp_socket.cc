#include "netshield/tcp_socket.h"

#include <sys/socket.h>

#include <cerrno>

namespace casemate::netshield {
namespace {

template <typename Call>
long repeated(Call call) {
  for (;;) {
    const long result = call();
    if (result >= 0) return result;
    if (errno != EINTR) return -errno;
  }
}

long peek(int descriptor, std::uint8_t* bytes, std::size_t size) {
  return repeated([&] { return recv(descriptor, bytes, size, MSG_PEEK | MSG_DONTWAIT); });
}
long discard(int descriptor, std::size_t size) {
  return repeated([&] { return recv(descriptor, nullptr, size, MSG_TRUNC | MSG_DONTWAIT); });
}
long send_bytes(int descriptor, const std::uint8_t* bytes, std::size_t size) {
  return repeated([&] { return send(descriptor, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL); });
}
long set_low_water(int descriptor, std::size_t size) {
  const int mark = static_cast<int>(size);
  return repeated([&] { return long{setsockopt(descriptor, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark))}; });
}
}  // namespace

constinit const StreamSocket kTcpSocket = {peek, discard, send_bytes, set_low_water};

}  // namespace casemate::netshield
