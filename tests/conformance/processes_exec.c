// execve, execveat, fexecve and posix_spawn: what is handed over, what is reset, which errors are reported.
#include "case.h"

#include <dirent.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/resource.h>

extern char** environ;

static char* const no_environment[] = {NULL};

HELPER(print_arguments) {
  for (int i = 1; i < argc; ++i) printf("[%s]", argv[i]);
  return 0;
}

HELPER(print_environment) {
  for (char** at = environ; *at != NULL; ++at) printf("[%s]", *at);
  return 0;
}

HELPER(exit_with) { return atoi(argv[1]); }

HELPER(length_of_argument) {
  printf("%zu", strlen(argv[1]));
  return 0;
}

// Runs `body` in a child whose standard output is captured.
static char* output_of(void (*body)(void*), void* argument) {
  int ends[2];
  CHECK_OK(pipe2(ends, O_CLOEXEC));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_OK(dup2(ends[1], 1));
    body(argument);
    FAIL("exec failed: errno %d (%s)", errno, strerror(errno));
  }
  close(ends[1]);
  static char text[65536];
  size_t used = 0;
  for (;;) {
    ssize_t count = CHECK_OK(read(ends[0], text + used, sizeof text - 1 - used));
    if (count == 0) break;
    used += (size_t)count;
  }
  text[used] = 0;
  close(ends[0]);
  check_exited(child, 0);
  return text;
}

static void exec_with_arguments(void* argument) {
  char* argv[] = {"name zero", "@print_arguments", "", "two words", "caf\xc3\xa9\xff", "-x", NULL};
  execve(program_path(), argv, no_environment);
}

CASE(arguments_arrive_unchanged) {
  CHECK_STREQ(output_of(exec_with_arguments, NULL), "[][two words][caf\xc3\xa9\xff][-x]");
}

static void exec_with_environment(void* argument) {
  char* argv[] = {"p", "@print_environment", NULL};
  char* variables[] = {"A=1", "EMPTY=", "NOEQUALS", "A=2", "LD_TEST=x y", NULL};
  execve(program_path(), argv, variables);
}

CASE(environment_arrives_unchanged) {
  CHECK_STREQ(output_of(exec_with_environment, NULL), "[A=1][EMPTY=][NOEQUALS][A=2][LD_TEST=x y]");
}

static void exec_without_environment(void* argument) {
  char* argv[] = {"p", "@print_environment", NULL};
  execve(program_path(), argv, no_environment);
}

static void exec_with_null_environment(void* argument) {
  char* argv[] = {"p", "@print_environment", NULL};
  RAW(SYS_execve, program_path(), argv, 0);
}

CASE(empty_environment_stays_empty) {
  CHECK_STREQ(output_of(exec_without_environment, NULL), "");
  CHECK_STREQ(output_of(exec_with_null_environment, NULL), "");
}

static void exec_with_long_argument(void* argument) {
  char* argv[] = {"p", "@length_of_argument", argument, NULL};
  execve(program_path(), argv, no_environment);
}

CASE(longest_single_argument_passes) {
  enum { kLimit = 32 * 4096 };
  char* text = malloc(kLimit + 1);
  memset(text, 'a', kLimit);
  text[kLimit - 1] = 0;
  CHECK_STREQ(output_of(exec_with_long_argument, text), "131071");
  text[kLimit - 1] = 'a';
  text[kLimit] = 0;
  char* argv[] = {"p", "@length_of_argument", text, NULL};
  CHECK_FAILS(execve(program_path(), argv, no_environment), E2BIG);
}

CASE(too_many_arguments_are_refused) {
  enum { kCount = 2000, kSize = 8192 };
  char* text = malloc(kSize);
  memset(text, 'b', kSize);
  text[kSize - 1] = 0;
  static char* argv[kCount + 1];
  for (int i = 0; i < kCount; ++i) argv[i] = text;
  CHECK_FAILS(execve(program_path(), argv, no_environment), E2BIG);
}

HELPER(count_arguments) { return argc - 1 == 10000 ? 0 : 1; }

CASE(ten_thousand_arguments_pass) {
  static char* argv[10003];
  argv[0] = "p";
  argv[1] = "@count_arguments";
  for (int i = 0; i < 10000; ++i) argv[i + 2] = "arg";
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    execv(program_path(), argv);
    _exit(99);
  }
  check_exited(child, 0);
}

CASE(exec_errors) {
  char* argv[] = {"p", NULL};
  CHECK_FAILS(execv("/does/not/exist", argv), ENOENT);
  CHECK_FAILS(execv("", argv), ENOENT);
  CHECK_FAILS(execv("/", argv), EACCES);
  write_file("plain", "#!/bin/sh\n");
  CHECK_FAILS(execv("plain", argv), EACCES);
  CHECK_FAILS(execv("plain/x", argv), ENOTDIR);
  CHECK_OK(symlink("loop", "loop"));
  CHECK_FAILS(execv("loop", argv), ELOOP);
  char name[300];
  memset(name, 'n', sizeof name);
  name[299] = 0;
  CHECK_FAILS(execv(name, argv), ENAMETOOLONG);
  CHECK_EQ(RAW(SYS_execve, 8, argv, 0), -EFAULT);
  CHECK_EQ(RAW(SYS_execve, program_path(), 8, 0), -EFAULT);
  CHECK_EQ(RAW(SYS_execve, program_path(), argv, 8), -EFAULT);
  char* bad[] = {(char*)8, NULL};
  CHECK_EQ(RAW(SYS_execve, program_path(), bad, 0), -EFAULT);
}

CASE(unrecognised_formats_are_refused) {
  char* argv[] = {"p", NULL};
  write_file("text", "this is no program\n");
  write_file("empty", "");
  write_file("short-elf",
             "\x7f"
             "ELF");
  write_file("no-interpreter", "#!\n");
  write_file("missing-interpreter", "#!/does/not/exist\n");
  static const char* const names[] = {"text", "empty", "short-elf", "no-interpreter", "missing-interpreter"};
  static const int errors[] = {ENOEXEC, ENOEXEC, ENOEXEC, ENOEXEC, ENOENT};
  for (int i = 0; i < 5; ++i) {
    CHECK_OK(chmod(names[i], 0755));
    CHECK_FAILS(execv(names[i], argv), errors[i]);
  }
}

static void copy_program(const char* to) {
  size_t size;
  char* bytes = read_file(program_path(), &size);
  int fd = CHECK_OK(open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755));
  CHECK_EQ(write(fd, bytes, size), (long)size);
  CHECK_OK(close(fd));
  free(bytes);
}

CASE(wrong_architecture_is_refused) {
  char* argv[] = {"p", NULL};
  copy_program("other");
  int fd = CHECK_OK(open("other", O_WRONLY | O_CLOEXEC));
  CHECK_EQ(pwrite(fd, "\xb7\0", 2, 18), 2);  // e_machine: EM_AARCH64
  CHECK_OK(close(fd));
  CHECK_FAILS(execv("other", argv), ENOEXEC);
}

CASE(program_file_open_for_writing_is_busy) {
  copy_program("busy");
  int fd = CHECK_OK(open("busy", O_RDWR | O_CLOEXEC));
  char* argv[] = {"p", "@exit_with", "0", NULL};
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_FAILS(execv("busy", argv), ETXTBSY);
    _exit(0);
  }
  check_exited(child, 0);
  CHECK_OK(close(fd));
}

HELPER(wait_for_end_of_input) {
  char byte;
  return read(0, &byte, 1) == 0 ? 0 : 1;
}

CASE(running_program_cannot_be_written) {
  copy_program("running");
  int ends[2];
  CHECK_OK(pipe2(ends, O_CLOEXEC));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    dup2(ends[0], 0);
    execl("./running", "p", "@wait_for_end_of_input", NULL);
    _exit(99);
  }
  // The program file is write-protected as soon as the exec has happened.
  char link[64];
  snprintf(link, sizeof link, "/proc/%d/comm", child);
  for (;;) {
    char* comm = read_file(link, NULL);
    bool started = strcmp(comm, "running\n") == 0;
    free(comm);
    if (started) break;
    pause_briefly();
  }
  int fd = open("running", O_WRONLY | O_CLOEXEC);
  int saved = errno;
  close(ends[0]);
  close(ends[1]);
  check_exited(child, 0);
  CHECK_EQ(fd, -1);
  CHECK_EQ(saved, ETXTBSY);
  CHECK_OK(open("running", O_WRONLY | O_CLOEXEC));
}

CASE(unreadable_but_executable_program_runs) {
  copy_program("secret");
  CHECK_OK(chmod("secret", 0111));
  CHECK_OK(chmod(".", 0755));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_OK(setgid(65534));
    CHECK_OK(setuid(65534));
    CHECK_FAILS(open("secret", O_RDONLY), EACCES);
    execl("./secret", "./secret", "@exit_with", "14", NULL);
    _exit(99);
  }
  check_exited(child, 14);
}

static void exec_script(void* name) {
  char* argv[] = {"ignored", "first", "second arg", NULL};
  execve(name, argv, no_environment);
}

CASE(script_gets_one_optional_argument) {
  write_file("script", "#!/usr/bin/printf   [%s] and   \nrest\n");
  CHECK_OK(chmod("script", 0755));
  CHECK_STREQ(output_of(exec_script, "./script"), "[./script] and[first] and[second arg] and");
}

CASE(script_with_program_of_ours_as_interpreter) {
  char line[PATH_MAX + 64];
  snprintf(line, sizeof line, "#! \t%s\t@print_arguments\n", program_path());
  write_file("script", line);
  CHECK_OK(chmod("script", 0755));
  CHECK_STREQ(output_of(exec_script, "./script"), "[./script][first][second arg]");
}

CASE(script_whose_interpreter_is_a_script) {
  char line[PATH_MAX + 64];
  snprintf(line, sizeof line, "#!%s @print_arguments\n", program_path());
  write_file("inner", line);
  write_file("outer", "#!./inner extra\n");
  CHECK_OK(chmod("inner", 0755));
  CHECK_OK(chmod("outer", 0755));
  CHECK_STREQ(output_of(exec_script, "outer"), "[./inner][extra][outer][first][second arg]");
}

CASE(scripts_nested_too_deep_are_refused) {
  char* argv[] = {"p", NULL};
  for (int i = 0; i < 8; ++i) {
    char name[16], line[64];
    snprintf(name, sizeof name, "s%d", i);
    snprintf(line, sizeof line, "#!./s%d\n", i + 1);
    write_file(name, i == 7 ? "#!/bin/true\n" : line);
    CHECK_OK(chmod(name, 0755));
  }
  CHECK_FAILS(execv("./s0", argv), ELOOP);
}

CASE(shell_script_runs) {
  write_file("script", "#!/bin/sh\nprintf '%s|%s|%s' \"$0\" \"$1\" \"$#\"\n");
  CHECK_OK(chmod("script", 0755));
  CHECK_STREQ(output_of(exec_script, "./script"), "./script|first|2");
}

HELPER(print_open_descriptors) {
  for (int fd = 0; fd < 1000; ++fd) {
    if (fcntl(fd, F_GETFD) != -1) printf("[%d]", fd);
  }
  return 0;
}

static void exec_descriptor_list(void* argument) {
  dup2(0, 10);
  dup3(0, 11, O_CLOEXEC);
  dup2(0, 12);
  fcntl(12, F_SETFD, FD_CLOEXEC);
  dup2(0, 500);
  execl(program_path(), "p", "@print_open_descriptors", NULL);
}

CASE(close_on_exec_descriptors_are_closed) { CHECK_STREQ(output_of(exec_descriptor_list, NULL), "[0][1][2][10][500]"); }

HELPER(print_signals) {
  sigset_t mask;
  sigprocmask(SIG_BLOCK, NULL, &mask);
  for (int i = 1; i < 65; ++i) {
    struct sigaction action;
    if (sigaction(i, NULL, &action) != 0) continue;
    if (action.sa_handler != SIG_DFL) printf("[%d %s]", i, action.sa_handler == SIG_IGN ? "ignored" : "handled");
    if (sigismember(&mask, i) == 1) printf("[%d blocked]", i);
  }
  sigset_t pending;
  sigpending(&pending);
  if (sigismember(&pending, SIGUSR2)) printf("[SIGUSR2 pending]");
  stack_t stack;
  sigaltstack(NULL, &stack);
  printf("[alternate stack flags %d]", stack.ss_flags);
  return 0;
}

static void do_nothing(int number, siginfo_t* info, void* context) {}

static void exec_with_signals(void* argument) {
  static char stack_memory[65536];
  stack_t stack = {.ss_sp = stack_memory, .ss_size = sizeof stack_memory};
  CHECK_OK(sigaltstack(&stack, NULL));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigaddset(&set, SIGRTMIN + 3);
  sigprocmask(SIG_SETMASK, &set, NULL);
  signal(SIGHUP, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
  install_handler(SIGUSR1, do_nothing, 0);
  raise(SIGUSR2);
  execl(program_path(), "p", "@print_signals", NULL);
}

CASE(signal_state_across_exec) {
  char wanted[200];
  snprintf(wanted, sizeof wanted,
           "[1 ignored][12 blocked][17 ignored][%d blocked][SIGUSR2 pending][alternate stack flags 2]", SIGRTMIN + 3);
  CHECK_STREQ(output_of(exec_with_signals, NULL), wanted);
}

HELPER(print_pids) {
  printf("%d %d %d", getpid(), case_gettid(), getppid());
  return 0;
}

static void exec_print_pids(void* argument) { execl(program_path(), "p", "@print_pids", NULL); }

static void* exec_in_thread(void* argument) {
  exec_print_pids(NULL);
  _exit(98);
}

static void* wait_in_thread(void* argument) {
  for (;;) pause();
  return NULL;
}

static void exec_from_thread(void* argument) {
  pthread_t thread;
  for (int i = 0; i < 10; ++i) CHECK_EQ(pthread_create(&thread, NULL, wait_in_thread, NULL), 0);
  CHECK_EQ(pthread_create(&thread, NULL, exec_in_thread, NULL), 0);
  for (;;) pause();
}

CASE(exec_from_a_thread_takes_the_process_id) {
  for (int i = 0; i < 10; ++i) {
    int pid, tid, parent;
    CHECK_EQ(sscanf(output_of(exec_from_thread, NULL), "%d %d %d", &pid, &tid, &parent), 3);
    CHECK_EQ(pid, tid);
    CHECK_EQ(parent, getpid());
  }
}

static void* exec_helper_in_thread(void* argument) {
  execl(program_path(), "p", "@exit_with", "7", NULL);
  return NULL;
}

CASE(two_threads_exec_at_once) {
  for (int i = 0; i < 10; ++i) {
    pid_t child = CHECK_OK(fork());
    if (child == 0) {
      pthread_t thread;
      CHECK_EQ(pthread_create(&thread, NULL, exec_helper_in_thread, NULL), 0);
      exec_helper_in_thread(NULL);
    }
    check_exited(child, 7);
  }
}

CASE(exec_keeps_pid_and_many_in_a_row_work) {
  // A process that executes itself 30 times.
  char count[16] = "30";
  pid_t child = start_helper(-1, "exec_again", count, NULL);
  check_exited(child, 30);
}

HELPER(exec_again) {
  int left = atoi(argv[1]);
  int done = argc > 2 ? atoi(argv[2]) : 0;
  int pid = argc > 3 ? atoi(argv[3]) : getpid();
  CHECK_EQ(pid, getpid());
  if (left == 0) return done;
  char left_text[16], done_text[16], pid_text[16];
  snprintf(left_text, sizeof left_text, "%d", left - 1);
  snprintf(done_text, sizeof done_text, "%d", done + 1);
  snprintf(pid_text, sizeof pid_text, "%d", pid);
  execl(program_path(), "p", "@exec_again", left_text, done_text, pid_text, NULL);
  return 99;
}

static void exec_proc_self_exe(void* argument) {
  char* argv[] = {(char*)program_path(), "@print_arguments", "self", NULL};
  execve("/proc/self/exe", argv, no_environment);
}

CASE(exec_of_proc_self_exe_runs_the_program) { CHECK_STREQ(output_of(exec_proc_self_exe, NULL), "[self]"); }

static void execveat_directory(void* argument) {
  char directory[PATH_MAX];
  strcpy(directory, program_path());
  char* slash = strrchr(directory, '/');
  *slash = 0;
  int fd = CHECK_OK(open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC));
  char* argv[] = {(char*)program_path(), "@print_arguments", "at", NULL};
  syscall(SYS_execveat, fd, slash + 1, argv, no_environment, 0);
}

static void execveat_empty_path(void* argument) {
  int fd = CHECK_OK(open(program_path(), O_PATH));
  char* argv[] = {(char*)program_path(), "@print_arguments", "empty", NULL};
  syscall(SYS_execveat, fd, "", argv, no_environment, AT_EMPTY_PATH);
}

static void fexecve_descriptor(void* argument) {
  int fd = CHECK_OK(open(program_path(), O_RDONLY | O_CLOEXEC));
  char* argv[] = {(char*)program_path(), "@print_arguments", "fexecve", NULL};
  fexecve(fd, argv, no_environment);
}

CASE(execveat_forms) {
  CHECK_STREQ(output_of(execveat_directory, NULL), "[at]");
  CHECK_STREQ(output_of(execveat_empty_path, NULL), "[empty]");
  CHECK_STREQ(output_of(fexecve_descriptor, NULL), "[fexecve]");
}

CASE(execveat_errors) {
  char* argv[] = {"p", NULL};
  CHECK_FAILS(syscall(SYS_execveat, 900, "x", argv, no_environment, 0), EBADF);
  CHECK_FAILS(syscall(SYS_execveat, AT_FDCWD, "", argv, no_environment, 0), ENOENT);
  CHECK_FAILS(syscall(SYS_execveat, AT_FDCWD, "x", argv, no_environment, 0x7000000), EINVAL);
  CHECK_OK(symlink(program_path(), "link"));
  CHECK_FAILS(syscall(SYS_execveat, AT_FDCWD, "link", argv, no_environment, AT_SYMLINK_NOFOLLOW), ELOOP);
  int directory = CHECK_OK(open(".", O_RDONLY | O_DIRECTORY));
  CHECK_FAILS(syscall(SYS_execveat, directory, "", argv, no_environment, AT_EMPTY_PATH), EACCES);
}

static void exec_script_by_descriptor(void* argument) {
  int fd = CHECK_OK(dup2(CHECK_OK(open("script", O_RDONLY | O_CLOEXEC)), 40));
  char* argv[] = {"ignored", "x", NULL};
  syscall(SYS_execveat, fd, "", argv, no_environment, AT_EMPTY_PATH);
}

CASE(script_executed_by_descriptor_gets_dev_fd_name) {
  char line[PATH_MAX + 64];
  snprintf(line, sizeof line, "#!%s @print_arguments\n", program_path());
  write_file("script", line);
  CHECK_OK(chmod("script", 0755));
  CHECK_STREQ(output_of(exec_script_by_descriptor, NULL), "[/dev/fd/40][x]");
  int fd = CHECK_OK(open("script", O_RDONLY | O_CLOEXEC));
  char* argv[] = {"ignored", NULL};
  CHECK_FAILS(syscall(SYS_execveat, fd, "", argv, no_environment, AT_EMPTY_PATH), ENOENT);
}

static void exec_memfd(void* argument) {
  size_t size;
  char* bytes = read_file(program_path(), &size);
  int fd = CHECK_OK((int)syscall(SYS_memfd_create, "program", 1u));
  CHECK_EQ(write(fd, bytes, size), (long)size);
  char* argv[] = {(char*)program_path(), "@print_arguments", "memfd", NULL};
  fexecve(fd, argv, no_environment);
}

CASE(program_in_memory_file_runs) { CHECK_STREQ(output_of(exec_memfd, NULL), "[memfd]"); }

HELPER(print_cwd_umask_limits) {
  char path[PATH_MAX];
  CHECK(getcwd(path, sizeof path) != NULL);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  printf("%s %o %ld %ld %d %d", path, umask(0), (long)limit.rlim_cur, (long)limit.rlim_max, getpgrp() == getpid(),
         getpriority(PRIO_PROCESS, 0));
  return 0;
}

static void exec_with_attributes(void* argument) {
  CHECK_OK(chdir("/usr"));
  umask(0135);
  struct rlimit limit = {200, 300};
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
  CHECK_OK(setpgid(0, 0));
  CHECK_OK(setpriority(PRIO_PROCESS, 0, 5));
  execl(program_path(), "p", "@print_cwd_umask_limits", NULL);
}

CASE(process_attributes_survive_exec) { CHECK_STREQ(output_of(exec_with_attributes, NULL), "/usr 135 200 300 1 5"); }

CASE(exec_with_few_descriptors_allowed) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    struct rlimit limit;
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = 3;
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
    // Even the dynamic loader needs one descriptor: leave one free.
    close(0);
    execl(program_path(), "p", "@exit_with", "15", NULL);
    _exit(99);
  }
  check_exited(child, 15);
}

CASE(exec_with_closed_standard_descriptors) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    close(0);
    close(1);
    close(2);
    execl(program_path(), "p", "@exit_with", "16", NULL);
    _exit(99);
  }
  check_exited(child, 16);
}

CASE(exec_of_a_static_and_of_an_interpreted_program) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", "exec /usr/bin/env sh -c 'exit 21'", NULL);
    _exit(99);
  }
  check_exited(child, 21);
}

static pid_t spawn(posix_spawn_file_actions_t* actions, posix_spawnattr_t* attributes, const char* helper,
                   const char* argument) {
  char* argv[] = {"p", (char*)helper, (char*)argument, NULL};
  pid_t child = 0;
  CHECK_EQ(posix_spawn(&child, program_path(), actions, attributes, argv, environ), 0);
  return child;
}

CASE(spawned_program_runs) {
  for (int i = 0; i < 20; ++i) {
    char number[8];
    snprintf(number, sizeof number, "%d", i);
    check_exited(spawn(NULL, NULL, "@exit_with", number), i);
  }
}

CASE(spawn_reports_missing_program) {
  char* argv[] = {"p", NULL};
  pid_t child;
  CHECK_EQ(posix_spawn(&child, "/does/not/exist", NULL, NULL, argv, environ), ENOENT);
  CHECK_EQ(posix_spawnp(&child, "surely-no-such-program", NULL, NULL, argv, environ), ENOENT);
  CHECK_FAILS(wait(NULL), ECHILD);
}

CASE(spawn_file_actions_open_dup_and_close) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "output", O_WRONLY | O_CREAT, 0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 7);
  posix_spawn_file_actions_addclose(&actions, 0);
  check_exited(spawn(&actions, NULL, "@print_open_descriptors", NULL), 0);
  char* text = read_file("output", NULL);
  CHECK_STREQ(text, "[1][2][7]");
}

CASE(spawn_attributes_apply) {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "output", O_WRONLY | O_CREAT, 0644);
  sigset_t mask, defaults;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGINT);
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  posix_spawnattr_setsigmask(&attributes, &mask);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  pid_t child = spawn(&actions, &attributes, "@print_signals", NULL);
  check_exited(child, 0);
  char* text = read_file("output", NULL);
  CHECK_STREQ(text, "[10 blocked][15 ignored][alternate stack flags 2]");
}

CASE(popen_and_system_work) {
  FILE* pipe = popen("echo one; echo two", "r");
  CHECK(pipe != NULL);
  char text[64];
  size_t size = fread(text, 1, sizeof text - 1, pipe);
  text[size] = 0;
  CHECK_STREQ(text, "one\ntwo\n");
  CHECK_EQ(pclose(pipe), 0);
  CHECK_EQ(WEXITSTATUS(system("exit 3")), 3);
  CHECK_EQ(WTERMSIG(system("kill -9 $$")), SIGKILL);
}

CASE(failed_exec_leaves_no_descriptor_behind) {
  struct rlimit limit;
  CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = 64;
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
  size_t size = 1 << 20;  // more than one argument may have
  char* argument = malloc(size);
  memset(argument, 'a', size - 1);
  argument[size - 1] = 0;
  int before = 0, after = 0;
  for (int fd = 0; fd < 64; ++fd) before += fcntl(fd, F_GETFD) != -1;
  for (int i = 0; i < 10; ++i) CHECK_FAILS(execv(program_path(), (char*[]){argument, NULL}), E2BIG);
  for (int fd = 0; fd < 64; ++fd) after += fcntl(fd, F_GETFD) != -1;
  CHECK_EQ(after, before);
}
