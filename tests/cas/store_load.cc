// Drives a store for tests/cas/run, which kills it and then asks what is left.
//
//   store_load write DIR KEY-FILE ANCHOR THREADS   commits for ever; says "ack THREAD NUMBER INDEX LEAF" and now and
//   then
//                                                  "head SIZE ROOT" after the commit was acknowledged
//   store_load show DIR KEY-FILE ANCHOR            says "row KEY VALUE" for each row, then ends in order
//   store_load fill DIR KEY-FILE ANCHOR            commits large rows until one is refused, then makes room
//   store_load secrets DIR KEY-FILE ANCHOR         reads secrets from standard input, a line each, and stores them
//
// DIR is made when it is not there. Exit code 1: the store was refused, and standard error says why.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "cas/store/store.h"

namespace {

using namespace casemate;
using namespace casemate::cas;

constexpr TableNumber kCounters = 1, kRows = 2, kSecrets = 3;

int complain(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  return 1;
}

// In one write, so that lines of several threads and of a killed process stay whole.
void say(const std::string& line) {
  const std::string whole = line + "\n";
  if (::write(STDOUT_FILENO, whole.data(), whole.size()) < 0) std::_Exit(2);
}

struct Opened {
  std::unique_ptr<FreshnessAnchor> anchor;
  std::unique_ptr<Store> store;
};

Result<Opened> open_store(char** words) {
  Opened opened;
  opened.anchor = make_file_anchor(words[2]);
  StoreOptions options;
  options.directory = words[0];
  options.anchor = opened.anchor.get();
  options.anchor_interval = std::chrono::milliseconds(50);
  const bool exists = std::filesystem::exists(words[1]);
  const auto method = CASEMATE_TRY(exists ? unseal_with_key_file(words[1]) : unseal_with_new_key_file(words[1]));
  opened.store =
      CASEMATE_TRY(std::filesystem::exists(options.directory + "/cas.db") ? Store::open(options, *method)
                                                                          : Store::create(options, {method.get()}));
  return opened;
}

std::uint64_t counter_of(const Store& store, const std::string& name) {
  const auto row = store.snapshot().find(kCounters, name);
  if (!row || !row.value()) return 0;
  return std::strtoull(std::string(crypto::as_text(row.value()->value.expose())).c_str(), nullptr, 10);
}

void write_for_ever(Store& store, unsigned thread) {
  const std::string name = "thread" + std::to_string(thread);
  for (std::uint64_t number = counter_of(store, name) + 1;; ++number) {
    const std::string text = std::to_string(number), session = "session" + std::to_string(number % 7);
    Change change;
    change.rows.push_back({kCounters, name, "", SecretValue::copy_of(text), std::nullopt});
    change.rows.push_back({kRows, name + "/" + text, session, SecretValue::copy_of(text), kAbsent});
    change.log(SecretRotation{session, name, number, "load"});
    const auto committed = store.commit(std::move(change));
    if (!committed) {
      complain(committed.error());
      std::_Exit(3);
    }
    const Receipt receipt = committed.value().receipt(0).value();
    say("ack " + std::to_string(thread) + " " + text + " " + std::to_string(receipt.index) + " " +
        crypto::to_hex(leaf_hash(receipt.salt, receipt.entry)));
    if (number % 16 == 0) {
      const TreeHead& head = receipt.head.head;
      say("head " + std::to_string(head.size) + " " + crypto::to_hex(head.root));
    }
    if (number % 100 == 0 && !store.rotate_session_key(session)) std::_Exit(3);
  }
}

int write_command(Store& store, unsigned threads) {
  std::vector<std::thread> writers;
  for (unsigned thread = 0; thread < threads; ++thread) {
    writers.emplace_back([&store, thread] { write_for_ever(store, thread); });
  }
  for (auto& writer : writers) writer.join();
  return 0;
}

int show_command(const Store& store) {
  const Snapshot snapshot = store.snapshot();
  for (const TableNumber table : {kCounters, kRows}) {
    const auto done = snapshot.for_each(table, [](const std::string& key, const StoredRow& row) -> Result<void> {
      say("row " + key + " " + std::string(crypto::as_text(row.value.expose())));
      return {};
    });
    if (!done) return complain(done.error());
  }
  return 0;
}

int fill_command(Store& store, const std::string& directory) {
  const std::string ballast = directory + "/ballast";
  std::ofstream(ballast) << std::string(1 << 20, 'b');
  for (std::uint64_t number = 0;; ++number) {
    const std::string root = crypto::to_hex(store.snapshot().head().head.root);
    Change change;
    change.rows.push_back(
        {kRows, "large" + std::to_string(number), "", SecretValue::copy_of(std::string(200'000, 'x')), std::nullopt});
    change.log(SecretRotation{"s", "large", number, "fill"});
    const auto committed = store.commit(std::move(change));
    if (committed) continue;
    say("refused " + std::to_string(committed.error().system_code()) + " " + committed.error().message());
    if (root != crypto::to_hex(store.snapshot().head().head.root)) say("the head changed");
    if (store.snapshot().version_of(kRows, "large" + std::to_string(number)) != kAbsent) say("the row is there");
    break;
  }
  std::filesystem::remove(ballast);
  Change change;
  change.rows.push_back({kRows, "after", "", SecretValue::copy_of("after"), std::nullopt});
  const auto committed = store.commit(std::move(change));
  if (!committed) return complain(committed.error());
  say("accepted");
  return 0;
}

int secrets_command(Store& store) {
  std::string line;
  for (int number = 0; std::getline(std::cin, line); ++number) {
    Change change;
    const std::string session = number % 2 == 0 ? line : "";
    change.rows.push_back(
        {kSecrets, line + "/" + std::to_string(number), session, SecretValue::copy_of(line), std::nullopt});
    change.log(SecretRotation{line, line, 1, line});
    if (const auto committed = store.commit(std::move(change)); !committed) return complain(committed.error());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  if (argc < 5) {
    std::fputs("usage: store_load write|show|fill|secrets DIR KEY-FILE ANCHOR [THREADS]\n", stderr);
    return 2;
  }
  auto opened = open_store(argv + 2);
  if (!opened) return complain(opened.error());
  Store& store = *opened.value().store;
  say("open");
  if (command == "write" && argc == 6) return write_command(store, static_cast<unsigned>(std::atoi(argv[5])));
  if (command == "show") return show_command(store);
  if (command == "fill") return fill_command(store, argv[2]);
  if (command == "secrets") return secrets_command(store);
  return 2;
}
