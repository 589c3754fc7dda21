// What every attacking program of these drills shares: speaking to an attestation service, and telling how it went.
// Last line of output: "EVIDENCE <bytes>" or "REFUSED <result> <reason>" (protocol/las.h) or "FAILED <what>".
#pragma once

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LAS_MAGIC 0x3153414c6d736143u
#define LAS_VERSION 1
#define SERVICE_EVIDENCE 1

struct hello {
  uint64_t magic;
  uint32_t version, service;
};
struct challenge {
  uint64_t magic;
  uint32_t version, reserved;
  uint8_t challenge[32];
};
struct request {
  uint64_t magic;
  uint32_t version, purpose, nonce_size, reserved;
  uint8_t nonce[64], challenge[32];
};
struct reply {
  uint64_t magic;
  uint32_t version, result, payload_size, reason;
  uint8_t payload[48 * 1024];
};

static inline void die(const char* what) {
  printf("FAILED %s: %s\n", what, strerror(errno));
  fflush(stdout);
  _exit(3);
}

static inline socklen_t las_address(struct sockaddr_un* address, const char* name) {
  memset(address, 0, sizeof(*address));
  address->sun_family = AF_UNIX;
  strncpy(address->sun_path, name, sizeof(address->sun_path) - 1);
  if (name[0] == '@') address->sun_path[0] = 0;
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
}

// Without close-on-exec: that is what the attacks need.
static inline int las_connect(const char* name) {
  struct sockaddr_un address;
  const socklen_t size = las_address(&address, name);
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  if (fd < 0 || connect(fd, (struct sockaddr*)&address, size) != 0) die("connect");
  return fd;
}

static inline int las_listen(const char* name) {
  struct sockaddr_un address;
  const socklen_t size = las_address(&address, name);
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr*)&address, size) != 0 || listen(fd, 16) != 0) die("listen");
  return fd;
}

static inline void las_say_hello(int fd) {
  const struct hello hello = {LAS_MAGIC, LAS_VERSION, SERVICE_EVIDENCE};
  if (send(fd, &hello, sizeof(hello), MSG_NOSIGNAL) != sizeof(hello)) die("hello");
}

// The end of every attack: prints the outcome and leaves.
static inline void las_finish(int fd) {
  static struct reply reply;
  const ssize_t size = recv(fd, &reply, sizeof(reply), 0);
  if (size < (ssize_t)offsetof(struct reply, payload)) die("no answer");
  if (reply.result == 0) {
    printf("EVIDENCE %u\n", reply.payload_size);
  } else {
    printf("REFUSED %u %u\n", reply.result, reply.reason);
  }
  fflush(stdout);
  _exit(reply.result == 0 ? 0 : 1);
}

// Everything behind the hello. Does not return.
static inline void las_answer_and_finish(int fd) {
  static struct reply message;
  const ssize_t size = recv(fd, &message, sizeof(message), 0);
  if (size == (ssize_t)offsetof(struct reply, payload)) {
    printf("REFUSED %u %u\n", message.result, message.reason);
    fflush(stdout);
    _exit(1);
  }
  if (size != sizeof(struct challenge)) die("no challenge");
  struct challenge challenge;
  memcpy(&challenge, &message, sizeof(challenge));
  struct request request = {LAS_MAGIC, LAS_VERSION, 1, 4, 0, "evil", {0}};
  memcpy(request.challenge, challenge.challenge, sizeof(request.challenge));
  if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request)) die("request");
  las_finish(fd);
}

// Becomes a genuine runtime that stands still before it maps anything: it asks `silent`, a service of the attacker's
// that never answers. The process id stays.
static inline void become_waiting_runtime(const char* casemate, const char* silent) {
  char attest[256];
  snprintf(attest, sizeof(attest), "--attest=%s", silent);
  execl(casemate, "casemate", "run", attest, "--nonce", "00", "--evidence", "/dev/null", "--", "/bin/true", NULL);
  die("exec");
}

// Waits until the runtime has connected to the attacker's silent service: it is as fresh as it can be. Returns the
// connection.
static inline int wait_for_runtime(int listener) {
  const int fd = accept(listener, NULL, NULL);
  if (fd < 0) die("accept");
  return fd;
}
