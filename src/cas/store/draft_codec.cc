// How log rows and the state row look inside their seals (docs/formats/cas-store.md).
#include <algorithm>

#include "cas/log/cbor.h"
#include "cas/store/draft.h"

namespace casemate::cas::internal {
namespace {

constexpr std::uint64_t kStateFields = 9, kLongestNote = 16 * 1024, kMostSteps = 100'000;

Error malformed(const char* what) { return Error(ErrorCategory::kFormat, std::string("the store: ") + what); }

Result<Digest> read_digest(CborReader& in) {
  const ByteView bytes = CASEMATE_TRY(in.byte_string());
  Digest digest;
  if (bytes.size() != digest.size()) return malformed("a hash has the wrong size");
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

Result<LogKeys> read_log_keys(CborReader& in) {
  LogKeys keys;
  keys.first = CASEMATE_TRY(read_digest(in));
  const std::uint64_t count = CASEMATE_TRY(in.array(kMostSteps));
  for (std::uint64_t i = 0; i < count; ++i) {
    if (CASEMATE_TRY(in.array(3)) != 3) return malformed("a log key has the wrong form");
    KeyStep step;
    step.index = CASEMATE_TRY(in.unsigned_number());
    step.new_key = CASEMATE_TRY(read_digest(in));
    step.signature = crypto::to_bytes(CASEMATE_TRY(in.byte_string()));
    keys.steps.push_back(std::move(step));
  }
  return keys;
}

}  // namespace

Bytes encode_log_row(const LogRow& row) {
  CborWriter out;
  out.array(3);
  out.array(row.finished.size());
  for (const Digest& node : row.finished) out.byte_string(node);
  out.byte_string(row.disclosed.salt);
  out.byte_string(row.disclosed.entry);
  return out.take();
}

Result<LogRow> decode_log_row(ByteView bytes) {
  CborReader in(bytes);
  LogRow row;
  if (CASEMATE_TRY(in.array(3)) != 3) return malformed("a log row has the wrong form");
  const std::uint64_t count = CASEMATE_TRY(in.array(64));
  for (std::uint64_t i = 0; i < count; ++i) row.finished.push_back(CASEMATE_TRY(read_digest(in)));
  row.disclosed.salt = CASEMATE_TRY(read_digest(in));
  row.disclosed.entry = crypto::to_bytes(CASEMATE_TRY(in.byte_string()));
  if (auto done = in.finish(); !done) return done.error();
  return row;
}

Bytes encode_state(const State& state, std::uint64_t key_generation) {
  CborWriter out;
  out.array(kStateFields);
  out.unsigned_number(1);
  out.unsigned_number(state.batch);
  out.unsigned_number(state.next_version);
  out.byte_string(state.rows_digest);
  out.unsigned_number(state.anchor_counter);
  out.unsigned_number(key_generation);
  out.byte_string(crypto::as_byte_view(to_note(state.head)));
  out.byte_string(state.log_keys.first);
  out.array(state.log_keys.steps.size());
  for (const KeyStep& step : state.log_keys.steps) {
    out.array(3);
    out.unsigned_number(step.index);
    out.byte_string(step.new_key);
    out.byte_string(step.signature);
  }
  return out.take();
}

Result<State> decode_state(ByteView bytes, std::uint64_t& key_generation) {
  CborReader in(bytes);
  if (CASEMATE_TRY(in.array(kStateFields)) != kStateFields) return malformed("its state has the wrong form");
  if (CASEMATE_TRY(in.unsigned_number()) != 1) return malformed("its state is of a newer Casemate");
  State state;
  state.batch = CASEMATE_TRY(in.unsigned_number());
  state.next_version = CASEMATE_TRY(in.unsigned_number());
  state.rows_digest = CASEMATE_TRY(read_digest(in));
  state.anchor_counter = CASEMATE_TRY(in.unsigned_number());
  key_generation = CASEMATE_TRY(in.unsigned_number());
  const ByteView note = CASEMATE_TRY(in.byte_string());
  if (note.size() > kLongestNote) return malformed("its head is too long");
  state.head = CASEMATE_TRY(parse_note(crypto::as_text(note)));
  state.log_keys = CASEMATE_TRY(read_log_keys(in));
  if (auto done = in.finish(); !done) return done.error();
  return state;
}

}  // namespace casemate::cas::internal
