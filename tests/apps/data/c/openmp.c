// OpenMP: libgomp makes its futex calls with its own system call instructions, not through libc.
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kCount = 300000 };
static double values[kCount];

static long fibonacci(int n) {
  if (n < 2) {
    return n;
  }
  if (n < 16) {
    return fibonacci(n - 1) + fibonacci(n - 2);
  }
  long left, right;
#pragma omp task shared(left)
  left = fibonacci(n - 1);
#pragma omp task shared(right)
  right = fibonacci(n - 2);
#pragma omp taskwait
  return left + right;
}

static void loops(void) {
  long sum = 0;
#pragma omp parallel for schedule(static) reduction(+ : sum)
  for (int i = 0; i < kCount; i++) {
    values[i] = sqrt(i);
    sum += i;
  }
  printf("static %ld\n", sum);
  sum = 0;
#pragma omp parallel for schedule(dynamic, 100) reduction(+ : sum)
  for (int i = 0; i < kCount; i++) {
    sum += (long)values[i];
  }
  printf("dynamic %ld\n", sum);
  sum = 0;
#pragma omp parallel for schedule(guided) reduction(max : sum)
  for (int i = 0; i < kCount; i++) {
    sum = (long)values[i] > sum ? (long)values[i] : sum;
  }
  printf("guided %ld\n", sum);
#pragma omp parallel for ordered
  for (int i = 0; i < 5; i++) {
#pragma omp ordered
    printf("ordered %d\n", i);
  }
}

static void synchronisation(void) {
  long counter = 0, atomic_counter = 0;
#pragma omp parallel
  {
    for (int i = 0; i < 2000; i++) {
#pragma omp critical
      counter++;
#pragma omp atomic
      atomic_counter++;
    }
#pragma omp barrier
#pragma omp single
    counter += 1;
  }
  const int threads = omp_get_max_threads();
  printf("critical %d atomic %d\n", counter == 2000L * threads + 1, atomic_counter == 2000L * threads);
  for (int i = 0; i < 500; i++) {
#pragma omp parallel
    {
#pragma omp barrier
    }
  }
  puts("barriers passed");
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  loops();
  synchronisation();
  long result = 0;
#pragma omp parallel
#pragma omp single
  result = fibonacci(24);
  printf("tasks %ld\n", result);
  pid_t child = fork();
  if (child == 0) {
    _exit((int)fibonacci(10));
  }
  int status;
  waitpid(child, &status, 0);
  printf("child %d\n", WEXITSTATUS(status));
  omp_set_max_active_levels(2);
  long nested = 0;
#pragma omp parallel num_threads(2) reduction(+ : nested)
  {
    long inner = 0;
#pragma omp parallel num_threads(3) reduction(+ : inner)
    inner += 1;
    nested += inner;
  }
  printf("nested %ld\n", nested);
  return 0;
}
