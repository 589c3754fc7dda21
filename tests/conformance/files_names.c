// Names and attributes: directories, links, renames, permissions, times, extended attributes, working directories.
#include "case.h"

#include <dirent.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>

CASE(directories_are_made_and_removed) {
  CHECK_OK(mkdir("d", 0700));
  CHECK_FAILS(mkdir("d", 0700), EEXIST);
  CHECK_FAILS(mkdir("x/y", 0700), ENOENT);
  write_file("d/file", "");
  CHECK_FAILS(rmdir("d"), ENOTEMPTY);
  CHECK_FAILS(unlink("d"), EISDIR);
  CHECK_FAILS(rmdir("d/file"), ENOTDIR);
  CHECK_OK(unlink("d/file"));
  CHECK_OK(rmdir("d"));
  CHECK_FAILS(rmdir("d"), ENOENT);
}

CASE(directory_listing_is_complete) {
  enum { kCount = 500 };
  CHECK_OK(mkdir("d", 0700));
  for (int i = 0; i < kCount; ++i) {
    char name[64];
    snprintf(name, sizeof name, "d/entry-%d", i);
    write_file(name, "");
  }
  bool seen[kCount] = {false};
  int others = 0;
  DIR* directory = opendir("d");
  CHECK(directory != NULL);
  struct dirent* entry;
  while ((entry = readdir(directory)) != NULL) {
    int number;
    if (sscanf(entry->d_name, "entry-%d", &number) == 1) {
      CHECK(!seen[number]);
      seen[number] = true;
      CHECK_EQ(entry->d_type, DT_REG);
    } else {
      ++others;
    }
  }
  for (int i = 0; i < kCount; ++i) CHECK(seen[i]);
  CHECK_EQ(others, 2);
  rewinddir(directory);
  CHECK(readdir(directory) != NULL);
  char buffer[10];
  int fresh = CHECK_OK(open("d", O_RDONLY | O_DIRECTORY));
  CHECK_EQ(RAW(SYS_getdents64, fresh, buffer, 10), -EINVAL);
  int file = CHECK_OK(open("d/entry-1", O_RDONLY));
  CHECK_EQ(RAW(SYS_getdents64, file, buffer, 10), -ENOTDIR);
}

CASE(hard_links_count) {
  write_file("a", "text");
  CHECK_OK(link("a", "b"));
  struct stat first, second;
  CHECK_OK(stat("a", &first));
  CHECK_OK(stat("b", &second));
  CHECK_EQ(first.st_ino, second.st_ino);
  CHECK_EQ(first.st_nlink, 2);
  CHECK_OK(unlink("a"));
  CHECK_OK(stat("b", &second));
  CHECK_EQ(second.st_nlink, 1);
  CHECK_FAILS(link("missing", "c"), ENOENT);
  CHECK_FAILS(link("b", "b"), EEXIST);
  CHECK_OK(mkdir("d", 0700));
  CHECK_FAILS(link("d", "e"), EPERM);
}

CASE(symbolic_links_are_followed) {
  CHECK_OK(mkdir("d", 0700));
  write_file("d/file", "through");
  CHECK_OK(symlink("d", "link"));
  CHECK_STREQ(read_file("link/file", NULL), "through");
  CHECK_OK(symlink("nowhere", "dangling"));
  CHECK_FAILS(open("dangling", O_RDONLY), ENOENT);
  struct stat status;
  CHECK_OK(lstat("dangling", &status));
  CHECK_EQ(status.st_size, 7);
  CHECK_OK(symlink("two", "one"));
  CHECK_OK(symlink("one", "two"));
  CHECK_FAILS(open("one", O_RDONLY), ELOOP);
}

CASE(renames) {
  write_file("a", "A");
  write_file("b", "B");
  CHECK_OK(rename("a", "b"));
  CHECK_STREQ(read_file("b", NULL), "A");
  CHECK_FAILS(rename("a", "c"), ENOENT);
  write_file("c", "C");
  CHECK_FAILS(RAW(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "c", 1 /* NOREPLACE */) == -EEXIST ? (errno = EEXIST, -1) : 0,
              EEXIST);
  CHECK_EQ(RAW(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "c", 2 /* EXCHANGE */), 0);
  CHECK_STREQ(read_file("b", NULL), "C");
  CHECK_STREQ(read_file("c", NULL), "A");
  CHECK_OK(mkdir("d", 0700));
  CHECK_FAILS(rename("b", "d"), EISDIR);
  CHECK_FAILS(rename("d", "b"), ENOTDIR);
  CHECK_FAILS(rename("d", "d/e"), EINVAL);
}

CASE(calls_relative_to_a_directory_descriptor) {
  CHECK_OK(mkdir("d", 0700));
  int directory = CHECK_OK(open("d", O_RDONLY | O_DIRECTORY));
  CHECK_OK(chdir("/"));
  int fd = CHECK_OK(openat(directory, "file", O_RDWR | O_CREAT, 0600));
  CHECK_OK(mkdirat(directory, "sub", 0700));
  CHECK_OK(symlinkat("file", directory, "link"));
  CHECK_OK(linkat(directory, "file", directory, "hard", 0));
  CHECK_OK(renameat(directory, "hard", directory, "sub/moved"));
  struct stat status, opened;
  CHECK_OK(fstatat(directory, "sub/moved", &status, 0));
  CHECK_OK(fstat(fd, &opened));
  CHECK_EQ(status.st_ino, opened.st_ino);
  CHECK_OK(fstatat(directory, "link", &status, AT_SYMLINK_NOFOLLOW));
  CHECK(S_ISLNK(status.st_mode));
  CHECK_OK(faccessat(directory, "file", R_OK, 0));
  CHECK_OK(fchmodat(directory, "file", 0640, 0));
  CHECK_OK(fchownat(directory, "file", (uid_t)-1, (gid_t)-1, 0));
  CHECK_OK(unlinkat(directory, "sub/moved", 0));
  CHECK_OK(unlinkat(directory, "sub", AT_REMOVEDIR));
  CHECK_FAILS(openat(fd, "x", O_RDONLY), ENOTDIR);
  CHECK_FAILS(openat(900, "x", O_RDONLY), EBADF);
  CHECK_OK(openat(900, "/dev/null", O_RDONLY));
}

CASE(permissions_are_checked) {
  write_file("file", "secret");
  CHECK_OK(chmod("file", 0600));
  CHECK_OK(chmod(".", 0755));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_OK(setgid(65534));
    CHECK_OK(setuid(65534));
    CHECK_FAILS(open("file", O_RDONLY), EACCES);
    CHECK_FAILS(access("file", R_OK), EACCES);
    CHECK_OK(access("file", F_OK));
    CHECK_FAILS(open("new", O_WRONLY | O_CREAT, 0600), EACCES);
    CHECK_FAILS(chmod("file", 0777), EPERM);
    CHECK_FAILS(unlink("file"), EACCES);
    _exit(0);
  }
  check_exited(child, 0);
}

CASE(mode_and_owner_changes) {
  int fd = open_file_of_size("file", 0);
  struct stat status;
  CHECK_OK(chmod("file", 04751));
  CHECK_OK(stat("file", &status));
  CHECK_EQ(status.st_mode & 07777, 04751);
  CHECK_OK(fchown(fd, 1234, 5678));
  CHECK_OK(stat("file", &status));
  CHECK_EQ(status.st_uid, 1234);
  CHECK_EQ(status.st_gid, 5678);
  CHECK_EQ(status.st_mode & 07777, 0751);  // set-id bits fall with the change of owner
  CHECK_OK(fchmod(fd, 0600));
  CHECK_OK(symlink("file", "link"));
  CHECK_OK(lchown("link", 42, 42));
  CHECK_OK(lstat("link", &status));
  CHECK_EQ(status.st_uid, 42);
}

CASE(file_times_are_set) {
  write_file("file", "");
  struct timespec times[2] = {{1000, 123456789}, {2000, 987654321}};
  CHECK_OK(utimensat(AT_FDCWD, "file", times, 0));
  struct stat status;
  CHECK_OK(stat("file", &status));
  CHECK_EQ(status.st_atim.tv_sec, 1000);
  CHECK_EQ(status.st_atim.tv_nsec, 123456789);
  CHECK_EQ(status.st_mtim.tv_sec, 2000);
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_nsec = UTIME_NOW;
  CHECK_OK(utimensat(AT_FDCWD, "file", times, 0));
  CHECK_OK(stat("file", &status));
  CHECK_EQ(status.st_atim.tv_sec, 1000);
  CHECK(status.st_mtim.tv_sec > 1000000);
  int fd = CHECK_OK(open("file", O_RDONLY));
  times[0].tv_nsec = 0;
  CHECK_OK(futimens(fd, times));
  struct timeval old[2] = {{5, 0}, {6, 0}};
  CHECK_OK(utimes("file", old));
  CHECK_OK(stat("file", &status));
  CHECK_EQ(status.st_mtim.tv_sec, 6);
}

CASE(statx_agrees_with_stat) {
  write_file("file", "12345");
  struct statx extended;
  struct stat status;
  CHECK_OK(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS | STATX_BTIME, &extended));
  CHECK_OK(stat("file", &status));
  CHECK_EQ(extended.stx_size, 5);
  CHECK_EQ(extended.stx_ino, status.st_ino);
  CHECK_EQ(extended.stx_mode, status.st_mode);
  CHECK_EQ(makedev(extended.stx_dev_major, extended.stx_dev_minor), status.st_dev);
  CHECK_EQ(extended.stx_mtime.tv_nsec, status.st_mtim.tv_nsec);
  int fd = CHECK_OK(open("file", O_RDONLY));
  CHECK_OK(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &extended));
  CHECK_FAILS(statx(AT_FDCWD, "file", 0x1000000, 0, &extended), EINVAL);
}

CASE(file_system_statistics) {
  struct statfs first, second;
  CHECK_OK(statfs(".", &first));
  int fd = CHECK_OK(open(".", O_RDONLY));
  CHECK_OK(fstatfs(fd, &second));
  CHECK_EQ(first.f_type, second.f_type);
  CHECK_EQ(first.f_blocks, second.f_blocks);
  CHECK_OK(statfs("/proc/self", &first));
  CHECK_EQ(first.f_type, 0x9fa0);
  CHECK_FAILS(statfs("missing", &first), ENOENT);
}

CASE(extended_attributes) {
  write_file("file", "");
  if (setxattr("file", "user.first", "one", 3, 0) != 0 && errno == EOPNOTSUPP) SKIP("no user xattrs");
  CHECK_FAILS(setxattr("file", "user.first", "one", 3, XATTR_CREATE), EEXIST);
  CHECK_FAILS(setxattr("file", "user.none", "one", 3, XATTR_REPLACE), ENODATA);
  int fd = CHECK_OK(open("file", O_RDONLY));
  CHECK_OK(fsetxattr(fd, "user.second", "two", 3, 0));
  char value[16], names[64];
  CHECK_EQ(getxattr("file", "user.second", value, sizeof value), 3);
  CHECK_MEMEQ(value, "two", 3);
  CHECK_EQ(fgetxattr(fd, "user.first", NULL, 0), 3);
  CHECK_FAILS(getxattr("file", "user.first", value, 1), ERANGE);
  CHECK_EQ(listxattr("file", names, sizeof names), 11 + 12);
  CHECK_OK(removexattr("file", "user.first"));
  CHECK_FAILS(getxattr("file", "user.first", value, sizeof value), ENODATA);
}

CASE(working_directory) {
  char path[PATH_MAX], start[PATH_MAX];
  CHECK(getcwd(start, sizeof start) != NULL);
  CHECK_OK(mkdir("d", 0700));
  CHECK_OK(chdir("d"));
  CHECK(getcwd(path, sizeof path) != NULL);
  CHECK_STREQ(strrchr(path, '/'), "/d");
  int parent = CHECK_OK(open("..", O_RDONLY | O_DIRECTORY));
  CHECK_OK(rmdir("../d"));
  CHECK_FAILS((long)getcwd(path, sizeof path) - 1, ENOENT);
  CHECK_OK(fchdir(parent));
  CHECK(getcwd(path, sizeof path) != NULL);
  CHECK_STREQ(path, start);
  CHECK_EQ(RAW(SYS_getcwd, path, 1), -ERANGE);
  CHECK_FAILS(chdir("missing"), ENOENT);
  CHECK_FAILS(fchdir(0), ENOTDIR);
}

CASE(special_files_are_made) {
  CHECK_OK(mknod("fifo", S_IFIFO | 0600, 0));
  CHECK_OK(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
  struct stat status;
  CHECK_OK(stat("null", &status));
  CHECK(S_ISCHR(status.st_mode));
  CHECK_EQ(status.st_rdev, makedev(1, 3));
  int fd = CHECK_OK(open("null", O_WRONLY));
  CHECK_EQ(write(fd, "x", 1), 1);
  CHECK_FAILS(mknod("fifo", S_IFIFO | 0600, 0), EEXIST);
}

CASE(changed_root_hides_the_rest) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    write_file("inside", "in the root");
    CHECK_OK(chroot("."));
    CHECK_OK(chdir("/"));
    CHECK_STREQ(read_file("/inside", NULL), "in the root");
    CHECK_FAILS(open("/etc/passwd", O_RDONLY), ENOENT);
    CHECK_FAILS(open("/proc/self/exe", O_RDONLY), ENOENT);
    pid_t inner = CHECK_OK(fork());
    if (inner == 0) _exit(open("/../../inside", O_RDONLY) >= 0 ? 7 : 8);
    check_exited(inner, 7);
    _exit(0);
  }
  check_exited(child, 0);
}

static void copy_file(const char* from, const char* to) {
  size_t size;
  char* bytes = read_file(from, &size);
  int fd = CHECK_OK(open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755));
  CHECK_EQ(write(fd, bytes, size), (long)size);
  CHECK_OK(close(fd));
}

HELPER(in_changed_root) {
  CHECK_FAILS(open("/proc", O_RDONLY), ENOENT);
  CHECK_FAILS(open("/etc", O_RDONLY), ENOENT);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    execl("/program", "/program", argc > 1 ? "@exit_in_root" : "@in_changed_root", "again", NULL);
    _exit(99);
  }
  return 0;
}

HELPER(exit_in_root) { return 0; }

CASE(exec_in_a_root_without_proc) {
  // A service in a chroot: neither /proc nor the runtime's own file is there.
  CHECK_OK(mkdir("lib64", 0755));
  CHECK_OK(mkdir("lib", 0755));
  CHECK_OK(mkdir("lib/x86_64-linux-gnu", 0755));
  copy_file(program_path(), "program");
  copy_file("/lib64/ld-linux-x86-64.so.2", "lib64/ld-linux-x86-64.so.2");
  copy_file("/lib/x86_64-linux-gnu/libc.so.6", "lib/x86_64-linux-gnu/libc.so.6");
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_OK(chroot("."));
    CHECK_OK(chdir("/"));
    execl("/program", "/program", "@in_changed_root", NULL);
    _exit(98);
  }
  check_exited(child, 0);
}

CASE(mounts_in_an_own_namespace) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    if (RAW(SYS_unshare, 0x00020000 /* CLONE_NEWNS */) != 0) _exit(kStatusSkipped);
    CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    CHECK_OK(mkdir("m", 0755));
    CHECK_OK(mount("none", "m", "tmpfs", 0, "size=1m"));
    write_file("m/file", "mounted");
    CHECK_OK(mount(NULL, "m", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    CHECK_FAILS(open("m/file", O_WRONLY), EROFS);
    CHECK_OK(umount2("m", MNT_DETACH));
    CHECK_FAILS(open("m/file", O_RDONLY), ENOENT);
    _exit(0);
  }
  int status = wait_status_of(child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kStatusSkipped) SKIP("no mount namespaces");
  CHECK_EQ(status, 0);
}

static int next_event(int fd, char* name) {
  char buffer[512] __attribute__((aligned(8)));
  ssize_t size = read(fd, buffer, sizeof(struct inotify_event) + 32);
  if (size <= 0) return -1;
  struct inotify_event* event = (struct inotify_event*)buffer;
  strcpy(name, event->len > 0 ? event->name : "");
  return (int)event->mask;
}

CASE(directory_changes_are_notified) {
  int fd = CHECK_OK(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  int watch = CHECK_OK(inotify_add_watch(fd, ".", IN_CREATE | IN_DELETE | IN_CLOSE_WRITE | IN_MOVED_TO));
  write_file("first", "x");
  CHECK_OK(rename("first", "second"));
  CHECK_OK(unlink("second"));
  char name[64];
  CHECK_EQ(next_event(fd, name), IN_CREATE);
  CHECK_STREQ(name, "first");
  CHECK_EQ(next_event(fd, name), IN_CLOSE_WRITE);
  CHECK_EQ(next_event(fd, name), IN_MOVED_TO);
  CHECK_STREQ(name, "second");
  CHECK_EQ(next_event(fd, name), IN_DELETE);
  CHECK_OK(inotify_rm_watch(fd, watch));
  CHECK_EQ(next_event(fd, name), IN_IGNORED);
  CHECK_EQ(next_event(fd, name), -1);
  CHECK_EQ(errno, EAGAIN);
}

CASE(name_handles) {
  write_file("file", "x");
  struct {
    unsigned size;
    int type;
    unsigned char bytes[128];
  } handle = {.size = 128};
  int mount_id;
  long result = RAW(SYS_name_to_handle_at, AT_FDCWD, "file", &handle, &mount_id, 0);
  if (result == -EOPNOTSUPP || result == -ENOSYS) SKIP("no file handles");
  CHECK_EQ(result, 0);
  CHECK(handle.size > 0 && handle.size <= 128);
  handle.size = 0;
  CHECK_EQ(RAW(SYS_name_to_handle_at, AT_FDCWD, "file", &handle, &mount_id, 0), -EOVERFLOW);
}

// What was asked just before must not be believed after a change, whoever made it and by whatever way.
static const char* const kAskedNames[] = {"a", "b", "link", "d", "d/file", "e/file", "d/../b"};

static void ask_names(const char* after, bool is_told) {
  for (size_t i = 0; i < sizeof kAskedNames / sizeof *kAskedNames; ++i) {
    const char* name = kAskedNames[i];
    struct stat status = {0}, link_status = {0};
    char target[64];
    int answers[5];
    answers[0] = stat(name, &status) == 0 ? 0 : errno;
    answers[1] = lstat(name, &link_status) == 0 ? 0 : errno;
    answers[2] = access(name, X_OK) == 0 ? 0 : errno;
    answers[3] = readlink(name, target, sizeof target) >= 0 ? 0 : errno;
    int fd = open(name, O_RDONLY);
    answers[4] = fd >= 0 ? 0 : errno;
    if (fd >= 0) CHECK_OK(close(fd));
    const long size = S_ISREG(status.st_mode) ? (long)status.st_size : 0;
    const long links = S_ISREG(status.st_mode) ? (long)status.st_nlink : 0;
    if (!is_told) continue;
    FACT("after %s: %s: stat %d mode %o size %ld links %ld, lstat %d mode %o, access %d, readlink %d, open %d", after,
         name, answers[0], status.st_mode, size, links, answers[1], link_status.st_mode, answers[2], answers[3],
         answers[4]);
  }
}

static void change_make(void) { write_file("a", "text"); }
static void change_make_again(void) { write_file("b", ""); }
static void change_link(void) { CHECK_OK(link("a", "d/file")); }
static void change_write(void) {
  int fd = CHECK_OK(open("a", O_WRONLY | O_APPEND));
  CHECK_EQ(write(fd, "more", 4), 4);
  CHECK_OK(close(fd));
}
static void change_truncate(void) { CHECK_OK(truncate("a", 1)); }
static void change_mode(void) { CHECK_OK(chmod("a", 0755)); }
static void change_symlink(void) { CHECK_OK(symlink("d/file", "link")); }
static void change_remove_target(void) { CHECK_OK(unlink("d/file")); }
static void change_rename(void) { CHECK_OK(rename("a", "d/file")); }
static void change_rename_directory(void) { CHECK_OK(rename("d", "e")); }
static void change_exchange(void) {
  CHECK_OK(mkdir("d", 0700));
  CHECK_OK(syscall(SYS_renameat2, AT_FDCWD, "d", AT_FDCWD, "e", RENAME_EXCHANGE));
}
static void change_retarget(void) {
  CHECK_OK(symlink("b", "new"));
  CHECK_OK(rename("new", "link"));
}
static void change_remove(void) { CHECK_OK(unlink("b")); }

CASE(answers_about_names_are_never_from_before_a_change) {
  static const struct {
    const char* name;
    void (*change)(void);
  } kChanges[] = {
      {"make", change_make},         {"make again", change_make_again},
      {"link", change_link},         {"write", change_write},
      {"truncate", change_truncate}, {"chmod", change_mode},
      {"symlink", change_symlink},   {"removal of the target", change_remove_target},
      {"rename", change_rename},     {"rename of the directory", change_rename_directory},
      {"exchange", change_exchange}, {"another target", change_retarget},
      {"removal", change_remove},
  };
  CHECK_OK(mkdir("d", 0755));
  for (size_t i = 0; i < sizeof kChanges / sizeof *kChanges; ++i) {
    for (int times = 0; times < 3; ++times) ask_names("", false);
    if (i % 2 == 0) {
      kChanges[i].change();
    } else {
      const pid_t child = CHECK_OK(fork());
      if (child == 0) {
        kChanges[i].change();
        _exit(0);
      }
      int status;
      CHECK_EQ(waitpid(child, &status, 0), child);
      CHECK_EQ(status, 0);
    }
    ask_names(kChanges[i].name, true);
  }
}
