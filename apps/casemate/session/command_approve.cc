// `casemate session sign` and `verify-approval`: approvals made and judged offline.
//
// The signer never trusts what somebody else says about a change: hash and difference are computed here from the texts,
// and the difference is shown before anything is signed.
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "casemate/session/session_files.h"
#include "casemate/subcommands.h"
#include "crypto/bytes.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "policy/approval.h"
#include "policy/canonical.h"
#include "policy/check.h"
#include "policy/diff.h"
#include "policy/moment.h"

namespace casemate::session_tool {
namespace {

constexpr std::size_t kMaxKeyFile = 64 * 1024, kMaxSignatureFile = 64 * 1024;
constexpr const char* kFormat = "casemate session approval v1";

Result<crypto::PrivateKey> read_key(const std::string& path) {
  std::string pem = CASEMATE_TRY(read_whole_file(path, kMaxKeyFile));
  Result<crypto::PrivateKey> key = crypto::PrivateKey::from_pem(pem);
  crypto::wipe(std::as_writable_bytes(std::span<char>(pem)));
  if (!key) return Error(ErrorCategory::kFormat, path + " is no unencrypted PEM private key");
  return key;
}

std::string key_hash_of(const crypto::PublicKey& key) {
  return crypto::to_hex(crypto::sha256(key.to_subject_public_key_info()));
}

Result<int> print_key(const crypto::PublicKey& key) {
  std::printf("%skey hash: %s\n", crypto::to_pem(key.to_subject_public_key_info(), "PUBLIC KEY").c_str(),
              key_hash_of(key).c_str());
  return 0;
}

std::string hash_text(const policy::Session& session) { return crypto::to_hex(policy::session_hash(session)); }

// The stored version's hash must be what the new text names; what the change means goes to standard error.
Result<void> show_change(const Options& options, const policy::Session& next, const policy::KnownSessions& known) {
  if (options.stored.empty()) {
    if (!next.predecessor) return {};
    return Error(ErrorCategory::kUsage,
                 "this text changes an existing session: give the stored version with --stored FILE");
  }
  Options quiet = options;
  quiet.quiet = true;
  const policy::Session stored = CASEMATE_TRY(require_session(options.stored, quiet, known));
  policy::Diagnostics findings;
  policy::check_update(stored, hash_text(stored), next, findings);
  print(findings, options.files.front(), options);
  if (findings.has_errors())
    return Error(ErrorCategory::kFormat, options.files.front() + " is no update of " + options.stored);
  const std::string text = policy::to_text(policy::semantic_diff(stored, next));
  std::fprintf(stderr, "this change:\n%s", text.empty() ? "changes nothing\n" : text.c_str());
  return {};
}

nlohmann::json to_json(const policy::Change& change, const policy::SignedDecision& decision) {
  nlohmann::json report = {{"format", kFormat},
                           {"decision", decision.decision == policy::Decision::kApprove ? "approve" : "reject"},
                           {"log_id", change.log_id},
                           {"session", change.session},
                           {"hash", change.hash},
                           {"not_after", policy::moment_text(decision.not_after)},
                           {"signer", crypto::to_base64(decision.signer)},
                           {"signature", crypto::to_base64(decision.signature)}};
  report["predecessor"] = change.predecessor ? nlohmann::json(*change.predecessor) : nlohmann::json(nullptr);
  return report;
}

// A member of a signature file; empty when it is missing or no text.
std::string member(const nlohmann::json& report, const char* key) {
  const auto found = report.find(key);
  return found != report.end() && found->is_string() ? found->get<std::string>() : "";
}

Result<policy::SignedDecision> read_decision(const std::string& path) {
  const std::string text = CASEMATE_TRY(read_whole_file(path, kMaxSignatureFile));
  const nlohmann::json report = nlohmann::json::parse(text, nullptr, false);
  if (!report.is_object() || member(report, "format") != kFormat) {
    return Error(ErrorCategory::kFormat, path + " is no signature made by `casemate session sign`");
  }
  Result<crypto::Bytes> signer = crypto::from_base64(member(report, "signer"));
  Result<crypto::Bytes> signature = crypto::from_base64(member(report, "signature"));
  Result<std::uint64_t> not_after = policy::parse_moment(member(report, "not_after"));
  const std::string decision = member(report, "decision");
  if (!signer || !signature || !not_after || (decision != "approve" && decision != "reject")) {
    return Error(ErrorCategory::kFormat, path + " is a damaged signature file");
  }
  return policy::SignedDecision{decision == "approve" ? policy::Decision::kApprove : policy::Decision::kReject,
                                signer.value(), not_after.value(), signature.value()};
}

Result<std::uint64_t> moment_or_now(const std::string& text, const char* option) {
  if (text.empty()) return static_cast<std::uint64_t>(std::time(nullptr));
  Result<std::uint64_t> moment = policy::parse_moment(text);
  if (!moment) return Error(ErrorCategory::kUsage, std::string(option) + ": " + moment.error().message());
  return moment;
}

}  // namespace

Result<int> sign_change(const Options& options) {
  const crypto::PrivateKey key = CASEMATE_TRY(read_key(options.key));
  if (options.show_key) return print_key(key.public_key());
  if (options.files.size() != 1 || options.log_id.empty() || options.not_after.empty()) {
    return Error(ErrorCategory::kUsage, "sign takes FILE, --log-id and --not-after");
  }
  const OtherSessions others = CASEMATE_TRY(OtherSessions::load(options));
  const policy::Session next = CASEMATE_TRY(require_session(options.files.front(), options, others.known()));
  if (Result<void> shown = show_change(options, next, others.known()); !shown) return shown.error();
  const std::uint64_t not_after = CASEMATE_TRY(moment_or_now(options.not_after, "--not-after"));
  const policy::Change change{options.log_id, next.name, hash_text(next), next.predecessor};
  const policy::Decision decision = options.reject ? policy::Decision::kReject : policy::Decision::kApprove;
  const policy::SignedDecision made = CASEMATE_TRY(policy::sign_decision(change, decision, not_after, key));
  const std::string text = to_json(change, made).dump(2) + "\n";
  if (!options.output.empty()) {
    if (Result<void> written = write_file(options.output, text); !written) return written.error();
  } else {
    std::fputs(text.c_str(), stdout);
  }
  std::fprintf(stderr, "signed: %s of session %s, version %s, until %s\n", options.reject ? "rejection" : "approval",
               change.session.c_str(), change.hash.c_str(), policy::moment_text(not_after).c_str());
  return 0;
}

Result<int> verify_approval(const Options& options) {
  const OtherSessions others = CASEMATE_TRY(OtherSessions::load(options));
  Options quiet = options;
  quiet.quiet = true;
  const policy::Session stored = CASEMATE_TRY(require_session(options.stored, quiet, others.known()));
  const policy::Session next = CASEMATE_TRY(require_session(options.files.front(), quiet, others.known()));
  policy::Diagnostics findings;
  policy::check_update(stored, hash_text(stored), next, findings);
  print(findings, options.files.front(), options);
  if (findings.has_errors()) return cli::kExitNo;
  if (stored.access() == nullptr) {
    return Error(ErrorCategory::kNotFound,
                 "the stored version takes its rules from another session: give it with --with FILE");
  }
  std::vector<policy::SignedDecision> decisions;
  for (std::size_t i = 1; i < options.files.size(); ++i)
    decisions.push_back(CASEMATE_TRY(read_decision(options.files[i])));
  policy::ApprovalInput input;
  input.change = {options.log_id, next.name, hash_text(next), next.predecessor};
  input.decisions = decisions;
  input.creator_key_hash = options.creator_key;
  input.now = CASEMATE_TRY(moment_or_now(options.now, "--now"));
  input.proposed_at =
      options.proposed_at.empty() ? input.now : CASEMATE_TRY(moment_or_now(options.proposed_at, "--proposed-at"));
  const policy::Verdict verdict = policy::evaluate(policy::update_rule(*stored.access()), input);
  constexpr const char* kOutcomes[] = {"granted", "waiting", "missing approvals", "vetoed"};
  for (const std::string& line : verdict.explanation) std::printf("%s\n", line.c_str());
  std::printf("%s\n", kOutcomes[static_cast<std::size_t>(verdict.outcome)]);
  return verdict.outcome == policy::Outcome::kGranted ? 0 : cli::kExitNo;
}

}  // namespace casemate::session_tool
