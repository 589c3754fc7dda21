// `casemate net`: which rule of the network shield applies to a connection and why; and whether a peer satisfies it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "casemate/net/connection_trial.h"
#include "casemate/reference/tools.h"
#include "casemate/session/session_files.h"
#include "casemate/subcommands.h"
#include "keeper/network_endpoints.h"
#include "policy/network_rules.h"
#include "policy/yaml_tree.h"

namespace casemate::cli {
namespace {

constexpr const char* kHelp = R"(The network shield's rules (docs/network.md)

Usage: casemate net explain RULES serve ENDPOINT     which rule a server at this port or path falls under, and why
       casemate net explain RULES connect ENDPOINT   the same for a connection to this address
       casemate net test RULES ENDPOINT              connect by the rule and shake hands: TCP:ADDRESS:PORT or unix:PATH

ENDPOINT is TCP:8443 or unix:/PATH for servers, TCP:10.0.0.1:6379, TCP:[::1]:6379, unix:/PATH or UDP:... for clients.
  --timeout SECONDS   for test: how long connecting and shaking hands may take (default 10)

Exit codes: 0 protected or plain by a rule, or the handshake is complete; 1 denied, or the handshake failed; 2 wrong
words or rules.
)";

constexpr int kOwnFailure = 125;

int complain(const std::string& text, int exit_code) {
  std::fprintf(stderr, "casemate net: %s\n", text.c_str());
  return exit_code;
}

struct Options {
  std::string verb, file, purpose, endpoint;
  unsigned timeout_seconds = 10;
};

void describe_options(CLI::App& tool, Options& options) {
  tool.set_help_flag();
  tool.require_subcommand(1);
  CLI::App* const explain = tool.add_subcommand("explain");
  explain->add_option("RULES", options.file)->required();
  explain->add_option("serve|connect", options.purpose)->required()->check(CLI::IsMember({"serve", "connect"}));
  explain->add_option("ENDPOINT", options.endpoint)->required();
  CLI::App* const test = tool.add_subcommand("test");
  test->add_option("RULES", options.file)->required();
  test->add_option("ENDPOINT", options.endpoint)->required();
  test->add_option("--timeout", options.timeout_seconds)->check(CLI::Range(1, 3600));
}

Result<Options> parse(std::vector<std::string> words) {
  Options options;
  CLI::App tool;
  describe_options(tool, options);
  try {
    std::reverse(words.begin(), words.end());
    tool.parse(words);
  } catch (const CLI::ParseError& error) {
    return Error(ErrorCategory::kUsage, std::string(error.what()) + "; see `casemate net --help`");
  }
  options.verb = tool.get_subcommands().front()->get_name();
  return options;
}

Result<policy::NetworkRules> load_rules(const std::string& path) {
  const std::string text = CASEMATE_TRY(session_tool::read_whole_file(path, policy::kMaxSessionSize));
  policy::Diagnostics diagnostics;
  std::optional<policy::NetworkRules> rules = policy::parse_network_rules(text, diagnostics);
  diagnostics.sort();
  for (const policy::Diagnostic& one : diagnostics.all()) {
    std::fprintf(stderr, "%s\n", policy::to_text(one, path).c_str());
  }
  if (!rules) {
    return Error(ErrorCategory::kFormat, path + " has " + std::to_string(diagnostics.error_count()) + " errors");
  }
  return *std::move(rules);
}

std::string where_from(const std::string& value) {
  if (value.empty()) return "nothing";
  return value.starts_with(policy::kFilePrefix) ? value.substr(policy::kFilePrefix.size()) : "PEM text in the rules";
}

void print_terms(const policy::NetworkRules& rules, std::size_t index, const std::string& path) {
  const policy::NetworkRule& rule = rules.network.rules[index];
  std::printf("rule: %s (%s:%u)\n", rule.name.c_str(), path.c_str(), rule.where.line);
  if (!rule.is_protected) return;
  std::printf("we show: %s\n", where_from(rule.identity).c_str());
  if (rule.authentication == policy::PeerAuthentication::kDisabled) {
    std::printf("the peer shows: nothing (authentication is disabled)\n");
    return;
  }
  std::string names;
  for (const std::string& name : rules.peer_names[index]) names += (names.empty() ? "" : " or ") + name;
  std::printf("the peer shows: a certificate that leads to %s, with %s\n", where_from(rule.peer_chain).c_str(),
              names.empty() ? "any name" : ("the name " + names).c_str());
}

int explain(const policy::NetworkRules& rules, const policy::ConnectionQuery& query, const Options& options) {
  const policy::NetworkDecision decision = policy::decide(rules, query);
  std::printf("%s: %s\n", std::string(policy::name_of(decision.protection)).c_str(), decision.reason.c_str());
  if (decision.rule) print_terms(rules, *decision.rule, options.file);
  return decision.protection == policy::Protection::kDeny ? kExitNo : 0;
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return "";
  return slash == 0 ? "/" : path.substr(0, slash);
}

int test(const policy::NetworkRules& rules, const policy::ConnectionQuery& query, const Options& options) {
  const policy::NetworkDecision decision = policy::decide(rules, query);
  if (decision.protection != policy::Protection::kTlsClient) {
    return complain(options.endpoint + " is not protected by a client rule: " +
                        std::string(policy::name_of(decision.protection)) + ", " + decision.reason,
                    kExitNo);
  }
  const policy::NetworkRule& rule = rules.network.rules[*decision.rule];
  const auto settings = keeper::endpoint_settings_of(rules, *decision.rule, directory_of(options.file));
  if (!settings.has_value()) return complain(settings.error().message(), kExitUsage);
  const auto endpoint = crypto::TlsEndpoint::make(settings.value());
  if (!endpoint.has_value()) {
    return complain("rule `" + rule.name + "`: " + endpoint.error().message(), kExitUsage);
  }
  const std::string name = settings.value().peer_dns_names.empty() ? "" : settings.value().peer_dns_names.front();
  const auto report = test_connection(query, endpoint.value(), name, std::chrono::seconds(options.timeout_seconds));
  if (!report.has_value()) {
    return complain("rule `" + rule.name + "`, peer " + options.endpoint + ": " + report.error().message(), kExitNo);
  }
  std::printf("%s\n", report.value().c_str());
  return 0;
}

int run(const Options& options) {
  const auto rules = load_rules(options.file);
  if (!rules.has_value()) return complain(rules.error().message(), kExitUsage);
  const bool serves = options.purpose == "serve";
  const auto query =
      policy::parse_query(serves ? policy::Purpose::kServe : policy::Purpose::kConnect, options.endpoint);
  if (!query.has_value()) return complain(query.error().message(), kExitUsage);
  return options.verb == "explain" ? explain(rules.value(), query.value(), options)
                                   : test(rules.value(), query.value(), options);
}

}  // namespace

CommandText describe_net() {
  Options options;
  CLI::App tool;
  describe_options(tool, options);
  return read_words(tool, "net", kHelp);
}

int net_command(const std::vector<std::string>& words) {
  const bool asks_for_help =
      words.empty() || words.front() == "-h" || std::ranges::find(words, "--help") != words.end();
  if (asks_for_help) {
    std::fputs(kHelp, words.empty() ? stderr : stdout);
    return words.empty() ? kExitUsage : 0;
  }
  const auto options = parse(words);
  if (!options.has_value()) return complain(options.error().message(), kExitUsage);
  const int code = run(options.value());
  return std::fflush(stdout) == 0 ? code : kOwnFailure;
}

}  // namespace casemate::cli
