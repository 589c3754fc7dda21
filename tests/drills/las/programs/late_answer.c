// Lets the service look at a fresh runtime, and answers its challenge when the program of this file already runs in
// that process. Power: any user of the machine.
//   late_answer SOCKET SILENT CASEMATE        starts the attack: connects, leaves a helper, becomes a waiting runtime
//   late_answer --program FD                  the program that the runtime runs then: answers on the inherited
//   connection
// The helper says hello while the runtime stands still, so the service's first look finds nothing wrong. The answer to
// the challenge carries the right process id, because that process sends it.
#include "ask.h"

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "--program") == 0) las_answer_and_finish(atoi(argv[2]));
  if (argc != 4) return 2;
  char number[16], attest[256];
  const int silent = las_listen(argv[2]);
  const int fd = las_connect(argv[1]);
  if (fork() == 0) {
    const int runtime = wait_for_runtime(silent);
    las_say_hello(fd);
    // Answered, the runtime goes on and starts the program.
    static struct reply reply = {.magic = LAS_MAGIC, .version = LAS_VERSION, .payload_size = 1};
    struct request request;
    const struct challenge challenge = {LAS_MAGIC, LAS_VERSION, 0, {1}};
    struct hello hello;
    if (recv(runtime, &hello, sizeof(hello), 0) <= 0) die("hello of the runtime");
    send(runtime, &challenge, sizeof(challenge), MSG_NOSIGNAL);
    if (recv(runtime, &request, sizeof(request), 0) <= 0) die("request of the runtime");
    send(runtime, &reply, offsetof(struct reply, payload) + 1, MSG_NOSIGNAL);
    _exit(0);
  }
  snprintf(number, sizeof(number), "%d", fd);
  snprintf(attest, sizeof(attest), "--attest=%s", argv[2]);
  execl(argv[3], "casemate", "run", attest, "--nonce", "00", "--evidence", "/dev/null", "--", argv[0], "--program",
        number, NULL);
  die("exec");
}
