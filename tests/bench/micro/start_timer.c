// Starts a command COUNT times, waits for each, and prints two medians in microseconds: the time from start to end, and
// the processor time it and its children used (which a busy machine disturbs far less). Runs natively always; the
// command carries the runtime in front of it where one is measured.
#include "harness.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

extern char** environ;

static struct Cost time_one(char** command) {
  pid_t child = -1;
  int status = 0;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  const double start = now_ns();
  const int error = posix_spawnp(&child, command[0], &actions, NULL, command, environ);
  if (error != 0) {
    errno = error;
    die(command[0]);
  }
  struct rusage usage;
  if (wait4(child, &status, 0, &usage) != child) die("wait4");
  const struct Cost cost = {now_ns() - start, processor_time_of(&usage)};
  posix_spawn_file_actions_destroy(&actions);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fprintf(stderr, "%s: ended with wait status 0x%x\n", command[0], status);
    exit(1);
  }
  return cost;
}

int main(int argc, char** argv) {
  static double elapsed[10000];
  static double processor[10000];
  const int count = argc >= 3 ? atoi(argv[1]) : 0;
  if (count < 1 || count > 10000) {
    fprintf(stderr, "usage: %s COUNT PROGRAM [ARGUMENT...]\n", argv[0]);
    return 2;
  }
  time_one(argv + 2);  // not counted: fills the page cache
  for (int i = 0; i < count; ++i) {
    const struct Cost cost = time_one(argv + 2);
    elapsed[i] = cost.elapsed_ns;
    processor[i] = cost.processor_ns;
  }
  printf("%.1f %.1f\n", median_of(elapsed, count) / 1e3, median_of(processor, count) / 1e3);
  return 0;
}
