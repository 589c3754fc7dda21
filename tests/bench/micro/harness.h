// Shared measuring loop of the micro-benchmarks.
//
// A benchmark is an operation that repeats itself `count` times. The loop first finds a batch that lasts about a
// millisecond (which also warms caches and gives a lazily patching runtime the calls it waits for), then runs batches
// for the wished time and prints the median cost of one operation in nanoseconds: a batch that a neighbour on the
// machine disturbed does not move a median. The processor time of an operation, children included, stands beside it.
//
// Measured programs are plain C without any header of Casemate: they are what a user would run.
#ifndef CASEMATE_BENCH_HARNESS_H
#define CASEMATE_BENCH_HARNESS_H

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

typedef void (*Operation)(void* state, long count);

enum { kMaxBatches = 4096, kMinBatches = 5 };

__attribute__((noreturn, unused)) static void die(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

__attribute__((unused)) static double now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

__attribute__((unused)) static int compare_doubles(const void* left, const void* right) {
  const double a = *(const double*)left;
  const double b = *(const double*)right;
  return (a > b) - (a < b);
}

__attribute__((unused)) static double median_of(double* values, int count) {
  qsort(values, (size_t)count, sizeof(values[0]), compare_doubles);
  return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

// Returns the time of one batch in nanoseconds.
__attribute__((unused)) static double time_batch(Operation operation, void* state, long count) {
  const double start = now_ns();
  operation(state, count);
  return now_ns() - start;
}

struct Cost {
  double elapsed_ns;
  double processor_ns;
};

__attribute__((unused)) static double processor_time_of(const struct rusage* usage) {
  return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1e9 +
         (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1e3;
}

// Processor time of this process and of the children it waited for.
__attribute__((unused)) static double processor_ns(void) {
  struct rusage own, children;
  getrusage(RUSAGE_SELF, &own);
  getrusage(RUSAGE_CHILDREN, &children);
  return processor_time_of(&own) + processor_time_of(&children);
}

// Measures one operation for about `seconds`: median elapsed and mean processor time.
__attribute__((unused)) static struct Cost cost_of(Operation operation, void* state, double seconds) {
  static double costs[kMaxBatches];
  long count = 1;
  double warm_up = 0;
  while (warm_up < 2e7) {
    const double batch = time_batch(operation, state, count);
    warm_up += batch;
    if (batch < 1e6) count *= 2;
  }
  const double end = now_ns() + seconds * 1e9;
  const double processor_start = processor_ns();
  int batches = 0;
  while (batches < kMaxBatches && (batches < kMinBatches || now_ns() < end)) {
    costs[batches++] = time_batch(operation, state, count) / (double)count;
  }
  const double processor = (processor_ns() - processor_start) / ((double)count * batches);
  const struct Cost cost = {median_of(costs, batches), processor};
  return cost;
}

// Keeps the process and everything it starts on the processor it runs on now, so that a ping-pong measures the calls
// and the switch and not the placement the scheduler happened to choose.
__attribute__((unused)) static void stay_on_this_processor(void) {
  const int processor = sched_getcpu();
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor < 0 ? 0 : processor, &set);
  sched_setaffinity(0, sizeof(set), &set);
}

struct Case {
  const char* name;
  void (*setup)(void);
  Operation operation;
};

// Runs the case named by argv[1] for argv[2] seconds and prints its elapsed and its processor time.
__attribute__((unused)) static int run_case(const struct Case* cases, size_t case_count, int argc, char** argv) {
  for (size_t i = 0; argc >= 2 && i < case_count; ++i) {
    if (strcmp(cases[i].name, argv[1]) != 0) continue;
    if (cases[i].setup) cases[i].setup();
    const struct Cost cost = cost_of(cases[i].operation, NULL, argc >= 3 ? atof(argv[2]) : 0.2);
    printf("%.1f %.1f\n", cost.elapsed_ns, cost.processor_ns);
    return 0;
  }
  fprintf(stderr, "usage: %s CASE [SECONDS], CASE one of:", argv[0]);
  for (size_t i = 0; i < case_count; ++i) fprintf(stderr, " %s", cases[i].name);
  fprintf(stderr, "\n");
  return 2;
}

#endif  // CASEMATE_BENCH_HARNESS_H
