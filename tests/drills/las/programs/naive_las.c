// The control of these drills: a service that believes the kernel's answer to "who connected" (SO_PEERCRED) and the
// executable link of that process, and looks at nothing else. Never shipped.
//   naive_las SOCKET RUNTIME
// gives "evidence" (the name of the file and the nonce) to whoever's /proc/PID/exe is RUNTIME.
#define _GNU_SOURCE
#include <sys/stat.h>

#include "ask.h"

static int is_runtime(pid_t pid, const char* runtime) {
  char link[64];
  struct stat caller, wanted;
  snprintf(link, sizeof(link), "/proc/%d/exe", pid);
  return stat(link, &caller) == 0 && stat(runtime, &wanted) == 0 && caller.st_ino == wanted.st_ino &&
         caller.st_dev == wanted.st_dev;
}

static void serve(int fd, const char* runtime) {
  struct ucred peer;
  socklen_t size = sizeof(peer);
  struct hello hello;
  struct request request;
  const struct challenge challenge = {LAS_MAGIC, LAS_VERSION, 0, {7}};
  static struct reply reply;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || recv(fd, &hello, sizeof(hello), 0) <= 0) return;
  send(fd, &challenge, sizeof(challenge), MSG_NOSIGNAL);
  if (recv(fd, &request, sizeof(request), 0) != sizeof(request)) return;
  reply = (struct reply){.magic = LAS_MAGIC, .version = LAS_VERSION};
  if (is_runtime(peer.pid, runtime)) {
    reply.payload_size = (uint32_t)snprintf((char*)reply.payload, sizeof(reply.payload), "runtime %s nonce %.4s",
                                            runtime, request.nonce);
  } else {
    reply.result = 2;
  }
  send(fd, &reply, offsetof(struct reply, payload) + reply.payload_size, MSG_NOSIGNAL);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  signal(SIGCHLD, SIG_IGN);
  const int listener = las_listen(argv[1]);
  if (argv[1][0] != '@' && chmod(argv[1], 0666) != 0) return 2;
  for (;;) {
    const int fd = accept(listener, NULL, NULL);
    if (fd < 0) return 2;
    if (fork() == 0) {
      serve(fd, argv[2]);
      _exit(0);
    }
    close(fd);
  }
}
