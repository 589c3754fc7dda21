// fork, vfork and the process forms of clone: what is copied, what is shared, what ids the child has.
#include "case.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/times.h>

int clone(int (*body)(void*), void* stack, int flags, void* argument, ...);

enum { kStackSize = 256 * 1024 };

static char* stack_top(void) {
  char* stack = mmap(NULL, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  CHECK(stack != MAP_FAILED);
  return stack + kStackSize;
}

HELPER(exit_with) { return atoi(argv[1]); }

CASE(fork_gives_new_pid_and_parent) {
  pid_t parent = getpid();
  int* shared = shared_page();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    shared[0] = (int)RAW(SYS_getpid);
    shared[1] = (int)RAW(SYS_gettid);
    shared[2] = (int)RAW(SYS_getppid);
    _exit(0);
  }
  check_exited(child, 0);
  CHECK(child != parent);
  CHECK_EQ(shared[0], child);
  CHECK_EQ(shared[1], child);
  CHECK_EQ(shared[2], parent);
}

static int data = 1;

CASE(fork_copies_memory) {
  int local = 2;
  int* heap = malloc(sizeof *heap);
  *heap = 3;
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_EQ(data + local + *heap, 6);
    data = local = *heap = 100;
    _exit(0);
  }
  check_exited(child, 0);
  CHECK_EQ(data + local + *heap, 6);
}

CASE(raw_fork_system_call) {
  long child = RAW(SYS_fork);
  if (child == 0) RAW(SYS_exit, 33);
  check_exited((pid_t)child, 33);
}

CASE(fork_keeps_descriptors_and_shares_offsets) {
  int fd = open_file_of_size("data", 0);
  CHECK_EQ(write(fd, "parent ", 7), 7);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_EQ(write(fd, "child ", 6), 6);
    close(fd);
    _exit(0);
  }
  check_exited(child, 0);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 13);
  CHECK_EQ(write(fd, "parent", 6), 6);
  char* text = read_file("data", NULL);
  CHECK_STREQ(text, "parent child parent");
}

CASE(two_hundred_children) {
  pid_t children[200];
  for (int i = 0; i < 200; ++i) {
    children[i] = CHECK_OK(fork());
    if (children[i] == 0) _exit(i);
  }
  for (int i = 0; i < 200; ++i) check_exited(children[i], i);
  CHECK_FAILS(wait(NULL), ECHILD);
}

CASE(deep_chain_of_forks) {
  int* depth = shared_page();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    for (int i = 0; i < 50; ++i) {
      ++*depth;
      pid_t next = CHECK_OK(fork());
      if (next != 0) {
        check_exited(next, 0);
        _exit(0);
      }
    }
    _exit(0);
  }
  check_exited(child, 0);
  CHECK_EQ(*depth, 50);
}

CASE(children_of_children_in_a_tree) {
  // 3 levels of 4 children each.
  atomic_int* count = shared_page();
  pid_t root = CHECK_OK(fork());
  if (root == 0) {
    for (int level = 0; level < 3; ++level) {
      bool is_child = false;
      for (int i = 0; i < 4 && !is_child; ++i) is_child = CHECK_OK(fork()) == 0;
      if (is_child) {
        ++*count;
        continue;
      }
      break;
    }
    int status;
    while (wait(&status) > 0) CHECK_EQ(status, 0);
    _exit(0);
  }
  check_exited(root, 0);
  CHECK_EQ(*count, 4 + 16 + 64);
}

CASE(vfork_child_exits) {
  // The child runs in the parent's memory while the parent is stopped: it must see the write.
  volatile int value = 1;
  pid_t child = vfork();
  if (child == 0) {
    value = 2;
    _exit(45);
  }
  CHECK(child > 0);
  CHECK_EQ(value, 2);
  check_exited(child, 45);
}

CASE(vfork_then_exec) {
  for (volatile int i = 0; i < 30; ++i) {
    char number[8];
    snprintf(number, sizeof number, "%d", i);
    pid_t child = vfork();
    if (child == 0) {
      execl(program_path(), "program", "@exit_with", number, NULL);
      _exit(127);
    }
    CHECK(child > 0);
    check_exited(child, i);
  }
}

CASE(vfork_failed_exec_is_reported_through_memory) {
  volatile int exec_errno = 0;
  pid_t child = vfork();
  if (child == 0) {
    execl("/does/not/exist", "x", NULL);
    exec_errno = errno;
    _exit(1);
  }
  check_exited(child, 1);
  CHECK_EQ(exec_errno, ENOENT);
}

static void __attribute__((noinline)) vfork_in_frame(int depth) {
  volatile char frame[64];
  memset((char*)frame, depth, sizeof frame);
  if (depth > 0) {
    vfork_in_frame(depth - 1);
  } else {
    pid_t child = vfork();
    if (child == 0) {
      getppid();
      RAW(SYS_getuid);
      _exit(0);
    }
    check_exited(child, 0);
  }
  for (size_t i = 0; i < sizeof frame; ++i) CHECK_EQ(frame[i], depth);
}

CASE(vfork_leaves_the_parents_stack_intact) { vfork_in_frame(40); }

CASE(vfork_child_changes_descriptors_of_its_own) {
  int ends[2];
  CHECK_OK(pipe(ends));
  pid_t child = vfork();
  if (child == 0) {
    close(ends[0]);
    close(ends[1]);
    dup2(0, 50);
    _exit(0);
  }
  check_exited(child, 0);
  CHECK_EQ(write(ends[1], "x", 1), 1);
  CHECK_FAILS(fcntl(50, F_GETFD), EBADF);
}

CASE(vfork_child_killed_by_signal_resumes_parent) {
  pid_t child = vfork();
  if (child == 0) {
    kill((pid_t)RAW(SYS_getpid), SIGKILL);
    _exit(0);
  }
  check_killed_by(child, SIGKILL);
}

CASE(vfork_inside_vfork) {
  volatile pid_t inner = 0;
  pid_t outer = vfork();
  if (outer == 0) {
    inner = vfork();
    if (inner == 0) _exit(3);
    int status;
    pid_t waited = (pid_t)RAW(SYS_wait4, inner, &status, 0, 0);
    _exit(waited == inner && WEXITSTATUS(status) == 3 ? 4 : 5);
  }
  check_exited(outer, 4);
}

static int set_data(void* argument) {
  data = (int)(long)argument;
  return 6;
}

CASE(clone_without_sharing_is_a_fork) {
  pid_t child = CHECK_OK(clone(set_data, stack_top(), SIGCHLD, (void*)50));
  check_exited(child, 6);
  CHECK_EQ(data, 1);
}

CASE(clone_with_shared_memory) {
  pid_t child = CHECK_OK(clone(set_data, stack_top(), CLONE_VM | SIGCHLD, (void*)50));
  check_exited(child, 6);
  CHECK_EQ(data, 50);
}

CASE(clone_vfork_with_stack_suspends_parent) {
  // The way of posix_spawn.
  for (int i = 0; i < 50; ++i) {
    pid_t child = CHECK_OK(clone(set_data, stack_top(), CLONE_VM | CLONE_VFORK | SIGCHLD, (void*)(long)i));
    CHECK_EQ(data, i);
    check_exited(child, 6);
  }
}

static int close_and_open(void* argument) {
  close((int)(long)argument);
  return open("/dev/null", O_RDONLY) == (int)(long)argument ? 0 : 1;
}

CASE(clone_with_shared_descriptor_table) {
  int fd = open_file_of_size("data", 3);
  pid_t child = CHECK_OK(clone(close_and_open, stack_top(), CLONE_FILES | CLONE_VM | SIGCHLD, (void*)(long)fd));
  check_exited(child, 0);
  struct stat status;
  CHECK_OK(fstat(fd, &status));
  CHECK(S_ISCHR(status.st_mode));
}

static int change_directory(void* argument) {
  umask(0123);
  return chdir("/");
}

CASE(clone_with_shared_file_system_state) {
  pid_t child = CHECK_OK(clone(change_directory, stack_top(), CLONE_FS | SIGCHLD, NULL));
  check_exited(child, 0);
  char path[PATH_MAX];
  CHECK(getcwd(path, sizeof path) != NULL);
  CHECK_STREQ(path, "/");
  CHECK_EQ(umask(0), 0123);
}

CASE(fork_copies_file_system_state) {
  char before[PATH_MAX], after[PATH_MAX];
  CHECK(getcwd(before, sizeof before) != NULL);
  pid_t child = CHECK_OK(fork());
  if (child == 0) _exit(change_directory(NULL));
  check_exited(child, 0);
  CHECK(getcwd(after, sizeof after) != NULL);
  CHECK_STREQ(after, before);
}

static int report_parent(void* argument) {
  *(int*)argument = getppid();
  return 0;
}

CASE(clone_parent_makes_a_sibling) {
  int* shared = shared_page();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    pid_t sibling = CHECK_OK(clone(report_parent, stack_top(), CLONE_PARENT | SIGCHLD, shared));
    CHECK_FAILS(waitpid(sibling, NULL, 0), ECHILD);
    shared[1] = sibling;
    _exit(0);
  }
  check_exited(child, 0);
  check_exited(shared[1], 0);
  CHECK_EQ(shared[0], getpid());
}

CASE(clone_with_other_exit_signal) {
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, &old);
  pid_t child = CHECK_OK(clone(set_data, stack_top(), SIGUSR1, NULL));
  siginfo_t info;
  CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
  CHECK_EQ(info.si_pid, child);
  CHECK_FAILS(waitpid(child, NULL, 0), ECHILD);
  CHECK_EQ(waitpid(child, NULL, __WCLONE), child);
}

CASE(clone_sets_tids_in_both_processes) {
  struct {
    pid_t parent_tid, child_tid, seen;
  }* shared = shared_page();
  unsigned long flags = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD;
  long child = RAW(SYS_clone, flags, 0, &shared->parent_tid, &shared->child_tid, 0);
  if (child == 0) {
    shared->seen = shared->child_tid;
    RAW(SYS_exit_group, 0);
  }
  check_exited((pid_t)child, 0);
  CHECK_EQ(shared->parent_tid, child);
  CHECK_EQ(shared->seen, child);
}

CASE(clone_pidfd) {
  int pidfd = -1;
  long child = RAW(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0);
  if (child == 0) {
    for (;;) pause();
  }
  CHECK(pidfd >= 0);
  CHECK_EQ(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
  CHECK_EQ(RAW(SYS_pidfd_send_signal, pidfd, SIGTERM, 0, 0), 0);
  check_killed_by((pid_t)child, SIGTERM);
}

CASE(pending_signals_are_not_inherited) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  raise(SIGUSR1);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    sigset_t pending, mask;
    sigpending(&pending);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    _exit(sigismember(&pending, SIGUSR1) * 2 + sigismember(&mask, SIGUSR1));
  }
  check_exited(child, 1);
}

CASE(timers_and_alarms_are_not_inherited) {
  alarm(1000);
  pid_t child = CHECK_OK(fork());
  if (child == 0) _exit((int)alarm(0));
  check_exited(child, 0);
  CHECK(alarm(0) > 900);
}

CASE(process_limit_makes_fork_fail) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_OK(setgid(54321));
    CHECK_OK(setuid(54321));
    struct rlimit limit = {3, 3};
    CHECK_OK(setrlimit(RLIMIT_NPROC, &limit));
    int made = 0;
    pid_t pids[10];
    for (; made < 10; ++made) {
      pids[made] = fork();
      if (pids[made] == 0) {
        for (;;) pause();
      }
      if (pids[made] < 0) break;
    }
    int saved = errno;
    for (int i = 0; i < made; ++i) kill(pids[i], SIGKILL);
    while (wait(NULL) > 0) {
    }
    CHECK_EQ(made, 2);
    CHECK_EQ(saved, EAGAIN);
    _exit(0);
  }
  check_exited(child, 0);
}

CASE(unshare_of_descriptors_and_fs_separates_threads_state) {
  CHECK_EQ(RAW(SYS_unshare, CLONE_FILES | CLONE_FS), 0);
  CHECK_OK(chdir("/"));
  CHECK_EQ(RAW(SYS_unshare, 1ull << 62), -EINVAL);
}

CASE(child_times_are_added_to_the_parents) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    struct tms used;
    do {
      for (volatile int i = 0; i < 1000000; ++i) {
      }
      times(&used);
    } while (used.tms_utime + used.tms_stime < 3);
    _exit(0);
  }
  check_exited(child, 0);
  struct tms used;
  CHECK(times(&used) != (clock_t)-1);
  CHECK(used.tms_cutime + used.tms_cstime >= 3);
  struct rusage usage;
  CHECK_OK(getrusage(RUSAGE_CHILDREN, &usage));
  CHECK(usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec > 0);
  CHECK(usage.ru_maxrss >= 0);
}

enum { kManyChildren = 100 };

// A vfork child that ends only when all the others are there too.
static void* vfork_and_wait(void* argument) {
  atomic_int* running = argument;
  pid_t child = CHECK_OK(vfork());
  if (child == 0) {
    ++*running;
    while (*running < kManyChildren) RAW(SYS_sched_yield);
    _exit(0);
  }
  check_exited(child, 0);
  return NULL;
}

CASE(a_hundred_vfork_children_at_once) {
  static atomic_int running;
  pthread_t threads[kManyChildren];
  for (int i = 0; i < kManyChildren; ++i) CHECK_EQ(pthread_create(&threads[i], NULL, vfork_and_wait, &running), 0);
  for (int i = 0; i < kManyChildren; ++i) CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static int wait_to_be_killed(void* argument) {
  for (;;) pause();
  return 0;
}

CASE(children_that_share_memory_and_are_killed_cost_nothing_to_the_next) {
  char* top = stack_top();
  for (int i = 0; i < 150; ++i) {
    pid_t child = CHECK_OK(clone(wait_to_be_killed, top, CLONE_VM | SIGCHLD, NULL));
    CHECK_OK(kill(child, SIGKILL));
    check_killed_by(child, SIGKILL);
  }
}

// Ends its vfork children with the thread's exit, as some language runtimes do after a failed exec.
static void* vfork_and_exit(void* argument) {
  for (int i = 0; i < 500; ++i) {
    pid_t child = CHECK_OK(vfork());
    if (child == 0) {
      for (;;) RAW(SYS_exit, 7);
    }
    check_exited(child, 7);
  }
  return NULL;
}

static void* do_nothing(void* argument) { return NULL; }

CASE(vfork_children_that_exit_beside_threads_that_start) {
  pthread_t workers[2];
  for (int i = 0; i < 2; ++i) CHECK_EQ(pthread_create(&workers[i], NULL, vfork_and_exit, NULL), 0);
  for (int i = 0; i < 2000; ++i) {
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, do_nothing, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
  }
  for (int i = 0; i < 2; ++i) CHECK_EQ(pthread_join(workers[i], NULL), 0);
}

static int release_pipe[2];

static void* change_heap_and_actions(void* argument) {
  for (int i = 0; i < 100; ++i) {
    pause_briefly();
    RAW(SYS_brk, RAW(SYS_brk, 0) + 4096);
    install_handler(SIGUSR1, NULL, 0);
  }
  CHECK_EQ(write(release_pipe[1], "x", 1), 1);
  return NULL;
}

CASE(waiting_for_a_copied_child_holds_up_no_other_thread) {
  CHECK_OK(pipe(release_pipe));
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, change_heap_and_actions, NULL), 0);
  pid_t child = (pid_t)RAW(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) {
    char byte;
    _exit(read(release_pipe[0], &byte, 1) == 1 ? 7 : 8);
  }
  check_exited(child, 7);
  CHECK_EQ(pthread_join(thread, NULL), 0);
}
