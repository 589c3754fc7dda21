// Cost of creating threads and processes and of waiting for them. Prints nanoseconds per creation.
#include "harness.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

extern char** environ;

static char* const kTrue[] = {"/bin/true", NULL};

static void* return_at_once(void* argument) { return argument; }

static void thread_create_join(void* state, long count) {
  (void)state;
  while (count-- > 0) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, return_at_once, NULL) != 0) die("pthread_create");
    pthread_join(thread, NULL);
  }
}

static void wait_for_success(pid_t child, const char* what) {
  int status = 0;
  if (child < 0) die(what);
  if (waitpid(child, &status, 0) != child) die("waitpid");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fprintf(stderr, "%s: child ended with wait status 0x%x\n", what, status);
    exit(1);
  }
}

static void fork_exit(void* state, long count) {
  (void)state;
  while (count-- > 0) {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    wait_for_success(child, "fork");
  }
}

static void fork_exec(void* state, long count) {
  (void)state;
  while (count-- > 0) {
    const pid_t child = fork();
    if (child == 0) {
      execve(kTrue[0], kTrue, environ);
      _exit(127);
    }
    wait_for_success(child, "fork and exec");
  }
}

static void vfork_exec(void* state, long count) {
  (void)state;
  while (count-- > 0) {
    const pid_t child = vfork();
    if (child == 0) {
      execve(kTrue[0], kTrue, environ);
      _exit(127);
    }
    wait_for_success(child, "vfork and exec");
  }
}

static void spawn(void* state, long count) {
  (void)state;
  while (count-- > 0) {
    pid_t child = -1;
    const int error = posix_spawn(&child, kTrue[0], NULL, NULL, kTrue, environ);
    if (error != 0) {
      errno = error;
      die("posix_spawn");
    }
    wait_for_success(child, "posix_spawn");
  }
}

// A parent with 64 MiB of written memory: what a real database or interpreter looks like when it forks.
static void write_64_mib(void) {
  const size_t size = 64UL << 20;
  char* const memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) die("mmap");
  madvise(memory, size, MADV_NOHUGEPAGE);
  for (size_t i = 0; i < size; i += 4096) memory[i] = 1;
}

static const struct Case kCases[] = {
    {"thread", NULL, thread_create_join}, {"fork_exit", NULL, fork_exit},   {"fork_exit_64m", write_64_mib, fork_exit},
    {"fork_exec", NULL, fork_exec},       {"vfork_exec", NULL, vfork_exec}, {"spawn", NULL, spawn},
};

int main(int argc, char** argv) { return run_case(kCases, sizeof(kCases) / sizeof(kCases[0]), argc, argv); }
