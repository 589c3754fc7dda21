#include "volume/inode.h"

#include <bit>
#include <cstring>

#include "volume/errors.h"

namespace casemate::volume {
namespace {

void write_time(ByteWriter& writer, const Timestamp& time) {
  writer.number(static_cast<std::uint64_t>(time.seconds));
  writer.number(time.nanoseconds);
}

Timestamp read_time(ByteReader& reader) {
  Timestamp time;
  time.seconds = static_cast<std::int64_t>(reader.number<std::uint64_t>());
  time.nanoseconds = reader.number<std::uint32_t>();
  return time;
}

ByteView as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

std::string as_text(ByteView bytes) { return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()); }

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaximumNameSize && name.find('\0') == std::string_view::npos;
}

struct SipState {
  std::uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v2 += v3;
    v1 = std::rotl(v1, 13) ^ v0;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 = std::rotl(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = std::rotl(v1, 17) ^ v2;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 = std::rotl(v2, 32);
  }
  void absorb(std::uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
};

}  // namespace

Bytes Inode::encode() const {
  Bytes value;
  value.reserve(128);
  ByteWriter writer(value);
  const Attributes& a = attributes;
  writer.number(a.mode);
  writer.number(a.uid);
  writer.number(a.gid);
  writer.number(a.link_count);
  writer.number(a.device);
  writer.number(a.size);
  writer.number(a.allocated_size / kPageSize);
  for (const Timestamp& time : {a.access_time, a.modify_time, a.change_time, a.birth_time}) write_time(writer, time);
  writer.number(parent);
  writer.number(parent_index);
  return value;
}

Result<Inode> Inode::decode(InodeNumber number, ByteView value) {
  ByteReader reader(value);
  Inode inode;
  Attributes& a = inode.attributes;
  a.inode = number;
  a.mode = reader.number<std::uint32_t>();
  a.uid = reader.number<std::uint32_t>();
  a.gid = reader.number<std::uint32_t>();
  a.link_count = reader.number<std::uint32_t>();
  a.device = reader.number<std::uint64_t>();
  a.size = reader.number<std::uint64_t>();
  a.allocated_size = reader.number<std::uint64_t>() * kPageSize;
  for (Timestamp* time : {&a.access_time, &a.modify_time, &a.change_time, &a.birth_time}) *time = read_time(reader);
  inode.parent = reader.number<std::uint64_t>();
  inode.parent_index = reader.number<std::uint64_t>();
  if (!reader.complete() || a.size > kMaximumFileSize) {
    return damaged("metadata: inode " + std::to_string(number) + " does not follow the format");
  }
  return inode;
}

Bytes Entry::encode() const {
  Bytes value;
  ByteWriter writer(value);
  writer.number(inode);
  writer.number(type);
  writer.short_bytes(as_bytes(name));
  return value;
}

Result<Entry> Entry::decode(ByteView value) {
  ByteReader reader(value);
  Entry entry;
  entry.inode = reader.number<std::uint64_t>();
  entry.type = reader.number<std::uint32_t>();
  entry.name = as_text(reader.short_bytes());
  if (!reader.complete() || !is_name(entry.name) || entry.name.find('/') != std::string::npos || entry.name == "." ||
      entry.name == "..") {
    return damaged("metadata: a directory entry does not follow the format");
  }
  return entry;
}

Bytes ExtendedAttribute::encode() const {
  Bytes encoded;
  ByteWriter writer(encoded);
  writer.short_bytes(as_bytes(name));
  writer.number(size);
  writer.bytes(value);
  return encoded;
}

Result<ExtendedAttribute> ExtendedAttribute::decode(ByteView encoded) {
  ByteReader reader(encoded);
  ExtendedAttribute attribute;
  attribute.name = as_text(reader.short_bytes());
  attribute.size = reader.number<std::uint32_t>();
  const bool here = attribute.size <= kValueChunk;
  const ByteView value = reader.bytes(here ? attribute.size : 0);
  attribute.value.assign(value.begin(), value.end());
  if (!reader.complete() || !is_name(attribute.name) || attribute.size > kMaximumAttributeSize) {
    return damaged("metadata: an extended attribute does not follow the format");
  }
  return attribute;
}

std::uint64_t siphash(const NameHashKey& key, ByteView data) {
  const std::uint64_t k0 = load_number<std::uint64_t>(key.data()), k1 = load_number<std::uint64_t>(key.data() + 8);
  SipState state{k0 ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL, k0 ^ 0x6c7967656e657261ULL,
                 k1 ^ 0x7465646279746573ULL};
  const std::uint64_t length = static_cast<std::uint64_t>(data.size()) << 56;
  for (; data.size() >= 8; data = data.subspan(8)) state.absorb(load_number<std::uint64_t>(data.data()));
  std::array<std::byte, 8> last{};
  if (!data.empty()) std::memcpy(last.data(), data.data(), data.size());
  state.absorb(load_number<std::uint64_t>(last.data()) | length);
  state.v2 ^= 0xff;
  for (int round = 0; round < 4; ++round) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

std::uint64_t name_index(const NameHashKey& key, std::string_view name) {
  return siphash(key, as_bytes(name)) >> 16 << kSlotBits;
}

}  // namespace casemate::volume
