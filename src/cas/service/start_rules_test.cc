// One-time passwords, access tokens, singletons, imported volumes: each refusal is of a start that differs in one thing
// from one that is granted.
#include "cas/service/start_rules.h"

#include <gtest/gtest.h>

#include "cas/service/testing/simulated_cas.h"
#include "cas/service/testing/simulated_service.h"
#include "crypto/one_time_password.h"

namespace casemate::cas {
namespace {

using testing_support::SimulatedCas;
using testing_support::SimulatedService;

constexpr std::uint64_t kStepMilliseconds = 1000 * crypto::kOneTimePasswordStepSeconds;
constexpr const char* kKey = "3132333435363738393031323334353637383930";

class StartRulesTest : public testing::Test {
 protected:
  // `security` stands inside `security: {attestation: {tolerate: [simulation]...`.
  std::string text(const std::string& security, const std::string& more = "", const std::string& volumes = "") const {
    std::string services;
    for (const char* const name : {"web", "worker"}) {
      services += std::string("  - name: ") + name +
                  "\n    image_name: main\n    command: /bin/server\n    attestation: [{mrenclave: [" +
                  service_.measurement() + "]}]\n    platforms: [" + service_.las_key_id() + "]\n";
    }
    return "version: casemate-1\nsecurity: {attestation: {tolerate: [simulation]" + security + "\nservices:\n" +
           services + "images:\n  - name: main\n    files: {/bin/server: " + std::string(64, 'a') + "}\n" + volumes +
           more;
  }
  std::string password_text() const {
    return text(", one_time_password_shared_secret: \"$$CASEMATE::otp:base32nopad$$\"}}",
                std::string("secrets: [{name: otp, kind: binary, value: \"") + kKey + "\"}]\n");
  }

  Result<Activation> activate(const protocol::ProvisionRequest& asked) {
    return cas_->activator->activate(asked, crypto::Sha512Digest{});
  }
  protocol::ProvisionRequest request(const std::string& session = "shop", const std::string& service = "web") const {
    protocol::ProvisionRequest asked = service_.request(session, service);
    asked.evidence = service_.evidence_for(crypto::Sha512Digest{});
    return asked;
  }
  // What the owner is told; "" when it is granted.
  std::string refusal(const protocol::ProvisionRequest& asked) {
    told_.clear();
    const auto done = activate(asked);
    EXPECT_EQ(done.has_value(), told_.empty());
    return told_;
  }
  std::string with_password(const std::string& password, const std::string& service = "web") {
    protocol::ProvisionRequest asked = request("shop", service);
    asked.one_time_password = password;
    return refusal(asked);
  }
  // Of the step that many steps from now.
  std::string password(int steps = 0) const {
    const crypto::Bytes key = crypto::from_hex(kKey).value();
    return crypto::one_time_password(key, now_ / kStepMilliseconds + static_cast<std::uint64_t>(steps)).value();
  }
  static std::string spoiled(std::string password) {
    password.back() = password.back() == '0' ? '1' : '0';
    return password;
  }

  std::uint64_t now_ = system_time();
  std::string told_;
  SimulatedService service_;
  std::unique_ptr<SimulatedCas> cas_ =
      std::make_unique<SimulatedCas>([this](const ActivationRefusal& refusal) { told_ = describe(refusal); },
                                     EvidenceBasis{}, [this] { return now_; });
};

// --- one-time passwords

TEST_F(StartRulesTest, APasswordOpensOnce) {
  ASSERT_EQ(cas_->put("shop", password_text()), "");
  EXPECT_NE(with_password("").find("found none"), std::string::npos);
  const std::string good = password();
  EXPECT_NE(with_password(spoiled(good)).find("another one"), std::string::npos);
  EXPECT_EQ(with_password(good), "");
  EXPECT_NE(with_password(good).find("one that was used"), std::string::npos) << "replayed";
  EXPECT_NE(with_password(good, "worker").find("one that was used"), std::string::npos) << "at another service";
  EXPECT_EQ(told_.find(good), std::string::npos);
  now_ += kStepMilliseconds;
  EXPECT_EQ(with_password(password()), "");
}

TEST_F(StartRulesTest, PasswordsCountForAStepBeforeAndAfter) {
  ASSERT_EQ(cas_->put("shop", password_text()), "");
  EXPECT_NE(with_password(password(-2)), "");
  EXPECT_NE(with_password(password(2)), "");
  EXPECT_EQ(with_password(password(-1)), "");
  EXPECT_EQ(with_password(password(1)), "");
  EXPECT_NE(with_password(password(0)).find("one that was used"), std::string::npos) << "older than one that was used";
}

TEST_F(StartRulesTest, AClockThatIsSetBackBringsNoPasswordBack) {
  ASSERT_EQ(cas_->put("shop", password_text()), "");
  const std::string unused = password();
  now_ += 3 * kStepMilliseconds;
  EXPECT_EQ(with_password(password()), "");
  now_ -= 3 * kStepMilliseconds;
  EXPECT_NE(with_password(unused), "");
}

TEST_F(StartRulesTest, FiveWrongPasswordsCloseTheStepAlsoAfterARestart) {
  ASSERT_EQ(cas_->put("shop", password_text()), "");
  for (int i = 0; i < 5; ++i) EXPECT_NE(with_password(spoiled(password())).find("another one"), std::string::npos);
  EXPECT_NE(with_password(password()).find("at most five"), std::string::npos);
  Activator restarted(
      *cas_->store, *cas_->registry, [this](const auto& why) { told_ = describe(why); }, {}, [this] { return now_; });
  protocol::ProvisionRequest asked = request();
  asked.one_time_password = password();
  EXPECT_FALSE(restarted.activate(asked, {}));
  EXPECT_NE(told_.find("at most five"), std::string::npos);
  now_ += kStepMilliseconds;
  EXPECT_EQ(with_password(password()), "");
}

TEST_F(StartRulesTest, UsedPasswordsSurviveARestart) {
  ASSERT_EQ(cas_->put("shop", password_text()), "");
  protocol::ProvisionRequest asked = request();
  asked.one_time_password = password();
  EXPECT_EQ(refusal(asked), "");
  Activator restarted(
      *cas_->store, *cas_->registry, [](const auto&) {}, {}, [this] { return now_; });
  EXPECT_FALSE(restarted.activate(asked, {}));
}

TEST_F(StartRulesTest, OnlyGenuineRuntimesMayTryPasswords) {
  ASSERT_EQ(cas_->put("shop", password_text()), "");
  protocol::ProvisionRequest asked = request();
  asked.evidence = service_.evidence_for({}, [](auto& statement) { statement.measurement[0] ^= std::byte{1}; });
  asked.one_time_password = spoiled(password());
  for (int i = 0; i < 6; ++i) EXPECT_NE(refusal(asked).find("`attestation`"), std::string::npos);
  EXPECT_EQ(with_password(password()), "");
}

TEST_F(StartRulesTest, ASharedSecretThatIsNoBase32IsRefusedWithAReason) {
  ASSERT_EQ(cas_->put("shop", text(", one_time_password_shared_secret: \"$$CASEMATE::otp$$\"}}",
                                   "secrets: [{name: otp, kind: ascii, value: \"no base 32!\"}]\n")),
            "");
  EXPECT_NE(with_password("123456").find("base 32"), std::string::npos);
}

TEST_F(StartRulesTest, SecretsThatOnlyRulesCompareAreNotReleased) {
  ASSERT_EQ(cas_->put("shop", password_text()), "");
  protocol::ProvisionRequest asked = request();
  asked.one_time_password = password();
  const auto done = activate(asked);
  ASSERT_TRUE(done) << told_;
  const Receipt receipt = parse_receipt(done.value().receipt).value();
  EXPECT_TRUE(std::get<Release>(verify_receipt(receipt, cas_->store->log_id()).value().body).secrets.empty());
}

// --- access tokens

TEST_F(StartRulesTest, TheTokenOfTheSessionIsNeededAndNoOtherSessions) {
  const auto with_token = [&](const std::string& value) {
    return text("}, service_access_token: $$CASEMATE::token$$}",
                "secrets: [{name: token, kind: ascii, value: " + value + "}]\n");
  };
  ASSERT_EQ(cas_->put("shop", with_token("tenant-one-token")), "");
  ASSERT_EQ(cas_->put("other", with_token("tenant-two-token")), "");
  protocol::ProvisionRequest asked = request();
  EXPECT_NE(refusal(asked).find("found none"), std::string::npos);
  for (const char* const wrong : {"", "tenant-two-token", "tenant-one-toke", "tenant-one-token "}) {
    asked.environment = {{"CASEMATE_SERVICE_ACCESS_TOKEN", wrong}};
    EXPECT_NE(refusal(asked).find("another one"), std::string::npos) << wrong;
    EXPECT_EQ(told_.find("tenant"), std::string::npos) << "neither token is told";
  }
  for (const char* const name : {"CASEMATE_SERVICE_ACCESS_TOKEN", "SCONE_SERVICE_ACCESS_TOKEN"}) {
    asked.environment = {{name, "tenant-one-token"}};
    EXPECT_EQ(refusal(asked), "") << name;
  }
}

// --- singletons

TEST_F(StartRulesTest, ASecondInstanceIsRefusedWhileTheFirstIsConnected) {
  ASSERT_EQ(cas_->put("shop", text("}, singleton_enclaves: true}")), "");
  auto first = activate(request());
  ASSERT_TRUE(first) << told_;
  EXPECT_NE(refusal(request()).find("`singleton_enclaves`"), std::string::npos);
  EXPECT_EQ(refusal(request("shop", "worker")), "") << "another service has a place of its own";
  first.value().place->give_up();
  first.value().place.reset();
  EXPECT_EQ(refusal(request()), "");
}

TEST_F(StartRulesTest, WithoutTheRuleAnyNumberRuns) {
  ASSERT_EQ(cas_->put("shop", text("}}")), "");
  auto first = activate(request());
  ASSERT_TRUE(first) << told_;
  EXPECT_EQ(refusal(request()), "");
  EXPECT_EQ(first.value().place, nullptr);
}

TEST_F(StartRulesTest, AnInstanceThatLostItsConnectionKeepsItsPlaceAndComesBack) {
  ASSERT_EQ(cas_->put("shop", text("}, singleton_enclaves: true}")), "");
  auto first = activate(request());
  ASSERT_TRUE(first) << told_;
  first.value().place.reset();
  EXPECT_NE(refusal(request()), "") << "it may come back";
  protocol::ProvisionRequest again = request();
  again.resumed = first.value().holder;
  auto resumed = activate(again);
  ASSERT_TRUE(resumed) << told_;
  again.resumed = crypto::Bytes(protocol::kProvisionHolderSize, std::byte{7});
  EXPECT_NE(refusal(again).find("taken the place"), std::string::npos) << "nobody goes on as what it was not";
}

TEST_F(StartRulesTest, AnInstanceThatWasReplacedDoesNotComeBack) {
  ASSERT_EQ(cas_->put("shop", text("}, singleton_enclaves: true}")), "");
  auto first = activate(request());
  ASSERT_TRUE(first) << told_;
  first.value().place->give_up();
  auto second = activate(request());
  ASSERT_TRUE(second) << told_;
  protocol::ProvisionRequest again = request();
  again.resumed = first.value().holder;
  EXPECT_NE(refusal(again).find("taken the place"), std::string::npos);
  first.value().place->give_up();  // late, and not its own any more
  EXPECT_NE(refusal(request()), "");
}

TEST_F(StartRulesTest, AfterARestartEverybodyHasTimeToComeBack) {
  ASSERT_EQ(cas_->put("shop", text("}, singleton_enclaves: true}")), "");
  auto first = activate(request());
  ASSERT_TRUE(first) << told_;
  Activator restarted(*cas_->store, *cas_->registry, [this](const auto& why) { told_ = describe(why); });
  EXPECT_FALSE(restarted.activate(request(), {}));
  protocol::ProvisionRequest again = request();
  again.resumed = first.value().holder;
  EXPECT_TRUE(restarted.activate(again, {})) << told_;
}

TEST(InstanceWatch, KeepsThePlacesOfTheConnectedAndForAWhileOfOthers) {
  const auto start = InstanceWatch::Clock::now();
  const auto late = start + InstanceWatch::kReturnTime;
  InstanceWatch watch(start);
  const Bytes one(16, std::byte{1}), two(16, std::byte{2}), unknown(16, std::byte{3});
  EXPECT_TRUE(watch.keeps_place(unknown, late - std::chrono::seconds(1)));
  EXPECT_FALSE(watch.keeps_place(unknown, late));
  watch.connected(one);
  watch.connected(one);  // its new connection is there before the old one is known to be gone
  watch.left(one, start);
  EXPECT_TRUE(watch.keeps_place(one, late));
  watch.left(one, late);
  EXPECT_TRUE(watch.keeps_place(one, late + InstanceWatch::kReturnTime - std::chrono::seconds(1)));
  EXPECT_FALSE(watch.keeps_place(one, late + InstanceWatch::kReturnTime));
}

// --- volumes of other sessions

class ImportedVolumes : public StartRulesTest {
 protected:
  std::string owner(const std::string& exports) const {
    return text("}}", "volumes: [{name: data, freshness: bounded, freshness_bound: 700ms" + exports + "}]\n",
                "    volumes: [{name: data, path: /data}]\n");
  }
  std::string consumer(const std::string& from = "{session: owner, volume: data}") const {
    return text("}}", "volumes: [{name: theirs, import: " + from + "}]\n",
                "    volumes: [{name: theirs, path: /theirs}]\n");
  }
};

TEST_F(ImportedVolumes, AreTheOwnersVolumes) {
  ASSERT_EQ(cas_->put("owner", owner(", export: shop")), "");
  ASSERT_EQ(cas_->put("shop", consumer()), "");
  const auto first = activate(request("owner"));
  ASSERT_TRUE(first) << told_;
  const auto note = [&](const char* session, const char* volume, std::uint64_t sequence, const Result<Activation>& by) {
    return cas_->activator->note_position(session, {volume, {1, sequence, {}}}, by.value().holder).value();
  };
  EXPECT_TRUE(note("owner", "data", 5, first));
  const auto second = activate(request());
  ASSERT_TRUE(second) << told_;
  const protocol::GrantedVolume& own = first.value().configuration.volumes.at(0);
  const protocol::GrantedVolume& granted = second.value().configuration.volumes.at(0);
  EXPECT_EQ(granted.key, own.key);
  EXPECT_EQ(granted.name, "/owner/data");
  EXPECT_EQ(granted.path, "/theirs");
  EXPECT_EQ(granted.tag.sequence, 5U);
  EXPECT_EQ(granted.freshness, protocol::VolumeFreshness::kBounded) << "the owner decides";
  EXPECT_EQ(granted.bound_milliseconds, 700U);
  EXPECT_TRUE(note("shop", "/owner/data", 6, second));
  EXPECT_FALSE(note("owner", "data", 7, first)) << "the newest activation holds it, whose session it is of";
  const auto third = activate(request("owner"));
  EXPECT_EQ(third.value().configuration.volumes.at(0).tag.sequence, 6U);
  EXPECT_FALSE(note("shop", "/owner/data", 8, second));
  EXPECT_FALSE(note("shop", "/owner/other", 8, second));
  EXPECT_FALSE(note("shop", "/", 8, second));
}

TEST_F(ImportedVolumes, NeedTheOwnersExportAtEveryStart) {
  EXPECT_NE(cas_->put("shop", consumer()), "") << "nothing is imported from nowhere";
  ASSERT_EQ(cas_->put("owner", owner(", export: shop")), "");
  EXPECT_NE(cas_->put("other-shop", consumer()), "") << "the export is for another session";
  ASSERT_EQ(cas_->put("shop", consumer()), "");
  EXPECT_EQ(refusal(request()), "");
  const std::string before = crypto::to_hex(cas_->registry->find("owner").value()->record.hash);
  ASSERT_EQ(cas_->put("owner", owner("") + "predecessor: " + before + "\n"), "");
  EXPECT_NE(refusal(request()).find("an `export` to this session"), std::string::npos) << "consent was taken back";
  EXPECT_EQ(refusal(request("owner")), "");
}

TEST_F(ImportedVolumes, AreNotHandedOn) {
  ASSERT_EQ(cas_->put("owner", owner(", export: middle")), "");
  ASSERT_EQ(cas_->put("middle", consumer()), "") << "the control";
  std::string handing_on = consumer();
  handing_on.replace(handing_on.find("import: "), 0, "export: shop, ");
  EXPECT_NE(cas_->put("second-middle", handing_on), "");
}

}  // namespace
}  // namespace casemate::cas
