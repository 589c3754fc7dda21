// Random operations on names: each process works in a tree of its own and, with links and renames, in one that all
// share.
//
//   tree_stress DIRECTORY SEED OPERATIONS PROCESSES
//
// What happens in a process's own tree depends on its seed only, so a native run and one in a volume must print the
// same: each operation's errno is folded into a number per process, printed at the end. In the shared tree only
// invariants count.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static uint64_t state, fold = 14695981039346656037u;

static uint32_t draw(uint32_t bound) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33) % bound;
}

static void note(long value) { fold = (fold ^ (uint64_t)value) * 1099511628211u; }
static void note_result(long result) { note(result < 0 ? -errno : 0); }

static const char* name(char* out) {
  char* at = out;
  const uint32_t depth = draw(3);
  for (uint32_t i = 0; i < depth; ++i) at += sprintf(at, "d%u/", draw(4));
  if (draw(12) == 0) at += sprintf(at, "../");
  sprintf(at, draw(4) ? "f%u" : "d%u", draw(6));
  return out;
}

static void write_file(const char* path) {
  const int fd = open(path, O_RDWR | O_CREAT | (draw(3) ? 0 : O_TRUNC) | (draw(8) ? 0 : O_EXCL), 0600 | draw(64));
  note_result(fd);
  if (fd < 0) return;
  char text[200];
  memset(text, (int)('a' + draw(26)), sizeof(text));
  note_result(pwrite(fd, text, 1 + draw(sizeof(text)), draw(20000)));
  struct stat facts;
  note_result(fstat(fd, &facts));
  note(facts.st_size);
  note((long)facts.st_nlink);
  close(fd);
}

static void look_at(const char* path) {
  struct stat facts;
  const int result = lstat(path, &facts);
  note_result(result);
  if (result != 0) return;
  note(facts.st_mode);
  if (!S_ISDIR(facts.st_mode)) note((long)facts.st_nlink), note(facts.st_size);
  char value[64];
  const ssize_t size = getxattr(path, "user.case", value, sizeof(value));
  if (size >= 0 || errno != EOPNOTSUPP) note_result(size), note(size < 0 ? 0 : size);
}

static void list(const char* path) {
  DIR* directory = opendir(path);
  note(directory == NULL ? -errno : 0);
  if (directory == NULL) return;
  uint64_t sum = 0;  // the order is the file system's business
  for (struct dirent* entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
    uint64_t one = 7;
    for (const char* at = entry->d_name; *at != 0; ++at) one = one * 31 + (unsigned char)*at;
    sum += one * (entry->d_type + 1u);
  }
  note((long)sum);
  closedir(directory);
}

static void step(void) {
  char a[64], b[64];
  name(a), name(b);
  switch (draw(16)) {
    case 0:
    case 1:
    case 2:
      write_file(a);
      break;
    case 3:
    case 4:
      note_result(mkdir(a, 0700));
      break;
    case 5:
      note_result(unlink(a));
      break;
    case 6:
      note_result(rmdir(a));
      break;
    case 7:
      note_result(rename(a, b));
      break;
    case 8:
      note_result(renameat2(AT_FDCWD, a, AT_FDCWD, b, draw(2) ? RENAME_NOREPLACE : RENAME_EXCHANGE));
      break;
    case 9:
      note_result(link(a, b));
      break;
    case 10:
      note_result(symlink(b, a));
      break;
    case 11:
      look_at(a);
      break;
    case 12:
      list(draw(2) ? "." : a);
      break;
    case 13:
      note_result(truncate(a, draw(30000)));
      break;
    case 14:
      note_result(chmod(a, draw(2) ? 0700 : 0750));
      break;
    default: {
      const int result = setxattr(a, "user.case", b, strlen(b), 0);
      if (result == 0 || errno != EOPNOTSUPP) note_result(result);
    }
  }
}

static void shared_step(const char* shared, int me) {
  char a[300], b[300];
  snprintf(a, sizeof(a), "%s/s%u", shared, draw(20));
  snprintf(b, sizeof(b), "%s/s%u", shared, draw(20));
  if (draw(3) == 0) {
    const int fd = open(a, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd >= 0 && write(fd, "12345678", 8) != 8) _exit(3);
    if (fd >= 0) close(fd);
  } else if (draw(2)) {
    if (rename(a, b) != 0 && errno != ENOENT) _exit(4);
  } else {
    if (unlink(a) != 0 && errno != ENOENT) _exit(5);
  }
  struct stat facts;
  if (stat(b, &facts) == 0 && facts.st_size % 8 != 0) _exit(6);
  (void)me;
}

int main(int argc, char** argv) {
  if (argc != 5 || chdir(argv[1]) != 0) return 2;
  const int processes = atoi(argv[4]);
  char* root = getcwd(NULL, 0);
  if (root == NULL || mkdir("shared", 0755) != 0) return 2;
  char shared[256];
  snprintf(shared, sizeof(shared), "%s/shared", root);
  umask(022);
  for (int me = 0; me < processes; ++me) {
    if (fork() != 0) continue;
    char own[32];
    snprintf(own, sizeof(own), "p%d", me);
    // Three deep: "../" leads up one, and a dangling link made there another one, which must still be its own.
    if (mkdir(own, 0755) != 0 || chdir(own) != 0) _exit(2);
    for (int depth = 0; depth < 2; ++depth) {
      if (mkdir("in", 0755) != 0 || chdir("in") != 0) _exit(2);
    }
    state = strtoull(argv[2], NULL, 10) * 1000003u + (unsigned)me;
    uint64_t own_state;
    for (unsigned long i = strtoul(argv[3], NULL, 10); i > 0; --i) {
      step();
      own_state = state;  // the shared part must not decide what the own part does
      state ^= (uint64_t)getpid() << 20;
      shared_step(shared, me);
      state = own_state;
    }
    printf("process %d: %016llx\n", me, (unsigned long long)fold);
    fflush(stdout);
    _exit(0);
  }
  int failed = 0, status;
  while (wait(&status) > 0) {
    if (status != 0) fprintf(stderr, "a process ended with status %x\n", (unsigned)status);
    failed |= status;
  }
  return failed ? 1 : 0;
}
