// A processor-bound program: integer work, floating point work, and page faults on fresh memory. Each kernel is a fixed
// amount of work that is repeated; the best repetition is printed in milliseconds, because whatever disturbs a
// computation only ever makes it longer.
#include "harness.h"

#include <stdint.h>
#include <sys/mman.h>

static volatile uint64_t integer_sink;
static volatile double float_sink;

// Sieve, hash and sort: branches, loads and stores.
static void integer_work(void* state, long count) {
  enum { kLimit = 400000 };
  static uint8_t composite[kLimit];
  static uint32_t values[kLimit];
  (void)state;
  while (count-- > 0) {
    memset(composite, 0, sizeof(composite));
    uint32_t hash = 2166136261u;
    for (uint32_t i = 2; i < kLimit; ++i) {
      if (composite[i]) continue;
      hash = (hash ^ i) * 16777619u;
      for (uint64_t j = (uint64_t)i * i; j < kLimit; j += i) composite[j] = 1;
    }
    for (uint32_t i = 0; i < kLimit; ++i) {
      hash ^= hash << 13;
      hash ^= hash >> 17;
      hash ^= hash << 5;
      values[i] = hash;
    }
    for (uint32_t gap = kLimit / 2; gap > 0; gap = gap == 2 ? 1 : (uint32_t)((uint64_t)gap * 5 / 11)) {
      for (uint32_t i = gap; i < kLimit; ++i) {
        const uint32_t value = values[i];
        uint32_t j = i;
        for (; j >= gap && values[j - gap] > value; j -= gap) values[j] = values[j - gap];
        values[j] = value;
      }
    }
    integer_sink = values[kLimit / 2];
  }
}

// Matrix product and a chain of divisions and roots.
static void float_work(void* state, long count) {
  enum { kSide = 256 };
  static double left[kSide][kSide], right[kSide][kSide], product[kSide][kSide];
  (void)state;
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      left[i][j] = 1.0 / (i + j + 1);
      right[i][j] = (double)(i - j) / kSide;
    }
  }
  while (count-- > 0) {
    memset(product, 0, sizeof(product));
    for (int i = 0; i < kSide; ++i) {
      for (int k = 0; k < kSide; ++k) {
        for (int j = 0; j < kSide; ++j) product[i][j] += left[i][k] * right[k][j];
      }
    }
    double x = 2.0;
    for (int i = 0; i < 1500000; ++i) x = (x + 3.0 / x) * 0.5 + product[i % kSide][i % 7] * 1e-9;
    float_sink = x;
  }
}

// First touch of 32 MiB in small pages: the kernel's work, which a runtime must not lengthen.
static void page_faults(void* state, long count) {
  const size_t size = 32UL << 20;
  (void)state;
  while (count-- > 0) {
    char* const memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) die("mmap");
    madvise(memory, size, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < size; i += 4096) memory[i] = 1;
    munmap(memory, size);
  }
}

static const struct Case kCases[] = {
    {"integer", NULL, integer_work},
    {"float", NULL, float_work},
    {"page_faults", NULL, page_faults},
};

int main(int argc, char** argv) {
  const double seconds = argc >= 3 ? atof(argv[2]) : 1.0;
  for (size_t i = 0; argc >= 2 && i < sizeof(kCases) / sizeof(kCases[0]); ++i) {
    if (strcmp(kCases[i].name, argv[1]) != 0) continue;
    double best = time_batch(kCases[i].operation, NULL, 1);
    const double end = now_ns() + seconds * 1e9;
    for (int repetition = 0; repetition < 5 || now_ns() < end; ++repetition) {
      const double time = time_batch(kCases[i].operation, NULL, 1);
      if (time < best) best = time;
    }
    printf("%.4f\n", best / 1e6);
    return 0;
  }
  fprintf(stderr, "usage: %s integer|float|page_faults [SECONDS]\n", argv[0]);
  return 2;
}
