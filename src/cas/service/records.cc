#include "cas/service/records.h"

#include <algorithm>

#include "cas/log/cbor.h"

namespace casemate::cas {
namespace {

constexpr std::uint64_t kFormat = 1;

Error malformed() {
  return Error(ErrorCategory::kFormat, "a row of the CAS has an unknown format; is it of a newer version?");
}

CborWriter begin(std::uint64_t fields) {
  CborWriter out;
  out.array(1 + fields);
  out.unsigned_number(kFormat);
  return out;
}

Result<CborReader> open(ByteView bytes, std::uint64_t fields) {
  CborReader in(bytes);
  if (CASEMATE_TRY(in.array(1 + fields)) != 1 + fields || CASEMATE_TRY(in.unsigned_number()) != kFormat) {
    return malformed();
  }
  return in;
}

template <std::size_t kSize>
Result<std::array<std::byte, kSize>> fixed(CborReader& in) {
  const ByteView found = CASEMATE_TRY(in.byte_string());
  std::array<std::byte, kSize> bytes{};
  if (found.size() != kSize) return malformed();
  std::ranges::copy(found, bytes.begin());
  return bytes;
}

}  // namespace

SecretValue encode_record(const SecretRecord& record) {
  CborWriter out = begin(5);
  out.unsigned_number(record.version);
  out.unsigned_number(record.kind);
  out.byte_string(record.value.expose());
  out.byte_string(record.second);
  out.unsigned_number(record.created);
  return SecretValue(out.take());
}

Result<SecretRecord> decode_secret_record(ByteView bytes) {
  CborReader in = CASEMATE_TRY(open(bytes, 5));
  SecretRecord record;
  record.version = CASEMATE_TRY(in.unsigned_number());
  record.kind = CASEMATE_TRY(in.unsigned_number());
  record.value = SecretValue::copy_of(CASEMATE_TRY(in.byte_string()));
  record.second = crypto::to_bytes(CASEMATE_TRY(in.byte_string()));
  record.created = CASEMATE_TRY(in.unsigned_number());
  if (auto finished = in.finish(); !finished) return finished.error();
  return record;
}

SecretValue encode_record(const VolumeRecord& record) {
  CborWriter out = begin(6);
  out.byte_string(record.key.expose());
  out.unsigned_number(record.has_position ? 1 : 0);
  out.unsigned_number(record.position.epoch);
  out.unsigned_number(record.position.sequence);
  out.byte_string(record.position.chain_tag);
  out.byte_string(record.holder);
  return SecretValue(out.take());
}

Result<VolumeRecord> decode_volume_record(ByteView bytes) {
  CborReader in = CASEMATE_TRY(open(bytes, 6));
  VolumeRecord record;
  record.key = SecretValue::copy_of(CASEMATE_TRY(in.byte_string()));
  record.has_position = CASEMATE_TRY(in.unsigned_number()) != 0;
  record.position.epoch = CASEMATE_TRY(in.unsigned_number());
  record.position.sequence = CASEMATE_TRY(in.unsigned_number());
  record.position.chain_tag = CASEMATE_TRY(fixed<16>(in));
  record.holder = crypto::to_bytes(CASEMATE_TRY(in.byte_string()));
  if (auto finished = in.finish(); !finished) return finished.error();
  if (record.key.size() != 32) return malformed();
  return record;
}

SecretValue encode_record(const OneTimeRecord& record) {
  CborWriter out = begin(3);
  for (const std::uint64_t number : {record.last_step, record.window, record.wrong_tries}) out.unsigned_number(number);
  return SecretValue(out.take());
}

Result<OneTimeRecord> decode_one_time_record(ByteView bytes) {
  CborReader in = CASEMATE_TRY(open(bytes, 3));
  OneTimeRecord record;
  for (std::uint64_t* const number : {&record.last_step, &record.window, &record.wrong_tries}) {
    *number = CASEMATE_TRY(in.unsigned_number());
  }
  if (auto finished = in.finish(); !finished) return finished.error();
  return record;
}

SecretValue encode_instance_record(ByteView holder) {
  CborWriter out = begin(1);
  out.byte_string(holder);
  return SecretValue(out.take());
}

Result<Bytes> decode_instance_record(ByteView bytes) {
  CborReader in = CASEMATE_TRY(open(bytes, 1));
  Bytes holder = crypto::to_bytes(CASEMATE_TRY(in.byte_string()));
  if (auto finished = in.finish(); !finished) return finished.error();
  return holder;
}

}  // namespace casemate::cas
