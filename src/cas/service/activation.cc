#include "cas/service/activation.h"

#include <algorithm>

#include "attest/appraisal.h"
#include "attest/process_verifier.h"
#include "cas/service/network.h"
#include "cas/service/node_policy.h"
#include "cas/service/secrets.h"
#include "cas/sessions/tables.h"
#include "crypto/certificate.h"
#include "crypto/random.h"
#include "evidence/simulation.h"
#include "policy/check.h"
#include "protocol/provision_push.h"

namespace casemate::cas {
namespace {

constexpr std::size_t kKeptRefusals = 1024;
constexpr int kTries = 32;  // of what lost a race; from the second on, one after the other

// Why an activation is refused, on its way to the owner.
struct Reason {
  std::string rule, expected, actual, advice;
};

// A value or a reason; used as Result is, CASEMATE_TRY included.
template <typename T>
class [[nodiscard]] Judged {
 public:
  Judged(T value) : value_(std::move(value)) {}
  Judged(Reason reason) : reason_(std::move(reason)) {}
  Judged(StartRefusal refusal)
      : reason_(Reason{std::move(refusal.rule), std::move(refusal.expected), std::move(refusal.actual),
                       std::move(refusal.advice)}) {}
  Judged(const Error& error) : reason_(Reason{error.message(), "", "", ""}) {}
  bool has_value() const { return value_.has_value(); }
  explicit operator bool() const { return has_value(); }
  T&& value() && { return std::move(*value_); }
  const T& value() const& { return *value_; }
  const Reason& error() const { return *reason_; }

 private:
  std::optional<T> value_;
  std::optional<Reason> reason_;
};
struct Fine {};

const policy::Session& no_session() {
  static const policy::Session none;
  return none;
}

std::string measurement_of(const attest::VerificationResult& result, std::string_view name) {
  for (const attest::Measurement& measurement : result.measurements) {
    if (measurement.name != name) continue;
    if (const auto* number = std::get_if<std::uint64_t>(&measurement.value)) return std::to_string(*number);
    return std::get<std::string>(measurement.value);
  }
  return "";
}

std::string list_of(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text.empty() ? "none" : text;
}

// --- what the session demands of the evidence

// `policies`: what the session accepts of this platform; one that fits suffices.
Judged<Fine> check_node(const attest::VerificationResult& result, const std::vector<attest::AppraisalPolicy>& policies,
                        const policy::Service& service) {
  const std::string platform = attest::to_text(*result.platform);
  if (policies.empty()) {
    return Reason{"`tee` of service '" + service.name + "'", list_of(service.tee), platform,
                  "tee: [" + platform + "], with reference values in `node`, accepts it"};
  }
  std::optional<Reason> first;
  for (const attest::AppraisalPolicy& wanted : policies) {
    const attest::Appraisal appraisal = attest::appraise(result, wanted);
    const attest::Check* const failed = appraisal.checks.first_failure();
    if (failed == nullptr) return Fine{};
    if (!first) first = Reason{"evidence: " + failed->name, failed->expected, failed->actual, appraisal.reason(result)};
  }
  return *first;
}

Judged<Fine> check_platform(const attest::VerificationResult& result, const policy::Session& session,
                            const policy::Service& service) {
  const policy::Security* const security = session.security_rules();
  if (security == nullptr) return Reason{"`security` is imported and could not be found", "", "", ""};
  if (const attest::Check* const failed = result.checks.first_failure(); failed != nullptr) {
    return Reason{"evidence: " + failed->name, failed->expected, failed->actual, ""};
  }
  if (result.platform == attest::Platform::kTdx) return check_node(result, tdx_policies(*security, service), service);
  if (result.platform == attest::Platform::kSnp) return check_node(result, snp_policies(*security, service), service);
  if (result.platform != attest::Platform::kSimulation) {
    return Reason{"evidence of hardware", "simulation, tdx or snp",
                  result.platform ? attest::to_text(*result.platform) : "unknown",
                  "this version of the CAS does not appraise it"};
  }
  if (!security->tolerates("simulation")) {
    return Reason{"`security`: simulation is not tolerated", "hardware", "simulation",
                  "security: {attestation: {tolerate: [simulation]}} accepts it, with `platforms` in the service"};
  }
  attest::AppraisalPolicy wanted;
  wanted.platforms = {attest::Platform::kSimulation};
  wanted.simulation_keys.insert(service.platforms.begin(), service.platforms.end());
  const attest::Appraisal appraisal = attest::appraise(result, wanted);
  if (const attest::Check* const failed = appraisal.checks.first_failure(); failed != nullptr) {
    return Reason{"evidence: " + failed->name, failed->expected, failed->actual,
                  "`platforms` of service '" + service.name + "' lists the LAS keys that may vouch"};
  }
  return Fine{};
}

bool fits(const policy::AttestationAlternative& alternative, const std::string& measurement) {
  return !alternative.signer &&
         std::ranges::find(alternative.measurements, measurement) != alternative.measurements.end();
}

Judged<Fine> check_measurement(const attest::VerificationResult& result, const policy::Service& service) {
  const std::string measurement = measurement_of(result, "measurement");
  std::vector<std::string> accepted;
  for (const policy::AttestationAlternative& alternative : service.attestation) {
    if (fits(alternative, measurement)) return Fine{};
    accepted.insert(accepted.end(), alternative.measurements.begin(), alternative.measurements.end());
  }
  return Reason{"`attestation` of service '" + service.name + "'", list_of(accepted), measurement,
                "attestation: [{mrenclave: [" + measurement + "]}] accepts it"};
}

Judged<Fine> check_purpose(const attest::VerificationResult& result) {
  const std::string purpose = measurement_of(result, "purpose");
  const auto wanted = evidence::name_of(evidence::StatementPurpose::kProvision);
  if (purpose != wanted) return Reason{"evidence: purpose", wanted, purpose, ""};
  const auto checks = std::strtoull(measurement_of(result, "caller_checks").c_str(), nullptr, 10);
  constexpr auto kNeeded = evidence::kCallerInspected | evidence::kCallerHosted;
  if ((checks & kNeeded) != kNeeded) {
    return Reason{"evidence: given to an executable that runs no programs itself", std::to_string(kNeeded),
                  std::to_string(checks), "evidence of a runtime does not say where the TLS channel ends"};
  }
  return Fine{};
}

// TCP is shielded; unix sockets are only let through or denied.
bool protects_unix_socket(const policy::Network& network) {
  if (policy::mode_of(network) == policy::ShieldMode::kDisabled) return false;
  return std::ranges::any_of(network.rules, [](const policy::NetworkRule& rule) {
    return rule.is_protected && rule.endpoint.starts_with("unix:");
  });
}

// What this version does not enforce must not be believed to be enforced.
Judged<Fine> check_enforceable(const policy::Session& session, const policy::Service& service) {
  const policy::Image* const image = session.find_image(service.image);
  const std::pair<bool, const char*> missing[] = {
      {protects_unix_socket(service.network), "network: protected unix sockets"},
      {service.file_protection.is_given(), "fspf_path"}};
  for (const auto& [is_asked, key] : missing) {
    if (is_asked) return Reason{std::string("`") + key + "` is not enforced by this version", "", "", "leave it out"};
  }
  if (image == nullptr) {
    return Reason{"service '" + service.name + "' has no image: none of its files would be verified", "image_name",
                  "none", "`casemate session init -- PROGRAM` writes one"};
  }
  return Fine{};
}

// --- the configuration

std::string text_of(const policy::SharedSecretText& text) { return std::string(text->expose()); }

Judged<Fine> fill_words(protocol::Configuration& to, const policy::Session& session, const policy::Service& service,
                        const ServiceSecrets& secrets, const protocol::ProvisionRequest& request) {
  for (const std::string& word : service.command) {
    to.arguments.push_back(
        text_of(CASEMATE_TRY(policy::substitute_word(word, session, secrets, request.host_arguments))));
  }
  for (const policy::EnvironmentVariable& variable : service.environment) {
    if (!variable.pass_through) {
      to.environment.push_back({variable.name, ""});
      to.environment.back().value =
          text_of(CASEMATE_TRY(policy::substitute_variable(variable.value, session, secrets)));
      continue;
    }
    const auto given = std::ranges::find(request.environment, variable.name, &protocol::Variable::name);
    if (given != request.environment.end()) to.environment.push_back(*given);
  }
  for (const protocol::Variable& variable : to.environment) {
    if (variable.value.find('\0') != std::string::npos)
      return Reason{"a variable of the host contains NUL", "", "", ""};
  }
  to.working_directory = service.pwd.empty() ? "/" : service.pwd;
  to.allows_tracing = std::ranges::find(service.allow, "tracing") != service.allow.end();
  to.allows_core_dumps = std::ranges::find(service.allow, "core-dumps") != service.allow.end();
  return Fine{};
}

Judged<Fine> fill_files(protocol::Configuration& to, const policy::Session& session, const policy::Image& image,
                        const ServiceSecrets& secrets) {
  for (const policy::InjectedFile& file : image.injected) {
    const auto content = CASEMATE_TRY(policy::substitute(file.content, session, secrets));
    to.files.push_back({file.path, file.mode, text_of(content)});
  }
  for (const policy::Region& region : image.regions) {
    to.regions.push_back({region.path, protocol::RegionProtection::kHost, region.manifest, region.insecure_host_code});
    if (region.kind == policy::RegionKind::kEphemeral)
      to.regions.back().protection = protocol::RegionProtection::kEphemeral;
    if (region.kind == policy::RegionKind::kAuthenticated) {
      to.regions.back().protection = protocol::RegionProtection::kAuthenticated;
    }
  }
  for (const policy::FileDigest& digest : image.files) to.digests.push_back({digest.path, digest.sha256});
  return Fine{};
}

protocol::VolumeFreshness freshness_of(const policy::Volume& volume) {
  switch (volume.freshness.value_or(policy::FreshnessMode::kStrict)) {
    case policy::FreshnessMode::kBounded:
      return protocol::VolumeFreshness::kBounded;
    case policy::FreshnessMode::kLocal:
      return protocol::VolumeFreshness::kLocal;
    default:
      return protocol::VolumeFreshness::kStrict;
  }
}

protocol::VolumeCasLoss cas_loss_of(const policy::Volume& volume) {
  switch (volume.on_cas_loss.value_or(policy::OnCasLoss::kWait)) {
    case policy::OnCasLoss::kStop:
      return protocol::VolumeCasLoss::kStop;
    case policy::OnCasLoss::kInsecureContinue:
      return protocol::VolumeCasLoss::kInsecureContinue;
    default:
      return protocol::VolumeCasLoss::kWait;
  }
}

// A volume as its owner has it, which may be another session.
struct OwnedVolume {
  StoredSessionPointer keep;  // the other session; null: the consumer itself
  const policy::Session* owner = nullptr;
  const policy::Volume* volume = nullptr;
  // To the service: its name, or that of another session's, absolute: "/SESSION/NAME".
  std::string granted_name() const { return keep ? "/" + owner->name + "/" + volume->name : volume->name; }
  std::string row_key() const { return session_row_key(owner->name, volume->name); }
};

Judged<OwnedVolume> owned_volume(const SessionRegistry& sessions, const StoredSession& consumer,
                                 const std::string& name, Change& change) {
  const policy::Volume* const volume = consumer.session.find_volume(name);
  if (volume == nullptr) return Reason{"volume '" + name + "' is not in the session", "", "", ""};
  if (!volume->import) return OwnedVolume{nullptr, &consumer.session, volume};
  const policy::Import& import = *volume->import;
  StoredSessionPointer owner = CASEMATE_TRY(sessions.find(import.session));
  const policy::Volume* const original = owner ? owner->session.find_volume(import.name) : nullptr;
  const std::string hash = crypto::to_hex(consumer.record.hash);
  const std::string rule = "volume '" + name + "' is imported from session '" + import.session + "'";
  if (original == nullptr || !policy::is_exported_to(original->exports, consumer.session.name, hash)) {
    return Reason{rule, "an `export` to this session", "none", "the owner of '" + import.session + "' must add one"};
  }
  if (original->import) {
    return Reason{rule, "a volume of its own", "one that it imports itself", "import it from its owner"};
  }
  change.checks.push_back({number_of(Table::kSessions), import.session, owner->row_version});
  const policy::Session* const owning = &owner->session;
  return OwnedVolume{std::move(owner), owning, original};
}

Judged<Fine> fill_volumes(protocol::Configuration& to, Change& change, const Snapshot& snapshot,
                          const SessionRegistry& sessions, const StoredSession& consumer, const policy::Image& image,
                          ByteView holder) {
  for (const policy::Mount& mount : image.mounts) {
    const OwnedVolume owned = CASEMATE_TRY(owned_volume(sessions, consumer, mount.volume, change));
    const policy::Volume* const volume = owned.volume;
    const std::string key = owned.row_key();
    const bool is_known = std::ranges::any_of(change.rows, [&](const RowChange& other) {
      return other.table == number_of(Table::kVolumes) && other.key == key;
    });
    if (is_known) {
      return Reason{"volume '" + mount.volume + "' is mounted twice", "", "", "mount it at one path"};
    }
    auto row = CASEMATE_TRY(snapshot.find(number_of(Table::kVolumes), key));
    VolumeRecord record;
    if (row) {
      record = CASEMATE_TRY(decode_volume_record(row->value.expose()));
    } else {
      record.key = SecretValue(Bytes(32));
      if (auto filled = crypto::random_bytes(record.key.expose_for_writing()); !filled) return filled.error();
    }
    protocol::GrantedVolume granted;
    granted.name = owned.granted_name();
    granted.path = mount.path;
    std::ranges::copy(record.key.expose(), granted.key.begin());
    granted.is_new = !record.has_position;
    granted.tag = record.position;
    granted.freshness = freshness_of(*volume);
    granted.bound_milliseconds = volume->freshness_bound.value_or(1000);
    granted.cas_loss = cas_loss_of(*volume);
    to.volumes.push_back(granted);
    crypto::wipe(granted.key);
    record.holder = crypto::to_bytes(holder);
    change.rows.push_back(
        {number_of(Table::kVolumes), key, owned.owner->name, encode_record(record), row ? row->version : kAbsent});
  }
  return Fine{};
}

// --- the log

void log_activation(Change& change, const LiveActivation& live, const StoredSession& stored,
                    const std::vector<std::string>& secrets, const protocol::Configuration& configuration) {
  const attest::VerificationResult& result = live.verified;
  Verdict verdict;
  verdict.session = live.session;
  verdict.service = live.service;
  verdict.outcome = "accepted";
  verdict.evidence = attest::to_text(*result.platform);
  verdict.evidence_digest = live.evidence;
  if (auto measurement = crypto::from_hex(measurement_of(result, "measurement")); measurement) {
    verdict.measurement = std::move(measurement).value();
  }
  verdict.platform = crypto::sha256(crypto::as_byte_view(result.platform_id));
  verdict.tcb_status = result.tcb_status ? attest::to_text(*result.tcb_status) : "none";
  verdict.advisories = result.advisories;
  verdict.session_digest = stored.record.hash;
  verdict.runtime_key = crypto::sha256(live.runtime_key);
  Release release;
  release.session = live.session;
  release.service = live.service;
  release.session_digest = stored.record.hash;
  release.secrets = secrets;
  for (const protocol::GrantedVolume& volume : configuration.volumes) release.volumes.push_back(volume.name);
  release.recipient = verdict.runtime_key;
  change.log(std::move(verdict));
  change.entries.push_back([release](std::uint64_t index) -> EntryBody {
    Release numbered = release;
    numbered.verdict = index - 1;
    return numbered;
  });
}

// --- activations that go on

constexpr std::uint64_t kNever = ~std::uint64_t{0};
constexpr std::uint64_t kLookMilliseconds = 60'000;  // at certificates that the CAS does not renew

Digest digest_of(const std::vector<protocol::GrantedFile>& files) {
  Bytes encoded = protocol::encode_files(files);
  const Digest digest = crypto::sha256(encoded);
  crypto::wipe(encoded);
  return digest;
}

// When the first certificate is past half of its life.
std::uint64_t first_renewal(const policy::Session& session, const ServiceSecrets& secrets, std::uint64_t now) {
  std::uint64_t first = kNever;
  for (const policy::Secret& secret : session.secrets) {
    const policy::SecretMaterial* const material = secrets.find(secret.name);
    if (material == nullptr || material->certificate.empty()) continue;
    const auto certificate = crypto::Certificate::from_der(material->certificate);
    if (!certificate) continue;
    const std::int64_t begin = certificate.value().not_before(), end = certificate.value().not_after();
    const auto half = static_cast<std::uint64_t>(std::max<std::int64_t>(0, begin + (end - begin) / 2)) * 1000;
    first = std::min(first, half > now ? half : now + kLookMilliseconds);
  }
  return first;
}

// All that the change depends on. Rows that it makes are looked at once more: their versions are not known before.
std::vector<RowCheck> relied_on(const Change& change) {
  std::vector<RowCheck> rows = change.checks;
  for (const RowChange& row : change.rows) {
    if (row.table != number_of(Table::kVolumes)) rows.push_back({row.table, row.key, row.expected_version.value_or(0)});
  }
  return rows;
}

// Versions of rows rise through all tables: a store that was put back has lower ones until somebody changes something.
std::uint64_t newest_version(const std::vector<RowCheck>& rows, const Snapshot& snapshot) {
  std::uint64_t newest = 0;
  for (const RowCheck& row : rows) newest = std::max(newest, snapshot.version_of(row.table, row.key));
  return newest;
}

// One activation, from the request to the change that it makes.
class Attempt {
 public:
  Attempt(Store& store, const SessionRegistry& sessions, const protocol::ProvisionRequest& request,
          const LiveActivation& live, InstanceWatch& watch, std::uint64_t now)
      : store_(store),
        sessions_(sessions),
        request_(request),
        live_(live),
        result_(live_.verified),
        watch_(watch),
        now_(now),
        snapshot_(store.snapshot()) {}

  Judged<Activation> run() {
    static_cast<void>(CASEMATE_TRY(find()));
    static_cast<void>(CASEMATE_TRY(appraise()));
    static_cast<void>(CASEMATE_TRY(check_enforceable(session(), *service_)));
    change_.checks.push_back({number_of(Table::kSessions), request_.session, stored_->row_version});
    if (!request_.resumed.empty()) return resume();
    ServiceSecrets secrets = CASEMATE_TRY(ServiceSecrets::gather(snapshot_, sessions_, *stored_, *service_, now_));
    Activation activation;
    activation.holder.resize(protocol::kProvisionHolderSize);
    if (auto filled = crypto::random_bytes(activation.holder); !filled) return filled.error();
    static_cast<void>(CASEMATE_TRY(check_start(secrets, activation.holder)));
    take_place(activation);
    const policy::Image& image = *session().find_image(service_->image);
    protocol::Configuration& to = activation.configuration;
    to.holder = activation.holder;
    static_cast<void>(CASEMATE_TRY(fill_words(to, session(), *service_, secrets, request_)));
    static_cast<void>(CASEMATE_TRY(fill_files(to, session(), image, secrets)));
    to.network = CASEMATE_TRY(granted_network(session(), *service_, secrets));
    static_cast<void>(
        CASEMATE_TRY(fill_volumes(to, change_, snapshot_, sessions_, *stored_, image, activation.holder)));
    secrets.add_to(change_);
    note(secrets, to.files);
    log_activation(change_, live_, *stored_, secrets.names(), to);
    activation.live = live_;
    return activation;
  }

  // Whether the session still allows the service.
  Judged<Fine> judge() {
    static_cast<void>(CASEMATE_TRY(find()));
    return appraise();
  }
  // After judge(): the injected files as they are now. Whether the service has them already shows in live().files.
  Judged<std::vector<protocol::GrantedFile>> files() {
    static_cast<void>(CASEMATE_TRY(check_enforceable(session(), *service_)));
    change_.checks.push_back({number_of(Table::kSessions), live_.session, stored_->row_version});
    ServiceSecrets secrets = CASEMATE_TRY(ServiceSecrets::gather(snapshot_, sessions_, *stored_, *service_, now_));
    protocol::Configuration to;
    static_cast<void>(CASEMATE_TRY(fill_files(to, session(), *session().find_image(service_->image), secrets)));
    secrets.add_to(change_);
    const Digest before = live_.files;
    note(secrets, to.files);
    if (live_.files != before) log_activation(change_, live_, *stored_, secrets.names(), {});
    return std::move(to.files);
  }

  Change& change() { return change_; }
  // What a refusal leaves to be committed: a wrong one-time password. No rows: nothing.
  Change& trace_of_refusal() { return trace_; }
  const LiveActivation& live() const { return live_; }

 private:
  const policy::Session& session() const { return stored_ ? stored_->session : no_session(); }

  Judged<Fine> check_start(const ServiceSecrets& secrets, const Bytes& holder) {
    StartRules rules(snapshot_, session(), request_, now_, change_);
    std::optional<StartRefusal> refusal = CASEMATE_TRY(rules.check_token(secrets));
    if (!refusal) refusal = CASEMATE_TRY(rules.check_singleton(watch_, holder, StartRules::Start::kNew));
    if (!refusal) refusal = CASEMATE_TRY(rules.check_password(secrets));
    trace_ = std::move(rules.wrong_try());
    if (refusal) return *std::move(refusal);
    return Fine{};
  }

  // Before others can see its row: they ask the watch whether it is there.
  void take_place(Activation& activation) {
    if (!session().security_rules()->singleton) return;
    activation.place =
        std::make_shared<InstancePlace>(store_, watch_, request_.session, request_.service, activation.holder);
  }

  // One that goes on over a new connection has everything already: it learns what the CAS knows of its volumes, and
  // takes none. Whether it still holds them shows when it reports.
  Judged<Activation> resume() {
    Activation activation;
    activation.holder = activation.configuration.holder = request_.resumed;
    take_place(activation);
    const StartRules rules(snapshot_, session(), request_, now_, change_);
    std::optional<StartRefusal> refusal =
        CASEMATE_TRY(rules.check_singleton(watch_, activation.holder, StartRules::Start::kResumed));
    if (refusal) return *std::move(refusal);
    for (const policy::Mount& mount : session().find_image(service_->image)->mounts) {
      const OwnedVolume owned = CASEMATE_TRY(owned_volume(sessions_, *stored_, mount.volume, change_));
      auto row = CASEMATE_TRY(snapshot_.find(number_of(Table::kVolumes), owned.row_key()));
      if (!row) continue;
      const VolumeRecord record = CASEMATE_TRY(decode_volume_record(row->value.expose()));
      protocol::GrantedVolume known;
      known.name = owned.granted_name();
      known.path = mount.path;
      known.is_new = !record.has_position;
      known.tag = record.position;
      activation.configuration.volumes.push_back(known);
    }
    log_activation(change_, live_, *stored_, {}, activation.configuration);
    // Nothing is noted: the first look tells all files, where there are any.
    if (session().find_image(service_->image)->injected.empty()) live_.files = digest_of({});
    activation.live = live_;
    return activation;
  }

  void note(const ServiceSecrets& secrets, const std::vector<protocol::GrantedFile>& files) {
    live_.relied_on = relied_on(change_);
    live_.files = digest_of(files);
    live_.look_again = first_renewal(session(), secrets, now_);
  }

  Judged<Fine> find() {
    stored_ = CASEMATE_TRY(sessions_.find(request_.session));
    if (!stored_) return Reason{"no such session", "", request_.session, "`casemate session create` makes one"};
    service_ = session().find_service(request_.service);
    if (service_ == nullptr) return Reason{"the session has no such service", "", request_.service, ""};
    return Fine{};
  }

  Judged<Fine> appraise() {
    if (result_.conclusion == attest::Conclusion::kParseError) {
      return Reason{"evidence: cannot be read", "", result_.parse_error, ""};
    }
    static_cast<void>(CASEMATE_TRY(check_platform(result_, session(), *service_)));
    static_cast<void>(CASEMATE_TRY(check_purpose(result_)));
    return check_measurement(result_, *service_);
  }

  Store& store_;
  const SessionRegistry& sessions_;
  const protocol::ProvisionRequest& request_;
  LiveActivation live_;
  const attest::VerificationResult& result_;
  InstanceWatch& watch_;
  std::uint64_t now_;
  Snapshot snapshot_;
  StoredSessionPointer stored_;
  const policy::Service* service_ = nullptr;
  Change change_, trace_;
};

std::string new_reference() {
  std::array<std::byte, 8> bytes{};
  if (!crypto::random_bytes(bytes)) return std::string(16, '0');
  return crypto::to_hex(bytes);
}

// Names come from the attester: printed without what terminals obey.
std::string printable(std::string_view text) {
  std::string out;
  for (const char letter : text.substr(0, 512)) out += letter >= 0x20 && letter < 0x7f ? letter : '?';
  return out;
}

}  // namespace

std::string describe(const ActivationRefusal& refusal) {
  std::string text = "refused " + refusal.reference + ": " + printable(refusal.session) + "/" +
                     printable(refusal.service) + ": " + printable(refusal.rule);
  if (!refusal.expected.empty()) text += "; expected " + printable(refusal.expected);
  if (!refusal.actual.empty()) text += "; found " + printable(refusal.actual);
  if (!refusal.advice.empty()) text += "; " + printable(refusal.advice);
  return text;
}

Result<Activation> Activator::activate(const protocol::ProvisionRequest& request, const crypto::Sha512Digest& bound) {
  Reason reason = {refuses_all(), "", "", ""};
  const Bytes nonce = crypto::to_bytes(bound);
  attest::NodeEndorsements endorsements;
  endorsements.dcap = basis_.dcap.get();
  endorsements.snp = basis_.snp;
  endorsements.verdicts = &node_verdicts_;
  LiveActivation live;
  live.session = request.session;
  live.service = request.service;
  live.runtime_key = request.runtime_key;
  live.evidence = crypto::sha256(request.evidence);
  live.verified = attest::verify_process_evidence(request.evidence, &nonce, endorsements, *basis_.anchors,
                                                  static_cast<attest::Moment>(clock_() / 1000));
  std::unique_lock turns(contended_, std::defer_lock);
  for (int tries = 0; tries < kTries && (tries > 0 || reason.rule.empty()); ++tries) {
    Attempt attempt(store_, sessions_, request, live, watch_, clock_());
    Judged<Activation> judged = attempt.run();
    if (!judged) {
      reason = judged.error();
      if (attempt.trace_of_refusal().rows.empty()) break;
      const Result<Committed> noted = store_.commit(std::move(attempt.trace_of_refusal()));
      if (noted || noted.error().system_code() != kConflictCode) break;
      if (!turns.owns_lock()) turns.lock();
      continue;
    }
    Activation activation = std::move(judged).value();
    const Result<Committed> committed = store_.commit(std::move(attempt.change()));
    if (committed) {
      const Receipt receipt = CASEMATE_TRY(committed.value().receipt(committed.value().entry_count() - 1));
      activation.receipt = to_text(receipt);
      return activation;
    }
    reason = {"the CAS could not write it down", "", committed.error().message(), ""};
    if (committed.error().system_code() != kConflictCode) break;
    if (!turns.owns_lock()) turns.lock();
  }
  if (turns.owns_lock()) turns.unlock();
  return Error(ErrorCategory::kUsage, refuse({"", request.session, request.service, reason.rule, reason.expected,
                                              reason.actual, reason.advice, clock_()}));
}

std::string Activator::refuse(ActivationRefusal refusal) {
  refusal.reference = new_reference();
  refused_(refusal);
  std::string reference = refusal.reference;
  const std::lock_guard lock(mutex_);
  refusals_.push_back(std::move(refusal));
  if (refusals_.size() > kKeptRefusals) refusals_.pop_front();
  return reference;
}

bool Activator::is_outdated(const LiveActivation& live, const Snapshot& snapshot) const {
  return is_due(live) || std::ranges::any_of(live.relied_on, [&](const RowCheck& row) {
           return snapshot.version_of(row.table, row.key) != row.expected_version;
         });
}

Result<std::optional<Activator::Refreshed>> Activator::refresh(LiveActivation& live) {
  if (const std::string why = refuses_all(); !why.empty()) return Error(ErrorCategory::kSystem, why);
  protocol::ProvisionRequest request;
  request.session = live.session;
  request.service = live.service;
  for (int tries = 0; tries < kTries; ++tries) {
    Attempt attempt(store_, sessions_, request, live, watch_, clock_());
    const auto told = [&](const Reason& reason) {
      return refuse(
          {"", live.session, live.service, reason.rule, reason.expected, reason.actual, reason.advice, clock_()});
    };
    if (const auto judged = attempt.judge(); !judged) return Error(ErrorCategory::kUsage, told(judged.error()));
    auto files = attempt.files();
    if (!files) {
      live.relied_on = relied_on(attempt.change());
      live.look_again = clock_() + kLookMilliseconds;
      return Error(ErrorCategory::kSystem, told(files.error()));
    }
    const bool is_new = attempt.live().files != live.files;
    const LiveActivation noted = attempt.live();
    Refreshed refreshed;
    if (!attempt.change().rows.empty() || is_new) {
      const Result<Committed> committed = store_.commit(std::move(attempt.change()));
      if (!committed && committed.error().system_code() == kConflictCode) continue;
      if (!committed) return Error(ErrorCategory::kSystem, committed.error().message());
    }
    live = noted;
    refreshed.generation = newest_version(live.relied_on, store_.snapshot());
    if (!is_new) return std::optional<Refreshed>();
    refreshed.files = std::move(files).value();
    return std::optional<Refreshed>(std::move(refreshed));
  }
  return Error(ErrorCategory::kSystem, "the session changes all the time");
}

Result<bool> Activator::note_position(const std::string& consumer, const protocol::TagUpdate& update, ByteView holder) {
  // Volumes of other sessions have absolute names. Who reports must hold the volume, whatever the name says.
  const std::size_t slash = update.volume.starts_with('/') ? update.volume.rfind('/') : 0;
  const std::string session = slash == 0 ? consumer : update.volume.substr(1, slash - 1);
  const std::string key = session_row_key(session, slash == 0 ? update.volume : update.volume.substr(slash + 1));
  if (const std::string why = refuses_all(); !why.empty()) return Error(ErrorCategory::kSystem, why);
  for (int tries = 0; tries < kTries; ++tries) {
    auto row = CASEMATE_TRY(store_.snapshot().find(number_of(Table::kVolumes), key));
    if (!row) return false;
    VolumeRecord record = CASEMATE_TRY(decode_volume_record(row->value.expose()));
    if (!crypto::equal(record.holder, holder)) return false;
    const auto order = [](const protocol::VolumeTag& tag) { return std::pair(tag.epoch, tag.sequence); };
    if (record.has_position && order(update.tag) < order(record.position)) return false;
    if (record.has_position && update.tag == record.position) return true;
    record.has_position = true;
    record.position = update.tag;
    Change change;
    change.rows.push_back({number_of(Table::kVolumes), key, session, encode_record(record), row->version});
    const Result<Committed> committed = store_.commit(std::move(change));
    if (committed) return true;
    if (committed.error().system_code() != kConflictCode) return committed.error();
  }
  return false;
}

void Activator::refuse_all(const std::string& why) {
  const std::lock_guard lock(mutex_);
  refuses_all_ = why;
}

std::string Activator::refuses_all() const {
  const std::lock_guard lock(mutex_);
  return refuses_all_;
}

std::optional<ActivationRefusal> Activator::why(const std::string& reference) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(refusals_, reference, &ActivationRefusal::reference);
  if (found == refusals_.end()) return std::nullopt;
  return *found;
}

}  // namespace casemate::cas
