// Heads, receipts, consistency proofs and exports: what verifies, and that nothing changed does.
#include "cas/log/proof_files.h"

#include <gtest/gtest.h>

namespace casemate::cas {
namespace {

crypto::PrivateKey key_of(unsigned number) {
  return crypto::PrivateKey::from_ed25519_seed(Bytes(32, static_cast<std::byte>(number))).value();
}

// A log in memory, written as a CAS would.
class SampleLog {
 public:
  SampleLog() : key_(key_of(1)) {
    log_.keys.first = log_key_of(key_);
    id_ = log_id_of(log_.keys.first);
    Digest first;
    std::copy(log_.keys.first.begin(), log_.keys.first.end(), first.begin());
    add(LogCreated{first, "test"});
  }

  void add(EntryBody body) {
    const Entry entry{++time_, epoch_, std::move(body)};
    DisclosedEntry disclosed{{}, encode_entry(entry).value()};
    disclosed.salt[0] = static_cast<std::byte>(time_);
    const Digest hash = leaf_hash(disclosed.salt, disclosed.entry);
    log_.leaves.push_back({hash, disclosed});
    tree_.append(hash);
  }
  void add_some(int count) {
    for (int i = 0; i < count; ++i) add(SecretRotation{"prod/db", "password", static_cast<std::uint64_t>(i), "test"});
  }
  void rotate(unsigned number) {
    const crypto::PrivateKey next = key_of(number);
    const KeyStep step = sign_key_step(id_, tree_.size(), log_key_of(next), key_).value();
    add(KeyRotation{"log", "", number, step.new_key, step.signature});
    log_.keys.steps.push_back(step);
    key_ = next;
  }
  void begin_epoch() {
    ++epoch_;
    add(EpochBegun{"restore", tree_.size(), tree_.root(), {}});
  }

  SignedHead head() const { return sign_head({id_, tree_.size(), tree_.root(), time_, epoch_}, key_).value(); }
  LogExport exported() const {
    LogExport log = log_;
    log.head = head();
    return log;
  }
  const Digest& id() const { return id_; }

 private:
  crypto::PrivateKey key_;
  LogExport log_;
  Digest id_{};
  TreePeaks tree_;
  std::uint64_t time_ = 1000, epoch_ = 1;
};

SampleLog eventful_log() {
  SampleLog log;
  log.add_some(5);
  log.rotate(2);
  log.add_some(3);
  log.begin_epoch();
  log.rotate(3);
  log.add_some(9);
  return log;
}

TEST(SignedHead, SurvivesItsTextAndIsSigned) {
  const SampleLog log = eventful_log();
  const SignedHead head = log.head();
  const auto parsed = parse_note(to_note(head));
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed.value().head, head.head);
  const auto verified = verify_head(parsed.value(), log.exported().keys);
  EXPECT_TRUE(verified) << verified.error().message();
}

TEST(SignedHead, CarriesSignaturesOfWitnesses) {
  SignedHead head = eventful_log().head();
  head.signatures.push_back({"witness.example", Bytes(76, std::byte{5})});
  EXPECT_TRUE(verify_head(parse_note(to_note(head)).value(), eventful_log().exported().keys));
}

TEST(SignedHead, RefusesEveryFlippedBitOfItsText) {
  const SampleLog log = eventful_log();
  const std::string note = to_note(log.head());
  const LogKeys keys = log.exported().keys;
  for (std::size_t bit = 0; bit < 8 * note.size(); ++bit) {
    std::string flipped = note;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    const auto parsed = parse_note(flipped);
    if (parsed) {
      EXPECT_FALSE(parsed.value().head.log_id == log.id() && verify_head(parsed.value(), keys)) << bit;
    }
  }
}

TEST(SignedHead, RefusesAKeyOutsideOfItsSizes) {
  const SampleLog log = eventful_log();
  const LogExport exported = log.exported();
  TreeHead head = log.head().head;
  EXPECT_FALSE(verify_head(sign_head(head, key_of(1)).value(), exported.keys));
  EXPECT_FALSE(verify_head(sign_head(head, key_of(9)).value(), exported.keys));
  head.size = 6;  // entry 6 introduces the second key: the first still signs this size
  EXPECT_TRUE(verify_head(sign_head(head, key_of(1)).value(), exported.keys));
  EXPECT_FALSE(verify_head(sign_head(head, key_of(2)).value(), exported.keys));
}

TEST(LogKeys, RefuseForgedSteps) {
  const LogKeys good = eventful_log().exported().keys;
  const Digest id = log_id_of(good.first);
  ASSERT_TRUE(verify_keys(good, id));
  LogKeys changed = good;
  changed.steps[1].index += 1;
  EXPECT_FALSE(verify_keys(changed, id));
  changed = good;
  std::swap(changed.steps[0], changed.steps[1]);
  EXPECT_FALSE(verify_keys(changed, id));
  changed = good;
  changed.steps.erase(changed.steps.begin());
  EXPECT_FALSE(verify_keys(changed, id));
  changed = good;
  changed.steps[0].new_key = log_key_of(key_of(9));
  EXPECT_FALSE(verify_keys(changed, id));
}

TEST(Receipt, OfEveryEntrySurvivesItsTextAndVerifies) {
  const SampleLog log = eventful_log();
  const LogExport exported = log.exported();
  for (std::uint64_t index = 0; index < exported.leaves.size(); ++index) {
    const auto parsed = parse_receipt(to_text(receipt_from(exported, index).value()));
    ASSERT_TRUE(parsed) << parsed.error().message();
    const auto entry = verify_receipt(parsed.value(), log.id());
    ASSERT_TRUE(entry) << entry.error().message();
  }
}

TEST(Receipt, RefusesAnotherLogEntryIndexSaltOrPath) {
  const SampleLog log = eventful_log();
  const Receipt good = receipt_from(log.exported(), 4).value();
  EXPECT_FALSE(verify_receipt(good, Digest{}));
  Receipt changed = good;
  changed.index = 5;
  EXPECT_FALSE(verify_receipt(changed, log.id()));
  changed = good;
  changed.salt[31] ^= std::byte{1};
  EXPECT_FALSE(verify_receipt(changed, log.id()));
  changed = good;
  changed.entry.back() ^= std::byte{1};
  EXPECT_FALSE(verify_receipt(changed, log.id()));
  changed = good;
  changed.path.pop_back();
  EXPECT_FALSE(verify_receipt(changed, log.id()));
  changed = good;
  changed.head.head.time += 1;
  EXPECT_FALSE(verify_receipt(changed, log.id()));
}

TEST(ConsistencyProof, ConnectsHeadsAcrossKeysAndEpochs) {
  SampleLog log;
  log.add_some(4);
  ConsistencyProof proof;
  proof.older = log.head();
  log.rotate(2);
  log.begin_epoch();
  log.add_some(20);
  const LogExport exported = log.exported();
  proof.keys = exported.keys;
  proof.newer = exported.head;
  proof.path = consistency_path_from(exported, proof.older.head.size).value();
  const auto parsed = parse_consistency_proof(to_text(proof));
  ASSERT_TRUE(parsed) << parsed.error().message();
  const auto verified = verify_consistency_proof(parsed.value(), log.id());
  EXPECT_TRUE(verified) << verified.error().message();
  std::swap(proof.older, proof.newer);
  EXPECT_FALSE(verify_consistency_proof(proof, log.id()));
  std::swap(proof.older, proof.newer);
  proof.path.front()[0] ^= std::byte{1};
  EXPECT_FALSE(verify_consistency_proof(proof, log.id()));
}

TEST(LogExport, SurvivesItsTextAndVerifies) {
  const SampleLog log = eventful_log();
  const std::string text = to_text(log.exported());
  const auto parsed = parse_export(text);
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(to_text(parsed.value()), text);
  const auto verified = verify_export(parsed.value(), log.id());
  EXPECT_TRUE(verified) << verified.error().message();
}

TEST(LogExport, VerifiesWithEntriesWithheldButNotWithoutThoseThatVerificationNeeds) {
  const SampleLog log = eventful_log();
  const LogExport good = log.exported();
  for (std::size_t i = 0; i < good.leaves.size(); ++i) {
    LogExport withheld = good;
    const Entry entry = decode_entry(withheld.leaves[i].disclosed->entry).value();
    withheld.leaves[i].disclosed.reset();
    EXPECT_EQ(verify_export(withheld, log.id()).has_value(), !is_always_disclosed(entry)) << entry_type_name(entry);
  }
}

TEST(LogExport, RefusesEveryDamagedLine) {
  const SampleLog log = eventful_log();
  const std::string good = to_text(log.exported());
  std::vector<std::size_t> line_begins = {0};
  for (std::size_t i = 0; i + 1 < good.size(); ++i) {
    if (good[i] == '\n') line_begins.push_back(i + 1);
  }
  const auto is_accepted = [&](const std::string& text) {
    const auto parsed = parse_export(text);
    return parsed && verify_export(parsed.value(), log.id());
  };
  ASSERT_TRUE(is_accepted(good));
  for (const std::size_t begin : line_begins) {
    const std::size_t end = good.find('\n', begin) + 1;
    EXPECT_FALSE(is_accepted(good.substr(0, begin) + good.substr(end)))
        << "without " << good.substr(begin, end - begin);
    EXPECT_FALSE(is_accepted(good.substr(0, begin))) << "cut before " << good.substr(begin, end - begin);
    if (good.substr(begin, 5) == "leaf ") {
      EXPECT_FALSE(is_accepted(good.substr(0, end) + good.substr(begin))) << "doubled";
    }
  }
  for (std::size_t i = 0; i < good.size(); i += 3) {
    std::string changed = good;
    changed[i] = changed[i] == '5' ? '6' : '5';
    EXPECT_FALSE(is_accepted(changed)) << "position " << i;
  }
}

TEST(LogExport, ContinuesOlderHeadsOfItsHistoryOnly) {
  SampleLog log;
  log.add_some(4);
  const SignedHead older = log.head();
  SampleLog other = log;
  log.add_some(10);
  other.add(SecretRotation{"prod/db", "password", 77, "another history"});
  EXPECT_TRUE(verify_continues(log.exported(), older));
  EXPECT_FALSE(verify_continues(log.exported(), other.head()));
  const LogExport rolled_back = other.exported();
  EXPECT_FALSE(verify_continues(rolled_back, log.head()));
}

TEST(LogExport, RefusesTimesAndEpochsThatFall) {
  SampleLog log = eventful_log();
  LogExport exported = log.exported();
  // A log whose writer signs an entry older than the one before.
  Entry entry = decode_entry(exported.leaves[3].disclosed->entry).value();
  entry.time = 1;
  exported.leaves[3].disclosed->entry = encode_entry(entry).value();
  exported.leaves[3].hash = leaf_hash(exported.leaves[3].disclosed->salt, exported.leaves[3].disclosed->entry);
  TreePeaks tree;
  for (const auto& leaf : exported.leaves) tree.append(leaf.hash);
  TreeHead head = exported.head.head;
  head.root = tree.root();
  exported.head = sign_head(head, key_of(3)).value();
  const auto verified = verify_export(exported, log.id());
  ASSERT_FALSE(verified);
  EXPECT_NE(verified.error().message().find("entry 3"), std::string::npos) << verified.error().message();
}

TEST(ProofFiles, AreToldApartByTheirFirstLine) {
  const LogExport exported = eventful_log().exported();
  EXPECT_EQ(kind_of_proof_file(to_text(exported)), ProofFileKind::kExport);
  EXPECT_EQ(kind_of_proof_file(to_text(receipt_from(exported, 0).value())), ProofFileKind::kReceipt);
  EXPECT_FALSE(kind_of_proof_file("").has_value());
}

}  // namespace
}  // namespace casemate::cas
