#include "protocol/provision.h"

#include <algorithm>

#include "crypto/cbor.h"
#include "crypto/secret.h"
#include "protocol/start_request.h"

namespace casemate::protocol {
namespace {

using crypto::CborReader;
using crypto::CborWriter;

// Types are sent: never renumber.
enum class Type : std::uint64_t {
  kChallenge = 1,
  kRequest = 2,
  kConfiguration = 3,
  kGrant = 4,
  kRefusal = 5,
  kTagUpdate = 6,
  kTagAnswer = 7,
  kStart = 8
};

constexpr std::uint64_t kLongestList = 65'536;
constexpr std::size_t kNameLimit = 4096;

Error malformed(const char* what) { return Error(ErrorCategory::kFormat, std::string("provisioning: ") + what); }

// --- writing

CborWriter begin(Type type, std::uint64_t fields) {
  CborWriter out;
  out.array(2 + fields);
  out.unsigned_number(kProvisionVersion);
  out.unsigned_number(static_cast<std::uint64_t>(type));
  return out;
}

void put(CborWriter& out, std::string_view text) { out.byte_string(crypto::as_byte_view(text)); }
void put(CborWriter& out, bool flag) { out.unsigned_number(flag ? 1 : 0); }
void put(CborWriter& out, const Variable& variable) {
  out.array(2);
  put(out, std::string_view(variable.name));
  put(out, std::string_view(variable.value));
}
void put(CborWriter& out, const std::string& word) { put(out, std::string_view(word)); }
void put(CborWriter& out, const GrantedFile& file) {
  out.array(3);
  put(out, file.path);
  out.unsigned_number(file.mode);
  put(out, file.content);
}
void put(CborWriter& out, const VolumeTag& tag) {
  out.array(3);
  out.unsigned_number(tag.epoch);
  out.unsigned_number(tag.sequence);
  out.byte_string(tag.chain_tag);
}
void put(CborWriter& out, const GrantedVolume& volume) {
  out.array(8);
  put(out, volume.name);
  put(out, volume.path);
  out.byte_string(volume.key);
  put(out, volume.is_new);
  put(out, volume.tag);
  out.unsigned_number(static_cast<std::uint64_t>(volume.freshness));
  out.unsigned_number(volume.bound_milliseconds);
  out.unsigned_number(static_cast<std::uint64_t>(volume.cas_loss));
}
void put(CborWriter& out, const GrantedRegion& region) {
  out.array(4);
  put(out, region.path);
  out.unsigned_number(static_cast<std::uint64_t>(region.protection));
  put(out, region.manifest);
  put(out, region.insecure_host_code);
}
void put(CborWriter& out, const GrantedDigest& digest) {
  out.array(2);
  put(out, digest.path);
  put(out, digest.sha256);
}
void put(CborWriter& out, const GrantedRule& rule);
template <typename T>
void put(CborWriter& out, const std::vector<T>& list) {
  out.array(list.size());
  for (const T& element : list) put(out, element);
}
void put(CborWriter& out, const GrantedRule& rule) {
  out.array(9);
  out.unsigned_number(static_cast<std::uint64_t>(rule.end));
  for (const std::string* text : {&rule.name, &rule.endpoint, &rule.destination_ip}) put(out, *text);
  put(out, rule.is_protected);
  put(out, rule.authenticates_peer);
  put(out, rule.identity);
  put(out, rule.anchors);
  put(out, rule.peer_names);
}
void put(CborWriter& out, const GrantedNetwork& network) {
  out.array(3);
  out.unsigned_number(static_cast<std::uint64_t>(network.mode));
  put(out, network.refuses_unsupported);
  put(out, network.rules);
}

// --- reading

Result<CborReader> open(ByteView message, Type type, std::uint64_t fields) {
  CborReader in(message);
  if (CASEMATE_TRY(in.array(2 + fields)) != 2 + fields) return malformed("a message with missing fields");
  if (CASEMATE_TRY(in.unsigned_number()) != kProvisionVersion) {
    return malformed("the peer speaks another version of the protocol");
  }
  if (CASEMATE_TRY(in.unsigned_number()) != static_cast<std::uint64_t>(type)) {
    return malformed("another message was expected");
  }
  return in;
}

Result<void> take(CborReader& in, std::string& text) {
  text = crypto::as_text(CASEMATE_TRY(in.byte_string()));
  return {};
}
Result<void> take_name(CborReader& in, std::string& name) {
  const ByteView bytes = CASEMATE_TRY(in.byte_string());
  if (bytes.size() > kNameLimit) return malformed("a name is too long");
  name = crypto::as_text(bytes);
  if (name.find('\0') != std::string::npos) return malformed("a name contains NUL");
  return {};
}
Result<void> take(CborReader& in, bool& flag) {
  const std::uint64_t number = CASEMATE_TRY(in.unsigned_number());
  if (number > 1) return malformed("neither yes nor no");
  flag = number == 1;
  return {};
}
Result<void> take(CborReader& in, std::uint64_t& number) {
  number = CASEMATE_TRY(in.unsigned_number());
  return {};
}
template <std::size_t kSize>
Result<void> take(CborReader& in, std::array<std::byte, kSize>& bytes) {
  const ByteView found = CASEMATE_TRY(in.byte_string());
  if (found.size() != kSize) return malformed("a byte string has another size");
  std::ranges::copy(found, bytes.begin());
  return {};
}
enum class Missing { kRefused, kAllowed };
Result<void> take_holder(CborReader& in, Bytes& holder, Missing missing) {
  const ByteView found = CASEMATE_TRY(in.byte_string());
  const bool is_missing = found.empty() && missing == Missing::kAllowed;
  if (!is_missing && found.size() != kProvisionHolderSize) return malformed("an activation's name has another size");
  holder = crypto::to_bytes(found);
  return {};
}
template <typename Enumeration>
Result<void> take_choice(CborReader& in, Enumeration& choice, Enumeration last) {
  const std::uint64_t number = CASEMATE_TRY(in.unsigned_number());
  if (number > static_cast<std::uint64_t>(last)) return malformed("an unknown choice");
  choice = static_cast<Enumeration>(number);
  return {};
}

// Runs the steps in order, stops at the first error.
template <typename... Steps>
Result<void> all_of(Steps... steps) {
  Result<void> result;
  static_cast<void>(((result = steps(), result.has_value()) && ...));
  return result;
}
Result<void> expect_array(CborReader& in, std::uint64_t count) {
  if (CASEMATE_TRY(in.array(count)) != count) return malformed("a list with missing elements");
  return {};
}

Result<void> take(CborReader& in, Variable& variable) {
  return all_of([&] { return expect_array(in, 2); }, [&] { return take_name(in, variable.name); },
                [&] { return take(in, variable.value); });
}
Result<void> take(CborReader& in, GrantedFile& file) {
  std::uint64_t mode = 0;
  if (auto taken = all_of([&] { return expect_array(in, 3); }, [&] { return take_name(in, file.path); },
                          [&] { return take(in, mode); }, [&] { return take(in, file.content); });
      !taken) {
    return taken;
  }
  if (mode > 07777) return malformed("a file mode that does not exist");
  file.mode = static_cast<std::uint32_t>(mode);
  return {};
}
Result<void> take(CborReader& in, VolumeTag& tag) {
  return all_of([&] { return expect_array(in, 3); }, [&] { return take(in, tag.epoch); },
                [&] { return take(in, tag.sequence); }, [&] { return take(in, tag.chain_tag); });
}
Result<void> take(CborReader& in, GrantedVolume& volume) {
  return all_of([&] { return expect_array(in, 8); }, [&] { return take_name(in, volume.name); },
                [&] { return take_name(in, volume.path); }, [&] { return take(in, volume.key); },
                [&] { return take(in, volume.is_new); }, [&] { return take(in, volume.tag); },
                [&] { return take_choice(in, volume.freshness, VolumeFreshness::kLocal); },
                [&] { return take(in, volume.bound_milliseconds); },
                [&] { return take_choice(in, volume.cas_loss, VolumeCasLoss::kInsecureContinue); });
}
Result<void> take(CborReader& in, GrantedRegion& region) {
  return all_of([&] { return expect_array(in, 4); }, [&] { return take_name(in, region.path); },
                [&] { return take_choice(in, region.protection, RegionProtection::kAuthenticated); },
                [&] { return take_name(in, region.manifest); }, [&] { return take(in, region.insecure_host_code); });
}
Result<void> take(CborReader& in, GrantedDigest& digest) {
  return all_of([&] { return expect_array(in, 2); }, [&] { return take_name(in, digest.path); },
                [&] { return take_name(in, digest.sha256); });
}
Result<void> take(CborReader& in, GrantedRule& rule);
// Grows with what is there: a count alone allocates nothing.
template <typename T>
Result<void> take(CborReader& in, std::vector<T>& list) {
  const std::uint64_t count = CASEMATE_TRY(in.array(kLongestList));
  for (std::uint64_t i = 0; i < count; ++i) {
    list.emplace_back();
    if (auto taken = take(in, list.back()); !taken) return taken;
  }
  return {};
}

Result<void> take(CborReader& in, GrantedRule& rule) {
  return all_of([&] { return expect_array(in, 9); }, [&] { return take_choice(in, rule.end, RuleEnd::kClient); },
                [&] { return take_name(in, rule.name); }, [&] { return take_name(in, rule.endpoint); },
                [&] { return take_name(in, rule.destination_ip); }, [&] { return take(in, rule.is_protected); },
                [&] { return take(in, rule.authenticates_peer); }, [&] { return take(in, rule.identity); },
                [&] { return take(in, rule.anchors); }, [&] { return take(in, rule.peer_names); });
}
Result<void> take(CborReader& in, GrantedNetwork& network) {
  return all_of([&] { return expect_array(in, 3); },
                [&] { return take_choice(in, network.mode, NetworkMode::kDenyOthers); },
                [&] { return take(in, network.refuses_unsupported); }, [&] { return take(in, network.rules); });
}

void wipe_text(std::string& text) { crypto::wipe(std::as_writable_bytes(std::span(text))); }

}  // namespace

Configuration::~Configuration() {
  for (Word& word : arguments) wipe_text(word);
  for (Variable& variable : environment) wipe_text(variable.value);
  for (GrantedFile& file : files) wipe_text(file.content);
  for (GrantedVolume& volume : volumes) crypto::wipe(volume.key);
  for (GrantedRule& rule : network.rules) wipe_text(rule.identity);
  crypto::wipe(holder);
}

Bytes encode(const Challenge& message) {
  CborWriter out = begin(Type::kChallenge, 2);
  out.byte_string(message.nonce);
  put(out, message.newest_head);
  return out.take();
}

Bytes encode(const ProvisionRequest& message) {
  CborWriter out = begin(Type::kRequest, 8);
  out.byte_string(message.evidence);
  out.byte_string(message.runtime_key);
  for (const std::string* text : {&message.session, &message.service, &message.one_time_password}) put(out, *text);
  put(out, message.host_arguments);
  put(out, message.environment);
  out.byte_string(message.resumed);
  return out.take();
}

Bytes encode(const Configuration& configuration) {
  CborWriter out = begin(Type::kConfiguration, 11);
  put(out, configuration.arguments);
  put(out, configuration.environment);
  put(out, configuration.working_directory);
  put(out, configuration.files);
  put(out, configuration.volumes);
  put(out, configuration.regions);
  put(out, configuration.digests);
  put(out, configuration.network);
  put(out, configuration.allows_tracing);
  put(out, configuration.allows_core_dumps);
  out.byte_string(configuration.holder);
  return out.take();
}

Bytes encode(const Grant& message) {
  CborWriter out = begin(Type::kGrant, 2);
  out.byte_string(message.sealed);
  put(out, message.receipt);
  return out.take();
}

Bytes encode(const Refusal& message) {
  CborWriter out = begin(Type::kRefusal, 1);
  put(out, message.reference);
  return out.take();
}

Bytes encode(const TagUpdate& message) {
  CborWriter out = begin(Type::kTagUpdate, 2);
  put(out, message.volume);
  put(out, message.tag);
  return out.take();
}

Bytes encode(const TagAnswer& message) {
  CborWriter out = begin(Type::kTagAnswer, 1);
  put(out, message.accepted);
  return out.take();
}

Result<Challenge> decode_challenge(ByteView message) {
  Challenge decoded;
  CborReader in = CASEMATE_TRY(open(message, Type::kChallenge, 2));
  auto taken = all_of([&] { return take(in, decoded.nonce); }, [&] { return take(in, decoded.newest_head); },
                      [&] { return in.finish(); });
  if (!taken) return taken.error();
  return decoded;
}

Result<ProvisionRequest> decode_request(ByteView message) {
  ProvisionRequest decoded;
  CborReader in = CASEMATE_TRY(open(message, Type::kRequest, 8));
  decoded.evidence = crypto::to_bytes(CASEMATE_TRY(in.byte_string()));
  auto taken =
      all_of([&] { return take(in, decoded.runtime_key); }, [&] { return take_name(in, decoded.session); },
             [&] { return take_name(in, decoded.service); }, [&] { return take_name(in, decoded.one_time_password); },
             [&] { return take(in, decoded.host_arguments); }, [&] { return take(in, decoded.environment); },
             [&] { return take_holder(in, decoded.resumed, Missing::kAllowed); }, [&] { return in.finish(); });
  if (!taken) return taken.error();
  return decoded;
}

Result<Configuration> decode_configuration(ByteView message) {
  Configuration decoded;
  CborReader in = CASEMATE_TRY(open(message, Type::kConfiguration, 11));
  auto taken =
      all_of([&] { return take(in, decoded.arguments); }, [&] { return take(in, decoded.environment); },
             [&] { return take_name(in, decoded.working_directory); }, [&] { return take(in, decoded.files); },
             [&] { return take(in, decoded.volumes); }, [&] { return take(in, decoded.regions); },
             [&] { return take(in, decoded.digests); }, [&] { return take(in, decoded.network); },
             [&] { return take(in, decoded.allows_tracing); }, [&] { return take(in, decoded.allows_core_dumps); },
             [&] { return take_holder(in, decoded.holder, Missing::kRefused); }, [&] { return in.finish(); });
  if (!taken) return taken.error();
  return decoded;
}

Result<Answer> decode_answer(ByteView message) {
  Answer answer;
  Result<CborReader> granted = open(message, Type::kGrant, 2);
  answer.is_granted = granted.has_value();
  CborReader in = answer.is_granted ? std::move(granted).value() : CASEMATE_TRY(open(message, Type::kRefusal, 1));
  if (answer.is_granted) {
    answer.grant.sealed = crypto::to_bytes(CASEMATE_TRY(in.byte_string()));
    if (auto taken = take(in, answer.grant.receipt); !taken) return taken.error();
  } else if (auto taken = take_name(in, answer.refusal.reference); !taken) {
    return taken.error();
  }
  if (auto finished = in.finish(); !finished) return finished.error();
  return answer;
}

Result<TagUpdate> decode_tag_update(ByteView message) {
  TagUpdate decoded;
  CborReader in = CASEMATE_TRY(open(message, Type::kTagUpdate, 2));
  auto taken = all_of([&] { return take_name(in, decoded.volume); }, [&] { return take(in, decoded.tag); },
                      [&] { return in.finish(); });
  if (!taken) return taken.error();
  return decoded;
}

Result<TagAnswer> decode_tag_answer(ByteView message) {
  TagAnswer decoded;
  CborReader in = CASEMATE_TRY(open(message, Type::kTagAnswer, 1));
  auto taken = all_of([&] { return take(in, decoded.accepted); }, [&] { return in.finish(); });
  if (!taken) return taken.error();
  return decoded;
}

Bytes encode(const StartRequest& request) {
  CborWriter out = begin(Type::kStart, 13);
  put(out, request.cas);
  out.byte_string(request.cas_key_id);
  for (const std::string* text : {&request.las, &request.session, &request.service, &request.one_time_password}) {
    put(out, *text);
  }
  put(out, request.arguments);
  put(out, request.environment);
  put(out, request.volumes);
  put(out, request.manifests);
  put(out, request.owner);
  put(out, request.is_quiet);
  out.byte_string(request.resumed);
  return out.take();
}

Result<StartRequest> decode_start_request(ByteView bytes) {
  StartRequest decoded;
  CborReader in = CASEMATE_TRY(open(bytes, Type::kStart, 13));
  if (auto taken = take_name(in, decoded.cas); !taken) return taken.error();
  decoded.cas_key_id = crypto::to_bytes(CASEMATE_TRY(in.byte_string()));
  auto taken =
      all_of([&] { return take(in, decoded.las); }, [&] { return take_name(in, decoded.session); },
             [&] { return take_name(in, decoded.service); }, [&] { return take_name(in, decoded.one_time_password); },
             [&] { return take(in, decoded.arguments); }, [&] { return take(in, decoded.environment); },
             [&] { return take_name(in, decoded.volumes); }, [&] { return take_name(in, decoded.manifests); },
             [&] { return take_name(in, decoded.owner); }, [&] { return take(in, decoded.is_quiet); },
             [&] { return take_holder(in, decoded.resumed, Missing::kAllowed); }, [&] { return in.finish(); });
  if (!taken) return taken.error();
  return decoded;
}

crypto::Sha512Digest bound_value(const ChannelFacts& channel, const crypto::AgreementPublicKey& runtime_key,
                                 std::string_view session, std::string_view service) {
  CborWriter out = begin(Type::kRequest, 7);
  put(out, std::string_view("casemate provision binding"));
  out.byte_string(channel.nonce);
  out.byte_string(channel.exported);
  out.byte_string(channel.server_key_id);
  out.byte_string(crypto::sha256(runtime_key));
  put(out, session);
  put(out, service);
  return crypto::sha512(out.bytes());
}

}  // namespace casemate::protocol
