#include "netshield/record/stream.h"

namespace casemate::netshield {
namespace {

constexpr long kEagain = -11, kEpipe = -32, kEconnreset = -104;
// Whatever comes now must wake: the end, an error, a single byte.
constexpr std::size_t kAnything = 1;

long set_low_water(const StreamCall& call, std::size_t size) {
  if (call.stream.low_water == size) return 0;
  const long result = call.socket.set_low_water(call.descriptor, size);
  if (result == 0) call.stream.low_water = static_cast<std::uint32_t>(size);
  return result;
}

// The kernel's socket is dead, or lies.
long break_stream(const StreamCall& call, long error) {
  abandon(call.stream);
  static_cast<void>(set_low_water(call, kAnything));
  return error;
}

// The record stays in the kernel, so that the socket stays readable, as it does natively after an end or error.
long finish_reading(const StreamCall& call, long result) {
  static_cast<void>(set_low_water(call, kAnything));
  // An alert that is owed goes as far as it can; a peer that takes nothing has no claim to be told.
  static_cast<void>(flush(call));
  return result;
}

long result_of_end(const StreamCall& call) {
  const bool is_orderly = end_of_transport(call.stream.connection) == OpenOutcome::kEnd;
  return finish_reading(call, is_orderly ? 0 : kEconnreset);
}

enum class Step { kDone, kAgain };

long take_away_part(const StreamCall& call, std::size_t size) {
  const long taken = call.socket.discard(call.descriptor, size);
  return taken == static_cast<long>(size) ? 0 : break_stream(call, kEconnreset);
}

// The record at the front is done with.
long finish_record(const StreamCall& call, std::size_t left_size) {
  if (const long error = take_away_part(call, left_size); error != 0) return error;
  call.stream.taken = 0;
  const long error = set_low_water(call, kSmallestRecord);
  return error == 0 ? 0 : break_stream(call, error);
}

// Not all of a record is there. What is goes out of the kernel: a segment that was read in part counts whole against
// the receive buffer, so bytes that wait there could keep the rest from ever coming.
Step take_part(const StreamCall& call, std::size_t needed, std::size_t there, long& result) {
  Stream& stream = call.stream;
  result = take_away_part(call, there);
  if (result != 0) return Step::kDone;
  stream.taken += static_cast<std::uint32_t>(there);
  const std::size_t whole = needed < kSmallestRecord ? kSmallestRecord : needed;
  // Behind it another look: bytes that came before the mark was set are seen by that, later ones wake.
  result = set_low_water(call, whole - stream.taken);
  if (result == 0) return Step::kAgain;
  result = break_stream(call, result);
  return Step::kDone;
}

// How many bytes of `in` may be filled: never more than one record, once its size is known.
std::size_t wanted_size(const Stream& stream) {
  if (stream.taken < kHeaderSize) return kLargestRecord - stream.taken;
  return kHeaderSize + (std::size_t{stream.in[3]} << 8 | stream.in[4]) - stream.taken;
}

Step open_next(const StreamCall& call, long& result) {
  Stream& stream = call.stream;
  const long there = call.socket.peek(call.descriptor, stream.in + stream.taken, wanted_size(stream));
  if (there < 0) {
    result = there == kEagain ? kEagain : break_stream(call, there);
    return Step::kDone;
  }
  if (there == 0) {
    result = result_of_end(call);
    return Step::kDone;
  }
  const auto size = static_cast<std::size_t>(there);
  const bool sees_all = stream.taken == 0 && size < wanted_size(stream);
  const OpenResult opened = open_record(stream.connection, call.cipher, stream.in, stream.taken + size);
  if (opened.outcome == OpenOutcome::kNeedMore) return take_part(call, opened.needed, size, result);
  // Of a complete record at least one byte is in the kernel still.
  const std::size_t left_size = opened.consumed - stream.taken;
  switch (opened.outcome) {
    case OpenOutcome::kData:
      stream.left_size = static_cast<std::uint32_t>(left_size);
      stream.is_last = sees_all && opened.consumed == size ? 1 : 0;
      stream.data_begin = kHeaderSize;
      stream.data_end = static_cast<std::uint32_t>(kHeaderSize + opened.data_size);
      result = static_cast<long>(opened.data_size);
      return Step::kDone;
    case OpenOutcome::kControl:
    case OpenOutcome::kTicket:
      result = finish_record(call, left_size);
      if (result != 0) return Step::kDone;
      static_cast<void>(flush(call));  // an answer that is owed
      return Step::kAgain;
    case OpenOutcome::kEnd:
      result = finish_reading(call, 0);
      return Step::kDone;
    default:
      result = finish_reading(call, kEconnreset);
      return Step::kDone;
  }
}

// Sends what stands in `out`.
long send_rest(const StreamCall& call) {
  Stream& stream = call.stream;
  while (stream.out_begin != stream.out_end) {
    const long sent =
        call.socket.send(call.descriptor, stream.out + stream.out_begin, stream.out_end - stream.out_begin);
    if (sent == kEagain || sent == 0) return kEagain;
    if (sent < 0 || static_cast<std::size_t>(sent) > stream.out_end - stream.out_begin) {
      stream.out_begin = stream.out_end = 0;
      stream.connection.write.state = DirectionState::kFailed;
      return sent < 0 ? sent : kEconnreset;
    }
    stream.out_begin += static_cast<std::uint32_t>(sent);
  }
  stream.out_begin = stream.out_end = 0;
  return 0;
}

void hold(Stream& stream, const SealResult& sealed) {
  stream.out_begin = 0;
  stream.out_end = static_cast<std::uint32_t>(sealed.record_size);
}

}  // namespace

long open_stream(const StreamCall& call, const TrafficSecrets& secrets) {
  Stream& stream = call.stream;
  begin(stream.connection, call.cipher, secrets);
  stream.taken = stream.left_size = stream.data_begin = stream.data_end = 0;
  stream.out_begin = stream.out_end = 0;
  stream.low_water = 0;
  return set_low_water(call, kSmallestRecord);
}

long fill(const StreamCall& call) {
  Stream& stream = call.stream;
  if (stream.data_begin != stream.data_end) return static_cast<long>(stream.data_end - stream.data_begin);
  if (stream.connection.read.state == DirectionState::kClosed) return 0;
  if (stream.connection.read.state == DirectionState::kFailed) return kEconnreset;
  long result = 0;
  while (open_next(call, result) == Step::kAgain) {
  }
  return result;
}

long consume(const StreamCall& call, std::size_t size) {
  Stream& stream = call.stream;
  if (size > stream.data_end - stream.data_begin) __builtin_trap();
  wipe_bytes(stream.in + stream.data_begin, size);
  stream.data_begin += static_cast<std::uint32_t>(size);
  if (stream.data_begin != stream.data_end || stream.left_size == 0) return 0;
  const std::size_t left_size = stream.left_size;
  stream.left_size = stream.data_begin = stream.data_end = 0;
  return finish_record(call, left_size);
}

long flush(const StreamCall& call) {
  Stream& stream = call.stream;
  if (const long error = send_rest(call); error != 0) return error;
  while (control_is_owed(stream.connection)) {
    hold(stream, seal_control(stream.connection, call.cipher, stream.out));
    if (const long error = send_rest(call); error != 0) return error;
  }
  return 0;
}

long prepare(const StreamCall& call) {
  const Connection& connection = call.stream.connection;
  if (const long error = flush(call); error != 0) return error;
  if (connection.write.state == DirectionState::kClosed) return kEpipe;
  if (connection.write.state == DirectionState::kFailed) return kEconnreset;
  return static_cast<long>(kLargestPlaintext);
}

long commit(const StreamCall& call, std::size_t size) {
  Stream& stream = call.stream;
  if (has_unsent(stream)) __builtin_trap();  // prepare() was not asked, or said no
  const SealResult sealed = seal_data(stream.connection, call.cipher, stream.out, size);
  if (sealed.outcome != SealOutcome::kSealed) return kEconnreset;
  hold(stream, sealed);
  const long error = send_rest(call);
  return error == 0 || error == kEagain ? static_cast<long>(size) : error;
}

long close_stream(const StreamCall& call) {
  Stream& stream = call.stream;
  if (const long error = send_rest(call); error != 0) return error;
  if (stream.connection.write.state != DirectionState::kOpen) return 0;
  const SealResult sealed = seal_close(stream.connection, call.cipher, stream.out);
  hold(stream, sealed);
  return send_rest(call);
}

long end_behind(const StreamCall& call) {
  Stream& stream = call.stream;
  const long result = close_stream(call);
  const bool is_sealed = stream.connection.write.state != DirectionState::kOpen;
  if (result != kEagain || is_sealed || sizeof(stream.out) - stream.out_end < kLargestControlRecord) return result;
  const SealResult sealed = seal_close(stream.connection, call.cipher, stream.out + stream.out_end);
  stream.out_end += static_cast<std::uint32_t>(sealed.record_size);
  return kEagain;
}

void abandon(Stream& stream) {
  wipe_bytes(stream.in, sizeof(stream.in));
  wipe_bytes(stream.out, sizeof(stream.out));
  end(stream.connection);
  stream.connection.read.state = stream.connection.write.state = DirectionState::kFailed;
  stream.taken = stream.left_size = stream.data_begin = stream.data_end = 0;
  stream.out_begin = stream.out_end = 0;
}

}  // namespace casemate::netshield
