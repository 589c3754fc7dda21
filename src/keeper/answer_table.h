// The keeper's side of protocol/shield_answers.h: leaves answers for members, and counts changes.
//
// The order that makes it right: whoever answers takes the dependencies after names were looked up and before
// attributes are, both under the names lock (shared). Whoever changes names or attributes holds that lock exclusively,
// and counts after the change. Contents of files are changed without the lock: so attributes of a file are not kept
// while somebody may write it (CachedNode::may_be_written), and that is said before it is counted.
//
// Threads: any.
#pragma once

#include <mutex>
#include <optional>

#include "keeper/message.h"
#include "keeper/region.h"
#include "keeper/resolver.h"
#include "protocol/shield_answers.h"

namespace casemate::keeper {

class AnswerTable {
 public:
  using Dependencies = protocol::AnswerDependencies;

  explicit AnswerTable(protocol::SharedAnswers& shared) : shared_(shared) {}

  // On what an answer about this path rests. nullopt: also on things that nobody counts.
  std::optional<Dependencies> dependencies(const Resolution& found) const;

  // What `operation` with these arguments answers on path 0 of the request. `attributes` may be null.
  void keep(const ParsedRequest& request, protocol::Operation operation, std::uint64_t a0, std::uint64_t a1,
            const Dependencies& depends, int code, const protocol::ShieldAttributes* attributes);

  // Attributes of the node have changed.
  void node_changed(const NodeKey& node);
  // The directory has got, lost or exchanged this name. Other names in it are not concerned: SQLite makes and removes
  // its journal with every transaction, and asks for its write-ahead log each time.
  void name_changed(const NodeKey& directory, std::string_view name);
  // A directory or link was moved, removed, or may be passed by others than before.
  void structure_changed();

 private:
  protocol::AnswerEntry& place_for(std::uint64_t hash);

  protocol::SharedAnswers& shared_;
  std::mutex mutex_;  // of those who write entries
  std::size_t victim_ = 0;
};

}  // namespace casemate::keeper
