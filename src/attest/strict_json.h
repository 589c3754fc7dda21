// JSON of others, read strictly: no duplicate keys, bounded depth and size, fields of the right type or an error.
// Signatures over JSON cover bytes, so the exact text of a member can be had, too.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "attest/moment.h"
#include "base/result.h"
#include "crypto/bytes.h"

namespace casemate::attest {

using Json = nlohmann::json;

// Errors: kFormat. Collateral is some 20 KiB; texts beyond 1 MiB are refused.
Result<Json> parse_strict_json(std::string_view text);

// The exact bytes of the value of member `key` of the top-level object. `text` must have passed parse_strict_json.
Result<std::string_view> raw_member(std::string_view text, std::string_view key);

// Members of an object, with errors that name them. The object must outlive the reader.
class JsonReader {
 public:
  // `what` names the object in errors.
  static Result<JsonReader> of(const Json& object, std::string what);

  bool has(const char* key) const { return object_->contains(key); }
  Result<std::string> text(const char* key) const;
  // From 0 to `maximum`.
  Result<std::uint64_t> number(const char* key, std::uint64_t maximum) const;
  Result<Moment> moment(const char* key) const;
  Result<crypto::Bytes> hex(const char* key, std::size_t size) const;
  Result<const Json*> array(const char* key) const;
  Result<const Json*> object(const char* key) const;
  // An array of texts; absent means empty.
  Result<std::vector<std::string>> texts(const char* key) const;

 private:
  JsonReader(const Json& object, std::string what) : object_(&object), what_(std::move(what)) {}
  Error wrong(const char* key, const char* expected) const;

  const Json* object_;
  std::string what_;
};

}  // namespace casemate::attest
