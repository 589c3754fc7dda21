// Counts primes: a small program for the compiler to chew on, and for the runtime to run in every kind of ELF file.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int count_primes(int limit) {
  char* composite = calloc((size_t)limit + 1, 1);
  if (composite == NULL) {
    return -1;
  }
  int count = 0;
  for (int n = 2; n <= limit; n++) {
    if (composite[n]) {
      continue;
    }
    count++;
    for (long multiple = (long)n * n; multiple <= limit; multiple += n) {
      composite[multiple] = 1;
    }
  }
  free(composite);
  return count;
}

#ifdef BROKEN
int undeclared(void) { return nowhere; }
#endif

#ifndef LIBRARY
int main(int argc, char** argv) {
  int limit = argc > 1 ? atoi(argv[1]) : 1000;
  char line[64];
  snprintf(line, sizeof line, "%d primes up to %d", count_primes(limit), limit);
  puts(line);
  return strlen(line) > 0 ? 0 : 1;
}
#endif
