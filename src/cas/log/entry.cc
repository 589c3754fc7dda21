// Three visitors over entry_fields.h: one writes, one reads, one shows.
#include "cas/log/entry.h"

#include <array>

#include "cas/log/cbor.h"
#include "cas/log/entry_fields.h"

namespace casemate::cas {
namespace {

using internal::visit_fields;

constexpr std::uint64_t kVersion = 1;
constexpr std::uint64_t kMostElements = 1024, kMostFields = 64;
constexpr std::uint64_t kVersionField = 1, kTypeField = 2, kTimeField = 3, kEpochField = 4;

constexpr std::array kTypeNames = {
    "log-created",     "session-change",     "verdict",        "release",  "key-rotation",
    "secret-rotation", "revocation",         "epoch-begun",    "refusals", "owner-claim",
    "approval-given",  "certificate-issued", "administration",
};
static_assert(kTypeNames.size() == std::variant_size_v<EntryBody>);

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "log entry: " + what); }

// --- writing -------------------------------------------------------------------------------------------------------

class FieldWriter {
 public:
  template <typename T>
  void operator()(std::uint64_t number, const char*, const T& value) {
    if (!is_present(value)) return;
    fields_.unsigned_number(number);
    write(fields_, value);
    ++count_;
  }
  Bytes finish() const {
    CborWriter whole;
    whole.map(count_);
    whole.raw(fields_.bytes());
    return whole.take();
  }

 private:
  template <typename T>
  static bool is_present(const T&) {
    return true;
  }
  static bool is_present(const std::optional<Digest>& value) { return value.has_value(); }

  static void write(CborWriter& out, std::uint64_t value) { out.unsigned_number(value); }
  static void write(CborWriter& out, const std::string& value) { out.text_string(value); }
  static void write(CborWriter& out, const Digest& value) { out.byte_string(value); }
  static void write(CborWriter& out, const Bytes& value) { out.byte_string(value); }
  static void write(CborWriter& out, const std::optional<Digest>& value) { out.byte_string(*value); }
  static void write(CborWriter& out, const Approval& value) {
    FieldWriter inner;
    visit_fields(inner, value);
    out.raw(inner.finish());
  }
  template <typename T>
  static void write(CborWriter& out, const std::vector<T>& values) {
    out.array(values.size());
    for (const T& value : values) write(out, value);
  }

  CborWriter fields_;
  std::uint64_t count_ = 0;
};

// --- reading -------------------------------------------------------------------------------------------------------

// Visits a map's fields in order. The first error stays; what comes behind it is left alone.
class FieldReader {
 public:
  FieldReader(CborReader& in, std::uint64_t count) : in_(in), left_(count) {}

  template <typename T>
  void operator()(std::uint64_t number, const char* name, T& value) {
    if (error_) return;
    const auto key = next_key();
    if (!key || *key != number) {
      if (!error_ && !is_optional(value)) error_ = malformed(std::string("field ") + name + " is missing");
      return;
    }
    key_.reset();
    --left_;
    if (const auto done = read(value); !done) error_ = done.error().with_context(name);
  }

  Result<void> finish() const {
    if (error_) return *error_;
    if (left_ != 0) return malformed("unknown field");
    return {};
  }

 private:
  template <typename T>
  static bool is_optional(const T&) {
    return false;
  }
  static bool is_optional(const std::optional<Digest>&) { return true; }

  // The key of the next field, read once.
  std::optional<std::uint64_t> next_key() {
    if (key_ || left_ == 0) return key_;
    auto key = in_.unsigned_number();
    if (!key) {
      error_ = key.error();
      return std::nullopt;
    }
    key_ = key.value();
    return key_;
  }

  Result<void> read(std::uint64_t& value) {
    value = CASEMATE_TRY(in_.unsigned_number());
    return {};
  }
  Result<void> read(std::string& value) {
    value = std::string(CASEMATE_TRY(in_.text_string()));
    return {};
  }
  Result<void> read(Bytes& value) {
    value = crypto::to_bytes(CASEMATE_TRY(in_.byte_string()));
    return {};
  }
  Result<void> read(Digest& value) {
    const ByteView bytes = CASEMATE_TRY(in_.byte_string());
    if (bytes.size() != value.size()) return malformed("a digest has 32 bytes");
    std::copy(bytes.begin(), bytes.end(), value.begin());
    return {};
  }
  Result<void> read(std::optional<Digest>& value) { return read(value.emplace()); }
  Result<void> read(Approval& value) {
    const std::uint64_t count = CASEMATE_TRY(in_.map(kMostFields));
    FieldReader inner(in_, count);
    visit_fields(inner, value);
    return inner.finish();
  }
  template <typename T>
  Result<void> read(std::vector<T>& values) {
    const std::uint64_t count = CASEMATE_TRY(in_.array(kMostElements));
    for (std::uint64_t i = 0; i < count; ++i) {
      if (auto done = read(values.emplace_back()); !done) return done;
    }
    return {};
  }

  CborReader& in_;
  std::uint64_t left_;
  std::optional<std::uint64_t> key_;
  std::optional<Error> error_;
};

// A body of the type with this index; nothing when there is no such type.
template <std::size_t kIndex = 0>
std::optional<EntryBody> make_body(std::uint64_t index) {
  if constexpr (kIndex == std::variant_size_v<EntryBody>) {
    return std::nullopt;
  } else {
    if (index == kIndex) return EntryBody(std::in_place_index<kIndex>);
    return make_body<kIndex + 1>(index);
  }
}

// --- showing -------------------------------------------------------------------------------------------------------

class FieldPrinter {
 public:
  template <typename T>
  void operator()(std::uint64_t, const char* name, const T& value) {
    lines.emplace_back(name, text_of(value));
  }

  std::vector<std::pair<std::string, std::string>> lines;

 private:
  static std::string text_of(std::uint64_t value) { return std::to_string(value); }
  static std::string text_of(const std::string& value) { return value; }
  static std::string text_of(const Digest& value) { return crypto::to_hex(value); }
  static std::string text_of(const Bytes& value) { return crypto::to_hex(value); }
  static std::string text_of(const std::optional<Digest>& value) { return value ? crypto::to_hex(*value) : "none"; }
  static std::string text_of(const Approval& value) {
    return value.decision + " by " + crypto::to_hex(value.key) + " until " + std::to_string(value.not_after_time);
  }
  template <typename T>
  static std::string text_of(const std::vector<T>& values) {
    std::string text;
    for (const T& value : values) text += (text.empty() ? "" : ", ") + text_of(value);
    return text.empty() ? "none" : text;
  }
};

}  // namespace

Result<Bytes> encode_entry(const Entry& entry) {
  FieldWriter fields;
  fields(kVersionField, "version", kVersion);
  fields(kTypeField, "type", std::uint64_t{entry.body.index() + 1});
  fields(kTimeField, "time", entry.time);
  fields(kEpochField, "epoch", entry.epoch);
  std::visit([&](const auto& body) { visit_fields(fields, body); }, entry.body);
  Bytes encoded = fields.finish();
  // What cannot be read back must not get into the log: it could never be shown to anybody.
  if (const auto readable = decode_entry(encoded); !readable) {
    return Error(ErrorCategory::kUsage, "cannot be logged: " + readable.error().message());
  }
  return encoded;
}

Result<Entry> decode_entry(ByteView encoded) {
  if (encoded.size() > kLargestEntry) return malformed("larger than 64 KiB");
  CborReader in(encoded);
  const std::uint64_t count = CASEMATE_TRY(in.map(kMostFields));
  FieldReader fields(in, count);
  std::uint64_t version = kVersion, type = 0;
  Entry entry;
  fields(kVersionField, "version", version);
  fields(kTypeField, "type", type);
  fields(kTimeField, "time", entry.time);
  fields(kEpochField, "epoch", entry.epoch);
  if (version != kVersion) return malformed("version " + std::to_string(version) + " is unknown");
  auto body = make_body(type - 1);
  if (!body) return malformed("type " + std::to_string(type) + " is unknown");
  entry.body = std::move(*body);
  std::visit([&](auto& chosen) { visit_fields(fields, chosen); }, entry.body);
  if (auto done = fields.finish(); !done) return done.error();
  if (auto done = in.finish(); !done) return done.error();
  return entry;
}

const char* entry_type_name(const Entry& entry) { return kTypeNames[entry.body.index()]; }

std::vector<std::pair<std::string, std::string>> describe_entry(const Entry& entry) {
  FieldPrinter printer;
  std::visit([&](const auto& body) { visit_fields(printer, body); }, entry.body);
  return std::move(printer.lines);
}

}  // namespace casemate::cas
