// What the store costs: durable commits per second with 1, 16 and 64 writers, snapshot reads, and the time from opening
// a store of many rows to the first answer.
//
//   store_bench DIR [SECONDS per measurement, default 3] [ROWS for the opening, default 0: not measured]
//
// A commit is what an activation writes: one row of 200 bytes, a verdict and a release, with its receipt.
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "cas/store/store.h"

namespace {

using namespace casemate;
using namespace casemate::cas;
using Clock = std::chrono::steady_clock;

constexpr TableNumber kRows = 2;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

Change activation(unsigned writer, std::uint64_t number) {
  Change change;
  const std::string service = "service" + std::to_string(writer);
  change.rows.push_back({kRows, service + "/" + std::to_string(number % 1000), "prod/db",
                         SecretValue::copy_of(std::string(200, 'v')), std::nullopt});
  change.log(Verdict{"prod/db", service, "accepted", "simulation", {}, Bytes(32), {}, "UpToDate", {}, {}, {}});
  change.entries.push_back([service](std::uint64_t index) {
    return Release{"prod/db", service, {}, index - 1, {"password@1", "tls@1"}, {"data"}, {}};
  });
  return change;
}

void measure_commits(Store& store, unsigned writers, double duration) {
  std::atomic<std::uint64_t> commits{0};
  std::vector<std::thread> threads;
  const auto begin = Clock::now();
  const double cpu_before = cpu_seconds();
  for (unsigned writer = 0; writer < writers; ++writer) {
    threads.emplace_back([&, writer] {
      for (std::uint64_t number = 0; seconds_since(begin) < duration; ++number) {
        const auto committed = store.commit(activation(writer, number));
        if (!committed || !committed.value().receipt(1)) std::abort();
        ++commits;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const double elapsed = seconds_since(begin), cpu = cpu_seconds() - cpu_before;
  const auto count = static_cast<double>(commits.load());
  std::printf("commits, %2u writers: %8.0f /s, %6.1f us of CPU each\n", writers, count / elapsed, 1e6 * cpu / count);
}

void measure_reads(Store& store, unsigned readers, double duration, const char* what) {
  std::atomic<std::uint64_t> reads{0};
  std::vector<std::thread> threads;
  const auto begin = Clock::now();
  for (unsigned reader = 0; reader < readers; ++reader) {
    threads.emplace_back([&] {
      std::uint64_t done = 0;
      for (; done % 256 != 0 || seconds_since(begin) < duration; ++done) {
        const auto row = store.snapshot().find(kRows, "service0/" + std::to_string(done % 10));
        if (!row || !row.value()) std::abort();
      }
      reads += done;
    });
  }
  for (auto& thread : threads) thread.join();
  std::printf("reads, %u threads%s: %8.0f /s\n", readers, what,
              static_cast<double>(reads.load()) / seconds_since(begin));
}

void fill(Store& store, std::uint64_t rows) {
  for (std::uint64_t done = 0; done < rows;) {
    Change change;
    for (int i = 0; i < 2000 && done < rows; ++i, ++done) {
      change.rows.push_back({kRows, "secret/" + std::to_string(done), "session" + std::to_string(done % 10'000),
                             SecretValue::copy_of(std::string(64, 's')), std::nullopt});
    }
    if (!store.commit(std::move(change))) std::abort();
  }
}

long resident_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: store_bench DIR [SECONDS] [ROWS]\n", stderr);
    return 2;
  }
  const double duration = argc > 2 ? std::atof(argv[2]) : 3;
  const std::uint64_t rows = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 0;
  StoreOptions options;
  options.directory = std::string(argv[1]) + "/store";
  const std::string key = std::string(argv[1]) + "/key";
  const auto method =
      std::filesystem::exists(key) ? unseal_with_key_file(key).value() : unseal_with_new_key_file(key).value();
  const bool exists = std::filesystem::exists(options.directory);
  const auto begin = Clock::now();
  auto opened = exists ? Store::open(options, *method) : Store::create(options, {method.get()});
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().message().c_str());
    return 1;
  }
  Store& store = *opened.value();
  std::printf("%s: %.2f s to the first answer, %llu rows, %llu log entries, at most %ld KiB\n",
              exists ? "opened" : "made", seconds_since(begin),
              static_cast<unsigned long long>(store.snapshot().count(kRows)),
              static_cast<unsigned long long>(store.snapshot().head().head.size), resident_kib());
  if (rows > 0) {
    const auto filling = Clock::now();
    fill(store, rows);
    std::printf("filled: %.1f s, at most %ld KiB; run again to measure the opening\n", seconds_since(filling),
                resident_kib());
    return 0;
  }
  for (const unsigned writers : {1U, 16U, 64U}) measure_commits(store, writers, duration);
  for (const unsigned readers : {1U, 2U}) measure_reads(store, readers, duration, "");
  std::atomic<bool> ends{false};
  std::thread writer([&] {
    for (std::uint64_t number = 0; !ends; ++number) {
      if (!store.commit(activation(7, number))) std::abort();
    }
  });
  measure_reads(store, 1, duration, " beside a writer");
  ends = true;
  writer.join();
  return 0;
}
