#include "volume/superblock.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "volume/check.h"
#include "volume/errors.h"

namespace casemate::volume {
namespace {

constexpr std::string_view kMagic = "CSMVOL\r\n";
constexpr std::string_view kSuperblockPurpose = "casemate volume superblock";
constexpr std::string_view kSaltPagePurpose = "casemate volume salt page";

// Header: what is readable without the key.
constexpr std::size_t kVersionPlace = 8, kIdPlace = 16, kCheckPlace = 32, kSaltPlace = 48, kTagPlace = 80;
constexpr std::size_t kSaltSize = 32;

void write_position(ByteWriter& writer, const Position& position) {
  writer.number(position.epoch);
  writer.number(position.sequence);
  writer.bytes(position.chain_tag);
}

Position read_position(ByteReader& reader) {
  Position position;
  position.epoch = reader.number<std::uint64_t>();
  position.sequence = reader.number<std::uint64_t>();
  position.chain_tag = reader.array<16>();
  return position;
}

void write_salts(ByteWriter& writer, const std::vector<MountSalt>& salts) {
  writer.number(static_cast<std::uint16_t>(salts.size()));
  for (const MountSalt& salt : salts) {
    writer.number(salt.epoch);
    writer.bytes(salt.salt);
  }
}

std::vector<MountSalt> read_salts(ByteReader& reader) {
  std::vector<MountSalt> salts;
  const std::size_t count = reader.number<std::uint16_t>();
  while (salts.size() < count && !reader.failed()) {
    const std::uint32_t epoch = reader.number<std::uint32_t>();
    salts.push_back({epoch, reader.array<16>()});
  }
  return salts;
}

Bytes encode(const Superblock& s) {
  Bytes body;
  body.reserve(kUnitSize);
  ByteWriter writer(body);
  writer.number(s.generation);
  writer.number(static_cast<std::uint8_t>(s.state));
  writer.number(s.epoch);
  writer.number(s.mount_sequence);
  write_position(writer, s.tree_position);
  writer.number(s.journal_begin);
  write_position(writer, s.retained_position);
  writer.number(s.retained_begin);
  write_pointer(writer, s.root);
  for (const std::uint64_t number : {s.store_units, s.maximum_units, s.journal_size, s.next_inode, s.inode_count,
                                     s.reserved_count, static_cast<std::uint64_t>(s.created.seconds)}) {
    writer.number(number);
  }
  writer.number(s.created.nanoseconds);
  writer.short_bytes(std::as_bytes(std::span(s.label)));
  writer.bytes(s.root_tag);
  write_pointer(writer, s.salt_pages);
  write_salts(writer, s.salts);
  return body;
}

// Numbers that later code relies on.
bool is_sane(const Superblock& s) {
  return s.journal_size >= kMinimumJournalSize && s.journal_size <= kMaximumJournalSize &&
         s.journal_size % kUnitSize == 0 && s.maximum_units <= kMaximumUnit && s.store_units <= s.maximum_units &&
         s.store_units > s.first_unit() && s.state <= State::kSealed && s.label.size() <= 64 &&
         s.salts.size() <= kMaximumInlineSalts && !s.salts.empty() && s.salts.back().epoch == s.epoch &&
         s.retained_begin <= s.journal_begin && s.journal_begin - s.retained_begin <= s.journal_size &&
         s.retained_position.sequence <= s.tree_position.sequence && s.journal_begin % kUnitSize == 0 &&
         s.retained_begin % kUnitSize == 0;
}

std::optional<Superblock> decode(ByteView body) {
  ByteReader reader(body);
  Superblock s;
  s.generation = reader.number<std::uint64_t>();
  s.state = static_cast<State>(reader.number<std::uint8_t>());
  s.epoch = reader.number<std::uint32_t>();
  s.mount_sequence = reader.number<std::uint64_t>();
  s.tree_position = read_position(reader);
  s.journal_begin = reader.number<std::uint64_t>();
  s.retained_position = read_position(reader);
  s.retained_begin = reader.number<std::uint64_t>();
  s.root = read_pointer(reader);
  for (std::uint64_t* number :
       {&s.store_units, &s.maximum_units, &s.journal_size, &s.next_inode, &s.inode_count, &s.reserved_count}) {
    *number = reader.number<std::uint64_t>();
  }
  s.created.seconds = static_cast<std::int64_t>(reader.number<std::uint64_t>());
  s.created.nanoseconds = reader.number<std::uint32_t>();
  const ByteView label = reader.short_bytes();
  s.label.assign(reinterpret_cast<const char*>(label.data()), label.size());
  s.root_tag = reader.array<32>();
  s.salt_pages = read_pointer(reader);
  s.salts = read_salts(reader);
  if (reader.failed() || !is_sane(s)) return std::nullopt;
  return s;
}

}  // namespace

SlotHeader read_header(const SuperblockSlot& slot) {
  SlotHeader header;
  header.is_ours = std::memcmp(slot.data(), kMagic.data(), kMagic.size()) == 0;
  header.format_version = load_number<std::uint32_t>(&slot[kVersionPlace]);
  std::memcpy(header.volume_id.data(), &slot[kIdPlace], header.volume_id.size());
  std::memcpy(header.key_check.data(), &slot[kCheckPlace], header.key_check.size());
  return header;
}

Result<SuperblockSlot> seal_superblock(const Superblock& superblock, const Keyring& keyring) {
  SuperblockSlot slot{};
  std::memcpy(slot.data(), kMagic.data(), kMagic.size());
  store_number(&slot[kVersionPlace], kFormatVersion);
  std::memcpy(&slot[kIdPlace], superblock.volume_id.data(), superblock.volume_id.size());
  const auto check = CASEMATE_TRY(keyring.key_check());
  std::memcpy(&slot[kCheckPlace], check.data(), check.size());
  const std::span<std::byte> salt(&slot[kSaltPlace], kSaltSize);
  VOLUME_CHECK(crypto::random_bytes(salt));
  const crypto::Aes256Gcm cipher = CASEMATE_TRY(keyring.purpose_cipher(salt, kSuperblockPurpose));
  const Bytes body = encode(superblock);
  const std::span<std::byte> sealed = std::span(slot).subspan(kSuperblockHeaderSize);
  std::copy(body.begin(), body.end(), sealed.begin());
  const Tag tag = cipher.seal({}, std::span(slot).first(kTagPlace), sealed, sealed);
  std::memcpy(&slot[kTagPlace], tag.data(), tag.size());
  return slot;
}

Result<std::optional<Superblock>> open_superblock(const SuperblockSlot& slot, const Keyring& keyring) {
  const ByteView salt(&slot[kSaltPlace], kSaltSize);
  const crypto::Aes256Gcm cipher = CASEMATE_TRY(keyring.purpose_cipher(salt, kSuperblockPurpose));
  Tag tag;
  std::memcpy(tag.data(), &slot[kTagPlace], tag.size());
  Bytes body(kUnitSize - kSuperblockHeaderSize);
  if (!cipher.open({}, std::span(slot).first(kTagPlace), std::span(slot).subspan(kSuperblockHeaderSize), tag, body)) {
    return std::optional<Superblock>();
  }
  std::optional<Superblock> superblock = decode(body);
  if (superblock) superblock->volume_id = read_header(slot).volume_id;
  return superblock;
}

Result<SuperblockPair> read_superblocks(const ByteStore& store, const VolumeKey& key) {
  SuperblockPair pair;
  const std::uint64_t size = CASEMATE_TRY(store.size());
  if (size < kJournalUnit * kUnitSize) {
    return damaged(size == 0 ? "there is no volume: the store is empty"
                             : "there is no volume: the store is cut off before the journal");
  }
  std::optional<Superblock> newest;
  bool is_volume = false, key_fits = false;
  std::uint32_t newer_format = 0;
  for (std::size_t index = 0; index < 2; ++index) {
    VOLUME_CHECK(store.read(kSuperblockUnits[index] * kUnitSize, pair.slots[index]));
    const SlotHeader header = read_header(pair.slots[index]);
    if (!header.is_ours) continue;
    is_volume = true;
    if (header.format_version > kFormatVersion) newer_format = header.format_version;
    if (header.format_version != kFormatVersion) continue;
    const Keyring keyring(key, header.volume_id);
    const auto check = CASEMATE_TRY(keyring.key_check());
    if (!crypto::equal_in_constant_time(check, header.key_check)) continue;
    key_fits = true;
    std::optional<Superblock> superblock = CASEMATE_TRY(open_superblock(pair.slots[index], keyring));
    if (!superblock || superblock->generation % 2 != index) continue;
    if (!newest || superblock->generation > newest->generation) newest = std::move(superblock);
  }
  if (newer_format != 0 && !newest) {
    return refused(EINVAL, "the volume has format " + std::to_string(newer_format) + ", newer than " +
                               std::to_string(kFormatVersion) + " which this program knows: use a newer one");
  }
  if (newest) {
    pair.newest = std::move(*newest);
    return pair;
  }
  if (!is_volume) return damaged("there is no volume: both superblocks lack the magic number");
  if (!key_fits) return refused(EACCES, "wrong key: it is not the key of this volume");
  return damaged("both superblocks are damaged");
}

std::array<std::byte, 32> root_tag(const Superblock& superblock) {
  Bytes named;
  ByteWriter writer(named);
  writer.bytes(std::as_bytes(std::span(std::string_view("casemate volume contents"))));
  writer.bytes(superblock.volume_id);
  write_pointer(writer, superblock.root);
  return crypto::sha256(named);
}

Result<NodePointer> seal_salt_page(const SaltPage& page, Unit unit, const Keyring& keyring,
                                   std::array<std::byte, kUnitSize>& out) {
  Bytes body;
  ByteWriter writer(body);
  write_pointer(writer, page.older);
  write_salts(writer, page.salts);
  out.fill(std::byte{0});
  // The key's salt: random, in front of the sealed part.
  const std::span<std::byte> salt = std::span(out).first(kSaltSize);
  VOLUME_CHECK(crypto::random_bytes(salt));
  const std::span<std::byte> sealed = std::span(out).subspan(kSaltSize);
  std::copy(body.begin(), body.end(), sealed.begin());
  const crypto::Aes256Gcm cipher = CASEMATE_TRY(keyring.purpose_cipher(salt, kSaltPagePurpose));
  NodePointer pointer;
  pointer.unit = unit;
  pointer.tag = cipher.seal({}, {}, sealed, sealed);
  return pointer;
}

Result<SaltPage> open_salt_page(const NodePointer& pointer, const Keyring& keyring,
                                std::array<std::byte, kUnitSize>& bytes) {
  const std::span<std::byte> sealed = std::span(bytes).subspan(kSaltSize);
  const crypto::Aes256Gcm cipher =
      CASEMATE_TRY(keyring.purpose_cipher(std::span(bytes).first(kSaltSize), kSaltPagePurpose));
  if (!cipher.open({}, {}, sealed, pointer.tag, sealed)) {
    return damaged("the list of earlier mounts in unit " + std::to_string(pointer.unit) + " is damaged");
  }
  ByteReader reader(sealed);
  SaltPage page;
  page.older = read_pointer(reader);
  page.salts = read_salts(reader);
  // Chains end: each page names older mounts only.
  if (reader.failed() || page.salts.empty()) return damaged("the list of earlier mounts does not follow the format");
  return page;
}

}  // namespace casemate::volume
