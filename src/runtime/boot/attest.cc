#include "runtime/boot/attest.h"

#include <elf.h>
#include <linux/un.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/line.h"
#include "runtime/intercept/process.h"

namespace casemate::runtime {
namespace {

inline constexpr int kExitRuntimeFailure = 125;
inline constexpr long kFamilyUnix = 1, kSequentialPackets = 5, kCloseOnExec = 02000000;
inline constexpr long kSocketLevel = 1, kReceiveTimeout = 20, kSendTimeout = 21, kNoSignal = 0x4000;
inline constexpr long kEagain = -11;
inline constexpr long kSetDumpable = 4;
inline constexpr std::int64_t kAttestSeconds = 30;  // a TDX quote takes seconds where the quoting service is busy

struct KernelTime {
  std::int64_t seconds, microseconds;
};

struct Reply {
  protocol::LasReply header;
  std::uint8_t payload[protocol::kLasPayloadCapacity];
};
constinit Reply g_reply = {};

[[noreturn]] void give_up(const char* what, long code) {
  Line line;
  line.text("no evidence: ").text(what);
  if (code != 0) line.text(" (errno ").number(-code).text(")");
  fail(line.c_str(), nullptr, kExitRuntimeFailure);
}

// In the order of LasResult and LasRefusal.
constexpr const char* kResults[] = {
    "",
    "the attestation service does not understand this runtime; are both of one version?",
    "the attestation service refused this process",
    "this process has had its evidence; start a new one",
    "the hardware or its service gave no quote; see the attestation service's log",
    "the attestation service's back end gives no evidence about processes",
    "the attestation service is busy; try again"};
constexpr const char* kReasons[] = {
    "see the attestation service's log",
    "it ended or was replaced meanwhile",
    "messages came from another process",
    "it runs in another user namespace than the attestation service",
    "it is traced; start it without the debugger",
    "a seccomp filter stands between it and the kernel",
    "it has several threads",
    "more than the runtime is or was mapped",
    "the runtime's code in memory was changed",
    "others may write the runtime's file, or its file system is not trusted; install it owned by root",
    "the runtime's file changed meanwhile",
    "its executable cannot be measured",
    "it did not start with the runtime's group; is casemate-runtime set-group-id, and its mount without nosuid?",
    "the attestation service may not look at it",
    "it was too slow",
    "only root and the service's own user may ask that",
    "its image was replaced meanwhile",
    "its addresses are not randomized; start it without `setarch -R`, with kernel.randomize_va_space=2"};

template <std::size_t kCount>
const char* text_of(const char* const (&table)[kCount], std::uint32_t number) {
  return number < kCount ? table[number] : "unknown answer";
}

void send_message(long socket, const void* message, std::size_t size) {
  const long sent = host_call(SYS_sendto, socket, reinterpret_cast<long>(message), static_cast<long>(size), kNoSignal);
  if (sent != static_cast<long>(size)) give_up("cannot write to the attestation service", is_error(sent) ? sent : 0);
}

// Whole messages only: the kernel cuts what does not fit, and no valid message is that long.
std::size_t receive_message(long socket, void* message, std::size_t capacity) {
  const long size = host_call(SYS_recvfrom, socket, reinterpret_cast<long>(message), static_cast<long>(capacity));
  if (size == kEagain) give_up("the attestation service does not answer", 0);
  if (size <= 0) give_up("the attestation service closed the connection", size);
  return static_cast<std::size_t>(size);
}

void check_header(std::uint64_t magic, std::uint32_t version) {
  if (magic != protocol::kLasMagic || version != protocol::kLasVersion) {
    give_up("the attestation service speaks another language; are both of one version?", 0);
  }
}

[[noreturn]] void report_refusal(const protocol::LasReply& reply) {
  Line line;
  line.text("no evidence: ").text(text_of(kResults, static_cast<std::uint32_t>(reply.result)));
  const char* reason = reply.result == protocol::LasResult::kRefused ? text_of(kReasons, reply.reason) : nullptr;
  fail(line.c_str(), reason, kExitRuntimeFailure);
}

long connect_to(const AttestLaunch& request) {
  const long socket = host_call(SYS_socket, kFamilyUnix, kSequentialPackets | kCloseOnExec, 0);
  if (is_error(socket)) give_up("cannot make a socket", socket);
  const KernelTime limit = {kAttestSeconds, 0};
  for (const long option : {kReceiveTimeout, kSendTimeout}) {
    host_call(SYS_setsockopt, socket, kSocketLevel, option, reinterpret_cast<long>(&limit), sizeof(limit));
  }
  sockaddr_un address{};
  address.sun_family = kFamilyUnix;
  __builtin_memcpy(address.sun_path, request.address, request.address_size);
  const long result = host_call(SYS_connect, socket, reinterpret_cast<long>(&address),
                                static_cast<long>(sizeof(address.sun_family) + request.address_size));
  if (result != 0) give_up("cannot reach the attestation service; is `casemate las serve` running?", result);
  return socket;
}

// The LAS looks at this process between hello and challenge, and again behind the request.
std::size_t converse(long socket, const AttestLaunch& request) {
  using namespace protocol;
  const LasHello hello = {kLasMagic, kLasVersion, LasService::kEvidence};
  send_message(socket, &hello, sizeof(hello));
  std::size_t size = receive_message(socket, &g_reply, sizeof(g_reply));
  if (size == sizeof(LasReply)) {
    check_header(g_reply.header.magic, g_reply.header.version);
    report_refusal(g_reply.header);
  }
  if (size != sizeof(LasChallenge)) give_up("the attestation service's challenge has a wrong size", 0);
  LasChallenge challenge;
  __builtin_memcpy(&challenge, &g_reply, sizeof(challenge));
  check_header(challenge.magic, challenge.version);
  LasRequest wanted = {kLasMagic, kLasVersion, request.purpose, request.nonce_size, 0, {}, {}};
  __builtin_memcpy(wanted.nonce, request.nonce, request.nonce_size);
  __builtin_memcpy(wanted.challenge, challenge.challenge, sizeof(wanted.challenge));
  send_message(socket, &wanted, sizeof(wanted));
  size = receive_message(socket, &g_reply, sizeof(g_reply));
  if (size < sizeof(LasReply)) give_up("the attestation service's answer is too short", 0);
  check_header(g_reply.header.magic, g_reply.header.version);
  if (g_reply.header.result != LasResult::kOk) report_refusal(g_reply.header);
  if (g_reply.header.payload_size != size - sizeof(LasReply) || g_reply.header.payload_size == 0) {
    give_up("the attestation service's answer has a wrong size", 0);
  }
  return g_reply.header.payload_size;
}

void write_evidence(int fd, std::size_t size) {
  for (std::size_t done = 0; done < size;) {
    const long written =
        host_call(SYS_write, fd, reinterpret_cast<long>(g_reply.payload + done), static_cast<long>(size - done));
    if (written <= 0) give_up("cannot write it to the file that --evidence names", written);
    done += static_cast<std::size_t>(written);
  }
}

void obtain_evidence(const AttestLaunch& request) {
  if (request.address_size == 0) return;
  const bool valid = request.address_size <= sizeof(request.address) && request.evidence_fd >= 0 &&
                     request.nonce_size >= 1 && request.nonce_size <= sizeof(request.nonce);
  if (!valid) give_up("the request for it is malformed", 0);
  const long socket = connect_to(request);
  const std::size_t size = converse(socket, request);
  host_call(SYS_close, socket);
  write_evidence(request.evidence_fd, size);
  host_call(SYS_close, request.evidence_fd);
}

Elf64_auxv_t* find_auxiliary(const InitialStack& stack, std::uint64_t type) {
  Elf64_auxv_t* entry = stack.auxv;
  while (entry->a_type != AT_NULL && entry->a_type != type) ++entry;
  return entry->a_type == type ? entry : nullptr;
}

std::uint64_t auxiliary_value(const InitialStack& stack, std::uint64_t type) {
  const Elf64_auxv_t* entry = find_auxiliary(stack, type);
  return entry != nullptr ? entry->a_un.a_val : 0;
}

enum class Group { kUnchanged, kGivenUp };

// The real group never changed; the saved one must go with the effective one.
Group give_up_group(const InitialStack& stack, std::uint64_t wanted) {
  Elf64_auxv_t* const effective = find_auxiliary(stack, AT_EGID);
  if (effective == nullptr || effective->a_un.a_val == wanted) return Group::kUnchanged;
  const auto group = static_cast<long>(wanted);
  if (host_call(SYS_setresgid, -1, group, group) != 0) {
    fail("cannot give up the runtime's own group", nullptr, kExitRuntimeFailure);
  }
  effective->a_un.a_val = wanted;
  if (Elf64_auxv_t* const secure = find_auxiliary(stack, AT_SECURE); secure != nullptr) {
    // As the kernel decides for an executable without set-id bits.
    secure->a_un.a_val = auxiliary_value(stack, AT_EGID) != auxiliary_value(stack, AT_GID) ||
                         auxiliary_value(stack, AT_EUID) != auxiliary_value(stack, AT_UID);
  }
  return Group::kGivenUp;
}

}  // namespace

void prove_identity(const LaunchState& state, const InitialStack& stack) {
  obtain_evidence(state.attest);
  const Group group = give_up_group(stack, state.effective_group);
  const bool sealed = (state.flags & kLaunchSealed) != 0;
  if (sealed || group == Group::kGivenUp) host_call(SYS_prctl, kSetDumpable, sealed ? 0 : 1);
}

}  // namespace casemate::runtime
