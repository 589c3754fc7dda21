// MRENCLAVE: SHA-256 over the records that ECREATE, EADD and EEXTEND append (Intel SDM vol. 3D, chapter 38), and the
// ".sgxs" stream, which is exactly these records (plus UNMEASRD ones, which the hash leaves out).
#pragma once

#include <functional>

#include "crypto/hash.h"
#include "evidence/byte_reader.h"

namespace casemate::evidence {

inline constexpr std::size_t kEnclavePageSize = 4096, kEnclaveChunkSize = 256, kMeasurementRecordSize = 64;

// SECINFO flags.
inline constexpr std::uint64_t kSecinfoRead = 0x1, kSecinfoWrite = 0x2, kSecinfoExecute = 0x4, kSecinfoTcs = 0x100,
                               kSecinfoRegular = 0x200;

using Mrenclave = FixedBytes<32>;

// Writes the records of an enclave that is being built. The sink sees the stream piece by piece, and the measurement is
// the stream's SHA-256. Calls must come in the order in which the enclave is built.
class EnclaveRecorder {
 public:
  using Sink = std::function<void(ByteView)>;
  explicit EnclaveRecorder(Sink sink = {}) : sink_(std::move(sink)) {}

  void create(std::uint32_t ssa_frame_page_count, std::uint64_t size);
  void add_page(std::uint64_t offset, std::uint64_t secinfo_flags);
  // Requires: kEnclaveChunkSize bytes.
  void extend(std::uint64_t offset, ByteView chunk);
  // EADD and all 16 EEXTEND of a page. Requires: kEnclavePageSize bytes.
  void add_measured_page(std::uint64_t offset, std::uint64_t secinfo_flags, ByteView page);
  // Ends the object's life.
  Mrenclave finish() { return hash_.finish(); }

 private:
  void emit(ByteView bytes);

  Sink sink_;
  crypto::Sha256 hash_;
};

struct SgxsSummary {
  Mrenclave mr_enclave{};
  std::uint64_t size = 0;
  std::uint32_t ssa_frame_page_count = 0;
  std::uint64_t page_count = 0, measured_chunk_count = 0;
};

// Errors: kFormat for unknown, misplaced or cut-off records, offsets off their grid or outside of SIZE, data for a page
// that was not added.
Result<SgxsSummary> measure_sgxs(ByteView stream);

}  // namespace casemate::evidence
