// Traces a run of the genuine runtime that asks for evidence, and changes it.
// Power: the user who starts the run, who may trace its processes.
//   inject HOW CASEMATE WORDS...
// HOW: nonce    stays attached and replaces the nonce of the runtime's request by "evil"
//      code     changes the runtime's code in memory when it has just been executed, and detaches
//      data     changes the runtime's data likewise: its own copy of a number, and detaches
// Ends with the exit code of the run; the evidence is where --evidence says.
#define _GNU_SOURCE
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "ask.h"

static int wait_for_stop(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) < 0) die("waitpid");
  if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
  if (WIFSIGNALED(status)) die("the run died");
  return status;
}

static int is_exec(int status) { return status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXEC << 8)); }

// End of the mapping with these permissions.
static unsigned long mapping_end(pid_t child, const char* permissions) {
  char path[64], line[512];
  unsigned long start, end = 0, found = 0;
  char seen[5];
  snprintf(path, sizeof(path), "/proc/%d/maps", child);
  FILE* const maps = fopen(path, "r");
  while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
    if (sscanf(line, "%lx-%lx %4s", &start, &end, seen) == 3 && strcmp(seen, permissions) == 0 &&
        strstr(line, "casemate-runtime") != NULL) {
      found = end;
    }
  }
  if (maps == NULL || found == 0) die("mapping");
  fclose(maps);
  return found;
}

static int finish_untraced(pid_t child) {
  int status = 0;
  if (ptrace(PTRACE_DETACH, child, 0, 0) != 0) die("detach");
  if (waitpid(child, &status, 0) < 0) die("waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

static int change_memory(pid_t child, const char* permissions) {
  const unsigned long address = mapping_end(child, permissions) - sizeof(long);
  const long old = ptrace(PTRACE_PEEKDATA, child, address, 0);
  if (ptrace(PTRACE_POKEDATA, child, address, old ^ 0x55) != 0) die("poke");
  return finish_untraced(child);
}

// Does not return: the run ends while it is traced, and this process with its exit code.
static void change_nonce(pid_t child) {
  for (long signal = 0;;) {
    if (ptrace(PTRACE_SYSCALL, child, 0, signal) != 0) die("syscall");
    const int status = wait_for_stop(child);
    const int stop = WSTOPSIG(status);
    // The runtime lives on SIGSYS: signals must reach it.
    signal = stop == (SIGTRAP | 0x80) || status >> 16 != 0 ? 0 : stop;
    if (stop != (SIGTRAP | 0x80)) continue;
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, child, 0, &registers) != 0) die("registers");
    if (registers.orig_rax != 44 || registers.rdx != sizeof(struct request)) continue;  // sendto
    const unsigned long nonce = registers.rsi + offsetof(struct request, nonce);
    long word = ptrace(PTRACE_PEEKDATA, child, nonce, 0);
    memcpy(&word, "evil", 4);
    if (ptrace(PTRACE_POKEDATA, child, nonce, word) != 0) die("poke");
  }
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    execv(argv[2], argv + 2);
    die("exec");
  }
  wait_for_stop(child);
  if (ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0)
    die("options");
  for (int execs = 0; execs < 2;) {  // casemate, then casemate-runtime
    if (ptrace(PTRACE_CONT, child, 0, 0) != 0) die("continue");
    execs += is_exec(wait_for_stop(child));
  }
  if (strcmp(argv[1], "code") == 0) return change_memory(child, "r-xp");
  if (strcmp(argv[1], "data") == 0) return change_memory(child, "rw-p");
  change_nonce(child);
}
