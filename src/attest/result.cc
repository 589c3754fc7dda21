#include "attest/result.h"

#include <array>

namespace casemate::attest {
namespace {

struct StatusName {
  TcbStatus status;
  const char* text;
};
constexpr std::array kStatusNames = {
    StatusName{TcbStatus::kUpToDate, "UpToDate"},
    StatusName{TcbStatus::kSwHardeningNeeded, "SWHardeningNeeded"},
    StatusName{TcbStatus::kConfigurationNeeded, "ConfigurationNeeded"},
    StatusName{TcbStatus::kConfigurationAndSwHardeningNeeded, "ConfigurationAndSWHardeningNeeded"},
    StatusName{TcbStatus::kOutOfDate, "OutOfDate"},
    StatusName{TcbStatus::kOutOfDateConfigurationNeeded, "OutOfDateConfigurationNeeded"},
    StatusName{TcbStatus::kTdRelaunchAdvised, "TDRelaunchAdvised"},
    StatusName{TcbStatus::kTdRelaunchAdvisedConfigurationNeeded, "TDRelaunchAdvisedConfigurationNeeded"},
    StatusName{TcbStatus::kRevoked, "Revoked"},
    StatusName{TcbStatus::kNotSupported, "TCB_NOT_SUPPORTED"},
};

}  // namespace

const char* to_text(TcbStatus status) {
  for (const StatusName& name : kStatusNames) {
    if (name.status == status) return name.text;
  }
  __builtin_trap();
}

std::optional<TcbStatus> tcb_status_from_text(std::string_view text) {
  for (const StatusName& name : kStatusNames) {
    if (name.text == text) return name.status;
  }
  return std::nullopt;
}

const char* to_text(Platform platform) {
  constexpr const char* kNames[] = {"sgx", "tdx", "snp", "simulation"};
  return kNames[static_cast<std::size_t>(platform)];
}

const char* to_text(CheckOutcome outcome) {
  constexpr const char* kNames[] = {"passed", "failed", "skipped"};
  return kNames[static_cast<std::size_t>(outcome)];
}

bool CheckList::require(std::string name, const bool& holds, std::string expected, std::string actual) {
  if (!holds && !first_failure_) first_failure_ = checks_.size();
  checks_.push_back(
      {std::move(name), holds ? CheckOutcome::kPassed : CheckOutcome::kFailed, std::move(expected), std::move(actual)});
  return holds;
}

bool CheckList::fail(std::string name, std::string expected, std::string actual) {
  return require(std::move(name), false, std::move(expected), std::move(actual));
}

void CheckList::skip(std::string name, std::string why) {
  checks_.push_back({std::move(name), CheckOutcome::kSkipped, "", std::move(why)});
}

void CheckList::append(const CheckList& other) {
  if (!first_failure_ && other.first_failure_) first_failure_ = checks_.size() + *other.first_failure_;
  checks_.insert(checks_.end(), other.checks_.begin(), other.checks_.end());
}

std::string VerificationResult::verdict() const {
  switch (conclusion) {
    case Conclusion::kVerified:
      return tcb_status ? to_text(*tcb_status) : "valid";
    case Conclusion::kStaticOnly:
      return "static-ok";
    case Conclusion::kInvalid:
      return "invalid";
    case Conclusion::kParseError:
      break;
  }
  return "parse error";
}

std::string VerificationResult::reason() const {
  if (conclusion == Conclusion::kParseError) return "This is not evidence that can be read: " + parse_error + ".";
  if (const Check* failure = checks.first_failure()) {
    return "The check \"" + failure->name + "\" failed: expected " + failure->expected + ", found " + failure->actual +
           ".";
  }
  if (conclusion == Conclusion::kStaticOnly) {
    return "Signatures and certificates are good, but without collateral neither revocation nor the TCB level is "
           "known.";
  }
  if (tcb_status == TcbStatus::kNotSupported) {
    return "Signatures, certificates and collateral are good, but the platform is below every TCB level that its "
           "vendor "
           "lists.";
  }
  std::string text = "All checks passed";
  if (tcb_status) text += std::string("; the vendor calls this TCB ") + to_text(*tcb_status);
  return text + ".";
}

}  // namespace casemate::attest
