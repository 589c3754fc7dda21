#include "evidence/enclave_measurement.h"

#include <bit>

namespace casemate::evidence {
namespace {

constexpr std::string_view kCreate{"ECREATE\0", 8}, kAdd{"EADD\0\0\0\0", 8}, kExtend{"EEXTEND\0", 8},
    kUnmeasured{"UNMEASRD", 8};
constexpr std::uint64_t kSmallestEnclave = 2 * kEnclavePageSize;

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "sgxs stream: " + what); }

// Walks a stream and keeps what later records are checked against.
class SgxsReader {
 public:
  explicit SgxsReader(ByteView stream) : reader_(stream, "sgxs stream") {}

  Result<SgxsSummary> run() {
    while (reader_.left() != 0) {
      const ByteView record = CASEMATE_TRY(reader_.take(kMeasurementRecordSize));
      if (Result<void> taken = take_record(record); !taken) return taken.error();
    }
    if (summary_.size == 0) return malformed("no ECREATE record");
    summary_.mr_enclave = hash_.finish();
    return summary_;
  }

 private:
  Result<void> take_record(ByteView record) {
    const std::string_view tag = crypto::as_text(record.first(8));
    if (tag == kCreate) return take_create(record);
    if (summary_.size == 0) return malformed("the first record is not ECREATE");
    if (tag == kAdd) return take_add(record);
    if (tag == kExtend) return take_data(record, Measured::kYes);
    if (tag == kUnmeasured) return take_data(record, Measured::kNo);
    return malformed("unknown record");
  }

  Result<void> take_create(ByteView record) {
    const FieldView view(record);
    if (summary_.size != 0) return malformed("ECREATE twice");
    const auto size = view.number<std::uint64_t>(12);
    if (!std::has_single_bit(size) || size < kSmallestEnclave) return malformed("SIZE is no power of two from 8192");
    if (!view.is_zero(20, 44)) return malformed("ECREATE with something behind SIZE");
    summary_.size = size;
    summary_.ssa_frame_page_count = view.number<std::uint32_t>(8);
    hash_.update(record);
    return {};
  }

  Result<void> take_add(ByteView record) {
    const FieldView view(record);
    const auto offset = view.number<std::uint64_t>(8);
    if (offset % kEnclavePageSize != 0 || offset >= summary_.size) return malformed("EADD at a wrong offset");
    page_ = offset;
    ++summary_.page_count;
    hash_.update(record);
    return {};
  }

  enum class Measured { kYes, kNo };
  Result<void> take_data(ByteView record, Measured measured) {
    const auto offset = FieldView(record).number<std::uint64_t>(8);
    if (offset % kEnclaveChunkSize != 0 || offset / kEnclavePageSize * kEnclavePageSize != page_) {
      return malformed("data outside of the page that was added last");
    }
    const ByteView chunk = CASEMATE_TRY(reader_.take(kEnclaveChunkSize));
    if (measured == Measured::kNo) return {};
    if (!FieldView(record).is_zero(16, 48)) return malformed("EEXTEND with something behind its offset");
    ++summary_.measured_chunk_count;
    hash_.update(record);
    hash_.update(chunk);
    return {};
  }

  ByteReader reader_;
  crypto::Sha256 hash_;
  SgxsSummary summary_;
  std::uint64_t page_ = UINT64_MAX;
};

Bytes record_of(std::string_view tag) {
  Bytes record = crypto::to_bytes(crypto::as_byte_view(tag));
  record.reserve(kMeasurementRecordSize);
  return record;
}

}  // namespace

void EnclaveRecorder::emit(ByteView bytes) {
  hash_.update(bytes);
  if (sink_) sink_(bytes);
}

void EnclaveRecorder::create(std::uint32_t ssa_frame_page_count, std::uint64_t size) {
  Bytes record = record_of(kCreate);
  append_number(record, ssa_frame_page_count);
  append_number(record, size);
  record.resize(kMeasurementRecordSize);
  emit(record);
}

void EnclaveRecorder::add_page(std::uint64_t offset, std::uint64_t secinfo_flags) {
  Bytes record = record_of(kAdd);
  append_number(record, offset);
  append_number(record, secinfo_flags);
  record.resize(kMeasurementRecordSize);
  emit(record);
}

void EnclaveRecorder::extend(std::uint64_t offset, ByteView chunk) {
  Bytes record = record_of(kExtend);
  append_number(record, offset);
  record.resize(kMeasurementRecordSize);
  emit(record);
  emit(chunk);
}

void EnclaveRecorder::add_measured_page(std::uint64_t offset, std::uint64_t secinfo_flags, ByteView page) {
  add_page(offset, secinfo_flags);
  for (std::size_t chunk = 0; chunk < kEnclavePageSize; chunk += kEnclaveChunkSize) {
    extend(offset + chunk, page.subspan(chunk, kEnclaveChunkSize));
  }
}

Result<SgxsSummary> measure_sgxs(ByteView stream) { return SgxsReader(stream).run(); }

}  // namespace casemate::evidence
