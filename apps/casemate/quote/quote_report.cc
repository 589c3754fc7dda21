#include "casemate/quote/quote_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace casemate::cli {
namespace {

using Json = nlohmann::ordered_json;
using attest::Check;
using attest::CheckOutcome;
using attest::Measurement;

// Evidence may carry any bytes in names of certificates: only printable ASCII reaches a terminal or a JSON text.
std::string printable(const std::string& text) {
  std::string clean;
  for (char character : text) {
    const bool is_printable = character >= ' ' && character <= '~';
    clean += is_printable ? std::string(1, character)
                          : fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(character)));
  }
  return clean;
}

Json to_json(const std::vector<Measurement>& measurements) {
  Json object = Json::object();
  for (const Measurement& measurement : measurements) {
    if (const auto* number = std::get_if<std::uint64_t>(&measurement.value)) {
      object[measurement.name] = *number;
    } else {
      object[measurement.name] = printable(std::get<std::string>(measurement.value));
    }
  }
  return object;
}

Json to_json(const std::vector<Check>& checks) {
  Json list = Json::array();
  for (const Check& check : checks) {
    list.push_back({{"name", printable(check.name)},
                    {"outcome", attest::to_text(check.outcome)},
                    {"expected", printable(check.expected)},
                    {"actual", printable(check.actual)}});
  }
  return list;
}

Json status_json(const std::optional<attest::TcbStatus>& status) {
  return status ? Json(attest::to_text(*status)) : Json(nullptr);
}

Json text_json(const std::string& text) { return text.empty() ? Json(nullptr) : Json(printable(text)); }

Json window_json(const attest::ValidityWindow& window) {
  if (window.begin == INT64_MIN || window.end == INT64_MAX) return nullptr;
  return Json::array({attest::to_text(window.begin), attest::to_text(window.end), printable(window.begin_set_by),
                      printable(window.end_set_by)});
}

std::string checks_table(const std::vector<Check>& checks) {
  std::size_t width = 0;
  for (const Check& check : checks) width = std::max(width, printable(check.name).size());
  std::string text;
  for (const Check& check : checks) {
    text += fmt::format("  {:<7}  {:<{}}", attest::to_text(check.outcome), printable(check.name), width);
    if (check.outcome == CheckOutcome::kPassed) {
      text += "  " + printable(check.actual) + "\n";
    } else if (check.outcome == CheckOutcome::kSkipped) {
      text += "  (" + printable(check.actual) + ")\n";
    } else {
      text += fmt::format("  expected {}, found {}\n", printable(check.expected), printable(check.actual));
    }
  }
  return text;
}

std::string rows(const std::vector<Measurement>& measurements) {
  std::size_t width = 0;
  for (const Measurement& measurement : measurements) width = std::max(width, measurement.name.size());
  std::string text;
  for (const Measurement& measurement : measurements) {
    const auto* number = std::get_if<std::uint64_t>(&measurement.value);
    text +=
        fmt::format("  {:<{}}  {}\n", measurement.name, width,
                    number != nullptr ? std::to_string(*number) : printable(std::get<std::string>(measurement.value)));
  }
  return text;
}

std::string joined(const std::vector<std::string>& entries) {
  std::string text;
  for (const std::string& entry : entries) text += (text.empty() ? "" : ", ") + printable(entry);
  return text.empty() ? "none" : text;
}

}  // namespace

std::string to_json(const QuoteReport& report) {
  const attest::VerificationResult& result = report.result;
  const Json document = {
      {"verdict", result.verdict()},
      {"accepted", report.appraisal.is_accepted()},
      {"reason", printable(report.appraisal.reason(result))},
      {"format", text_json(result.format)},
      {"platform", result.platform ? Json(attest::to_text(*result.platform)) : Json(nullptr)},
      {"tcb_status", status_json(result.tcb_status)},
      {"platform_tcb_status", status_json(result.platform_tcb_status)},
      {"qe_tcb_status", status_json(result.qe_tcb_status)},
      {"tdx_module_status", status_json(result.tdx_module_tcb_status)},
      {"tcb_date", text_json(result.tcb_date)},
      {"advisories", result.advisories},
      {"debug", result.is_debug},
      {"fmspc", text_json(result.fmspc)},
      {"platform_id", text_json(result.platform_id)},
      {"trailing_bytes", result.trailing_size},
      {"revocation_checked", result.revocation_checked},
      {"verified_at", attest::to_text(report.verified_at)},
      {"validity_window", window_json(result.window)},
      {"trust_root", printable(report.trust_root)},
      {"measurements",
       result.conclusion == attest::Conclusion::kParseError ? Json(nullptr) : to_json(result.measurements)},
      {"checks", to_json(result.checks.checks())},
      {"policy_checks", to_json(report.appraisal.checks.checks())},
  };
  // Advisory names come from signed collateral, but may still be no UTF-8.
  return document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string to_table(const QuoteReport& report) {
  const attest::VerificationResult& result = report.result;
  std::string text = fmt::format("{}: {}\n{}\n\n", report.appraisal.is_accepted() ? "ACCEPTED" : "REFUSED",
                                 result.verdict(), printable(report.appraisal.reason(result)));
  if (result.conclusion == attest::Conclusion::kParseError) return text;
  text += fmt::format("Format      {}\nTime        {}\nAdvisories  {}\nDebug       {}\nTrust root  {}\n",
                      printable(result.format), attest::to_text(report.verified_at), joined(result.advisories),
                      result.is_debug ? "ON" : "off", printable(report.trust_root));
  if (result.window.end != INT64_MAX) {
    text += fmt::format("Valid       {} to {} ({})\n", attest::to_text(result.window.begin),
                        attest::to_text(result.window.end), printable(result.window.end_set_by));
  }
  text += "\nMeasurements\n" + rows(result.measurements);
  text += "\nChecks\n" + checks_table(result.checks.checks());
  text += "\nPolicy\n" + checks_table(report.appraisal.checks.checks());
  return text;
}

std::string measurements_to_json(const std::string& format, const std::vector<Measurement>& measurements) {
  const Json document = {{"format", format}, {"measurements", to_json(measurements)}};
  return document.dump(2) + "\n";
}

std::string measurements_to_table(const std::string& format, const std::vector<Measurement>& measurements) {
  return format + "\n" + rows(measurements) + "\nNothing was verified: `casemate quote verify` does that.\n";
}

}  // namespace casemate::cli
