// Load on a memcached server: CONNECTIONS connections on loopback, each with one request on its way, 90 % get and
// 10 % set of 100-byte values over 10,000 keys. Prints requests per second. Runs natively always.
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { kMaxConnections = 256, kKeys = 10000, kValueSize = 100 };

struct Connection {
  int descriptor;
  size_t received;
  char answer[1024];
  const char* expected_end;
};

static struct Connection connections[kMaxConnections];
static unsigned long random_state = 88172645463325252UL;

static unsigned long next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

static void send_all(int descriptor, const char* bytes, size_t size) {
  if (send(descriptor, bytes, size, 0) != (ssize_t)size) die("send");
}

static void send_set(struct Connection* connection, unsigned long key) {
  char request[256];
  char value[kValueSize];
  memset(value, 'v', sizeof(value));
  const int size =
      snprintf(request, sizeof(request), "set key:%06lu 0 0 %d\r\n%.*s\r\n", key, kValueSize, kValueSize, value);
  connection->expected_end = "STORED\r\n";
  send_all(connection->descriptor, request, (size_t)size);
}

static void send_get(struct Connection* connection, unsigned long key) {
  char request[64];
  const int size = snprintf(request, sizeof(request), "get key:%06lu\r\n", key);
  connection->expected_end = "END\r\n";
  send_all(connection->descriptor, request, (size_t)size);
}

// Reads what has come; returns 1 when the answer is complete.
static int answer_complete(struct Connection* connection) {
  const ssize_t got = recv(connection->descriptor, connection->answer + connection->received,
                           sizeof(connection->answer) - connection->received, 0);
  if (got <= 0) die("recv");
  connection->received += (size_t)got;
  const size_t end = strlen(connection->expected_end);
  if (connection->received < end) return 0;
  const char* const tail = connection->answer + connection->received - end;
  if (memcmp(tail, connection->expected_end, end) != 0) {
    if (connection->received == sizeof(connection->answer) || memcmp(connection->answer, "ERROR", 5) == 0) {
      fprintf(stderr, "unexpected answer: %.60s\n", connection->answer);
      exit(1);
    }
    return 0;
  }
  connection->received = 0;
  return 1;
}

static void open_connections(const char* port, int count, int queue) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  const int on = 1;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < count; ++i) {
    const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(descriptor, (struct sockaddr*)&address, sizeof(address)) != 0) die("connect");
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    connections[i].descriptor = descriptor;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
    if (epoll_ctl(queue, EPOLL_CTL_ADD, descriptor, &event) != 0) die("epoll_ctl");
  }
}

static void store_all_keys(void) {
  for (unsigned long key = 0; key < kKeys; ++key) {
    send_set(&connections[0], key);
    while (!answer_complete(&connections[0])) continue;
  }
}

static void send_next(struct Connection* connection) {
  const unsigned long random = next_random();
  const unsigned long key = (random >> 16) % kKeys;
  if (random % 10 == 0) {
    send_set(connection, key);
  } else {
    send_get(connection, key);
  }
}

int main(int argc, char** argv) {
  const int count = argc >= 4 ? atoi(argv[2]) : 0;
  if (count < 1 || count > kMaxConnections) {
    fprintf(stderr, "usage: %s PORT CONNECTIONS SECONDS\n", argv[0]);
    return 2;
  }
  const int queue = epoll_create1(0);
  open_connections(argv[1], count, queue);
  store_all_keys();
  const double start = now_ns();
  const double end = start + atof(argv[3]) * 1e9;
  long answers = 0;
  for (int i = 0; i < count; ++i) send_next(&connections[i]);
  while (now_ns() < end) {
    struct epoll_event events[kMaxConnections];
    const int ready = epoll_wait(queue, events, kMaxConnections, 1000);
    for (int i = 0; i < ready; ++i) {
      struct Connection* const connection = events[i].data.ptr;
      if (!answer_complete(connection)) continue;
      ++answers;
      send_next(connection);
    }
  }
  printf("%.1f\n", (double)answers / ((now_ns() - start) / 1e9));
  return 0;
}
