// Stress of socket semantics against a byte-exact model, of programs that know nothing of TLS.
//
//   socket_stress server PORT [--threads N] [--processes N] [--seed N] [--stall SECONDS] [--shielded]
//       Serves until SIGTERM. Each process has N threads, which all accept.
//   socket_stress client ADDRESS PORT [--seconds N] [--threads N] [--seed N] [--stall SECONDS]
//                 [--tls CERTIFICATE KEY AUTHORITY | --shielded]
//       Opens connections one after the other in each thread. --tls: speaks TLS itself, by OpenSSL.
//
// --shielded: what is plain here is TLS on the wire, by `casemate run --net`. Exit codes: 0 all bytes as they should
// be, 1 a divergence, 3 a hang (nobody of a connection moved for --stall seconds; all states are printed), 2 anything
// else.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conversation.h"
#include "tls_client.h"

static struct {
  const char* address;
  int port;
  long seconds, threads, processes, stall;
  uint64_t seed;
  bool is_shielded;
  const char* identity[3];
  struct tls_identity* tls;
  int listener;
} options = {.seconds = 10, .threads = 8, .processes = 2, .stall = 60, .seed = 1};

static void usage(void) {
  fputs("socket_stress server PORT | client ADDRESS PORT; options stand in main.c\n", stderr);
  exit(2);
}

static void read_options(int count, char** words) {
  for (int i = 0; i < count; ++i) {
    const struct {
      const char* name;
      long* value;
    } numbers[] = {{"--seconds", &options.seconds},
                   {"--threads", &options.threads},
                   {"--processes", &options.processes},
                   {"--stall", &options.stall}};
    bool is_known = false;
    for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); ++n) {
      if (strcmp(words[i], numbers[n].name) != 0 || i + 1 == count) continue;
      *numbers[n].value = atol(words[++i]);
      is_known = true;
      break;
    }
    if (is_known) continue;
    if (strcmp(words[i], "--seed") == 0 && i + 1 < count) {
      options.seed = strtoull(words[++i], NULL, 0);
    } else if (strcmp(words[i], "--shielded") == 0) {
      options.is_shielded = true;
    } else if (strcmp(words[i], "--tls") == 0 && i + 3 < count) {
      for (int part = 0; part < 3; ++part) options.identity[part] = words[++i];
    } else {
      usage();
    }
  }
}

static int make_socket(void) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
    perror("socket");
    exit(2);
  }
  return fd;
}

static struct sockaddr_in address_of(const char* host) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) usage();
  return address;
}

// ---- server ---------------------------------------------------------------------------------------------------------

// Edge-triggered by half: the first edges come while TLS shakes hands, and none of them may be the last.
static int make_edge(int fd, uint64_t* random) {
  if (below(random, 2) == 0) return -1;
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
  if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail(NULL, "epoll: %s", strerror(errno));
  return epoll;
}

static void wait_for_number(int fd, int epoll, struct slot* slot) {
  struct pollfd entry = {fd, POLLIN, 0};
  struct epoll_event event;
  note(slot, epoll >= 0 ? "epoll (edge) for the number" : "poll for the number");
  const int count = epoll >= 0 ? epoll_wait(epoll, &event, 1, -1) : poll(&entry, 1, -1);
  if (count < 0 && errno != EINTR) fail(slot, "wait: %s", strerror(errno));
}

// The connection's number, its first eight bytes. False: the client went before, or never spoke (TLS that failed).
static bool read_number(int fd, uint64_t* number, uint64_t* random, struct slot* slot) {
  const int epoll = make_edge(fd, random);
  size_t done = 0;
  bool is_over = false;
  while (done < sizeof(*number) && !is_over) {
    const size_t size = 1 + below(random, sizeof(*number) - done);
    const ssize_t got = recv(fd, (char*)number + done, size, MSG_DONTWAIT);
    if (got > 0) done += (size_t)got;
    is_over = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    if (got < 0 && errno == EAGAIN) wait_for_number(fd, epoll, slot);
  }
  if (epoll >= 0) close(epoll);
  return !is_over;
}

static void serve_one(int fd, uint64_t* random) {
  struct slot* const slot = take_slot();
  slot->descriptor = fd;
  slot->how = "number";
  uint64_t number = 0;
  const bool is_ours = read_number(fd, &number, random, slot);
  if (is_ours) {
    struct flow flow;
    begin_flow(&flow, fd, plan_of(number, options.is_shielded), SERVER, next_random(random), slot);
    flow.is_shielded = options.is_shielded;
    converse(&flow);
    atomic_fetch_add(&board->connections, 1);
  } else {
    close(fd);
  }
  give_slot(slot);
}

static void* serve(void* argument) {
  uint64_t random = mixed(options.seed ^ (uint64_t)(size_t)argument ^ (uint64_t)getpid() << 20);
  while (!atomic_load(&board->stop)) {
    struct pollfd entry = {options.listener, POLLIN, 0};
    if (poll(&entry, 1, 100) <= 0) continue;
    const int fd = accept4(options.listener, NULL, NULL, SOCK_CLOEXEC | (below(&random, 2) ? SOCK_NONBLOCK : 0));
    if (fd >= 0) serve_one(fd, &random);
    if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
      fail(NULL, "accept4: %s", strerror(errno));
  }
  return NULL;
}

static void run_threads(void* (*work)(void*)) {
  pthread_t threads[256];
  if (options.threads < 1 || options.threads > 256) usage();
  for (long i = 0; i < options.threads; ++i) {
    if (pthread_create(&threads[i], NULL, work, (void*)(i + 1)) != 0) exit(2);
  }
  for (long i = 0; i < options.threads; ++i) pthread_join(threads[i], NULL);
}

static void stop_serving(int signal) {
  (void)signal;
  atomic_store(&board->stop, 1);
}

static int report(const char* who) {
  printf("%s: %llu connections, %llu bytes received, %llu ended early, %llu cut, %llu times readable for nothing: %s\n",
         who, (unsigned long long)board->connections, (unsigned long long)board->bytes,
         (unsigned long long)board->left_early, (unsigned long long)board->cut,
         (unsigned long long)board->readable_for_nothing, board->failed ? "DIVERGED" : "as the model says");
  return board->failed ? 1 : 0;
}

static int run_server(void) {
  const struct sockaddr_in address = address_of("127.0.0.1");
  const int on = 1;
  options.listener = make_socket();
  setsockopt(options.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  fcntl(options.listener, F_SETFL, O_NONBLOCK);
  if (bind(options.listener, (const struct sockaddr*)&address, sizeof(address)) != 0 ||
      listen(options.listener, 256) != 0) {
    perror("bind");
    return 2;
  }
  signal(SIGTERM, stop_serving);
  pid_t workers[64];
  if (options.processes < 1 || options.processes > 64) usage();
  for (long i = 0; i < options.processes; ++i) {
    workers[i] = fork();
    if (workers[i] == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      run_threads(serve);
      _exit(0);
    }
  }
  close(options.listener);  // whose description lives on in the workers
  start_watchdog(options.stall);
  puts("ready");
  fflush(stdout);
  int worst = 0;
  for (long i = 0; i < options.processes; ++i) {
    int status = 0;
    while (waitpid(workers[i], &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) worst = 1;
    if (status != 0) fprintf(stderr, "stress: a worker ended with status %d\n", status);
  }
  return report("server") | worst;
}

// ---- client ---------------------------------------------------------------------------------------------------------

static void connect_blocking_or_not(int fd, uint64_t* random, struct slot* slot) {
  const struct sockaddr_in address = address_of(options.address);
  const bool blocks = below(random, 2) == 0;
  note(slot, "connect");
  if (!blocks) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  if (connect(fd, (const struct sockaddr*)&address, sizeof(address)) == 0) return;
  if (errno != EINPROGRESS || blocks) fail(slot, "connect: %s", strerror(errno));
  struct pollfd entry = {fd, POLLOUT, 0};
  int error = 0;
  socklen_t size = sizeof(error);
  note(slot, "poll for the connection");
  poll(&entry, 1, -1);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
    fail(slot, "connect: %s", strerror(error));
}

static void send_number(int fd, uint64_t number, struct slot* slot) {
  for (size_t done = 0; done < sizeof(number);) {
    struct pollfd entry = {fd, POLLOUT, 0};
    note(slot, "poll to send the number");
    if (poll(&entry, 1, -1) < 0) continue;
    const ssize_t put = send(fd, (const char*)&number + done, sizeof(number) - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put > 0) done += (size_t)put;
    if (put < 0 && errno != EAGAIN) fail(slot, "send: %s", strerror(errno));
  }
}

static void converse_once(uint64_t number, uint64_t* random) {
  struct slot* const slot = take_slot();
  const int fd = make_socket();
  connect_blocking_or_not(fd, random, slot);
  struct flow flow;
  begin_flow(&flow, fd, plan_of(number, options.is_shielded || options.tls != NULL), CLIENT, next_random(random), slot);
  flow.is_shielded = options.is_shielded || options.tls != NULL;
  if (options.tls != NULL) {
    converse_over_tls(&flow, options.tls);
  } else {
    send_number(fd, number, slot);
    converse(&flow);
  }
  atomic_fetch_add(&board->connections, 1);
  give_slot(slot);
}

static void* be_client(void* argument) {
  uint64_t random = mixed(options.seed ^ (uint64_t)(size_t)argument << 32);
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const time_t end = now.tv_sec + options.seconds;
  do {
    uint64_t number = next_random(&random);
    // Only a client that speaks TLS itself can cut a connection.
    while (options.tls == NULL && plan_of(number, true).ending == CLIENT_CUTS) number = next_random(&random);
    converse_once(number, &random);
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (now.tv_sec < end);
  return NULL;
}

static int run_client(void) {
  start_watchdog(options.stall);
  if (options.identity[0] != NULL) {
    options.tls = load_identity(options.identity[0], options.identity[1], options.identity[2]);
  }
  run_threads(be_client);
  return report("client");
}

int main(int count, char** words) {
  signal(SIGPIPE, SIG_IGN);
  if (count < 3) usage();
  const bool is_server = strcmp(words[1], "server") == 0;
  if (!is_server && (strcmp(words[1], "client") != 0 || count < 4)) usage();
  options.address = is_server ? "127.0.0.1" : words[2];
  options.port = atoi(words[is_server ? 2 : 3]);
  read_options(count - (is_server ? 3 : 4), words + (is_server ? 3 : 4));
  make_board();
  return is_server ? run_server() : run_client();
}
