// A session (policy) as structures: what src/policy/parse reads from the text, with the place of everything that a
// message may have to name. docs/formats/session.md is the language's reference.
//
// Texts that may hold references to secrets ("templates") are kept unsubstituted. Names of other sessions are absolute.
// Threads: immutable after parsing. Copies share explicit secret values.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "policy/diagnostics.h"
#include "policy/yaml_tree.h"

namespace casemate::policy {

enum class Version { kScone0_3, kScone0_3_10, kCasemate1 };

// An explicit secret value of a text. It has no comparison and no printing; wiped when the last copy goes.
class SecretText {
 public:
  explicit SecretText(std::string text) : text_(std::move(text)) {}
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;
  ~SecretText();
  std::string_view expose() const { return text_; }

 private:
  std::string text_;
};
using SharedSecretText = std::shared_ptr<const SecretText>;

// ---- who may do what ------------------------------------------------------------------------------------------------

enum class TermKind {
  kCreator,      // who uploaded the first version
  kAny,          // everybody
  kNone,         // nobody
  kKeyHash,      // a client whose key has this hash
  kCertificate,  // a client with this certificate
  kSigner,       // a signature of this key over the change
  kQuorum,       // at least k of the members
};

struct AccessTerm {
  TermKind kind = TermKind::kNone;
  // kKeyHash: the text; kCertificate: DER, kSigner: SubjectPublicKeyInfo, both as lower-case hex digits.
  std::string identity;
  unsigned at_least = 0;
  std::vector<AccessTerm> of;
  std::vector<AccessTerm> veto;
  std::uint64_t time_lock = 0;  // seconds
  Position where;
};

// Any one term suffices.
using AccessRule = std::vector<AccessTerm>;

struct AccessPolicy {
  std::optional<AccessRule> read, update, create_sessions, break_glass;
  Position where;
};

// The whole node is the value of a config-fragment secret.
struct FragmentReference {
  std::string secret;
  Position where;
};

// ---- security -------------------------------------------------------------------------------------------------------

enum class AttestationMode { kHardware, kNone, kMaa };

struct Security {
  AttestationMode mode = AttestationMode::kHardware;
  std::string maa_url;
  std::optional<std::uint64_t> maa_minimum_key_size;
  std::vector<std::string> tolerate;  // names of kTolerations (parse_security.cc), sorted
  bool ignore_all_advisories = false;
  std::vector<std::string> ignore_advisories;  // sorted
  std::vector<std::string> trusted_scone_quoting_keys;
  std::optional<std::string> one_time_password;     // template
  std::optional<std::string> service_access_token;  // template
  bool singleton = false;
  std::string scope;  // the session in whose text this stands: its templates name secrets of that one
  Position where, tolerate_where, one_time_password_where, token_where;

  bool tolerates(std::string_view what) const;
};

// ---- services -------------------------------------------------------------------------------------------------------

struct SignerIdentity {
  std::string mrsigner;  // 64 hex digits
  std::optional<std::uint32_t> product_id;
  std::optional<std::uint32_t> minimum_security_version;
};

// Everything that is given must hold; of the measurements, one.
struct AttestationAlternative {
  std::vector<std::string> measurements;  // 64 hex digits each
  std::optional<SignerIdentity> signer;
  Position where;
};

struct TdxNode {
  // 96 hex digits each, or "any" where the text says so.
  std::string mrtd, rtmr0, rtmr1, rtmr2, rtmr3;
  std::string mrseam;            // may be empty
  std::string attributes, xfam;  // 16 hex digits or empty
};

struct SnpNode {
  std::string measurement;  // 96 hex digits
  std::optional<std::uint64_t> guest_policy;
  unsigned vmpl = 0;
  std::map<std::string, unsigned> minimum_tcb;  // bootloader, tee, snp, microcode, fmc
};

struct NodeReferences {
  std::vector<TdxNode> tdx;
  std::vector<SnpNode> snp;
  Position where;
};

struct EnvironmentVariable {
  std::string name;
  std::string value;  // template; empty when passed through
  bool pass_through = false;
  Position where;
};

enum class RuleSide { kServer, kClient };
enum class PeerAuthentication { kUnset, kDisabled, kChain };

struct NetworkRule {
  RuleSide side = RuleSide::kServer;
  std::string name;
  bool is_protected = true;
  std::string endpoint;        // "TCP:8443", "TCP:redis:6379", "unix:/run/x"
  std::string destination_ip;  // client rules; "*" or an address
  std::string identity;        // template
  PeerAuthentication authentication = PeerAuthentication::kUnset;
  std::string peer_chain;               // template, kChain only
  std::vector<std::string> peer_names;  // "dns:NAME", "uri:URI"; empty: not given
  Position where;
};

enum class ShieldMode { kDisabled, kUnprotected, kProtected };

struct Network {
  std::optional<ShieldMode> mode;
  std::optional<bool> refuse_unsupported_protocols;
  std::vector<NetworkRule> rules;
};

// What SCONE's file system protection files need; Casemate keeps it and cannot use it.
struct SconeFileProtection {
  std::string path, tag, update_policy;
  SharedSecretText key;
  Position where;
  bool is_given() const { return where.line != 0; }
};

struct Service {
  std::string name;
  std::string image;  // may be empty
  Position where, image_where, command_where, tee_where;
  std::vector<std::string> command;  // templates; "@@3" inside a word is the host's third argument
  std::vector<AttestationAlternative> attestation;
  std::vector<std::string> platforms;  // hex digits
  std::vector<std::string> tee;        // sgx, tdx, snp; empty: sgx
  NodeReferences node;
  std::vector<EnvironmentVariable> environment;
  std::string pwd;
  Network network;                 // of `network` and of SCONE_NETWORK_SHIELD* variables
  std::vector<std::string> allow;  // tracing, core-dumps
  SconeFileProtection file_protection;
};

// ---- images and volumes ---------------------------------------------------------------------------------------------

struct Mount {
  std::string volume, path;
  Position where;
};

struct InjectedFile {
  std::string path;
  std::string content;  // template
  unsigned mode = 0400;
  Position where;
};

enum class RegionKind { kHost, kEphemeral, kAuthenticated };

struct Region {
  std::string path;
  RegionKind kind = RegionKind::kHost;
  std::string manifest;  // kAuthenticated: SHA-256 of the region's manifest, 64 hex digits
  bool executable = false;
  bool insecure_host_code = false;
  Position where;
};

struct FileDigest {
  std::string path;
  std::string sha256;  // 64 hex digits
  Position where;
};

struct Image {
  std::string name;
  std::vector<Mount> mounts;
  std::vector<InjectedFile> injected;
  std::vector<Region> regions;
  std::vector<FileDigest> files;
  Position where;
};

struct ExportTarget {
  enum class Kind { kSession, kNamespace } kind = Kind::kSession;
  std::string name;          // absolute
  std::string session_hash;  // 64 hex digits or empty: pins one version of the consumer
  Position where;
};

struct Import {
  std::string session;  // absolute
  std::string name;     // of the secret or volume there
  Position where;
};

enum class FreshnessMode { kStrict, kBounded, kLocal };
enum class OnCasLoss { kWait, kStop, kInsecureContinue };

struct Volume {
  std::string name;
  std::vector<ExportTarget> exports;
  std::optional<Import> import;
  std::optional<FreshnessMode> freshness;
  std::optional<std::uint64_t> freshness_bound;  // milliseconds; kBounded only
  std::optional<OnCasLoss> on_cas_loss;
  std::string root_tag;  // of a sealed volume: 64 hex digits or empty
  SconeFileProtection file_protection;
  Position where;
};

// ---- secrets --------------------------------------------------------------------------------------------------------

enum class SecretKind { kAscii, kBinary, kPrivateKey, kX509, kX509Ca, kPgpKey, kConfigFragment, kAadToken };

struct Secret {
  std::string name;
  SecretKind kind = SecretKind::kAscii;
  bool has_kind = false;   // an import takes the exporter's
  SharedSecretText value;  // template; null: generated or imported
  std::shared_ptr<const Node> fragment;
  std::optional<std::uint64_t> size;  // bytes
  std::string key_type;
  std::string private_key, issuer;  // names of other secrets
  std::string common_name;
  std::vector<std::string> alternative_names;  // "dns:records-db", "ip:10.0.0.1", "uri:spiffe://..."
  std::string endpoint;                        // client, server or empty (both)
  std::optional<std::uint64_t> valid_for;      // seconds
  std::vector<ExportTarget> exports;
  std::optional<Import> import;
  bool export_public = false;
  std::optional<bool> migrate;
  std::map<std::string, std::string> external;  // Azure's keys, as they stand
  std::vector<std::string> given;               // keys that the text has, for the checker
  Position where, value_where;

  // Whether a generated value outlives an update: `migrate`, or the version's default.
  bool survives_update(Version version) const { return migrate.value_or(version == Version::kCasemate1); }
  bool is_generated() const { return value == nullptr && !import && fragment == nullptr && external.empty(); }
};

std::string_view name_of(SecretKind kind);

// ---- all of it ------------------------------------------------------------------------------------------------------

struct Session {
  Version version = Version::kCasemate1;
  std::string name;
  std::optional<std::string> predecessor;  // 64 hex digits
  std::string commitment_salt;             // 64 hex digits or empty
  std::variant<AccessPolicy, FragmentReference> access_policy;
  std::variant<Security, FragmentReference> security;
  std::vector<Service> services;
  std::vector<Image> images;
  std::vector<Volume> volumes;
  std::vector<Secret> secrets;
  // Names of the imported secrets that `access_policy` and `security` were taken from, when they were: the canonical
  // form holds the names only, because what is behind them belongs to the exporter's version.
  std::string access_fragment, security_fragment;
  Position where, name_where, predecessor_where;

  const Secret* find_secret(std::string_view secret) const;
  const Volume* find_volume(std::string_view volume) const;
  const Image* find_image(std::string_view image) const;
  const Service* find_service(std::string_view service) const;

  // Null while they are fragments of another session: resolve_fragments() comes first.
  const AccessPolicy* access() const { return std::get_if<AccessPolicy>(&access_policy); }
  const Security* security_rules() const { return std::get_if<Security>(&security); }
};

std::string_view name_of(Version version);

}  // namespace casemate::policy
