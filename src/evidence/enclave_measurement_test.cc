#include "evidence/enclave_measurement.h"

#include <gtest/gtest.h>

#include "crypto/hash.h"

namespace casemate::evidence {
namespace {

struct Stream {
  Bytes bytes;
  EnclaveRecorder::Sink sink() {
    return [this](ByteView more) { crypto::append(bytes, more); };
  }
};

TEST(EnclaveMeasurement, IsTheDigestOfTheStream) {
  Stream stream;
  EnclaveRecorder recorder(stream.sink());
  recorder.create(1, 8192);
  recorder.add_measured_page(0, kSecinfoRegular | kSecinfoRead, Bytes(kEnclavePageSize, std::byte{7}));
  recorder.add_page(4096, kSecinfoTcs);
  const Mrenclave measured = recorder.finish();
  EXPECT_EQ(measured, crypto::sha256(stream.bytes));
  const SgxsSummary summary = measure_sgxs(stream.bytes).value();
  EXPECT_EQ(summary.mr_enclave, measured);
  EXPECT_EQ(summary.size, 8192U);
  EXPECT_EQ(summary.page_count, 2U);
  EXPECT_EQ(summary.measured_chunk_count, 16U);
}

// The records as the SDM lays them out, written by hand.
TEST(EnclaveMeasurement, WritesTheRecordsOfTheManual) {
  Stream stream;
  EnclaveRecorder recorder(stream.sink());
  recorder.create(2, 0x10000);
  recorder.add_page(0x3000, 0x203);
  recorder.extend(0x3100, Bytes(kEnclaveChunkSize, std::byte{0xaa}));
  std::string expected =
      "4543524541544500"
      "02000000"
      "0000010000000000" +
      std::string(88, '0');
  expected +=
      "4541444400000000"
      "0030000000000000"
      "0302000000000000" +
      std::string(80, '0');
  expected +=
      "45455854454e4400"
      "0031000000000000" +
      std::string(96, '0');
  for (std::size_t i = 0; i < kEnclaveChunkSize; ++i) expected += "aa";
  EXPECT_EQ(crypto::to_hex(stream.bytes), expected);
}

TEST(MeasureSgxs, LeavesUnmeasuredDataOut) {
  Stream plain;
  EnclaveRecorder recorder(plain.sink());
  recorder.create(1, 8192);
  recorder.add_page(0, kSecinfoRegular);
  Bytes with_data = plain.bytes;
  crypto::append(with_data, crypto::as_byte_view("UNMEASRD"));
  with_data.resize(with_data.size() + 56 + kEnclaveChunkSize);
  EXPECT_EQ(measure_sgxs(with_data).value().mr_enclave, measure_sgxs(plain.bytes).value().mr_enclave);
}

Bytes stream_of(const std::function<void(EnclaveRecorder&)>& build) {
  Stream stream;
  EnclaveRecorder recorder(stream.sink());
  build(recorder);
  return stream.bytes;
}

TEST(MeasureSgxs, RefusesWhatNoProcessorWouldTake) {
  const Bytes chunk(kEnclaveChunkSize);
  const Bytes streams[] = {
      {},
      stream_of([](EnclaveRecorder& recorder) { recorder.add_page(0, 1); }),
      stream_of([](EnclaveRecorder& recorder) { recorder.create(1, 4096); }),
      stream_of([](EnclaveRecorder& recorder) { recorder.create(1, 12288); }),
      stream_of([](EnclaveRecorder& recorder) {
        recorder.create(1, 8192);
        recorder.create(1, 8192);
      }),
      stream_of([](EnclaveRecorder& recorder) {
        recorder.create(1, 8192);
        recorder.add_page(8192, 1);
      }),
      stream_of([](EnclaveRecorder& recorder) {
        recorder.create(1, 8192);
        recorder.add_page(100, 1);
      }),
      stream_of([&](EnclaveRecorder& recorder) {
        recorder.create(1, 8192);
        recorder.extend(0, chunk);
      }),
      stream_of([&](EnclaveRecorder& recorder) {
        recorder.create(1, 8192);
        recorder.add_page(0, 1);
        recorder.extend(4096, chunk);
      }),
      Bytes(64, std::byte{'A'}),
  };
  for (const Bytes& stream : streams) EXPECT_FALSE(measure_sgxs(stream)) << crypto::to_hex(stream).substr(0, 200);
}

TEST(MeasureSgxs, RefusesStreamsCutWithinARecord) {
  const Bytes whole = stream_of([](EnclaveRecorder& recorder) {
    recorder.create(1, 8192);
    recorder.add_measured_page(0, 1, Bytes(kEnclavePageSize));
  });
  for (std::size_t size : {std::size_t{1}, std::size_t{63}, std::size_t{65}, whole.size() - 1}) {
    EXPECT_FALSE(measure_sgxs(ByteView(whole).first(size))) << size;
  }
}

}  // namespace
}  // namespace casemate::evidence
