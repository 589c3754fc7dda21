// `casemate cas claim|trust|status|backup|audit|share-key|why`: what owners and clients do.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cas/api/client_api.h"
#include "casemate/cas/cas_options.h"
#include "casemate/cas/remote.h"
#include "casemate/subcommands.h"
#include "crypto/key_agreement.h"
#include "crypto/secret.h"

namespace casemate::cas_tool {
namespace {

Result<std::string> directory_of(const Options& options) {
  if (!options.client_directory.empty()) return options.client_directory;
  return default_client_directory();
}

int refused(const RemoteAnswer& answer) {
  print_problem(answer, "casemate cas");
  return cli::kExitNo;
}

Result<int> write_out(const std::string& path, const std::string& text) {
  if (path.empty()) {
    std::fputs(text.c_str(), stdout);
    return 0;
  }
  if (auto written = replace_private_file(path, text); !written) return written.error();
  return 0;
}

bool is_hash(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Result<RemoteCas> remote_of(const Options& options) {
  return RemoteCas::open({options.address, options.client_directory, 15});
}

}  // namespace

// The token never leaves: both sides prove that they know it, bound to the server's key and ours, so whoever stands in
// between with another key cannot pass the proofs on.
Result<int> claim(const Options& options) {
  const std::string directory = CASEMATE_TRY(directory_of(options));
  bool is_new = false;
  const Identity identity = CASEMATE_TRY(load_or_make_identity(directory, is_new));
  std::string token = CASEMATE_TRY(read_private_file(options.token_file));
  while (!token.empty() && token.back() == '\n') token.pop_back();
  cas::HttpClientOptions http;
  http.address = options.address;
  const auto client = CASEMATE_TRY(cas::HttpClient::make(http, &identity.files));
  const cas::HttpAnswer seen = CASEMATE_TRY(client->exchange("GET", "/v1/status", ""));
  const auto facts = nlohmann::json::parse(seen.body, nullptr, false);
  const std::string log_id = facts.is_object() ? member(facts, "log_id") : "";
  if (!is_hash(log_id)) return Error(ErrorCategory::kFormat, options.address + " does not answer as a CAS does");
  const std::string key = client->server_key();
  const std::string proof =
      CASEMATE_TRY(cas::claim_proof(token, cas::ClaimSide::kClient, key, identity.key_hash, log_id));
  const cas::HttpAnswer answer =
      CASEMATE_TRY(client->exchange("POST", "/v1/claim", nlohmann::json{{"proof", proof}}.dump()));
  if (answer.status != 200) return refused({answer.status, answer.body, ""});
  const auto claimed = nlohmann::json::parse(answer.body, nullptr, false);
  const std::string wanted =
      CASEMATE_TRY(cas::claim_proof(token, cas::ClaimSide::kServer, key, identity.key_hash, log_id));
  const std::string given = claimed.is_object() ? member(claimed, "proof") : "";
  if (!crypto::equal_in_constant_time(crypto::as_byte_view(wanted), crypto::as_byte_view(given))) {
    return Error(ErrorCategory::kFormat, "whoever answers at " + options.address +
                                             " does not know the claim token: it is "
                                             "not that CAS; nothing was trusted");
  }
  if (auto kept = remember(directory, {options.address, key, log_id, ""}); !kept) return kept.error();
  std::printf("claimed: this client (key %s) owns the CAS at %s\nserver key %s\nlog id %s\n", identity.key_hash.c_str(),
              options.address.c_str(), key.c_str(), log_id.c_str());
  return 0;
}

Result<int> trust(const Options& options) {
  if (!is_hash(options.server_key) || !is_hash(options.log_id)) {
    return Error(ErrorCategory::kUsage, "--server-key and --log-id are 64 hex digits, which the CAS's owner tells you");
  }
  const std::string directory = CASEMATE_TRY(directory_of(options));
  bool is_new = false;
  const Identity identity = CASEMATE_TRY(load_or_make_identity(directory, is_new));
  if (auto kept = remember(directory, {options.address, options.server_key, options.log_id, ""}); !kept) {
    return kept.error();
  }
  const RemoteCas remote = CASEMATE_TRY(remote_of(options));
  std::printf("trusted: %s; this client's key is %s\n", options.address.c_str(), identity.key_hash.c_str());
  return 0;
}

Result<int> status(const Options& options) {
  const std::string directory = CASEMATE_TRY(directory_of(options));
  const bool is_known = find_known(directory, options.address).has_value();
  std::string body;
  if (is_known) {
    RemoteCas remote = CASEMATE_TRY(remote_of(options));
    const RemoteAnswer answer = CASEMATE_TRY(remote.ask("GET", "/v1/status"));
    if (!answer.is_good()) return refused(answer);
    body = answer.body;
  } else {
    if (options.address.empty()) return find_known(directory, "").error();
    cas::HttpClientOptions http;
    http.address = options.address;
    const auto client = CASEMATE_TRY(cas::HttpClient::make(http, nullptr));
    body = CASEMATE_TRY(client->exchange("GET", "/v1/status", "")).body;
    std::fprintf(stderr, "casemate cas: NOT VERIFIED: this CAS is not known to this client; its key is %s\n",
                 client->server_key().c_str());
  }
  const auto facts = nlohmann::ordered_json::parse(body, nullptr, false);
  if (!facts.is_object()) return Error(ErrorCategory::kFormat, options.address + " does not answer as a CAS does");
  if (options.json) {
    std::printf("%s\n", facts.dump(2).c_str());
    return 0;
  }
  for (const auto& [name, value] : facts.items()) {
    std::printf("%-16s %s\n", name.c_str(),
                value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
  }
  return 0;
}

Result<int> backup(const Options& options) {
  RemoteCas remote = CASEMATE_TRY(remote_of(options));
  const nlohmann::json body = {{"holders", options.holders}, {"threshold", options.threshold}};
  const RemoteAnswer answer = CASEMATE_TRY(remote.ask("POST", "/v1/backups", body.dump()));
  if (!answer.is_good()) return refused(answer);
  const auto made = nlohmann::json::parse(answer.body, nullptr, false);
  std::printf("%s\n", made.is_object() ? member(made, "path").c_str() : "");
  std::fprintf(stderr, "casemate cas: on the machine of the CAS; %u of %zu holders restore it: casemate cas restore\n",
               options.threshold, options.holders.size());
  return 0;
}

Result<int> audit(const Options& options) {
  RemoteCas remote = CASEMATE_TRY(remote_of(options));
  const RemoteAnswer answer = CASEMATE_TRY(remote.ask("GET", "/v1/log/export"));
  if (!answer.is_good()) return refused(answer);
  const cas::LogExport log = CASEMATE_TRY(cas::parse_export(answer.body));
  const cas::Digest id = cas::digest_from_hex(remote.known().log_id);
  if (auto verified = cas::verify_export(log, id); !verified) return verified.error();
  const cas::SignedHead kept = CASEMATE_TRY(cas::parse_note(remote.known().head));
  if (auto continues = cas::verify_continues(log, kept); !continues) return continues.error();
  if (!options.output.empty()) {
    const int written = CASEMATE_TRY(write_out(options.output, answer.body));
    std::fprintf(stderr, "verified: %zu entries; `casemate log verify --entries %s` shows them\n", log.leaves.size(),
                 options.output.c_str());
    return written;
  }
  for (std::size_t index = 0; index < log.leaves.size(); ++index) {
    if (!log.leaves[index].disclosed) continue;
    const cas::Entry entry = CASEMATE_TRY(cas::decode_entry(log.leaves[index].disclosed->entry));
    std::printf("%zu %s\n", index, cas::entry_type_name(entry));
    for (const auto& [name, value] : cas::describe_entry(entry)) std::printf("  %s: %s\n", name.c_str(), value.c_str());
  }
  return 0;
}

Result<int> why(const Options& options) {
  RemoteCas remote = CASEMATE_TRY(remote_of(options));
  const RemoteAnswer answer = CASEMATE_TRY(remote.ask("GET", "/v1/refusals/" + encoded(options.reference)));
  if (!answer.is_good()) return refused(answer);
  const auto refusal = nlohmann::ordered_json::parse(answer.body, nullptr, false);
  if (!refusal.is_object()) return Error(ErrorCategory::kFormat, "the CAS does not answer as a CAS does");
  if (options.json) {
    std::printf("%s\n", refusal.dump(2).c_str());
    return 0;
  }
  for (const auto& [name, value] : refusal.items()) {
    const std::string text = member(refusal, name.c_str());
    if (!text.empty()) std::printf("%-10s %s\n", name.c_str(), text.c_str());
  }
  return 0;
}

Result<int> share_key(const Options& options) {
  if (read_private_file(options.output)) {
    return Error(ErrorCategory::kUsage, options.output + " exists: a share key is never overwritten");
  }
  const crypto::AgreementKey key = CASEMATE_TRY(crypto::AgreementKey::generate());
  std::string pem = key.to_pem();
  const auto written = replace_private_file(options.output, pem);
  crypto::wipe(std::as_writable_bytes(std::span<char>(pem)));
  if (!written) return written.error();
  std::printf("%s\n", crypto::to_hex(key.public_key()).c_str());
  return 0;
}

}  // namespace casemate::cas_tool
