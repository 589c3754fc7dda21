// Ways to have a conversation: conversation.h. All of them do the same to the bytes; they differ in how they wait, and
// in who of several threads, processes and descriptors does what.
#define _GNU_SOURCE
#include "conversation.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum waiting { POLL, PPOLL, SELECT, EPOLL_LEVEL, EPOLL_EDGE, EPOLL_ONE_SHOT, EPOLL_NESTED, WAYS_TO_WAIT };
static const char* const waiting_names[] = {
    "poll", "ppoll", "select", "epoll", "epoll (edge)", "epoll (one-shot)", "nested epoll"};

struct waiter {
  enum waiting kind;
  int epoll, outer;
  bool is_added;
};

static void set_blocking(int fd, bool blocks) {
  const int flags = fcntl(fd, F_GETFL);
  fcntl(fd, F_SETFL, blocks ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

static struct waiter make_waiter(enum waiting kind) {
  struct waiter waiter = {.kind = kind, .epoll = -1, .outer = -1};
  if (kind >= EPOLL_LEVEL) waiter.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (kind == EPOLL_NESTED) {
    struct epoll_event event = {.events = EPOLLIN};
    waiter.outer = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(waiter.outer, EPOLL_CTL_ADD, waiter.epoll, &event);
  }
  return waiter;
}

static void end_waiter(struct waiter* waiter) {
  if (waiter->epoll >= 0) close(waiter->epoll);
  if (waiter->outer >= 0) close(waiter->outer);
}

static bool waits_by_epoll(struct flow* flow, struct waiter* waiter, bool reads, bool writes) {
  struct epoll_event event = {.events = (reads ? EPOLLIN | EPOLLRDHUP : 0u) | (writes ? EPOLLOUT : 0u)};
  if (waiter->kind == EPOLL_EDGE) event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  if (waiter->kind == EPOLL_ONE_SHOT) event.events |= EPOLLONESHOT;
  const bool changes = !waiter->is_added || waiter->kind != EPOLL_EDGE;
  if (changes && epoll_ctl(waiter->epoll, waiter->is_added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, flow->fd, &event) != 0) {
    fail(flow->slot, "epoll_ctl: %s", strerror(errno));
  }
  waiter->is_added = true;
  struct epoll_event got[2];
  if (waiter->outer >= 0 && epoll_wait(waiter->outer, got, 2, -1) < 0 && errno != EINTR) {
    fail(flow->slot, "epoll_wait: %s", strerror(errno));
  }
  const int count = epoll_wait(waiter->epoll, got, 2, waiter->outer >= 0 ? 0 : -1);
  return count > 0 && (got[0].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
}

static bool waits_by_select(struct flow* flow, bool reads, bool writes) {
  fd_set readable, writable;
  FD_ZERO(&readable);
  FD_ZERO(&writable);
  if (reads) FD_SET(flow->fd, &readable);
  if (writes) FD_SET(flow->fd, &writable);
  return select(flow->fd + 1, &readable, &writable, NULL, NULL) > 0 && FD_ISSET(flow->fd, &readable);
}

// True: it is said to be readable.
static bool wait_for(struct flow* flow, struct waiter* waiter, bool reads, bool writes) {
  note(flow->slot, waiting_names[waiter->kind]);
  if (waiter->kind >= EPOLL_LEVEL) return waits_by_epoll(flow, waiter, reads, writes);
  if (waiter->kind == SELECT && flow->fd < FD_SETSIZE) return waits_by_select(flow, reads, writes);
  struct pollfd entry = {flow->fd, (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)), 0};
  const int count = waiter->kind == PPOLL ? ppoll(&entry, 1, NULL, NULL) : poll(&entry, 1, -1);
  return count > 0 && (entry.revents & (POLLIN | POLLHUP | POLLERR)) != 0;
}

static void step_sending(struct flow* flow, bool* blocked) {
  if (flow->sent == flow->plan.bytes[flow->side]) {
    finish_sending(flow);
    return;
  }
  const enum outcome outcome = send_some(flow, MSG_DONTWAIT * (int)below(&flow->random, 2));
  *blocked = outcome == BLOCKED;
  if (outcome != BROKEN) return;
  if (!may_break(flow)) fail(flow->slot, "an orderly connection broke while sending: %s", strerror(errno));
  flow->send_over = true;
}

static void step_receiving(struct flow* flow, bool* blocked) {
  const enum outcome outcome = receive_some(flow, MSG_DONTWAIT * (int)below(&flow->random, 2));
  *blocked = outcome == BLOCKED;
  if (outcome == ENDED || outcome == BROKEN) check_end(flow, outcome);
}

// One thread, one non-blocking descriptor. Edge-triggered waiting needs EAGAIN first; the others may wait at any time,
// and must not sleep while there are bytes.
static void converse_without_blocking(struct flow* flow, enum waiting kind) {
  struct waiter waiter = make_waiter(kind);
  flow->slot->how = waiting_names[kind];
  set_blocking(flow->fd, false);
  bool was_said_readable = false;
  while (!(flow->send_over && flow->receive_over) && !is_to_leave(flow)) {
    bool send_blocked = flow->send_over, receive_blocked = flow->receive_over;
    const uint64_t turns = 1 + below(&flow->random, 6);
    for (uint64_t turn = 0; (turn < turns || kind == EPOLL_EDGE) && !is_to_leave(flow); ++turn) {
      if (!flow->send_over && !send_blocked) step_sending(flow, &send_blocked);
      if (!flow->receive_over && !receive_blocked) {
        step_receiving(flow, &receive_blocked);
        if (was_said_readable && receive_blocked) atomic_fetch_add(&board->readable_for_nothing, 1);
        was_said_readable = false;
      }
      send_blocked |= flow->send_over;
      receive_blocked |= flow->receive_over;
      if (send_blocked && receive_blocked) break;
    }
    if (flow->send_over && flow->receive_over) break;
    if (is_to_leave(flow)) break;
    was_said_readable = wait_for(flow, &waiter, !flow->receive_over, !flow->send_over);
  }
  end_waiter(&waiter);
}

// ---- several threads, processes, descriptors ------------------------------------------------------------------------

static void send_all_blocking(struct flow* flow) {
  while (flow->sent < flow->plan.bytes[flow->side] && !is_to_leave(flow)) {
    if (send_some(flow, 0) != BROKEN) continue;
    if (!may_break(flow)) fail(flow->slot, "an orderly connection broke while sending: %s", strerror(errno));
    flow->send_over = true;
    return;
  }
  finish_sending(flow);
}

static void receive_all_blocking(struct flow* flow) {
  while (!flow->receive_over) {
    const enum outcome outcome = receive_some(flow, 0);
    if (outcome == ENDED || outcome == BROKEN) check_end(flow, outcome);
  }
}

static void* send_in_thread(void* argument) {
  struct flow* const flow = argument;
  send_all_blocking(flow);
  give_slot(flow->slot);
  return NULL;
}

// Both directions of one description at once, and timeouts that go off in between.
static void converse_by_two_threads(struct flow* flow) {
  flow->slot->how = "two threads";
  set_blocking(flow->fd, true);
  if (below(&flow->random, 2) == 0) {
    const struct timeval limit = {0, 1000 + (suseconds_t)below(&flow->random, 30000)};
    setsockopt(flow->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  }
  struct flow writer;
  begin_flow(&writer, flow->fd, flow->plan, flow->side, next_random(&flow->random), take_slot());
  writer.slot->how = "two threads";
  pthread_t thread;
  if (pthread_create(&thread, NULL, send_in_thread, &writer) != 0) fail(flow->slot, "no thread");
  receive_all_blocking(flow);
  pthread_join(thread, NULL);
}

static void join_child(struct flow* flow, pid_t child) {
  int status = 0;
  note(flow->slot, "waitpid");
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) fail(flow->slot, "the child ended with status %d", status);
}

// Both sides of a fork use one connection: the child sends, the parent receives. Neither end of a process may end the
// connection.
static void converse_by_two_processes(struct flow* flow) {
  flow->slot->how = "two processes";
  set_blocking(flow->fd, true);
  struct slot* const slot = take_slot();
  const pid_t child = fork();
  if (child < 0) fail(flow->slot, "fork: %s", strerror(errno));
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct flow writer;
    begin_flow(&writer, flow->fd, flow->plan, flow->side, next_random(&flow->random), slot);
    slot->process = getpid();
    slot->how = "two processes, child";
    send_all_blocking(&writer);
    _exit(0);
  }
  receive_all_blocking(flow);
  join_child(flow, child);
  give_slot(slot);
}

// A server that forks for each client: the parent's close must send nothing.
static void converse_in_child(struct flow* flow) {
  flow->slot->how = "in a child";
  const enum waiting kind = (enum waiting)below(&flow->random, WAYS_TO_WAIT);
  note(flow->slot, "fork");
  const pid_t child = fork();
  if (child < 0) fail(flow->slot, "fork: %s", strerror(errno));
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    flow->slot->process = getpid();
    converse_without_blocking(flow, kind);
    close(flow->fd);
    _exit(0);
  }
  close(flow->fd);
  flow->fd = -1;
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) fail(flow->slot, "the child ended with status %d", status);
}

// Another descriptor of the same description, and the first one closed in the middle.
static void converse_by_duplicate(struct flow* flow) {
  const int first = flow->fd;
  flow->fd = below(&flow->random, 2) == 0 ? dup(first) : fcntl(first, F_DUPFD_CLOEXEC, 100);
  if (flow->fd < 0) fail(flow->slot, "dup: %s", strerror(errno));
  flow->slot->descriptor = flow->fd;
  close(first);
  converse_without_blocking(flow, (enum waiting)below(&flow->random, WAYS_TO_WAIT));
}

// Two waiters on one epoll descriptor: one takes a byte at a time, the other must wake as long as bytes are left.
struct pair {
  struct flow* flow;
  pthread_mutex_t lock;
  int epoll;
  _Atomic bool is_over;
};

static void* receive_in_turns(void* argument) {
  struct pair* const pair = argument;
  while (!atomic_load(&pair->is_over)) {
    struct epoll_event event;
    if (epoll_wait(pair->epoll, &event, 1, -1) < 0 && errno != EINTR) fail(pair->flow->slot, "epoll_wait");
    pthread_mutex_lock(&pair->lock);
    if (!pair->flow->receive_over) {
      const enum outcome outcome = receive_some(pair->flow, MSG_DONTWAIT);
      if (outcome == ENDED || outcome == BROKEN) check_end(pair->flow, outcome);
    }
    if (pair->flow->receive_over) atomic_store(&pair->is_over, true);  // it stays readable: the other one wakes, too
    pthread_mutex_unlock(&pair->lock);
  }
  return NULL;
}

static void converse_by_two_waiters(struct flow* flow) {
  flow->slot->how = "two waiters";
  set_blocking(flow->fd, true);
  struct pair pair = {.flow = flow, .lock = PTHREAD_MUTEX_INITIALIZER, .epoll = epoll_create1(EPOLL_CLOEXEC)};
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
  epoll_ctl(pair.epoll, EPOLL_CTL_ADD, flow->fd, &event);
  struct flow writer;
  begin_flow(&writer, flow->fd, flow->plan, flow->side, next_random(&flow->random), take_slot());
  writer.slot->how = "two waiters, sender";
  pthread_t sender, second;
  if (pthread_create(&sender, NULL, send_in_thread, &writer) != 0 ||
      pthread_create(&second, NULL, receive_in_turns, &pair) != 0) {
    fail(flow->slot, "no thread");
  }
  receive_in_turns(&pair);
  pthread_join(second, NULL);
  pthread_join(sender, NULL);
  close(pair.epoll);
}

void converse(struct flow* flow) {
  const bool leaves = flow->plan.ending == (flow->side == SERVER ? SERVER_LEAVES : CLIENT_LEAVES);
  switch (leaves ? 0 : below(&flow->random, 12)) {
    case 6:
      converse_by_two_threads(flow);
      break;
    case 7:
      converse_by_two_processes(flow);
      break;
    case 8:
      converse_in_child(flow);
      break;
    case 9:
      converse_by_duplicate(flow);
      break;
    case 10:
    case 11:
      converse_by_two_waiters(flow);
      break;
    default:
      converse_without_blocking(flow, (enum waiting)below(&flow->random, WAYS_TO_WAIT));
  }
  note(flow->slot, "close");
  if (flow->fd >= 0) close(flow->fd);
}
