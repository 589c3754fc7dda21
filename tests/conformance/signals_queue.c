// Pending signals: order, queues, synchronous waiting, signalfd, and the timers that send signals.
#include "case.h"

#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>

static volatile int order[64], order_count;
static volatile siginfo_t last_info;

static void record(int number, siginfo_t* info, void* context) {
  order[order_count++] = info->si_code == SI_QUEUE ? number * 1000 + info->si_value.sival_int : number;
  *(siginfo_t*)&last_info = *info;
}

static sigset_t block(int first, int second) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, first);
  if (second != 0) sigaddset(&set, second);
  CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
  return set;
}

static void queue(int number, int value) { CHECK_OK(sigqueue(getpid(), number, (union sigval){.sival_int = value})); }

CASE(realtime_signals_queue_in_order) {
  sigset_t set = block(SIGRTMIN + 1, SIGRTMIN + 2);
  install_handler(SIGRTMIN + 1, record, 0);
  install_handler(SIGRTMIN + 2, record, 0);
  for (int i = 0; i < 5; ++i) {
    queue(SIGRTMIN + 2, i);
    queue(SIGRTMIN + 1, i);
  }
  siginfo_t info;
  for (int i = 0; i < 5; ++i) {
    CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 1);
    CHECK_EQ(info.si_value.sival_int, i);
  }
  for (int i = 0; i < 5; ++i) {
    CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 2);
    CHECK_EQ(info.si_value.sival_int, i);
  }
  CHECK_EQ(order_count, 0);
}

CASE(handlers_get_queued_values_in_order) {
  sigset_t set = block(SIGRTMIN + 3, 0);
  install_handler(SIGRTMIN + 3, record, 0);
  for (int i = 0; i < 30; ++i) queue(SIGRTMIN + 3, i);
  CHECK_EQ(order_count, 0);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  CHECK_EQ(order_count, 30);
  for (int i = 0; i < 30; ++i) CHECK_EQ(order[i], (SIGRTMIN + 3) * 1000 + i);
}

CASE(standard_signals_do_not_queue) {
  sigset_t set = block(SIGUSR1, 0);
  install_handler(SIGUSR1, record, 0);
  for (int i = 0; i < 5; ++i) queue(SIGUSR1, i);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  CHECK_EQ(order_count, 1);
  CHECK_EQ(order[0], SIGUSR1 * 1000);
}

CASE(several_unblocked_at_once_are_all_handled) {
  sigset_t set = block(SIGUSR1, SIGRTMIN + 1);
  sigaddset(&set, SIGUSR2);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  static const int numbers[] = {SIGTERM, SIGUSR2, SIGUSR1, 0};
  install_handler(SIGRTMIN + 1, record, 0);
  for (int i = 0; numbers[i] != 0; ++i) install_handler(numbers[i], record, 0);
  for (int i = 0; numbers[i] != 0; ++i) kill(getpid(), numbers[i]);
  queue(SIGRTMIN + 1, 1);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  CHECK_EQ(order_count, 4);
  for (int i = 0; i < 4; ++i) FACT("delivered %d", order[i]);
}

CASE(sigtimedwait_times_out_and_takes_pending) {
  sigset_t set = block(SIGUSR1, SIGUSR2);
  struct timespec none = {0, 0}, moment = {0, 2000000};
  siginfo_t info;
  CHECK_FAILS(sigtimedwait(&set, &info, &none), EAGAIN);
  CHECK_FAILS(sigtimedwait(&set, &info, &moment), EAGAIN);
  kill(getpid(), SIGUSR2);
  CHECK_EQ(sigtimedwait(&set, &info, &none), SIGUSR2);
  CHECK_EQ(info.si_pid, getpid());
  CHECK_EQ(info.si_code, SI_USER);
  struct timespec bad = {0, -1};
  CHECK_FAILS(sigtimedwait(&set, &info, &bad), EINVAL);
  CHECK_EQ(RAW(SYS_rt_sigtimedwait, 8, 0, 0, 8), -EFAULT);
}

CASE(sigwait_in_a_dedicated_thread) {
  sigset_t set = block(SIGRTMIN + 4, 0);
  pid_t parent = getpid();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    for (int i = 0; i < 100; ++i) {
      while (sigqueue(parent, SIGRTMIN + 4, (union sigval){.sival_int = i}) != 0) pause_briefly();
    }
    _exit(0);
  }
  siginfo_t info;
  for (int i = 0; i < 100; ++i) {
    CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 4);
    CHECK_EQ(info.si_value.sival_int, i);
    CHECK_EQ(info.si_pid, child);
  }
  check_exited(child, 0);
}

CASE(sigtimedwait_is_interrupted_by_other_handlers) {
  sigset_t set = block(SIGUSR2, 0);
  install_handler(SIGUSR1, record, SA_RESTART);
  struct signal_pump pump = start_signal_pump(getpid(), SIGUSR1);
  CHECK_FAILS(sigwaitinfo(&set, NULL), EINTR);
  stop_signal_pump(&pump);
}

CASE(queue_limit_gives_eagain) {
  sigset_t set = block(SIGRTMIN + 1, 0);
  struct rlimit limit;
  CHECK_OK(getrlimit(RLIMIT_SIGPENDING, &limit));
  // Counted per user: take an own user.
  if (geteuid() != 0) SKIP("needs root");
  CHECK_OK(setgid(54322));
  CHECK_OK(setuid(54322));
  limit.rlim_cur = 5;
  CHECK_OK(setrlimit(RLIMIT_SIGPENDING, &limit));
  int sent = 0;
  while (sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = sent}) == 0) ++sent;
  CHECK_EQ(errno, EAGAIN);
  CHECK_EQ(sent, 5);
  (void)set;
}

CASE(signalfd_reads_signals_in_order) {
  sigset_t set = block(SIGUSR1, SIGRTMIN + 1);
  int fd = CHECK_OK(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  struct signalfd_siginfo info[4];
  CHECK_FAILS(read(fd, info, sizeof info), EAGAIN);
  queue(SIGRTMIN + 1, 11);
  queue(SIGRTMIN + 1, 12);
  kill(getpid(), SIGUSR1);
  struct pollfd entry = {fd, POLLIN, 0};
  CHECK_EQ(poll(&entry, 1, -1), 1);
  CHECK_EQ(read(fd, info, sizeof info), 3 * sizeof info[0]);
  CHECK_EQ(info[0].ssi_signo, SIGUSR1);
  CHECK_EQ(info[0].ssi_pid, getpid());
  CHECK_EQ(info[1].ssi_signo, SIGRTMIN + 1);
  CHECK_EQ(info[1].ssi_int, 11);
  CHECK_EQ(info[2].ssi_int, 12);
  CHECK_FAILS(read(fd, info, 10), EINVAL);
  sigset_t other;
  sigemptyset(&other);
  sigaddset(&other, SIGTERM);
  CHECK_EQ(signalfd(fd, &other, 0), fd);
  CHECK_FAILS(signalfd(-1, &set, 0x77), EINVAL);
}

CASE(signalfd_sees_child_exit) {
  sigset_t set = block(SIGCHLD, 0);
  int fd = CHECK_OK(signalfd(-1, &set, 0));
  pid_t child = CHECK_OK(fork());
  if (child == 0) _exit(44);
  struct signalfd_siginfo info;
  CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
  CHECK_EQ(info.ssi_pid, child);
  CHECK_EQ(info.ssi_status, 44);
  check_exited(child, 44);
}

CASE(alarm_and_interval_timers_signal) {
  install_handler(SIGALRM, record, 0);
  CHECK_EQ(alarm(100), 0);
  CHECK(alarm(0) > 90);
  struct itimerval timer = {{0, 1000}, {0, 1000}}, now;
  CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
  while (order_count < 10) pause();
  CHECK_OK(getitimer(ITIMER_REAL, &now));
  CHECK_EQ(now.it_interval.tv_usec, 1000);
  timer = (struct itimerval){{0, 0}, {0, 0}};
  CHECK_OK(setitimer(ITIMER_REAL, &timer, &now));
  CHECK_EQ(last_info.si_code, SI_KERNEL);
  CHECK_FAILS(setitimer(99, &timer, NULL), EINVAL);
}

CASE(virtual_and_profiling_timers_signal) {
  install_handler(SIGVTALRM, record, 0);
  install_handler(SIGPROF, record, 0);
  struct itimerval timer = {{0, 0}, {0, 1000}};
  CHECK_OK(setitimer(ITIMER_VIRTUAL, &timer, NULL));
  CHECK_OK(setitimer(ITIMER_PROF, &timer, NULL));
  while (order_count < 2) {
  }
  CHECK_EQ(order[0] + order[1], SIGVTALRM + SIGPROF);
}

static timer_t create_timer(int notify, int number, int value) {
  struct sigevent event = {.sigev_notify = notify, .sigev_signo = number, .sigev_value.sival_int = value};
  if (notify == SIGEV_THREAD_ID) {
#ifdef sigev_notify_thread_id
    event.sigev_notify_thread_id = case_gettid();
#else
    event._sigev_un._tid = case_gettid();
#endif
  }
  timer_t timer;
  CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
  return timer;
}

static void arm(timer_t timer, long nanoseconds, long interval) {
  struct itimerspec setting = {{0, interval}, {0, nanoseconds}};
  CHECK_OK(timer_settime(timer, 0, &setting, NULL));
}

CASE(posix_timer_signals_with_its_value) {
  install_handler(SIGRTMIN + 5, record, 0);
  timer_t timer = create_timer(SIGEV_SIGNAL, SIGRTMIN + 5, 4242);
  arm(timer, 1000000, 0);
  while (order_count == 0) pause_briefly();
  CHECK_EQ(last_info.si_code, SI_TIMER);
  CHECK_EQ(last_info.si_value.sival_int, 4242);
  struct itimerspec setting;
  CHECK_OK(timer_gettime(timer, &setting));
  CHECK_EQ(setting.it_value.tv_nsec + setting.it_value.tv_sec, 0);
  CHECK_OK(timer_delete(timer));
  CHECK_FAILS(RAW(SYS_timer_delete, 9999) == -EINVAL ? (errno = EINVAL, -1) : 0, EINVAL);
}

static void* timer_in_thread(void* argument) {
  sigset_t open;
  sigemptyset(&open);
  sigaddset(&open, SIGRTMIN + 6);
  pthread_sigmask(SIG_UNBLOCK, &open, NULL);
  timer_t timer = create_timer(SIGEV_THREAD_ID, SIGRTMIN + 6, 1);
  arm(timer, 500000, 500000);
  while (order_count < 20) pause_briefly();
  CHECK_OK(timer_delete(timer));
  return NULL;
}

CASE(posix_timer_signals_one_thread) {
  install_handler(SIGRTMIN + 6, record, SA_RESTART);
  block(SIGRTMIN + 6, 0);
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, timer_in_thread, NULL), 0);
  pthread_join(thread, NULL);
}

CASE(posix_timer_overruns_are_counted) {
  sigset_t set = block(SIGRTMIN + 7, 0);
  timer_t timer = create_timer(SIGEV_SIGNAL, SIGRTMIN + 7, 1);
  arm(timer, 100000, 100000);
  for (int i = 0; i < 5; ++i) pause_briefly();
  siginfo_t info;
  CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 7);
  CHECK(info.si_overrun > 0);
  CHECK(timer_getoverrun(timer) > 0);
  CHECK_OK(timer_delete(timer));
}

static volatile int notified_value;
static void notify(union sigval value) { notified_value = value.sival_int; }

CASE(posix_timer_starts_a_thread) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = 31};
  event.sigev_notify_function = notify;
  timer_t timer;
  CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
  arm(timer, 1000000, 0);
  WAIT_UNTIL(notified_value == 31);
  CHECK_OK(timer_delete(timer));
}

CASE(sigio_announces_input) {
  int ends[2];
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  install_handler(SIGIO, record, SA_RESTART);
  CHECK_OK(fcntl(ends[0], F_SETOWN, getpid()));
  CHECK_EQ(fcntl(ends[0], F_GETOWN), getpid());
  CHECK_OK(fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_ASYNC));
  CHECK_EQ(write(ends[1], "x", 1), 1);
  WAIT_UNTIL(order_count > 0);
  CHECK_EQ(order[0], SIGIO);
}

CASE(realtime_signal_instead_of_sigio_names_the_descriptor) {
  int ends[2];
  CHECK_OK(pipe(ends));
  install_handler(SIGRTMIN + 8, record, SA_RESTART);
  CHECK_OK(fcntl(ends[0], F_SETOWN, getpid()));
  CHECK_OK(fcntl(ends[0], F_SETSIG, SIGRTMIN + 8));
  CHECK_EQ(fcntl(ends[0], F_GETSIG), SIGRTMIN + 8);
  CHECK_OK(fcntl(ends[0], F_SETFL, O_ASYNC));
  CHECK_EQ(write(ends[1], "x", 1), 1);
  WAIT_UNTIL(order_count > 0);
  CHECK_EQ(last_info.si_code, POLL_IN);
  CHECK_EQ(last_info.si_fd, ends[0]);
}

CASE(rt_sigqueueinfo_checks_the_sender) {
  siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_USER};
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    for (;;) pause();
  }
  // Only the kernel may claim SI_USER towards others.
  CHECK_EQ(RAW(SYS_rt_sigqueueinfo, child, SIGUSR1, &info), -EPERM);
  info.si_code = SI_QUEUE;
  CHECK_EQ(RAW(SYS_rt_tgsigqueueinfo, child, child, SIGTERM, &info), 0);
  check_killed_by(child, SIGTERM);
}
