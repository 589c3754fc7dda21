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

bool accepts(const policy::Service& service, const char* platform) {
  return std::ranges::find(service.tee, platform) != service.tee.end();
}

// What both platforms have in common.
attest::AppraisalPolicy policy_for(attest::Platform platform, const policy::Security& security,
                                   const policy::Service& service) {
  attest::AppraisalPolicy wanted;
  wanted.platforms = {platform};
  wanted.tolerated_statuses = tolerated_statuses(security);
  wanted.tolerated_advisories.emplace(security.ignore_advisories.begin(), security.ignore_advisories.end());
  if (security.ignore_all_advisories) wanted.tolerated_advisories.reset();
  wanted.allows_debug = security.tolerates("debug-mode");
  wanted.platform_ids.insert(service.platforms.begin(), service.platforms.end());
  return wanted;
}

// Absent components may be anything. Which generations have `fmc` the report knows.
evidence::SnpTcb lowest_tcb(const policy::SnpNode& node) {
  const std::pair<const char*, std::uint8_t evidence::SnpTcb::*> components[] = {
      {"fmc", &evidence::SnpTcb::fmc},
      {"bootloader", &evidence::SnpTcb::bootloader},
      {"tee", &evidence::SnpTcb::tee},
      {"snp", &evidence::SnpTcb::snp},
      {"microcode", &evidence::SnpTcb::microcode}};
  evidence::SnpTcb tcb;
  for (const auto& [name, member] : components) {
    const auto given = node.minimum_tcb.find(name);
    if (given != node.minimum_tcb.end()) tcb.*member = static_cast<std::uint8_t>(std::min(given->second, 255U));
  }
  return tcb;
}

// As attest/measurements.h writes it.
std::string policy_text(std::uint64_t policy) {
  std::string digits;
  do digits.insert(digits.begin(), "0123456789abcdef"[policy & 0xf]);
  while ((policy >>= 4) != 0);
  return "0x" + digits;
}

}  // namespace

std::vector<attest::AppraisalPolicy> tdx_policies(const policy::Security& security, const policy::Service& service) {
  std::vector<attest::AppraisalPolicy> policies;
  if (!accepts(service, "tdx")) return policies;
  for (const policy::TdxNode& node : service.node.tdx) {
    attest::AppraisalPolicy wanted = policy_for(attest::Platform::kTdx, security, service);
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

std::vector<attest::AppraisalPolicy> snp_policies(const policy::Security& security, const policy::Service& service) {
  std::vector<attest::AppraisalPolicy> policies;
  if (!accepts(service, "snp")) return policies;
  for (const policy::SnpNode& node : service.node.snp) {
    attest::AppraisalPolicy wanted = policy_for(attest::Platform::kSnp, security, service);
    wanted.expected_values.emplace("node_measurement", node.measurement);
    if (node.guest_policy) wanted.expected_values.emplace("node_policy", policy_text(*node.guest_policy));
    wanted.highest_vmpl = node.vmpl;
    wanted.lowest_snp_tcb = lowest_tcb(node);
    policies.push_back(std::move(wanted));
  }
  return policies;
}

}  // namespace casemate::cas
