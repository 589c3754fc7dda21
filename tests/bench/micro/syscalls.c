// Cost of one system call, by class: no argument, small copies, a page from a file, clock, futex, descriptor and path
// calls, mappings. Prints nanoseconds per call.
#include "harness.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int descriptor = -1;
static char buffer[4096];

static void require(long result, const char* what) {
  if (result < 0) die(what);
}

static void open_zero(void) { require(descriptor = open("/dev/zero", O_RDONLY), "/dev/zero"); }
static void open_null(void) { require(descriptor = open("/dev/null", O_WRONLY), "/dev/null"); }

static void open_page_file(void) {
  char name[] = "/tmp/casemate-bench-page-XXXXXX";
  require(descriptor = mkstemp(name), name);
  unlink(name);
  require(write(descriptor, buffer, sizeof(buffer)), "write");
}

static void call_getppid(void* state, long count) {
  (void)state;
  while (count-- > 0) getppid();
}

static void call_getpid(void* state, long count) {
  (void)state;
  while (count-- > 0) syscall(SYS_getpid);
}

static void call_read(void* state, long count) {
  (void)state;
  while (count-- > 0) require(read(descriptor, buffer, 1), "read");
}

static void call_write(void* state, long count) {
  (void)state;
  while (count-- > 0) require(write(descriptor, buffer, 1), "write");
}

static void call_pread(void* state, long count) {
  (void)state;
  while (count-- > 0) require(pread(descriptor, buffer, sizeof(buffer), 0), "pread");
}

static void call_clock_gettime(void* state, long count) {
  (void)state;
  struct timespec now;
  while (count-- > 0) require(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now), "clock_gettime");
}

// Goes through many words: one whose bucket of the kernel's hash table it happens to share with a sleeper costs three
// times as much, and which one that is changes from process to process.
static void call_futex_wake(void* state, long count) {
  (void)state;
  static int words[1024];
  while (count-- > 0) {
    require(syscall(SYS_futex, &words[count % 1024], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), "futex");
  }
}

static void call_poll(void* state, long count) {
  (void)state;
  struct pollfd entry = {descriptor, POLLIN, 0};
  while (count-- > 0) require(poll(&entry, 1, 0), "poll");
}

static void call_stat(void* state, long count) {
  (void)state;
  struct stat status;
  while (count-- > 0) require(stat("/etc/passwd", &status), "stat");
}

static void call_open_close(void* state, long count) {
  (void)state;
  while (count-- > 0) {
    const int opened = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    require(opened, "open");
    close(opened);
  }
}

static void call_mmap_munmap(void* state, long count) {
  (void)state;
  while (count-- > 0) {
    void* const page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) die("mmap");
    munmap(page, 4096);
  }
}

static const struct Case kCases[] = {
    {"getppid", NULL, call_getppid},
    {"getpid", NULL, call_getpid},
    {"read_zero", open_zero, call_read},
    {"write_null", open_null, call_write},
    {"pread_4k", open_page_file, call_pread},
    {"clock_gettime", NULL, call_clock_gettime},
    {"futex_wake", NULL, call_futex_wake},
    {"poll", open_zero, call_poll},
    {"stat", NULL, call_stat},
    {"open_close", NULL, call_open_close},
    {"mmap_munmap", NULL, call_mmap_munmap},
};

int main(int argc, char** argv) { return run_case(kCases, sizeof(kCases) / sizeof(kCases[0]), argc, argv); }
