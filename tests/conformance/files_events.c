// Descriptors that wait and signal: pipes, FIFOs, eventfd, timerfd, epoll, poll, select, splice and friends, AIO.
#include "case.h"

#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

struct ends {
  int out, in;
};

static struct ends open_pipe(int flags) {
  int fds[2];
  CHECK_OK(pipe2(fds, flags));
  return (struct ends){fds[0], fds[1]};
}

CASE(pipe_carries_data_and_end_of_file) {
  struct ends pipe = open_pipe(O_CLOEXEC);
  CHECK_EQ(fcntl(pipe.in, F_GETFD), FD_CLOEXEC);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    for (int i = 0; i < 10000; ++i) CHECK_EQ(write(pipe.in, &i, sizeof i), sizeof i);
    _exit(0);
  }
  CHECK_OK(close(pipe.in));
  int value, expected = 0;
  ssize_t size;
  while ((size = read(pipe.out, &value, sizeof value)) == sizeof value) CHECK_EQ(value, expected++);
  CHECK_EQ(size, 0);
  CHECK_EQ(expected, 10000);
  check_exited(child, 0);
}

CASE(nonblocking_pipe_reports_eagain) {
  struct ends pipe = open_pipe(O_NONBLOCK);
  char byte;
  CHECK_FAILS(read(pipe.out, &byte, 1), EAGAIN);
  static char block[4096];
  long total = 0;
  ssize_t size;
  while ((size = write(pipe.in, block, sizeof block)) > 0) total += size;
  CHECK_EQ(errno, EAGAIN);
  CHECK_EQ(total, fcntl(pipe.in, F_GETPIPE_SZ));
  int waiting;
  CHECK_OK(ioctl(pipe.out, FIONREAD, &waiting));
  CHECK_EQ(waiting, total);
}

CASE(pipe_size_changes) {
  struct ends pipe = open_pipe(0);
  CHECK_EQ(fcntl(pipe.in, F_GETPIPE_SZ), 65536);
  CHECK_EQ(fcntl(pipe.in, F_SETPIPE_SZ, 5000), 8192);
  CHECK_EQ(fcntl(pipe.out, F_GETPIPE_SZ), 8192);
}

CASE(packet_pipe_keeps_boundaries) {
  struct ends pipe = open_pipe(O_DIRECT);
  CHECK_EQ(write(pipe.in, "first", 5), 5);
  CHECK_EQ(write(pipe.in, "second", 6), 6);
  char buffer[32];
  CHECK_EQ(read(pipe.out, buffer, 32), 5);
  CHECK_EQ(read(pipe.out, buffer, 2), 2);
  struct ends plain = open_pipe(O_NONBLOCK);
  CHECK_FAILS(read(plain.out, buffer, 2), EAGAIN);
}

CASE(fifo_joins_two_processes) {
  CHECK_OK(mkfifo("fifo", 0600));
  CHECK_FAILS(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    int fd = CHECK_OK(open("fifo", O_WRONLY));
    CHECK_EQ(write(fd, "hello", 5), 5);
    _exit(0);
  }
  int fd = CHECK_OK(open("fifo", O_RDONLY));
  char buffer[8];
  CHECK_EQ(read(fd, buffer, 8), 5);
  CHECK_EQ(read(fd, buffer, 8), 0);
  check_exited(child, 0);
}

CASE(event_counter) {
  int fd = CHECK_OK(eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC));
  uint64_t value = 4;
  CHECK_EQ(write(fd, &value, 8), 8);
  CHECK_EQ(read(fd, &value, 8), 8);
  CHECK_EQ(value, 7);
  CHECK_FAILS(read(fd, &value, 8), EAGAIN);
  value = ~0ull;
  CHECK_FAILS(write(fd, &value, 8), EINVAL);
  value = ~0ull - 1;
  CHECK_EQ(write(fd, &value, 8), 8);
  value = 1;
  CHECK_FAILS(write(fd, &value, 8), EAGAIN);
  CHECK_FAILS(read(fd, &value, 4), EINVAL);
  int semaphore = CHECK_OK(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
  CHECK_EQ(read(semaphore, &value, 8), 8);
  CHECK_EQ(value, 1);
  CHECK_EQ(read(semaphore, &value, 8), 8);
  CHECK_FAILS(read(semaphore, &value, 8), EAGAIN);
  CHECK_FAILS(eventfd(0, 0x70), EINVAL);
}

CASE(event_wakes_another_process) {
  int fd = CHECK_OK(eventfd(0, 0));
  pid_t child = CHECK_OK(fork());
  uint64_t value;
  if (child == 0) {
    for (int i = 0; i < 100; ++i) {
      value = 1;
      CHECK_EQ(write(fd, &value, 8), 8);
    }
    _exit(0);
  }
  uint64_t total = 0;
  while (total < 100) {
    CHECK_EQ(read(fd, &value, 8), 8);
    total += value;
  }
  CHECK_EQ(total, 100);
  check_exited(child, 0);
}

CASE(timer_descriptor_expires) {
  int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  struct itimerspec setting = {{0, 1000000}, {0, 1000000}}, now;
  CHECK_OK(timerfd_settime(fd, 0, &setting, NULL));
  uint64_t total = 0, count;
  while (total < 5) {
    CHECK_EQ(read(fd, &count, 8), 8);
    CHECK(count > 0);
    total += count;
  }
  CHECK_OK(timerfd_gettime(fd, &now));
  CHECK_EQ(now.it_interval.tv_nsec, 1000000);
  setting = (struct itimerspec){{0, 0}, {0, 0}};
  CHECK_OK(timerfd_settime(fd, 0, &setting, NULL));
  CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
  CHECK_FAILS(read(fd, &count, 8), EAGAIN);
  setting.it_value.tv_nsec = 1;
  CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &setting, NULL));
  struct pollfd entry = {fd, POLLIN, 0};
  CHECK_EQ(poll(&entry, 1, -1), 1);
  CHECK_FAILS(timerfd_create(99, 0), EINVAL);
}

static void add(int epoll, int fd, uint32_t events) {
  struct epoll_event event = {.events = events, .data.u64 = 0x1234567800000000ull | (uint64_t)fd};
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

CASE(epoll_level_and_edge) {
  int epoll = CHECK_OK(epoll_create1(EPOLL_CLOEXEC));
  struct ends level = open_pipe(0), edge = open_pipe(0);
  add(epoll, level.out, EPOLLIN);
  add(epoll, edge.out, EPOLLIN | EPOLLET);
  struct epoll_event events[4];
  CHECK_EQ(epoll_wait(epoll, events, 4, 0), 0);
  CHECK_EQ(write(level.in, "a", 1), 1);
  CHECK_EQ(write(edge.in, "b", 1), 1);
  CHECK_EQ(epoll_wait(epoll, events, 4, -1), 2);
  CHECK_EQ(epoll_wait(epoll, events, 4, 0), 1);
  CHECK_EQ(events[0].data.u64, 0x1234567800000000ull | (uint64_t)level.out);
  CHECK_EQ(events[0].events, EPOLLIN);
  CHECK_EQ(write(edge.in, "c", 1), 1);
  CHECK_EQ(epoll_wait(epoll, events, 4, 0), 2);
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_DEL, level.out, NULL));
  CHECK_EQ(epoll_wait(epoll, events, 4, 0), 0);
}

CASE(epoll_oneshot_and_modify) {
  int epoll = CHECK_OK(epoll_create(1));
  struct ends pipe = open_pipe(0);
  add(epoll, pipe.out, EPOLLIN | EPOLLONESHOT);
  struct epoll_event event;
  CHECK_EQ(write(pipe.in, "a", 1), 1);
  CHECK_EQ(epoll_wait(epoll, &event, 1, -1), 1);
  CHECK_EQ(epoll_wait(epoll, &event, 1, 0), 0);
  event = (struct epoll_event){.events = EPOLLIN | EPOLLONESHOT};
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_MOD, pipe.out, &event));
  CHECK_EQ(epoll_wait(epoll, &event, 1, -1), 1);
  CHECK_OK(close(pipe.in));
  event = (struct epoll_event){.events = EPOLLIN};
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_MOD, pipe.out, &event));
  CHECK_EQ(epoll_wait(epoll, &event, 1, -1), 1);
  CHECK_EQ(event.events, EPOLLIN | EPOLLHUP);
}

CASE(epoll_nested_and_errors) {
  int outer = CHECK_OK(epoll_create1(0)), inner = CHECK_OK(epoll_create1(0));
  struct ends pipe = open_pipe(0);
  add(inner, pipe.out, EPOLLIN);
  add(outer, inner, EPOLLIN);
  struct epoll_event event = {.events = EPOLLIN};
  CHECK_EQ(epoll_wait(outer, &event, 1, 0), 0);
  CHECK_EQ(write(pipe.in, "a", 1), 1);
  CHECK_EQ(epoll_wait(outer, &event, 1, -1), 1);
  CHECK_FAILS(epoll_ctl(inner, EPOLL_CTL_ADD, outer, &event), ELOOP);
  CHECK_FAILS(epoll_ctl(outer, EPOLL_CTL_ADD, outer, &event), EINVAL);
  CHECK_FAILS(epoll_ctl(inner, EPOLL_CTL_ADD, pipe.out, &event), EEXIST);
  CHECK_FAILS(epoll_ctl(inner, EPOLL_CTL_DEL, pipe.in, NULL), ENOENT);
  CHECK_FAILS(epoll_ctl(inner, EPOLL_CTL_ADD, open_file_of_size("f", 1), &event), EPERM);
  CHECK_FAILS(epoll_wait(inner, &event, 0, 0), EINVAL);
  CHECK_FAILS(epoll_wait(inner, (struct epoll_event*)8, 1, -1), EFAULT);
}

CASE(epoll_exclusive_and_timespec_wait) {
  int epoll = CHECK_OK(epoll_create1(0));
  struct ends pipe = open_pipe(0);
  add(epoll, pipe.out, EPOLLIN | EPOLLEXCLUSIVE);
  struct epoll_event event = {.events = EPOLLIN};
  CHECK_FAILS(epoll_ctl(epoll, EPOLL_CTL_MOD, pipe.out, &event), EINVAL);
  struct timespec moment = {0, 1000000};
  long result = RAW(441 /* epoll_pwait2 */, epoll, &event, 1, &moment, 0, 8);
  if (result != -ENOSYS) CHECK_EQ(result, 0);
  CHECK_EQ(write(pipe.in, "a", 1), 1);
  CHECK_EQ(epoll_wait(epoll, &event, 1, -1), 1);
}

static void* write_later(void* fd) {
  pause_briefly();
  CHECK_EQ(write((int)(long)fd, "x", 1), 1);
  return NULL;
}

CASE(waits_are_woken_by_another_thread) {
  struct ends pipe = open_pipe(0);
  int epoll = CHECK_OK(epoll_create1(0));
  add(epoll, pipe.out, EPOLLIN);
  for (int i = 0; i < 30; ++i) {
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, write_later, (void*)(long)pipe.in), 0);
    struct pollfd entry = {pipe.out, POLLIN, 0};
    struct epoll_event event;
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pipe.out, &set);
    if (i % 3 == 0) CHECK_EQ(poll(&entry, 1, -1), 1);
    if (i % 3 == 1) CHECK_EQ(epoll_wait(epoll, &event, 1, -1), 1);
    if (i % 3 == 2) CHECK_EQ(select(pipe.out + 1, &set, NULL, NULL, NULL), 1);
    char byte;
    CHECK_EQ(read(pipe.out, &byte, 1), 1);
    pthread_join(thread, NULL);
  }
}

CASE(poll_reports_each_condition) {
  struct ends pipe = open_pipe(0), broken = open_pipe(0);
  close(broken.out);
  struct pollfd entries[5] = {
      {pipe.out, POLLIN, 9}, {pipe.in, POLLOUT, 9}, {900, POLLIN, 9}, {-1, POLLIN, 9}, {broken.in, POLLOUT, 9}};
  CHECK_EQ(poll(entries, 5, 0), 3);
  CHECK_EQ(entries[0].revents, 0);
  CHECK_EQ(entries[1].revents, POLLOUT);
  CHECK_EQ(entries[2].revents, POLLNVAL);
  CHECK_EQ(entries[3].revents, 0);
  CHECK_EQ(entries[4].revents, POLLOUT | POLLERR);
  CHECK_EQ(poll(NULL, 0, 1), 0);
  CHECK_FAILS(poll((struct pollfd*)8, 1, 0), EFAULT);
}

CASE(select_reports_sets_and_rest) {
  struct ends pipe = open_pipe(0);
  fd_set readable, writable;
  FD_ZERO(&readable);
  FD_ZERO(&writable);
  FD_SET(pipe.out, &readable);
  FD_SET(pipe.in, &writable);
  struct timeval timeout = {100, 0};
  CHECK_EQ(select(pipe.in + 1, &readable, &writable, NULL, &timeout), 1);
  CHECK(!FD_ISSET(pipe.out, &readable));
  CHECK(FD_ISSET(pipe.in, &writable));
  CHECK(timeout.tv_sec > 90);
  timeout = (struct timeval){0, 0};
  CHECK_EQ(select(0, NULL, NULL, NULL, &timeout), 0);
  FD_SET(40, &readable);
  CHECK_FAILS(select(41, &readable, NULL, NULL, &timeout), EBADF);
  CHECK_FAILS(select(-1, NULL, NULL, NULL, &timeout), EINVAL);
}

CASE(sendfile_copies) {
  int from = open_file_of_size("from", 0), to = open_file_of_size("to", 0);
  CHECK_EQ(write(from, "0123456789", 10), 10);
  off_t offset = 3;
  CHECK_EQ(sendfile(to, from, &offset, 4), 4);
  CHECK_EQ(offset, 7);
  int ends[2];
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  CHECK_EQ(sendfile(ends[0], from, &offset, 100), 3);
  char buffer[16];
  CHECK_EQ(read(ends[1], buffer, 16), 3);
  CHECK_MEMEQ(buffer, "789", 3);
  CHECK_EQ(pread(to, buffer, 16, 0), 4);
  CHECK_MEMEQ(buffer, "3456", 4);
  CHECK_FAILS(sendfile(to, ends[0], NULL, 1), EINVAL);
}

CASE(splice_tee_and_vmsplice) {
  int from = open_file_of_size("from", 0), to = open_file_of_size("to", 0);
  CHECK_EQ(write(from, "spliced", 7), 7);
  struct ends first = open_pipe(0), second = open_pipe(0);
  off_t offset = 0;
  CHECK_EQ(splice(from, &offset, first.in, NULL, 100, 0), 7);
  CHECK_EQ(tee(first.out, second.in, 100, 0), 7);
  char buffer[16];
  CHECK_EQ(read(second.out, buffer, 16), 7);
  CHECK_EQ(splice(first.out, NULL, to, NULL, 7, SPLICE_F_MOVE), 7);
  CHECK_EQ(pread(to, buffer, 16, 0), 7);
  CHECK_MEMEQ(buffer, "spliced", 7);
  struct iovec part = {"memory", 6};
  CHECK_EQ(vmsplice(second.in, &part, 1, 0), 6);
  CHECK_EQ(read(second.out, buffer, 16), 6);
  CHECK_FAILS(splice(from, NULL, to, NULL, 1, 0), EINVAL);
}

CASE(copy_file_range_copies) {
  int from = open_file_of_size("from", 0), to = open_file_of_size("to", 0);
  CHECK_EQ(write(from, "0123456789", 10), 10);
  off64_t in = 2, out = 5;
  CHECK_EQ(copy_file_range(from, &in, to, &out, 3, 0), 3);
  CHECK_EQ(in, 5);
  CHECK_EQ(out, 8);
  char buffer[16];
  CHECK_EQ(pread(to, buffer, 16, 0), 8);
  CHECK_MEMEQ(buffer,
              "\0\0\0\0\0"
              "234",
              8);
  CHECK_FAILS(copy_file_range(from, NULL, to, NULL, 1, 7), EINVAL);
}

CASE(asynchronous_io) {
  aio_context_t context = 0;
  long result = RAW(SYS_io_setup, 8, &context);
  if (result == -ENOSYS) SKIP("no AIO in this kernel");
  CHECK_EQ(result, 0);
  int fd = open_file_of_size("file", 4096);
  char buffer[16] = "asynchronous";
  struct iocb write_block = {.aio_data = 1,
                             .aio_lio_opcode = IOCB_CMD_PWRITE,
                             .aio_fildes = (uint32_t)fd,
                             .aio_buf = (uintptr_t)buffer,
                             .aio_nbytes = 12,
                             .aio_offset = 100};
  struct iocb* list[1] = {&write_block};
  CHECK_EQ(RAW(SYS_io_submit, context, 1, list), 1);
  struct io_event event;
  CHECK_EQ(RAW(SYS_io_getevents, context, 1, 1, &event, 0), 1);
  CHECK_EQ(event.data, 1);
  CHECK_EQ(event.res, 12);
  CHECK_EQ(pread(fd, buffer, 5, 112 - 5), 5);
  CHECK_MEMEQ(buffer, "onous", 5);
  CHECK_EQ(RAW(SYS_io_destroy, context), 0);
  CHECK_EQ(RAW(SYS_io_setup, 0, &context), -EINVAL);
}

CASE(unknown_ioctls_are_refused) {
  int fd = open_file_of_size("file", 1);
  struct ends pipe = open_pipe(0);
  CHECK_FAILS(ioctl(fd, 0x12345678, 0), ENOTTY);
  CHECK_FAILS(ioctl(pipe.out, 0x12345678, 0), ENOTTY);
  CHECK_FAILS(ioctl(900, 0x12345678, 0), EBADF);
  CHECK_FAILS(ioctl(fd, TIOCGWINSZ, 0), ENOTTY);
  int size = 0;
  CHECK_OK(ioctl(fd, FIONREAD, &size));
  CHECK_EQ(size, 1);
}
