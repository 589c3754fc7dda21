// POSIX threads: creation, cancellation, thread-local storage, locks, and how a process ends with threads.
#include "case.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/prctl.h>

static pthread_t start_thread(void* (*body)(void*), void* argument) {
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, body, argument), 0);
  return thread;
}

static void* join(pthread_t thread) {
  void* result;
  CHECK_EQ(pthread_join(thread, &result), 0);
  return result;
}

static int task_count(void) {
  char* status = read_file("/proc/self/status", NULL);
  char* line = strstr(status, "\nThreads:");
  CHECK(line != NULL);
  int count = atoi(line + 9);
  free(status);
  return count;
}

static void* return_argument(void* argument) { return argument; }

CASE(thread_returns_its_result) {
  for (long i = 0; i < 200; ++i) CHECK_EQ(join(start_thread(return_argument, (void*)i)), i);
}

static void* exit_with_argument(void* argument) { pthread_exit(argument); }

CASE(pthread_exit_gives_the_result) { CHECK_EQ(join(start_thread(exit_with_argument, (void*)77)), 77); }

static pthread_barrier_t all_started;

static void* wait_at_barrier(void* argument) {
  pthread_barrier_wait(&all_started);
  pthread_barrier_wait(&all_started);
  return (void*)(long)case_gettid();
}

CASE(two_hundred_threads_at_once) {
  enum { kCount = 200 };
  pthread_t threads[kCount];
  long tids[kCount];
  CHECK_EQ(pthread_barrier_init(&all_started, NULL, kCount + 1), 0);
  for (int i = 0; i < kCount; ++i) threads[i] = start_thread(wait_at_barrier, NULL);
  pthread_barrier_wait(&all_started);
  CHECK_EQ(task_count(), kCount + 1);
  pthread_barrier_wait(&all_started);
  for (int i = 0; i < kCount; ++i) tids[i] = (long)join(threads[i]);
  for (int i = 0; i < kCount; ++i) {
    for (int j = 0; j < i; ++j) CHECK(tids[i] != tids[j]);
  }
}

static atomic_int detached_done;

static void* count_detached(void* argument) {
  ++detached_done;
  return NULL;
}

CASE(five_hundred_detached_threads_end) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  for (int i = 0; i < 500; ++i) {
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, &attributes, count_detached, NULL), 0);
    if (i % 50 == 49) WAIT_UNTIL(detached_done == i + 1);
  }
  WAIT_UNTIL(task_count() == 1);
}

static char small_stack[64 * 1024] __attribute__((aligned(4096)));

static void* address_of_local(void* argument) {
  char local;
  // Enough work to need some of the stack, and a call through libc.
  char text[1024];
  snprintf(text, sizeof text, "%d", getppid());
  return (void*)((uintptr_t)&local & ~(uintptr_t)0xfff);
}

CASE(thread_runs_on_the_given_stack) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  CHECK_EQ(pthread_attr_setstack(&attributes, small_stack, sizeof small_stack), 0);
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, &attributes, address_of_local, NULL), 0);
  uintptr_t local = (uintptr_t)join(thread);
  CHECK(local >= (uintptr_t)small_stack && local < (uintptr_t)small_stack + sizeof small_stack);
}

CASE(thread_with_the_smallest_stack_makes_calls) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  CHECK_EQ(pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN), 0);
  for (int i = 0; i < 50; ++i) {
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, &attributes, address_of_local, NULL), 0);
    join(thread);
  }
}

static __thread int initialised_variable = 1234;
static __thread char zeroed_variable[5000];

static void* check_thread_variables(void* argument) {
  CHECK_EQ(initialised_variable, 1234);
  for (size_t i = 0; i < sizeof zeroed_variable; ++i) CHECK_EQ(zeroed_variable[i], 0);
  memset(zeroed_variable, (int)(long)argument, sizeof zeroed_variable);
  initialised_variable = (int)(long)argument;
  for (int i = 0; i < 100; ++i) sched_yield();
  CHECK_EQ(initialised_variable, (long)argument);
  CHECK_EQ(zeroed_variable[4999], (char)(long)argument);
  return NULL;
}

CASE(thread_local_variables_are_separate) {
  pthread_t threads[16];
  initialised_variable = -1;
  for (long i = 0; i < 16; ++i) threads[i] = start_thread(check_thread_variables, (void*)(i + 1));
  for (int i = 0; i < 16; ++i) join(threads[i]);
  CHECK_EQ(initialised_variable, -1);
}

static atomic_int destructor_calls;
static void count_destructor(void* value) { destructor_calls += (int)(long)value; }
static pthread_key_t counted_key;

static void* set_key(void* argument) {
  pthread_setspecific(counted_key, (void*)5);
  return NULL;
}

CASE(thread_specific_destructors_run) {
  CHECK_EQ(pthread_key_create(&counted_key, count_destructor), 0);
  join(start_thread(set_key, NULL));
  CHECK_EQ(destructor_calls, 5);
}

static void* set_errno(void* argument) {
  errno = 99;
  sched_yield();
  return (void*)(long)errno;
}

CASE(errno_is_per_thread) {
  errno = 11;
  CHECK_EQ(join(start_thread(set_errno, NULL)), 99);
  CHECK_EQ(errno, 11);
}

static pthread_mutex_t counter_mutex = PTHREAD_MUTEX_INITIALIZER;
static long protected_counter;

static void* count_protected(void* argument) {
  for (int i = 0; i < 20000; ++i) {
    pthread_mutex_lock(&counter_mutex);
    ++protected_counter;
    pthread_mutex_unlock(&counter_mutex);
  }
  return NULL;
}

CASE(contended_mutex_loses_no_increment) {
  pthread_t threads[8];
  for (int i = 0; i < 8; ++i) threads[i] = start_thread(count_protected, NULL);
  for (int i = 0; i < 8; ++i) join(threads[i]);
  CHECK_EQ(protected_counter, 160000);
}

static void* fail_to_lock(void* argument) {
  pthread_mutex_t* mutex = argument;
  CHECK_EQ(pthread_mutex_trylock(mutex), EBUSY);
  struct timespec past = {0, 0};
  CHECK_EQ(pthread_mutex_timedlock(mutex, &past), ETIMEDOUT);
  CHECK_EQ(pthread_mutex_unlock(mutex), EPERM);
  return NULL;
}

CASE(error_checking_and_recursive_mutexes) {
  pthread_mutexattr_t attributes;
  pthread_mutex_t checked, recursive;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_init(&checked, &attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&recursive, &attributes);
  CHECK_EQ(pthread_mutex_lock(&checked), 0);
  CHECK_EQ(pthread_mutex_lock(&checked), EDEADLK);
  join(start_thread(fail_to_lock, &checked));
  for (int i = 0; i < 3; ++i) CHECK_EQ(pthread_mutex_lock(&recursive), 0);
  join(start_thread(fail_to_lock, &recursive));
  for (int i = 0; i < 3; ++i) CHECK_EQ(pthread_mutex_unlock(&recursive), 0);
  CHECK_EQ(pthread_mutex_unlock(&recursive), EPERM);
}

static void* take_and_die(void* argument) {
  CHECK_EQ(pthread_mutex_lock(argument), 0);
  return NULL;
}

static void init_robust(pthread_mutex_t* mutex, int protocol) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  CHECK_EQ(pthread_mutexattr_setprotocol(&attributes, protocol), 0);
  CHECK_EQ(pthread_mutex_init(mutex, &attributes), 0);
}

CASE(robust_mutex_of_dead_thread_is_recovered) {
  static pthread_mutex_t mutex;
  init_robust(&mutex, PTHREAD_PRIO_NONE);
  join(start_thread(take_and_die, &mutex));
  CHECK_EQ(pthread_mutex_lock(&mutex), EOWNERDEAD);
  CHECK_EQ(pthread_mutex_consistent(&mutex), 0);
  CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
  join(start_thread(take_and_die, &mutex));
  CHECK_EQ(pthread_mutex_lock(&mutex), EOWNERDEAD);
  CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
  CHECK_EQ(pthread_mutex_lock(&mutex), ENOTRECOVERABLE);
}

static void robust_owner_process_dies(int protocol, int how) {
  struct {
    pthread_mutex_t mutex;
    volatile int locked;
  }* shared = shared_page();
  init_robust(&shared->mutex, protocol);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_EQ(pthread_mutex_lock(&shared->mutex), 0);
    shared->locked = 1;
    if (how == SIGKILL) pause();
    _exit(0);
  }
  WAIT_UNTIL(shared->locked);
  // The lock is asked for while the owner lives, so that the death has to wake this thread.
  if (how == SIGKILL) {
    pid_t killer = CHECK_OK(fork());
    if (killer == 0) {
      for (int i = 0; i < 20; ++i) pause_briefly();
      _exit(kill(child, SIGKILL) == 0 ? 0 : 1);
    }
    CHECK_EQ(pthread_mutex_lock(&shared->mutex), EOWNERDEAD);
    check_exited(killer, 0);
  } else {
    CHECK_EQ(pthread_mutex_lock(&shared->mutex), EOWNERDEAD);
  }
  CHECK_EQ(pthread_mutex_consistent(&shared->mutex), 0);
  CHECK_EQ(pthread_mutex_unlock(&shared->mutex), 0);
  wait_status_of(child);
}

CASE(robust_mutex_of_exited_process_is_recovered) { robust_owner_process_dies(PTHREAD_PRIO_NONE, 0); }
CASE(robust_mutex_of_killed_process_wakes_waiter) { robust_owner_process_dies(PTHREAD_PRIO_NONE, SIGKILL); }
CASE(robust_priority_inheritance_mutex_of_killed_process) { robust_owner_process_dies(PTHREAD_PRIO_INHERIT, SIGKILL); }

HELPER(exec_ends_lock) { return 0; }

static pthread_mutex_t* mutex_for_exec;
static void* lock_then_wait(void* argument) {
  CHECK_EQ(pthread_mutex_lock(mutex_for_exec), 0);
  *(volatile int*)argument = 1;
  for (;;) pause();
}

CASE(robust_mutex_of_thread_lost_by_exec_is_recovered) {
  struct {
    pthread_mutex_t mutex;
    volatile int locked;
  }* shared = shared_page();
  init_robust(&shared->mutex, PTHREAD_PRIO_NONE);
  mutex_for_exec = &shared->mutex;
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    start_thread(lock_then_wait, (void*)&shared->locked);
    WAIT_UNTIL(shared->locked);
    execl(program_path(), "program", "@exec_ends_lock", NULL);
    _exit(99);
  }
  WAIT_UNTIL(shared->locked);
  CHECK_EQ(pthread_mutex_lock(&shared->mutex), EOWNERDEAD);
  check_exited(child, 0);
}

static pthread_mutex_t pi_mutex;
static void* count_pi(void* argument) {
  for (int i = 0; i < 5000; ++i) {
    CHECK_EQ(pthread_mutex_lock(&pi_mutex), 0);
    ++protected_counter;
    CHECK_EQ(pthread_mutex_unlock(&pi_mutex), 0);
  }
  return NULL;
}

CASE(priority_inheritance_mutex_loses_no_increment) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  CHECK_EQ(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT), 0);
  CHECK_EQ(pthread_mutex_init(&pi_mutex, &attributes), 0);
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) threads[i] = start_thread(count_pi, NULL);
  for (int i = 0; i < 4; ++i) join(threads[i]);
  CHECK_EQ(protected_counter, 20000);
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static atomic_int writers_inside, readers_inside;

static void* use_rwlock(void* argument) {
  for (int i = 0; i < 3000; ++i) {
    if ((i + (long)argument) % 4 == 0) {
      pthread_rwlock_wrlock(&rwlock);
      CHECK_EQ(++writers_inside, 1);
      CHECK_EQ(readers_inside, 0);
      --writers_inside;
    } else {
      pthread_rwlock_rdlock(&rwlock);
      ++readers_inside;
      CHECK_EQ(writers_inside, 0);
      --readers_inside;
    }
    pthread_rwlock_unlock(&rwlock);
  }
  return NULL;
}

CASE(read_write_lock_excludes) {
  pthread_t threads[6];
  for (long i = 0; i < 6; ++i) threads[i] = start_thread(use_rwlock, (void*)i);
  for (int i = 0; i < 6; ++i) join(threads[i]);
}

static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int baton;

static void* pass_baton(void* argument) {
  for (int round = 0; round < 200; ++round) {
    pthread_mutex_lock(&counter_mutex);
    while (baton % 5 != (long)argument) pthread_cond_wait(&condition, &counter_mutex);
    ++baton;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&counter_mutex);
  }
  return NULL;
}

CASE(condition_variable_passes_a_baton) {
  pthread_t threads[5];
  for (long i = 0; i < 5; ++i) threads[i] = start_thread(pass_baton, (void*)i);
  for (int i = 0; i < 5; ++i) join(threads[i]);
  CHECK_EQ(baton, 1000);
}

CASE(timed_condition_wait_times_out) {
  struct timespec soon;
  clock_gettime(CLOCK_REALTIME, &soon);
  soon.tv_nsec += 2000000;
  if (soon.tv_nsec >= 1000000000) soon.tv_sec += 1, soon.tv_nsec -= 1000000000;
  pthread_mutex_lock(&counter_mutex);
  CHECK_EQ(pthread_cond_timedwait(&condition, &counter_mutex, &soon), ETIMEDOUT);
  pthread_mutex_unlock(&counter_mutex);
}

static sem_t semaphore;
static void* post_many(void* argument) {
  for (int i = 0; i < 5000; ++i) sem_post(&semaphore);
  return NULL;
}

CASE(unnamed_semaphore_counts) {
  CHECK_OK(sem_init(&semaphore, 0, 0));
  pthread_t threads[2] = {start_thread(post_many, NULL), start_thread(post_many, NULL)};
  for (int i = 0; i < 10000; ++i) CHECK_OK(sem_wait(&semaphore));
  join(threads[0]);
  join(threads[1]);
  CHECK_FAILS(sem_trywait(&semaphore), EAGAIN);
}

static atomic_int once_calls;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void count_once(void) {
  for (int i = 0; i < 5; ++i) pause_briefly();
  ++once_calls;
}
static void* call_once(void* argument) {
  pthread_once(&once, count_once);
  CHECK_EQ(once_calls, 1);
  return NULL;
}

CASE(pthread_once_runs_once) {
  pthread_t threads[8];
  for (int i = 0; i < 8; ++i) threads[i] = start_thread(call_once, NULL);
  for (int i = 0; i < 8; ++i) join(threads[i]);
}

static int blocked_pipe[2];
static atomic_int cleanup_ran;
static void note_cleanup(void* argument) { ++cleanup_ran; }

static void* block_in_read(void* argument) {
  char byte;
  pthread_cleanup_push(note_cleanup, NULL);
  read(blocked_pipe[0], &byte, 1);
  pthread_cleanup_pop(0);
  return NULL;
}

CASE(cancel_ends_a_blocking_read) {
  CHECK_OK(pipe(blocked_pipe));
  for (int i = 0; i < 50; ++i) {
    pthread_t thread = start_thread(block_in_read, NULL);
    if (i % 2) pause_briefly();
    CHECK_EQ(pthread_cancel(thread), 0);
    CHECK_EQ(join(thread), PTHREAD_CANCELED);
  }
  CHECK(cleanup_ran > 0);
}

static void unlock(void* mutex) { pthread_mutex_unlock(mutex); }

static void* block_in_condition(void* argument) {
  pthread_mutex_lock(&counter_mutex);
  pthread_cleanup_push(unlock, &counter_mutex);
  for (;;) pthread_cond_wait(&condition, &counter_mutex);
  pthread_cleanup_pop(1);
  return NULL;
}

CASE(cancel_ends_a_condition_wait_and_unlocks) {
  pthread_t thread = start_thread(block_in_condition, NULL);
  pause_briefly();
  CHECK_EQ(pthread_cancel(thread), 0);
  CHECK_EQ(join(thread), PTHREAD_CANCELED);
  CHECK_EQ(pthread_mutex_trylock(&counter_mutex), 0);
}

static atomic_int spinning;
static void* spin_cancellable(void* argument) {
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  spinning = 1;
  for (volatile long i = 0; spinning; ++i) {
  }
  return NULL;
}

CASE(asynchronous_cancel_ends_a_loop_without_calls) {
  pthread_t thread = start_thread(spin_cancellable, NULL);
  WAIT_UNTIL(spinning);
  CHECK_EQ(pthread_cancel(thread), 0);
  CHECK_EQ(join(thread), PTHREAD_CANCELED);
}

static void* defer_cancel(void* argument) {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
  spinning = 1;
  for (int i = 0; i < 20; ++i) pause_briefly();
  protected_counter = 1;
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
  pthread_testcancel();
  return NULL;
}

CASE(disabled_cancel_waits) {
  pthread_t thread = start_thread(defer_cancel, NULL);
  WAIT_UNTIL(spinning);
  CHECK_EQ(pthread_cancel(thread), 0);
  CHECK_EQ(join(thread), PTHREAD_CANCELED);
  CHECK_EQ(protected_counter, 1);
}

static void* end_process_after_main(void* argument) {
  // Main has gone: its task is a zombie until the whole process ends.
  char path[64], *status;
  snprintf(path, sizeof path, "/proc/self/task/%d/status", getpid());
  for (;;) {
    status = read_file(path, NULL);
    if (strstr(status, "State:\tZ") != NULL) break;
    free(status);
    pause_briefly();
  }
  CHECK(getpid() != case_gettid());
  exit(23);
}

CASE(process_continues_after_main_thread_exits) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    start_thread(end_process_after_main, NULL);
    pthread_exit(NULL);
  }
  check_exited(child, 23);
}

static void* sleep_forever(void* argument) {
  for (;;) pause();
  return NULL;
}

CASE(exit_ends_all_threads) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    for (int i = 0; i < 20; ++i) start_thread(sleep_forever, NULL);
    exit(12);
  }
  check_exited(child, 12);
}

static void* exit_group_from_thread(void* argument) {
  RAW(SYS_exit_group, 31);
  return NULL;
}

CASE(exit_group_from_a_thread_ends_the_process) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    start_thread(exit_group_from_thread, NULL);
    for (;;) pause();
  }
  check_exited(child, 31);
}

static void* fork_from_thread(void* argument) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_EQ(getpid(), case_gettid());
    CHECK_EQ(task_count(), 1);
    join(start_thread(return_argument, NULL));
    free(malloc(100000));
    exit(0);
  }
  check_exited(child, 0);
  return NULL;
}

static atomic_int stop_allocating;
static void* allocate_all_the_time(void* argument) {
  while (!stop_allocating) free(malloc(5000));
  return NULL;
}

CASE(fork_in_a_process_with_busy_threads) {
  pthread_t busy[3], forkers[3];
  for (int i = 0; i < 3; ++i) busy[i] = start_thread(allocate_all_the_time, NULL);
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 3; ++i) forkers[i] = start_thread(fork_from_thread, NULL);
    for (int i = 0; i < 3; ++i) join(forkers[i]);
  }
  stop_allocating = 1;
  for (int i = 0; i < 3; ++i) join(busy[i]);
}

static int atfork_order;
static void before_fork(void) { atfork_order = atfork_order * 10 + 1; }
static void after_fork_in_parent(void) { atfork_order = atfork_order * 10 + 2; }
static void after_fork_in_child(void) { atfork_order = atfork_order * 10 + 3; }

CASE(atfork_handlers_run_on_both_sides) {
  CHECK_EQ(pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child), 0);
  pid_t child = CHECK_OK(fork());
  if (child == 0) _exit(atfork_order);
  check_exited(child, 13);
  CHECK_EQ(atfork_order, 12);
}

static void* named_thread(void* argument) {
  char name[32] = "";
  CHECK_EQ(prctl(PR_SET_NAME, "worker-thread-too-long"), 0);
  CHECK_EQ(prctl(PR_GET_NAME, name), 0);
  CHECK_STREQ(name, "worker-thread-t");
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/comm", case_gettid());
  char* comm = read_file(path, NULL);
  CHECK_STREQ(comm, "worker-thread-t\n");
  return NULL;
}

CASE(thread_names_are_per_thread) {
  CHECK_EQ(prctl(PR_SET_NAME, "main-name"), 0);
  join(start_thread(named_thread, NULL));
  char* comm = read_file("/proc/self/comm", NULL);
  CHECK_STREQ(comm, "main-name\n");
}

static atomic_int signalled_tid;
static void note_tid(int number, siginfo_t* info, void* context) { signalled_tid = case_gettid(); }

static void* publish_tid_and_wait(void* argument) {
  *(atomic_int*)argument = case_gettid();
  while (signalled_tid == 0) pause_briefly();
  return NULL;
}

CASE(pthread_kill_reaches_the_thread) {
  static atomic_int tid;
  install_handler(SIGUSR1, note_tid, 0);
  pthread_t thread = start_thread(publish_tid_and_wait, &tid);
  WAIT_UNTIL(tid != 0);
  CHECK_EQ(pthread_kill(thread, SIGUSR1), 0);
  join(thread);
  CHECK_EQ(signalled_tid, tid);
}
