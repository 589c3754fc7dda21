// Answers of the keeper that members may give themselves, in memory that the keeper writes and members only read:
// stat and access of paths, above all of names that do not exist (SQLite asks for its journal before every
// transaction, interpreters ask along their search paths).
//
// An answer says on what it rests: the counters of the name (in the directory that has or lacks it) and of the node
// found, and the counter of the structure (directories and links on the way). The keeper counts a counter up
// after each change and before it answers whoever asked for the change; an answer whose counters have moved on is worth
// nothing. So nobody who knows of a change sees an answer from before it. Nodes share counters by hash; that costs
// needless questions, nothing else.
//
// Not kept: answers for which a host directory was looked at, and attributes of files that somebody may write just now.
#pragma once

#include "protocol/shield.h"

namespace casemate::protocol {

inline constexpr std::size_t kAnswerCapacity = 2048;
inline constexpr std::size_t kAnswerWays = 4;  // an answer stands at one of so many places behind its hash
inline constexpr std::size_t kAnswerPathCapacity = 288;
inline constexpr std::size_t kChangeCounters = 1024;
inline constexpr std::uint32_t kAnswerMostGroups = 64;

// Everything in a request that the answer depends on, except the path. Compared as bytes: no padding.
struct AnswerKey {
  Operation operation;
  std::uint32_t path_size;
  Place base;
  std::uint64_t arguments[2];
  std::uint32_t uid, gid;
  std::uint64_t groups;  // hash of all, in their order
};
static_assert(sizeof(AnswerKey) == 56);

struct AnswerDependencies {
  std::uint64_t structure;
  std::uint32_t counter[2];  // which
  std::uint64_t value[2];
};

// Written by the keeper under `sequence` (odd: being changed).
struct alignas(64) AnswerEntry {
  std::atomic<std::uint32_t> sequence;
  std::int32_t result;
  std::uint64_t hash;  // 0: free
  AnswerKey key;
  AnswerDependencies depends;
  ShieldAttributes attributes;
  char path[kAnswerPathCapacity];
};
static_assert(sizeof(AnswerEntry) == 512);

struct SharedAnswers {
  alignas(64) std::atomic<std::uint64_t> structure;
  alignas(64) std::atomic<std::uint64_t> changes[kChangeCounters];
  AnswerEntry entries[kAnswerCapacity];
};

// Behind the arena in its memory.
inline constexpr std::size_t kAnswersOffset = (sizeof(ShieldArena) + kPageSize - 1) / kPageSize * kPageSize;
inline constexpr std::size_t kArenaMemorySize = kAnswersOffset + sizeof(SharedAnswers);

inline std::uint64_t mix_answer_hash(std::uint64_t hash, std::uint64_t word) {
  __extension__ const auto product = static_cast<unsigned __int128>(hash ^ word) * 0x9e3779b97f4a7c15u;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64) ^ word;
}

inline std::uint64_t hash_of_bytes(const void* bytes, std::size_t size, std::uint64_t hash) {
  const char* at = static_cast<const char*>(bytes);
  for (; size >= 8; at += 8, size -= 8) {
    std::uint64_t word = 0;
    __builtin_memcpy(&word, at, 8);
    hash = mix_answer_hash(hash, word);
  }
  std::uint64_t last = size;
  for (std::size_t i = 0; i < size; ++i) last = last << 8 | static_cast<std::uint8_t>(at[i]);
  return mix_answer_hash(hash, last);
}

inline std::uint64_t hash_of_answer(const AnswerKey& key, const char* path) {
  const std::uint64_t hash = hash_of_bytes(path, key.path_size, hash_of_bytes(&key, sizeof(key), 0x243f6a8885a308d3u));
  return hash != 0 ? hash : 1;
}

// The key for asking `operation` about path 0 of the request. False: such answers are not kept.
inline bool make_answer_key(const Request& request, const std::uint32_t* groups, Operation operation, std::uint64_t a0,
                            std::uint64_t a1, AnswerKey& key) {
  const Place& base = request.base[0];
  const bool known_base = base.kind == PlaceKind::kRoot || base.kind == PlaceKind::kNode;
  if (request.root.kind != PlaceKind::kRoot || !known_base) return false;
  if (request.path_size[0] == 0 || request.path_size[0] > kAnswerPathCapacity) return false;
  if (request.credentials.group_count > kAnswerMostGroups) return false;
  key = {operation, request.path_size[0], base, {a0, a1}, request.credentials.uid, request.credentials.gid, 0};
  key.groups = hash_of_bytes(groups, request.credentials.group_count * sizeof(std::uint32_t), 0);
  return true;
}

}  // namespace casemate::protocol
