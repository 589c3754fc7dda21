// The model and the board of the stress: model.h.
#define _GNU_SOURCE
#include "model.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct board* board;

static uint64_t size_of_flow(uint64_t* random) {
  switch (below(random, 8)) {
    case 0:
      return below(random, 3);
    case 1:
      return below(random, 200);
    case 2:
    case 3:
      return 16384 + below(random, 200) - 100;  // around a full record
    case 4:
      return below(random, 400000);
    default:
      return below(random, 30000);
  }
}

struct plan plan_of(uint64_t number, bool may_cut) {
  uint64_t random = mixed(number ^ 0x706c616e);
  struct plan plan = {.number = number};
  plan.bytes[SERVER] = size_of_flow(&random);
  plan.bytes[CLIENT] = size_of_flow(&random);
  plan.leaves_after = below(&random, 20000);
  const uint64_t dice = below(&random, 10);
  plan.ending = dice == 0 ? CLIENT_LEAVES : dice == 1 ? SERVER_LEAVES : dice == 2 && may_cut ? CLIENT_CUTS : ORDERLY;
  return plan;
}

static uint64_t word_at(uint64_t number, enum side side, uint64_t index) {
  return mixed(mixed(number) + 2 * index + (uint64_t)side);
}

void fill_bytes(uint8_t* to, size_t size, uint64_t number, enum side side, uint64_t offset) {
  for (size_t i = 0; i < size;) {
    const uint64_t word = word_at(number, side, (offset + i) / 8);
    do {
      to[i] = (uint8_t)(word >> (8 * ((offset + i) % 8)));
      ++i;
    } while (i < size && (offset + i) % 8 != 0);
  }
}

size_t first_difference(const uint8_t* from, size_t size, uint64_t number, enum side side, uint64_t offset) {
  uint8_t expected[4096];
  for (size_t done = 0; done < size;) {
    const size_t part = size - done < sizeof(expected) ? size - done : sizeof(expected);
    fill_bytes(expected, part, number, side, offset + done);
    if (memcmp(from + done, expected, part) != 0) {
      while (from[done] == expected[done % sizeof(expected)]) ++done;
      return done;
    }
    done += part;
  }
  return size;
}

static long now_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

void make_board(void) {
  board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (board == MAP_FAILED) {
    perror("mmap");
    exit(2);
  }
}

struct slot* take_slot(void) {
  for (size_t i = 0; i < sizeof(board->slots) / sizeof(board->slots[0]); ++i) {
    int expected = 0;
    if (!atomic_compare_exchange_strong(&board->slots[i].in_use, &expected, 1)) continue;
    struct slot* const slot = &board->slots[i];
    slot->process = getpid();
    slot->descriptor = -1;
    slot->number = slot->sent = slot->received = slot->to_send = slot->to_receive = 0;
    slot->how = "";
    note(slot, "begin");
    return slot;
  }
  fprintf(stderr, "stress: no free slot\n");
  exit(2);
}

void give_slot(struct slot* slot) { atomic_store(&slot->in_use, 0); }

void note(struct slot* slot, const char* step) {
  slot->step = step;
  atomic_store(&slot->progress, now_seconds());
}

static void print_slot(const struct slot* slot) {
  static const char* const endings[] = {"orderly", "client leaves", "server leaves", "client cuts"};
  fprintf(stderr,
          "  pid %d fd %d connection %016llx (%s, ends: %s) %s: sent %llu of %llu, received %llu of %llu, %ld s ago\n",
          slot->process, slot->descriptor, (unsigned long long)slot->number, slot->how, endings[slot->ending & 3],
          slot->step, (unsigned long long)slot->sent, (unsigned long long)slot->to_send,
          (unsigned long long)slot->received, (unsigned long long)slot->to_receive,
          now_seconds() - atomic_load(&slot->progress));
}

void print_board(void) {
  for (size_t i = 0; i < sizeof(board->slots) / sizeof(board->slots[0]); ++i) {
    if (atomic_load(&board->slots[i].in_use)) print_slot(&board->slots[i]);
  }
}

static void* watch(void* argument) {
  const long stall_seconds = (long)argument;
  for (;;) {
    sleep(1);
    for (size_t i = 0; i < sizeof(board->slots) / sizeof(board->slots[0]); ++i) {
      const struct slot* const slot = &board->slots[i];
      if (!atomic_load(&slot->in_use) || now_seconds() - atomic_load(&slot->progress) < stall_seconds) continue;
      fprintf(stderr, "stress: HANG. What everybody is doing:\n");
      print_board();
      _exit(3);
    }
  }
  return NULL;
}

void start_watchdog(long stall_seconds) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, watch, (void*)stall_seconds) != 0) exit(2);
  pthread_detach(thread);
}

void fail(const struct slot* slot, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "stress: DIVERGENCE: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  if (slot != NULL) print_slot(slot);
  atomic_store(&board->failed, 1);
  _exit(1);
}
