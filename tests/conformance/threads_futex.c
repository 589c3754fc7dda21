// The futex call itself: every operation, private and shared, with threads and between processes.
#include "case.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>

static atomic_uint word, second_word;

static long futex(atomic_uint* at, int operation, unsigned value, const void* timeout, atomic_uint* at2,
                  unsigned value3) {
  return RAW(SYS_futex, at, operation, value, timeout, at2, value3);
}

static pthread_t start_thread(void* (*body)(void*), void* argument) {
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, body, argument), 0);
  return thread;
}

static atomic_int woken;

static void* wait_while_zero(void* argument) {
  long result = futex(&word, (int)(long)argument, 0, NULL, NULL, FUTEX_BITSET_MATCH_ANY);
  CHECK(result == 0 || result == -EAGAIN);
  ++woken;
  return NULL;
}

static void wake_until_woken(atomic_uint* at, int operation, int target) {
  while (woken < target) {
    CHECK(futex(at, operation, 1, NULL, NULL, 0) >= 0);
    pause_briefly();
  }
}

CASE(wait_returns_when_value_differs) {
  word = 5;
  CHECK_EQ(futex(&word, FUTEX_WAIT_PRIVATE, 4, NULL, NULL, 0), -EAGAIN);
  CHECK_EQ(futex(&word, FUTEX_WAIT, 4, NULL, NULL, 0), -EAGAIN);
}

CASE(wait_times_out) {
  struct timespec moment = {0, 1000000}, negative = {-1, 0}, bad = {0, 1000000000};
  CHECK_EQ(futex(&word, FUTEX_WAIT_PRIVATE, 0, &moment, NULL, 0), -ETIMEDOUT);
  CHECK_EQ(futex(&word, FUTEX_WAIT_PRIVATE, 0, &negative, NULL, 0), -EINVAL);
  CHECK_EQ(futex(&word, FUTEX_WAIT_PRIVATE, 0, &bad, NULL, 0), -EINVAL);
}

CASE(wait_bitset_takes_absolute_time) {
  struct timespec past = {1, 0};
  CHECK_EQ(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &past, NULL, 1), -ETIMEDOUT);
  CHECK_EQ(futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &past, NULL, 1), -ETIMEDOUT);
  CHECK_EQ(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &past, NULL, 0), -EINVAL);
}

CASE(wake_reports_how_many_it_woke) {
  CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 0);
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) threads[i] = start_thread(wait_while_zero, (void*)FUTEX_WAIT_PRIVATE);
  long total = 0;
  while (total < 4) {
    total += futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    pause_briefly();
  }
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  CHECK_EQ(total, 4);
  CHECK_EQ(woken, 4);
}

CASE(shared_operation_wakes_within_one_process) {
  pthread_t thread = start_thread(wait_while_zero, (void*)FUTEX_WAIT);
  wake_until_woken(&word, FUTEX_WAKE, 1);
  pthread_join(thread, NULL);
}

static void* wait_with_mask(void* argument) {
  CHECK_EQ(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (unsigned)(long)argument), 0);
  ++woken;
  return NULL;
}

CASE(wake_bitset_selects_waiters) {
  pthread_t first = start_thread(wait_with_mask, (void*)1);
  pthread_t second = start_thread(wait_with_mask, (void*)2);
  while (woken < 1) {
    CHECK(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 2) >= 0);
    pause_briefly();
  }
  CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 4), 0);
  pthread_join(second, NULL);
  CHECK_EQ(woken, 1);
  while (woken < 2) {
    futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 1);
    pause_briefly();
  }
  pthread_join(first, NULL);
}

CASE(requeue_moves_waiters) {
  pthread_t threads[3];
  for (int i = 0; i < 3; ++i) threads[i] = start_thread(wait_while_zero, (void*)FUTEX_WAIT_PRIVATE);
  long moved = 0;
  while (moved < 3) {
    // Wakes none, moves all that wait by now to the second word.
    long result = futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void*)10, &second_word, 0);
    CHECK(result >= 0);
    moved += result;
    pause_briefly();
  }
  CHECK_EQ(woken, 0);
  CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 0);
  CHECK_EQ(futex(&second_word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 3);
  for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
  CHECK_EQ(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void*)10, &second_word, 77), -EAGAIN);
}

CASE(wake_op_changes_the_second_word) {
  second_word = 5;
  // second += 3; wake waiters of second if its old value was 5.
  unsigned operation = FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5);
  CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void*)1, &second_word, operation), 0);
  CHECK_EQ(second_word, 8);
}

CASE(priority_inheritance_lock_and_unlock) {
  CHECK_EQ(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  CHECK_EQ(word & FUTEX_TID_MASK, case_gettid());
  CHECK_EQ(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), -EDEADLK);
  CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  CHECK_EQ(word, 0);
  CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), -EPERM);
  CHECK_EQ(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
}

static void* contend_pi(void* argument) {
  CHECK_EQ(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0), -EWOULDBLOCK);
  CHECK_EQ(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  CHECK_EQ(word & FUTEX_TID_MASK, case_gettid());
  CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  return NULL;
}

CASE(priority_inheritance_hands_over) {
  CHECK_EQ(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  pthread_t thread = start_thread(contend_pi, NULL);
  WAIT_UNTIL(word & FUTEX_WAITERS);
  CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  pthread_join(thread, NULL);
}

CASE(bad_addresses_and_operations_are_refused) {
  CHECK_EQ(RAW(SYS_futex, 8, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0), -EFAULT);
  CHECK_EQ(RAW(SYS_futex, (char*)&word + 1, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0), -EINVAL);
  CHECK_EQ(RAW(SYS_futex, &word, 120, 0, 0, 0, 0), -ENOSYS);
  CHECK_EQ(RAW(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, 8, 0, 0), -EFAULT);
}

CASE(wakes_cross_processes_in_shared_memory) {
  atomic_uint* shared = shared_page();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    while (shared[0] == 0) futex(&shared[0], FUTEX_WAIT, 0, NULL, NULL, 0);
    shared[1] = 1;
    futex(&shared[1], FUTEX_WAKE, 1, NULL, NULL, 0);
    _exit(0);
  }
  pause_briefly();
  shared[0] = 1;
  CHECK(futex(&shared[0], FUTEX_WAKE, 1, NULL, NULL, 0) >= 0);
  while (shared[1] == 0) futex(&shared[1], FUTEX_WAIT, 0, NULL, NULL, 0);
  check_exited(child, 0);
}

CASE(private_operations_do_not_cross_processes) {
  atomic_uint* shared = shared_page();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    struct timespec moment = {0, 50000000};
    shared[1] = 1;
    _exit(futex(&shared[0], FUTEX_WAIT_PRIVATE, 0, &moment, NULL, 0) == -ETIMEDOUT ? 0 : 1);
  }
  WAIT_UNTIL(shared[1]);
  for (int i = 0; i < 10; ++i) {
    CHECK_EQ(futex(&shared[0], FUTEX_WAKE, 1, NULL, NULL, 0), 0);
    pause_briefly();
  }
  check_exited(child, 0);
}

CASE(wakes_through_different_mappings_of_one_file) {
  int fd = open_file_of_size("futex", 4096);
  atomic_uint* first = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  atomic_uint* second = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(first != second);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    while (*first == 0) futex(first, FUTEX_WAIT, 0, NULL, NULL, 0);
    _exit(0);
  }
  *second = 1;
  futex(second, FUTEX_WAKE, 1, NULL, NULL, 0);
  check_exited(child, 0);
}

static void ignore_signal(int number, siginfo_t* info, void* context) { ++woken; }

CASE(wait_without_timeout_restarts_after_a_handler) {
  install_handler(SIGUSR1, ignore_signal, SA_RESTART);
  atomic_uint* shared = shared_page();
  pid_t parent = getpid();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    for (int i = 0; i < 30; ++i) {
      kill(parent, SIGUSR1);
      pause_briefly();
    }
    shared[0] = 1;
    futex(&shared[0], FUTEX_WAKE, 1, NULL, NULL, 0);
    _exit(0);
  }
  long result = futex(&shared[0], FUTEX_WAIT, 0, NULL, NULL, 0);
  CHECK(result == 0 || result == -EAGAIN);
  CHECK_EQ(shared[0], 1);
  CHECK(woken > 0);
  check_exited(child, 0);
}

CASE(wait_is_interrupted_by_a_handler_without_restart) {
  install_handler(SIGUSR1, ignore_signal, 0);
  struct signal_pump pump = start_signal_pump(getpid(), SIGUSR1);
  CHECK_EQ(futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), -EINTR);
  stop_signal_pump(&pump);
}

CASE(robust_list_is_registered_and_readable) {
  void* head = NULL;
  size_t size = 0;
  CHECK_EQ(RAW(SYS_get_robust_list, 0, &head, &size), 0);
  CHECK_EQ(size, sizeof(struct robust_list_head));
  CHECK(head != NULL);  // glibc and musl register one (musl on the first robust mutex only)
  static struct robust_list_head own = {{&own.list}, 0, NULL};
  CHECK_EQ(RAW(SYS_set_robust_list, &own, sizeof own), 0);
  CHECK_EQ(RAW(SYS_get_robust_list, 0, &head, &size), 0);
  CHECK_EQ(head, &own);
  CHECK_EQ(RAW(SYS_set_robust_list, &own, 3), -EINVAL);
}

CASE(own_robust_list_marks_owner_died) {
  struct node {
    struct robust_list link;
    atomic_uint futex;
  };
  struct node* node = shared_page();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    static struct robust_list_head head;
    head.list.next = &node->link;
    head.futex_offset = offsetof(struct node, futex);
    node->link.next = &head.list;
    node->futex = (unsigned)case_gettid();
    CHECK_EQ(RAW(SYS_set_robust_list, &head, sizeof head), 0);
    _exit(0);
  }
  check_exited(child, 0);
  CHECK_EQ(node->futex & FUTEX_OWNER_DIED, FUTEX_OWNER_DIED);
}

CASE(futex_waitv_waits_for_any) {
  struct waiter {
    uint64_t value, address;
    uint32_t flags, reserved;
  };
  static atomic_uint words[2];
  struct waiter waiters[2] = {{0, (uintptr_t)&words[0], 2 | FUTEX_PRIVATE_FLAG, 0},
                              {1, (uintptr_t)&words[1], 2 | FUTEX_PRIVATE_FLAG, 0}};
  long result = RAW(SYS_futex_waitv, waiters, 2, 0, 0, 0);
  if (result == -ENOSYS) SKIP("no futex_waitv in this kernel");
  CHECK_EQ(result, -EAGAIN);
  waiters[1].value = 0;
  struct timespec past = {0, 1};
  CHECK_EQ(RAW(SYS_futex_waitv, waiters, 2, 0, &past, CLOCK_MONOTONIC), -ETIMEDOUT);
}
