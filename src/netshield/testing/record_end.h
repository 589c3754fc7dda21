// One end of a connection for tests: a Connection with the buffers around it that its owner would have.
#pragma once

#include <vector>

#include "crypto/bytes.h"
#include "netshield/record/cipher_kernels.h"
#include "netshield/record/record_layer.h"

namespace casemate::netshield::testing {

using crypto::Bytes;
using crypto::ByteView;

inline std::uint8_t* octets(Bytes& bytes) { return reinterpret_cast<std::uint8_t*>(bytes.data()); }

class RecordEnd {
 public:
  RecordEnd() = default;
  explicit RecordEnd(const TrafficSecrets& secrets) { begin(connection, kKernelCipher, secrets); }

  // One sealed record of 1 to 16384 bytes. Requires: nothing is owed.
  Bytes seal_one(ByteView data) {
    Bytes record(kHeaderSize);
    crypto::append(record, data);
    record.resize(data.size() + kRecordOverhead);
    const SealResult sealed = seal_data(connection, kKernelCipher, octets(record), data.size());
    record.resize(sealed.outcome == SealOutcome::kSealed ? sealed.record_size : 0);
    return record;
  }
  // Any amount of data, and what is owed before each record.
  Bytes seal(ByteView data, std::size_t piece_size = kLargestPlaintext) {
    Bytes out = control();
    while (!data.empty()) {
      const std::size_t size = std::min(piece_size, data.size());
      crypto::append(out, seal_one(data.first(size)));
      crypto::append(out, control());
      data = data.subspan(size);
    }
    return out;
  }
  Bytes control() {
    Bytes out;
    while (control_is_owed(connection)) {
      Bytes record(kLargestControlRecord);
      record.resize(seal_control(connection, kKernelCipher, octets(record)).record_size);
      crypto::append(out, record);
    }
    return out;
  }
  Bytes close() {
    Bytes record(kLargestControlRecord);
    record.resize(seal_close(connection, kKernelCipher, octets(record)).record_size);
    return record;
  }
  // Takes bytes in any pieces; gives the data of all complete records.
  Bytes open(ByteView in) {
    crypto::append(pending, in);
    Bytes data;
    for (;;) {
      last = open_record(connection, kKernelCipher, octets(pending), pending.size());
      if (last.outcome == OpenOutcome::kTicket) ++ticket_records;
      if (last.outcome == OpenOutcome::kData) {
        crypto::append(data, ByteView(pending).subspan(kHeaderSize, last.data_size));
      }
      if (last.consumed == 0) return data;
      pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(last.consumed));
    }
  }

  Connection connection{};
  Bytes pending;
  OpenResult last{};
  unsigned ticket_records = 0;
};

}  // namespace casemate::netshield::testing
