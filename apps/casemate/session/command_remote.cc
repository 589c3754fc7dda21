// `casemate session` with a CAS: versions are checked here first, stored there, and the log's receipt is verified here.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "casemate/cas/remote.h"
#include "casemate/session/session_files.h"
#include "casemate/subcommands.h"
#include "crypto/host_configuration.h"
#include "policy/canonical.h"

namespace casemate::session_tool {
namespace {

using cas_tool::RemoteAnswer;
using cas_tool::RemoteCas;
using Json = nlohmann::json;

constexpr std::size_t kMaxSignatureFile = 64 * 1024;
constexpr const char* kTool = "casemate session";

Result<RemoteCas> remote_of(const Options& options) {
  crypto::ignore_host_configuration();
  return RemoteCas::open({options.cas, options.client_directory, 15});
}

int refused(const RemoteAnswer& answer) {
  cas_tool::print_problem(answer, kTool);
  return cli::kExitNo;
}

Result<Json> object_of(const RemoteAnswer& answer) {
  Json json = Json::parse(answer.body, nullptr, false);
  if (!json.is_object()) return Error(ErrorCategory::kFormat, "the CAS answered with something that is no JSON object");
  return json;
}

std::string member(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// A version from its file, as the CAS will have it.
struct Upload {
  std::string name, hash;
  Json body;
};

// Imports are followed by the CAS, which has the exporters; everything else is checked before anything is sent.
Result<Upload> upload_of(const Options& options) {
  Options quiet = options;
  quiet.quiet = true;
  const std::string& path = options.files.front();
  const policy::Session session = CASEMATE_TRY(require_session(path, quiet, {}));
  Upload upload{session.name, crypto::to_hex(policy::session_hash(session)), Json::object()};
  upload.body["text"] = CASEMATE_TRY(text_for_cas(path, options));
  for (std::size_t i = 1; i < options.files.size(); ++i) {
    const std::string text = CASEMATE_TRY(read_whole_file(options.files[i], kMaxSignatureFile));
    Json decision = Json::parse(text, nullptr, false);
    if (!decision.is_object()) {
      return Error(ErrorCategory::kFormat, options.files[i] + " is no signature made by `casemate session sign`");
    }
    upload.body["decisions"].push_back(std::move(decision));
  }
  return upload;
}

// What an accepted change is told as; its receipt is verified, and written when the words say where.
Result<int> report_change(RemoteCas& remote, const Json& change, const Options& options) {
  if (change.contains("warnings") && !options.quiet) {
    for (const Json& one : change["warnings"]) {
      if (one.is_object()) {
        std::fprintf(stderr, "%d:%d: warning: %s\n", one.value("line", 0), one.value("column", 0),
                     member(one, "message").c_str());
      }
    }
  }
  const std::string receipt = member(change, "receipt");
  std::string where = "stored already";
  if (!receipt.empty()) {
    const std::uint64_t index = CASEMATE_TRY(remote.check_receipt(receipt));
    where = "log entry " + std::to_string(index);
    if (!options.output.empty()) {
      if (auto written = write_file(options.output, receipt); !written) return written.error();
    }
  }
  std::printf("%s\n", member(change, "hash").c_str());
  std::fprintf(stderr, "%s: version %llu is stored, %s\n", member(change, "name").c_str(),
               static_cast<unsigned long long>(change.value("version", std::uint64_t{0})), where.c_str());
  return 0;
}

Result<int> put(const Options& options) {
  Upload upload = CASEMATE_TRY(upload_of(options));
  if (options.break_glass) upload.body["break_glass"] = true;
  RemoteCas remote = CASEMATE_TRY(remote_of(options));
  const RemoteAnswer answer =
      CASEMATE_TRY(remote.ask("PUT", "/v1/sessions/" + cas_tool::encoded(upload.name), upload.body.dump()));
  if (!answer.is_good()) return refused(answer);
  const Json change = CASEMATE_TRY(object_of(answer));
  if (member(change, "hash") != upload.hash && options.others.empty()) {
    return Error(ErrorCategory::kFormat, "the CAS stored version " + member(change, "hash") +
                                             ", but the file's hash is " + upload.hash + ": do not rely on it");
  }
  return report_change(remote, change, options);
}

void print_proposal(const Json& proposal) {
  std::printf("%s  %s  %s, proposed %s by %s\n", member(proposal, "id").c_str(), member(proposal, "session").c_str(),
              member(proposal, "state").c_str(), member(proposal, "proposed_at").c_str(),
              member(proposal, "proposer").substr(0, 16).c_str());
  if (!proposal.contains("explanation")) return;
  for (const Json& line : proposal["explanation"]) {
    if (line.is_string()) std::printf("  %s\n", line.get<std::string>().c_str());
  }
}

Result<int> report_step(RemoteCas& remote, const RemoteAnswer& answer, const Options& options) {
  if (!answer.is_good()) return refused(answer);
  const Json step = CASEMATE_TRY(object_of(answer));
  print_proposal(step);
  if (!step.contains("change")) return 0;
  return report_change(remote, step["change"], options);
}

}  // namespace

Result<int> create_session(const Options& options) { return put(options); }
Result<int> update_session(const Options& options) { return put(options); }

Result<int> read_session(const Options& options) {
  RemoteCas remote = CASEMATE_TRY(remote_of(options));
  const RemoteAnswer answer = CASEMATE_TRY(remote.ask("GET", "/v1/sessions/" + cas_tool::encoded(options.secret)));
  if (!answer.is_good()) return refused(answer);
  const Json session = CASEMATE_TRY(object_of(answer));
  const std::string text = member(session, "text");
  if (options.output.empty()) {
    std::fputs(text.c_str(), stdout);
  } else if (auto written = cas_tool::replace_private_file(options.output, text); !written) {
    return written.error();
  }
  std::fprintf(stderr, "version %llu, hash %s\n",
               static_cast<unsigned long long>(session.value("version", std::uint64_t{0})),
               member(session, "hash").c_str());
  return 0;
}

Result<int> delete_session(const Options& options) {
  RemoteCas remote = CASEMATE_TRY(remote_of(options));
  const RemoteAnswer answer =
      CASEMATE_TRY(remote.ask("DELETE", "/v1/sessions/" + cas_tool::encoded(options.secret), "", options.stored));
  if (!answer.is_good()) return refused(answer);
  const Json removed = CASEMATE_TRY(object_of(answer));
  const std::uint64_t index = CASEMATE_TRY(remote.check_receipt(member(removed, "receipt")));
  std::fprintf(stderr, "%s is removed, log entry %llu\n", options.secret.c_str(),
               static_cast<unsigned long long>(index));
  return 0;
}

Result<int> show_certificate(const Options& options) {
  RemoteCas remote = CASEMATE_TRY(remote_of(options));
  const RemoteAnswer answer = CASEMATE_TRY(remote.ask("GET", "/v1/certificates/" + cas_tool::encoded(options.secret)));
  if (!answer.is_good()) return refused(answer);
  const Json found = CASEMATE_TRY(object_of(answer));
  const std::string text = member(found, options.chain ? "chain" : "certificate");
  if (options.output.empty()) {
    std::fputs(text.c_str(), stdout);
  } else if (auto written = write_file(options.output, text); !written) {
    return written.error();
  }
  std::fprintf(stderr, "%s: version %llu, until %s\n", member(found, "kind").c_str(),
               static_cast<unsigned long long>(found.value("version", std::uint64_t{0})),
               member(found, "not_after").c_str());
  return 0;
}

Result<int> list_sessions(const Options& options) {
  RemoteCas remote = CASEMATE_TRY(remote_of(options));
  std::string after;
  do {
    const RemoteAnswer answer =
        CASEMATE_TRY(remote.ask("GET", "/v1/sessions?limit=1000&after=" + cas_tool::encoded(after)));
    if (!answer.is_good()) return refused(answer);
    const Json page = CASEMATE_TRY(object_of(answer));
    for (const Json& name : page.value("sessions", Json::array())) {
      if (name.is_string()) std::printf("%s\n", name.get<std::string>().c_str());
    }
    after = member(page, "next");
  } while (!after.empty());
  return 0;
}

Result<int> propose_change(const Options& options) {
  const Upload upload = CASEMATE_TRY(upload_of(options));
  RemoteCas remote = CASEMATE_TRY(remote_of(options));
  const RemoteAnswer answer =
      CASEMATE_TRY(remote.ask("POST", "/v1/proposals/of/" + cas_tool::encoded(upload.name), upload.body.dump()));
  return report_step(remote, answer, options);
}

Result<int> list_proposals(const Options& options) {
  RemoteCas remote = CASEMATE_TRY(remote_of(options));
  const RemoteAnswer answer =
      CASEMATE_TRY(remote.ask("GET", "/v1/proposals?session=" + cas_tool::encoded(options.secret)));
  if (!answer.is_good()) return refused(answer);
  const Json all = CASEMATE_TRY(object_of(answer));
  if (options.json) {
    std::printf("%s\n", all.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
    return 0;
  }
  for (const Json& proposal : all.value("proposals", Json::array())) {
    if (proposal.is_object()) print_proposal(proposal);
  }
  return 0;
}

// The version's hash in the signature file names the proposal.
Result<int> approve_proposal(const Options& options) {
  RemoteCas remote = CASEMATE_TRY(remote_of(options));
  for (const std::string& path : options.files) {
    const std::string text = CASEMATE_TRY(read_whole_file(path, kMaxSignatureFile));
    const Json decision = Json::parse(text, nullptr, false);
    const std::string id = decision.is_object() ? member(decision, "hash") : "";
    if (id.empty()) return Error(ErrorCategory::kFormat, path + " is no signature made by `casemate session sign`");
    const RemoteAnswer answer =
        CASEMATE_TRY(remote.ask("POST", "/v1/proposals/" + cas_tool::encoded(id) + "/decisions", text));
    const int code = CASEMATE_TRY(report_step(remote, answer, options));
    if (code != 0) return code;
  }
  return 0;
}

Result<int> apply_proposal(const Options& options) {
  RemoteCas remote = CASEMATE_TRY(remote_of(options));
  const RemoteAnswer answer =
      CASEMATE_TRY(remote.ask("POST", "/v1/proposals/" + cas_tool::encoded(options.secret) + "/apply"));
  return report_step(remote, answer, options);
}

Result<int> withdraw_proposal(const Options& options) {
  RemoteCas remote = CASEMATE_TRY(remote_of(options));
  const RemoteAnswer answer = CASEMATE_TRY(remote.ask("DELETE", "/v1/proposals/" + cas_tool::encoded(options.secret)));
  if (!answer.is_good()) return refused(answer);
  std::fprintf(stderr, "withdrawn\n");
  return 0;
}

}  // namespace casemate::session_tool
