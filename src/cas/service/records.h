// What activations keep in the store besides sessions: generated secrets and volumes. Deterministic CBOR:
//
//   SecretRecord = [1, version u, kind u (policy::SecretKind), value b, second value b, created ms u]
//   VolumeRecord = [1, key b32, has position u, epoch u, sequence u, chain tag b16, holder b]
//   OneTimeRecord = [1, last step u, step of the wrong tries u, wrong tries u]
//   instance = [1, holder b]
//
// Rows are sealed and authentic when they come from the store, so decoders only guard against defects. Errors: kFormat.
#pragma once

#include <array>
#include <cstdint>

#include "cas/store/store.h"
#include "protocol/provision.h"

namespace casemate::cas {

// A generated secret.
struct SecretRecord {
  std::uint64_t version = 1;
  std::uint64_t kind = 0;  // policy::SecretKind
  SecretValue value;       // bytes; PKCS#8 in DER for keys
  Bytes second;            // keys: SubjectPublicKeyInfo; certificates: DER
  std::uint64_t created = 0;
};

struct VolumeRecord {
  SecretValue key;  // 32 bytes
  bool has_position = false;
  protocol::VolumeTag position;
  Bytes holder;  // of the newest activation: whoever else reports tags was replaced
};

// What was used of a shared secret for one-time passwords.
struct OneTimeRecord {
  std::uint64_t last_step = 0;  // of the newest password that was accepted; it and older ones count no more
  std::uint64_t window = 0;     // the step in which wrong_tries were made
  std::uint64_t wrong_tries = 0;
};

SecretValue encode_record(const SecretRecord& record);
SecretValue encode_record(const VolumeRecord& record);
SecretValue encode_record(const OneTimeRecord& record);
SecretValue encode_instance_record(ByteView holder);
Result<OneTimeRecord> decode_one_time_record(ByteView bytes);
Result<Bytes> decode_instance_record(ByteView bytes);
Result<SecretRecord> decode_secret_record(ByteView bytes);
Result<VolumeRecord> decode_volume_record(ByteView bytes);

}  // namespace casemate::cas
