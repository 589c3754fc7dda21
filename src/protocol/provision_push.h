// What the CAS says to a service that runs, without being asked, over the connection of its activation
// (docs/formats/provisioning.md, "Pushes"): injected files whose secrets changed, and that the session allows the
// service no longer.
//
// What a hostile peer can do here -> what we answer
//   lie in lengths and counts, append    -> refused, as in protocol/provision.h
//   repeat a push, or send an older one  -> generations never fall: whoever takes pushes drops those that do
//   send one that is for somebody else   -> it is sealed to the runtime key of the activation, together with its number
#pragma once

#include "protocol/provision.h"

namespace casemate::protocol {

inline constexpr std::string_view kPushPurpose = "casemate provision push v1";

// The newest contents of injected files, all that the service has. `sealed`: encode_files(), sealed to the runtime key
// with associated data push_binding(). `generation`: of what the contents are made of; never falls.
struct FilesPush {
  std::uint64_t generation = 0;
  Bytes sealed;
};
// The last message of a connection.
struct Revocation {
  std::string reference;  // as Refusal has it
};

Bytes encode(const FilesPush& message);
Bytes encode(const Revocation& message);
Bytes push_binding(const crypto::AgreementPublicKey& runtime_key, std::uint64_t generation);
Bytes encode_files(const std::vector<GrantedFile>& files);  // holds secrets: wipe it

// Errors of all: kFormat.
Result<FilesPush> decode_files_push(ByteView message);
Result<Revocation> decode_revocation(ByteView message);
Result<std::vector<GrantedFile>> decode_files(ByteView text);

}  // namespace casemate::protocol
