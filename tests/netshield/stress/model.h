// The model of the stress: what each connection carries, byte for byte, follows from its number alone, so both ends
// know it without telling each other, and a byte that is lost, doubled, swapped or foreign is seen where it arrives.
// Besides: the board on which every worker writes what it is doing, shared by all processes, for whoever looks at a
// hang.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum side { SERVER, CLIENT };

// How a connection ends.
enum ending {
  ORDERLY,        // both send everything, shut down, and read to the end
  CLIENT_LEAVES,  // closes after a part of its bytes
  SERVER_LEAVES,
  CLIENT_CUTS,  // TLS clients only: everything, then TCP ends without close_notify. Must not look like an end
};

struct plan {
  uint64_t number;
  uint64_t bytes[2];  // that each side sends
  uint64_t leaves_after;
  enum ending ending;
};

// SplitMix64 (public domain, S. Vigna).
static inline uint64_t mixed(uint64_t value) {
  value += 0x9e3779b97f4a7c15u;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

static inline uint64_t next_random(uint64_t* state) { return *state = mixed(*state); }
static inline uint64_t below(uint64_t* state, uint64_t limit) { return next_random(state) % limit; }

struct plan plan_of(uint64_t number, bool may_cut);

// Bytes [offset, offset + size) of what `side` sends.
void fill_bytes(uint8_t* to, size_t size, uint64_t number, enum side side, uint64_t offset);
// The first index that differs, or `size`.
size_t first_difference(const uint8_t* from, size_t size, uint64_t number, enum side side, uint64_t offset);

// ---- the board ------------------------------------------------------------------------------------------------------

struct slot {
  _Atomic int in_use;
  _Atomic long progress;  // seconds, monotonic
  pid_t process;
  int descriptor;
  uint64_t number;
  const char* how;   // literals of this executable: the same in all processes
  const char* step;  // what it waits for
  uint64_t sent, received, to_send, to_receive;
  int ending;
};

struct board {
  _Atomic uint64_t connections, bytes, left_early, cut, readable_for_nothing;
  _Atomic int failed, stop;
  struct slot slots[512];
};

extern struct board* board;

void make_board(void);
struct slot* take_slot(void);
void give_slot(struct slot* slot);
void note(struct slot* slot, const char* step);  // progress
// Ends the process when a worker of any process has made no progress for so long, after printing the board.
void start_watchdog(long stall_seconds);
void print_board(void);
// Prints, marks the run as failed, ends the process.
void fail(const struct slot* slot, const char* format, ...) __attribute__((format(printf, 2, 3), noreturn));
