// File loads in DIRECTORY: `storage_load CASE DIRECTORY AMOUNT`. AMOUNT is MiB, files or seconds, as the case says.
// Prints one figure.
//
//   fill MIB           writes `file` without measuring anything (0)
//   write MIB          writes `file` in pieces of 1 MiB, then fsync: MiB/s
//   read MIB           reads `file` in pieces of 1 MiB: MiB/s
//   cached SECONDS     4 KiB pread at random places of `file`, after it was read once: reads/s
//   cold SECONDS       4 KiB pread at random places of `file`, none twice, nothing read before: reads/s
//   sync SECONDS       4 KiB pwrite at a random place of `file` and fdatasync: writes/s
//   files COUNT        creates COUNT files of 1 KiB in 10 directories, then removes them: files/s
//   mapped SECONDS     changes 16 random pages of a shared mapping of `file`, then msync: rounds/s
//   hold MIB           reads `file`, prints 0, then waits to be ended
#include "harness.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { kPieceSize = 1 << 20, kPageSize = 4096, kDirectories = 10, kFileSize = 1024, kMappedPages = 16 };

static char piece[kPieceSize] __attribute__((aligned(kPageSize)));
static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return random_state >> 20;
}

static int open_file(int flags) {
  const int file = open("file", flags | O_CLOEXEC, 0644);
  if (file < 0) die("file");
  return file;
}

static long pages_of(int file) {
  struct stat status;
  if (fstat(file, &status) != 0) die("fstat");
  return (long)(status.st_size / kPageSize);
}

static void write_pieces(int file, long count) {
  for (long i = 0; i < count; ++i) {
    memset(piece, (int)(i * 37 + 1), 64);  // no two pieces are the same
    if (write(file, piece, kPieceSize) != kPieceSize) die("write");
  }
}

static long read_pieces(int file) {
  long pieces = 0;
  ssize_t size;
  while ((size = read(file, piece, kPieceSize)) > 0) ++pieces;
  if (size < 0) die("read");
  return pieces;
}

static double fill(double amount) {
  const int file = open_file(O_WRONLY | O_CREAT | O_TRUNC);
  for (size_t i = 0; i < sizeof(piece); ++i) piece[i] = (char)next_random();
  write_pieces(file, (long)amount);
  if (fsync(file) != 0) die("fsync");
  return 0;
}

static double write_all(double amount) {
  const int file = open_file(O_WRONLY | O_CREAT | O_TRUNC);
  for (size_t i = 0; i < sizeof(piece); ++i) piece[i] = (char)next_random();
  const double start = now_ns();
  write_pieces(file, (long)amount);
  if (fsync(file) != 0) die("fsync");
  return amount / ((now_ns() - start) / 1e9);
}

static double read_all(double amount) {
  const int file = open_file(O_RDONLY);
  const double start = now_ns();
  const long pieces = read_pieces(file);
  if (pieces < (long)amount) die("the file is too short");
  return (double)pieces / ((now_ns() - start) / 1e9);
}

static void read_page(int file, long page) {
  if (pread(file, piece, kPageSize, page * kPageSize) != kPageSize) die("pread");
}

static double cached(double seconds) {
  const int file = open_file(O_RDONLY);
  const uint64_t pages = (uint64_t)pages_of(file);
  read_pieces(file);
  long reads = 0;
  const double start = now_ns();
  while (now_ns() < start + seconds * 1e9) {
    for (int i = 0; i < 64; ++i, ++reads) read_page(file, (long)(next_random() % pages));
  }
  return (double)reads / ((now_ns() - start) / 1e9);
}

static double cold(double seconds) {
  const int file = open_file(O_RDONLY);
  const long pages = pages_of(file);
  posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
  // A stride that shares no divisor with a power of two visits every page once.
  const long stride = 3 * (pages / 7) | 1;
  long reads = 0;
  long page = 0;
  const double start = now_ns();
  while (reads < pages && now_ns() < start + seconds * 1e9) {
    read_page(file, page);
    page = (page + stride) % pages;
    ++reads;
  }
  return (double)reads / ((now_ns() - start) / 1e9);
}

static double synced(double seconds) {
  const int file = open_file(O_RDWR);
  const uint64_t pages = (uint64_t)pages_of(file);
  long writes = 0;
  const double start = now_ns();
  while (now_ns() < start + seconds * 1e9) {
    memset(piece, (int)writes, kPageSize);
    if (pwrite(file, piece, kPageSize, (off_t)(next_random() % pages) * kPageSize) != kPageSize) die("pwrite");
    if (fdatasync(file) != 0) die("fdatasync");
    ++writes;
  }
  return (double)writes / ((now_ns() - start) / 1e9);
}

static void name_of(char* name, long number) {
  snprintf(name, PATH_MAX, "small%ld/%ld", number % kDirectories, number);
}

static void make_directories(void) {
  char name[PATH_MAX];
  for (long i = 0; i < kDirectories; ++i) {
    snprintf(name, sizeof(name), "small%ld", i);
    if (mkdir(name, 0755) != 0 && errno != EEXIST) die(name);
  }
}

static double files(double amount) {
  char name[PATH_MAX];
  const long count = (long)amount;
  const double start = now_ns();
  make_directories();
  for (long i = 0; i < count; ++i) {
    name_of(name, i);
    const int file = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (file < 0 || write(file, piece, kFileSize) != kFileSize || close(file) != 0) die(name);
  }
  for (long i = 0; i < count; ++i) {
    name_of(name, i);
    if (unlink(name) != 0) die(name);
  }
  return amount / ((now_ns() - start) / 1e9);
}

static double mapped(double seconds) {
  const int file = open_file(O_RDWR);
  const uint64_t pages = (uint64_t)pages_of(file);
  const size_t size = (size_t)pages * kPageSize;
  char* const mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapping == MAP_FAILED) die("mmap");
  long rounds = 0;
  const double start = now_ns();
  while (now_ns() < start + seconds * 1e9) {
    for (int i = 0; i < kMappedPages; ++i) mapping[(next_random() % pages) * kPageSize] += 1;
    if (msync(mapping, size, MS_SYNC) != 0) die("msync");
    ++rounds;
  }
  return (double)rounds / ((now_ns() - start) / 1e9);
}

static double hold(double amount) {
  const int file = open_file(O_RDONLY);
  if (read_pieces(file) < (long)amount) die("the file is too short");
  printf("0\n");
  fflush(stdout);
  for (;;) pause();
}

struct Load {
  const char* name;
  double (*run)(double amount);
};

int main(int argc, char** argv) {
  const struct Load loads[] = {{"fill", fill},     {"write", write_all}, {"read", read_all},
                               {"cached", cached}, {"cold", cold},       {"sync", synced},
                               {"files", files},   {"mapped", mapped},   {"hold", hold}};
  for (size_t i = 0; argc == 4 && i < sizeof(loads) / sizeof(loads[0]); ++i) {
    if (strcmp(loads[i].name, argv[1]) != 0) continue;
    if (chdir(argv[2]) != 0) die(argv[2]);
    printf("%.2f\n", loads[i].run(atof(argv[3])));
    return 0;
  }
  fprintf(stderr, "usage: %s fill|write|read|cached|cold|sync|files|mapped|hold DIRECTORY AMOUNT\n", argv[0]);
  return 2;
}
