// Asks for evidence as any program can, over a connection of its own or an inherited one.
//   ask_alone SOCKET          power: code under the runtime
//   ask_alone --fd N          power: code under the runtime, and a descriptor from whoever started it
//   ask_alone --fork SOCKET   from a child process
#include <sys/wait.h>

#include "ask.h"

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "--fd") == 0) {
    las_say_hello(atoi(argv[2]));
    las_answer_and_finish(atoi(argv[2]));
  }
  if (argc == 3 && strcmp(argv[1], "--fork") == 0) {
    int status = 0;
    if (fork() != 0) return wait(&status) < 0 || !WIFEXITED(status) ? 3 : WEXITSTATUS(status);
  }
  const int fd = las_connect(argv[argc - 1]);
  las_say_hello(fd);
  las_answer_and_finish(fd);
}
