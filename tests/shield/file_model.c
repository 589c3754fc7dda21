// Random operations on one file by several processes, each byte compared with a model in shared memory.
//
//   file_model FILE SEED OPERATIONS PROCESSES
//
// Each process owns every PROCESSES-th stripe of the file and a copy of what must be in it; only sizes that all stripes
// survive are set, by whoever holds the lock. Every read, by call or by mapping, of any process's stripe is compared
// under that stripe's lock. Works on any file system: it is run natively first. Prints the number of operations and
// "ok".
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kStripe = 24000, kRounds = 12, kMaximumProcesses = 8 };  // a stripe is no multiple of the page size on purpose

struct Model {
  volatile int locks[kMaximumProcesses][kRounds];
  unsigned long operations;
  unsigned char bytes[kRounds * kMaximumProcesses * kStripe];
};

static struct Model* model;
static const char* path;
static int processes, me, fd;
static uint64_t state;

static uint32_t draw(uint32_t bound) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33) % bound;
}

static void fail(const char* what, long offset) {
  fprintf(stderr, "process %d: %s at offset %ld (errno %s)\n", me, what, offset, strerror(errno));
  exit(1);
}

static void lock(int owner, int round) {
  while (__atomic_exchange_n(&model->locks[owner][round], 1, __ATOMIC_ACQUIRE) != 0) usleep(50);
}
static void unlock(int owner, int round) { __atomic_store_n(&model->locks[owner][round], 0, __ATOMIC_RELEASE); }

static long start_of(int owner, int round) { return ((long)round * processes + owner) * kStripe; }

static void compare(const unsigned char* found, long offset, long size, const char* how) {
  for (long i = 0; i < size; ++i) {
    if (found[i] != model->bytes[offset + i]) {
      fprintf(stderr, "found %02x, expected %02x\n", found[i], model->bytes[offset + i]);
      fail(how, offset + i);
    }
  }
}

static void read_some(int owner, int round) {
  unsigned char buffer[kStripe];
  const long from = draw(kStripe), size = 1 + draw((uint32_t)(kStripe - from));
  const long offset = start_of(owner, round) + from;
  if (draw(2) != 0) {
    if (pread(fd, buffer, (size_t)size, offset) != size) fail("pread is short", offset);
  } else {
    struct iovec parts[2] = {{buffer, (size_t)size / 2}, {buffer + size / 2, (size_t)(size - size / 2)}};
    if (preadv(fd, parts, 2, offset) != size) fail("preadv is short", offset);
  }
  compare(buffer, offset, size, "read");
}

static void write_some(int owner, int round) {
  unsigned char buffer[kStripe];
  const long from = draw(kStripe), size = 1 + draw((uint32_t)(kStripe - from));
  const long offset = start_of(owner, round) + from;
  const unsigned char first = (unsigned char)draw(256);
  for (long i = 0; i < size; ++i) buffer[i] = (unsigned char)(first + i * 7);
  memcpy(model->bytes + offset, buffer, (size_t)size);
  if (pwrite(fd, buffer, (size_t)size, offset) != size) fail("pwrite is short", offset);
}

static void map_some(int owner, int round, int writes) {
  const long from = draw(kStripe), size = 1 + draw((uint32_t)(kStripe - from));
  const long offset = start_of(owner, round) + from, base = offset & ~4095L;
  const size_t length = (size_t)(offset + size - base);
  unsigned char* map = mmap(NULL, length, PROT_READ | (writes ? PROT_WRITE : 0), MAP_SHARED, fd, base);
  if (map == MAP_FAILED) fail("mmap", offset);
  compare(map + (offset - base), offset, size, "mapped read");
  if (writes) {
    for (long i = 0; i < size; ++i) model->bytes[offset + i] = map[offset - base + i] = (unsigned char)(i * 3 + from);
    if (draw(4) == 0 && msync(map, length, MS_SYNC) != 0) fail("msync", offset);
  }
  munmap(map, length);
}

static void punch_some(int owner, int round) {
  const long from = draw(kStripe), size = 1 + draw((uint32_t)(kStripe - from));
  const long offset = start_of(owner, round) + from;
  if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size) != 0) {
    if (errno == EOPNOTSUPP) return;
    fail("punch", offset);
  }
  memset(model->bytes + offset, 0, (size_t)size);
}

static void reopen(void) {
  if (close(fd) != 0) fail("close", 0);
  fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) fail("open", 0);
  struct stat facts;
  if (fstat(fd, &facts) != 0 || facts.st_size != start_of(0, kRounds)) fail("wrong size", facts.st_size);
}

static void step(void) {
  const int owner = draw(2) ? me : (int)draw((uint32_t)processes), round = (int)draw(kRounds);
  lock(owner, round);
  switch (draw(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      read_some(owner, round);
      break;
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
      write_some(owner, round);
      break;
    case 10:
      map_some(owner, round, 0);
      break;
    case 11:
      map_some(owner, round, 1);
      break;
    case 12:
      punch_some(owner, round);
      break;
    case 13:
      if (draw(4) == 0 && fdatasync(fd) != 0) fail("fdatasync", 0);
      break;
    case 14:
      if (draw(4) == 0 && fsync(fd) != 0) fail("fsync", 0);
      break;
    default:
      if (draw(8) == 0) reopen();
  }
  unlock(owner, round);
}

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  path = argv[1];
  processes = atoi(argv[4]);
  if (processes < 1 || processes > kMaximumProcesses) return 2;
  model = mmap(NULL, sizeof(*model), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (model == MAP_FAILED) return 2;
  fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0 || ftruncate(fd, start_of(0, kRounds)) != 0) fail("create", 0);
  const unsigned long operations = strtoul(argv[3], NULL, 10);
  for (me = 0; me < processes; ++me) {
    if (fork() != 0) continue;
    state = strtoull(argv[2], NULL, 10) * 1000003u + (unsigned)me;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) fail("open", 0);
    for (unsigned long i = 0; i < operations; ++i) {
      step();
      __atomic_fetch_add(&model->operations, 1, __ATOMIC_RELAXED);
    }
    exit(0);
  }
  int failed = 0, status;
  while (wait(&status) > 0) failed |= status;
  if (failed) return 1;
  static unsigned char whole[sizeof(model->bytes)];
  const long size = start_of(0, kRounds);
  if (pread(fd, whole, (size_t)size, 0) != size) fail("last read", 0);
  compare(whole, 0, size, "last read");
  printf("%lu operations ok\n", model->operations);
  return 0;
}
