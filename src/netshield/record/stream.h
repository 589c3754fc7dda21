// A shielded connection on a stream socket: what a program's read and write become, between its bytes and the kernel's.
//
// The end of a record stays in the kernel's receive buffer until the program has taken all of its data: it is looked at
// with MSG_PEEK, and taken away with MSG_TRUNC afterwards. While a record is incomplete, what is there of it is taken
// out (a peer's window must not close over it), and SO_RCVLOWAT says how many bytes complete it. So the kernel's own
// readiness is true for poll, select and all kinds of epoll, also in other processes: readable means that data, the end
// or an error can be had now (or a record without data, which is rare), and nothing that can be had waits unseen. Linux
// wakes and gives an edge when the low-water mark is lowered to what is there.
//
// What a hostile network or peer can do here -> what we answer
//   break the record layer's rules   -> record_layer.h; the program gets ECONNRESET, now and later; an alert goes out
//   cut the connection, also within a record -> ECONNRESET, never the end of file
//   send records slowly              -> nobody waits for the rest of one but those who wait for data
//   take nothing                     -> EAGAIN to the program after at most one record that is kept here
//
// TCP only: unix sockets know neither SO_RCVLOWAT nor MSG_TRUNC. The owner keeps SO_RCVBUF at kLeastReceiveBuffer or
// more, so that a whole record fits.
//
// Freestanding, plain data without pointers (record_cipher.h). Threads and processes: the owner's lock around every
// call; a holder that died within leaves the connection unusable (abandon()). Blocks: never.
#pragma once

#include "netshield/record/record_layer.h"

namespace casemate::netshield {

// The kernel's calls on the socket; results are counts or negative errno. None may block or raise SIGPIPE.
struct StreamSocket {
  long (*peek)(int descriptor, std::uint8_t* bytes, std::size_t size);
  long (*discard)(int descriptor, std::size_t size);
  long (*send)(int descriptor, const std::uint8_t* bytes, std::size_t size);
  long (*set_low_water)(int descriptor, std::size_t size);
};

inline constexpr std::size_t kSmallestRecord = kRecordOverhead;
inline constexpr std::size_t kLeastReceiveBuffer = 128 * 1024;  // as SO_RCVBUF tells it

struct Stream {
  Connection connection;
  std::uint32_t low_water;  // that the kernel was told
  std::uint32_t taken;      // bytes of the record under way that are in `in` and no longer in the kernel
  std::uint32_t left_size;  // of the open record: its end, at the front of the kernel's buffer; 0: none is open
  std::uint32_t is_last;    // nothing stood behind it when it was looked at: what comes later wakes by itself
  std::uint32_t data_begin, data_end;  // what the program has not taken of it, in `in`
  std::uint32_t out_begin, out_end;    // what the kernel has not taken of a sealed record, in `out`
  std::uint8_t in[kLargestRecord];
  std::uint8_t out[kLargestRecord];
};
static_assert(sizeof(Stream) <= 36 * 1024);

// What a call on a stream needs.
struct StreamCall {
  Stream& stream;
  const RecordCipher& cipher;
  const StreamSocket& socket;
  int descriptor;
};

// The handshake is complete, and nothing behind it was taken from the socket. 0 or a negative errno.
[[nodiscard]] long open_stream(const StreamCall& call, const TrafficSecrets& secrets);

// Makes data available: > 0 bytes at data_of(); 0: the end, in order; -EAGAIN; -ECONNRESET or the kernel's error.
[[nodiscard]] long fill(const StreamCall& call);
inline const std::uint8_t* data_of(const Stream& stream) { return stream.in + stream.data_begin; }
// The program has taken `size` of the bytes that fill() reported. 0, or -ECONNRESET when the kernel's buffer is not
// what it was.
[[nodiscard]] long consume(const StreamCall& call, std::size_t size);

// Room for the data of one record, once the way is free: first goes what is left of the last record, and what is owed.
// kLargestPlaintext bytes at room_of(); -EAGAIN; -EPIPE after our close; -ECONNRESET or the kernel's error.
[[nodiscard]] long prepare(const StreamCall& call);
inline std::uint8_t* room_of(Stream& stream) { return stream.out + kHeaderSize; }
// Seals 1 to kLargestPlaintext bytes that stand there, and sends what the kernel takes. They count as written: what is
// left goes out by flush(). `size`, or the kernel's error, after which the connection is broken.
[[nodiscard]] long commit(const StreamCall& call, std::size_t size);

// 0 when nothing is left to send; -EAGAIN: wait until the socket is writable; the kernel's error.
[[nodiscard]] long flush(const StreamCall& call);
inline bool has_unsent(const Stream& stream) { return stream.out_begin != stream.out_end; }

// Ends our direction in order (close_notify), behind everything written. As flush(); may be repeated.
[[nodiscard]] long close_stream(const StreamCall& call);
// The same for the last caller: when the way is blocked, the end is sealed behind what is left, so that whoever sends
// the bytes of `out` needs no key. As flush().
[[nodiscard]] long end_behind(const StreamCall& call);
// read(2): takes what is there, over as many records as fit, so that a short count means that nothing more is there (as
// programs with edge-triggered epoll rely on). `copy(offset, bytes, size)` gives bytes to the program: 0 or a negative
// errno, which ends the call. The count, 0 at the end, or the errno when there was nothing.
template <typename Copy>
[[nodiscard]] long read_stream(const StreamCall& call, std::size_t size, Copy copy) {
  std::size_t done = 0;
  while (done < size) {
    const bool is_fresh = call.stream.data_begin == call.stream.data_end;
    const long there = fill(call);
    if (there <= 0) return done != 0 ? static_cast<long>(done) : there;
    const std::size_t part =
        size - done < static_cast<std::size_t>(there) ? size - done : static_cast<std::size_t>(there);
    if (const long error = copy(done, data_of(call.stream), part); error != 0) {
      return done != 0 ? static_cast<long>(done) : error;
    }
    done += part;
    const bool is_last = is_fresh && call.stream.is_last != 0 && part == static_cast<std::size_t>(there);
    // The bytes are the program's already; what is wrong with the socket will be said next time.
    if (consume(call, part) != 0 || is_last) break;
  }
  return static_cast<long>(done);
}

// write(2) without waiting: `copy(offset, bytes, size)` fetches bytes of the program's. The count of bytes that were
// sealed, or the errno when there were none.
template <typename Copy>
[[nodiscard]] long write_stream(const StreamCall& call, std::size_t size, Copy copy) {
  std::size_t done = 0;
  while (done < size) {
    const long room = prepare(call);
    if (room < 0) return done != 0 ? static_cast<long>(done) : room;
    const std::size_t part =
        size - done < static_cast<std::size_t>(room) ? size - done : static_cast<std::size_t>(room);
    long result = copy(done, room_of(call.stream), part);
    if (result == 0) result = commit(call, part);
    if (result < 0) return done != 0 ? static_cast<long>(done) : result;
    done += part;
  }
  return static_cast<long>(done);
}

// After the death of a holder of the lock: both directions fail from now on.
void abandon(Stream& stream);

}  // namespace casemate::netshield
