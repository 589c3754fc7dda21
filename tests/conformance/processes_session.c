// Process groups, sessions, controlling terminals and job control on a pseudo terminal.
#include "case.h"

#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <termios.h>

struct terminal {
  int master, slave;
  char name[64];
};

static struct terminal open_terminal(void) {
  struct terminal result;
  result.master = CHECK_OK(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  CHECK_OK(grantpt(result.master));
  CHECK_OK(unlockpt(result.master));
  CHECK_EQ(ptsname_r(result.master, result.name, sizeof result.name), 0);
  result.slave = CHECK_OK(open(result.name, O_RDWR | O_NOCTTY));
  return result;
}

// Runs the body as leader of a new session whose controlling terminal is a fresh pseudo terminal.
static void in_terminal_session(void (*body)(struct terminal*)) {
  struct terminal terminal = open_terminal();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_OK(setsid());
    CHECK_OK(ioctl(terminal.slave, TIOCSCTTY, 0));
    signal(SIGHUP, SIG_IGN);
    body(&terminal);
    _exit(0);
  }
  check_exited(child, 0);
}

static void wait_forever(void) {
  for (;;) pause();
}

CASE(new_session_has_own_ids) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_EQ(setsid(), getpid());
    CHECK_EQ(getsid(0), getpid());
    CHECK_EQ(getpgrp(), getpid());
    CHECK_FAILS(setsid(), EPERM);
    CHECK_FAILS(setpgid(0, getppid()), EPERM);
    CHECK_FAILS(open("/dev/tty", O_RDWR), ENXIO);
    _exit(0);
  }
  check_exited(child, 0);
}

CASE(process_groups_are_set_from_outside) {
  pid_t first = CHECK_OK(fork());
  if (first == 0) wait_forever();
  pid_t second = CHECK_OK(fork());
  if (second == 0) wait_forever();
  CHECK_OK(setpgid(first, first));
  CHECK_OK(setpgid(second, first));
  CHECK_EQ(getpgid(second), first);
  CHECK_EQ(getsid(second), getsid(0));
  CHECK_OK(kill(-first, SIGTERM));
  check_killed_by(first, SIGTERM);
  check_killed_by(second, SIGTERM);
  CHECK_FAILS(kill(-first, 0), ESRCH);
  CHECK_FAILS(setpgid(1, 0), ESRCH);
  CHECK_FAILS(setpgid(0, -5), EINVAL);
}

CASE(setpgid_after_exec_is_refused) {
  int ends[2];
  CHECK_OK(pipe2(ends, O_CLOEXEC));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    execl("/bin/sleep", "sleep", "1000", NULL);
    _exit(99);
  }
  close(ends[1]);
  char byte;
  CHECK_EQ(read(ends[0], &byte, 1), 0);  // the write end is closed by the exec
  CHECK_FAILS(setpgid(child, child), EACCES);
  CHECK_OK(kill(child, SIGKILL));
  check_killed_by(child, SIGKILL);
}

static void check_controlling(struct terminal* terminal) {
  int tty = CHECK_OK(open("/dev/tty", O_RDWR));
  CHECK_EQ(tcgetpgrp(tty), getpgrp());
  CHECK_EQ(tcgetsid(tty), getsid(0));
  CHECK(isatty(terminal->slave));
  CHECK_OK(ioctl(tty, TIOCNOTTY));
  CHECK_FAILS(open("/dev/tty", O_RDWR), ENXIO);
}

CASE(controlling_terminal_is_acquired_and_released) { in_terminal_session(check_controlling); }

static void background_read(struct terminal* terminal) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    setpgid(0, 0);
    char byte;
    read(terminal->slave, &byte, 1);
    _exit(byte);
  }
  setpgid(child, child);
  int status;
  CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
  CHECK(WIFSTOPPED(status));
  CHECK_EQ(WSTOPSIG(status), SIGTTIN);
  CHECK_OK(tcsetpgrp(terminal->slave, child));
  CHECK_EQ(write(terminal->master, "A\n", 2), 2);
  CHECK_OK(kill(child, SIGCONT));
  check_exited(child, 'A');
}

CASE(background_read_stops_until_in_foreground) { in_terminal_session(background_read); }

static void background_write(struct terminal* terminal) {
  struct termios modes;
  CHECK_OK(tcgetattr(terminal->slave, &modes));
  modes.c_lflag |= TOSTOP;
  CHECK_OK(tcsetattr(terminal->slave, TCSANOW, &modes));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    setpgid(0, 0);
    _exit(write(terminal->slave, "x", 1) == 1 ? 3 : 4);
  }
  setpgid(child, child);
  int status;
  CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
  CHECK_EQ(WSTOPSIG(status), SIGTTOU);
  CHECK_OK(tcsetpgrp(terminal->slave, child));
  CHECK_OK(kill(child, SIGCONT));
  check_exited(child, 3);
}

CASE(background_write_stops_with_tostop) { in_terminal_session(background_write); }

static void orphaned_background_read(struct terminal* terminal) {
  // In an orphaned process group nobody could continue the reader: EIO instead of a stop.
  int* result = shared_page();
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
  pid_t middle = CHECK_OK(fork());
  if (middle == 0) {
    pid_t parent = getpid();
    if (CHECK_OK(fork()) == 0) {
      setpgid(0, 0);
      signal(SIGHUP, SIG_IGN);
      signal(SIGTTIN, SIG_IGN);
      WAIT_UNTIL(getppid() != parent);
      char byte;
      *result = read(terminal->slave, &byte, 1) == -1 ? errno : -1;
      _exit(0);
    }
    _exit(0);
  }
  check_exited(middle, 0);
  CHECK_OK(wait(NULL));
  CHECK_EQ(*result, EIO);
}

CASE(ignored_sigttin_gives_eio) { in_terminal_session(orphaned_background_read); }

static void keyboard_signals(struct terminal* terminal) {
  static const char keys[] = {3, 28, 26};  // ^C ^\ ^Z
  static const int signals[] = {SIGINT, SIGQUIT, SIGTSTP};
  for (int i = 0; i < 3; ++i) {
    int ready[2];
    CHECK_OK(pipe(ready));
    pid_t child = CHECK_OK(fork());
    if (child == 0) {
      setpgid(0, 0);
      signal(SIGTTOU, SIG_IGN);
      CHECK_OK(tcsetpgrp(terminal->slave, getpid()));
      CHECK_EQ(write(ready[1], "r", 1), 1);
      wait_forever();
    }
    char byte;
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    CHECK_EQ(write(terminal->master, &keys[i], 1), 1);
    int status;
    CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
    if (signals[i] == SIGTSTP) {
      CHECK(WIFSTOPPED(status));
      CHECK_EQ(WSTOPSIG(status), SIGTSTP);
      CHECK_OK(kill(child, SIGKILL));
      check_killed_by(child, SIGKILL);
    } else {
      CHECK_EQ(WTERMSIG(status), signals[i]);
    }
  }
}

CASE(terminal_keys_signal_the_foreground_group) { in_terminal_session(keyboard_signals); }

CASE(hangup_reaches_the_foreground_group) {
  struct terminal terminal = open_terminal();
  int ready[2];
  CHECK_OK(pipe(ready));
  pid_t leader = CHECK_OK(fork());
  if (leader == 0) {
    close(terminal.master);
    CHECK_OK(setsid());
    CHECK_OK(ioctl(terminal.slave, TIOCSCTTY, 0));
    CHECK_EQ(write(ready[1], "r", 1), 1);
    wait_forever();
  }
  char byte;
  CHECK_EQ(read(ready[0], &byte, 1), 1);
  CHECK_OK(close(terminal.master));
  check_killed_by(leader, SIGHUP);
}

CASE(orphaned_stopped_group_gets_sighup_and_sigcont) {
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
  pid_t middle = CHECK_OK(fork());
  if (middle == 0) {
    CHECK_OK(setsid());
    pid_t inner = CHECK_OK(fork());
    if (inner == 0) {
      setpgid(0, 0);
      raise(SIGSTOP);
      wait_forever();
    }
    int status;
    CHECK_EQ(waitpid(inner, &status, WUNTRACED), inner);
    _exit(WIFSTOPPED(status) ? 0 : 1);
  }
  check_exited(middle, 0);
  int status;
  CHECK_OK(wait(&status));
  CHECK(WIFSIGNALED(status));
  CHECK_EQ(WTERMSIG(status), SIGHUP);
}

static volatile int window_changes;
static void count_window_change(int number, siginfo_t* info, void* context) { ++window_changes; }

static void window_size(struct terminal* terminal) {
  install_handler(SIGWINCH, count_window_change, 0);
  struct winsize size = {33, 77, 0, 0}, seen;
  CHECK_OK(ioctl(terminal->master, TIOCSWINSZ, &size));
  CHECK_OK(ioctl(terminal->slave, TIOCGWINSZ, &seen));
  CHECK_EQ(seen.ws_row, 33);
  CHECK_EQ(seen.ws_col, 77);
  WAIT_UNTIL(window_changes == 1);
}

CASE(window_size_change_is_signalled) { in_terminal_session(window_size); }

CASE(terminal_modes_are_set_and_read) {
  struct terminal terminal = open_terminal();
  struct termios modes;
  CHECK_OK(tcgetattr(terminal.slave, &modes));
  cfmakeraw(&modes);
  CHECK_OK(tcsetattr(terminal.slave, TCSANOW, &modes));
  CHECK_EQ(write(terminal.master, "\x03raw", 4), 4);
  char buffer[8];
  CHECK_EQ(read(terminal.slave, buffer, 4), 4);
  CHECK_MEMEQ(buffer, "\x03raw", 4);
  int fd = open_file_of_size("data", 0);
  CHECK_FAILS(tcgetattr(fd, &modes), ENOTTY);
  int waiting = -1;
  CHECK_EQ(write(terminal.slave, "12345", 5), 5);
  // The line discipline hands output over in the background.
  WAIT_UNTIL(ioctl(terminal.master, FIONREAD, &waiting) == 0 && waiting != 0);
  CHECK_EQ(waiting, 5);
}
