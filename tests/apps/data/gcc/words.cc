// Counts words in parallel: C++ threads, exceptions, locale and iostreams in one program.
#include <algorithm>
#include <atomic>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

std::vector<std::string> read_words(const char* path) {
  std::ifstream file(path);
  if (!file) {
    throw std::runtime_error("cannot open");
  }
  std::vector<std::string> words;
  for (std::string word; file >> word;) {
    words.push_back(word);
  }
  return words;
}

std::map<std::string, int> count_in_parallel(const std::vector<std::string>& words) {
  std::map<std::string, int> counts;
  std::mutex mutex;
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([&] {
      for (size_t i = next++; i < words.size(); i = next++) {
        std::lock_guard lock(mutex);
        counts[words[i]]++;
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  return counts;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    read_words("/does/not/exist");
  } catch (const std::runtime_error& error) {
    std::cout << "caught: " << error.what() << "\n";
  }
  const auto counts = count_in_parallel(read_words(argc > 1 ? argv[1] : "words.cc"));
  std::vector<std::pair<int, std::string>> order;
  for (const auto& [word, count] : counts) {
    order.emplace_back(-count, word);
  }
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < 5 && i < order.size(); i++) {
    std::cout << order[i].second << " " << -order[i].first << "\n";
  }
}
