// The counter in the NV memory of a TPM 2.0 (TCG, "TPM 2.0 Library", parts 2 and 3). It counts up only, survives loss
// of power, and when it is deleted and made again it begins above everything that any counter of this TPM ever had.
//
// Commands are written and read here: five of them, with an empty password, are less than a library that a static
// executable could not have.
//
// What a hostile host can do here -> what we answer
//  - count up, or delete the counter          -> the store is then behind, or the counter is missing: refused, and the
//                                                owner decides; nobody can make an older store look like the newest
//  - answer in the TPM's place (bus, device)  -> not noticed: answers are not authenticated. docs/cas.md says so
//  - answer with garbage, or never            -> sizes are checked; after kPatience it is an error
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <vector>

#include "base/unique_fd.h"
#include "cas/store/anchor.h"
#include "crypto/bytes.h"

namespace casemate::cas {
namespace {

using crypto::Bytes;
using crypto::ByteView;

enum class Command : std::uint32_t {
  kNvDefineSpace = 0x12A,
  kNvIncrement = 0x134,
  kNvRead = 0x14E,
  kNvReadPublic = 0x169,
};

constexpr std::uint16_t kTagNoSessions = 0x8001, kTagSessions = 0x8002;
constexpr std::uint32_t kOwnerHierarchy = 0x40000001, kPasswordSession = 0x40000009;
constexpr std::uint16_t kSha256 = 0x000B;
// TPMA_NV: AUTHWRITE, counter, OWNERREAD, AUTHREAD, NO_DA; what is there later may have WRITTEN, too.
constexpr std::uint32_t kAttributes = 0x4 | 0x10 | 0x20000 | 0x40000 | 0x2000000, kWritten = 0x20000000;
constexpr std::uint32_t kNoSuchHandle = 0x18B, kNvUninitialized = 0x14A, kAuthorizationFailed = 0x98E, kBadAuth = 0x9A2;
constexpr std::size_t kLongestResponse = 4096, kHeaderSize = 10, kCounterSize = 8;
constexpr int kPatienceMs = 30'000;  // chips take up to a second for NV memory
// How far a counter is counted up at once, which happens when the TPM is not the one that the store was anchored in.
constexpr std::uint64_t kMostSteps = 5'000;

class Writer {
 public:
  template <typename Number>
  Writer& number(Number value) {
    for (unsigned shift = 8 * sizeof(value); shift > 0; shift -= 8) {
      bytes_.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (shift - 8)));
    }
    return *this;
  }
  Writer& bytes(ByteView more) {
    crypto::append(bytes_, more);
    return *this;
  }
  const Bytes& get() const { return bytes_; }

 private:
  Bytes bytes_;
};

// Numbers from the front; reading beyond the end gives zeros and is remembered.
class Reader {
 public:
  explicit Reader(ByteView bytes) : bytes_(bytes) {}
  template <typename Number>
  Number number() {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i) value = value << 8 | next();
    return static_cast<Number>(value);
  }
  bool is_complete() const { return !is_short_; }

 private:
  std::uint64_t next() {
    is_short_ |= bytes_.empty();
    if (bytes_.empty()) return 0;
    const auto value = std::to_integer<std::uint64_t>(bytes_.front());
    bytes_ = bytes_.subspan(1);
    return value;
  }
  ByteView bytes_;
  bool is_short_ = false;
};

struct Response {
  std::uint32_t code = 0;
  Bytes parameters;
};

class TpmAnchor final : public FreshnessAnchor {
 public:
  explicit TpmAnchor(const TpmAnchorOptions& options) : options_(options) {}

  const char* kind() const override { return "tpm"; }
  const char* promise() const override {
    return "a TPM's counter: whoever has disks and files cannot set it back; who answers in the TPM's place can";
  }

  Result<std::uint64_t> read() override {
    if (auto there = require_counter(); !there) return there.error();
    for (int tries = 0; tries < 2; ++tries) {
      Writer parameters;
      parameters.number(std::uint16_t{kCounterSize}).number(std::uint16_t{0});
      const Response response =
          CASEMATE_TRY(call(Command::kNvRead, {options_.index, options_.index}, parameters.get()));
      if (response.code == kNvUninitialized && tries == 0) {
        if (auto counted = increment(); !counted) return counted.error();
        continue;
      }
      if (response.code != 0) return failure("cannot read the counter", response.code);
      Reader in(response.parameters);
      in.number<std::uint32_t>();  // size of the parameters
      const auto size = in.number<std::uint16_t>();
      const auto value = in.number<std::uint64_t>();
      if (size != kCounterSize || !in.is_complete()) return malformed();
      return value;
    }
    return malformed();
  }

  Result<void> advance(std::uint64_t value) override {
    const std::uint64_t now = CASEMATE_TRY(read());
    if (value - now > kMostSteps) {
      return Error(ErrorCategory::kUsage, where() + ": its counter stands at " + std::to_string(now) +
                                              " and would have " + "to be counted up to " + std::to_string(value) +
                                              ", which wears the chip out: use another --anchor for this store");
    }
    for (std::uint64_t step = now; step < value; ++step) {
      if (auto counted = increment(); !counted) return counted;
    }
    return {};
  }

 private:
  std::string where() const { return "the TPM at " + options_.device; }
  Error failure(const std::string& what, std::uint32_t code) const {
    char digits[16];
    std::snprintf(digits, sizeof(digits), "0x%03x", code);
    const bool is_locked = code == kAuthorizationFailed || code == kBadAuth;
    return Error(ErrorCategory::kSystem, where() + ": " + what + " (TPM code " + digits + ")" +
                                             (is_locked ? "; the owner hierarchy has a password: define the counter "
                                                          "beforehand, docs/cas.md says how"
                                                        : ""));
  }
  Error malformed() const {
    return Error(ErrorCategory::kFormat, where() + ": its answer is no answer to what was asked");
  }

  // The counter is there and is one; or it is made, where the caller allows that.
  Result<void> require_counter() {
    if (is_known_) return {};
    Response response = CASEMATE_TRY(call(Command::kNvReadPublic, {options_.index}, std::nullopt));
    if (response.code == kNoSuchHandle && options_.if_missing == TpmCounter::kMake) {
      if (auto defined = define(); !defined) return defined;
      response = CASEMATE_TRY(call(Command::kNvReadPublic, {options_.index}, std::nullopt));
    }
    if (response.code == kNoSuchHandle) {
      return Error(ErrorCategory::kUsage,
                   where() +
                       " has no counter for this store: it was cleared, or is another TPM than the one that the "
                       "store was anchored in, so nothing says whether the store is the newest. If the owner moved "
                       "or cleared it: `casemate cas restore --accept` with the same --anchor makes a counter, and "
                       "begins a new epoch of the log",
                   ENOENT);
    }
    if (response.code != 0) return failure("cannot look at the counter", response.code);
    Reader in(response.parameters);
    const auto size = in.number<std::uint16_t>();
    const auto index = in.number<std::uint32_t>();
    in.number<std::uint16_t>();  // name algorithm
    const auto attributes = in.number<std::uint32_t>();
    if (size < 12 || index != options_.index || !in.is_complete()) return malformed();
    if ((attributes & ~kWritten) != kAttributes) {
      return Error(
          ErrorCategory::kUsage,
          where() + ": what it has at this index is no counter of a CAS; choose another index: tpm:DEVICE@INDEX");
    }
    is_known_ = true;
    return {};
  }

  Result<void> define() {
    Writer counter;  // TPMS_NV_PUBLIC
    counter.number(options_.index)
        .number(kSha256)
        .number(kAttributes)
        .number(std::uint16_t{0})
        .number(std::uint16_t{kCounterSize});
    Writer parameters;
    parameters.number(
        std::uint16_t{0});  // empty password: who may use the TPM may count up, which refuses service only
    parameters.number(static_cast<std::uint16_t>(counter.get().size())).bytes(counter.get());
    const Response response = CASEMATE_TRY(call(Command::kNvDefineSpace, {kOwnerHierarchy}, parameters.get()));
    if (response.code != 0) return failure("cannot make a counter", response.code);
    return increment();  // the first one gives it a value
  }

  Result<void> increment() {
    const Response response = CASEMATE_TRY(call(Command::kNvIncrement, {options_.index, options_.index}, Bytes()));
    if (response.code != 0) return failure("cannot count up", response.code);
    return {};
  }

  // `parameters`: absent for commands without authorization.
  Result<Response> call(Command command, const std::vector<std::uint32_t>& handles,
                        const std::optional<Bytes>& parameters) {
    Writer body;
    for (const std::uint32_t handle : handles) body.number(handle);
    if (parameters) {
      // One session: the empty password. Size of this area, handle, no nonce, no attributes, no password.
      body.number(std::uint32_t{9})
          .number(kPasswordSession)
          .number(std::uint16_t{0})
          .number(std::uint8_t{0})
          .number(std::uint16_t{0});
      body.bytes(*parameters);
    }
    Writer message;
    message.number(parameters ? kTagSessions : kTagNoSessions);
    message.number(static_cast<std::uint32_t>(kHeaderSize + body.get().size()))
        .number(static_cast<std::uint32_t>(command));
    message.bytes(body.get());
    const UniqueFd device = CASEMATE_TRY(open_device());
    if (::write(device.get(), message.get().data(), message.get().size()) !=
        static_cast<ssize_t>(message.get().size())) {
      return Error::from_errno(where() + " takes no command", errno);
    }
    const Bytes answer = CASEMATE_TRY(read_answer(device.get()));
    Reader in(answer);
    in.number<std::uint16_t>();
    const auto size = in.number<std::uint32_t>();
    Response response;
    response.code = in.number<std::uint32_t>();
    if (!in.is_complete() || size != answer.size()) return malformed();
    response.parameters.assign(answer.begin() + kHeaderSize, answer.end());
    return response;
  }

  Result<Bytes> read_answer(int device) const {
    Bytes answer;
    std::size_t expected = kHeaderSize;
    while (answer.size() < expected) {
      pollfd waiting = {device, POLLIN, 0};
      const int ready = ::poll(&waiting, 1, kPatienceMs);
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) return Error::from_errno(where() + " does not answer", ready == 0 ? ETIMEDOUT : errno);
      std::byte part[kLongestResponse];
      const ssize_t got = ::read(device, part, sizeof(part));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return Error::from_errno(where() + " does not answer", got == 0 ? EIO : errno);
      answer.insert(answer.end(), part, part + got);
      if (answer.size() < kHeaderSize) continue;
      Reader in(answer);
      in.number<std::uint16_t>();
      expected = in.number<std::uint32_t>();
      if (expected < kHeaderSize || expected > kLongestResponse) return malformed();
    }
    return answer;
  }

  // A character device of the kernel, or the socket of a TPM in software.
  Result<UniqueFd> open_device() const {
    struct stat status = {};
    if (::stat(options_.device.c_str(), &status) != 0) return Error::from_errno(where(), errno);
    if (!S_ISSOCK(status.st_mode)) {
      UniqueFd device(::open(options_.device.c_str(), O_RDWR | O_CLOEXEC));
      if (!device.is_open()) return Error::from_errno(where(), errno);
      return device;
    }
    sockaddr_un name = {};
    name.sun_family = AF_UNIX;
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (options_.device.size() >= sizeof(name.sun_path)) return Error::from_errno(where(), ENAMETOOLONG);
    std::memcpy(name.sun_path, options_.device.data(), options_.device.size());
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0) {
      return Error::from_errno(where(), errno);
    }
    return socket;
  }

  const TpmAnchorOptions options_;
  bool is_known_ = false;
};

}  // namespace

std::unique_ptr<FreshnessAnchor> make_tpm_anchor(const TpmAnchorOptions& options) {
  return std::make_unique<TpmAnchor>(options);
}

}  // namespace casemate::cas
