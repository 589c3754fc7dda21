#include "casemate/doctor/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace casemate::cli {
namespace {

std::size_t widest(const HostReport& report, std::string Finding::*member) {
  std::size_t width = 0;
  for (const Finding& finding : report.findings) width = std::max(width, (finding.*member).size());
  return width;
}

}  // namespace

const char* name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood:
      return "ok";
    case Verdict::kLimited:
      return "limited";
    case Verdict::kMissing:
      return "missing";
    case Verdict::kRequired:
      break;
  }
  return "REQUIRED";
}

bool can_run_programs(const HostReport& report) {
  return std::none_of(report.findings.begin(), report.findings.end(),
                      [](const Finding& finding) { return finding.verdict == Verdict::kRequired; });
}

std::string to_table(const HostReport& report) {
  const std::size_t title_width = widest(report, &Finding::title);
  const std::size_t value_width = widest(report, &Finding::value);
  std::string text;
  for (const Finding& finding : report.findings) {
    text += fmt::format("{:<8}  {:<{}}  {:<{}}  {}\n", name_of(finding.verdict), finding.title, title_width,
                        finding.value, value_width, finding.consequence);
  }
  text += can_run_programs(report) ? "\nPrograms run under `casemate run` on this host.\n"
                                   : "\nNo program can run under `casemate run` on this host: see REQUIRED above.\n";
  return text;
}

std::string to_json(const HostReport& report) {
  nlohmann::ordered_json findings = nlohmann::ordered_json::array();
  for (const Finding& finding : report.findings) {
    findings.push_back({{"id", finding.id},
                        {"title", finding.title},
                        {"verdict", name_of(finding.verdict)},
                        {"value", finding.value},
                        {"consequence", finding.consequence}});
  }
  const nlohmann::ordered_json document = {{"can_run_programs", can_run_programs(report)}, {"findings", findings}};
  return document.dump(2) + "\n";
}

}  // namespace casemate::cli
