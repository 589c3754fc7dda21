// A conversation with a CAS that the client trusts: the key is checked, the log must continue what was seen before, and
// what the CAS answers is told to people.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"
#include "casemate/cas/client_state.h"

namespace casemate::cas_tool {

struct RemoteOptions {
  std::string address;    // empty: the only one known
  std::string directory;  // of the client's state; empty: the default
  unsigned patience_seconds = 15;
};

// What the CAS said: a refusal is an answer, too.
struct RemoteAnswer {
  unsigned status = 0;
  std::string body;
  std::string etag;
  bool is_good() const { return status >= 200 && status < 300; }
};

// Threads: one at a time. Blocks.
class RemoteCas {
 public:
  // Errors: kNotFound (no identity, CAS not known), kFormat (another server; its log does not continue), kSystem.
  static Result<RemoteCas> open(const RemoteOptions& options);

  Result<RemoteAnswer> ask(const std::string& method, const std::string& target, const std::string& body = "",
                           const std::string& if_match = "");
  const KnownCas& known() const { return known_; }
  const Identity& identity() const { return identity_; }
  // Verifies the receipt of a change, keeps its head. Errors: kFormat.
  Result<std::uint64_t> check_receipt(const std::string& text);

 private:
  RemoteCas() = default;
  Result<void> check_continuity();
  Result<void> keep_head(const std::string& note);

  std::string directory_;
  Identity identity_;
  KnownCas known_;
  std::unique_ptr<cas::HttpClient> client_;
};

// Percent-encodes a name for the path of an address.
std::string encoded(const std::string& name);
// Prints what a refusal says: title, detail, findings, explanation, advice.
void print_problem(const RemoteAnswer& answer, const char* tool);

// A string of an answer, fit for a terminal; empty when it is not there.
std::string member(const nlohmann::json& object, const char* key);

}  // namespace casemate::cas_tool
