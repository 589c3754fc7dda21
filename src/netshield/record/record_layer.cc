#include "netshield/record/record_layer.h"

namespace casemate::netshield {
namespace {

enum class ContentType : std::uint8_t { kAlert = 21, kHandshake = 22, kApplicationData = 23 };

constexpr std::uint8_t kNewSessionTicket = 4, kKeyUpdate = 24;
constexpr std::uint8_t kUpdateNotRequested = 0, kUpdateRequested = 1;
constexpr std::size_t kMessageHeaderSize = 4;
constexpr std::size_t kLongestTicket = 64 * 1024;  // lifetime, age, nonce, ticket, extensions: what their lengths allow
constexpr std::uint8_t kWarning = 1, kFatal = 2;

void derive_key(Direction& direction, const RecordCipher& cipher, Suite suite) {
  std::uint8_t key[kLargestKeySize];
  cipher.expand_label(suite, direction.secret, "key", 3, key, key_size_of(suite));
  cipher.expand_label(suite, direction.secret, "iv", 2, direction.iv, kNonceSize);
  cipher.set_key(direction.key, key, key_size_of(suite));
  wipe_bytes(key, sizeof(key));
  direction.sequence = 0;
}

void renew_key(Direction& direction, const RecordCipher& cipher, Suite suite) {
  cipher.expand_label(suite, direction.secret, "traffic upd", 11, direction.secret, secret_size_of(suite));
  derive_key(direction, cipher, suite);
}

void make_nonce(const Direction& direction, std::uint8_t* nonce) {
  __builtin_memcpy(nonce, direction.iv, kNonceSize);
  for (std::size_t i = 0; i < 8; ++i) {
    nonce[kNonceSize - 1 - i] ^= static_cast<std::uint8_t>(direction.sequence >> (8 * i));
  }
}

void write_header(std::uint8_t* record, std::size_t body_size) {
  record[0] = static_cast<std::uint8_t>(ContentType::kApplicationData);
  record[1] = record[2] = 3;
  record[3] = static_cast<std::uint8_t>(body_size >> 8);
  record[4] = static_cast<std::uint8_t>(body_size);
}

// What the record protects is `size` bytes at record + kHeaderSize.
SealResult seal(Connection& connection, const RecordCipher& cipher, ContentType type, std::uint8_t* record,
                std::size_t size) {
  Direction& direction = connection.write;
  std::uint8_t* const body = record + kHeaderSize;
  body[size] = static_cast<std::uint8_t>(type);
  write_header(record, size + 1 + kTagSize);
  std::uint8_t nonce[kNonceSize];
  make_nonce(direction, nonce);
  cipher.seal(direction.key, nonce, record, kHeaderSize, body, size + 1, body + size + 1);
  ++direction.sequence;
  if (direction.sequence >= kRecordsPerKey) connection.is_key_update_owed = 1;
  return {SealOutcome::kSealed, size + kRecordOverhead};
}

SealResult seal_alert(Connection& connection, const RecordCipher& cipher, Alert alert, std::uint8_t* record) {
  record[kHeaderSize] = alert == Alert::kCloseNotify ? kWarning : kFatal;
  record[kHeaderSize + 1] = static_cast<std::uint8_t>(alert);
  connection.is_alert_owed = connection.is_key_update_owed = 0;
  const SealResult sealed = seal(connection, cipher, ContentType::kAlert, record, 2);
  connection.write.state = alert == Alert::kCloseNotify ? DirectionState::kClosed : DirectionState::kFailed;
  return sealed;
}

OpenResult fail(Connection& connection, Alert alert) {
  connection.read.state = DirectionState::kFailed;
  connection.failure = alert;
  connection.is_alert_owed = connection.write.state == DirectionState::kOpen ? 1 : 0;
  return {OpenOutcome::kFailed, 0, 0, 0};
}

// What is left of a record's plaintext, read from the front.
struct Fragment {
  const std::uint8_t* bytes;
  std::size_t size;
};

OpenResult take_alert(Connection& connection, const Fragment& content, std::size_t consumed) {
  if (content.size != 2) return fail(connection, Alert::kDecodeError);
  const auto alert = static_cast<Alert>(content.bytes[1]);
  if (alert == Alert::kUserCanceled) return {OpenOutcome::kControl, consumed, 0, 0};  // close_notify follows
  if (alert == Alert::kCloseNotify) {
    connection.read.state = DirectionState::kClosed;
    return {OpenOutcome::kEnd, consumed, 0, 0};
  }
  connection.peer_alert = alert;
  connection.is_peer_alert = 1;
  connection.read.state = DirectionState::kFailed;
  // RFC 8446, 6.2: whoever gets an error alert sends nothing more.
  connection.write.state = DirectionState::kFailed;
  connection.is_key_update_owed = 0;
  return {OpenOutcome::kFailed, consumed, 0, 0};
}

// The message's header is complete, its body begins at `rest`. False: the connection failed.
bool take_key_update(Connection& connection, const RecordCipher& cipher, std::uint32_t size, const Fragment& rest) {
  // RFC 8446, 5.1: nothing may follow a change of keys in the same record. So it cannot be divided, either.
  if (size != 1 || rest.size != 1) {
    fail(connection, size != 1 ? Alert::kDecodeError : Alert::kUnexpectedMessage);
    return false;
  }
  if (rest.bytes[0] != kUpdateNotRequested && rest.bytes[0] != kUpdateRequested) {
    fail(connection, Alert::kIllegalParameter);
    return false;
  }
  const bool may_answer = connection.write.state == DirectionState::kOpen;
  if (rest.bytes[0] == kUpdateRequested && may_answer) connection.is_key_update_owed = 1;
  renew_key(connection.read, cipher, connection.suite);
  return true;
}

std::uint32_t message_size(const Connection& connection) {
  const std::uint8_t* const header = connection.message_header;
  return std::uint32_t{header[1]} << 16 | std::uint32_t{header[2]} << 8 | header[3];
}

void gather_header(Connection& connection, Fragment& content) {
  while (content.size != 0 && connection.message_header_size < kMessageHeaderSize) {
    connection.message_header[connection.message_header_size++] = *content.bytes++;
    --content.size;
  }
}

// One handshake message may be divided among records, and one record may hold several.
OpenResult take_handshake(Connection& connection, const RecordCipher& cipher, Fragment content, std::size_t consumed) {
  OpenResult result{OpenOutcome::kControl, consumed, 0, 0};
  if (content.size == 0) return fail(connection, Alert::kUnexpectedMessage);
  while (content.size != 0) {
    if (connection.message_left == 0) {
      gather_header(connection, content);
      if (connection.message_header_size < kMessageHeaderSize) return result;
      connection.message_header_size = 0;
      const std::uint32_t size = message_size(connection);
      const std::uint8_t type = connection.message_header[0];
      if (type == kKeyUpdate) {
        return take_key_update(connection, cipher, size, content) ? result : OpenResult{OpenOutcome::kFailed, 0, 0, 0};
      }
      if (type != kNewSessionTicket || connection.side != Side::kClient) {
        return fail(connection, Alert::kUnexpectedMessage);
      }
      if (size == 0 || size > kLongestTicket) return fail(connection, Alert::kDecodeError);
      connection.message_left = size;
    }
    result.outcome = OpenOutcome::kTicket;
    const std::size_t part = content.size < connection.message_left ? content.size : connection.message_left;
    connection.message_left -= static_cast<std::uint32_t>(part);
    content.bytes += part;
    content.size -= part;
  }
  return result;
}

bool is_within_message(const Connection& connection) {
  return connection.message_left != 0 || connection.message_header_size != 0;
}

// `content` stands at bytes + kHeaderSize.
OpenResult take_content(Connection& connection, const RecordCipher& cipher, std::uint8_t type, Fragment content,
                        std::size_t consumed) {
  const bool is_handshake = type == static_cast<std::uint8_t>(ContentType::kHandshake);
  // RFC 8446, 5.1: no other records between the parts of a handshake message.
  if (!is_handshake && is_within_message(connection)) return fail(connection, Alert::kUnexpectedMessage);
  if (type == static_cast<std::uint8_t>(ContentType::kApplicationData) && content.size != 0) {
    connection.records_without_data = 0;
    return {OpenOutcome::kData, consumed, content.size, 0};
  }
  if (++connection.records_without_data > kMostRecordsWithoutData) return fail(connection, Alert::kUnexpectedMessage);
  if (type == static_cast<std::uint8_t>(ContentType::kApplicationData)) return {OpenOutcome::kControl, consumed, 0, 0};
  if (type == static_cast<std::uint8_t>(ContentType::kAlert)) return take_alert(connection, content, consumed);
  if (is_handshake) return take_handshake(connection, cipher, content, consumed);
  return fail(connection, Alert::kUnexpectedMessage);
}

// What a header alone gives away. kCloseNotify: nothing is wrong.
Alert judge_header(const std::uint8_t* bytes, std::size_t body_size) {
  if (bytes[0] != static_cast<std::uint8_t>(ContentType::kApplicationData)) return Alert::kUnexpectedMessage;
  if (body_size > kLargestRecord - kHeaderSize) return Alert::kRecordOverflow;
  if (body_size <= kTagSize) return Alert::kBadRecordMac;
  return Alert::kCloseNotify;
}

OpenResult open_whole(Connection& connection, const RecordCipher& cipher, std::uint8_t* bytes, std::size_t body_size) {
  Direction& direction = connection.read;
  if (direction.sequence == ~std::uint64_t{0}) return fail(connection, Alert::kInternalError);
  std::uint8_t nonce[kNonceSize];
  make_nonce(direction, nonce);
  std::uint8_t* const body = bytes + kHeaderSize;
  std::size_t size = body_size - kTagSize;
  if (!cipher.open(direction.key, nonce, bytes, kHeaderSize, body, size, body + size)) {
    return fail(connection, Alert::kBadRecordMac);
  }
  ++direction.sequence;
  if (size > kLargestPlaintext + 1) {
    wipe_bytes(body, size);
    return fail(connection, Alert::kRecordOverflow);
  }
  while (size != 0 && body[size - 1] == 0) --size;  // padding
  if (size == 0) return fail(connection, Alert::kUnexpectedMessage);
  return take_content(connection, cipher, body[size - 1], {body, size - 1}, kHeaderSize + body_size);
}

}  // namespace

void begin(Connection& connection, const RecordCipher& cipher, const TrafficSecrets& secrets) {
  wipe_bytes(&connection, sizeof(connection));
  connection.suite = secrets.suite;
  connection.side = secrets.side;
  __builtin_memcpy(connection.read.secret, secrets.read_secret, secret_size_of(secrets.suite));
  __builtin_memcpy(connection.write.secret, secrets.write_secret, secret_size_of(secrets.suite));
  derive_key(connection.read, cipher, secrets.suite);
  derive_key(connection.write, cipher, secrets.suite);
  connection.read.sequence = secrets.read_sequence;
  connection.write.sequence = secrets.write_sequence;
}

void end(Connection& connection) {
  wipe_bytes(&connection, sizeof(connection));
  connection.read.state = connection.write.state = DirectionState::kClosed;
}

OpenResult open_record(Connection& connection, const RecordCipher& cipher, std::uint8_t* bytes, std::size_t size) {
  if (connection.read.state == DirectionState::kClosed) return {OpenOutcome::kEnd, 0, 0, 0};
  if (connection.read.state == DirectionState::kFailed) return {OpenOutcome::kFailed, 0, 0, 0};
  if (size < kHeaderSize) return {OpenOutcome::kNeedMore, 0, 0, kHeaderSize};
  const std::size_t body_size = std::size_t{bytes[3]} << 8 | bytes[4];
  // Judged before the rest has come: whoever speaks something else must not keep us waiting for it.
  if (const Alert wrong = judge_header(bytes, body_size); wrong != Alert::kCloseNotify) return fail(connection, wrong);
  if (size < kHeaderSize + body_size) return {OpenOutcome::kNeedMore, 0, 0, kHeaderSize + body_size};
  return open_whole(connection, cipher, bytes, body_size);
}

OpenOutcome end_of_transport(Connection& connection) {
  if (connection.read.state == DirectionState::kClosed) return OpenOutcome::kEnd;
  // Nobody is there to be told: no alert is owed. Our direction stays open, as a half-closed connection's does.
  if (connection.read.state == DirectionState::kOpen) {
    connection.read.state = DirectionState::kFailed;
    connection.is_cut = 1;
  }
  return OpenOutcome::kFailed;
}

SealResult seal_data(Connection& connection, const RecordCipher& cipher, std::uint8_t* record, std::size_t size) {
  if (connection.write.state != DirectionState::kOpen) return {SealOutcome::kClosed, 0};
  if (control_is_owed(connection)) return {SealOutcome::kControlFirst, 0};
  if (size == 0 || size > kLargestPlaintext) __builtin_trap();
  return seal(connection, cipher, ContentType::kApplicationData, record, size);
}

bool control_is_owed(const Connection& connection) {
  return connection.write.state == DirectionState::kOpen &&
         (connection.is_alert_owed != 0 || connection.is_key_update_owed != 0);
}

SealResult seal_control(Connection& connection, const RecordCipher& cipher, std::uint8_t* record) {
  if (!control_is_owed(connection)) return {SealOutcome::kClosed, 0};
  if (connection.is_alert_owed != 0) return seal_alert(connection, cipher, connection.failure, record);
  const std::uint8_t message[] = {kKeyUpdate, 0, 0, 1, kUpdateNotRequested};
  __builtin_memcpy(record + kHeaderSize, message, sizeof(message));
  const SealResult sealed = seal(connection, cipher, ContentType::kHandshake, record, sizeof(message));
  connection.is_key_update_owed = 0;
  renew_key(connection.write, cipher, connection.suite);
  return sealed;
}

SealResult seal_close(Connection& connection, const RecordCipher& cipher, std::uint8_t* record) {
  if (connection.write.state != DirectionState::kOpen) return {SealOutcome::kClosed, 0};
  return seal_alert(connection, cipher, connection.is_alert_owed != 0 ? connection.failure : Alert::kCloseNotify,
                    record);
}

void want_key_update(Connection& connection) {
  if (connection.write.state == DirectionState::kOpen) connection.is_key_update_owed = 1;
}

}  // namespace casemate::netshield
