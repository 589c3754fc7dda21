// Files used by several processes and in several ways at once: what one writes by any call, the others see by any call.
#include "case.h"

#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

enum { kPage = 4096 };

static void fill(char* buffer, size_t size, unsigned seed) {
  for (size_t i = 0; i < size; ++i) buffer[i] = (char)((i * 131 + seed * 7919 + i / kPage) & 0xff);
}

static void expect_contents(int fd, const char* wanted, size_t size) {
  char got[3 * kPage];
  for (size_t at = 0; at < size;) {
    size_t part = size - at < sizeof got ? size - at : sizeof got;
    CHECK_EQ(pread(fd, got, part, (off_t)at), (long)part);
    CHECK(memcmp(got, wanted + at, part) == 0);
    at += part;
  }
}

static int wait_for(pid_t child) {
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

CASE(writes_of_one_process_are_read_by_another) {
  int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
  static char data[5 * kPage + 123], other[sizeof data];
  fill(data, sizeof data, 1);
  CHECK_EQ(pwrite(fd, data, sizeof data, 0), (long)sizeof data);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    int own = open("f", O_RDWR);
    if (own < 0 || read(own, other, sizeof other) != (ssize_t)sizeof other) _exit(1);
    if (memcmp(data, other, sizeof data) != 0) _exit(2);
    fill(other, sizeof other, 2);
    _exit(pwrite(own, other + 100, 2 * kPage, 100) == 2 * kPage ? 0 : 3);
  }
  CHECK_EQ(wait_for(child), 0);
  fill(other, sizeof other, 2);
  memcpy(data + 100, other + 100, 2 * kPage);
  expect_contents(fd, data, sizeof data);
}

CASE(offset_is_shared_across_fork_and_exec_like_duplicates) {
  int fd = CHECK_OK(open("f", O_RDWR | O_CREAT | O_TRUNC, 0600));
  for (int round = 0; round < 8; ++round) {
    pid_t child = CHECK_OK(fork());
    if (child == 0) {
      char line[16];
      int size = snprintf(line, sizeof line, "line %d\n", round);
      _exit(write(fd, line, (size_t)size) == size ? 0 : 1);
    }
    CHECK_EQ(wait_for(child), 0);
  }
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 8 * 7);
  char text[64];
  CHECK_EQ(pread(fd, text, sizeof text, 0), 8 * 7);
  CHECK(memcmp(text, "line 0\nline 1\nline 2\n", 21) == 0);
}

CASE(appends_of_several_processes_do_not_overlap) {
  enum { kWriters = 4, kRecords = 200, kRecord = 100 };
  close(CHECK_OK(open("log", O_CREAT | O_WRONLY, 0600)));
  pid_t writers[kWriters];
  for (int w = 0; w < kWriters; ++w) {
    writers[w] = CHECK_OK(fork());
    if (writers[w] != 0) continue;
    int fd = open("log", O_WRONLY | O_APPEND);
    char record[kRecord];
    memset(record, 'a' + w, sizeof record);
    for (int i = 0; i < kRecords; ++i) {
      if (write(fd, record, sizeof record) != kRecord) _exit(1);
    }
    _exit(0);
  }
  for (int w = 0; w < kWriters; ++w) CHECK_EQ(wait_for(writers[w]), 0);
  int fd = CHECK_OK(open("log", O_RDONLY));
  int counts[kWriters] = {0};
  char record[kRecord];
  while (read(fd, record, sizeof record) == kRecord) {
    for (int i = 1; i < kRecord; ++i) CHECK_EQ(record[i], record[0]);
    ++counts[record[0] - 'a'];
  }
  for (int w = 0; w < kWriters; ++w) CHECK_EQ(counts[w], kRecords);
}

CASE(mappings_and_calls_see_each_other) {
  int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
  CHECK_OK(ftruncate(fd, 4 * kPage));
  char* map = mmap(NULL, 4 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(map != MAP_FAILED);
  CHECK_EQ(pwrite(fd, "by call", 7, kPage), 7);
  CHECK(memcmp(map + kPage, "by call", 7) == 0);
  memcpy(map + 2 * kPage, "by map", 6);
  char text[8] = {0};
  CHECK_EQ(pread(fd, text, 6, 2 * kPage), 6);
  CHECK(memcmp(text, "by map", 6) == 0);
  CHECK_OK(msync(map, 4 * kPage, MS_SYNC));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    memcpy(map + 3 * kPage, "child", 5);
    _exit(0);
  }
  CHECK_EQ(wait_for(child), 0);
  CHECK(memcmp(map + 3 * kPage, "child", 5) == 0);
  CHECK_OK(munmap(map, 4 * kPage));
  CHECK_OK(close(fd));
  fd = CHECK_OK(open("f", O_RDONLY));
  CHECK_EQ(pread(fd, text, 5, 3 * kPage), 5);
  CHECK(memcmp(text, "child", 5) == 0);
}

CASE(mapping_made_writable_later_reaches_the_file) {
  int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
  CHECK_OK(ftruncate(fd, kPage));
  char* map = mmap(NULL, kPage, PROT_READ, MAP_SHARED, fd, 0);
  CHECK(map != MAP_FAILED);
  CHECK_OK(mprotect(map, kPage, PROT_READ | PROT_WRITE));
  memcpy(map, "late", 4);
  CHECK_OK(munmap(map, kPage));
  CHECK_OK(fsync(fd));
  CHECK_OK(close(fd));
  char text[4];
  fd = CHECK_OK(open("f", O_RDONLY));
  CHECK_EQ(read(fd, text, 4), 4);
  CHECK(memcmp(text, "late", 4) == 0);
  CHECK(mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
}

CASE(every_form_of_writing_and_reading_agrees) {
  int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
  static char data[9000];
  fill(data, sizeof data, 3);
  struct iovec parts[3] = {{data, 1000}, {data + 1000, 4000}, {data + 5000, 1000}};
  CHECK_EQ(writev(fd, parts, 3), 6000);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 6000);
  struct iovec rest[2] = {{data + 6000, 2000}, {data + 8000, 1000}};
  CHECK_EQ(pwritev(fd, rest, 2, 6000), 3000);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 6000);
  expect_contents(fd, data, sizeof data);
  CHECK_EQ(pwritev2(fd, rest, 1, -1, 0), 2000);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 8000);
  CHECK_EQ(pwritev2(fd, rest, 1, 0, RWF_DSYNC), 2000);
  memcpy(data, data + 6000, 2000);
  CHECK_EQ(pwritev2(fd, parts, 1, 0, RWF_APPEND), 1000);
  CHECK_EQ(lseek(fd, 0, SEEK_END), 10000);
  char back[10000];
  struct iovec in[2] = {{back, 5000}, {back + 5000, 5000}};
  CHECK_EQ(preadv(fd, in, 2, 0), 10000);
  CHECK(memcmp(back, data, 8000) == 0);
  CHECK_EQ(lseek(fd, 9990, SEEK_SET), 9990);
  CHECK_EQ(readv(fd, in, 2), 10);
  CHECK_EQ(preadv2(fd, in, 2, -1, 0), 0);
  struct stat status;
  CHECK_OK(fstat(fd, &status));
  CHECK_EQ(status.st_size, 10000);
}

CASE(holes_read_as_zeros_and_sizes_hold) {
  int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
  CHECK_EQ(pwrite(fd, "x", 1, 10 * kPage + 5), 1);
  struct stat status;
  CHECK_OK(fstat(fd, &status));
  CHECK_EQ(status.st_size, 10 * kPage + 6);
  CHECK_OK(fsync(fd));
  CHECK_OK(close(fd));
  fd = CHECK_OK(open("f", O_RDWR));
  static char back[10 * kPage + 6], zeros[10 * kPage + 5];
  CHECK_EQ(read(fd, back, sizeof back), (long)sizeof back);
  CHECK(memcmp(back, zeros, sizeof zeros) == 0 && back[sizeof zeros] == 'x');
  CHECK_OK(ftruncate(fd, 3));
  CHECK_OK(ftruncate(fd, 2 * kPage));
  CHECK_EQ(pread(fd, back, sizeof back, 0), 2 * kPage);
  CHECK(memcmp(back, zeros, 2 * kPage) == 0);
  CHECK_OK(stat("f", &status));
  CHECK_EQ(status.st_size, 2 * kPage);
}

CASE(modify_time_follows_writes_and_settings) {
  int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
  struct timespec times[2] = {{1000, 1}, {2000, 2}};
  CHECK_OK(futimens(fd, times));
  struct stat status;
  CHECK_OK(fstat(fd, &status));
  CHECK_EQ(status.st_mtim.tv_sec, 2000);
  CHECK_EQ(status.st_mtim.tv_nsec, 2);
  CHECK_EQ(status.st_atim.tv_sec, 1000);
  CHECK_EQ(write(fd, "x", 1), 1);
  CHECK_OK(fstat(fd, &status));
  CHECK(status.st_mtim.tv_sec > 2000);
  struct stat by_name;
  CHECK_OK(stat("f", &by_name));
  CHECK_EQ(by_name.st_mtim.tv_sec, status.st_mtim.tv_sec);
  CHECK_EQ(by_name.st_mtim.tv_nsec, status.st_mtim.tv_nsec);
  CHECK_EQ(by_name.st_ino, status.st_ino);
  CHECK_EQ(by_name.st_dev, status.st_dev);
}

CASE(data_goes_through_pipes_and_sockets_by_reference) {
  static char data[3 * kPage + 10], back[sizeof data];
  fill(data, sizeof data, 4);
  int fd = CHECK_OK(open("from", O_RDWR | O_CREAT, 0600));
  CHECK_EQ(write(fd, data, sizeof data), (long)sizeof data);
  int pair[2], ends[2];
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  off_t offset = 0;
  CHECK_EQ(sendfile(pair[0], fd, &offset, sizeof data), (long)sizeof data);
  CHECK_EQ(recv(pair[1], back, sizeof back, MSG_WAITALL), (long)sizeof back);
  CHECK(memcmp(data, back, sizeof data) == 0);
  CHECK_OK(pipe(ends));
  loff_t from = 5, to = 7;
  CHECK_EQ(splice(fd, &from, ends[1], NULL, kPage, 0), kPage);
  int out = CHECK_OK(open("to", O_RDWR | O_CREAT, 0600));
  CHECK_EQ(splice(ends[0], NULL, out, &to, kPage, 0), kPage);
  CHECK_EQ(pread(out, back, kPage, 7), kPage);
  CHECK(memcmp(back, data + 5, kPage) == 0);
  CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
  CHECK_EQ(sendfile(out, fd, NULL, 100), 100);
  CHECK_EQ(pread(out, back, 100, 0), 100);
  CHECK(memcmp(back, data, 100) == 0);
}

CASE(descriptor_sent_to_another_process_is_the_same_file) {
  int pair[2];
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    char control[CMSG_SPACE(sizeof fd)] = {0}, byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    if (write(fd, "sent", 4) != 4 || sendmsg(pair[1], &message, 0) != 1) _exit(1);
    _exit(0);
  }
  char control[CMSG_SPACE(sizeof(int))], byte;
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  CHECK_EQ(recvmsg(pair[0], &message, 0), 1);
  CHECK_EQ(wait_for(child), 0);
  int fd;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  CHECK_EQ(write(fd, " on", 3), 3);
  char text[8];
  int own = CHECK_OK(open("f", O_RDONLY));
  CHECK_EQ(read(own, text, 8), 7);
  CHECK(memcmp(text, "sent on", 7) == 0);
}

CASE(descriptors_reused_for_other_files_are_those_files) {
  int ends[2];
  CHECK_OK(pipe(ends));
  int file = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
  for (int round = 0; round < 20; ++round) {
    CHECK_EQ(dup2(file, 50), 50);
    CHECK_EQ(write(50, "f", 1), 1);
    CHECK_EQ(dup2(ends[1], 50), 50);
    CHECK_EQ(write(50, "p", 1), 1);
    CHECK_OK(close(50));
    int again = CHECK_OK(fcntl(file, F_DUPFD, 50));
    CHECK_EQ(again, 50);
    CHECK_EQ(write(50, "g", 1), 1);
    CHECK_OK(close_range(50, 60, 0));
  }
  char text[64];
  CHECK_EQ(read(ends[0], text, sizeof text), 20);
  CHECK_EQ(lseek(file, 0, SEEK_END), 40);
}

CASE(removed_file_lives_on_while_open) {
  int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
  CHECK_EQ(write(fd, "still here", 10), 10);
  CHECK_OK(unlink("f"));
  int other = CHECK_OK(open("f", O_RDWR | O_CREAT | O_EXCL, 0600));
  CHECK_EQ(write(other, "new", 3), 3);
  char text[16];
  CHECK_EQ(pread(fd, text, sizeof text, 0), 10);
  CHECK(memcmp(text, "still here", 10) == 0);
  struct stat status;
  CHECK_OK(fstat(fd, &status));
  CHECK_EQ(status.st_nlink, 0);
  CHECK_OK(ftruncate(fd, 5));
  CHECK_OK(fstat(fd, &status));
  CHECK_EQ(status.st_size, 5);
}

CASE(directory_descriptor_follows_a_rename) {
  CHECK_OK(mkdir("a", 0700));
  int fd = CHECK_OK(open("a", O_RDONLY | O_DIRECTORY));
  CHECK_OK(rename("a", "b"));
  int file = CHECK_OK(openat(fd, "inside", O_RDWR | O_CREAT, 0600));
  CHECK_OK(close(file));
  CHECK_OK(access("b/inside", F_OK));
  CHECK_OK(fchdir(fd));
  char path[PATH_MAX];
  CHECK(getcwd(path, sizeof path) != NULL);
  CHECK(strcmp(strrchr(path, '/'), "/b") == 0);
  CHECK_OK(access("inside", F_OK));
  CHECK_OK(access("../b/./inside", F_OK));
}

CASE(socket_and_fifo_beside_files) {
  struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "sock"};
  int server = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK_OK(bind(server, (struct sockaddr*)&name, sizeof name));
  CHECK_FAILS(bind(CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr*)&name, sizeof name), EADDRINUSE);
  CHECK_OK(listen(server, 1));
  struct stat status;
  CHECK_OK(stat("sock", &status));
  CHECK(S_ISSOCK(status.st_mode));
  int client = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK_OK(connect(client, (struct sockaddr*)&name, sizeof name));
  struct sockaddr_un seen;
  socklen_t size = sizeof seen;
  CHECK_OK(getpeername(client, (struct sockaddr*)&seen, &size));
  CHECK(strcmp(seen.sun_path, "sock") == 0);
  CHECK_OK(unlink("sock"));
  CHECK_FAILS(connect(CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr*)&name, sizeof name), ENOENT);
  CHECK_OK(mkfifo("fifo", 0600));
  int both = CHECK_OK(open("fifo", O_RDWR));
  CHECK_EQ(write(both, "x", 1), 1);
  int reader = CHECK_OK(open("fifo", O_RDONLY | O_NONBLOCK));
  char byte;
  CHECK_EQ(read(reader, &byte, 1), 1);
}

// Read again and again by position, as databases do: the runtime answers such reads by itself after a while.
enum { kOften = 200 };
static void read_often(int fd) {
  char byte;
  for (int i = 0; i < kOften; ++i) CHECK_EQ(pread(fd, &byte, 1, 0), 1);
}

static int often_read_file(const char* name, const char* data, size_t size) {
  int fd = CHECK_OK(open(name, O_RDWR | O_CREAT, 0600));
  CHECK_EQ(pwrite(fd, data, size, 0), (long)size);
  read_often(fd);
  return fd;
}

CASE(often_read_file_shows_truncation_and_growth) {
  static char data[8 * kPage], got[sizeof data + 1];
  fill(data, sizeof data, 3);
  int fd = often_read_file("f", data, sizeof data);
  expect_contents(fd, data, sizeof data);
  CHECK_EQ(pread(fd, got, sizeof got, 0), (long)sizeof data);
  CHECK_EQ(pread(fd, got, 1, sizeof data), 0);
  CHECK_OK(ftruncate(fd, kPage + 100));
  CHECK_EQ(pread(fd, got, kPage, kPage), 100);
  CHECK_EQ(pread(fd, got, kPage, 2 * kPage), 0);
  CHECK_OK(ftruncate(fd, sizeof data));
  memset(data + kPage + 100, 0, sizeof data - kPage - 100);
  expect_contents(fd, data, sizeof data);
  fill(data + 3 * kPage, kPage, 4);
  CHECK_EQ(pwrite(fd, data + 3 * kPage, kPage, 3 * kPage), kPage);
  expect_contents(fd, data, sizeof data);
}

CASE(often_read_file_shows_what_other_processes_do) {
  static char data[4 * kPage], got[kPage];
  fill(data, sizeof data, 5);
  int fd = often_read_file("f", data, sizeof data);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    expect_contents(fd, data, sizeof data);
    fill(data + kPage, kPage, 6);
    int own = CHECK_OK(open("f", O_RDWR));
    CHECK_EQ(pwrite(own, data + kPage, kPage, kPage), kPage);
    expect_contents(fd, data, sizeof data);
    CHECK_OK(ftruncate(own, 2 * kPage + 10));
    _exit(0);
  }
  CHECK_EQ(wait_for(child), 0);
  fill(data + kPage, kPage, 6);
  expect_contents(fd, data, 2 * kPage + 10);
  CHECK_EQ(pread(fd, got, kPage, 2 * kPage), 10);
}

CASE(often_read_file_refuses_what_the_kernel_refuses) {
  static char data[kPage];
  int fd = often_read_file("f", data, sizeof data);
  CHECK_FAILS(pread(fd, (char*)16, kPage, 0), EFAULT);
  int writer = CHECK_OK(open("f", O_WRONLY));
  CHECK_FAILS(pread(writer, data, 1, 0), EBADF);
  int other = CHECK_OK(open("g", O_RDWR | O_CREAT, 0600));
  CHECK_EQ(pwrite(other, "other", 5, 0), 5);
  CHECK_EQ(dup2(other, fd), fd);
  CHECK_EQ(pread(fd, data, sizeof data, 0), 5);
  CHECK(memcmp(data, "other", 5) == 0);
  CHECK_OK(close(fd));
  CHECK_FAILS(pread(fd, data, 1, 0), EBADF);
}

CASE(closing_an_often_read_file_gives_its_locks_back) {
  static char data[kPage];
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
  int fd = often_read_file("f", data, sizeof data);
  CHECK_OK(fcntl(fd, F_OFD_SETLK, &lock));
  CHECK_OK(close(fd));
  int again = CHECK_OK(open("f", O_RDWR));
  CHECK_OK(fcntl(again, F_OFD_SETLK, &lock));
}

// Databases map for reading what they write by other calls; some change that with mprotect.
CASE(read_only_mapping_made_writable_reaches_the_file) {
  int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
  CHECK_OK(ftruncate(fd, 16 * kPage));
  char* const map = mmap(NULL, 16 * kPage, PROT_READ, MAP_SHARED, fd, 0);
  CHECK(map != MAP_FAILED);
  CHECK_EQ(map[kPage], 0);
  CHECK_OK(fsync(fd));
  CHECK_OK(mprotect(map + kPage, 2 * kPage, PROT_READ | PROT_WRITE));
  map[kPage] = 'a';
  CHECK_OK(msync(map, 16 * kPage, MS_SYNC));
  map[2 * kPage] = 'b';
  CHECK_OK(fsync(fd));
  char got[2];
  CHECK_EQ(pread(fd, got, 1, kPage), 1);
  CHECK_EQ(pread(fd, got + 1, 1, 2 * kPage), 1);
  CHECK(memcmp(got, "ab", 2) == 0);
}

CASE(mapping_that_grows_shows_the_file) {
  int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
  char data[kPage];
  for (int page = 0; page < 600; ++page) {
    fill(data, sizeof data, (unsigned)page);
    CHECK_EQ(write(fd, data, sizeof data), kPage);
  }
  CHECK_OK(fsync(fd));
  char* map = mmap(NULL, kPage, PROT_READ, MAP_SHARED, fd, 0);
  CHECK(map != MAP_FAILED);
  map = mremap(map, kPage, 600 * kPage, MREMAP_MAYMOVE);
  CHECK(map != MAP_FAILED);
  for (int page = 0; page < 600; ++page) {
    fill(data, sizeof data, (unsigned)page);
    CHECK(memcmp(map + (size_t)page * kPage, data, kPage) == 0);
  }
}
