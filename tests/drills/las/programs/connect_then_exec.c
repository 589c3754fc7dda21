// Connects, becomes the genuine runtime by exec, and lets an accomplice that kept the connection ask.
// Power: any user of the machine.
//   connect_then_exec HOW SOCKET SILENT CASEMATE
// HOW: inherited   the accomplice is a child that inherited the connection
//      passed      the accomplice got the connection in a message (SCM_RIGHTS)
//      prepared    the hello is sent by the process itself, before its exec; the accomplice answers the challenge
#include "ask.h"

static void pass(int channel, int fd) {
  char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec data = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  struct cmsghdr* const part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(part), &fd, sizeof(int));
  if (sendmsg(channel, &message, 0) != 1) die("pass");
}

static int take(int channel) {
  char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec data = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  int fd = -1;
  if (recvmsg(channel, &message, 0) != 1 || CMSG_FIRSTHDR(&message) == NULL) die("take");
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
  return fd;
}

// Asks when the caller has become the runtime. Its end closes the silent service, and the runtime gives up.
static void act_as_accomplice(int fd, int silent, int says_hello) {
  wait_for_runtime(silent);
  if (says_hello) las_say_hello(fd);
  las_answer_and_finish(fd);
}

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const int silent = las_listen(argv[3]);
  if (strcmp(argv[1], "passed") == 0) {
    int channel[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) != 0) die("socketpair");
    if (fork() == 0) act_as_accomplice(take(channel[0]), silent, 1);
    const int fd = las_connect(argv[2]);
    pass(channel[1], fd);
    close(fd);
  } else {
    const int prepared = strcmp(argv[1], "prepared") == 0;
    const int fd = las_connect(argv[2]);
    if (prepared) las_say_hello(fd);
    if (fork() == 0) act_as_accomplice(fd, silent, !prepared);
  }
  become_waiting_runtime(argv[4], argv[3]);
}
