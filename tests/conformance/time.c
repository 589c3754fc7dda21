// Clocks, sleeps and timers. Nothing here asserts how long something took, only order and lower bounds.
#include "case.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/timex.h>

static int64_t nanoseconds(struct timespec value) { return value.tv_sec * 1000000000ll + value.tv_nsec; }

static int64_t libc_clock(clockid_t clock) {
  struct timespec now;
  CHECK_OK(clock_gettime(clock, &now));
  return nanoseconds(now);
}

static int64_t raw_clock(clockid_t clock) {
  struct timespec now;
  CHECK_EQ(RAW(SYS_clock_gettime, clock, &now), 0);
  return nanoseconds(now);
}

CASE(vdso_and_system_call_agree_on_every_clock) {
  static const clockid_t clocks[] = {
      CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW,      CLOCK_REALTIME_COARSE,  CLOCK_MONOTONIC_COARSE,
      CLOCK_BOOTTIME, CLOCK_TAI,       CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
  for (size_t i = 0; i < sizeof clocks / sizeof clocks[0]; ++i) {
    for (int round = 0; round < 100; ++round) {
      int64_t first = libc_clock(clocks[i]), second = raw_clock(clocks[i]), third = libc_clock(clocks[i]);
      if (first > second || second > third) FAIL("clock %d runs backwards", clocks[i]);
    }
  }
  struct timespec now;
  CHECK_FAILS(clock_gettime(999, &now), EINVAL);
  CHECK_EQ(RAW(SYS_clock_gettime, CLOCK_MONOTONIC, 8), -EFAULT);
}

CASE(time_calls_agree) {
  time_t first = time(NULL);
  struct timeval now;
  CHECK_OK(gettimeofday(&now, NULL));
  time_t second = (time_t)RAW(SYS_time, 0);
  struct timeval raw;
  CHECK_EQ(RAW(SYS_gettimeofday, &raw, 0), 0);
  CHECK(first <= now.tv_sec);
  CHECK(second >= first);
  CHECK(raw.tv_sec >= now.tv_sec);
  CHECK(now.tv_usec >= 0 && now.tv_usec < 1000000);
}

CASE(clock_resolutions) {
  struct timespec resolution;
  CHECK_OK(clock_getres(CLOCK_MONOTONIC, &resolution));
  CHECK_EQ(resolution.tv_sec, 0);
  FACT("monotonic %ld", resolution.tv_nsec);
  CHECK_OK(clock_getres(CLOCK_REALTIME_COARSE, &resolution));
  FACT("coarse %ld", resolution.tv_nsec);
  CHECK_FAILS(clock_getres(77, &resolution), EINVAL);
}

CASE(sleeps_last_at_least_as_long_as_asked) {
  static const long durations[] = {1, 1000, 1000000, 20000000};
  for (int i = 0; i < 4; ++i) {
    struct timespec request = {0, durations[i]};
    int64_t before = libc_clock(CLOCK_MONOTONIC);
    CHECK_OK(nanosleep(&request, NULL));
    CHECK(libc_clock(CLOCK_MONOTONIC) - before >= durations[i]);
  }
  struct timespec bad = {0, 1000000000}, negative = {-1, 0};
  CHECK_FAILS(nanosleep(&bad, NULL), EINVAL);
  CHECK_FAILS(nanosleep(&negative, NULL), EINVAL);
  CHECK_FAILS(nanosleep((struct timespec*)8, NULL), EFAULT);
}

CASE(absolute_sleep_ends_at_its_time) {
  struct timespec end;
  CHECK_OK(clock_gettime(CLOCK_MONOTONIC, &end));
  end.tv_nsec += 5000000;
  if (end.tv_nsec >= 1000000000) end.tv_sec += 1, end.tv_nsec -= 1000000000;
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL), 0);
  CHECK(libc_clock(CLOCK_MONOTONIC) >= nanoseconds(end));
  struct timespec past = {1, 0};
  CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &past, NULL), 0);
  CHECK_EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &past, NULL), EINVAL);
  CHECK_EQ(clock_nanosleep(999, 0, &past, NULL), EINVAL);
}

CASE(cpu_clocks_advance_with_work) {
  int64_t process = libc_clock(CLOCK_PROCESS_CPUTIME_ID), thread = libc_clock(CLOCK_THREAD_CPUTIME_ID);
  for (volatile int i = 0; i < 3000000; ++i) {
  }
  CHECK(libc_clock(CLOCK_PROCESS_CPUTIME_ID) > process);
  CHECK(libc_clock(CLOCK_THREAD_CPUTIME_ID) > thread);
  clockid_t own;
  CHECK_EQ(clock_getcpuclockid(getpid(), &own), 0);
  CHECK(libc_clock(own) > process);
}

CASE(usage_counts_processor_time) {
  struct rusage usage;
  struct tms used;
  do {
    for (volatile int i = 0; i < 1000000; ++i) {
    }
    CHECK_OK(getrusage(RUSAGE_SELF, &usage));
  } while (usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec < 30000);
  CHECK(times(&used) > 0);
  CHECK(used.tms_utime > 0);
  CHECK_OK(getrusage(RUSAGE_THREAD, &usage));
  CHECK_FAILS(getrusage(99, &usage), EINVAL);
  CHECK(clock() > 0);
}

CASE(timer_arguments_are_checked) {
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 999};
  CHECK_FAILS(timer_create(CLOCK_MONOTONIC, &event, &timer), EINVAL);
  CHECK_FAILS(timer_create(999, NULL, &timer), EINVAL);
  CHECK_OK(timer_create(CLOCK_REALTIME, NULL, &timer));
  struct itimerspec setting = {{0, 0}, {0, 2000000000}}, old;
  CHECK_FAILS(timer_settime(timer, 0, &setting, NULL), EINVAL);
  setting.it_value = (struct timespec){1000, 0};
  CHECK_OK(timer_settime(timer, 0, &setting, &old));
  CHECK_EQ(old.it_value.tv_sec, 0);
  CHECK_OK(timer_gettime(timer, &old));
  CHECK(old.it_value.tv_sec > 900);
  CHECK_EQ(timer_getoverrun(timer), 0);
  CHECK_OK(timer_delete(timer));
}

CASE(timer_without_notification) {
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_NONE};
  CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
  struct itimerspec setting = {{0, 0}, {0, 1000000}};
  CHECK_OK(timer_settime(timer, 0, &setting, NULL));
  struct itimerspec now;
  do {
    CHECK_OK(timer_gettime(timer, &now));
  } while (now.it_value.tv_nsec != 0);
}

CASE(kernel_clock_state_is_readable) {
  struct timex state = {0};
  CHECK(adjtimex(&state) >= 0);
  CHECK(state.tick > 0);
}

CASE(setting_the_clock_needs_privilege) {
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_OK(setuid(65534));
    struct timespec now = {0, 0};
    CHECK_FAILS(clock_settime(CLOCK_REALTIME, &now), EPERM);
    struct timespec monotonic = {0, 0};
    CHECK_FAILS(clock_settime(CLOCK_MONOTONIC, &monotonic), EINVAL);
    _exit(0);
  }
  check_exited(child, 0);
}

CASE(clock_in_a_signal_handler_and_threads) {
  // The vDSO is code of the kernel in the program's memory: it is used from everywhere.
  int64_t last = 0;
  for (int i = 0; i < 200000; ++i) {
    int64_t now = libc_clock(CLOCK_MONOTONIC);
    CHECK(now >= last);
    last = now;
  }
}
