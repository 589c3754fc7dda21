// What the host asks a new service's keeper for: a memory file at kStartDescriptor. All of it is the host's choice and
// nothing of it is believed: it says where to ask and what to select. The CAS decides; evidence binds what was asked.
//
// What a hostile host can do here: anything. Wrong addresses, other services, odd arguments end in a refusal, or in a
// service that its session allows. Files that it names for the runtime, manifests and volumes are verified when used.
#pragma once

#include <string>
#include <vector>

#include "protocol/provision.h"

namespace casemate::protocol {

inline constexpr int kStartDescriptor = 3;         // a memory file with a StartRequest
inline constexpr int kRuntimeImageDescriptor = 4;  // casemate-runtime, open for reading
inline constexpr int kRejoinDescriptor = 4;        // instead, in a process for a new connection: a socket to its keeper
inline constexpr std::size_t kStartRequestLimit = 4 * 1024 * 1024;

struct StartRequest {
  std::string cas;   // "unix:/path" or "host:port" with a numeric address
  Bytes cas_key_id;  // 32 bytes: go on only with this server key; empty: any
  std::string las;   // sun_path of the LAS
  std::string session, service, one_time_password;
  std::vector<Word> arguments;
  std::vector<Variable> environment;
  std::string volumes;    // directory of the volumes' files
  std::string manifests;  // directory of manifests, by their digests
  std::string owner;      // socket of an embedded CAS, which explains refusals at once; empty: none
  bool is_quiet = false;
  Bytes resumed;  // of an activation whose connection broke; written by the keeper for itself, never by the host
};

Bytes encode(const StartRequest& request);
// Errors: kFormat.
Result<StartRequest> decode_start_request(ByteView bytes);

}  // namespace casemate::protocol
