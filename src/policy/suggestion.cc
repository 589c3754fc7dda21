#include "policy/suggestion.h"

#include <algorithm>
#include <array>

namespace casemate::policy {
namespace {

constexpr std::size_t kMaxWord = 64;
// A hostile text could declare thousands of names and mistype each: only so many are compared or listed.
constexpr std::size_t kMaxCompared = 256, kMaxListed = 20;

char folded(char letter) { return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter; }

// What a known word is likelier meant by than its spelling says: names of other systems and older versions.
struct Synonym {
  std::string_view foreign, ours;
};
constexpr Synonym kSynonyms[] = {
    {"env", "environment"},
    {"cmd", "command"},
    {"entrypoint", "command"},
    {"args", "command"},
    {"working_dir", "pwd"},
    {"workdir", "pwd"},
    {"image", "image_name"},
    {"mrenclave", "attestation"},
    {"measurements", "attestation"},
    {"type", "kind"},
    {"length", "size"},
    {"issuer_key", "private_key"},
    {"acl", "access_policy"},
    {"policy", "access_policy"},
    {"mounts", "volumes"},
    {"mount_point", "path"},
    {"files_injected", "injection_files"},
    {"host_paths", "regions"},
    {"threshold", "at_least"},
    {"members", "of"},
    {"debug", "debug-mode"},
    {"sim", "simulation"},
    {"sev-snp", "snp"},
    {"sev", "snp"},
    {"continue", "insecure-continue"},
    {"hw", "hardware"},
};

}  // namespace

unsigned edit_distance(std::string_view left, std::string_view right) {
  if (left.size() > kMaxWord || right.size() > kMaxWord) return kMaxWord;
  std::array<std::array<unsigned, kMaxWord + 1>, 3> rows{};
  for (unsigned column = 0; column <= right.size(); ++column) rows[0][column] = column;
  for (unsigned line = 1; line <= left.size(); ++line) {
    auto& current = rows[line % 3];
    const auto& previous = rows[(line + 2) % 3];
    const auto& earlier = rows[(line + 1) % 3];
    current[0] = line;
    for (unsigned column = 1; column <= right.size(); ++column) {
      const char a = folded(left[line - 1]), b = folded(right[column - 1]);
      unsigned best =
          std::min({previous[column] + 1, current[column - 1] + 1, previous[column - 1] + (a == b ? 0U : 1U)});
      if (line > 1 && column > 1 && a == folded(right[column - 2]) && folded(left[line - 2]) == b) {
        best = std::min(best, earlier[column - 2] + 1);
      }
      current[column] = best;
    }
  }
  return rows[left.size() % 3][right.size()];
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
  for (const Synonym& synonym : kSynonyms) {
    if (word == synonym.foreign && std::find(known.begin(), known.end(), synonym.ours) != known.end()) {
      return synonym.ours;
    }
  }
  // A third of the letters; short words need not have a neighbour.
  unsigned best = word.size() < 3 ? 1 : static_cast<unsigned>(std::min(word.size(), kMaxWord)) / 3 + 1;
  std::string_view found;
  for (const std::string_view candidate : known.first(std::min(known.size(), kMaxCompared))) {
    const unsigned distance = edit_distance(word, candidate);
    if (distance >= best) continue;
    best = distance;
    found = candidate;
  }
  return found;
}

std::string suggest(std::string_view word, std::span<const std::string_view> known) {
  const std::string_view near = nearest(word, known);
  if (!near.empty()) return "did you mean `" + std::string(near) + "`?";
  if (known.empty()) return "none is declared";
  std::string text = "known are ";
  for (std::size_t i = 0; i < std::min(known.size(), kMaxListed); ++i) {
    text += (i == 0 ? "" : ", ") + std::string(known[i]);
  }
  return known.size() > kMaxListed ? text + ", ..." : text;
}

}  // namespace casemate::policy
