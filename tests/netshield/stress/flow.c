// Single calls on a connection, in many forms: flow.h.
#define _GNU_SOURCE
#include "flow.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_AT_ONCE = 40000 };

void begin_flow(struct flow* flow, int fd, struct plan plan, enum side side, uint64_t random, struct slot* slot) {
  *flow = (struct flow){.fd = fd, .plan = plan, .side = side, .random = random, .slot = slot};
  slot->descriptor = fd;
  slot->number = plan.number;
  slot->ending = (int)plan.ending;
  slot->to_send = plan.bytes[side];
  slot->to_receive = plan.bytes[1 - side];
  slot->sent = slot->received = 0;
}

static size_t random_size(struct flow* flow) {
  switch (below(&flow->random, 6)) {
    case 0:
      return 1;
    case 1:
      return 1 + below(&flow->random, 16);
    case 2:
      return 16384 - 2 + below(&flow->random, 5);
    case 3:
      return 1 + below(&flow->random, MOST_AT_ONCE);
    default:
      return 1 + below(&flow->random, 3000);
  }
}

// Cuts a buffer into one to six parts, empty ones included.
static int divide(struct flow* flow, uint8_t* bytes, size_t size, struct iovec* parts) {
  const int count = 1 + (int)below(&flow->random, 6);
  size_t done = 0;
  for (int i = 0; i < count; ++i) {
    const size_t part = i + 1 == count ? size - done : below(&flow->random, size - done + 1);
    parts[i] = (struct iovec){bytes + done, part};
    done += part;
  }
  return count;
}

static enum outcome outcome_of(struct flow* flow, ssize_t moved, const char* call) {
  if (moved > 0) return MOVED;
  if (moved < 0 && errno == EINTR) return MOVED;
  if (moved < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return BLOCKED;
  if (moved < 0 && (errno == ECONNRESET || errno == EPIPE)) return BROKEN;
  if (moved == 0) return ENDED;
  fail(flow->slot, "%s: %s", call, strerror(errno));
}

static ssize_t send_in_some_form(struct flow* flow, uint8_t* bytes, size_t size, int flags) {
  struct iovec parts[6];
  const uint64_t form = below(&flow->random, 5);
  // write and writev have no flags: they do what O_NONBLOCK says.
  if (flags == 0 && form == 0) return write(flow->fd, bytes, size);
  if (flags == 0 && form == 1) return writev(flow->fd, parts, divide(flow, bytes, size, parts));
  if (form == 2) return sendto(flow->fd, bytes, size, flags | MSG_NOSIGNAL, NULL, 0);
  if (form == 3) return send(flow->fd, bytes, size, flags | MSG_NOSIGNAL | (below(&flow->random, 2) ? MSG_MORE : 0));
  struct msghdr message = {.msg_iov = parts};
  message.msg_iovlen = (size_t)divide(flow, bytes, size, parts);
  return sendmsg(flow->fd, &message, flags | MSG_NOSIGNAL);
}

enum outcome send_some(struct flow* flow, int flags) {
  static _Thread_local uint8_t bytes[MOST_AT_ONCE];
  const uint64_t left = flow->plan.bytes[flow->side] - flow->sent;
  size_t size = random_size(flow);
  if (size > left) size = left;
  fill_bytes(bytes, size, flow->plan.number, flow->side, flow->sent);
  note(flow->slot, "send");
  const ssize_t moved = send_in_some_form(flow, bytes, size, flags);
  if (moved > (ssize_t)size) fail(flow->slot, "%zd of %zu bytes were sent", moved, size);
  const enum outcome outcome = outcome_of(flow, moved, "send");
  if (moved > 0) flow->slot->sent = flow->sent += (uint64_t)moved;
  if (outcome == ENDED) fail(flow->slot, "a call that sends %zu bytes returned 0", size);
  return outcome;
}

static ssize_t receive_in_some_form(struct flow* flow, uint8_t* bytes, size_t size, int flags) {
  struct iovec parts[6];
  const uint64_t form = below(&flow->random, 6);
  if (flags == 0 && form == 0) return read(flow->fd, bytes, size);
  if (flags == 0 && form == 1) {
    const int count = divide(flow, bytes, size, parts);
    return readv(flow->fd, parts, count);
  }
  if (form == 2) return recvfrom(flow->fd, bytes, size, flags, NULL, NULL);
  struct msghdr message = {.msg_iov = parts};
  if (form <= 4) return recv(flow->fd, bytes, size, flags);
  message.msg_iovlen = (size_t)divide(flow, bytes, size, parts);
  return recvmsg(flow->fd, &message, flags);
}

static uint64_t first_bytes(const uint8_t* bytes, size_t size) {
  uint64_t shown = 0;
  for (size_t i = 0; i < 8; ++i) shown = shown << 8 | (i < size ? bytes[i] : 0);
  return shown;
}

static void check_bytes(struct flow* flow, const uint8_t* bytes, size_t size, const char* call) {
  const enum side sender = flow->side == SERVER ? CLIENT : SERVER;
  if (flow->received + size > flow->plan.bytes[sender]) {
    fail(flow->slot, "%s: %llu bytes more than were sent; this call's begin with %016llx", call,
         (unsigned long long)(flow->received + size - flow->plan.bytes[sender]),
         (unsigned long long)first_bytes(bytes, size));
  }
  const size_t same = first_difference(bytes, size, flow->plan.number, sender, flow->received);
  if (same != size) {
    fail(flow->slot, "%s: byte %llu is wrong (%zu of %zu bytes of this call are right, it begins with %016llx)", call,
         (unsigned long long)(flow->received + same), same, size, (unsigned long long)first_bytes(bytes, size));
  }
}

// What is looked at must be what is read afterwards, and FIONREAD promises nothing that will not come.
static void look_first(struct flow* flow, uint8_t* bytes, size_t size) {
  const ssize_t seen = recv(flow->fd, bytes, size, MSG_PEEK | MSG_DONTWAIT);
  if (seen > 0) check_bytes(flow, bytes, (size_t)seen, "recv(MSG_PEEK)");
  int promised = 0;
  if (ioctl(flow->fd, FIONREAD, &promised) != 0) return;
  const uint64_t left = flow->plan.bytes[1 - flow->side] - flow->received;
  if (promised < 0 || (uint64_t)promised > left) {
    fail(flow->slot, "FIONREAD says %d, %llu are left", promised, (unsigned long long)left);
  }
  if (seen > 0 && promised == 0) fail(flow->slot, "FIONREAD says 0 after MSG_PEEK gave %zd bytes", seen);
}

enum outcome receive_some(struct flow* flow, int flags) {
  static _Thread_local uint8_t bytes[MOST_AT_ONCE];
  size_t size = random_size(flow);
  if (size > MOST_AT_ONCE) size = MOST_AT_ONCE;
  if (below(&flow->random, 8) == 0) look_first(flow, bytes, size);
  const bool waits_for_all = flags == 0 && below(&flow->random, 10) == 0;
  note(flow->slot, waits_for_all ? "recv(MSG_WAITALL)" : "receive");
  const ssize_t moved =
      waits_for_all ? recv(flow->fd, bytes, size, MSG_WAITALL) : receive_in_some_form(flow, bytes, size, flags);
  if (moved > (ssize_t)size) fail(flow->slot, "%zd of %zu bytes were received", moved, size);
  const enum outcome outcome = outcome_of(flow, moved, "receive");
  if (moved <= 0) return outcome;
  check_bytes(flow, bytes, (size_t)moved, "receive");
  flow->slot->received = flow->received += (uint64_t)moved;
  atomic_fetch_add(&board->bytes, (uint64_t)moved);
  return outcome;
}

bool is_to_leave(const struct flow* flow) {
  const bool leaves = flow->plan.ending == (flow->side == SERVER ? SERVER_LEAVES : CLIENT_LEAVES);
  return leaves && flow->sent + flow->received >= flow->plan.leaves_after;
}

bool may_break(const struct flow* flow) { return flow->plan.ending != ORDERLY; }

void finish_sending(struct flow* flow) {
  flow->send_over = true;
  note(flow->slot, "shutdown");
  if (shutdown(flow->fd, SHUT_WR) != 0 && !(may_break(flow) && errno == ENOTCONN)) {
    fail(flow->slot, "shutdown: %s", strerror(errno));
  }
}

void check_end(struct flow* flow, enum outcome outcome) {
  flow->receive_over = true;
  const bool is_complete = flow->received == flow->plan.bytes[1 - flow->side];
  if (!may_break(flow)) {
    if (outcome == BROKEN) fail(flow->slot, "an orderly connection broke: %s", strerror(errno));
    if (!is_complete) fail(flow->slot, "an orderly connection ended too early");
    return;
  }
  if (flow->plan.ending == CLIENT_CUTS && flow->side == SERVER && flow->is_shielded && outcome == ENDED) {
    fail(flow->slot, "the peer cut the connection, and it looks like its end");
  }
  atomic_fetch_add(flow->plan.ending == CLIENT_CUTS ? &board->cut : &board->left_early, 1);
}
