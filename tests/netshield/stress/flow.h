// One end of a connection of the stress: single calls with random sizes and forms, each checked against the model.
#pragma once

#include "model.h"

enum outcome { MOVED, BLOCKED, ENDED, BROKEN };

struct flow {
  int fd;
  struct plan plan;
  enum side side;
  uint64_t random;
  uint64_t sent, received;
  bool send_over, receive_over;
  bool is_shielded;  // the connection is TLS on the wire: cuts are errors
  struct slot* slot;
};

void begin_flow(struct flow* flow, int fd, struct plan plan, enum side side, uint64_t random, struct slot* slot);

// One call each; never longer than there is to send. `flags`: MSG_DONTWAIT or 0.
enum outcome send_some(struct flow* flow, int flags);
enum outcome receive_some(struct flow* flow, int flags);

// Whether this side is to close now, in the middle.
bool is_to_leave(const struct flow* flow);
// What the other side's early end, or our own, makes of calls.
bool may_break(const struct flow* flow);
// After the last byte of our direction: shutdown. After the end of the other one: were all bytes there?
void finish_sending(struct flow* flow);
void check_end(struct flow* flow, enum outcome outcome);
