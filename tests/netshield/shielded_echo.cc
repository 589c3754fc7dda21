// An echo server on the network shield's own parts, as a program in the runtime will be served: the keeper's
// handshakes, then streams on the program's sockets, readiness by edge-triggered epoll. Made for tests/netshield/run.
//
//   shielded_echo RULES PORT          by the rule for that port; "plain" in place of RULES: without TLS (the control)
//
// Prints "ready" when it listens, then one line per connection: its peer's name, or why there is none. Ends at the end
// of its standard input.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <vector>

#include "keeper/handshakes.h"
#include "keeper/network_endpoints.h"
#include "netshield/record/cipher_kernels.h"
#include "netshield/tcp_socket.h"

namespace {

using namespace casemate;

struct Connection {
  UniqueFd socket;
  std::unique_ptr<netshield::Stream> stream;  // null: plain
  bool is_open = false;
  std::vector<std::uint8_t> unsent;  // of the echo

  netshield::StreamCall call() const {
    return {*stream, netshield::kKernelCipher, netshield::kTcpSocket, socket.get()};
  }
  long receive(std::uint8_t* bytes, std::size_t size) const {
    if (stream == nullptr) {
      const ssize_t got = recv(socket.get(), bytes, size, MSG_DONTWAIT);
      return got < 0 ? -errno : got;
    }
    return netshield::read_stream(call(), size, [&](std::size_t at, const std::uint8_t* from, std::size_t part) {
      std::memcpy(bytes + at, from, part);
      return 0L;
    });
  }
  long transmit(const std::uint8_t* bytes, std::size_t size) const {
    if (stream == nullptr) {
      const ssize_t sent = send(socket.get(), bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
      return sent < 0 ? -errno : sent;
    }
    return netshield::write_stream(call(), size, [&](std::size_t at, std::uint8_t* to, std::size_t part) {
      std::memcpy(to, bytes + at, part);
      return 0L;
    });
  }
};

std::mutex g_mutex;  // of the connections: handshakes end in another thread
std::map<int, Connection> g_connections;

void end(Connection& connection) {
  if (connection.stream != nullptr) static_cast<void>(netshield::close_stream(connection.call()));
  g_connections.erase(connection.socket.get());
}

// Until nothing more can be had or sent.
void serve(Connection& connection) {
  if (!connection.is_open) return;
  if (connection.stream != nullptr && netshield::has_unsent(*connection.stream)) {
    static_cast<void>(netshield::flush(connection.call()));
  }
  for (;;) {
    while (!connection.unsent.empty()) {
      const long sent = connection.transmit(connection.unsent.data(), connection.unsent.size());
      if (sent == -EAGAIN) return;
      if (sent < 0) return end(connection);
      connection.unsent.erase(connection.unsent.begin(), connection.unsent.begin() + sent);
    }
    std::array<std::uint8_t, 40'000> bytes{};
    const long got = connection.receive(bytes.data(), bytes.size());
    if (got == -EAGAIN) return;
    if (got <= 0) {
      std::printf(got == 0 ? "end\n" : "error: %s\n", std::strerror(static_cast<int>(-got)));
      std::fflush(stdout);
      return end(connection);
    }
    connection.unsent.assign(bytes.begin(), bytes.begin() + got);
  }
}

UniqueFd listen_at(int port) {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int one = 1;
  setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener.get(), 64) != 0) {
    std::perror("listen");
    std::exit(1);
  }
  return listener;
}

crypto::TlsEndpoint endpoint_of(const std::string& path, const std::string& port) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  policy::Diagnostics diagnostics;
  const auto rules = policy::parse_network_rules(text.str(), diagnostics);
  const auto query = policy::parse_query(policy::Purpose::kServe, "TCP:" + port);
  if (!rules || !query.has_value()) std::exit(2);
  const policy::NetworkDecision decision = policy::decide(*rules, query.value());
  if (decision.protection != policy::Protection::kTlsServer) std::exit(3);
  return crypto::TlsEndpoint::make(keeper::endpoint_settings_of(*rules, *decision.rule, "").value()).value();
}

void take_connection(const UniqueFd& listener, const UniqueFd& epoll, keeper::Handshakes& handshakes,
                     const crypto::TlsEndpoint* endpoint) {
  const int fd = accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return;
  const std::lock_guard lock(g_mutex);
  Connection& connection = g_connections[fd];
  connection.socket.reset(fd);
  connection.is_open = endpoint == nullptr;
  epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {}};
  event.data.fd = fd;
  epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event);
  if (endpoint == nullptr) return;
  connection.stream = std::make_unique<netshield::Stream>();
  handshakes.start({.socket = UniqueFd(dup(fd)),
                    .endpoint = *endpoint,
                    .side = crypto::TlsSide::kServer,
                    .server_name = "",
                    .stream = connection.stream.get(),
                    .time_limit = std::chrono::seconds(3),
                    .done = [fd](Result<keeper::HandshakeReport> report) {
                      const std::lock_guard guard(g_mutex);
                      Connection& done = g_connections.at(fd);
                      done.is_open = report.has_value();
                      std::printf("%s\n", report.has_value() ? ("peer " + report.value().peer.common_name).c_str()
                                                             : report.error().message().c_str());
                      std::fflush(stdout);
                      if (report.has_value()) {
                        serve(done);  // what the edge of the opening announced
                      } else {
                        g_connections.erase(fd);
                      }
                    }});
}

void run(const UniqueFd& listener, const crypto::TlsEndpoint* endpoint) {
  const auto handshakes = keeper::Handshakes::create().value();
  const UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  for (const int fd : {listener.get(), STDIN_FILENO}) {
    epoll_event event = {EPOLLIN, {}};
    event.data.fd = fd;
    epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event);
  }
  std::puts("ready");
  std::fflush(stdout);
  for (;;) {
    epoll_event event = {};
    if (epoll_wait(epoll.get(), &event, 1, -1) != 1) continue;
    if (event.data.fd == STDIN_FILENO) return;
    if (event.data.fd == listener.get()) {
      take_connection(listener, epoll, *handshakes, endpoint);
      continue;
    }
    const std::lock_guard lock(g_mutex);
    const auto found = g_connections.find(event.data.fd);
    if (found != g_connections.end()) serve(found->second);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const UniqueFd listener = listen_at(std::atoi(argv[2]));
  if (std::string(argv[1]) == "plain") {
    run(listener, nullptr);
    return 0;
  }
  const crypto::TlsEndpoint endpoint = endpoint_of(argv[1], argv[2]);
  run(listener, &endpoint);
  return 0;
}
