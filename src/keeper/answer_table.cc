#include "keeper/answer_table.h"

#include <cstring>

namespace casemate::keeper {
namespace {

using protocol::AnswerEntry;
using protocol::AnswerKey;

std::uint32_t counter_of(const NodeKey& node) {
  return static_cast<std::uint32_t>(NodeKeyHash()(node) >> 32) % protocol::kChangeCounters;
}

std::uint32_t counter_of_name(const NodeKey& directory, std::string_view name) {
  const std::uint64_t hash = protocol::hash_of_bytes(name.data(), name.size(), NodeKeyHash()(directory));
  return static_cast<std::uint32_t>(hash >> 32) % protocol::kChangeCounters;
}

}  // namespace

std::optional<AnswerTable::Dependencies> AnswerTable::dependencies(const Resolution& found) const {
  if (found.asked_host || (!found.exists && found.parent.region == nullptr)) return std::nullopt;
  Dependencies depends = {};
  depends.structure = shared_.structure.load(std::memory_order_acquire);
  const auto add = [&](int index, std::uint32_t counter) {
    depends.counter[index] = counter;
    depends.value[index] = shared_.changes[counter].load(std::memory_order_acquire);
  };
  const bool has_parent = found.parent.region != nullptr && !found.parent.is_host();
  const auto name = [&] { return counter_of_name(key_of(*found.parent.region, found.parent.node), found.name); };
  const auto target = [&] { return counter_of(key_of(*found.target.region, found.target.node)); };
  // Both are read by members, so both say something.
  add(0, has_parent ? name() : target());
  add(1, found.exists ? target() : name());
  return depends;
}

AnswerEntry& AnswerTable::place_for(std::uint64_t hash) {
  AnswerEntry* free = nullptr;
  for (std::size_t way = 0; way < protocol::kAnswerWays; ++way) {
    AnswerEntry& entry = shared_.entries[(hash + way) % protocol::kAnswerCapacity];
    if (entry.hash == hash) return entry;
    if (entry.hash == 0 && free == nullptr) free = &entry;
  }
  if (free != nullptr) return *free;
  return shared_.entries[(hash + victim_++ % protocol::kAnswerWays) % protocol::kAnswerCapacity];
}

void AnswerTable::keep(const ParsedRequest& request, protocol::Operation operation, std::uint64_t a0, std::uint64_t a1,
                       const Dependencies& depends, int code, const protocol::ShieldAttributes* attributes) {
  AnswerKey key;
  if (!make_answer_key(request.header, request.group_storage.data(), operation, a0, a1, key)) return;
  const std::uint64_t hash = protocol::hash_of_answer(key, request.paths[0].data());
  const std::lock_guard lock(mutex_);
  AnswerEntry& entry = place_for(hash);
  entry.sequence.fetch_add(1, std::memory_order_acq_rel);
  entry.result = -code;
  entry.hash = hash;
  entry.key = key;
  entry.depends = depends;
  entry.attributes = attributes != nullptr ? *attributes : protocol::ShieldAttributes{};
  std::memcpy(entry.path, request.paths[0].data(), request.paths[0].size());
  entry.sequence.fetch_add(1, std::memory_order_acq_rel);
}

void AnswerTable::node_changed(const NodeKey& node) {
  shared_.changes[counter_of(node)].fetch_add(1, std::memory_order_acq_rel);
}

void AnswerTable::name_changed(const NodeKey& directory, std::string_view name) {
  shared_.changes[counter_of_name(directory, name)].fetch_add(1, std::memory_order_acq_rel);
}

void AnswerTable::structure_changed() { shared_.structure.fetch_add(1, std::memory_order_acq_rel); }

}  // namespace casemate::keeper
