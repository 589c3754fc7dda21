#include "policy/approval.h"

#include <gtest/gtest.h>

#include "policy/describe.h"
#include "policy/moment.h"

namespace casemate::policy {
namespace {

constexpr std::uint64_t kNow = 1'800'000'000;

crypto::PrivateKey key_of(unsigned char seed) {
  return crypto::PrivateKey::from_ed25519_seed(crypto::Bytes(32, std::byte{seed})).value();
}
std::string public_hex(const crypto::PrivateKey& key) {
  return crypto::to_hex(key.public_key().to_subject_public_key_info());
}

AccessTerm signer(const crypto::PrivateKey& key) {
  AccessTerm term;
  term.kind = TermKind::kSigner;
  term.identity = public_hex(key);
  return term;
}
AccessTerm word(TermKind kind) {
  AccessTerm term;
  term.kind = kind;
  return term;
}

class Approval : public ::testing::Test {
 protected:
  Approval() : alice_(key_of(1)), bob_(key_of(2)), carol_(key_of(3)), mallory_(key_of(9)) {
    change_ = {std::string(64, 'e'), "clinic/api", std::string(64, 'a'), std::string(64, 'b')};
    quorum_.kind = TermKind::kQuorum;
    quorum_.at_least = 2;
    quorum_.of = {signer(alice_), signer(bob_), signer(carol_)};
  }
  void add(const crypto::PrivateKey& key, Decision decision = Decision::kApprove,
           std::uint64_t not_after = kNow + 100) {
    decisions_.push_back(sign_decision(change_, decision, not_after, key).value());
  }
  Verdict judge(const AccessRule& rule, std::uint64_t now = kNow) {
    ApprovalInput input{change_, decisions_, caller_, creator_, now, kNow};
    return evaluate(rule, input);
  }

  crypto::PrivateKey alice_, bob_, carol_, mallory_;
  Change change_;
  AccessTerm quorum_;
  std::vector<SignedDecision> decisions_;
  Caller caller_;
  std::string creator_;
};

TEST_F(Approval, NeedsEnoughDifferentMembers) {
  add(alice_);
  EXPECT_EQ(judge({quorum_}).outcome, Outcome::kMissing);
  add(alice_);
  EXPECT_EQ(judge({quorum_}).outcome, Outcome::kMissing);
  add(mallory_);
  EXPECT_EQ(judge({quorum_}).outcome, Outcome::kMissing);
  add(carol_);
  const Verdict verdict = judge({quorum_});
  EXPECT_EQ(verdict.outcome, Outcome::kGranted);
  EXPECT_EQ(verdict.counted.size(), 2U);
}

TEST_F(Approval, CountsOnePersonOnceUnderTwoNames) {
  quorum_.of = {signer(alice_), word(TermKind::kCreator)};
  creator_ = key_hash(public_hex(alice_));
  add(alice_);
  EXPECT_EQ(judge({quorum_}).outcome, Outcome::kMissing);
  add(bob_);
  EXPECT_EQ(judge({quorum_}).outcome, Outcome::kMissing);
}

TEST_F(Approval, CountsOnePersonOnceInsideAndOutsideOfANestedQuorum) {
  AccessTerm inner = word(TermKind::kQuorum);
  inner.at_least = 1;
  inner.of = {signer(alice_), signer(bob_)};
  quorum_.of = {word(TermKind::kCreator), inner};
  creator_ = key_hash(public_hex(alice_));
  add(alice_);
  EXPECT_EQ(judge({quorum_}).outcome, Outcome::kMissing);
  add(bob_);
  EXPECT_EQ(judge({quorum_}).outcome, Outcome::kGranted);
}

TEST_F(Approval, BindsEverythingThatTellsChangesApart) {
  add(alice_);
  const SignedDecision good = decisions_.front();
  EXPECT_TRUE(verify_decision(change_, good));
  for (int part = 0; part < 7; ++part) {
    Change other = change_;
    SignedDecision changed = good;
    if (part == 0) other.log_id[0] = 'f';
    if (part == 1) other.session = "clinic/ap";
    if (part == 2) other.hash[0] = 'f';
    if (part == 3) other.predecessor = std::nullopt;
    if (part == 4) changed.not_after += 1;
    if (part == 5) changed.decision = Decision::kReject;
    if (part == 6) changed.signature[5] ^= std::byte{1};
    EXPECT_FALSE(verify_decision(other, changed)) << part;
  }
}

TEST_F(Approval, ExpiresWithItsTime) {
  add(alice_, Decision::kApprove, kNow);
  EXPECT_EQ(judge({signer(alice_)}, kNow).outcome, Outcome::kGranted);
  const Verdict late = judge({signer(alice_)}, kNow + 1);
  EXPECT_EQ(late.outcome, Outcome::kMissing);
  EXPECT_NE(late.explanation.front().find("does not count: it expired at"), std::string::npos);
}

TEST_F(Approval, ObjectionsBlockOnlyWithAVeto) {
  add(alice_);
  add(bob_);
  add(carol_, Decision::kReject);
  EXPECT_EQ(judge({quorum_}).outcome, Outcome::kGranted);
  quorum_.veto = {signer(carol_)};
  EXPECT_EQ(judge({quorum_}).outcome, Outcome::kVetoed);
  // Another alternative of the rule is not blocked by it.
  EXPECT_EQ(judge({quorum_, signer(alice_)}).outcome, Outcome::kGranted);
}

TEST_F(Approval, WaitsForTheTimeLock) {
  add(alice_, Decision::kApprove, kNow + 10000);
  add(bob_, Decision::kApprove, kNow + 10000);
  quorum_.time_lock = 3600;
  const Verdict early = judge({quorum_}, kNow + 3599);
  EXPECT_EQ(early.outcome, Outcome::kWaiting);
  EXPECT_EQ(early.effective_at, kNow + 3600);
  EXPECT_EQ(judge({quorum_}, kNow + 3600).outcome, Outcome::kGranted);
  EXPECT_EQ(judge({quorum_}, kNow - 5).outcome, Outcome::kWaiting);
}

TEST_F(Approval, CountsTheAuthenticatedCaller) {
  AccessTerm hash = word(TermKind::kKeyHash);
  hash.identity = std::string(64, '7');
  EXPECT_EQ(judge({hash}).outcome, Outcome::kMissing);
  caller_.key_hash = hash.identity;
  EXPECT_EQ(judge({hash}).outcome, Outcome::kGranted);
  EXPECT_EQ(judge({word(TermKind::kCreator)}).outcome, Outcome::kMissing);
  creator_ = hash.identity;
  EXPECT_EQ(judge({word(TermKind::kCreator)}).outcome, Outcome::kGranted);
  // A signer must have signed; being connected is not enough.
  caller_.key_hash = key_hash(public_hex(alice_));
  EXPECT_EQ(judge({signer(alice_)}).outcome, Outcome::kMissing);
}

TEST_F(Approval, KnowsAnyNoneAndNestedQuorums) {
  EXPECT_EQ(judge({word(TermKind::kAny)}).outcome, Outcome::kGranted);
  EXPECT_EQ(judge({word(TermKind::kNone)}).outcome, Outcome::kMissing);
  EXPECT_EQ(judge({}).outcome, Outcome::kMissing);
  AccessTerm outer = word(TermKind::kQuorum);
  outer.at_least = 2;
  outer.of = {signer(mallory_), quorum_};
  add(alice_);
  add(bob_);
  EXPECT_EQ(judge({outer}).outcome, Outcome::kMissing);
  add(mallory_);
  EXPECT_EQ(judge({outer}).outcome, Outcome::kGranted);
}

TEST_F(Approval, AcceptsEllipticCurveKeys) {
  const crypto::PrivateKey key = crypto::PrivateKey::generate(crypto::KeyKind::kEcP256).value();
  add(key);
  EXPECT_EQ(judge({signer(key)}).outcome, Outcome::kGranted);
}

TEST(SignedBytes, AreStable) {
  const Change change{std::string(64, '1'), "a/b", std::string(64, '2'), std::nullopt};
  EXPECT_EQ(crypto::to_hex(signed_bytes(change, Decision::kApprove, 1).value()),
            "636173656d6174652073657373696f6e20617070726f76616c20763100" + std::string(64, '1') + "00000003612f62" +
                std::string(64, '2') + "00" + std::string(64, '0') + "0000000000000001");
  EXPECT_FALSE(signed_bytes({"xx", "a", std::string(64, '2'), std::nullopt}, Decision::kApprove, 1));
}

TEST(Moment, ReadsAndWritesRfc3339) {
  EXPECT_EQ(parse_moment("2026-11-23T17:00:00Z").value(), 1795453200U);
  EXPECT_EQ(moment_text(1795453200), "2026-11-23T17:00:00Z");
  for (const char* bad : {"", "2026-11-23", "2026-02-29T00:00:00Z", "2026-11-23T24:00:00Z", "1969-12-31T23:59:59Z",
                          "2026-11-23T17:00:00+01"}) {
    EXPECT_FALSE(parse_moment(bad)) << bad;
  }
}

}  // namespace
}  // namespace casemate::policy
