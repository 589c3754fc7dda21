// What the runtime ("caller") and the local attestation service (LAS) say to each other. Plain data of fixed size, for
// the freestanding core and hosted code alike; little-endian, x86-64 only. docs/las.md explains why it is safe.
//
// A SOCK_SEQPACKET unix socket; one message each way per step, no descriptors:
//   evidence   caller: LasHello(kEvidence)   LAS looks at the caller, then: LasChallenge
//              caller: LasRequest with the same challenge   LAS looks again, then: LasReply + evidence; both close
//   status     caller: LasHello(kStatus)     LAS: LasReply + LasStatus
//   sgx        caller: LasHello(kSgxTarget)  LAS: LasReply + TARGETINFO (512 bytes)
//              caller: LasReportRequest      LAS: LasReply + DCAP quote
// A refusal is a LasReply with result != kOk at any step, without evidence.
//
// What a hostile peer can do here: a caller may be any process of the machine and send anything; the LAS checks every
// field, waits for a bounded time and never lets one caller hold up others. The LAS may be anybody's: the runtime takes
// its answer as opaque bytes for a verifier elsewhere and checks nothing but sizes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace casemate::protocol {

inline constexpr std::uint64_t kLasMagic = 0x3153414c6d736143;
inline constexpr std::uint32_t kLasVersion = 1;
inline constexpr std::size_t kLasNonceCapacity = 64;
inline constexpr std::size_t kLasChallengeSize = 32;
inline constexpr std::size_t kLasPayloadCapacity = 48 * 1024;  // of a reply, behind its header
inline constexpr std::size_t kLasAddressCapacity = 108;        // sun_path
inline constexpr std::size_t kSgxTargetInfoSize = 512;
inline constexpr std::size_t kSgxReportSize = 432;

enum class LasService : std::uint32_t { kEvidence = 1, kStatus = 2, kSgxTarget = 3 };

// The numbers of evidence/simulation.h, StatementPurpose.
enum class LasPurpose : std::uint32_t { kRun = 1, kProvision = 2 };

enum class LasResult : std::uint32_t {
  kOk = 0,
  kMalformed = 1,      // the message does not follow this header
  kRefused = 2,        // the caller is not what may have evidence; the LAS's log says why
  kAlreadyGiven = 3,   // this process has had its evidence
  kBackendFailed = 4,  // the hardware or its service gave nothing
  kNotServed = 5,      // this back end does not offer the service
  kBusy = 6,           // too many callers; try again
};

struct LasHello {
  std::uint64_t magic;
  std::uint32_t version;
  LasService service;
};

struct LasChallenge {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t reserved;
  std::uint8_t challenge[kLasChallengeSize];
};

struct LasRequest {
  std::uint64_t magic;
  std::uint32_t version;
  LasPurpose purpose;
  std::uint32_t nonce_size;  // 1 to kLasNonceCapacity; the rest of `nonce` is zero
  std::uint32_t reserved;
  std::uint8_t nonce[kLasNonceCapacity];
  std::uint8_t challenge[kLasChallengeSize];
};

struct LasReportRequest {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t reserved;
  std::uint8_t report[kSgxReportSize];
};

struct LasReply {
  std::uint64_t magic;
  std::uint32_t version;
  LasResult result;
  std::uint32_t payload_size;  // bytes behind this header in the same message
  std::uint32_t reason;        // of kRefused: LasRefusal
};

// Why a caller was refused. Told to it so that its user can act; nothing here helps a forger.
enum class LasRefusal : std::uint32_t {
  kNone = 0,
  kGone,            // the process ended or replaced itself meanwhile
  kOtherSender,     // a message came from another process than the one that connected
  kUserNamespace,   // the caller lives in another user namespace
  kTraced,          // somebody traces it
  kFiltered,        // a seccomp filter that the LAS does not share stands between it and the kernel
  kNotAlone,        // it has several threads
  kProgramMapped,   // more than the runtime is, or has been, mapped
  kCodeChanged,     // the runtime's code in memory is not the file's
  kFileNotTrusted,  // others could write the runtime's file, or its file system is not to be trusted
  kFileChanged,     // the runtime's file changed while it was measured
  kNotExecutable,   // the file cannot be measured as a runtime
  kGroup,           // it did not start with the runtime's group
  kUninspectable,   // the LAS may not look at it
  kTooSlow,         // it did not answer in time
  kNotOwner,        // only the LAS's own user and root may ask for its status
  kImageReplaced,   // the process image between the two looks is not the same
  kNotRandom,       // its addresses are not randomized, so a replaced image could look the same
};

struct LasStatus {
  std::uint32_t backend;  // LasBackend of evidence/simulation.h; 0: sgx
  std::uint32_t reserved;
  std::uint8_t key_id[32];
  std::uint8_t public_key[64];  // P-256, x || y
  std::uint64_t started_at;     // seconds since 1970
  std::uint64_t given, refused, measured_files, cached_files;
  std::uint64_t node_issued_at;  // of the hardware's quote; 0: none
};

inline constexpr std::size_t kLasMessageCapacity = sizeof(LasReply) + kLasPayloadCapacity;

}  // namespace casemate::protocol
