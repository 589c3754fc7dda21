#include "casemate/cas/remote.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cas/log/proof_files.h"

namespace casemate::cas_tool {
namespace {

cas::Digest digest_of(const std::string& hex) {
  cas::Digest digest{};
  const auto bytes = crypto::from_hex(hex);
  if (bytes && bytes.value().size() == digest.size()) {
    std::copy(bytes.value().begin(), bytes.value().end(), digest.begin());
  }
  return digest;
}

std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

}  // namespace

std::string member(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? printable(found->get<std::string>()) : "";
}

std::string encoded(const std::string& name) {
  std::string text;
  for (const char c : name) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                          c == '_' || c == '-' || c == '~' || c == '/';
    char hex[4];
    std::snprintf(hex, sizeof(hex), "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
    text += is_plain ? std::string(1, c) : std::string(hex);
  }
  return text;
}

void print_problem(const RemoteAnswer& answer, const char* tool) {
  const nlohmann::json problem = nlohmann::json::parse(answer.body, nullptr, false);
  if (!problem.is_object()) {
    std::fprintf(stderr, "%s: the CAS answered with status %u\n", tool, answer.status);
    return;
  }
  std::fprintf(stderr, "%s: %s (%u)\n", tool, member(problem, "detail").c_str(), answer.status);
  if (const auto findings = problem.find("findings"); findings != problem.end() && findings->is_array()) {
    for (const auto& one : *findings) {
      if (!one.is_object()) continue;
      const std::string advice = member(one, "advice");
      std::fprintf(stderr, "  %d:%d: %s%s%s\n", one.value("line", 0), one.value("column", 0),
                   member(one, "message").c_str(), advice.empty() ? "" : "; ", advice.c_str());
    }
  }
  if (const auto lines = problem.find("explanation"); lines != problem.end() && lines->is_array()) {
    for (const auto& line : *lines) {
      if (line.is_string()) std::fprintf(stderr, "  %s\n", printable(line.get<std::string>()).c_str());
    }
  }
  const std::string advice = member(problem, "advice");
  if (!advice.empty()) std::fprintf(stderr, "  what to do: %s\n", advice.c_str());
}

Result<RemoteCas> RemoteCas::open(const RemoteOptions& options) {
  RemoteCas remote;
  remote.directory_ = options.directory.empty() ? CASEMATE_TRY(default_client_directory()) : options.directory;
  auto identity = load_identity(remote.directory_);
  if (!identity && identity.error().category() == ErrorCategory::kNotFound) {
    return Error(ErrorCategory::kNotFound, "this client has no key yet: `casemate identity` makes one");
  }
  if (!identity) return identity.error();
  remote.identity_ = std::move(identity).value();
  remote.known_ = CASEMATE_TRY(find_known(remote.directory_, options.address));
  cas::HttpClientOptions http;
  http.address = remote.known_.address;
  http.server_key = remote.known_.server_key;
  http.patience = std::chrono::seconds(options.patience_seconds);
  remote.client_ = CASEMATE_TRY(cas::HttpClient::make(http, &remote.identity_.files));
  if (auto checked = remote.check_continuity(); !checked) return checked.error();
  return remote;
}

Result<RemoteAnswer> RemoteCas::ask(const std::string& method, const std::string& target, const std::string& body,
                                    const std::string& if_match) {
  const cas::HttpAnswer answer = CASEMATE_TRY(client_->exchange(method, target, body, if_match));
  RemoteAnswer remote{answer.status, answer.body, ""};
  for (const auto& [name, value] : answer.fields) {
    if (name == "ETag" && value.size() > 2) remote.etag = value.substr(1, value.size() - 2);
  }
  return remote;
}

// A CAS whose log lost what we saw was rolled back, or is another one with a stolen key.
Result<void> RemoteCas::check_continuity() {
  if (known_.head.empty()) {
    const RemoteAnswer head = CASEMATE_TRY(ask("GET", "/v1/log/head"));
    if (!head.is_good()) return {};  // the command itself will be told why
    const cas::SignedHead parsed = CASEMATE_TRY(cas::parse_note(head.body));
    if (parsed.head.log_id != digest_of(known_.log_id)) {
      return Error(ErrorCategory::kFormat, "the CAS at " + known_.address + " has another log than the one you trust");
    }
    return keep_head(head.body);
  }
  const RemoteAnswer answer =
      CASEMATE_TRY(ask("POST", "/v1/log/consistency", nlohmann::json{{"head", known_.head}}.dump()));
  if (!answer.is_good()) {
    print_problem(answer, "casemate");
    return Error(ErrorCategory::kFormat, "the CAS at " + known_.address +
                                             " does not continue the log that this client saw; nothing was sent to it");
  }
  const cas::ConsistencyProof proof = CASEMATE_TRY(cas::parse_consistency_proof(answer.body));
  if (auto verified = cas::verify_consistency_proof(proof, digest_of(known_.log_id)); !verified) return verified;
  if (cas::to_note(proof.older) != known_.head) {
    return Error(ErrorCategory::kFormat, "the CAS proved something about another head than the one it was shown");
  }
  return keep_head(cas::to_note(proof.newer));
}

Result<void> RemoteCas::keep_head(const std::string& note) {
  if (note == known_.head) return {};
  known_.head = note;
  return remember(directory_, known_);
}

Result<std::uint64_t> RemoteCas::check_receipt(const std::string& text) {
  const cas::Receipt receipt = CASEMATE_TRY(cas::parse_receipt(text));
  const cas::Entry entry = CASEMATE_TRY(cas::verify_receipt(receipt, digest_of(known_.log_id)));
  static_cast<void>(entry);
  if (auto kept = keep_head(cas::to_note(receipt.head)); !kept) return kept.error();
  return receipt.index;
}

}  // namespace casemate::cas_tool
