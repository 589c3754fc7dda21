// Threads, cancellation, timers, signals and processes in plain C: for a libc that is not glibc, and for glibc.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long counter;
static __thread long own = 5;

static void* count(void* unused) {
  for (int i = 0; i < 20000; i++) {
    pthread_mutex_lock(&mutex);
    counter++;
    pthread_mutex_unlock(&mutex);
    own++;
  }
  pthread_mutex_lock(&mutex);
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
  return (void*)own;
}

static void threads(void) {
  pthread_t started[8];
  for (int i = 0; i < 8; i++) {
    pthread_create(&started[i], NULL, count, NULL);
  }
  pthread_mutex_lock(&mutex);
  while (counter < 8 * 20000) {
    pthread_cond_wait(&changed, &mutex);
  }
  pthread_mutex_unlock(&mutex);
  long sum = 0;
  for (int i = 0; i < 8; i++) {
    void* result;
    pthread_join(started[i], &result);
    sum += (long)result;
  }
  printf("threads %ld %ld %ld\n", counter, sum, own);
}

static void cleaned(void* text) { printf("cleanup: %s\n", (const char*)text); }

static void* wait_for_ever(void* text) {
  pthread_cleanup_push(cleaned, text);
  if (strcmp(text, "in read") == 0) {
    int ends[2];
    char byte;
    if (pipe(ends) == 0 && read(ends[0], &byte, 1) == 1) {
      puts("impossible");
    }
  } else {
    pause();
  }
  pthread_cleanup_pop(0);
  return NULL;
}

static void cancellation(void) {
  const char* where[] = {"in read", "in pause"};
  for (int i = 0; i < 2; i++) {
    pthread_t thread;
    void* result;
    pthread_create(&thread, NULL, wait_for_ever, (void*)where[i]);
    struct timespec moment = {0, 20000000};
    nanosleep(&moment, NULL);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    printf("cancelled: %d\n", result == PTHREAD_CANCELED);
  }
}

static volatile sig_atomic_t ticks;
static void tick(int number) { ticks++; }

static sigjmp_buf recovery;
static void* fault_address;
static void on_fault(int number, siginfo_t* info, void* context) {
  fault_address = info->si_addr;
  siglongjmp(recovery, number);
}

static void signals(void) {
  struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
  timer_create(CLOCK_MONOTONIC, &event, &timer);
  struct itimerspec interval = {{0, 1000000}, {0, 1000000}};
  timer_settime(timer, 0, &interval, NULL);
  while (ticks < 50) {
    pause();
  }
  timer_delete(timer);
  puts("fifty ticks");
  char* stack = malloc(65536);
  stack_t alternate = {.ss_sp = stack, .ss_size = 65536};
  sigaltstack(&alternate, NULL);
  struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGSEGV, &fault, NULL);
  char* page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 3; i++) {
    int number = sigsetjmp(recovery, 1);
    if (number == 0) {
      page[i] = 1;
    }
    printf("fault: signal %d at offset %ld\n", number, (long)((char*)fault_address - page));
  }
}

static void processes(void) {
  sem_t* semaphore = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  sem_init(semaphore, 1, 0);
  pid_t child = fork();
  if (child == 0) {
    sem_post(semaphore);
    _exit(3);
  }
  sem_wait(semaphore);
  int status;
  waitpid(child, &status, 0);
  printf("fork: %d\n", WEXITSTATUS(status));
  child = vfork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", "exit 4", NULL);
    _exit(127);
  }
  waitpid(child, &status, 0);
  printf("vfork: %d\n", WEXITSTATUS(status));
  char* arguments[] = {"sh", "-c", "exit 5", NULL};
  posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ);
  waitpid(child, &status, 0);
  printf("posix_spawn: %d\n", WEXITSTATUS(status));
  FILE* pipe = popen("echo through popen", "r");
  char line[100];
  printf("popen: %s", fgets(line, sizeof line, pipe));
  pclose(pipe);
  printf("missing: %s\n", execl("/no/such", "such", NULL) < 0 && errno == ENOENT ? "ENOENT" : "?");
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  threads();
  cancellation();
  signals();
  processes();
  return 0;
}
