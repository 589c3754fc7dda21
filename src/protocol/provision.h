// What a starting service ("attester", in the keeper executable) and the CAS say to each other over one TLS channel
// (crypto/tls_channel.h). docs/formats/provisioning.md has the bytes and the argument; in short:
//   CAS       Challenge      a nonce that is used once, within ten seconds
//   attester  Request        evidence over bound_value() of this very channel, and what the host asks for
//   CAS       Grant | Refusal
//   attester  TagUpdate      any number: the newest state of a volume       CAS  TagAnswer
// An attester whose connection broke begins again, and names the activation that goes on.
// Messages are frames of at most kMessageLimit bytes; each is one deterministic CBOR array that begins with version and
// type. Decoders take exactly what encoders make. Errors of all decoders: kFormat.
//
// What a hostile peer can do here -> what we answer
//   lie in lengths and counts, nest, append         -> refused before anything is allocated for it
//   relay evidence, or use it twice                 -> it binds nonce, TLS channel, both keys and the service
//   (host) choose session, service, arguments       -> it may: they select and never authorise; they are in the request
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "crypto/bytes.h"
#include "crypto/hash.h"
#include "crypto/key_agreement.h"

namespace casemate::protocol {

using crypto::Bytes;
using crypto::ByteView;

inline constexpr std::uint64_t kProvisionVersion = 2;
inline constexpr std::size_t kProvisionMessageLimit = 8 * 1024 * 1024;
inline constexpr std::size_t kProvisionRequestLimit = 512 * 1024;  // before anybody has proved anything
inline constexpr std::size_t kProvisionNonceSize = 32;
inline constexpr std::string_view kProvisionExporterLabel = "EXPORTER-casemate-provision-v1";
inline constexpr std::string_view kProvisionGrantPurpose = "casemate provision grant v1";

// Words and values of a program: any bytes but NUL, which encoders do not check.
using Word = std::string;
struct Variable {
  std::string name;
  Word value;
};

struct Challenge {
  std::array<std::byte, kProvisionNonceSize> nonce{};
  std::string newest_head;  // a note (docs/formats/log.md): what the attester may remember
};

struct ProvisionRequest {
  Bytes evidence;
  crypto::AgreementPublicKey runtime_key{};  // the grant is sealed to it
  std::string session, service;
  std::string one_time_password;      // empty: none
  std::vector<Word> host_arguments;   // @@0, @@1, ...
  std::vector<Variable> environment;  // of the host's, for what the session passes through
  // Of an earlier activation, which goes on over a new connection; empty: a new one. See Configuration::holder.
  Bytes resumed;
};
inline constexpr std::size_t kProvisionHolderSize = 16;

struct GrantedFile {
  std::string path;
  std::uint32_t mode = 0400;
  Word content;
};

// Where a volume's newest state stands in its chain of commits (volume::Position).
struct VolumeTag {
  std::uint64_t epoch = 0, sequence = 0;
  std::array<std::byte, 16> chain_tag{};
  bool operator==(const VolumeTag&) const = default;
};

enum class VolumeFreshness : std::uint64_t { kStrict = 0, kBounded = 1, kLocal = 2 };
// What syncs of the volume do while the CAS is away.
enum class VolumeCasLoss : std::uint64_t { kWait = 0, kStop = 1, kInsecureContinue = 2 };

struct GrantedVolume {
  std::string name, path;
  std::array<std::byte, 32> key{};
  bool is_new = false;  // the CAS has no tag: the volume is made now
  VolumeTag tag;
  VolumeFreshness freshness = VolumeFreshness::kStrict;
  std::uint64_t bound_milliseconds = 0;
  VolumeCasLoss cas_loss = VolumeCasLoss::kWait;
};

enum class RegionProtection : std::uint64_t { kHost = 0, kEphemeral = 1, kAuthenticated = 2 };

struct GrantedRegion {
  std::string path;
  RegionProtection protection = RegionProtection::kHost;
  std::string manifest;  // kAuthenticated: its SHA-256, 64 hex digits
  bool insecure_host_code = false;
};

struct GrantedDigest {
  std::string path;
  std::string sha256;  // 64 hex digits
};

// A rule of the network shield, with everything that it names: no references, no files.
enum class RuleEnd : std::uint64_t { kServer = 0, kClient = 1 };

struct GrantedRule {
  RuleEnd end = RuleEnd::kServer;
  std::string name, endpoint, destination_ip;  // as a session has them
  bool is_protected = true;
  bool authenticates_peer = true;       // to `anchors`
  std::string identity;                 // PEM: private key and chain; clients may have none
  std::string anchors;                  // PEM
  std::vector<std::string> peer_names;  // "dns:NAME", "uri:URI"; empty: any
};

enum class NetworkMode : std::uint64_t { kOff = 0, kNamedOnly = 1, kDenyOthers = 2 };

struct GrantedNetwork {
  NetworkMode mode = NetworkMode::kOff;
  bool refuses_unsupported = false;  // UDP and others
  std::vector<GrantedRule> rules;
};

// Everything that a service runs with. Wiped when it goes.
struct Configuration {
  std::vector<Word> arguments;
  std::vector<Variable> environment;
  std::string working_directory;
  std::vector<GrantedFile> files;
  std::vector<GrantedVolume> volumes;
  std::vector<GrantedRegion> regions;
  std::vector<GrantedDigest> digests;
  GrantedNetwork network;
  bool allows_tracing = false, allows_core_dumps = false;
  // Names this activation to the CAS: whoever shows it, with evidence, goes on with it. kProvisionHolderSize bytes.
  Bytes holder;

  Configuration() = default;
  Configuration(Configuration&&) = default;
  Configuration& operator=(Configuration&&) = default;
  Configuration(const Configuration&) = delete;
  Configuration& operator=(const Configuration&) = delete;
  ~Configuration();
};

struct Grant {
  Bytes sealed;         // encode(Configuration), sealed to the runtime key (seal_to_holder, kProvisionGrantPurpose)
  std::string receipt;  // of the release in the transparency log; a file as docs/formats/log.md has it
};

// The reason is the owner's to see.
struct Refusal {
  std::string reference;  // 16 hex digits
};

struct TagUpdate {
  std::string volume;
  VolumeTag tag;
};
struct TagAnswer {
  bool accepted = false;
};

Bytes encode(const Challenge& message);
Bytes encode(const ProvisionRequest& message);
Bytes encode(const Configuration& configuration);  // holds secrets: wipe it
Bytes encode(const Grant& message);
Bytes encode(const Refusal& message);
Bytes encode(const TagUpdate& message);
Bytes encode(const TagAnswer& message);

Result<Challenge> decode_challenge(ByteView message);
Result<ProvisionRequest> decode_request(ByteView message);
Result<Configuration> decode_configuration(ByteView message);
Result<TagUpdate> decode_tag_update(ByteView message);
Result<TagAnswer> decode_tag_answer(ByteView message);

struct Answer {
  bool is_granted = false;
  Grant grant;
  Refusal refusal;
};
Result<Answer> decode_answer(ByteView message);

// What evidence must carry as its nonce.
struct ChannelFacts {
  std::array<std::byte, kProvisionNonceSize> nonce{};
  crypto::Sha256Digest exported{};       // TlsChannel::export_binding(kProvisionExporterLabel, nonce)
  crypto::Sha256Digest server_key_id{};  // as this end saw it
};
crypto::Sha512Digest bound_value(const ChannelFacts& channel, const crypto::AgreementPublicKey& runtime_key,
                                 std::string_view session, std::string_view service);

}  // namespace casemate::protocol
