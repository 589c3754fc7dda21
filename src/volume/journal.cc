#include "volume/journal.h"

#include <algorithm>
#include <cstring>

#include "volume/check.h"
#include "volume/errors.h"

namespace casemate::volume {
namespace {

constexpr std::uint32_t kRecordMagic = 0x524a5343;  // "CSJR"
constexpr std::size_t kTagPlace = 48;

using HeaderBytes = std::array<std::byte, kRecordHeaderSize>;

HeaderBytes encode(const RecordHeader& header) {
  HeaderBytes bytes{};
  store_number(&bytes[0], kRecordMagic);
  store_number(&bytes[4], header.payload_size);
  store_number(&bytes[8], header.epoch);
  store_number(&bytes[16], header.sequence);
  store_number(&bytes[24], header.durable_sequence);
  std::memcpy(&bytes[32], header.previous_tag.data(), header.previous_tag.size());
  std::memcpy(&bytes[kTagPlace], header.tag.data(), header.tag.size());
  return bytes;
}

std::optional<RecordHeader> decode(const std::byte* bytes) {
  if (load_number<std::uint32_t>(bytes) != kRecordMagic) return std::nullopt;
  RecordHeader header;
  header.payload_size = load_number<std::uint32_t>(bytes + 4);
  header.epoch = load_number<std::uint32_t>(bytes + 8);
  header.sequence = load_number<std::uint64_t>(bytes + 16);
  header.durable_sequence = load_number<std::uint64_t>(bytes + 24);
  std::memcpy(header.previous_tag.data(), bytes + 32, header.previous_tag.size());
  std::memcpy(header.tag.data(), bytes + kTagPlace, header.tag.size());
  return header;
}

// What the tag covers besides the payload.
ByteView associated(const HeaderBytes& bytes) { return std::span(bytes).first(kTagPlace); }

}  // namespace

std::uint64_t record_size(std::size_t payload_size) {
  return (kRecordHeaderSize + payload_size + kUnitSize - 1) / kUnitSize * kUnitSize;
}

Result<std::unique_ptr<Record>> Journal::read_at(std::uint64_t place, const Position& previous) const {
  HeaderBytes raw;
  VOLUME_CHECK(store_.read(offset_of(place), raw));
  const std::optional<RecordHeader> header = decode(raw.data());
  if (!header || header->sequence != previous.sequence + 1 || header->previous_tag != previous.chain_tag) {
    return std::unique_ptr<Record>();
  }
  const std::uint64_t size = record_size(header->payload_size);
  if (size > maximum_record() || place % size_ + size > size_) return std::unique_ptr<Record>();
  const Result<const crypto::Aes256Gcm*> cipher = keyring_.cipher(header->epoch);
  if (!cipher) return std::unique_ptr<Record>();
  auto record = std::make_unique<Record>(Record{*header, Bytes(header->payload_size), place, place + size});
  VOLUME_CHECK(store_.read(offset_of(place) + kRecordHeaderSize, record->payload));
  const HeaderBytes covered = encode(*header);
  if (!cipher.value()->open(nonce_for(Domain::kRecord, header->sequence), associated(covered), record->payload,
                            header->tag, record->payload)) {
    return std::unique_ptr<Record>();
  }
  return record;
}

Result<std::unique_ptr<Record>> Journal::read(std::uint64_t place, const Position& previous) const {
  std::unique_ptr<Record> here = CASEMATE_TRY(read_at(place, previous));
  if (here != nullptr || place % size_ == 0) return here;
  return read_at(place + size_ - place % size_, previous);
}

Result<bool> Journal::opens(const RecordHeader& header, std::uint64_t offset) const {
  const std::uint64_t size = record_size(header.payload_size);
  if (size > maximum_record() || offset + size > size_) return false;
  const Result<const crypto::Aes256Gcm*> cipher = keyring_.cipher(header.epoch);
  if (!cipher) return false;
  Bytes payload(header.payload_size);
  VOLUME_CHECK(store_.read(offset_of(offset) + kRecordHeaderSize, payload));
  const HeaderBytes covered = encode(header);
  return cipher.value()->open(nonce_for(Domain::kRecord, header.sequence), associated(covered), payload, header.tag,
                              payload);
}

Result<bool> Journal::proves_durable(std::uint64_t sequence) const {
  constexpr std::uint64_t kPiece = std::uint64_t{1} << 20;
  Bytes piece(std::min(kPiece, size_));
  for (std::uint64_t offset = 0; offset < size_; offset += piece.size()) {
    piece.resize(std::min(kPiece, size_ - offset));
    VOLUME_CHECK(store_.read(offset_of(offset), piece));
    for (std::size_t place = 0; place < piece.size(); place += kUnitSize) {
      const std::optional<RecordHeader> header = decode(&piece[place]);
      if (!header || header->sequence <= sequence || header->durable_sequence < sequence) continue;
      if (CASEMATE_TRY(opens(*header, offset + place))) return true;
    }
  }
  return false;
}

std::optional<std::uint64_t> Journal::place_for(std::uint64_t record_bytes, Use use) const {
  const std::uint64_t room = size_ - head_ % size_;
  const std::uint64_t begin = record_bytes <= room ? head_ : head_ + room;
  const std::uint64_t reserve = use == Use::kOrdinary ? size_ / 4 : 0;
  if (begin + record_bytes - tail_ > size_ - reserve) return std::nullopt;
  return begin;
}

Result<Bytes> Journal::seal(RecordHeader& header, ByteView payload) const {
  header.payload_size = static_cast<std::uint32_t>(payload.size());
  Bytes record(record_size(payload.size()));
  const std::span<std::byte> sealed = std::span(record).subspan(kRecordHeaderSize, payload.size());
  const crypto::Aes256Gcm* const cipher = CASEMATE_TRY(keyring_.cipher(header.epoch));
  const HeaderBytes covered = encode(header);
  header.tag = cipher->seal(nonce_for(Domain::kRecord, header.sequence), associated(covered), payload, sealed);
  const HeaderBytes complete = encode(header);
  std::copy(complete.begin(), complete.end(), record.begin());
  return record;
}

}  // namespace casemate::volume
