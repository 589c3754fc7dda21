// Sockets: unix, TCP, UDP over IPv4 and IPv6, netlink; ancillary data, options, blocking and non-blocking behaviour.
#include "case.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

struct pair {
  int a, b;
};

static struct pair open_pair(int type) {
  int fds[2];
  CHECK_OK(socketpair(AF_UNIX, type, 0, fds));
  return (struct pair){fds[0], fds[1]};
}

static int listen_tcp(int family, struct sockaddr_storage* address, socklen_t* size) {
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) SKIP("no sockets of family %d", family);
  memset(address, 0, sizeof *address);
  address->ss_family = (sa_family_t)family;
  if (family == AF_INET) {
    ((struct sockaddr_in*)address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *size = sizeof(struct sockaddr_in);
  } else {
    ((struct sockaddr_in6*)address)->sin6_addr = in6addr_loopback;
    *size = sizeof(struct sockaddr_in6);
  }
  if (bind(fd, (struct sockaddr*)address, *size) != 0) SKIP("loopback address is not available: errno %d", errno);
  CHECK_OK(listen(fd, 16));
  CHECK_OK(getsockname(fd, (struct sockaddr*)address, size));
  return fd;
}

static struct pair connect_tcp(int family) {
  struct sockaddr_storage address;
  socklen_t size;
  int listener = listen_tcp(family, &address, &size);
  int client = CHECK_OK(socket(family, SOCK_STREAM, 0));
  CHECK_OK(connect(client, (struct sockaddr*)&address, size));
  int server = CHECK_OK(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
  CHECK_EQ(fcntl(server, F_GETFD), FD_CLOEXEC);
  CHECK_OK(close(listener));
  return (struct pair){client, server};
}

static void check_echo(struct pair pair) {
  char buffer[16] = "";
  CHECK_EQ(send(pair.a, "ping", 4, 0), 4);
  CHECK_EQ(recv(pair.b, buffer, 16, 0), 4);
  CHECK_STREQ(buffer, "ping");
  CHECK_EQ(write(pair.b, "pong", 4), 4);
  CHECK_EQ(read(pair.a, buffer, 16), 4);
  CHECK_STREQ(buffer, "pong");
}

CASE(tcp_over_ipv4) { check_echo(connect_tcp(AF_INET)); }
CASE(tcp_over_ipv6) { check_echo(connect_tcp(AF_INET6)); }
CASE(unix_stream_pair) { check_echo(open_pair(SOCK_STREAM)); }
CASE(unix_datagram_pair) { check_echo(open_pair(SOCK_DGRAM)); }
CASE(unix_seqpacket_pair) { check_echo(open_pair(SOCK_SEQPACKET)); }

CASE(tcp_addresses_are_reported) {
  struct pair pair = connect_tcp(AF_INET);
  struct sockaddr_in own, peer;
  socklen_t size = sizeof own;
  CHECK_OK(getsockname(pair.a, (struct sockaddr*)&own, &size));
  CHECK_EQ(size, sizeof own);
  CHECK_OK(getpeername(pair.b, (struct sockaddr*)&peer, &size));
  CHECK_EQ(own.sin_port, peer.sin_port);
  CHECK_EQ(peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  size = 4;
  CHECK_OK(getsockname(pair.a, (struct sockaddr*)&own, &size));
  CHECK_EQ(size, sizeof own);
  CHECK_FAILS(getsockname(0, (struct sockaddr*)&own, &size), ENOTSOCK);
}

CASE(tcp_moves_megabytes_between_processes) {
  struct pair pair = connect_tcp(AF_INET);
  enum { kTotal = 8 << 20 };
  pid_t child = CHECK_OK(fork());
  static unsigned char block[65536];
  if (child == 0) {
    for (long sent = 0; sent < kTotal;) {
      for (size_t i = 0; i < sizeof block; ++i) block[i] = (unsigned char)((sent + (long)i) * 7 >> 3);
      long left = 0;
      while (left < (long)sizeof block) left += CHECK_OK(send(pair.a, block + left, sizeof block - (size_t)left, 0));
      sent += left;
    }
    _exit(0);
  }
  CHECK_OK(close(pair.a));
  long total = 0;
  ssize_t size;
  while ((size = recv(pair.b, block, sizeof block, 0)) > 0) {
    for (ssize_t i = 0; i < size; ++i) CHECK_EQ(block[i], (unsigned char)((total + i) * 7 >> 3));
    total += size;
  }
  CHECK_EQ(size, 0);
  CHECK_EQ(total, kTotal);
  check_exited(child, 0);
}

CASE(connection_refused) {
  struct sockaddr_storage address;
  socklen_t size;
  CHECK_OK(close(listen_tcp(AF_INET, &address, &size)));
  int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_FAILS(connect(fd, (struct sockaddr*)&address, size), ECONNREFUSED);
  struct sockaddr_un missing = {.sun_family = AF_UNIX, .sun_path = "missing"};
  fd = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK_FAILS(connect(fd, (struct sockaddr*)&missing, sizeof missing), ENOENT);
}

CASE(nonblocking_connect_and_accept) {
  struct sockaddr_storage address;
  socklen_t size;
  int listener = listen_tcp(AF_INET, &address, &size);
  CHECK_OK(fcntl(listener, F_SETFL, O_NONBLOCK));
  CHECK_FAILS(accept(listener, NULL, NULL), EAGAIN);
  int client = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  int result = connect(client, (struct sockaddr*)&address, size);
  CHECK(result == 0 || errno == EINPROGRESS);
  struct pollfd entry = {client, POLLOUT, 0};
  CHECK_EQ(poll(&entry, 1, -1), 1);
  int error = -1;
  socklen_t error_size = sizeof error;
  CHECK_OK(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &error_size));
  CHECK_EQ(error, 0);
  entry = (struct pollfd){listener, POLLIN, 0};
  CHECK_EQ(poll(&entry, 1, -1), 1);
  int server = CHECK_OK(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
  char byte;
  CHECK_FAILS(recv(server, &byte, 1, 0), EAGAIN);
}

CASE(udp_with_addresses) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int server = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
  CHECK_OK(bind(server, (struct sockaddr*)&address, size));
  CHECK_OK(getsockname(server, (struct sockaddr*)&address, &size));
  int client = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
  CHECK_EQ(sendto(client, "datagram", 8, 0, (struct sockaddr*)&address, size), 8);
  char buffer[16];
  struct sockaddr_in from;
  size = sizeof from;
  CHECK_EQ(recvfrom(server, buffer, 16, 0, (struct sockaddr*)&from, &size), 8);
  CHECK_EQ(size, sizeof from);
  CHECK_EQ(sendto(server, "back", 4, 0, (struct sockaddr*)&from, size), 4);
  CHECK_EQ(recv(client, buffer, 16, 0), 4);
  CHECK_OK(connect(client, (struct sockaddr*)&address, sizeof address));
  CHECK_EQ(send(client, "connected", 9, 0), 9);
  CHECK_EQ(recv(server, buffer, 4, MSG_TRUNC), 9);
}

CASE(many_messages_at_once) {
  struct pair pair = open_pair(SOCK_DGRAM);
  struct mmsghdr messages[4] = {0};
  struct iovec parts[4] = {{"a", 1}, {"bb", 2}, {"ccc", 3}, {"dddd", 4}};
  for (int i = 0; i < 4; ++i) {
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  CHECK_EQ(sendmmsg(pair.a, messages, 4, 0), 4);
  CHECK_EQ(messages[3].msg_len, 4);
  char buffers[4][8];
  for (int i = 0; i < 4; ++i) parts[i] = (struct iovec){buffers[i], 8};
  CHECK_EQ(recvmmsg(pair.b, messages, 3, 0, NULL), 3);
  CHECK_EQ(messages[2].msg_len, 3);
  CHECK_EQ(recvmmsg(pair.b, messages, 4, MSG_WAITFORONE, NULL), 1);
  struct timespec none = {0, 0};
  CHECK_FAILS(recvmmsg(pair.b, messages, 4, MSG_DONTWAIT, &none), EAGAIN);
}

CASE(message_flags) {
  struct pair stream = open_pair(SOCK_STREAM), datagram = open_pair(SOCK_DGRAM);
  char buffer[16];
  CHECK_FAILS(recv(stream.b, buffer, 1, MSG_DONTWAIT), EAGAIN);
  CHECK_EQ(send(stream.a, "peeked", 6, 0), 6);
  CHECK_EQ(recv(stream.b, buffer, 3, MSG_PEEK), 3);
  CHECK_EQ(recv(stream.b, buffer, 16, 0), 6);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    for (int i = 0; i < 8; ++i) {
      CHECK_EQ(send(stream.a, "x", 1, 0), 1);
      pause_briefly();
    }
    _exit(0);
  }
  CHECK_EQ(recv(stream.b, buffer, 8, MSG_WAITALL), 8);
  check_exited(child, 0);
  CHECK_EQ(send(datagram.a, "too long", 8, 0), 8);
  struct iovec part = {buffer, 3};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  CHECK_EQ(recvmsg(datagram.b, &message, 0), 3);
  CHECK_EQ(message.msg_flags & MSG_TRUNC, MSG_TRUNC);
  close(stream.b);
  CHECK_FAILS(send(stream.a, "x", 1, MSG_NOSIGNAL), EPIPE);
}

CASE(half_close) {
  struct pair pair = connect_tcp(AF_INET);
  char buffer[8];
  CHECK_EQ(send(pair.a, "last", 4, 0), 4);
  CHECK_OK(shutdown(pair.a, SHUT_WR));
  CHECK_EQ(recv(pair.b, buffer, 8, MSG_WAITALL), 4);
  CHECK_EQ(recv(pair.b, buffer, 8, 0), 0);
  CHECK_EQ(send(pair.b, "still", 5, 0), 5);
  CHECK_EQ(recv(pair.a, buffer, 5, MSG_WAITALL), 5);
  CHECK_FAILS(send(pair.a, "x", 1, MSG_NOSIGNAL), EPIPE);
  CHECK_FAILS(shutdown(pair.a, 9), EINVAL);
  struct pollfd entry = {pair.b, POLLIN | POLLRDHUP, 0};
  CHECK_EQ(poll(&entry, 1, 0), 1);
  CHECK_EQ(entry.revents & POLLRDHUP, POLLRDHUP);
}

union control {
  char bytes[CMSG_SPACE(sizeof(int) * 4)];
  struct cmsghdr header;
};

static void send_descriptors(int socket, const int* fds, int count) {
  union control control;
  memset(&control, 0, sizeof control);
  struct iovec part = {"d", 1};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count)};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  *header = (struct cmsghdr){
      .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count)};
  memcpy(CMSG_DATA(header), fds, sizeof(int) * (size_t)count);
  CHECK_EQ(sendmsg(socket, &message, 0), 1);
}

static int receive_descriptors(int socket, int* fds, int flags) {
  union control control;
  char byte;
  struct iovec part = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  CHECK_EQ(recvmsg(socket, &message, flags), 1);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == NULL) return 0;
  CHECK_EQ(header->cmsg_type, SCM_RIGHTS);
  int count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  memcpy(fds, CMSG_DATA(header), sizeof(int) * (size_t)count);
  return count;
}

CASE(descriptors_are_passed_between_processes) {
  struct pair pair = open_pair(SOCK_STREAM);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    write_file("passed", "contents");
    int fds[2] = {CHECK_OK(open("passed", O_RDONLY)), CHECK_OK(open("/dev/null", O_WRONLY))};
    send_descriptors(pair.a, fds, 2);
    _exit(0);
  }
  check_exited(child, 0);
  int fds[4];
  CHECK_EQ(receive_descriptors(pair.b, fds, MSG_CMSG_CLOEXEC), 2);
  char buffer[16] = "";
  CHECK_EQ(read(fds[0], buffer, 16), 8);
  CHECK_STREQ(buffer, "contents");
  CHECK_EQ(fcntl(fds[1], F_GETFD), FD_CLOEXEC);
  CHECK_EQ(write(fds[1], "x", 1), 1);
}

CASE(passed_descriptors_get_the_lowest_numbers) {
  struct pair pair = open_pair(SOCK_DGRAM);
  CHECK_EQ(pair.a, 3);
  int zero = 0;
  send_descriptors(pair.a, &zero, 1);
  int fds[4];
  CHECK_EQ(receive_descriptors(pair.b, fds, 0), 1);
  CHECK_EQ(fds[0], 5);
  send_descriptors(pair.a, &pair.b, 1);
  CHECK_EQ(receive_descriptors(pair.b, fds, 0), 1);
  CHECK_EQ(fds[0], 6);
  int bad = 900;
  union control control = {.header = {CMSG_LEN(4), SOL_SOCKET, SCM_RIGHTS}};
  memcpy(CMSG_DATA(&control.header), &bad, 4);
  struct iovec part = {"d", 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE(4)};
  CHECK_FAILS(sendmsg(pair.a, &message, 0), EBADF);
}

CASE(credentials_are_passed) {
  struct pair pair = open_pair(SOCK_STREAM);
  int on = 1;
  CHECK_OK(setsockopt(pair.b, SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
  pid_t child = CHECK_OK(fork());
  if (child == 0) _exit(send(pair.a, "c", 1, 0) == 1 ? 0 : 1);
  union {
    char bytes[CMSG_SPACE(sizeof(struct ucred))];
    struct cmsghdr header;
  } control;
  char byte;
  struct iovec part = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  CHECK_EQ(recvmsg(pair.b, &message, 0), 1);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  CHECK(header != NULL);
  CHECK_EQ(header->cmsg_type, SCM_CREDENTIALS);
  struct ucred credentials;
  memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
  CHECK_EQ(credentials.pid, child);
  CHECK_EQ(credentials.uid, getuid());
  check_exited(child, 0);
  socklen_t size = sizeof credentials;
  CHECK_OK(getsockopt(pair.a, SOL_SOCKET, SO_PEERCRED, &credentials, &size));
  CHECK_EQ(credentials.pid, getpid());
}

CASE(unix_socket_by_name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"}, seen;
  int listener = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK_OK(bind(listener, (struct sockaddr*)&address, sizeof address));
  CHECK_OK(listen(listener, 1));
  struct stat status;
  CHECK_OK(stat("socket", &status));
  CHECK(S_ISSOCK(status.st_mode));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    int fd = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK_OK(connect(fd, (struct sockaddr*)&address, sizeof address));
    socklen_t size = sizeof seen;
    CHECK_OK(getpeername(fd, (struct sockaddr*)&seen, &size));
    CHECK_STREQ(seen.sun_path, "socket");
    CHECK_EQ(write(fd, "named", 5), 5);
    _exit(0);
  }
  int fd = CHECK_OK(accept(listener, NULL, NULL));
  char buffer[8];
  CHECK_EQ(recv(fd, buffer, 5, MSG_WAITALL), 5);
  check_exited(child, 0);
  CHECK_FAILS(bind(CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr*)&address, sizeof address), EADDRINUSE);
}

CASE(abstract_unix_socket) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int size = snprintf(address.sun_path + 1, 90, "conformance-%d", getpid());
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size);
  int receiver = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0)), sender = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
  CHECK_OK(bind(receiver, (struct sockaddr*)&address, length));
  CHECK_EQ(sendto(sender, "abstract", 8, 0, (struct sockaddr*)&address, length), 8);
  char buffer[16];
  CHECK_EQ(recv(receiver, buffer, 16, 0), 8);
  // Autobind gives a name of five hexadecimal digits.
  struct sockaddr_un automatic = {.sun_family = AF_UNIX};
  CHECK_OK(bind(sender, (struct sockaddr*)&automatic, sizeof(sa_family_t)));
  length = sizeof automatic;
  CHECK_OK(getsockname(sender, (struct sockaddr*)&automatic, &length));
  CHECK_EQ(length, sizeof(sa_family_t) + 6);
}

CASE(options_are_set_and_read) {
  struct pair pair = connect_tcp(AF_INET);
  int value = 1;
  socklen_t size = sizeof value;
  CHECK_OK(setsockopt(pair.a, IPPROTO_TCP, TCP_NODELAY, &value, size));
  CHECK_OK(getsockopt(pair.a, IPPROTO_TCP, TCP_NODELAY, &value, &size));
  CHECK_EQ(value, 1);
  value = 8192;
  CHECK_OK(setsockopt(pair.a, SOL_SOCKET, SO_RCVBUF, &value, size));
  CHECK_OK(getsockopt(pair.a, SOL_SOCKET, SO_RCVBUF, &value, &size));
  CHECK_EQ(value, 16384);
  CHECK_OK(getsockopt(pair.a, SOL_SOCKET, SO_TYPE, &value, &size));
  CHECK_EQ(value, SOCK_STREAM);
  struct linger linger = {1, 5};
  CHECK_OK(setsockopt(pair.a, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
  CHECK_FAILS(setsockopt(pair.a, SOL_SOCKET, 9999, &value, size), ENOPROTOOPT);
  CHECK_FAILS(setsockopt(pair.a, SOL_SOCKET, SO_KEEPALIVE, &value, 1), EINVAL);
  CHECK_FAILS(setsockopt(pair.a, SOL_SOCKET, SO_KEEPALIVE, (void*)8, size), EFAULT);
  struct tcp_info info;
  size = sizeof info;
  CHECK_OK(getsockopt(pair.a, IPPROTO_TCP, TCP_INFO, &info, &size));
  CHECK_EQ(info.tcpi_state, TCP_ESTABLISHED);
}

CASE(receive_timeout_expires) {
  struct pair pair = open_pair(SOCK_STREAM);
  struct timeval timeout = {0, 2000}, seen;
  socklen_t size = sizeof seen;
  CHECK_OK(setsockopt(pair.a, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout));
  char byte;
  CHECK_FAILS(recv(pair.a, &byte, 1, 0), EAGAIN);
  CHECK_OK(getsockopt(pair.a, SOL_SOCKET, SO_RCVTIMEO, &seen, &size));
  CHECK(seen.tv_usec >= 2000);
}

static volatile int urgent_count;
static void count_urgent(int number, siginfo_t* info, void* context) { ++urgent_count; }

CASE(urgent_data_is_signalled_and_read) {
  struct pair pair = connect_tcp(AF_INET);
  install_handler(SIGURG, count_urgent, SA_RESTART);
  CHECK_OK(fcntl(pair.b, F_SETOWN, getpid()));
  CHECK_EQ(send(pair.a, "abc", 3, MSG_OOB), 3);
  WAIT_UNTIL(urgent_count > 0);
  struct pollfd entry = {pair.b, POLLPRI, 0};
  CHECK_EQ(poll(&entry, 1, -1), 1);
  char byte, buffer[8];
  CHECK_EQ(recv(pair.b, &byte, 1, MSG_OOB), 1);
  CHECK_EQ(byte, 'c');
  CHECK_EQ(recv(pair.b, buffer, 8, 0), 2);
  int at_mark = -1;
  CHECK_OK(ioctl(pair.b, SIOCATMARK, &at_mark));
  CHECK_EQ(at_mark, 1);
}

CASE(reset_is_reported) {
  struct pair pair = connect_tcp(AF_INET);
  struct linger linger = {1, 0};
  CHECK_OK(setsockopt(pair.a, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
  CHECK_OK(close(pair.a));
  char byte;
  CHECK_FAILS(recv(pair.b, &byte, 1, 0), ECONNRESET);
}

CASE(netlink_lists_the_loopback_interface) {
  int fd = CHECK_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  struct {
    struct nlmsghdr header;
    struct ifinfomsg body;
  } request = {{sizeof request, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}, {.ifi_family = AF_UNSPEC}};
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  CHECK_EQ(sendto(fd, &request, sizeof request, 0, (struct sockaddr*)&kernel, sizeof kernel), sizeof request);
  static char buffer[65536] __attribute__((aligned(8)));
  bool loopback = false, done = false;
  while (!done) {
    ssize_t size = CHECK_OK(recv(fd, buffer, sizeof buffer, 0));
    for (struct nlmsghdr* at = (void*)buffer; NLMSG_OK(at, size); at = NLMSG_NEXT(at, size)) {
      if (at->nlmsg_type == NLMSG_DONE) done = true;
      if (at->nlmsg_type == RTM_NEWLINK && (((struct ifinfomsg*)NLMSG_DATA(at))->ifi_flags & 8 /* IFF_LOOPBACK */)) {
        loopback = true;
      }
    }
  }
  CHECK(loopback);
}

CASE(bad_socket_arguments) {
  char byte = 0;
  struct sockaddr_in address = {.sin_family = AF_INET};
  CHECK_FAILS(socket(999, SOCK_STREAM, 0), EAFNOSUPPORT);
  CHECK_FAILS(socket(AF_UNIX, 999, 0), EINVAL);
  int pair[2];
  CHECK_FAILS(socketpair(AF_INET, SOCK_STREAM, 0, pair), EOPNOTSUPP);
  CHECK_FAILS(socketpair(AF_UNIX, SOCK_STREAM, 0, (int*)8), EFAULT);
  int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_FAILS(bind(fd, (struct sockaddr*)&address, 4), EINVAL);
  CHECK_FAILS(bind(fd, (struct sockaddr*)8, sizeof address), EFAULT);
  CHECK_FAILS(accept(fd, NULL, NULL), EINVAL);
  CHECK_FAILS(send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
  CHECK_FAILS(recv(fd, &byte, 1, 0), ENOTCONN);
  CHECK_FAILS(send(0, &byte, 1, 0), ENOTSOCK);
  CHECK_FAILS(send(900, &byte, 1, 0), EBADF);
  CHECK_FAILS(sendmsg(fd, (struct msghdr*)8, 0), EFAULT);
  CHECK_FAILS(listen(0, 1), ENOTSOCK);
}

CASE(listening_socket_shared_by_children) {
  // Pre-forked servers: each child accepts some of the connections.
  struct sockaddr_storage address;
  socklen_t size;
  int listener = listen_tcp(AF_INET, &address, &size);
  pid_t children[4];
  for (int i = 0; i < 4; ++i) {
    children[i] = CHECK_OK(fork());
    if (children[i] != 0) continue;
    for (;;) {
      int fd = CHECK_OK(accept(listener, NULL, NULL));
      char byte;
      CHECK_EQ(recv(fd, &byte, 1, 0), 1);
      if (byte == 'q') _exit(0);
      CHECK_EQ(send(fd, &byte, 1, 0), 1);
      close(fd);
    }
  }
  for (int i = 0; i < 100; ++i) {
    int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_OK(connect(fd, (struct sockaddr*)&address, size));
    char byte = 'x';
    CHECK_EQ(send(fd, &byte, 1, 0), 1);
    CHECK_EQ(recv(fd, &byte, 1, 0), 1);
    close(fd);
  }
  for (int i = 0; i < 4; ++i) {
    int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_OK(connect(fd, (struct sockaddr*)&address, size));
    CHECK_EQ(send(fd, "q", 1, 0), 1);
  }
  for (int i = 0; i < 4; ++i) check_exited(children[i], 0);
}
