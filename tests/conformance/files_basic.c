// Opening, reading, writing and the state of open files.
#include "case.h"

#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/uio.h>

CASE(open_flags_create_exclusive_truncate) {
  int fd = CHECK_OK(open("file", O_RDWR | O_CREAT | O_EXCL, 0640));
  CHECK_FAILS(open("file", O_RDWR | O_CREAT | O_EXCL, 0640), EEXIST);
  CHECK_EQ(write(fd, "12345", 5), 5);
  struct stat status;
  CHECK_OK(stat("file", &status));
  CHECK_EQ(status.st_size, 5);
  CHECK_OK(open("file", O_WRONLY | O_TRUNC));
  CHECK_OK(stat("file", &status));
  CHECK_EQ(status.st_size, 0);
  CHECK_FAILS(open("missing", O_RDONLY), ENOENT);
  CHECK_FAILS(open("file/x", O_RDONLY), ENOTDIR);
  CHECK_FAILS(open(".", O_WRONLY), EISDIR);
  CHECK_FAILS(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
}

CASE(lowest_free_descriptor_is_used) {
  int first = CHECK_OK(open("/dev/null", O_RDONLY));
  int second = CHECK_OK(open("/dev/null", O_RDONLY));
  CHECK_EQ(second, first + 1);
  CHECK_OK(close(first));
  CHECK_EQ(open("/dev/null", O_RDONLY), first);
  CHECK_OK(close(0));
  CHECK_EQ(open("/dev/null", O_RDONLY), 0);
}

CASE(first_opened_descriptor_is_three) {
  // The runner starts every case with the three standard descriptors only.
  CHECK_EQ(open("/dev/null", O_RDONLY), 3);
  CHECK_EQ(open("/dev/null", O_RDONLY), 4);
}

CASE(append_writes_at_the_end) {
  write_file("log", "one");
  int first = CHECK_OK(open("log", O_WRONLY | O_APPEND));
  int second = CHECK_OK(open("log", O_WRONLY | O_APPEND));
  CHECK_EQ(write(first, "two", 3), 3);
  CHECK_EQ(write(second, "three", 5), 5);
  CHECK_EQ(lseek(first, 0, SEEK_SET), 0);
  CHECK_EQ(write(first, "four", 4), 4);
  CHECK_STREQ(read_file("log", NULL), "onetwothreefour");
}

CASE(temporary_file_without_name) {
  int fd = open(".", O_TMPFILE | O_RDWR, 0600);
  if (fd < 0 && errno == EOPNOTSUPP) SKIP("file system without O_TMPFILE");
  CHECK_OK(fd);
  CHECK_EQ(write(fd, "hidden", 6), 6);
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  CHECK_OK(linkat(AT_FDCWD, link, AT_FDCWD, "visible", AT_SYMLINK_FOLLOW));
  CHECK_STREQ(read_file("visible", NULL), "hidden");
}

CASE(direct_io_needs_alignment) {
  int fd = open("direct", O_RDWR | O_CREAT | O_DIRECT, 0600);
  if (fd < 0 && errno == EINVAL) SKIP("file system without O_DIRECT");
  CHECK_OK(fd);
  char* buffer = aligned_alloc(4096, 8192);
  memset(buffer, 'd', 8192);
  CHECK_EQ(write(fd, buffer, 4096), 4096);
  CHECK_FAILS(write(fd, buffer + 1, 4096), EINVAL);
  CHECK_EQ(pread(fd, buffer + 4096, 4096, 0), 4096);
  CHECK_EQ(buffer[8191], 'd');
}

CASE(path_descriptor_only_names) {
  write_file("file", "contents");
  int fd = CHECK_OK(open("file", O_PATH));
  char byte;
  CHECK_FAILS(read(fd, &byte, 1), EBADF);
  CHECK_FAILS(ioctl(fd, FIONREAD, &byte), EBADF);
  struct stat status;
  CHECK_OK(fstat(fd, &status));
  CHECK_EQ(status.st_size, 8);
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int again = CHECK_OK(open(link, O_RDONLY));
  CHECK_EQ(read(again, &byte, 1), 1);
  CHECK_EQ(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
}

CASE(nofollow_and_symlinks) {
  write_file("target", "x");
  CHECK_OK(symlink("target", "link"));
  CHECK_FAILS(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
  int fd = CHECK_OK(open("link", O_PATH | O_NOFOLLOW));
  struct stat status;
  CHECK_OK(fstat(fd, &status));
  CHECK(S_ISLNK(status.st_mode));
  char buffer[16];
  CHECK_EQ(readlinkat(fd, "", buffer, sizeof buffer), 6);
  CHECK_EQ(readlink("link", buffer, 3), 3);
  CHECK_FAILS(readlink("target", buffer, 16), EINVAL);
}

CASE(seeks) {
  int fd = open_file_of_size("file", 100);
  CHECK_EQ(lseek(fd, 10, SEEK_SET), 10);
  CHECK_EQ(lseek(fd, 5, SEEK_CUR), 15);
  CHECK_EQ(lseek(fd, -10, SEEK_END), 90);
  CHECK_EQ(lseek(fd, 1000, SEEK_END), 1100);
  CHECK_FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
  CHECK_FAILS(lseek(fd, 0, 99), EINVAL);
  int ends[2];
  CHECK_OK(pipe(ends));
  CHECK_FAILS(lseek(ends[0], 0, SEEK_SET), ESPIPE);
}

CASE(holes_are_found) {
  int fd = open_file_of_size("sparse", 1 << 20);
  CHECK_EQ(pwrite(fd, "x", 1, 512 * 1024), 1);
  CHECK_EQ(lseek(fd, 0, SEEK_DATA), 512 * 1024);
  CHECK_EQ(lseek(fd, 512 * 1024, SEEK_HOLE), 516 * 1024);
  CHECK_FAILS(lseek(fd, 600 * 1024, SEEK_DATA), ENXIO);
  struct stat status;
  CHECK_OK(fstat(fd, &status));
  CHECK(status.st_blocks * 512 < 1 << 20);
}

CASE(positioned_io_leaves_the_offset) {
  int fd = open_file_of_size("file", 0);
  CHECK_EQ(pwrite(fd, "abcdef", 6, 0), 6);
  char buffer[8] = "";
  CHECK_EQ(pread(fd, buffer, 3, 2), 3);
  CHECK_MEMEQ(buffer, "cde", 3);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
  CHECK_FAILS(pread(fd, buffer, 1, -1), EINVAL);
  CHECK_EQ(pread(fd, buffer, 1, 100), 0);
}

CASE(vectored_io) {
  int fd = open_file_of_size("file", 0);
  struct iovec parts[3] = {{"one ", 4}, {"", 0}, {"two", 3}};
  CHECK_EQ(writev(fd, parts, 3), 7);
  CHECK_EQ(pwritev(fd, parts, 1, 7), 4);
  char first[3], second[20];
  struct iovec into[2] = {{first, 3}, {second, 20}};
  CHECK_EQ(preadv(fd, into, 2, 0), 11);
  CHECK_MEMEQ(first, "one", 3);
  CHECK_MEMEQ(second, " twoone ", 8);
  CHECK_EQ(preadv2(fd, into, 1, 4, 0), 3);
  CHECK_EQ(pwritev2(fd, parts, 1, -1, RWF_APPEND), 4);
  CHECK_FAILS(preadv2(fd, into, 1, 0, 0x4000), EOPNOTSUPP);
  CHECK_FAILS(writev(fd, parts, -1), EINVAL);
  CHECK_FAILS(writev(fd, parts, 1025), EINVAL);
  CHECK_FAILS(readv(fd, (struct iovec*)8, 1), EFAULT);
}

CASE(bad_descriptors) {
  char byte = 0;
  struct stat status;
  CHECK_FAILS(read(-1, &byte, 1), EBADF);
  CHECK_FAILS(write(900, &byte, 1), EBADF);
  CHECK_FAILS(fstat(900, &status), EBADF);
  CHECK_FAILS(close(900), EBADF);
  CHECK_FAILS(dup(900), EBADF);
  CHECK_FAILS(lseek(900, 0, SEEK_SET), EBADF);
  CHECK_FAILS(fcntl(900, F_GETFD), EBADF);
  int fd = CHECK_OK(open("/dev/null", O_RDONLY));
  CHECK_FAILS(write(fd, &byte, 1), EBADF);
}

CASE(duplicates_share_offset_and_flags) {
  int fd = open_file_of_size("file", 10);
  int copy = CHECK_OK(dup(fd));
  CHECK_EQ(lseek(fd, 5, SEEK_SET), 5);
  CHECK_EQ(lseek(copy, 0, SEEK_CUR), 5);
  CHECK_OK(fcntl(fd, F_SETFL, O_APPEND));
  CHECK_EQ(fcntl(copy, F_GETFL) & O_APPEND, O_APPEND);
  CHECK_OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
  CHECK_EQ(fcntl(copy, F_GETFD), 0);
}

CASE(dup2_and_dup3) {
  int fd = open_file_of_size("file", 10);
  CHECK_EQ(dup2(fd, 77), 77);
  CHECK_EQ(dup2(fd, fd), fd);
  CHECK_FAILS(dup3(fd, fd, 0), EINVAL);
  CHECK_FAILS(dup3(fd, 78, O_APPEND), EINVAL);
  CHECK_EQ(dup3(fd, 78, O_CLOEXEC), 78);
  CHECK_EQ(fcntl(78, F_GETFD), FD_CLOEXEC);
  CHECK_EQ(fcntl(fd, F_DUPFD, 500), 500);
  CHECK_EQ(fcntl(fd, F_DUPFD, 500), 501);
  CHECK_EQ(fcntl(fd, F_DUPFD_CLOEXEC, 600), 600);
  CHECK_FAILS(dup2(fd, -1), EBADF);
  CHECK_FAILS(dup2(901, 5), EBADF);
  CHECK_FAILS(dup2(fd, 1 << 30), EBADF);
  CHECK_OK(close(77));
}

CASE(every_descriptor_number_up_to_the_limit_belongs_to_the_program) {
  struct rlimit limit;
  CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = 1024;
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
  for (int fd = 3; fd < 1024; ++fd) CHECK_EQ(dup2(0, fd), fd);
  CHECK_FAILS(dup(0), EMFILE);
  for (int fd = 3; fd < 1024; ++fd) CHECK_OK(close(fd));
  for (int fd = 3; fd < 1024; ++fd) CHECK_EQ(open("/dev/null", O_RDONLY), fd);
  CHECK_FAILS(open("/dev/null", O_RDONLY), EMFILE);
}

CASE(fcntl_status_flags) {
  int fd = CHECK_OK(open("/dev/null", O_RDWR));
  CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
  CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
  CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  int on = 0;
  CHECK_OK(ioctl(fd, FIONBIO, &on));
  CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  CHECK_OK(ioctl(fd, FIOCLEX));
  CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  CHECK_OK(ioctl(fd, FIONCLEX));
  CHECK_FAILS(fcntl(fd, 999, 0), EINVAL);
}

CASE(truncation) {
  int fd = open_file_of_size("file", 0);
  CHECK_EQ(write(fd, "0123456789", 10), 10);
  CHECK_OK(ftruncate(fd, 4));
  CHECK_OK(truncate("file", 8));
  char buffer[16];
  CHECK_EQ(pread(fd, buffer, 16, 0), 8);
  CHECK_MEMEQ(buffer, "0123\0\0\0\0", 8);
  CHECK_FAILS(ftruncate(fd, -1), EINVAL);
  CHECK_FAILS(truncate("missing", 0), ENOENT);
  CHECK_FAILS(truncate(".", 0), EISDIR);
}

CASE(fallocate_modes) {
  int fd = open_file_of_size("file", 0);
  if (fallocate(fd, 0, 0, 16384) != 0 && errno == EOPNOTSUPP) SKIP("file system without fallocate");
  struct stat status;
  CHECK_OK(fstat(fd, &status));
  CHECK_EQ(status.st_size, 16384);
  CHECK_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 65536));
  CHECK_OK(fstat(fd, &status));
  CHECK_EQ(status.st_size, 16384);
  CHECK_EQ(pwrite(fd, "data", 4, 4096), 4);
  CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
  char buffer[4];
  CHECK_EQ(pread(fd, buffer, 4, 4096), 4);
  CHECK_MEMEQ(buffer, "\0\0\0\0", 4);
  CHECK_FAILS(fallocate(fd, 0, 0, 0), EINVAL);
  CHECK_FAILS(fallocate(fd, 0x4000, 0, 1), EOPNOTSUPP);
}

CASE(synchronisation_calls) {
  int fd = open_file_of_size("file", 10);
  CHECK_OK(fsync(fd));
  CHECK_OK(fdatasync(fd));
  CHECK_OK(sync_file_range(fd, 0, 10, SYNC_FILE_RANGE_WRITE));
  CHECK_OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
  CHECK_OK(readahead(fd, 0, 10));
  int ends[2];
  CHECK_OK(pipe(ends));
  CHECK_FAILS(fsync(ends[0]), EINVAL);
}

CASE(whole_file_locks) {
  int fd = open_file_of_size("file", 0);
  int other = CHECK_OK(open("file", O_RDWR));
  CHECK_OK(flock(fd, LOCK_EX));
  CHECK_FAILS(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
  CHECK_OK(flock(fd, LOCK_SH));
  CHECK_OK(flock(other, LOCK_SH | LOCK_NB));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    // The lock belongs to the open file, which the child shares.
    CHECK_OK(flock(other, LOCK_UN));
    CHECK_OK(flock(fd, LOCK_EX | LOCK_NB));
    _exit(0);
  }
  check_exited(child, 0);
  CHECK_FAILS(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK);
}

static struct flock range(short type, off_t start, off_t size) {
  return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = size};
}

CASE(record_locks_between_processes) {
  int fd = open_file_of_size("file", 100);
  struct flock lock = range(F_WRLCK, 10, 10);
  CHECK_OK(fcntl(fd, F_SETLK, &lock));
  pid_t parent = getpid();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    struct flock probe = range(F_WRLCK, 0, 100);
    CHECK_OK(fcntl(fd, F_GETLK, &probe));
    CHECK_EQ(probe.l_type, F_WRLCK);
    CHECK_EQ(probe.l_start, 10);
    CHECK_EQ(probe.l_len, 10);
    CHECK_EQ(probe.l_pid, parent);
    probe = range(F_RDLCK, 15, 1);
    CHECK_FAILS(fcntl(fd, F_SETLK, &probe), EAGAIN);
    probe = range(F_WRLCK, 20, 10);
    CHECK_OK(fcntl(fd, F_SETLK, &probe));
    _exit(0);
  }
  check_exited(child, 0);
  lock = range(F_WRLCK, 0, 100);
  CHECK_OK(fcntl(fd, F_SETLK, &lock));
}

CASE(record_lock_deadlock_is_detected) {
  int fd = open_file_of_size("file", 100);
  volatile int* step = shared_page();
  struct flock lock = range(F_WRLCK, 0, 1);
  CHECK_OK(fcntl(fd, F_SETLK, &lock));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    struct flock mine = range(F_WRLCK, 1, 1);
    CHECK_OK(fcntl(fd, F_SETLK, &mine));
    *step = 1;
    mine = range(F_WRLCK, 0, 1);
    // One of the two gets EDEADLK: the one that closes the circle.
    if (fcntl(fd, F_SETLKW, &mine) == -1) CHECK_EQ(errno, EDEADLK);
    _exit(0);
  }
  WAIT_UNTIL(*step == 1);
  lock = range(F_WRLCK, 1, 1);
  int result = fcntl(fd, F_SETLKW, &lock);
  if (result == -1) {
    CHECK_EQ(errno, EDEADLK);
    lock = range(F_UNLCK, 0, 0);
    CHECK_OK(fcntl(fd, F_SETLK, &lock));
  }
  check_exited(child, 0);
}

CASE(open_file_description_locks) {
  int fd = open_file_of_size("file", 100);
  int other = CHECK_OK(open("file", O_RDWR));
  struct flock lock = range(F_WRLCK, 0, 10), probe = range(F_RDLCK, 5, 1);
  CHECK_OK(fcntl(fd, F_OFD_SETLK, &lock));
  CHECK_FAILS(fcntl(other, F_OFD_SETLK, &probe), EAGAIN);
  CHECK_OK(fcntl(other, F_OFD_GETLK, &probe));
  CHECK_EQ(probe.l_pid, -1);
  int copy = CHECK_OK(dup(fd));
  CHECK_OK(close(fd));
  probe = range(F_RDLCK, 5, 1);
  CHECK_FAILS(fcntl(other, F_OFD_SETLK, &probe), EAGAIN);
  CHECK_OK(close(copy));
  CHECK_OK(fcntl(other, F_OFD_SETLK, &probe));
}

CASE(record_locks_vanish_with_any_close) {
  int fd = open_file_of_size("file", 100);
  struct flock lock = range(F_WRLCK, 0, 10);
  CHECK_OK(fcntl(fd, F_SETLK, &lock));
  CHECK_OK(close(CHECK_OK(open("file", O_RDONLY))));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    struct flock probe = range(F_WRLCK, 0, 10);
    CHECK_OK(fcntl(fd, F_GETLK, &probe));
    _exit(probe.l_type == F_UNLCK ? 0 : 1);
  }
  check_exited(child, 0);
}

CASE(leases_notify) {
  write_file("file", "x");
  int fd = CHECK_OK(open("file", O_RDONLY));
  CHECK_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
  CHECK_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGIO);
  sigprocmask(SIG_BLOCK, &set, NULL);
  CHECK_FAILS(open("file", O_WRONLY | O_NONBLOCK), EWOULDBLOCK);
  siginfo_t info;
  CHECK_EQ(sigwaitinfo(&set, &info), SIGIO);
  CHECK_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
  CHECK_OK(open("file", O_WRONLY | O_NONBLOCK));
}

CASE(close_range_closes_marks_and_unshares) {
  for (int fd = 10; fd < 30; ++fd) CHECK_EQ(dup2(0, fd), fd);
  CHECK_EQ(RAW(SYS_close_range, 12, 14, 0), 0);
  CHECK_EQ(fcntl(11, F_GETFD), 0);
  CHECK_FAILS(fcntl(12, F_GETFD), EBADF);
  CHECK_FAILS(fcntl(14, F_GETFD), EBADF);
  CHECK_EQ(RAW(SYS_close_range, 15, 16, 4 /* CLOEXEC */), 0);
  CHECK_EQ(fcntl(16, F_GETFD), FD_CLOEXEC);
  CHECK_EQ(fcntl(17, F_GETFD), 0);
  CHECK_EQ(RAW(SYS_close_range, 20, ~0u, 2 /* UNSHARE */), 0);
  CHECK_FAILS(fcntl(29, F_GETFD), EBADF);
  CHECK_EQ(fcntl(19, F_GETFD), 0);
  CHECK_EQ(RAW(SYS_close_range, 5, 4, 0), -EINVAL);
  CHECK_EQ(RAW(SYS_close_range, 5, 6, 128), -EINVAL);
}

HELPER(open_three_files) {
  for (int fd = 3; fd < 6; ++fd) CHECK_EQ(open("/dev/null", O_RDONLY), fd);
  return 0;
}

CASE(program_lives_on_after_closing_everything) {
  CHECK_EQ(RAW(SYS_close_range, 3, ~0u, 0), 0);
  pid_t child = CHECK_OK(fork());
  if (child == 0) _exit(5);
  check_exited(child, 5);
  check_exited(start_helper(-1, "open_three_files", NULL), 0);
  CHECK_STREQ(read_file("/proc/self/comm", NULL), "files_basic\n");
}

CASE(program_lives_on_after_closing_each_descriptor) {
  for (int fd = 3; fd < 20000; ++fd) close(fd);
  check_exited(start_helper(-1, "open_three_files", NULL), 0);
  for (int fd = 3; fd < 20000; ++fd) CHECK_FAILS(close(fd), EBADF);
}

CASE(file_mode_mask) {
  umask(027);
  CHECK_OK(close(CHECK_OK(open("file", O_WRONLY | O_CREAT, 0777))));
  CHECK_OK(mkdir("directory", 0777));
  struct stat status;
  CHECK_OK(stat("file", &status));
  CHECK_EQ(status.st_mode & 07777, 0750);
  CHECK_OK(stat("directory", &status));
  CHECK_EQ(status.st_mode & 07777, 0750);
  CHECK_EQ(umask(0), 027);
}

CASE(large_io_is_cut_or_whole) {
  int fd = open_file_of_size("big", 0);
  size_t size = 8 << 20;
  char* data = malloc(size);
  for (size_t i = 0; i < size; ++i) data[i] = (char)(i * 31 + (i >> 12));
  CHECK_EQ(write(fd, data, size), (long)size);
  char* back = malloc(size);
  CHECK_EQ(pread(fd, back, size + 100, 0), (long)size);
  CHECK_MEMEQ(back, data, size);
}

CASE(openat2_restricts_resolution) {
  struct {
    uint64_t flags, mode, resolve;
  } how = {O_RDONLY, 0, 0x08 /* RESOLVE_BENEATH */};
  CHECK_OK(mkdir("inside", 0755));
  write_file("inside/file", "x");
  write_file("outside", "y");
  int directory = CHECK_OK(open("inside", O_PATH | O_DIRECTORY));
  long fd = RAW(437, directory, "file", &how, sizeof how);
  if (fd == -ENOSYS) SKIP("no openat2");
  CHECK(fd >= 0);
  CHECK_EQ(RAW(437, directory, "../outside", &how, sizeof how), -EXDEV);
  how.flags = 1ull << 40;
  CHECK_EQ(RAW(437, directory, "file", &how, sizeof how), -EINVAL);
  how.flags = O_RDONLY;
  CHECK_EQ(RAW(437, directory, "file", &how, 4), -EINVAL);
}

static int open_descriptors(void) {
  int count = 0;
  for (int fd = 0; fd < 1100; ++fd) count += fcntl(fd, F_GETFD) != -1;
  return count;
}

CASE(failed_dup2_changes_nothing) {
  int before = open_descriptors();
  for (int fd = 0; fd < 1024; ++fd) CHECK_FAILS(dup2(-1, fd), EBADF);
  CHECK_EQ(open_descriptors(), before);
}
