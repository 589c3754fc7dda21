#include "las/conversation.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include "crypto/random.h"
#include "las/files.h"
#include "las/message_socket.h"

namespace casemate::las {
namespace {

using protocol::LasRefusal;
using protocol::LasResult;
using Received = MessageSocket::Received;

static_assert(static_cast<std::uint32_t>(protocol::LasPurpose::kRun) ==
              static_cast<std::uint32_t>(evidence::StatementPurpose::kRun));
static_assert(static_cast<std::uint32_t>(protocol::LasPurpose::kProvision) ==
              static_cast<std::uint32_t>(evidence::StatementPurpose::kProvision));

template <typename Message>
crypto::ByteView bytes_of(const Message& message) {
  return std::as_bytes(std::span(&message, 1));
}

constexpr const char* kReasons[] = {"nothing",
                                    "it ended meanwhile",
                                    "a message came from another process than the one that connected",
                                    "it lives in another user namespace",
                                    "it is traced",
                                    "a seccomp filter stands between it and the kernel",
                                    "it has several threads",
                                    "more than its executable is or was mapped: only a fresh runtime gets evidence",
                                    "its code in memory is not the file's",
                                    "others may write its executable, or the file system is not to be trusted",
                                    "its executable changed while it was measured",
                                    "its executable cannot be measured as a runtime",
                                    "it did not start with the runtime's group",
                                    "it may not be looked at",
                                    "it did not answer in time",
                                    "it is neither root nor the service's own user, or a program under the runtime",
                                    "its image was replaced between the looks",
                                    "its addresses are not randomized"};
constexpr const char* kResults[] = {"given",           "malformed message",           "refused", "asked again",
                                    "back end failed", "not served by this back end", "busy"};

class Conversation {
 public:
  Conversation(Service& service, int socket)
      : service_(service),
        descriptor_(socket),
        socket_(socket, std::chrono::steady_clock::now() + service.time_limit) {}

  Ending run() {
    protocol::LasHello hello = {};
    if (!receive(hello)) return finish();
    if (peer_user(descriptor_).has_value()) ending_.uid = *peer_user(descriptor_);
    using Serve = void (Conversation::*)();
    const std::pair<protocol::LasService, Serve> services[] = {
        {protocol::LasService::kEvidence, &Conversation::serve_evidence},
        {protocol::LasService::kStatus, &Conversation::serve_status},
        {protocol::LasService::kSgxTarget, &Conversation::serve_enclave}};
    const auto* const chosen =
        std::ranges::find(services, hello.service, &std::pair<protocol::LasService, Serve>::first);
    if (chosen == std::end(services)) {
      fail(LasResult::kMalformed);
    } else {
      (this->*chosen->second)();
    }
    return finish();
  }

 private:
  // Receives a message with the right size, header and (once a caller is held) sender. False: the ending is set.
  template <typename Message>
  bool receive(Message& message) {
    const auto [how, sender] = socket_.receive(std::as_writable_bytes(std::span(&message, 1)));
    if (how == Received::kTooLate) return refuse(LasRefusal::kTooSlow);
    if (how == Received::kClosed) return refuse(LasRefusal::kGone);
    if (caller_.pid() != 0 && sender != caller_.pid()) return refuse(LasRefusal::kOtherSender);
    if (how != Received::kComplete || message.magic != protocol::kLasMagic ||
        message.version != protocol::kLasVersion) {
      return fail(LasResult::kMalformed);
    }
    return true;
  }

  // Both return false, so that callers can pass it on.
  bool refuse(LasRefusal reason) {
    ending_.reason = reason;
    return fail(LasResult::kRefused);
  }
  bool fail(LasResult result) {
    ending_.result = result;
    return false;
  }

  // Answers with the failure, if there is one.
  Ending finish() {
    ending_.pid = caller_.pid();
    if (ending_.result == LasResult::kOk) return ending_;
    ++service_.counters.refused;
    const protocol::LasReply reply = {protocol::kLasMagic, protocol::kLasVersion, ending_.result, 0,
                                      static_cast<std::uint32_t>(ending_.reason)};
    if (ending_.reason != LasRefusal::kGone) static_cast<void>(socket_.send(bytes_of(reply), {}));
    return ending_;
  }

  bool answer(crypto::ByteView payload) {
    const protocol::LasReply reply = {protocol::kLasMagic, protocol::kLasVersion, LasResult::kOk,
                                      static_cast<std::uint32_t>(payload.size()), 0};
    return socket_.send(bytes_of(reply), payload) || refuse(LasRefusal::kGone);
  }

  bool look() {
    const LasRefusal reason = caller_.look();
    return reason == LasRefusal::kNone || refuse(reason);
  }

  // Early, so that nobody can make us work for a file that gets no evidence anyway.
  bool check_file() {
    const Result<FileFacts> facts = facts_of(caller_.executable());
    if (!facts.has_value()) return refuse(LasRefusal::kNotExecutable);
    return judge_file(facts.value(), geteuid()) != Trust::kRefused || refuse(LasRefusal::kFileNotTrusted);
  }

  bool challenge(protocol::LasRequest& request) {
    protocol::LasChallenge challenge = {protocol::kLasMagic, protocol::kLasVersion, 0, {}};
    if (!crypto::random_bytes(std::as_writable_bytes(std::span(challenge.challenge))).has_value()) {
      return fail(LasResult::kBackendFailed);
    }
    if (!socket_.send(bytes_of(challenge), {})) return refuse(LasRefusal::kGone);
    if (!receive(request)) return false;
    const bool known_purpose =
        request.purpose == protocol::LasPurpose::kRun || request.purpose == protocol::LasPurpose::kProvision;
    const bool valid = known_purpose && request.reserved == 0 && request.nonce_size >= 1 &&
                       request.nonce_size <= sizeof(request.nonce) &&
                       std::all_of(request.nonce + request.nonce_size, std::end(request.nonce),
                                   [](std::uint8_t octet) { return octet == 0; }) &&
                       std::memcmp(request.challenge, challenge.challenge, sizeof(challenge.challenge)) == 0;
    return valid || fail(LasResult::kMalformed);
  }

  // The order is the argument: look, challenge, request, sign, look again, send. docs/las.md.
  void serve_evidence() {
    if (service_.backend.issuer == nullptr) return static_cast<void>(fail(LasResult::kNotServed));
    const LasRefusal held = caller_.hold(descriptor_, service_.rules);
    if (held != LasRefusal::kNone) return static_cast<void>(refuse(held));
    protocol::LasRequest request = {};
    if (!look() || !check_file() || !challenge(request)) return;
    const MeasuredFiles::Outcome measured = service_.files.measure(caller_.executable());
    if (measured.refusal != LasRefusal::kNone) return static_cast<void>(refuse(measured.refusal));
    const Result<crypto::Bytes> evidence = issue(request, measured.measurement);
    if (!evidence.has_value()) {
      ending_.detail = evidence.error().message();
      return static_cast<void>(fail(LasResult::kBackendFailed));
    }
    if (!look()) return;
    if (!service_.served.add(caller_.pid(), caller_.start_time())) {
      return static_cast<void>(fail(LasResult::kAlreadyGiven));
    }
    if (answer(evidence.value())) ++service_.counters.given;
  }

  Result<crypto::Bytes> issue(const protocol::LasRequest& request, const evidence::Digest32& measurement) {
    Issuer::Subject subject = {static_cast<evidence::StatementPurpose>(request.purpose), evidence::kCallerInspected,
                               measurement, std::as_bytes(std::span(request.nonce)).first(request.nonce_size)};
    if (caller_.has_group()) subject.caller_checks |= evidence::kCallerSetGroup;
    if (caller_.is_hosted()) subject.caller_checks |= evidence::kCallerHosted;
    Result<crypto::Bytes> evidence = service_.backend.issuer->issue(subject);
    if (evidence.has_value() && evidence.value().size() > protocol::kLasPayloadCapacity) {
      return Error(ErrorCategory::kExhausted, "the hardware's quote is too long for an answer");
    }
    return evidence;
  }

  // Nothing here is secret, but no program under the runtime has business with us.
  bool may_see_status() {
    const std::optional<uid_t> user = peer_user(descriptor_);
    if (!user.has_value() || (*user != 0 && *user != geteuid())) return refuse(LasRefusal::kNotOwner);
    Caller asker;
    const LasRefusal held = asker.hold(descriptor_, CallerRules());
    const bool runtime = held == LasRefusal::kNone && service_.files.knows(asker.executable());
    return !runtime || refuse(LasRefusal::kNotOwner);
  }

  void serve_status() {
    if (!may_see_status()) return;
    protocol::LasStatus status = {};
    if (const Issuer* const issuer = service_.backend.issuer.get(); issuer != nullptr) {
      status.backend = static_cast<std::uint32_t>(issuer->backend());
      std::memcpy(status.key_id, issuer->key_id().data(), sizeof(status.key_id));
      const crypto::Bytes& point = issuer->public_key().raw();
      std::memcpy(status.public_key, point.data(), std::min(point.size(), sizeof(status.public_key)));
      status.node_issued_at = issuer->node_issued_at();
    }
    status.started_at = service_.started_at;
    status.given = service_.counters.given;
    status.refused = service_.counters.refused;
    status.measured_files = service_.files.measured_count();
    status.cached_files = service_.files.remembered_count();
    answer(bytes_of(status));
  }

  // An enclave's report proves itself: the quoting enclave checks its MAC. So any caller may bring one.
  void serve_enclave() {
    if (service_.backend.enclaves == nullptr) return static_cast<void>(fail(LasResult::kNotServed));
    if (!relay(service_.backend.enclaves->target_info())) return;
    protocol::LasReportRequest request = {};
    if (!receive(request)) return;
    if (relay(service_.backend.enclaves->quote(std::as_bytes(std::span(request.report))))) ++service_.counters.given;
  }

  bool relay(const Result<crypto::Bytes>& answered) {
    if (answered.has_value() && answered.value().size() <= protocol::kLasPayloadCapacity) {
      return answer(answered.value());
    }
    ending_.detail = answered.has_value() ? "aesmd's answer is too long" : answered.error().message();
    return fail(LasResult::kBackendFailed);
  }

  Service& service_;
  int descriptor_;
  MessageSocket socket_;
  Caller caller_;
  Ending ending_;
};

}  // namespace

bool Served::add(pid_t pid, std::uint64_t start_time) {
  const std::lock_guard lock(mutex_);
  if (start_times_.size() >= next_cleaning_) forget_ended();
  const auto [place, is_new] = start_times_.try_emplace(pid, start_time);
  if (is_new) return true;
  // The number of a process that ended may come again.
  const bool same = place->second == start_time;
  place->second = start_time;
  return !same;
}

void Served::forget_ended() {
  std::erase_if(start_times_, [](const auto& entry) { return kill(entry.first, 0) != 0 && errno == ESRCH; });
  next_cleaning_ = std::max<std::size_t>(1024, 2 * start_times_.size());
}

Ending converse(Service& service, int socket) { return Conversation(service, socket).run(); }

const char* describe(LasRefusal reason) {
  const auto index = static_cast<std::size_t>(reason);
  return index < std::size(kReasons) ? kReasons[index] : "unknown";
}

const char* describe(LasResult result) {
  const auto index = static_cast<std::size_t>(result);
  return index < std::size(kResults) ? kResults[index] : "unknown";
}

}  // namespace casemate::las
