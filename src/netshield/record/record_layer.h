// The record layer of TLS 1.3 (RFC 8446, 5 and 4.6) behind a finished handshake: seals and opens records in buffers of
// the caller's. It does no input and no output, and its state is plain data without pointers, so that it can lie in
// memory that processes share: after fork, both sides of a connection continue with the same sequence numbers.
//
// What a hostile network or peer can do here -> what we answer
//   change, drop, repeat, reorder, insert bytes -> the record does not open: kFailed, bad_record_mac, nothing of it is
//                                                  delivered, and the direction stays failed
//   cut the connection               -> end_of_transport() tells an orderly end from a cut one
//   send oversize or empty records   -> record_overflow; 32 records in a row without data are unexpected_message
//   send plain-text records, change_cipher_spec, other content types -> unexpected_message
//   renegotiate, ask for certificates, send any handshake message but tickets (to clients) and KeyUpdate
//                                    -> unexpected_message
//   send a KeyUpdate that shares a record with what follows, or is malformed -> unexpected_message, illegal_parameter
//   ask for key updates without end  -> one answer is owed at a time; the limit of records without data ends it
//   keep one key for ever            -> their limit is theirs; ours is renewed after 2^23 records
//
// Freestanding (record_cipher.h). Threads: one at a time per Connection: its owner's lock. Blocks: never.
#pragma once

#include "netshield/record/record_cipher.h"

namespace casemate::netshield {

inline constexpr std::size_t kHeaderSize = 5;
inline constexpr std::size_t kLargestPlaintext = 16384;  // of one record, without its type
inline constexpr std::size_t kLargestRecord =
    kHeaderSize + kLargestPlaintext + 256;  // RFC 8446, 5.2: also others' padding
// What sealing adds: header, content type, tag.
inline constexpr std::size_t kRecordOverhead = kHeaderSize + 1 + kTagSize;
// Alerts and KeyUpdate, sealed.
inline constexpr std::size_t kLargestControlRecord = kRecordOverhead + 5;
inline constexpr std::uint32_t kMostRecordsWithoutData = 32;
inline constexpr std::uint64_t kRecordsPerKey = std::uint64_t{1} << 23;  // RFC 8446, 5.5 allows AES-GCM 2^24.5

enum class Side : std::uint32_t { kClient, kServer };

// AlertDescription (RFC 8446, 6), those that are sent here. Received ones may have any other number.
enum class Alert : std::uint8_t {
  kCloseNotify = 0,
  kUnexpectedMessage = 10,
  kBadRecordMac = 20,
  kRecordOverflow = 22,
  kIllegalParameter = 47,
  kDecodeError = 50,
  kInternalError = 80,
  kUserCanceled = 90,
};

// What a direction of the connection has come to.
enum class DirectionState : std::uint32_t {
  kOpen,
  kClosed,  // close_notify was received or sent
  kFailed,  // reading: `failure` or the peer's alert says why. Writing: an alert other than close_notify was sent
};

struct Direction {
  AeadKeyState key;
  std::uint8_t secret[kLargestSecretSize];
  std::uint8_t iv[kNonceSize];
  DirectionState state;
  std::uint64_t sequence;  // of the next record under this key
};

// One connection; all of it is zero before begin().
struct Connection {
  Direction read, write;
  Suite suite;
  std::uint16_t reserved;
  Side side;
  Alert failure;     // ours, kFailed only
  Alert peer_alert;  // the peer's, when it was one that ended the connection
  std::uint8_t is_peer_alert;
  std::uint8_t is_cut;              // the transport ended without close_notify
  std::uint8_t is_key_update_owed;  // the peer asked for one, or the key is worn out
  std::uint8_t is_alert_owed;
  std::uint8_t message_header_size;  // of a handshake message that is not complete yet
  std::uint8_t message_header[4];
  std::uint32_t message_left;  // bytes of a ticket that come with the next records
  std::uint32_t records_without_data;
};

// What the handshake hands over.
struct TrafficSecrets {
  Suite suite;
  Side side;
  std::uint8_t read_secret[kLargestSecretSize];  // application traffic secrets, secret_size_of(suite) bytes
  std::uint8_t write_secret[kLargestSecretSize];
  // Records that the handshake's engine has sent or taken under these secrets already (session tickets).
  std::uint64_t read_sequence, write_sequence;
};

// Starts the connection. The caller wipes the secrets.
void begin(Connection& connection, const RecordCipher& cipher, const TrafficSecrets& secrets);
// Forgets all keys; both directions are closed then.
void end(Connection& connection);

// --- reading -------------------------------------------------------------------------------------------------------

enum class OpenOutcome {
  kNeedMore,  // `needed` bytes must be there in all before the next call can do more
  kData,      // `data_size` (> 0) bytes of plaintext stand at bytes + kHeaderSize
  kControl,   // a record with nothing for the program: see control_is_owed()
  kTicket,    // the same, and all or part of a NewSessionTicket was in it
  kEnd,       // close_notify: the peer sends nothing more. Also for every later call
  kFailed,    // Connection says why. Also for every later call
};
struct OpenResult {
  OpenOutcome outcome;
  std::size_t consumed;  // bytes of the record; 0 with kNeedMore, kEnd by an earlier record, kFailed
  std::size_t data_size;
  std::size_t needed;
};

// Opens the record at the front of `bytes`, in place. `size`: how many are there, of one or more records.
OpenResult open_record(Connection& connection, const RecordCipher& cipher, std::uint8_t* bytes, std::size_t size);

// The transport has ended (the kernel's end of file). kEnd when the peer had said so before; otherwise the connection
// was cut: kFailed. Requires: every complete record before was opened.
OpenOutcome end_of_transport(Connection& connection);

// --- writing -------------------------------------------------------------------------------------------------------

enum class SealOutcome {
  kSealed,
  kControlFirst,  // control_is_owed(): it must go out before more data
  kClosed,        // close_notify went out or the connection failed: nothing may follow
};
struct SealResult {
  SealOutcome outcome;
  std::size_t record_size;
};

// Seals 1 to kLargestPlaintext bytes of data, which stand at record + kHeaderSize, in place. The buffer has room for
// size + kRecordOverhead. Every record sealed must go out, whole, in this order: the next one has the next number.
SealResult seal_data(Connection& connection, const RecordCipher& cipher, std::uint8_t* record, std::size_t size);

bool control_is_owed(const Connection& connection);
// The next owed control record. `record`: room for kLargestControlRecord. kClosed: none can be sent any more.
SealResult seal_control(Connection& connection, const RecordCipher& cipher, std::uint8_t* record);
// Ends our direction in order: seals a close_notify. kClosed when the direction had ended already; owed key updates are
// dropped, an owed alert goes out in its stead.
SealResult seal_close(Connection& connection, const RecordCipher& cipher, std::uint8_t* record);
// Our own wish for a new key (the answer to the peer's needs none). The peer is not asked to renew its own.
void want_key_update(Connection& connection);

}  // namespace casemate::netshield
