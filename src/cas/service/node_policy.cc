#include "cas/service/node_policy.h"

#include <algorithm>

namespace casemate::cas {
namespace {

using attest::TcbStatus;

std::set<TcbStatus> tolerated_statuses(const policy::Security& security) {
  const bool old = security.tolerates("outdated-tcb"), soft = security.tolerates("software-hardening-needed"),
             odd = security.tolerates("insecure-configuration");
  const std::pair<bool, TcbStatus> rows[] = {{true, TcbStatus::kUpToDate},
                                             {old, TcbStatus::kOutOfDate},
                                             {soft, TcbStatus::kSwHardeningNeeded},
                                             {odd, TcbStatus::kConfigurationNeeded},
                                             {soft && odd, TcbStatus::kConfigurationAndSwHardeningNeeded},
                                             {old && odd, TcbStatus::kOutOfDateConfigurationNeeded}};
  std::set<TcbStatus> statuses;
  for (const auto& [is_tolerated, status] : rows) {
    if (is_tolerated) statuses.insert(status);
  }
  return statuses;
}

}  // namespace

std::vector<attest::AppraisalPolicy> tdx_policies(const policy::Security& security, const policy::Service& service) {
  std::vector<attest::AppraisalPolicy> policies;
  if (std::ranges::find(service.tee, "tdx") == service.tee.end()) return policies;
  for (const policy::TdxNode& node : service.node.tdx) {
    attest::AppraisalPolicy wanted;
    wanted.platforms = {attest::Platform::kTdx};
    wanted.tolerated_statuses = tolerated_statuses(security);
    wanted.tolerated_advisories.emplace(security.ignore_advisories.begin(), security.ignore_advisories.end());
    if (security.ignore_all_advisories) wanted.tolerated_advisories.reset();
    wanted.allows_debug = security.tolerates("debug-mode");
    wanted.platform_ids.insert(service.platforms.begin(), service.platforms.end());
    const std::pair<const char*, const std::string*> values[] = {
        {"node_mrtd", &node.mrtd},   {"node_rtmr0", &node.rtmr0},
        {"node_rtmr1", &node.rtmr1}, {"node_rtmr2", &node.rtmr2},
        {"node_rtmr3", &node.rtmr3}, {"node_mrseam", &node.mrseam},
        {"node_xfam", &node.xfam},   {"node_tdattributes", &node.attributes}};
    for (const auto& [name, value] : values) {
      if (!value->empty() && *value != "any") wanted.expected_values.emplace(name, *value);
    }
    policies.push_back(std::move(wanted));
  }
  return policies;
}

}  // namespace casemate::cas
