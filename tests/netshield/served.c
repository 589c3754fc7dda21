/* Servers in one file, one behaviour each: what programs do with accepted connections. tests/netshield/served.py runs
   each natively with plain clients and under the network shield with TLS clients, and wants the same lines and bytes.

       served PORT BEHAVIOUR        says "ready", serves, says what it saw, one line per fact */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int listener;
static char bytes[1 << 20];

static void say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
  fflush(stdout);
}

static void must(int holds, const char* what) {
  if (holds) return;
  say("FAILED %s: %s", what, strerror(errno));
  exit(1);
}

/* "count", or the error's name. */
static const char* told(long result) {
  static char text[4][32];
  static unsigned at;
  char* out = text[at++ % 4];
  if (result >= 0)
    snprintf(out, 32, "%ld", result);
  else
    snprintf(out, 32, "%s", strerrorname_np(errno));
  return out;
}

static int take(void) {
  int fd = accept(listener, NULL, NULL);
  must(fd >= 0, "accept");
  return fd;
}

static long read_all(int fd, char* to, long size) {
  long done = 0;
  while (done < size) {
    long got = read(fd, to + done, size - done);
    if (got <= 0) return done != 0 ? done : got;
    done += got;
  }
  return done;
}

static void write_all(int fd, const char* from, long size) {
  while (size > 0) {
    long put = write(fd, from, size);
    must(put > 0, "write");
    from += put;
    size -= put;
  }
}

static void echo_until_end(int fd) {
  for (;;) {
    long got = read(fd, bytes, sizeof(bytes));
    if (got <= 0) {
      say("end %s", told(got));
      return;
    }
    write_all(fd, bytes, got);
  }
}

/* --- behaviours --- */

static void echo(void) {
  for (int i = 0; i < 3; ++i) {
    int fd = take();
    echo_until_end(fd);
    close(fd);
  }
}

static void set_non_blocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

static void echo_poll(void) {
  int fd = take();
  set_non_blocking(fd);
  for (;;) {
    struct pollfd entry = {fd, POLLIN, 0};
    must(poll(&entry, 1, 10000) == 1, "poll");
    long got = read(fd, bytes, 1000);
    if (got < 0 && errno == EAGAIN) continue;
    if (got <= 0) {
      say("end %s", told(got));
      break;
    }
    for (long done = 0; done < got;) {
      long put = write(fd, bytes + done, got - done);
      if (put < 0 && errno == EAGAIN) {
        entry.events = POLLOUT;
        must(poll(&entry, 1, 10000) == 1, "poll for writing");
        continue;
      }
      must(put > 0, "write");
      done += put;
    }
  }
  close(fd);
}

static void echo_select(void) {
  int fd = take();
  for (;;) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    struct timeval limit = {10, 0};
    must(select(fd + 1, &set, NULL, NULL, &limit) == 1, "select");
    long got = recv(fd, bytes, 777, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) continue;
    if (got <= 0) {
      say("end %s", told(got));
      break;
    }
    write_all(fd, bytes, got);
  }
  close(fd);
}

/* An event loop with connections that come and go; `flags` of each connection. */
static void echo_epoll(unsigned flags, int reads_all) {
  int epoll = epoll_create1(0), ended = 0;
  struct epoll_event event = {EPOLLIN, {.fd = listener}};
  set_non_blocking(listener);
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  while (ended < 3) {
    must(epoll_wait(epoll, &event, 1, 10000) == 1, "epoll_wait");
    int fd = event.data.fd;
    if (fd == listener) {
      fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
      if (fd < 0) continue;
      event.events = EPOLLIN | flags;
      event.data.fd = fd;
      epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
      continue;
    }
    int is_open = 1;
    do {
      long got = read(fd, bytes, 3000);
      if (got < 0 && errno == EAGAIN) break;
      if (got <= 0) {
        say("end %s", told(got));
        close(fd);
        ++ended;
        is_open = 0;
        break;
      }
      for (long done = 0; done < got;) {
        long put = write(fd, bytes + done, got - done);
        struct pollfd entry = {fd, POLLOUT, 0};
        if (put < 0 && errno == EAGAIN) {
          must(poll(&entry, 1, 10000) == 1, "poll");
          continue;
        }
        must(put > 0, "write");
        done += put;
      }
    } while (reads_all);
    if (is_open && (flags & EPOLLONESHOT)) {
      event.events = EPOLLIN | flags;
      event.data.fd = fd;
      epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
    }
  }
}
static void echo_level(void) { echo_epoll(0, 0); }
static void echo_edge(void) { echo_epoll(EPOLLET, 1); }
static void echo_oneshot(void) { echo_epoll(EPOLLONESHOT, 0); }
static void echo_edge_oneshot(void) { echo_epoll(EPOLLET | EPOLLONESHOT, 1); }

/* Two processes wait for one connection in one epoll; each piece of data is read by one of them. */
static void shared_epoll(void) {
  int fd = take(), epoll = epoll_create1(0), pipes[2];
  set_non_blocking(fd);
  struct epoll_event event = {EPOLLIN | EPOLLEXCLUSIVE, {.fd = fd}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  must(pipe(pipes) == 0, "pipe");
  for (int i = 0; i < 2; ++i) {
    if (fork() != 0) continue;
    long sum = 0;
    for (;;) {
      if (epoll_wait(epoll, &event, 1, 10000) != 1) break;
      long got = read(fd, bytes, 10);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) break;
      sum += got;
    }
    write(pipes[1], &sum, sizeof(sum));
    _exit(0);
  }
  long sum = 0, all = 0;
  for (int i = 0; i < 2; ++i) {
    must(read(pipes[0], &sum, sizeof(sum)) == sizeof(sum), "read");
    all += sum;
  }
  while (wait(NULL) > 0)
    ;
  say("read %ld", all);
  write_all(fd, "done", 4);
  close(fd);
}

static void forking(void) {
  for (int i = 0; i < 3; ++i) {
    int fd = take();
    if (fork() == 0) {
      close(listener);
      echo_until_end(fd);
      close(fd);
      _exit(0);
    }
    close(fd); /* must not end the connection */
    wait(NULL);
  }
}

static void preforked(void) {
  for (int i = 0; i < 3; ++i) {
    if (fork() == 0) {
      int fd = take();
      echo_until_end(fd);
      close(fd);
      _exit(0);
    }
  }
  while (wait(NULL) > 0)
    ;
}

/* Parent and child write to one connection in turn. */
static void both_sides(void) {
  int fd = take(), turn[2], back[2];
  must(pipe(turn) == 0 && pipe(back) == 0, "pipe");
  pid_t child = fork();
  for (int i = 0; i < 50; ++i) {
    char byte;
    if (child == 0) {
      must(read(turn[0], &byte, 1) == 1, "turn");
      dprintf(fd, "child %d\n", i);
      must(write(back[1], "x", 1) == 1, "back");
    } else {
      dprintf(fd, "parent %d\n", i);
      must(write(turn[1], "x", 1) == 1, "turn");
      must(read(back[0], &byte, 1) == 1, "back");
    }
  }
  if (child == 0) _exit(0);
  wait(NULL);
  write_all(fd, "all\n", 4);
  close(fd);
}

static void duplicated(void) {
  int fd = take();
  int copy = dup(fd), high = fcntl(fd, F_DUPFD_CLOEXEC, 100), onto = open("/dev/null", O_RDONLY);
  must(dup2(fd, onto) == onto, "dup2");
  close(fd);
  must(read_all(copy, bytes, 3) == 3, "read");
  close(copy);
  write_all(high, bytes, 3);
  close(high);
  write_all(onto, "!", 1);
  must(dup2(open("/dev/null", O_RDWR), onto) == onto, "dup2"); /* the last close */
  say("closed %s", told(write(onto, "plain", 5)));
}

static void executed(void) {
  int fd = take();
  int kept = dup2(fd, 9);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (fork() == 0) {
    execl("/bin/sh", "sh", "-c", "read line <&9; echo \"shell got $line\" >&9", NULL);
    _exit(1);
  }
  close(kept);
  close(fd);
  int status;
  wait(&status);
  say("shell %d", WEXITSTATUS(status));
}

static void half_closed(void) {
  int fd = take();
  long got = read_all(fd, bytes, sizeof(bytes)); /* until the peer shuts its side down */
  say("got %ld", got);
  write_all(fd, bytes, got);
  must(shutdown(fd, SHUT_WR) == 0, "shutdown");
  signal(SIGPIPE, SIG_IGN);
  say("write %s", told(write(fd, "x", 1)));
  say("send %s", told(send(fd, "x", 1, MSG_NOSIGNAL)));
  close(fd);
}

static volatile sig_atomic_t signals;
static void count(int signal) {
  (void)signal;
  ++signals;
}

static void broken_pipe(void) {
  int fd = take();
  must(read_all(fd, bytes, 1) == 1, "read");
  struct sigaction action = {.sa_handler = count};
  sigaction(SIGPIPE, &action, NULL);
  shutdown(fd, SHUT_WR);
  const char* result = told(write(fd, "x", 1));
  say("write %s signals %d", result, (int)signals);
  close(fd);
}

static void peeks(void) {
  int fd = take();
  must(recv(fd, bytes, 6, MSG_WAITALL) == 6, "recv");
  say("first %.6s", bytes);
  say("peek %s %.4s", told(recv(fd, bytes, 4, MSG_PEEK)), bytes);
  say("peek %s %.4s", told(recv(fd, bytes, 4, MSG_PEEK)), bytes);
  int ready = 0;
  must(ioctl(fd, FIONREAD, &ready) == 0, "FIONREAD");
  say("ready %d", ready);
  say("read %s %.10s", told(recv(fd, bytes, 10, 0)), bytes);
  say("empty %s", told(recv(fd, bytes, 10, MSG_DONTWAIT)));
  must(ioctl(fd, FIONREAD, &ready) == 0 && ready == 0, "FIONREAD of nothing");
  write_all(fd, "more", 4);
  char part[4];
  memset(part, 'z', 4);
  say("drop %s %.4s", told(recv(fd, part, 4, MSG_TRUNC)), part);
  say("all %s %.6s", told(recv(fd, bytes, 6, MSG_WAITALL)), bytes);
  say("oob %s", told(recv(fd, bytes, 1, MSG_OOB)));
  close(fd);
}

static void messages(void) {
  int fd = take();
  char a[3], b[100];
  struct iovec parts[3] = {{a, 3}, {NULL, 0}, {b, sizeof(b)}};
  struct msghdr header = {.msg_iov = parts, .msg_iovlen = 3, .msg_namelen = 0};
  long got = recvmsg(fd, &header, 0);
  say("recvmsg %ld %.3s %.*s %u", got, a, (int)(got - 3), b, (unsigned)header.msg_flags);
  got = readv(fd, parts, 3);
  say("readv %ld %.3s %.*s", got, a, (int)(got - 3), b);
  struct iovec out[3] = {{"one ", 4}, {"two ", 4}, {"three\n", 6}};
  say("writev %s", told(writev(fd, out, 3)));
  header.msg_iov = out;
  say("sendmsg %s", told(sendmsg(fd, &header, 0)));
  struct mmsghdr many[2] = {{.msg_hdr = {.msg_iov = out, .msg_iovlen = 1}},
                            {.msg_hdr = {.msg_iov = out + 1, .msg_iovlen = 2}}};
  say("sendmmsg %s %u %u", told(sendmmsg(fd, many, 2, 0)), many[0].msg_len, many[1].msg_len);
  must(read_all(fd, bytes, 4) == 4, "read");
  struct iovec in[2] = {{a, 2}, {b, 50}};
  struct mmsghdr taken[2] = {{.msg_hdr = {.msg_iov = in, .msg_iovlen = 1}},
                             {.msg_hdr = {.msg_iov = in + 1, .msg_iovlen = 1}}};
  say("recvmmsg %s %u %u", told(recvmmsg(fd, taken, 2, MSG_WAITFORONE, NULL)), taken[0].msg_len, taken[1].msg_len);
  char* volatile nowhere = (char*)1;
  say("bad %s", told(write(fd, nowhere, 5)));
  say("bad %s", told(writev(fd, (struct iovec*)nowhere, 1)));
  say("pread %s", told(pread(fd, bytes, 1, 0)));
  say("seek %s", told(lseek(fd, 0, SEEK_CUR)));
  close(fd);
}

static void limits(void) {
  int fd = take(), value = 0;
  socklen_t size = sizeof(value);
  struct timeval limit = {0, 200000}, before, after;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  must(read_all(fd, bytes, 1) == 1, "read");
  gettimeofday(&before, NULL);
  say("timeout %s", told(read(fd, bytes, 10)));
  gettimeofday(&after, NULL);
  must((after.tv_sec - before.tv_sec) * 1000000 + after.tv_usec - before.tv_usec >= 190000, "waited too short");
  memset(&limit, 0, sizeof(limit));
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  value = 8;
  must(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof(value)) == 0, "SO_RCVLOWAT");
  value = 0;
  must(getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &value, &size) == 0, "SO_RCVLOWAT");
  write_all(fd, "go", 2);
  long got = read(fd, bytes, 100);
  say("low water %d, at least %d", value, got >= 8);
  say("error %s", told(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &size)));
  say("value %d", value);
  close(fd);
}

static void* writer(void* argument) {
  int fd = *(int*)argument;
  usleep(200000);
  kill(getpid(), SIGUSR1);
  usleep(200000);
  write_all(fd, "wake", 4);
  return NULL;
}

static void interrupted(int flags) {
  int fd = take(), copy = fd;
  must(read_all(fd, bytes, 1) == 1, "read");
  struct sigaction action = {.sa_handler = count, .sa_flags = flags};
  sigaction(SIGUSR1, &action, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  pthread_t thread;
  pthread_create(&thread, NULL, writer, &copy);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  const char* result = told(read(fd, bytes, 100));
  say("read %s signals %d", result, (int)signals);
  pthread_join(thread, NULL);
  close(fd);
}
static void interrupted_read(void) { interrupted(0); }
static void restarted_read(void) { interrupted(SA_RESTART); }

static void sends_file(void) {
  int fd = take();
  char name[] = "served-XXXXXX";
  int file = mkstemp(name);
  for (int i = 0; i < 300000; ++i) bytes[i] = (char)(i * 7 + i / 251);
  write_all(file, bytes, 300000);
  lseek(file, 0, SEEK_SET);
  off_t at = 100000;
  long total = 0;
  while (at < 300000) {
    long put = sendfile(fd, file, &at, 300000 - at);
    must(put > 0, "sendfile");
    total += put;
  }
  say("sent %ld, position %ld", total, (long)lseek(file, 0, SEEK_CUR));
  long first = sendfile(fd, file, NULL, 100000);
  while (first > 0 && first < 100000) {
    long put = sendfile(fd, file, NULL, 100000 - first);
    must(put > 0, "sendfile");
    first += put;
  }
  say("sent %ld, position %ld", first, (long)lseek(file, 0, SEEK_CUR));
  close(fd);
  unlink(name);
}

/* A peer that does not read: how much goes, that the rest is refused, and that all arrives in the end. */
static void full(void) {
  int fd = take();
  must(read_all(fd, bytes, 1) == 1, "read");
  set_non_blocking(fd);
  memset(bytes, 'f', sizeof(bytes));
  long sent = 0, target = 8 << 20;
  for (;;) {
    long put = write(fd, bytes, sizeof(bytes));
    if (put < 0) break;
    sent += put;
    must(sent < target, "no end of room");
  }
  must(errno == EAGAIN, "EAGAIN");
  struct pollfd entry = {fd, POLLOUT, 0};
  say("full");
  while (sent < target) {
    must(poll(&entry, 1, 10000) == 1, "poll");
    long size = target - sent < (long)sizeof(bytes) ? target - sent : (long)sizeof(bytes);
    long put = write(fd, bytes, size);
    if (put < 0 && errno == EAGAIN) continue;
    must(put > 0, "write");
    sent += put;
  }
  say("sent %ld", sent);
  close(fd); /* what was written still arrives */
}

static void blocking_full(void) {
  int fd = take();
  memset(bytes, 'b', sizeof(bytes));
  for (int i = 0; i < 8; ++i) write_all(fd, bytes, sizeof(bytes));
  say("sent");
  exit(0); /* without close */
}

/* What a program may have in its vector registers while it makes a call. */
static struct {
  unsigned char before[32][64], after[32][64];
  unsigned long masks_before[8], masks_after[8];
  unsigned control_before, control_after;
} vectors __attribute__((aligned(64)));

#define ALL_YMM(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define HIGH_ZMM(X) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
#define MASKS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define LOAD_YMM(n) "vmovdqu 64*" #n "(%[from]), %%ymm" #n "\n"
#define STORE_YMM(n) "vmovdqu %%ymm" #n ", 64*" #n "(%[to])\n"
#define LOAD_ZMM(n) "vmovdqu64 64*" #n "(%[from]), %%zmm" #n "\n"
#define STORE_ZMM(n) "vmovdqu64 %%zmm" #n ", 64*" #n "(%[to])\n"
#define LOAD_MASK(n) "kmovw 8*" #n "(%[masks]), %%k" #n "\n"
#define STORE_MASK(n) "kmovw %%k" #n ", 8*" #n "(%[seen])\n"

static long call_with_ymm(long number, long fd, void* buffer, long size) {
  register const void* from asm("r12") = vectors.before;
  register void* to asm("r13") = vectors.after;
  long result;
  asm volatile("ldmxcsr %[before]\n" ALL_YMM(LOAD_YMM) "syscall\n" ALL_YMM(STORE_YMM) "stmxcsr %[after]\nvzeroupper\n"
               : "=a"(result), [after] "=m"(vectors.control_after)
               : "a"(number), "D"(fd), "S"(buffer),
                 "d"(size), [from] "r"(from), [to] "r"(to), [before] "m"(vectors.control_before)
               : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                 "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  return result;
}

__attribute__((target("avx512f"))) static long call_with_zmm(long number, long fd, void* buffer, long size) {
  register const void* from asm("r12") = vectors.before;
  register void* to asm("r13") = vectors.after;
  register const void* masks asm("r14") = vectors.masks_before;
  register void* seen asm("r15") = vectors.masks_after;
  long result;
  asm volatile("ldmxcsr %[before]\n" ALL_YMM(LOAD_ZMM) HIGH_ZMM(LOAD_ZMM)
                   MASKS(LOAD_MASK) "syscall\n" ALL_YMM(STORE_ZMM) HIGH_ZMM(STORE_ZMM)
                       MASKS(STORE_MASK) "stmxcsr %[after]\nvzeroupper\n"
               : "=a"(result), [after] "=m"(vectors.control_after)
               : "a"(number), "D"(fd), "S"(buffer), "d"(size), [from] "r"(from), [to] "r"(to), [masks] "r"(masks),
                 [seen] "r"(seen), [before] "m"(vectors.control_before)
               : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                 "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20",
                 "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31",
                 "k1", "k2", "k3", "k4", "k5", "k6", "k7");
  return result;
}

static void fill_vectors(int round) {
  for (int i = 0; i < 32; ++i)
    for (int j = 0; j < 64; ++j) vectors.before[i][j] = (unsigned char)(i * 67 + j * 3 + round * 11 + 1);
  for (int i = 0; i < 8; ++i) vectors.masks_before[i] = (unsigned long)(i * 0x1357 + round) & 0xffff;
  vectors.control_before = 0x1f80 | (unsigned)(round & 3) << 13;
  memset(vectors.after, 0, sizeof(vectors.after));
}

/* Reads and writes keep the program's vector and mask registers and its rounding mode. */
static void registers(void) {
  int fd = take();
  __builtin_cpu_init();
  const int is_wide = __builtin_cpu_supports("avx512f");
  long changed = 0;
  for (int round = 0; round < 40; ++round) {
    fill_vectors(round);
    const long number = round % 2, size = round < 20 ? 100 : 2000; /* read, write, read ... */
    const long done = is_wide ? call_with_zmm(number, fd, bytes, size) : call_with_ymm(number, fd, bytes, size);
    must(done > 0, "call");
    if (number == 0 && done < size) must(read_all(fd, bytes + done, size - done) == size - done, "read");
    for (int i = 0; i < (is_wide ? 32 : 16); ++i)
      changed += memcmp(vectors.before[i], vectors.after[i], is_wide ? 64 : 32) != 0;
    for (int i = 1; is_wide && i < 8; ++i) changed += vectors.masks_before[i] != vectors.masks_after[i];
    changed += vectors.control_before != (vectors.control_after & ~0x3fU);
  }
  say("changed %ld", changed);
  must(changed == 0, "registers");
  close(fd);
}

static void* echo_thread(void* argument) {
  int fd = *(int*)argument;
  char part[5000];
  for (;;) {
    long got = read(fd, part, sizeof(part));
    if (got <= 0) break;
    write_all(fd, part, got);
  }
  close(fd);
  return NULL;
}
static void threads(void) {
  pthread_t thread[3];
  int fds[3];
  for (int i = 0; i < 3; ++i) {
    fds[i] = take();
    pthread_create(&thread[i], NULL, echo_thread, &fds[i]);
  }
  for (int i = 0; i < 3; ++i) pthread_join(thread[i], NULL);
  say("ended");
}

static const struct {
  const char* name;
  void (*run)(void);
} behaviours[] = {
    {"echo", echo},
    {"echo_poll", echo_poll},
    {"echo_select", echo_select},
    {"echo_level", echo_level},
    {"echo_edge", echo_edge},
    {"echo_oneshot", echo_oneshot},
    {"echo_edge_oneshot", echo_edge_oneshot},
    {"shared_epoll", shared_epoll},
    {"forking", forking},
    {"preforked", preforked},
    {"both_sides", both_sides},
    {"duplicated", duplicated},
    {"executed", executed},
    {"half_closed", half_closed},
    {"broken_pipe", broken_pipe},
    {"peeks", peeks},
    {"messages", messages},
    {"limits", limits},
    {"interrupted_read", interrupted_read},
    {"restarted_read", restarted_read},
    {"sends_file", sends_file},
    {"full", full},
    {"blocking_full", blocking_full},
    {"threads", threads},
    {"registers", registers},
};

int main(int argc, char** argv) {
  must(argc == 3, "served PORT BEHAVIOUR");
  listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  must(bind(listener, (struct sockaddr*)&address, sizeof(address)) == 0, "bind");
  must(listen(listener, 64) == 0, "listen");
  say("ready");
  for (unsigned i = 0; i < sizeof(behaviours) / sizeof(behaviours[0]); ++i) {
    if (strcmp(behaviours[i].name, argv[2]) != 0) continue;
    alarm(60);
    behaviours[i].run();
    return 0;
  }
  say("FAILED no such behaviour");
  return 1;
}
