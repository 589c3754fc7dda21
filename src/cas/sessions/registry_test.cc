// The life of sessions: predecessors, rules, namespaces, imports, proposals, and what the log says about it.
#include "cas/sessions/registry.h"

#include <gtest/gtest.h>

#include <thread>

#include "cas/sessions/tables.h"
#include "cas/store/testing/temporary_directory.h"
#include "policy/approval.h"

namespace casemate::cas {
namespace {

using policy::Decision;

struct Person {
  crypto::PrivateKey key = crypto::PrivateKey::generate(crypto::KeyKind::kEd25519).value();
  std::string hash() const { return crypto::to_hex(crypto::sha256(key.public_key().to_subject_public_key_info())); }
  policy::Caller caller() const { return {hash(), ""}; }
  std::string signer() const { return "{signer: " + crypto::to_hex(key.public_key().raw()) + "}"; }
};

class RegistryTest : public testing::Test {
 protected:
  RegistryTest() {
    method_ = unseal_with_new_key_file(directory_.path() + "/key").value();
    StoreOptions options;
    options.directory = directory_.path() + "/store";
    store_ = Store::create(options, {method_.get()}).value();
    Change claim;
    claim.rows.push_back({number_of(Table::kServer), kOwnerRow, "",
                          SecretValue::copy_of(crypto::ByteView(digest_from_hex(owner_.hash()))), kAbsent});
    EXPECT_TRUE(store_->commit(std::move(claim)));
    options_.clock = [this] { return now_; };
    registry_ = SessionRegistry::open(*store_, options_).value();
  }

  std::string put(const std::string& name, const std::string& text, const Person& who) {
    const auto done = registry_->put({name, text, {}, "", BreakGlass::kNo}, who.caller());
    if (done) return "version " + std::to_string(done.value().version);
    return describe(done.error());
  }
  static std::string describe(const Refusal& refusal) {
    std::string text = "refused " + std::to_string(static_cast<int>(refusal.kind)) + ": " + refusal.message;
    for (const auto& finding : refusal.findings) text += "\n" + policy::to_text(finding, "text");
    for (const auto& line : refusal.explanation) text += "\n" + line;
    return text;
  }
  std::string hash_of(const std::string& name) {
    const auto found = registry_->find(name);
    return found && found.value() ? crypto::to_hex(found.value()->record.hash) : "absent";
  }
  static std::string text(const std::string& more = "", const std::string& predecessor = "") {
    return "version: casemate-1\n" + (predecessor.empty() ? "" : "predecessor: " + predecessor + "\n") + more;
  }
  bool is_refused(const std::string& answer, RefusalKind kind) {
    return answer.starts_with("refused " + std::to_string(static_cast<int>(kind)) + ":");
  }
  std::vector<Entry> log() {
    std::vector<Entry> entries;
    for (std::uint64_t i = 0; i < store_->snapshot().head().head.size; ++i) {
      entries.push_back(decode_entry(store_->log_entry(i).value().entry).value());
    }
    return entries;
  }
  policy::SignedDecision sign(const Person& who, Decision decision, const std::string& name, const std::string& hash,
                              const std::string& predecessor) {
    const policy::Change change{registry_->log_id(), name, hash, predecessor};
    return policy::sign_decision(change, decision, now_ / 1000 + 3600, who.key).value();
  }

  testing_support::TemporaryDirectory directory_;
  std::unique_ptr<UnsealMethod> method_;
  std::unique_ptr<Store> store_;
  Person owner_, stranger_;
  std::uint64_t now_ = 1'900'000'000'000;
  RegistryOptions options_;
  std::unique_ptr<SessionRegistry> registry_;
};

TEST_F(RegistryTest, CreatesReadsUpdatesAndRemovesWithEntriesInTheLog) {
  EXPECT_EQ(put("shop", text(), owner_), "version 1");
  const std::string first = hash_of("shop");
  EXPECT_EQ(put("shop", text("secrets: [{name: p, kind: ascii, size: 8}]\n", first), owner_), "version 2");
  const auto read = registry_->read("shop", owner_.caller());
  ASSERT_TRUE(read);
  EXPECT_EQ(read.value()->record.version, 2U);
  EXPECT_EQ(crypto::to_hex(*read.value()->record.predecessor), first);
  const auto removed = registry_->remove("shop", hash_of("shop"), owner_.caller());
  ASSERT_TRUE(removed) << describe(removed.error());
  EXPECT_EQ(hash_of("shop"), "absent");
  std::vector<std::string> actions;
  for (const Entry& entry : log()) {
    if (const auto* change = std::get_if<SessionChange>(&entry.body)) actions.push_back(change->action);
  }
  EXPECT_EQ(actions, (std::vector<std::string>{"create", "update", "remove"}));
}

TEST_F(RegistryTest, RefusesUpdatesThatDoNotNameTheStoredVersion) {
  ASSERT_EQ(put("shop", text(), owner_), "version 1");
  const std::string first = hash_of("shop");
  ASSERT_EQ(put("shop", text("secrets: [{name: p, kind: ascii, size: 8}]\n", first), owner_), "version 2");
  EXPECT_TRUE(is_refused(put("shop", text("volumes: [{name: v}]\n", first), owner_), RefusalKind::kConflict));
  EXPECT_TRUE(is_refused(put("shop", text("volumes: [{name: v}]\n"), owner_), RefusalKind::kConflict));
  EXPECT_TRUE(is_refused(put("new", text("", first), owner_), RefusalKind::kConflict));
}

TEST_F(RegistryTest, AnswersARepeatedRequestAsDone) {
  ASSERT_EQ(put("shop", text(), owner_), "version 1");
  const auto again = registry_->put({"shop", text(), {}, "", BreakGlass::kNo}, owner_.caller());
  ASSERT_TRUE(again);
  EXPECT_TRUE(again.value().unchanged);
  EXPECT_EQ(again.value().version, 1U);
}

TEST_F(RegistryTest, OfManyRacingUpdatesExactlyOneWins) {
  ASSERT_EQ(put("shop", text(), owner_), "version 1");
  const std::string first = hash_of("shop");
  std::atomic<int> won{0}, conflicts{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const std::string more = "volumes: [{name: v" + std::to_string(i) + "}]\n";
      const std::string answer = put("shop", text(more, first), owner_);
      if (answer == "version 2") ++won;
      if (is_refused(answer, RefusalKind::kConflict)) ++conflicts;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(conflicts, 7);
}

TEST_F(RegistryTest, HidesSessionsFromWhomTheRuleDoesNotName) {
  ASSERT_EQ(put("shop", text(), owner_), "version 1");
  const auto read = registry_->read("shop", stranger_.caller());
  const auto absent = registry_->read("shop2", stranger_.caller());
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, RefusalKind::kNotFound);
  EXPECT_EQ(read.error().kind, absent.error().kind);
  EXPECT_TRUE(
      is_refused(put("shop", text("volumes: [{name: v}]\n", hash_of("shop")), stranger_), RefusalKind::kNotFound));
  EXPECT_TRUE(registry_->list("", 10, stranger_.caller()).value().names.empty());
  EXPECT_EQ(registry_->list("", 10, owner_.caller()).value().names, (std::vector<std::string>{"shop"}));
}

TEST_F(RegistryTest, LetsReadersReadAndNotUpdate) {
  ASSERT_EQ(put("shop", text("access_policy: {read: [" + stranger_.hash() + ", CREATOR]}\n"), owner_), "version 1");
  EXPECT_TRUE(registry_->read("shop", stranger_.caller()));
  EXPECT_TRUE(is_refused(put("shop", text("", hash_of("shop")), stranger_), RefusalKind::kForbidden));
  EXPECT_TRUE(is_refused(put("top", text(), stranger_), RefusalKind::kForbidden));
}

TEST_F(RegistryTest, CreatesBelowANamespaceWhomItsRuleAdmits) {
  EXPECT_TRUE(is_refused(put("clinic/db", text(), owner_), RefusalKind::kNotFound));
  ASSERT_EQ(put("clinic", text("access_policy: {create_sessions: [" + stranger_.hash() + "]}\n"), owner_), "version 1");
  EXPECT_TRUE(is_refused(put("clinic/db", text(), owner_), RefusalKind::kForbidden));
  EXPECT_EQ(put("clinic/db", text(), stranger_), "version 1");
  const auto removed = registry_->remove("clinic", hash_of("clinic"), owner_.caller());
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().kind, RefusalKind::kConflict);
}

TEST_F(RegistryTest, ChecksImportsAgainstWhatExists) {
  const std::string importer = text("secrets: [{name: p, import: {session: db, secret: password}}]\n");
  const std::string answer = put("web", importer, owner_);
  EXPECT_NE(answer.find("does not exist on this CAS"), std::string::npos) << answer;
  ASSERT_EQ(put("db", text("secrets: [{name: password, kind: ascii, size: 16}]\n"), owner_), "version 1");
  EXPECT_TRUE(is_refused(put("web", importer, owner_), RefusalKind::kMalformed));
  ASSERT_EQ(put("db", text("secrets: [{name: password, kind: ascii, size: 16, export: web}]\n", hash_of("db")), owner_),
            "version 2");
  EXPECT_EQ(put("web", importer, owner_), "version 1");
}

TEST_F(RegistryTest, ForgetsGeneratedSecretsThatAnUpdateDrops) {
  ASSERT_EQ(put("db", text("secrets: [{name: a, kind: ascii, size: 16}, {name: b, kind: ascii, size: 16}]\n"), owner_),
            "version 1");
  Change generated;
  for (const char* name : {"a", "b"}) {
    generated.rows.push_back({number_of(Table::kSecrets), session_row_key("db", name), "db",
                              SecretValue::copy_of(std::string_view("value")), kAbsent});
  }
  ASSERT_TRUE(store_->commit(std::move(generated)));
  ASSERT_EQ(put("db", text("secrets: [{name: a, kind: ascii, size: 16}]\n", hash_of("db")), owner_), "version 2");
  const Snapshot snapshot = store_->snapshot();
  EXPECT_NE(snapshot.version_of(number_of(Table::kSecrets), session_row_key("db", "a")), kAbsent);
  EXPECT_EQ(snapshot.version_of(number_of(Table::kSecrets), session_row_key("db", "b")), kAbsent);
}

TEST_F(RegistryTest, ReopensWithWhatWasCommitted) {
  ASSERT_EQ(put("shop", text(), owner_), "version 1");
  registry_ = SessionRegistry::open(*store_, options_).value();
  EXPECT_EQ(registry_->session_count(), 1U);
  EXPECT_TRUE(registry_->read("shop", owner_.caller()));
}

// ---- changes that need others ---------------------------------------------------------------------------------------

class ProposalTest : public RegistryTest {
 protected:
  void create_guarded(const std::string& time_lock = "") {
    const std::string rule = "{at_least: 2, of: [" + anna_.signer() + ", " + ben_.signer() + ", " + cleo_.signer() +
                             "], veto: [" + dora_.signer() + "]" + time_lock + "}";
    guard_ = "access_policy: {read: [CREATOR], update: [" + rule + "]}\n";
    ASSERT_EQ(put("vault", text(guard_), owner_), "version 1");
    first_ = hash_of("vault");
    next_ = text(guard_ + "volumes: [{name: v}]\n", first_);
  }
  Proposal propose() {
    auto step = registry_->propose({"vault", next_, {}, "", BreakGlass::kNo}, owner_.caller());
    EXPECT_TRUE(step) << describe(step.error());
    EXPECT_FALSE(step.value().accepted);
    return step.value().proposal;
  }
  Outcome<ProposalStep> decide(const Proposal& proposal, const Person& who, Decision decision = Decision::kApprove) {
    return registry_->decide(proposal.id, sign(who, decision, "vault", proposal.id, first_));
  }

  Person anna_, ben_, cleo_, dora_;
  std::string guard_, first_, next_;
};

TEST_F(ProposalTest, IsAppliedWithTheSecondOfThreeApprovals) {
  create_guarded();
  EXPECT_TRUE(is_refused(put("vault", next_, owner_), RefusalKind::kForbidden));
  const Proposal proposal = propose();
  const auto one = decide(proposal, anna_);
  ASSERT_TRUE(one) << describe(one.error());
  EXPECT_FALSE(one.value().accepted);
  ASSERT_TRUE(decide(proposal, anna_));  // the same key again changes nothing
  EXPECT_EQ(hash_of("vault"), first_);
  const auto two = decide(proposal, cleo_);
  ASSERT_TRUE(two) << describe(two.error());
  ASSERT_TRUE(two.value().accepted);
  EXPECT_EQ(hash_of("vault"), proposal.id);
  const Entry last = log().back();
  const auto& change = std::get<SessionChange>(last.body);
  ASSERT_EQ(change.approvals.size(), 2U);
  EXPECT_EQ(crypto::to_hex(change.approvals[0].key), anna_.hash());
  EXPECT_EQ(crypto::to_hex(change.requester), owner_.hash());
  EXPECT_FALSE(registry_->read_proposal(proposal.id, owner_.caller()));
}

TEST_F(ProposalTest, AnObjectionOfAVetoMemberStopsIt) {
  create_guarded();
  const Proposal proposal = propose();
  ASSERT_TRUE(decide(proposal, anna_));
  const auto veto = decide(proposal, dora_, Decision::kReject);
  ASSERT_TRUE(veto) << describe(veto.error());
  EXPECT_EQ(veto.value().proposal.verdict.outcome, policy::Outcome::kVetoed);
  const auto two = decide(proposal, ben_);
  ASSERT_TRUE(two);
  EXPECT_FALSE(two.value().accepted);
  EXPECT_EQ(hash_of("vault"), first_);
  ASSERT_TRUE(registry_->withdraw(proposal.id, owner_.caller()));
  EXPECT_FALSE(registry_->read_proposal(proposal.id, owner_.caller()));
}

TEST_F(ProposalTest, WaitsForTheTimeLockByLoggedTime) {
  create_guarded(", time_lock: 1h");
  const Proposal proposal = propose();
  ASSERT_TRUE(decide(proposal, anna_));
  const auto two = decide(proposal, ben_);
  ASSERT_TRUE(two);
  EXPECT_EQ(two.value().proposal.verdict.outcome, policy::Outcome::kWaiting);
  EXPECT_FALSE(registry_->apply(proposal.id, owner_.caller()));
  now_ += 3601 * 1000;
  // Signatures were good for an hour: they have expired in the meantime.
  EXPECT_FALSE(registry_->apply(proposal.id, owner_.caller()));
  ASSERT_TRUE(decide(proposal, anna_));
  const auto done = decide(proposal, ben_);
  ASSERT_TRUE(done);
  EXPECT_TRUE(done.value().accepted);
}

TEST_F(ProposalTest, RefusesSignaturesOfStrangersAndForOtherChanges) {
  create_guarded();
  const Proposal proposal = propose();
  const auto stranger = decide(proposal, stranger_);
  ASSERT_FALSE(stranger);
  EXPECT_EQ(stranger.error().kind, RefusalKind::kForbidden);
  const auto other = registry_->decide(proposal.id, sign(anna_, Decision::kApprove, "vault", first_, first_));
  ASSERT_FALSE(other);
  auto expired = sign(anna_, Decision::kApprove, "vault", proposal.id, first_);
  now_ += 7200 * 1000;
  EXPECT_FALSE(registry_->decide(proposal.id, expired));
}

TEST_F(ProposalTest, IsOutdatedWhenTheSessionChangesMeanwhile) {
  create_guarded();
  const Proposal proposal = propose();
  const std::string other = text(guard_ + "volumes: [{name: w}]\n", first_);
  auto rival = registry_->propose({"vault", other, {}, "", BreakGlass::kNo}, owner_.caller());
  ASSERT_TRUE(rival);
  ASSERT_TRUE(decide(rival.value().proposal, anna_));
  ASSERT_TRUE(decide(rival.value().proposal, ben_).value().accepted);
  ASSERT_TRUE(registry_->read_proposal(proposal.id, owner_.caller()).value().is_outdated);
  const auto late = decide(proposal, anna_);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, RefusalKind::kConflict);
}

TEST_F(ProposalTest, AreLimitedPerSession) {
  options_.most_proposals_of_session = 2;
  registry_ = SessionRegistry::open(*store_, options_).value();
  create_guarded();
  for (int i = 0; i < 3; ++i) {
    const std::string version = text(guard_ + "volumes: [{name: w" + std::to_string(i) + "}]\n", first_);
    const auto step = registry_->propose({"vault", version, {}, "", BreakGlass::kNo}, owner_.caller());
    ASSERT_EQ(step.has_value(), i < 2);
    if (!step) {
      EXPECT_EQ(step.error().kind, RefusalKind::kLimit);
    }
  }
}

}  // namespace
}  // namespace casemate::cas
