// Implementation of the conformance frame: the entry point of every conformance program, and the helpers of case.h.
// Failing ends the process at once with _exit, because a case may fail in any thread, child or signal handler.
#include "case.h"

#include <stdarg.h>
#include <sys/auxv.h>

extern const struct conformance_case __start_conformance_cases[] __attribute__((weak, visibility("hidden")));
extern const struct conformance_case __stop_conformance_cases[] __attribute__((weak, visibility("hidden")));
extern const struct conformance_helper __start_conformance_helpers[] __attribute__((weak, visibility("hidden")));
extern const struct conformance_helper __stop_conformance_helpers[] __attribute__((weak, visibility("hidden")));

static char own_path[PATH_MAX];

static void write_all(int fd, const char* text, size_t size) {
  while (size > 0) {
    ssize_t written = write(fd, text, size);
    if (written <= 0) return;
    text += written;
    size -= (size_t)written;
  }
}

static void write_line(int fd, const char* prefix, const char* format, va_list arguments) {
  char line[1024];
  int used = snprintf(line, sizeof line, "%s", prefix);
  int more = vsnprintf(line + used, sizeof line - (size_t)used - 1, format, arguments);
  used += more < 0 ? 0 : more;
  if (used > (int)sizeof line - 2) used = (int)sizeof line - 2;
  line[used] = '\n';
  write_all(fd, line, (size_t)used + 1);
}

void case_fail(const char* file, int line, const char* format, ...) {
  const char* slash = strrchr(file, '/');
  char prefix[128];
  snprintf(prefix, sizeof prefix, "FAIL %s:%d: ", slash != NULL ? slash + 1 : file, line);
  va_list arguments;
  va_start(arguments, format);
  write_line(2, prefix, format, arguments);
  va_end(arguments);
  _exit(kStatusFailed);
}

void case_skip(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  write_line(2, "SKIP ", format, arguments);
  va_end(arguments);
  _exit(kStatusSkipped);
}

void case_fact(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  write_line(1, "", format, arguments);
  va_end(arguments);
}

bool under_runtime(void) {
  const char* mode = getenv("CASEMATE_CONFORMANCE");
  return mode != NULL && strcmp(mode, "runtime") == 0;
}

const char* program_path(void) { return own_path; }

void pause_briefly(void) {
  struct timespec delay = {0, 1000000};
  nanosleep(&delay, NULL);
}

pid_t case_gettid(void) { return (pid_t)syscall(SYS_gettid); }

pid_t start_child(void (*body)(void*), void* argument) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    body(argument);
    _exit(0);
  }
  return child;
}

int wait_status_of(pid_t child) {
  int status = 0;
  pid_t found;
  do {
    found = waitpid(child, &status, 0);
  } while (found == -1 && errno == EINTR);
  CHECK_EQ(found, child);
  return status;
}

void check_exited(pid_t child, int expected_code) {
  int status = wait_status_of(child);
  if (!WIFEXITED(status)) FAIL("child did not exit: wait status 0x%x", status);
  CHECK_EQ(WEXITSTATUS(status), expected_code);
}

void check_killed_by(pid_t child, int expected_signal) {
  int status = wait_status_of(child);
  if (!WIFSIGNALED(status)) FAIL("child was not killed: wait status 0x%x, expected signal %d", status, expected_signal);
  CHECK_EQ(WTERMSIG(status), expected_signal);
}

static pid_t start_helper_list(int output_fd, const char* helper, va_list arguments) {
  char name[128];
  char* argv[32] = {own_path, name};
  snprintf(name, sizeof name, "@%s", helper);
  for (int i = 2; i < 31; ++i) {
    argv[i] = va_arg(arguments, char*);
    if (argv[i] == NULL) break;
  }
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    if (output_fd >= 0) CHECK_OK(dup2(output_fd, 1));
    execv(own_path, argv);
    FAIL("exec of %s failed: errno %d", own_path, errno);
  }
  return child;
}

pid_t start_helper(int output_fd, const char* helper, ...) {
  va_list arguments;
  va_start(arguments, helper);
  pid_t child = start_helper_list(output_fd, helper, arguments);
  va_end(arguments);
  return child;
}

static char* read_to_end(int fd, size_t* size) {
  size_t used = 0, room = 4096;
  char* text = malloc(room + 1);
  for (;;) {
    ssize_t count = CHECK_OK(read(fd, text + used, room - used));
    if (count == 0) break;
    used += (size_t)count;
    if (used == room) text = realloc(text, (room *= 2) + 1);
  }
  text[used] = 0;
  if (size != NULL) *size = used;
  return text;
}

char* helper_output(int expected_code, const char* helper, ...) {
  int ends[2];
  CHECK_OK(pipe2(ends, O_CLOEXEC));
  va_list arguments;
  va_start(arguments, helper);
  pid_t child = start_helper_list(ends[1], helper, arguments);
  va_end(arguments);
  close(ends[1]);
  char* text = read_to_end(ends[0], NULL);
  close(ends[0]);
  check_exited(child, expected_code);
  return text;
}

struct signal_pump start_signal_pump(pid_t target, int signal_number) {
  struct signal_pump pump = {CHECK_OK(fork())};
  if (pump.child == 0) {
    signal(signal_number, SIG_IGN);
    while (kill(target, signal_number) == 0) pause_briefly();
    _exit(0);
  }
  return pump;
}

void stop_signal_pump(struct signal_pump* pump) {
  CHECK_OK(kill(pump->child, SIGKILL));
  (void)wait_status_of(pump->child);
}

void* shared_page(void) {
  void* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  return page;
}

void install_handler(int signal_number, void (*handler)(int, siginfo_t*, void*), int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  CHECK_OK(sigaction(signal_number, &action, NULL));
}

void write_file(const char* path, const char* text) {
  int fd = CHECK_OK(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  CHECK_EQ(write(fd, text, strlen(text)), (long)strlen(text));
  CHECK_OK(close(fd));
}

char* read_file(const char* path, size_t* size) {
  int fd = CHECK_OK(open(path, O_RDONLY | O_CLOEXEC));
  char* text = read_to_end(fd, size);
  CHECK_OK(close(fd));
  return text;
}

int open_file_of_size(const char* path, size_t size) {
  int fd = CHECK_OK(open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  CHECK_OK(ftruncate(fd, (off_t)size));
  return fd;
}

static int run_helper(const char* name, int argc, char** argv) {
  for (const struct conformance_helper* at = __start_conformance_helpers; at < __stop_conformance_helpers; ++at) {
    if (strcmp(at->name, name) == 0) return at->run(argc, argv);
  }
  FAIL("no helper named %s", name);
}

int main(int argc, char** argv) {
  if (argc < 2) FAIL("usage: program --list | CASE");
  if (strcmp(argv[1], "--list") == 0) {
    for (const struct conformance_case* at = __start_conformance_cases; at < __stop_conformance_cases; ++at) {
      puts(at->name);
    }
    return 0;
  }
  // A helper may have been given any argv[0].
  const char* executed = strchr(argv[0], '/') != NULL ? argv[0] : (const char*)getauxval(AT_EXECFN);
  if (executed == NULL || realpath(executed, own_path) == NULL) own_path[0] = 0;
  if (argv[1][0] == '@') return run_helper(argv[1] + 1, argc - 1, argv + 1);
  for (const struct conformance_case* at = __start_conformance_cases; at < __stop_conformance_cases; ++at) {
    if (strcmp(at->name, argv[1]) == 0) {
      at->run();
      return 0;
    }
  }
  FAIL("no case named %s", argv[1]);
}
