// One byte there and one byte back between two processes or two threads, over pipes, a unix socket pair or a futex in
// shared memory. Both sides stay on one processor, so a round trip is its system calls and two switches. Prints
// nanoseconds per round trip.
#include "harness.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static int to_peer[2];
static int from_peer[2];
static _Atomic int* turn;  // 0: ours, 1: the peer's

static void* echo_bytes(void* argument) {
  char byte;
  while (read(to_peer[0], &byte, 1) == 1) {
    if (write(from_peer[1], &byte, 1) != 1) break;
  }
  return argument;
}

static void make_pipes(void) {
  stay_on_this_processor();
  if (pipe(to_peer) != 0 || pipe(from_peer) != 0) die("pipe");
}

static void make_sockets(void) {
  stay_on_this_processor();
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) die("socketpair");
  to_peer[1] = from_peer[0] = pair[0];
  to_peer[0] = from_peer[1] = pair[1];
}

static void start_process(void* (*peer)(void*)) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) peer(NULL);
    _exit(0);
  }
}

static void start_thread(void* (*peer)(void*)) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, peer, NULL) != 0) die("pthread_create");
}

static void setup_pipe_processes(void) {
  make_pipes();
  start_process(echo_bytes);
}

static void setup_pipe_threads(void) {
  make_pipes();
  start_thread(echo_bytes);
}

static void setup_unix_processes(void) {
  make_sockets();
  start_process(echo_bytes);
}

static void setup_unix_threads(void) {
  make_sockets();
  start_thread(echo_bytes);
}

static void exchange_bytes(void* state, long count) {
  (void)state;
  char byte = 1;
  while (count-- > 0) {
    if (write(to_peer[1], &byte, 1) != 1 || read(from_peer[0], &byte, 1) != 1) die("ping-pong");
  }
}

static void pass_turn(int to) {
  atomic_store(turn, to);
  syscall(SYS_futex, turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void wait_for_turn(int wanted) {
  int seen;
  while ((seen = atomic_load(turn)) != wanted) syscall(SYS_futex, turn, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void* answer_turns(void* argument) {
  for (;;) {
    wait_for_turn(1);
    pass_turn(0);
  }
  return argument;
}

static void setup_futex_processes(void) {
  stay_on_this_processor();
  turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (turn == MAP_FAILED) die("mmap");
  start_process(answer_turns);
}

static void exchange_turns(void* state, long count) {
  (void)state;
  while (count-- > 0) {
    pass_turn(1);
    wait_for_turn(0);
  }
}

static const struct Case kCases[] = {
    {"pipe_processes", setup_pipe_processes, exchange_bytes},   {"pipe_threads", setup_pipe_threads, exchange_bytes},
    {"unix_processes", setup_unix_processes, exchange_bytes},   {"unix_threads", setup_unix_threads, exchange_bytes},
    {"futex_processes", setup_futex_processes, exchange_turns},
};

int main(int argc, char** argv) { return run_case(kCases, sizeof(kCases) / sizeof(kCases[0]), argc, argv); }
