// /proc and other views of the process: they show the program, in the kernel's own form.
#include "case.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

extern char** environ;

static char* link_target(const char* path) {
  static char target[PATH_MAX];
  ssize_t size = CHECK_OK(readlink(path, target, sizeof target - 1));
  target[size] = 0;
  return target;
}

CASE(exe_link_names_the_program) {
  CHECK_STREQ(link_target("/proc/self/exe"), program_path());
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/exe", getpid());
  CHECK_STREQ(link_target(path), program_path());
  CHECK_STREQ(link_target("/proc/thread-self/exe"), program_path());
  int directory = CHECK_OK(open("/proc/self", O_RDONLY | O_DIRECTORY));
  char target[PATH_MAX];
  ssize_t size = CHECK_OK(readlinkat(directory, "exe", target, sizeof target - 1));
  target[size] = 0;
  CHECK_STREQ(target, program_path());
  char shortened[5];
  CHECK_EQ(readlink("/proc/self/exe", shortened, 5), 5);
  CHECK_MEMEQ(shortened, program_path(), 5);
}

CASE(exe_link_opens_and_stats_as_the_program) {
  struct stat own, seen;
  CHECK_OK(stat(program_path(), &own));
  CHECK_OK(stat("/proc/self/exe", &seen));
  CHECK_EQ(seen.st_ino, own.st_ino);
  CHECK_EQ(seen.st_size, own.st_size);
  int fd = CHECK_OK(open("/proc/self/exe", O_RDONLY));
  CHECK_OK(fstat(fd, &seen));
  CHECK_EQ(seen.st_ino, own.st_ino);
  CHECK_OK(lstat("/proc/self/exe", &seen));
  CHECK(S_ISLNK(seen.st_mode));
  struct statx extended;
  CHECK_OK(statx(AT_FDCWD, "/proc/self/exe", 0, STATX_INO, &extended));
  CHECK_EQ(extended.stx_ino, own.st_ino);
  CHECK_OK(access("/proc/self/exe", X_OK));
  char* resolved = realpath("/proc/self/exe", NULL);
  CHECK(resolved != NULL);
  CHECK_STREQ(resolved, program_path());
}

CASE(maps_show_the_program_and_not_the_runtime) {
  char* maps = read_file("/proc/self/maps", NULL);
  char wanted[PATH_MAX + 2];
  snprintf(wanted, sizeof wanted, "%s\n", program_path());
  CHECK(strstr(maps, wanted) != NULL);
  CHECK(strstr(maps, "[stack]") != NULL);
  CHECK(strstr(maps, "[vdso]") != NULL);
  if (strstr(maps, "casemate-runtime") != NULL) FAIL("maps show the runtime");
}

CASE(maps_lines_are_well_formed_and_sorted) {
  FILE* maps = fopen("/proc/self/maps", "re");
  CHECK(maps != NULL);
  char line[1024];
  unsigned long last = 0;
  int local, lines = 0;
  bool stack_found = false, code_found = false;
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long from, to, offset, inode;
    unsigned major, minor;
    char permissions[8];
    int fields = sscanf(line, "%lx-%lx %4s %lx %x:%x %lu", &from, &to, permissions, &offset, &major, &minor, &inode);
    if (fields != 7) FAIL("malformed line: %s", line);
    CHECK(from < to);
    CHECK(from >= last);
    last = to;
    ++lines;
    if ((uintptr_t)&local >= from && (uintptr_t)&local < to) stack_found = strstr(line, "[stack]") != NULL;
    if ((uintptr_t)&link_target >= from && (uintptr_t)&link_target < to) {
      code_found = permissions[2] == 'x' && strstr(line, program_path()) != NULL;
    }
  }
  CHECK(lines > 5);
  CHECK(stack_found);
  CHECK(code_found);
}

CASE(smaps_agree_with_maps) {
  char* smaps = read_file("/proc/self/smaps", NULL);
  CHECK(strstr(smaps, program_path()) != NULL);
  CHECK(strstr(smaps, "\nRss:") != NULL);
  if (strstr(smaps, "casemate-runtime") != NULL) FAIL("smaps show the runtime");
}

CASE(command_line_is_the_programs) {
  size_t size;
  char* line = read_file("/proc/self/cmdline", &size);
  CHECK(strlen(line) > 0);
  CHECK_STREQ(strrchr(line, '/') != NULL ? strrchr(line, '/') + 1 : line, "files_proc");
  CHECK_STREQ(line + strlen(line) + 1, "command_line_is_the_programs");
  CHECK_EQ(size, strlen(line) + 1 + strlen("command_line_is_the_programs") + 1);
}

CASE(environment_file_is_the_programs) {
  size_t size;
  char* text = read_file("/proc/self/environ", &size);
  char* at = text;
  for (char** variable = environ; *variable != NULL; ++variable) {
    CHECK_STREQ(at, *variable);
    at += strlen(at) + 1;
  }
  CHECK_EQ(at - text, size);
}

CASE(auxiliary_vector_file_agrees) {
  size_t size;
  unsigned long* pairs = (unsigned long*)read_file("/proc/self/auxv", &size);
  int found = 0;
  for (size_t i = 0; i + 1 < size / 8 && pairs[i] != AT_NULL; i += 2) {
    if (pairs[i] == AT_PHDR || pairs[i] == AT_ENTRY || pairs[i] == AT_BASE || pairs[i] == AT_PAGESZ ||
        pairs[i] == AT_PHNUM) {
      if (getauxval(pairs[i]) != pairs[i + 1]) {
        FAIL("type %lu: file 0x%lx, vector 0x%lx", pairs[i], pairs[i + 1], getauxval(pairs[i]));
      }
      ++found;
    }
  }
  CHECK_EQ(found, 5);
}

CASE(status_file_shows_the_program) {
  char* status = read_file("/proc/self/status", NULL);
  CHECK_EQ(strncmp(status, "Name:\tfiles_proc\n", 17), 0);
  char wanted[64];
  snprintf(wanted, sizeof wanted, "\nPid:\t%d\n", getpid());
  CHECK(strstr(status, wanted) != NULL);
  snprintf(wanted, sizeof wanted, "\nPPid:\t%d\n", getppid());
  CHECK(strstr(status, wanted) != NULL);
  CHECK(strstr(status, "\nThreads:\t1\n") != NULL);
  CHECK(strstr(status, "\nTracerPid:\t0\n") != NULL);
}

CASE(signal_masks_in_status_are_the_programs) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGUSR2, SIG_IGN);
  char* status = read_file("/proc/self/status", NULL);
  static const char* const names[] = {"SigBlk", "SigIgn", "SigCgt", "SigPnd"};
  for (int i = 0; i < 4; ++i) {
    char* line = strstr(status, names[i]);
    CHECK(line != NULL);
    FACT("%.24s", line);
  }
}

CASE(stat_file_shows_the_program) {
  char* text = read_file("/proc/self/stat", NULL);
  int pid, parent, group;
  char name[32], state;
  CHECK_EQ(sscanf(text, "%d (%31[^)]) %c %d %d", &pid, name, &state, &parent, &group), 5);
  CHECK_EQ(pid, getpid());
  CHECK_EQ(parent, getppid());
  CHECK_EQ(group, getpgrp());
  CHECK_STREQ(name, "files_proc");
  CHECK_EQ(state, 'R');
}

static void* wait_for_end(void* stop) {
  while (!*(volatile int*)stop) pause_briefly();
  return NULL;
}

CASE(task_directory_counts_the_programs_threads) {
  static volatile int stop;
  pthread_t threads[5];
  for (int i = 0; i < 5; ++i) CHECK_EQ(pthread_create(&threads[i], NULL, wait_for_end, (void*)&stop), 0);
  DIR* directory = opendir("/proc/self/task");
  CHECK(directory != NULL);
  int count = 0;
  for (struct dirent* entry; (entry = readdir(directory)) != NULL;) count += entry->d_name[0] != '.';
  CHECK_EQ(count, 6);
  stop = 1;
  for (int i = 0; i < 5; ++i) pthread_join(threads[i], NULL);
}

static void check_descriptor_list(const char* path, int extra) {
  bool expected[64] = {[0] = true, [1] = true, [2] = true, [10] = true, [20] = true};
  int count = 0;
  DIR* directory = opendir(path);
  CHECK(directory != NULL);
  if (extra) expected[dirfd(directory)] = true;
  for (struct dirent* entry; (entry = readdir(directory)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    int fd = atoi(entry->d_name);
    if (fd >= 64 || !expected[fd]) FAIL("%s lists descriptor %d, which the program did not open", path, fd);
    ++count;
  }
  CHECK_EQ(count, 5 + extra);
  closedir(directory);
}

CASE(descriptor_directory_lists_the_programs_descriptors) {
  CHECK_EQ(dup2(0, 10), 10);
  CHECK_EQ(dup2(0, 20), 20);
  check_descriptor_list("/proc/self/fd", 1);
  check_descriptor_list("/proc/self/fdinfo", 1);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd", getpid());
  check_descriptor_list(path, 1);
  check_descriptor_list("/dev/fd", 1);
}

CASE(descriptor_directory_in_small_pieces) {
  // Whoever hides entries has to do it for every size of buffer.
  for (int fd = 30; fd < 60; ++fd) CHECK_EQ(dup2(0, fd), fd);
  int directory = CHECK_OK(open("/proc/self/fd", O_RDONLY | O_DIRECTORY));
  char buffer[64] __attribute__((aligned(8)));
  int count = 0;
  for (;;) {
    long size = RAW(SYS_getdents64, directory, buffer, 48);
    CHECK(size >= 0);
    if (size == 0) break;
    for (long at = 0; at < size; at += *(unsigned short*)(buffer + at + 16)) count += buffer[at + 19] != '.';
  }
  CHECK_EQ(count, 3 + 30 + 1);
}

CASE(descriptor_links_name_their_files) {
  write_file("named file", "x");
  int fd = CHECK_OK(open("named file", O_RDONLY));
  char path[64], wanted[PATH_MAX + 16], directory[PATH_MAX];
  CHECK(getcwd(directory, sizeof directory) != NULL);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  snprintf(wanted, sizeof wanted, "%s/named file", directory);
  CHECK_STREQ(link_target(path), wanted);
  CHECK_OK(unlink("named file"));
  strcat(wanted, " (deleted)");
  CHECK_STREQ(link_target(path), wanted);
  CHECK_STREQ(link_target("/proc/self/cwd"), directory);
  CHECK_STREQ(link_target("/proc/self/root"), "/");
  CHECK_FAILS(readlink("/proc/self/fd/900", path, 10), ENOENT);
}

CASE(descriptors_reopen_through_proc) {
  int fd = open_file_of_size("data", 0);
  CHECK_EQ(write(fd, "reopened", 8), 8);
  char path[64], buffer[16];
  snprintf(path, sizeof path, "/dev/fd/%d", fd);
  int again = CHECK_OK(open(path, O_RDONLY));
  CHECK_EQ(read(again, buffer, 16), 8);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 8);
}

CASE(descriptor_count_in_status_and_limits) {
  char* status = read_file("/proc/self/status", NULL);
  CHECK(strstr(status, "\nFDSize:") != NULL);
  char* limits = read_file("/proc/self/limits", NULL);
  char* line = strstr(limits, "Max open files");
  CHECK(line != NULL);
  FACT("%.60s", line);
}

CASE(comm_file_is_written) {
  CHECK_STREQ(read_file("/proc/self/comm", NULL), "files_proc\n");
  int fd = CHECK_OK(open("/proc/self/comm", O_WRONLY));
  CHECK_EQ(write(fd, "renamed", 7), 7);
  char name[17] = "";
  CHECK_OK(prctl(PR_GET_NAME, name));
  CHECK_STREQ(name, "renamed");
}

HELPER(sleep_until_killed) {
  CHECK_EQ(write(1, "r", 1), 1);
  for (;;) pause();
}

CASE(views_of_another_process) {
  int ends[2];
  CHECK_OK(pipe2(ends, O_CLOEXEC));
  pid_t child = start_helper(ends[1], "sleep_until_killed", NULL);
  char byte, path[64];
  CHECK_EQ(read(ends[0], &byte, 1), 1);
  snprintf(path, sizeof path, "/proc/%d/cmdline", child);
  size_t size;
  char* line = read_file(path, &size);
  CHECK_STREQ(line, program_path());
  CHECK_STREQ(line + strlen(line) + 1, "@sleep_until_killed");
  snprintf(path, sizeof path, "/proc/%d/comm", child);
  CHECK_STREQ(read_file(path, NULL), "files_proc\n");
  CHECK_OK(kill(child, SIGKILL));
  check_killed_by(child, SIGKILL);
  CHECK_FAILS(open(path, O_RDONLY), ENOENT);
}

CASE(exe_link_of_another_process) {
  int ends[2];
  CHECK_OK(pipe2(ends, O_CLOEXEC));
  pid_t child = start_helper(ends[1], "sleep_until_killed", NULL);
  char byte, path[64];
  CHECK_EQ(read(ends[0], &byte, 1), 1);
  snprintf(path, sizeof path, "/proc/%d/exe", child);
  char* target = link_target(path);
  CHECK_OK(kill(child, SIGKILL));
  check_killed_by(child, SIGKILL);
  CHECK_STREQ(target, program_path());
}

CASE(own_memory_through_proc) {
  // Debuggers and sanitizers read their own memory this way; a refusal has to be an error, not a crash or other bytes.
  int fd = open("/proc/self/mem", O_RDONLY);
  if (fd < 0) {
    CHECK(under_runtime());
    CHECK(errno == EACCES || errno == EPERM);
    return;
  }
  static const char text[] = "some text to find";
  char buffer[sizeof text];
  CHECK_EQ(pread(fd, buffer, sizeof buffer, (off_t)(uintptr_t)text), sizeof buffer);
  CHECK_MEMEQ(buffer, text, sizeof text);
}

CASE(system_files_are_readable) {
  static const char* const paths[] = {"/proc/meminfo",
                                      "/proc/cpuinfo",
                                      "/proc/mounts",
                                      "/proc/self/mountinfo",
                                      "/proc/self/cgroup",
                                      "/proc/sys/kernel/osrelease",
                                      "/proc/version",
                                      "/proc/self/oom_score_adj",
                                      "/proc/self/statm",
                                      "/proc/self/io",
                                      "/sys/devices/system/cpu/online",
                                      "/proc/self/wchan",
                                      "/proc/loadavg"};
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; ++i) {
    int fd = open(paths[i], O_RDONLY);
    char byte;
    FACT("%s: %ld", paths[i], fd < 0 ? -(long)errno : (long)read(fd, &byte, 1));
  }
}

// Programs close or hand on "everything that is open" by asking fstat or fcntl for each number.
CASE(every_open_descriptor_is_the_programs_own) {
  int open_count = 0;
  for (int fd = 3; fd < 1100; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) ++open_count;
    struct stat status;
    if (fstat(fd, &status) == 0) ++open_count;
  }
  FACT("open descriptors found: %d", open_count);
}
