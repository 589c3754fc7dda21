// What verification says: never a bare bool, but every check with what was expected and what was found, the TCB status,
// the measurements, and how long the answer holds. Whether that is good enough is appraisal.h's question.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "attest/moment.h"
#include "evidence/snp_report.h"

namespace casemate::attest {

// Intel's names ("Intel SGX PCS API v4", tcbStatus), and kNotSupported for a platform below every listed level.
enum class TcbStatus {
  kUpToDate,
  kSwHardeningNeeded,
  kConfigurationNeeded,
  kConfigurationAndSwHardeningNeeded,
  kOutOfDate,
  kOutOfDateConfigurationNeeded,
  kTdRelaunchAdvised,
  kTdRelaunchAdvisedConfigurationNeeded,
  kRevoked,
  kNotSupported,
};

const char* to_text(TcbStatus status);
std::optional<TcbStatus> tcb_status_from_text(std::string_view text);

enum class Platform { kSgx, kTdx, kSnp, kSimulation };
const char* to_text(Platform platform);

enum class Conclusion {
  kVerified,    // every check passed; for DCAP, tcb_status tells the rest
  kStaticOnly,  // signatures and chain are good, but there was no collateral to judge revocation and TCB with
  kInvalid,     // a check failed
  kParseError,  // not evidence that can be read
};

enum class CheckOutcome { kPassed, kFailed, kSkipped };
const char* to_text(CheckOutcome outcome);

struct Check {
  std::string name;
  CheckOutcome outcome = CheckOutcome::kSkipped;
  std::string expected;
  std::string actual;  // for a skipped check: why
};

// Collects checks. Later checks go on after a failure where that makes sense, so that the list is whole.
class CheckList {
 public:
  // Records and returns `holds`.
  bool require(std::string name, const bool& holds, std::string expected, std::string actual);
  bool fail(std::string name, std::string expected, std::string actual);
  void skip(std::string name, std::string why);
  bool all_passed() const { return !first_failure_; }
  const Check* first_failure() const { return first_failure_ ? &checks_[*first_failure_] : nullptr; }
  const std::vector<Check>& checks() const { return checks_; }
  void append(const CheckList& other);

 private:
  std::vector<Check> checks_;
  std::optional<std::size_t> first_failure_;
};

struct Measurement {
  std::string name;
  std::variant<std::string, std::uint64_t> value;  // bytes as hexadecimal digits, or a number
};

struct VerificationResult {
  Conclusion conclusion = Conclusion::kInvalid;
  std::string format;  // "sgx-quote-v3", "snp-report-v2-vcek", ...
  std::optional<Platform> platform;
  std::optional<TcbStatus> tcb_status;
  std::string parse_error;
  CheckList checks;

  std::vector<Measurement> measurements;
  std::vector<std::string> advisories;
  std::optional<TcbStatus> platform_tcb_status, qe_tcb_status, tdx_module_tcb_status;
  std::string tcb_date;     // of the matched level
  std::string platform_id;  // what names this very machine: FMSPC and PPID or instance; CHIP_ID; key id of the LAS
  std::string fmspc;
  ValidityWindow window;  // of everything that was used
  std::size_t trailing_size = 0;

  // Facts that policies ask for.
  bool is_debug = false;
  bool revocation_checked = false;
  bool sept_ve_disabled = true;  // TDX only
  std::optional<std::uint32_t> tcb_evaluation_data_number;
  std::uint32_t vmpl = 0;                   // SNP only
  bool is_chip_identified = true;           // SNP: the certificate names the chip, and the report does
  std::optional<evidence::SnpTcb> snp_tcb;  // SNP: the reported one
  std::string snp_tcb_text;
  std::string simulation_key;  // simulation only: the LAS key's id

  // One word: the TCB status, "valid", "static-ok", "TCB_NOT_SUPPORTED", "invalid" or "parse error".
  std::string verdict() const;
  // One sentence.
  std::string reason() const;
};

}  // namespace casemate::attest
