#include "casemate/quote/quote_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "casemate/quote/collateral_command.h"
#include "casemate/quote/get.h"
#include "casemate/reference/tools.h"
#include "casemate/subcommands.h"

namespace casemate::cli {
namespace {

constexpr const char* kHelp =
    R"(Shows and verifies hardware evidence: SGX and TDX quotes, SEV-SNP reports, process evidence of a
LAS, and certificates that hold one of these.

Usage: casemate quote show FILE [--json]
       casemate quote verify FILE [--collateral FILE]... [OPTIONS]
       casemate quote verify --case DIR [OPTIONS]
       casemate quote collateral {import,fetch,export,list} ...        (`casemate quote collateral --help`)
       casemate quote get --nonce HEX --output FILE [--las SOCKET]    (`casemate quote get --help`)

  --collateral FILE   DCAP collateral (JSON), or for SNP: certificates (DER, PEM, certificate table) and revocation
                      lists; may be given several times
  --cache DIR         take collateral from there when no file gives it (`casemate quote collateral --help`)
  --fetch             get what is missing or expired from the vendor's service, and keep it in --cache;
                      with --pcs, --kds, --ca, --timeout, --product as `casemate quote collateral fetch` has them
  --case DIR          a test case: quote.bin or report.bin, collateral.json, leaf.der, ask.der, ark.der, crl.der; its
                      expected.json gives the time; its root.der, if any, REPLACES the vendors' roots
  --time T            verify for this time, like 2025-07-04T10:16:31Z (default: now)
  --root FILE         accept this root certificate instead of Intel's and AMD's: for tests
  --hcl FILE          Azure's HCL report whose runtime data the TD quote must bind
  --nonce HEX         what process evidence must be fresh for
  --json              for machines: verdict, accepted, tcb_status, reason, measurements, checks

Policy (default: hardware, TCB status UpToDate, revocation of quotes checked, no debug, VMPL 0):
  --tolerate STATUS   also accept this TCB status, e.g. SWHardeningNeeded; its advisories must be named, too:
  --advisory ID       ... an advisory that may be open, e.g. INTEL-SA-00615; `any` for all
  --platform NAME     accept only sgx, tdx, snp or simulation; may be given several times
  --platform-id HEX   accept only this machine
  --allow-simulation --simulation-key HEX
                      accept simulation evidence of the LAS key with this id
  --allow-debug       accept enclaves and guests that the host can read
  --allow-sept-ve     accept TDs without SEPT_VE_DISABLE
  --without-collateral, --without-revocation
                      accept quotes without TCB level, or without revocation lists
  --require-snp-revocation
                      refuse SNP reports without AMD's revocation list
  --vmpl N            accept SNP reports of VMPL 0 to N
  --minimum-tcb LIST  lowest SNP TCB: fmc=0,bootloader=3,tee=0,snp=8,microcode=115 (absent: 0)
  --minimum-evaluation-data N
                      lowest tcbEvaluationDataNumber
  --expect NAME=VALUE a measurement by its name in the output, e.g. mrenclave=68823bc6...

Exit codes: 0 accepted, 1 refused, 2 wrong words or files.
)";

struct Parsed {
  ShowQuote show;
  VerifyQuote verify;
  std::string file, case_directory, cache, time, root, hcl, nonce, minimum_tcb;
  std::vector<std::string> tolerated, advisories, platforms, platform_ids, simulation_keys, expected;
  std::int64_t minimum_evaluation_data = -1;
  std::uint32_t vmpl = 0;
  FetchWords fetch_words;
  bool json = false, allows_simulation = false, fetches = false;
};

Error mistake(const std::string& text) { return Error(ErrorCategory::kUsage, text); }

void describe_verify(CLI::App& app, Parsed& parsed) {
  attest::AppraisalPolicy& policy = parsed.verify.policy;
  app.add_option("file", parsed.file);
  app.add_option("--collateral", parsed.verify.collateral_files)->allow_extra_args(false);
  app.add_option("--case", parsed.case_directory);
  app.add_option("--cache", parsed.cache);
  app.add_flag("--fetch", parsed.fetches);
  describe_fetch(app, parsed.fetch_words);
  app.add_option("--time", parsed.time);
  app.add_option("--root", parsed.root);
  app.add_option("--hcl", parsed.hcl);
  app.add_option("--nonce", parsed.nonce);
  app.add_flag("--json", parsed.json);
  app.add_option("--tolerate", parsed.tolerated)->allow_extra_args(false);
  app.add_option("--advisory", parsed.advisories)->allow_extra_args(false);
  app.add_option("--platform", parsed.platforms)->allow_extra_args(false);
  app.add_option("--platform-id", parsed.platform_ids)->allow_extra_args(false);
  app.add_flag("--allow-simulation", parsed.allows_simulation);
  app.add_option("--simulation-key", parsed.simulation_keys)->allow_extra_args(false);
  app.add_flag("--allow-debug", policy.allows_debug);
  app.add_flag("--allow-sept-ve", policy.allows_sept_ve);
  app.add_flag("--without-collateral", policy.allows_missing_collateral);
  app.add_flag("--without-revocation", policy.allows_unchecked_revocation);
  app.add_flag("--require-snp-revocation", policy.requires_snp_revocation);
  app.add_option("--vmpl", parsed.vmpl)->check(CLI::Range(0, 3));
  app.add_option("--minimum-tcb", parsed.minimum_tcb);
  app.add_option("--minimum-evaluation-data", parsed.minimum_evaluation_data)->check(CLI::Range(0, 1 << 30));
  app.add_option("--expect", parsed.expected)->allow_extra_args(false);
}

void describe_words(CLI::App& app, Parsed& parsed) {
  app.require_subcommand(1);
  CLI::App* const show = app.add_subcommand("show");
  show->add_option("file", parsed.show.file)->required();
  show->add_flag("--json", parsed.json);
  describe_verify(*app.add_subcommand("verify"), parsed);
}

std::string lower(std::string text) {
  for (char& letter : text) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return text;
}

Result<attest::Platform> platform_from(const std::string& name) {
  for (attest::Platform platform :
       {attest::Platform::kSgx, attest::Platform::kTdx, attest::Platform::kSnp, attest::Platform::kSimulation}) {
    if (name == attest::to_text(platform)) return platform;
  }
  return mistake("unknown platform " + name + " (sgx, tdx, snp and simulation exist)");
}

struct TcbComponent {
  const char* name;
  std::uint8_t evidence::SnpTcb::*member;
};
constexpr TcbComponent kTcbComponents[] = {
    {"fmc", &evidence::SnpTcb::fmc}, {"bootloader", &evidence::SnpTcb::bootloader}, {"tee", &evidence::SnpTcb::tee},
    {"snp", &evidence::SnpTcb::snp}, {"microcode", &evidence::SnpTcb::microcode},
};

// "bootloader=3,snp=8"
Result<evidence::SnpTcb> snp_tcb_from(std::string_view list) {
  evidence::SnpTcb tcb;
  while (!list.empty()) {
    const std::string_view entry = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), entry.size() + 1));
    const std::size_t equals = entry.find('=');
    const auto component = std::ranges::find_if(
        kTcbComponents, [&](const TcbComponent& candidate) { return entry.substr(0, equals) == candidate.name; });
    unsigned value = 256;
    if (equals != std::string_view::npos) {
      std::from_chars(entry.data() + equals + 1, entry.data() + entry.size(), value);
    }
    if (component == std::end(kTcbComponents) || value > 255) {
      return mistake("--minimum-tcb: \"" + std::string(entry) + "\" is no NAME=NUMBER of a TCB");
    }
    tcb.*component->member = static_cast<std::uint8_t>(value);
  }
  return tcb;
}

Result<void> fill_platforms(const Parsed& parsed, attest::AppraisalPolicy& policy) {
  if (!parsed.platforms.empty()) policy.platforms.clear();
  for (const std::string& name : parsed.platforms) policy.platforms.insert(CASEMATE_TRY(platform_from(name)));
  if (parsed.allows_simulation) policy.platforms.insert(attest::Platform::kSimulation);
  for (const std::string& key : parsed.simulation_keys) policy.simulation_keys.insert(lower(key));
  // Anybody can make a LAS key: tolerating simulation without naming one would tolerate everything.
  if (policy.platforms.contains(attest::Platform::kSimulation) && policy.simulation_keys.empty()) {
    return mistake("simulation evidence needs --simulation-key: without a pinned key it proves nothing");
  }
  for (const std::string& id : parsed.platform_ids) policy.platform_ids.insert(lower(id));
  return {};
}

Result<void> fill_policy(const Parsed& parsed, attest::AppraisalPolicy& policy) {
  if (Result<void> filled = fill_platforms(parsed, policy); !filled) return filled;
  for (const std::string& text : parsed.tolerated) {
    const auto status = attest::tcb_status_from_text(text);
    if (!status) return mistake("unknown TCB status " + text);
    if (*status == attest::TcbStatus::kNotSupported || *status == attest::TcbStatus::kRevoked) {
      return mistake("a platform that is " + text + " is never accepted");
    }
    policy.tolerated_statuses.insert(*status);
  }
  for (const std::string& advisory : parsed.advisories) {
    if (advisory == "any") {
      policy.tolerated_advisories.reset();
    } else if (policy.tolerated_advisories) {
      policy.tolerated_advisories->insert(advisory);
    }
  }
  policy.highest_vmpl = parsed.vmpl;
  if (parsed.minimum_evaluation_data >= 0) {
    policy.lowest_evaluation_data_number = static_cast<std::uint32_t>(parsed.minimum_evaluation_data);
  }
  if (!parsed.minimum_tcb.empty()) policy.lowest_snp_tcb = CASEMATE_TRY(snp_tcb_from(parsed.minimum_tcb));
  for (const std::string& entry : parsed.expected) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) return mistake("--expect wants NAME=VALUE");
    policy.expected_values[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  return {};
}

std::optional<std::string> optional_of(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

Result<QuoteRequest> judge_verify(Parsed& parsed) {
  VerifyQuote& verify = parsed.verify;
  verify.file = optional_of(parsed.file);
  verify.case_directory = optional_of(parsed.case_directory);
  verify.cache = optional_of(parsed.cache);
  verify.root_file = optional_of(parsed.root);
  verify.hcl_file = optional_of(parsed.hcl);
  verify.form = parsed.json ? OutputForm::kJson : OutputForm::kTable;
  if (verify.file.has_value() == verify.case_directory.has_value()) return mistake("give either a FILE or --case DIR");
  if (verify.case_directory && (verify.cache || parsed.fetches || !verify.collateral_files.empty()))
    return mistake("--case brings its own collateral");
  if (parsed.fetches) verify.fetch = CASEMATE_TRY(judge_fetch(parsed.fetch_words));
  if (!parsed.time.empty()) verify.now = CASEMATE_TRY(attest::parse_moment(parsed.time));
  if (!parsed.nonce.empty()) {
    verify.nonce = CASEMATE_TRY(crypto::from_hex(parsed.nonce));
    if (verify.nonce->size() > 64) return mistake("--nonce has at most 64 bytes");
  }
  if (Result<void> filled = fill_policy(parsed, verify.policy); !filled) return filled.error();
  return QuoteRequest(std::move(verify));
}

PrintText complaint(const std::string& text) {
  return {"casemate quote: " + text + "; see `casemate quote --help`\n", kExitUsage};
}

}  // namespace

CommandText describe_quote() {
  Parsed parsed;
  CLI::App app;
  describe_words(app, parsed);
  CommandText text = read_words(app, "quote", kHelp);
  text.commands.push_back(describe_quote_collateral());
  text.commands.push_back(describe_quote_get());
  return text;
}

QuoteRequest parse_quote_words(const std::vector<std::string>& words) {
  Parsed parsed;
  CLI::App app("", "casemate quote");
  describe_words(app, parsed);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::CallForHelp&) {
    return PrintText{kHelp, 0};
  } catch (const CLI::ParseError& error) {
    return complaint(error.what());
  }
  parsed.show.form = parsed.json ? OutputForm::kJson : OutputForm::kTable;
  if (app.got_subcommand("show")) return parsed.show;
  Result<QuoteRequest> request = judge_verify(parsed);
  return request ? std::move(request).value() : QuoteRequest(complaint(request.error().message()));
}

}  // namespace casemate::cli
