// `casemate run --doctor`: what this host offers, and what follows for programs that run under Casemate.
#pragma once

#include <string>
#include <vector>

namespace casemate::cli {

enum class Verdict {
  kGood,      // nothing to do
  kLimited,   // programs run, something is slower or less protected
  kMissing,   // not there; the consequence says what that costs
  kRequired,  // not there, and no program can run without it
};

struct Finding {
  std::string id;  // stable, for --json
  std::string title;
  Verdict verdict;
  std::string value;
  std::string consequence;
};

struct HostReport {
  std::vector<Finding> findings;
};

// Asks the running kernel; the dispatch probe forks a child and takes about a second.
HostReport examine_host();

bool can_run_programs(const HostReport& report);
std::string to_table(const HostReport& report);
std::string to_json(const HostReport& report);
const char* name_of(Verdict verdict);

}  // namespace casemate::cli
