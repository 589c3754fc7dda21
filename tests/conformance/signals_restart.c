// Which calls continue after a handler with SA_RESTART, which always end with EINTR, and what they leave behind.
// A pump process sends the signal again and again, so that no case depends on when a call blocks.
#include "case.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

static volatile int handled_count;
static void note(int number, siginfo_t* info, void* context) { ++handled_count; }

static struct signal_pump pump_with(int flags) {
  install_handler(SIGUSR1, note, flags);
  return start_signal_pump(getpid(), SIGUSR1);
}

// A child that does `finish` after at least `count` of the parent's handlers ran (seen through shared memory).
static volatile int* shared_count;
static void note_shared(int number, siginfo_t* info, void* context) { ++*shared_count; }

static pid_t interrupt_then(void (*finish)(long), long argument) {
  shared_count = shared_page();
  install_handler(SIGUSR1, note_shared, SA_RESTART);
  pid_t parent = getpid();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    while (*shared_count < 10) {
      kill(parent, SIGUSR1);
      pause_briefly();
    }
    finish(argument);
    _exit(0);
  }
  return child;
}

static void write_to(long fd) { CHECK_EQ(write((int)fd, "done", 4), 4); }

CASE(read_restarts) {
  int ends[2];
  char buffer[8];
  CHECK_OK(pipe(ends));
  pid_t child = interrupt_then(write_to, ends[1]);
  CHECK_EQ(read(ends[0], buffer, 8), 4);
  CHECK(*shared_count >= 10);
  check_exited(child, 0);
}

CASE(read_is_interrupted_without_restart) {
  int ends[2];
  char buffer[8];
  CHECK_OK(pipe(ends));
  struct signal_pump pump = pump_with(0);
  for (int i = 0; i < 20; ++i) CHECK_FAILS(read(ends[0], buffer, 8), EINTR);
  stop_signal_pump(&pump);
}

static void read_from(long fd) {
  static char buffer[1 << 20];
  CHECK(read((int)fd, buffer, sizeof buffer) > 0);
}

CASE(write_restarts_when_nothing_was_written) {
  int ends[2];
  CHECK_OK(pipe2(ends, O_NONBLOCK));
  static char block[4096];
  while (write(ends[1], block, sizeof block) > 0) {
  }
  CHECK_EQ(fcntl(ends[1], F_SETFL, 0), 0);
  CHECK_EQ(fcntl(ends[0], F_SETFL, 0), 0);
  pid_t child = interrupt_then(read_from, ends[0]);
  CHECK_EQ(write(ends[1], block, sizeof block), sizeof block);
  check_exited(child, 0);
}

CASE(partial_write_reports_its_count) {
  int ends[2];
  CHECK_OK(pipe(ends));
  struct signal_pump pump = pump_with(SA_RESTART);
  static char block[1 << 20];
  ssize_t count = write(ends[1], block, sizeof block);
  stop_signal_pump(&pump);
  CHECK_EQ(count, 65536);
}

static void exit_later(long argument) { (void)argument; }

CASE(waitpid_restarts) {
  pid_t child = interrupt_then(exit_later, 0);
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(*shared_count >= 10);
}

CASE(waitpid_is_interrupted_without_restart) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    for (;;) pause();
  }
  struct signal_pump pump = pump_with(0);
  CHECK_FAILS(waitpid(child, NULL, 0), EINTR);
  CHECK_FAILS(waitid(P_PID, (id_t)child, NULL, WEXITED), EINTR);
  stop_signal_pump(&pump);
  CHECK_OK(kill(child, SIGKILL));
  check_killed_by(child, SIGKILL);
}

static struct sockaddr_un unix_address(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, "socket");
  return address;
}

static void connect_to_socket(long unused) {
  struct sockaddr_un address = unix_address();
  int fd = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK_OK(connect(fd, (struct sockaddr*)&address, sizeof address));
  CHECK_EQ(write(fd, "x", 1), 1);
}

CASE(accept_restarts) {
  struct sockaddr_un address = unix_address();
  int listener = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK_OK(bind(listener, (struct sockaddr*)&address, sizeof address));
  CHECK_OK(listen(listener, 1));
  pid_t child = interrupt_then(connect_to_socket, 0);
  int fd = CHECK_OK(accept(listener, NULL, NULL));
  char byte;
  CHECK_EQ(recv(fd, &byte, 1, 0), 1);
  check_exited(child, 0);
}

CASE(recv_is_interrupted_without_restart_and_with_timeout) {
  int ends[2];
  char buffer[8];
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  struct signal_pump pump = pump_with(0);
  CHECK_FAILS(recv(ends[0], buffer, 8, 0), EINTR);
  stop_signal_pump(&pump);
  // With a receive timeout the call is never restarted, SA_RESTART or not.
  struct timeval timeout = {100, 0};
  CHECK_OK(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout));
  pump = pump_with(SA_RESTART);
  CHECK_FAILS(recv(ends[0], buffer, 8, 0), EINTR);
  stop_signal_pump(&pump);
}

CASE(flock_restarts) {
  int fd = open_file_of_size("lock", 0);
  int other = CHECK_OK(open("lock", O_RDWR));
  CHECK_OK(flock(other, LOCK_EX));
  shared_count = shared_page();
  install_handler(SIGUSR1, note_shared, SA_RESTART);
  pid_t parent = getpid();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    while (*shared_count < 10) {
      kill(parent, SIGUSR1);
      pause_briefly();
    }
    flock(other, LOCK_UN);
    _exit(0);
  }
  CHECK_OK(flock(fd, LOCK_EX));
  CHECK(*shared_count >= 10);
  check_exited(child, 0);
}

CASE(record_lock_wait_is_interrupted) {
  int fd = open_file_of_size("lock", 100);
  int ready[2];
  CHECK_OK(pipe(ready));
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_OK(fcntl(fd, F_SETLK, &lock));
    CHECK_EQ(write(ready[1], "r", 1), 1);
    for (;;) pause();
  }
  char byte;
  CHECK_EQ(read(ready[0], &byte, 1), 1);
  struct signal_pump pump = pump_with(0);
  CHECK_FAILS(fcntl(fd, F_SETLKW, &lock), EINTR);
  stop_signal_pump(&pump);
  CHECK_OK(kill(child, SIGKILL));
  check_killed_by(child, SIGKILL);
}

CASE(poll_select_and_epoll_never_restart) {
  int ends[2];
  CHECK_OK(pipe(ends));
  struct signal_pump pump = pump_with(SA_RESTART);
  struct pollfd entry = {ends[0], POLLIN, 0};
  CHECK_FAILS(poll(&entry, 1, -1), EINTR);
  CHECK_FAILS(poll(&entry, 1, 100000), EINTR);
  struct timespec timeout = {100, 0};
  CHECK_FAILS(ppoll(&entry, 1, &timeout, NULL), EINTR);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(ends[0], &set);
  CHECK_FAILS(select(ends[0] + 1, &set, NULL, NULL, NULL), EINTR);
  FD_SET(ends[0], &set);
  CHECK_FAILS(pselect(ends[0] + 1, &set, NULL, NULL, &timeout, NULL), EINTR);
  int epoll = CHECK_OK(epoll_create1(0));
  struct epoll_event event = {.events = EPOLLIN};
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
  CHECK_FAILS(epoll_wait(epoll, &event, 1, -1), EINTR);
  CHECK_FAILS(epoll_pwait(epoll, &event, 1, 100000, NULL), EINTR);
  stop_signal_pump(&pump);
}

CASE(sleeps_never_restart_and_report_the_rest) {
  struct signal_pump pump = pump_with(SA_RESTART);
  struct timespec request = {100000000, 0}, rest = {0, 0};
  CHECK_FAILS(nanosleep(&request, &rest), EINTR);
  CHECK(rest.tv_sec > 0 && rest.tv_sec < request.tv_sec);  // however long the machine stood still
  rest.tv_sec = 0;
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &request, &rest), EINTR);
  CHECK(rest.tv_sec > 0 && rest.tv_sec < request.tv_sec);  // however long the machine stood still
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += 1000;
  rest.tv_sec = 77;
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, &rest), EINTR);
  CHECK_EQ(rest.tv_sec, 77);
  CHECK(sleep(1000) > 900);
  CHECK_FAILS(usleep(900000000), EINTR);
  stop_signal_pump(&pump);
}

CASE(pause_returns_after_a_handler) {
  struct signal_pump pump = pump_with(SA_RESTART);
  for (int i = 0; i < 10; ++i) CHECK_FAILS(pause(), EINTR);
  stop_signal_pump(&pump);
}

CASE(system_v_calls_never_restart) {
  int queue = CHECK_OK(msgget(IPC_PRIVATE, 0600));
  int semaphore = CHECK_OK(semget(IPC_PRIVATE, 1, 0600));
  struct signal_pump pump = pump_with(SA_RESTART);
  struct {
    long type;
    char text[8];
  } message;
  errno = 0;
  ssize_t received = msgrcv(queue, &message, 8, 0, 0);
  int receive_errno = errno;
  struct sembuf take = {0, -1, 0};
  errno = 0;
  int taken = semop(semaphore, &take, 1);
  int semaphore_errno = errno;
  stop_signal_pump(&pump);
  CHECK_OK(msgctl(queue, IPC_RMID, NULL));
  CHECK_OK(semctl(semaphore, 0, IPC_RMID));
  CHECK_EQ(received, -1);
  CHECK_EQ(receive_errno, EINTR);
  CHECK_EQ(taken, -1);
  CHECK_EQ(semaphore_errno, EINTR);
}

CASE(sigsuspend_waits_with_its_mask) {
  sigset_t blocked, open, after;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigemptyset(&open);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  struct signal_pump pump = pump_with(0);
  for (int i = 1; i <= 30; ++i) {
    CHECK_FAILS(sigsuspend(&open), EINTR);
    CHECK(handled_count >= i);
    sigprocmask(SIG_BLOCK, NULL, &after);
    CHECK_EQ(sigismember(&after, SIGUSR1), 1);
  }
  stop_signal_pump(&pump);
}

CASE(masked_polls_open_the_mask_while_waiting) {
  // The signal is pending and blocked: only the mask of the call lets it in, and it is blocked again afterwards.
  int ends[2];
  CHECK_OK(pipe(ends));
  sigset_t blocked, open, after;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigemptyset(&open);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  install_handler(SIGUSR1, note, 0);
  struct pollfd entry = {ends[0], POLLIN, 0};
  fd_set set;
  FD_ZERO(&set);
  int epoll = CHECK_OK(epoll_create1(0));
  struct epoll_event event;
  for (int i = 0; i < 20; ++i) {
    raise(SIGUSR1);
    CHECK_FAILS(ppoll(&entry, 1, NULL, &open), EINTR);
    CHECK_EQ(handled_count, 3 * i + 1);
    raise(SIGUSR1);
    CHECK_FAILS(pselect(0, &set, NULL, NULL, NULL, &open), EINTR);
    CHECK_EQ(handled_count, 3 * i + 2);
    raise(SIGUSR1);
    CHECK_FAILS(epoll_pwait(epoll, &event, 1, -1, &open), EINTR);
    CHECK_EQ(handled_count, 3 * i + 3);
    sigprocmask(SIG_BLOCK, NULL, &after);
    CHECK_EQ(sigismember(&after, SIGUSR1), 1);
  }
}

CASE(masked_poll_returns_data_when_ready) {
  int ends[2];
  CHECK_OK(pipe(ends));
  CHECK_EQ(write(ends[1], "x", 1), 1);
  sigset_t open;
  sigemptyset(&open);
  struct pollfd entry = {ends[0], POLLIN, 0};
  CHECK_EQ(ppoll(&entry, 1, NULL, &open), 1);
  CHECK_EQ(entry.revents, POLLIN);
}

static sigjmp_buf jump;
static void jump_out(int number, siginfo_t* info, void* context) { siglongjmp(jump, 1); }

CASE(longjmp_out_of_an_interrupted_read) {
  int ends[2];
  char byte;
  CHECK_OK(pipe(ends));
  install_handler(SIGUSR1, jump_out, SA_RESTART);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  struct signal_pump pump = start_signal_pump(getpid(), SIGUSR1);
  volatile int jumps = 0;
  sigsetjmp(jump, 1);
  if (jumps++ < 50) {
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    read(ends[0], &byte, 1);
    FAIL("read returned");
  }
  sigprocmask(SIG_BLOCK, &set, NULL);
  stop_signal_pump(&pump);
  CHECK_EQ(write(ends[1], "y", 1), 1);
  CHECK_EQ(read(ends[0], &byte, 1), 1);
  CHECK_EQ(byte, 'y');
}

CASE(stop_and_continue_does_not_interrupt_a_read) {
  int ends[2], ready[2];
  CHECK_OK(pipe(ends));
  CHECK_OK(pipe(ready));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    char byte;
    CHECK_EQ(write(ready[1], "r", 1), 1);
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    _exit(0);
  }
  char byte;
  int status;
  CHECK_EQ(read(ready[0], &byte, 1), 1);
  for (int i = 0; i < 5; ++i) {
    CHECK_OK(kill(child, SIGSTOP));
    CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
    CHECK_OK(kill(child, SIGCONT));
  }
  CHECK_EQ(write(ends[1], "x", 1), 1);
  check_exited(child, 0);
}

CASE(stop_and_continue_does_not_shorten_a_poll) {
  int ready[2], ends[2];
  CHECK_OK(pipe(ready));
  CHECK_OK(pipe(ends));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_EQ(write(ready[1], "r", 1), 1);
    struct pollfd entry = {ends[0], POLLIN, 0};
    CHECK_EQ(poll(&entry, 1, 100000), 1);
    _exit(0);
  }
  char byte;
  int status;
  CHECK_EQ(read(ready[0], &byte, 1), 1);
  for (int i = 0; i < 5; ++i) {
    CHECK_OK(kill(child, SIGSTOP));
    CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
    CHECK_OK(kill(child, SIGCONT));
    pause_briefly();
  }
  CHECK_EQ(write(ends[1], "x", 1), 1);
  check_exited(child, 0);
}

CASE(mutex_wait_survives_signals) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  struct signal_pump pump = pump_with(0);
  pthread_mutex_lock(&mutex);
  struct timespec soon;
  clock_gettime(CLOCK_REALTIME, &soon);
  soon.tv_nsec += 30000000;
  if (soon.tv_nsec >= 1000000000) soon.tv_sec += 1, soon.tv_nsec -= 1000000000;
  CHECK_EQ(pthread_mutex_timedlock(&mutex, &soon), ETIMEDOUT);
  stop_signal_pump(&pump);
}

CASE(open_of_fifo_is_interrupted) {
  CHECK_OK(mkfifo("fifo", 0600));
  struct signal_pump pump = pump_with(0);
  CHECK_FAILS(open("fifo", O_RDONLY), EINTR);
  CHECK_FAILS(open("fifo", O_WRONLY), EINTR);
  stop_signal_pump(&pump);
}

static void open_for_writing(long unused) { CHECK_OK(open("fifo", O_WRONLY)); }

CASE(open_of_fifo_restarts) {
  CHECK_OK(mkfifo("fifo", 0600));
  pid_t child = interrupt_then(open_for_writing, 0);
  CHECK_OK(open("fifo", O_RDONLY));
  CHECK(*shared_count >= 10);
  check_exited(child, 0);
}

CASE(no_wakeup_is_lost_between_check_and_call) {
  // sigsuspend and ppoll close the gap; a handler that writes to a pipe closes it for read. A lost one hangs.
  int ends[2];
  CHECK_OK(pipe(ends));
  shared_count = shared_page();
  pid_t parent = getpid();
  install_handler(SIGUSR1, note_shared, 0);
  sigset_t blocked, open;
  sigemptyset(&open);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    for (int i = 0; i < 2000; ++i) {
      kill(parent, SIGUSR1);
      while (*shared_count != i + 1) {
      }
    }
    _exit(0);
  }
  for (int i = 0; i < 2000; ++i) {
    if (i % 2 == 0) {
      CHECK_FAILS(sigsuspend(&open), EINTR);
    } else {
      CHECK_FAILS(ppoll(NULL, 0, NULL, &open), EINTR);
    }
  }
  check_exited(child, 0);
}
