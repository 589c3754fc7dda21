// What receipts, consistency proofs and exports prove, and making them out of an export.
#include <bit>

#include "cas/log/proof_files.h"

namespace casemate::cas {
namespace {

Error wrong(const std::string& what) { return Error(ErrorCategory::kFormat, what); }

std::string entry_number(std::uint64_t index) { return "entry " + std::to_string(index); }

Result<void> verify_signed(const SignedHead& head, const LogKeys& keys, const Digest& log_id) {
  if (head.head.log_id != log_id) {
    return wrong("this is log " + crypto::to_hex(head.head.log_id) + ", not " + crypto::to_hex(log_id));
  }
  return verify_head(head, keys);
}

// Leaf hashes and complete nodes above them, all in memory.
class NodesOfExport {
 public:
  explicit NodesOfExport(const LogExport& log) {
    for (const ExportedLeaf& leaf : log.leaves) {
      const auto finished = tree_.append(leaf.hash);
      levels_.resize(std::max(levels_.size(), finished.size()));
      for (std::size_t level = 0; level < finished.size(); ++level) levels_[level].push_back(finished[level]);
    }
  }
  Digest root() const { return tree_.root(); }
  NodeReader reader() const {
    return [this](unsigned level, std::uint64_t index) -> Result<Digest> { return levels_[level][index]; };
  }

 private:
  TreePeaks tree_;
  std::vector<std::vector<Digest>> levels_;
};

// Follows the log from its first entry and holds what the next one must agree with.
class ExportWalk {
 public:
  ExportWalk(const LogKeys& keys, const SignedHead& head) : keys_(keys), head_(head.head) {}

  Result<void> step(const ExportedLeaf& leaf) {
    if (leaf.disclosed) {
      const DisclosedEntry& disclosed = *leaf.disclosed;
      if (leaf_hash(disclosed.salt, disclosed.entry) != leaf.hash) return failure("does not have the leaf's hash");
      const Entry entry = CASEMATE_TRY(decode_entry(disclosed.entry));
      if (auto done = judge(entry); !done) return done;
    } else if (tree_.size() == 0) {
      return failure("creates the log and must be disclosed");
    }
    tree_.append(leaf.hash);
    return {};
  }

  Result<void> finish() const {
    if (tree_.size() != head_.size) {
      return wrong("the head speaks of " + std::to_string(head_.size) + " entries, but " +
                   std::to_string(tree_.size()) + " are here");
    }
    if (tree_.root() != head_.root) return wrong("the entries do not give the root that the head signs");
    if (steps_seen_ != keys_.steps.size()) return wrong("a key change is not disclosed in the entries");
    if (epoch_ != head_.epoch) return wrong("the head's epoch is not that of the entries");
    if (time_ > head_.time) return wrong("the head is older than an entry");
    return {};
  }

 private:
  Error failure(const char* what) const { return wrong(entry_number(tree_.size()) + ": " + what); }

  Result<void> judge(const Entry& entry) {
    if (entry.time < time_) return failure("is older than the one before");
    time_ = entry.time;
    if (const auto* created = std::get_if<LogCreated>(&entry.body); (tree_.size() == 0) != (created != nullptr)) {
      return failure("the first entry, and no other, creates the log");
    } else if (created != nullptr && created->log_key != keys_.first) {
      return failure("creates the log with another key");
    }
    if (const auto* begun = std::get_if<EpochBegun>(&entry.body); begun != nullptr) return judge_epoch(entry, *begun);
    if (tree_.size() == 0) epoch_ = entry.epoch;
    if (entry.epoch != epoch_) return failure("belongs to an epoch that did not begin");
    const auto* rotation = std::get_if<KeyRotation>(&entry.body);
    if (rotation != nullptr && rotation->purpose == "log") return judge_key(*rotation);
    return {};
  }

  Result<void> judge_epoch(const Entry& entry, const EpochBegun& begun) {
    if (entry.epoch <= epoch_) return failure("begins an epoch that was there before");
    if (begun.continues_at != tree_.size() || begun.root != tree_.root()) {
      return failure("begins an epoch on other entries than those before it");
    }
    epoch_ = entry.epoch;
    return {};
  }

  Result<void> judge_key(const KeyRotation& rotation) {
    if (steps_seen_ == keys_.steps.size()) return failure("introduces a key that is not listed");
    const KeyStep& step = keys_.steps[steps_seen_++];
    if (step.index != tree_.size() || rotation.new_key != step.new_key || rotation.signature != step.signature) {
      return failure("introduces another key than the one listed");
    }
    return {};
  }

  const LogKeys& keys_;
  const TreeHead& head_;
  TreePeaks tree_;
  std::uint64_t time_ = 0, epoch_ = 0;
  std::size_t steps_seen_ = 0;
};

}  // namespace

bool is_always_disclosed(const Entry& entry) {
  if (const auto* rotation = std::get_if<KeyRotation>(&entry.body)) return rotation->purpose == "log";
  return std::holds_alternative<LogCreated>(entry.body) || std::holds_alternative<EpochBegun>(entry.body);
}

Result<Entry> verify_receipt(const Receipt& receipt, const Digest& log_id) {
  if (auto done = verify_signed(receipt.head, receipt.keys, log_id); !done) return done.error();
  const TreeHead& head = receipt.head.head;
  const Digest leaf = leaf_hash(receipt.salt, receipt.entry);
  if (!verify_inclusion(leaf, receipt.index, head.size, head.root, receipt.path)) {
    return wrong(entry_number(receipt.index) + " is not in the log of that head");
  }
  Entry entry = CASEMATE_TRY(decode_entry(receipt.entry));
  if (entry.time > head.time) return wrong("the head is older than the entry");
  return entry;
}

Result<void> verify_consistency_proof(const ConsistencyProof& proof, const Digest& log_id) {
  if (auto done = verify_signed(proof.older, proof.keys, log_id); !done) return done.error().with_context("older head");
  if (auto done = verify_signed(proof.newer, proof.keys, log_id); !done) return done.error().with_context("newer head");
  const TreeHead &older = proof.older.head, &newer = proof.newer.head;
  if (!verify_consistency(older.size, older.root, newer.size, newer.root, proof.path)) {
    return wrong("the newer head does not continue the older one");
  }
  if (newer.time < older.time || newer.epoch < older.epoch) return wrong("the newer head has an older time or epoch");
  return {};
}

Result<void> verify_export(const LogExport& log, const Digest& log_id) {
  if (auto done = verify_signed(log.head, log.keys, log_id); !done) return done;
  ExportWalk walk(log.keys, log.head);
  for (const ExportedLeaf& leaf : log.leaves) {
    if (auto done = walk.step(leaf); !done) return done;
  }
  return walk.finish();
}

Result<void> verify_continues(const LogExport& log, const SignedHead& older) {
  // A head of the same key chain: its signature is checked with the keys of the export.
  if (auto done = verify_signed(older, log.keys, log.head.head.log_id); !done) {
    return done.error().with_context("older head");
  }
  if (older.head.size > log.leaves.size()) {
    return wrong("the export ends at " + std::to_string(log.leaves.size()) + " entries; the older head knows " +
                 std::to_string(older.head.size) + ": entries were dropped, or the log was rolled back");
  }
  TreePeaks tree;
  for (std::uint64_t i = 0; i < older.head.size; ++i) tree.append(log.leaves[i].hash);
  if (tree.root() != older.head.root) return wrong("the export does not continue the older head: history was changed");
  return {};
}

Result<Receipt> receipt_from(const LogExport& log, std::uint64_t index) {
  const NodesOfExport nodes(log);
  Receipt receipt;
  receipt.path = CASEMATE_TRY(prove_inclusion(index, log.leaves.size(), nodes.reader()));
  const auto& disclosed = log.leaves[index].disclosed;
  if (!disclosed) return Error(ErrorCategory::kUsage, entry_number(index) + " is not disclosed in this export");
  receipt.keys = log.keys;
  receipt.index = index;
  receipt.salt = disclosed->salt;
  receipt.entry = disclosed->entry;
  receipt.head = log.head;
  return receipt;
}

Result<std::vector<Digest>> consistency_path_from(const LogExport& log, std::uint64_t old_size) {
  const NodesOfExport nodes(log);
  return prove_consistency(old_size, log.leaves.size(), nodes.reader());
}

}  // namespace casemate::cas
