#include "keeper/provision/attester.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "protocol/las.h"

namespace casemate::keeper {
namespace {

using crypto::Bytes;
using crypto::ByteView;
using protocol::LasReply;

constexpr std::chrono::milliseconds kPatience{30'000};  // a quote of hardware takes seconds where it is busy
constexpr const char* kUnixPrefix = "unix:";

Error no_evidence(const std::string& why) { return Error(ErrorCategory::kSystem, "no evidence: " + why); }

// --- the LAS, as src/runtime/boot/attest.cc asks it

template <typename Message>
ByteView bytes_of(const Message& message) {
  return std::as_bytes(std::span(&message, 1));
}

Result<UniqueFd> connect_unix(std::string_view address, int type) {
  UniqueFd socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un name = {};
  if (!socket.is_open() || address.empty() || address.size() > sizeof(name.sun_path)) {
    return Error::from_errno("cannot make a socket", socket.is_open() ? ENAMETOOLONG : errno);
  }
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, address.data(), address.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) {
    return Error::from_errno("cannot connect", errno);
  }
  return socket;
}

Result<Bytes> exchange(int socket, ByteView message) {
  if (send(socket, message.data(), message.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(message.size())) {
    return no_evidence("cannot write to the attestation service");
  }
  Bytes answer(protocol::kLasMessageCapacity);
  const ssize_t got = recv(socket, answer.data(), answer.size(), 0);
  if (got <= 0) return no_evidence("the attestation service does not answer");
  answer.resize(static_cast<std::size_t>(got));
  return answer;
}

// The reply in `message`, when it is one.
Result<LasReply> reply_in(const Bytes& message) {
  LasReply reply;
  if (message.size() < sizeof(reply)) return no_evidence("the attestation service's answer is too short");
  std::memcpy(&reply, message.data(), sizeof(reply));
  if (reply.magic != protocol::kLasMagic || reply.version != protocol::kLasVersion) {
    return no_evidence("the attestation service speaks another language; are both of one version?");
  }
  if (reply.result != protocol::LasResult::kOk) {
    return no_evidence("the attestation service refused this process (result " +
                       std::to_string(static_cast<unsigned>(reply.result)) + ", reason " +
                       std::to_string(reply.reason) + "); its log says why");
  }
  return reply;
}

Result<Bytes> evidence_for(const std::string& las, ByteView bound) {
  Result<UniqueFd> connected = connect_unix(las, SOCK_SEQPACKET);
  if (!connected) return no_evidence("cannot reach the attestation service: " + connected.error().message());
  const int socket = connected.value().get();
  const timeval limit = {kPatience.count() / 1000, 0};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  const protocol::LasHello hello = {protocol::kLasMagic, protocol::kLasVersion, protocol::LasService::kEvidence};
  const Bytes challenged = CASEMATE_TRY(exchange(socket, bytes_of(hello)));
  protocol::LasChallenge challenge;
  if (challenged.size() != sizeof(challenge)) {
    if (auto reply = reply_in(challenged); !reply) return reply.error();
    return no_evidence("the attestation service's challenge has a wrong size");
  }
  std::memcpy(&challenge, challenged.data(), sizeof(challenge));
  protocol::LasRequest wanted = {};
  wanted.magic = protocol::kLasMagic;
  wanted.version = protocol::kLasVersion;
  wanted.purpose = protocol::LasPurpose::kProvision;
  wanted.nonce_size = static_cast<std::uint32_t>(bound.size());
  std::memcpy(wanted.nonce, bound.data(), std::min(bound.size(), sizeof(wanted.nonce)));
  std::memcpy(wanted.challenge, challenge.challenge, sizeof(wanted.challenge));
  const Bytes answer = CASEMATE_TRY(exchange(socket, bytes_of(wanted)));
  const LasReply reply = CASEMATE_TRY(reply_in(answer));
  if (reply.payload_size == 0 || reply.payload_size != answer.size() - sizeof(reply)) {
    return no_evidence("the attestation service's answer has a wrong size");
  }
  return Bytes(answer.begin() + sizeof(reply), answer.end());
}

// --- the CAS

Error no_cas(const std::string& address, const std::string& why) {
  return Error(ErrorCategory::kSystem, "cannot reach the CAS at " + address + ": " + why);
}

// "192.0.2.1:4321" or "[2001:db8::1]:4321": names are resolved by who starts us; here nothing asks the host.
Result<UniqueFd> connect_tcp(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon == std::string::npos ? 0 : colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const int port = colon == std::string::npos ? 0 : std::atoi(address.c_str() + colon + 1);
  if (port < 1 || port > 65535) return no_cas(address, "an address and a port are needed, such as 192.0.2.1:4321");
  sockaddr_in v4 = {};
  sockaddr_in6 v6 = {};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  v4.sin_port = v6.sin6_port = htons(static_cast<std::uint16_t>(port));
  const bool is_v4 = inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1;
  if (!is_v4 && inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) return no_cas(address, "not a numeric address");
  UniqueFd socket(::socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto* name = is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  const timeval limit = {10, 0};
  const int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  if (connect(socket.get(), name, is_v4 ? sizeof(v4) : sizeof(v6)) != 0) return no_cas(address, std::strerror(errno));
  return socket;
}

Result<UniqueFd> connect_to(const std::string& address) {
  if (!address.starts_with(kUnixPrefix)) return connect_tcp(address);
  Result<UniqueFd> socket = connect_unix(std::string_view(address).substr(std::strlen(kUnixPrefix)), SOCK_STREAM);
  if (!socket) return no_cas(address, socket.error().message());
  return socket;
}

Error refused(const protocol::StartRequest& request, const std::string& reference) {
  return Error(ErrorCategory::kUsage, "the CAS refused to start " + request.session + "/" + request.service +
                                          " (reference " + reference + "); its owner sees why");
}

}  // namespace

Result<Provisioned> provision(const protocol::StartRequest& request) {
  UniqueFd socket = CASEMATE_TRY(connect_to(request.cas));
  auto connected = crypto::TlsChannel::connect(std::move(socket), kPatience);
  if (!connected) return no_cas(request.cas, connected.error().message());
  auto kept = std::make_unique<crypto::TlsChannel>(std::move(connected).value());
  crypto::TlsChannel& channel = *kept;
  if (!request.cas_key_id.empty() && !crypto::equal(request.cas_key_id, channel.server_key_id())) {
    return no_cas(request.cas, "it has another key than --cas-key says: " + crypto::to_hex(channel.server_key_id()));
  }
  const Bytes first = CASEMATE_TRY(read_frame(channel, protocol::kProvisionMessageLimit));
  const protocol::Challenge challenge = CASEMATE_TRY(protocol::decode_challenge(first));
  const crypto::AgreementKey key = CASEMATE_TRY(crypto::AgreementKey::generate());
  protocol::ChannelFacts facts;
  facts.nonce = challenge.nonce;
  facts.exported = CASEMATE_TRY(channel.export_binding(protocol::kProvisionExporterLabel, challenge.nonce));
  facts.server_key_id = channel.server_key_id();
  const auto bound = protocol::bound_value(facts, key.public_key(), request.session, request.service);
  protocol::ProvisionRequest asked;
  asked.evidence = CASEMATE_TRY(evidence_for(request.las, bound));
  asked.runtime_key = key.public_key();
  asked.session = request.session;
  asked.service = request.service;
  asked.one_time_password = request.one_time_password;
  asked.host_arguments = request.arguments;
  asked.environment = request.environment;
  asked.resumed = request.resumed;
  if (auto sent = write_frame(channel, encode(asked)); !sent) return no_cas(request.cas, sent.error().message());
  const Bytes second = CASEMATE_TRY(read_frame(channel, protocol::kProvisionMessageLimit));
  const protocol::Answer answer = CASEMATE_TRY(protocol::decode_answer(second));
  if (!answer.is_granted) return refused(request, answer.refusal.reference);
  Bytes plain = CASEMATE_TRY(
      crypto::open_as_holder(key, protocol::kProvisionGrantPurpose, key.public_key(), answer.grant.sealed));
  Result<protocol::Configuration> configuration = protocol::decode_configuration(plain);
  crypto::wipe(plain);
  if (!configuration) return configuration.error();
  return Provisioned{std::move(kept), std::move(configuration).value(), answer.grant.receipt, key};
}

}  // namespace casemate::keeper
