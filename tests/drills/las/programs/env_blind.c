// Starts a program whose environment strings cannot be read: their pages are taken away at the moment of the exec,
// before its first instruction.
//   env_blind EXECS PROGRAM WORDS...
// EXECS: which exec of the process is meant (1: PROGRAM itself; 2: what PROGRAM becomes by exec)
// Prints "READ" when the new image touched one of these pages, "BLIND" when it got as far as a second pread64 (the
// runtime: loading the program, behind the launch state), or ended by itself.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kVariables = 64, kVariableSize = 16384, kPage = 4096, kProtectCall = 10, kProgramRead = 17 };

static void die(const char* what) {
  printf("FAILED %s: %s\n", what, strerror(errno));
  exit(3);
}

static int wait_for_stop(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) < 0) die("waitpid");
  return status;
}

// Lowest and highest address of the environment's strings, from the stack that the kernel made.
static void find_strings(pid_t child, unsigned long stack, unsigned long* begin, unsigned long* end) {
  const long count = ptrace(PTRACE_PEEKDATA, child, stack, 0);
  unsigned long entry = stack + 8 * ((unsigned long)count + 2), last = 0;
  *begin = (unsigned long)ptrace(PTRACE_PEEKDATA, child, entry, 0);
  for (unsigned long pointer; (pointer = (unsigned long)ptrace(PTRACE_PEEKDATA, child, entry, 0)) != 0; entry += 8) {
    last = pointer;
  }
  *end = last;  // of the last string only its beginning: its page may hold the program's name, too
}

// Makes the stopped child call mprotect at its current instruction, and puts everything back.
static void take_away(pid_t child, unsigned long begin, unsigned long end) {
  struct user_regs_struct saved, changed;
  if (ptrace(PTRACE_GETREGS, child, 0, &saved) != 0) die("registers");
  const long code = ptrace(PTRACE_PEEKTEXT, child, saved.rip, 0);
  changed = saved;
  changed.rax = kProtectCall;
  changed.orig_rax = ~0UL;
  changed.rdi = begin;
  changed.rsi = end - begin;
  changed.rdx = PROT_NONE;
  if (ptrace(PTRACE_POKETEXT, child, saved.rip, (code & ~0xffffL) | 0x050f) != 0 ||
      ptrace(PTRACE_SETREGS, child, 0, &changed) != 0 || ptrace(PTRACE_SINGLESTEP, child, 0, 0) != 0) {
    die("injection");
  }
  wait_for_stop(child);
  if (ptrace(PTRACE_GETREGS, child, 0, &changed) != 0 || changed.rax != 0) die("mprotect in the program");
  if (ptrace(PTRACE_POKETEXT, child, saved.rip, code) != 0 || ptrace(PTRACE_SETREGS, child, 0, &saved) != 0) {
    die("restoring");
  }
}

static void end_with(pid_t child, const char* verdict) {
  kill(child, SIGKILL);
  puts(verdict);
  exit(0);
}

// Follows the image until it touched the pages, loads the program, or ends.
static void follow(pid_t child, unsigned long begin, unsigned long end) {
  int reads = 0;
  for (;;) {
    if (ptrace(PTRACE_SYSCALL, child, 0, 0) != 0) die("continue");
    const int status = wait_for_stop(child);
    if (WIFEXITED(status)) end_with(child, "BLIND");
    if (WSTOPSIG(status) == SIGSEGV) {
      siginfo_t info;
      if (ptrace(PTRACE_GETSIGINFO, child, 0, &info) != 0) die("signal");
      const unsigned long address = (unsigned long)info.si_addr;
      end_with(child, address >= begin && address < end ? "READ" : "FAILED: another fault");
    }
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, child, 0, &registers) != 0) die("registers");
    // Entry and exit are two stops.
    if (registers.orig_rax == kProgramRead && ++reads > 2) end_with(child, "BLIND");
  }
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  static char variables[kVariables][kVariableSize];
  char* environment[kVariables + 1];
  for (int i = 0; i < kVariables; ++i) {
    memset(variables[i], 'x', kVariableSize - 1);
    variables[i][snprintf(variables[i], 16, "V%d=", i)] = 'x';
    environment[i] = variables[i];
  }
  environment[kVariables] = NULL;
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    execve(argv[2], argv + 2, environment);
    _exit(127);
  }
  wait_for_stop(child);
  if (ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0)
    die("options");
  for (int execs = 0; execs < atoi(argv[1]);) {
    if (ptrace(PTRACE_CONT, child, 0, 0) != 0) die("continue");
    const int status = wait_for_stop(child);
    if (WIFEXITED(status)) die("it ended before the exec");
    execs += status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXEC << 8));
  }
  // Out of the exec itself, whose return would overwrite registers.
  if (ptrace(PTRACE_SYSCALL, child, 0, 0) != 0) die("continue");
  wait_for_stop(child);
  struct user_regs_struct registers;
  unsigned long begin, end;
  if (ptrace(PTRACE_GETREGS, child, 0, &registers) != 0) die("registers");
  find_strings(child, registers.rsp, &begin, &end);
  begin = (begin + kPage - 1) & ~(kPage - 1UL);
  end &= ~(kPage - 1UL);
  if (end <= begin) die("no whole page of strings");
  take_away(child, begin, end);
  follow(child, begin, end);
}
