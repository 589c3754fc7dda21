// Socket addresses, messages with their control data, socket options, and I/O vectors as text.
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/time_types.h>

#include "runtime/table/decode.h"

namespace casemate::runtime {
namespace {

constexpr std::uint16_t kAfUnix = 1, kAfInet = 2, kAfInet6 = 10, kAfNetlink = 16;
constexpr std::uint64_t kSocketAddressMax = 128;

std::uint64_t smaller(std::uint64_t a, std::uint64_t b) { return a < b ? a : b; }

template <typename T>
T load(const std::uint8_t* bytes) {
  T value;
  __builtin_memcpy(&value, bytes, sizeof(value));
  return value;
}

std::uint16_t big_endian16(const std::uint8_t* bytes) { return static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]); }

void write_ipv4(TextWriter& out, const std::uint8_t* bytes) {
  for (int i = 0; i < 4; i++) {
    if (i != 0) out.put('.');
    out.unsigned_decimal(bytes[i]);
  }
}

struct Run {
  int begin = -1, length = 1;  // one group alone is not shortened
};

// The longest run of zero groups, which RFC 5952 writes as "::".
Run longest_zero_run(const std::uint8_t* bytes) {
  Run best;
  Run current{0, 0};
  for (int group = 0; group < 8; group++) {
    if (big_endian16(bytes + group * 2) != 0) {
      current = {group + 1, 0};
      continue;
    }
    current.length++;
    if (current.length > best.length) best = current;
  }
  return best;
}

void write_ipv6(TextWriter& out, const std::uint8_t* bytes) {
  const Run zeros = longest_zero_run(bytes);
  for (int group = 0; group < 8; group++) {
    if (zeros.begin >= 0 && group >= zeros.begin && group < zeros.begin + zeros.length) {
      if (group == zeros.begin) out.text("::");
      continue;
    }
    if (group != 0 && !(zeros.begin >= 0 && group == zeros.begin + zeros.length)) out.put(':');
    out.plain_hex(big_endian16(bytes + group * 2), 1);
  }
}

void write_unix_path(TextWriter& out, const std::uint8_t* bytes, std::uint64_t size) {
  if (size == 0) return;
  out.text(", sun_path=");
  const bool is_abstract = bytes[0] == 0;
  if (is_abstract) {
    out.put('@');
    bytes++;
    size--;
  }
  std::uint64_t length = 0;
  while (length < size && (is_abstract || bytes[length] != 0)) length++;
  out.put('"').escaped(reinterpret_cast<const char*>(bytes), length).put('"');
}

// `bytes` holds kSocketAddressMax bytes, zero behind `size`.
void write_address_of_family(TextWriter& out, std::uint16_t family, const std::uint8_t* bytes, std::uint64_t size) {
  switch (family) {
    case kAfUnix:
      return write_unix_path(out, bytes + 2, size - 2);
    case kAfInet:
      out.text(", sin_port=").unsigned_decimal(big_endian16(bytes + 2)).text(", sin_addr=");
      return write_ipv4(out, bytes + 4);
    case kAfInet6:
      out.text(", sin6_port=").unsigned_decimal(big_endian16(bytes + 2)).text(", sin6_addr=");
      write_ipv6(out, bytes + 8);
      if (const auto scope = load<std::uint32_t>(bytes + 24); scope != 0) {
        out.text(", sin6_scope_id=").unsigned_decimal(scope);
      }
      return;
    case kAfNetlink:
      out.text(", nl_pid=").unsigned_decimal(load<std::uint32_t>(bytes + 4));
      out.text(", nl_groups=").hex(load<std::uint32_t>(bytes + 8));
      return;
    default:
      if (size > 2) {
        out.text(", sa_data=\"").escaped(reinterpret_cast<const char*>(bytes + 2), size - 2).put('"');
      }
  }
}

// --- messages

// The kernel's struct user_msghdr.
struct MessageHeader {
  std::uint64_t name;
  std::uint32_t name_size, padding;
  std::uint64_t vector, vector_count;
  std::uint64_t control, control_size;
  std::uint32_t flags, padding_behind;
};
static_assert(sizeof(MessageHeader) == 56);
constexpr std::uint64_t kMessagesStride = 64;  // struct mmsghdr: the header, the length, padding

struct ControlHeader {
  std::uint64_t size;
  std::int32_t level, type;
};
constexpr std::int32_t kSolSocket = 1, kScmRights = 1, kScmCredentials = 2;

void write_rights(TextWriter& out, GuestAddr data, std::uint64_t size) {
  out.text(", cmsg_type=SCM_RIGHTS, cmsg_data=[");
  for (std::uint64_t i = 0; i < size / 4 && !out.is_full(); i++) {
    if (i != 0) out.text(", ");
    std::int32_t fd = 0;
    read_guest(fd, data + i * 4) == 0 ? out.decimal(fd) : out.put('?');
  }
  out.put(']');
}

void write_credentials(TextWriter& out, GuestAddr data) {
  std::uint32_t credentials[3] = {};
  out.text(", cmsg_type=SCM_CREDENTIALS, cmsg_data=");
  if (copy_from_guest(credentials, data, sizeof(credentials)) != 0) {
    out.put('?');
    return;
  }
  out.text("{pid=").unsigned_decimal(credentials[0]).text(", uid=").unsigned_decimal(credentials[1]);
  out.text(", gid=").unsigned_decimal(credentials[2]).put('}');
}

void write_control_element(TextWriter& out, const ControlHeader& header, GuestAddr data, std::uint64_t size) {
  write_value(out.text("{cmsg_level="), ValueSet::socket_level, static_cast<std::uint32_t>(header.level));
  if (header.level == kSolSocket && header.type == kScmRights) {
    write_rights(out, data, size);
  } else if (header.level == kSolSocket && header.type == kScmCredentials) {
    write_credentials(out, data);
  } else {
    out.text(", cmsg_type=").hex(static_cast<std::uint32_t>(header.type));
    out.text(", ").unsigned_decimal(size).text(" bytes");
  }
  out.put('}');
}

void write_control(TextWriter& out, std::uint64_t control, std::uint64_t size) {
  out.text(", msg_control=[");
  std::uint64_t offset = 0;
  for (unsigned count = 0; count < kElementLimit && size >= sizeof(ControlHeader); count++) {
    ControlHeader header;
    if (offset > size - sizeof(header) || read_guest(header, guest(control) + offset) != 0) break;
    if (header.size < sizeof(header) || header.size > size - offset) break;
    if (count != 0) out.text(", ");
    write_control_element(out, header, guest(control) + offset + sizeof(header), header.size - sizeof(header));
    offset += (header.size + 7) & ~std::uint64_t{7};
  }
  out.put(']');
}

void write_message_header(const CallView& view, const MessageHeader& message, Direction direction,
                          std::uint64_t transferred) {
  TextWriter& out = view.out;
  out.text("{msg_name=");
  message.name_size == 0 ? write_address(out, message.name)
                         : write_socket_address(out, guest(message.name), message.name_size);
  out.text(", msg_iov=");
  write_io_vector(view, guest(message.vector), message.vector_count, direction, transferred);
  if (message.control != 0 && message.control_size != 0) write_control(out, message.control, message.control_size);
  write_value(out.text(", msg_flags="), ValueSet::message_flags, message.flags);
  out.put('}');
}

// --- options

struct LevelOptions {
  std::int32_t level;
  ValueSet options;
};
constexpr LevelOptions kLevelOptions[] = {{SOL_SOCKET, ValueSet::socket_option},
                                          {IPPROTO_IP, ValueSet::ip_option},
                                          {IPPROTO_IPV6, ValueSet::ipv6_option},
                                          {IPPROTO_TCP, ValueSet::tcp_option}};

struct CredentialOption {
  std::uint32_t pid, uid, gid;
};

bool write_socket_level_value(TextWriter& out, std::uint64_t option, GuestAddr address, std::uint64_t size) {
  if ((option == SO_RCVTIMEO || option == SO_SNDTIMEO) && size == structure_size(Structure::timeval)) {
    return write_structure(out, Structure::timeval, address, size);
  }
  std::int32_t linger[2];
  if (option == SO_LINGER && size == sizeof(linger) && read_guest(linger, address) == 0) {
    out.text("{l_onoff=").decimal(linger[0]).text(", l_linger=").decimal(linger[1]).put('}');
    return true;
  }
  CredentialOption peer;
  if (option == SO_PEERCRED && size == sizeof(peer) && read_guest(peer, address) == 0) {
    out.text("{pid=").unsigned_decimal(peer.pid).text(", uid=").unsigned_decimal(peer.uid);
    out.text(", gid=").unsigned_decimal(peer.gid).put('}');
    return true;
  }
  return false;
}

bool is_socket_option_call(const CallView& view) {
  return view.entry.argument_count == 5 && view.kind(2).form == ArgumentForm::kSocketOption;
}

}  // namespace

void write_socket_address(TextWriter& out, GuestAddr address, std::uint64_t size) {
  std::uint8_t bytes[kSocketAddressMax] = {};
  if (raw(address) == 0 || size < 2 || copy_from_guest(bytes, address, smaller(size, sizeof(bytes))) != 0) {
    return write_address(out, raw(address));
  }
  const auto family = load<std::uint16_t>(bytes);
  write_value(out.text("{sa_family="), ValueSet::socket_family, family);
  write_address_of_family(out, family, bytes, smaller(size, sizeof(bytes)));
  out.put('}');
}

void write_socket_address_argument(const CallView& view, unsigned index) {
  const ArgumentKind& kind = view.kind(index);
  const std::uint64_t address = view.arguments[index];
  const std::uint64_t reference = view.arguments[kind.reference];
  std::uint32_t size = static_cast<std::uint32_t>(reference);
  if (address == 0 || !view.is_filled(kind.direction) ||
      (kind.direction == Direction::kOut && read_guest(size, guest(reference)) != 0)) {
    return write_address(view.out, address);
  }
  write_socket_address(view.out, guest(address), size);
}

void write_io_vector(const CallView& view, GuestAddr vector, std::uint64_t count, Direction direction,
                     std::uint64_t transferred) {
  std::uint64_t element[2];
  if (raw(vector) == 0 || (count != 0 && read_guest(element, vector) != 0)) {
    return write_address(view.out, raw(vector));
  }
  view.out.put('[');
  for (std::uint64_t i = 0; i < count; i++) {
    if (i != 0) view.out.text(", ");
    if (i == kElementLimit || view.out.is_full() || read_guest(element, vector + i * sizeof(element)) != 0) {
      view.out.text("...");
      break;
    }
    const std::uint64_t filled = direction == Direction::kOut ? smaller(element[1], transferred) : element[1];
    transferred -= smaller(filled, transferred);
    view.out.text("{iov_base=");
    write_bytes(view.out, guest(element[0]), filled, view.string_limit);
    view.out.text(", iov_len=").unsigned_decimal(element[1]).put('}');
  }
  view.out.put(']');
}

void write_message(const CallView& view, unsigned index) {
  MessageHeader message;
  const Direction direction = view.kind(index).direction;
  const std::uint64_t address = view.arguments[index];
  if (!view.is_filled(direction) || read_guest(message, guest(address)) != 0) return write_address(view.out, address);
  const std::uint64_t transferred =
      direction == Direction::kOut ? static_cast<std::uint64_t>(view.result) : ~std::uint64_t{0};
  write_message_header(view, message, direction, transferred);
}

void write_messages(const CallView& view, unsigned index) {
  const ArgumentKind& kind = view.kind(index);
  const std::uint64_t address = view.arguments[index];
  MessageHeader message;
  if (!view.is_filled(kind.direction) || read_guest(message, guest(address)) != 0) {
    return write_address(view.out, address);
  }
  std::uint64_t count = static_cast<std::uint32_t>(view.arguments[kind.reference]);
  if (view.has_succeeded()) count = smaller(count, static_cast<std::uint64_t>(view.result));
  view.out.put('[');
  for (std::uint64_t i = 0; i < count; i++) {
    if (i != 0) view.out.text(", ");
    const GuestAddr element = guest(address) + i * kMessagesStride;
    std::uint32_t size = 0;
    if (i == kElementLimit || view.out.is_full() || read_guest(message, element) != 0 ||
        read_guest(size, element + sizeof(message)) != 0) {
      view.out.text("...");
      break;
    }
    view.out.text("{msg_hdr=");
    write_message_header(view, message, kind.direction, size);
    view.out.text(", msg_len=").unsigned_decimal(size).put('}');
  }
  view.out.put(']');
}

void write_option_name(const CallView& view, unsigned index) {
  const auto level = static_cast<std::int32_t>(view.arguments[view.kind(index).reference]);
  for (const LevelOptions& entry : kLevelOptions) {
    if (entry.level == level) return write_value(view.out, entry.options, view.arguments[index]);
  }
  view.out.decimal(static_cast<std::int32_t>(view.arguments[index]));
}

void write_option_value(const CallView& view, GuestAddr address, std::uint64_t size) {
  if (is_socket_option_call(view)) {
    const bool is_socket_level = static_cast<std::int32_t>(view.arguments[1]) == SOL_SOCKET;
    if (is_socket_level && write_socket_level_value(view.out, view.arguments[2], address, size)) return;
    if (size == 4 && write_structure(view.out, Structure::int32, address, size)) return;
  }
  write_bytes(view.out, address, size, view.string_limit);
}

}  // namespace casemate::runtime
