#include "attest/dcap_tcb.h"

#include <algorithm>

namespace casemate::attest {
namespace {

using evidence::FixedBytes;
using evidence::TdReportBody;

std::uint8_t svn_at(const FixedBytes<16>& svns, std::size_t index) {
  return std::to_integer<std::uint8_t>(svns[index]);
}

// Byte 0 of TEE_TCB_SVN is the module's minor version, byte 1 its major version.
std::uint8_t module_major(const FixedBytes<16>& svns) { return svn_at(svns, 1); }
std::uint8_t module_minor(const FixedBytes<16>& svns) { return svn_at(svns, 0); }
constexpr std::size_t kModuleSvnCount = 2;

bool reaches_sgx(const evidence::PckExtension& pck, const TcbLevel& level) {
  return std::ranges::equal(pck.component_svns, level.sgx_svns, std::greater_equal<>()) && pck.pce_svn >= level.pce_svn;
}

// Since modules have identities of their own (major version above 0), their two numbers are judged by those alone.
bool reaches_tdx(const FixedBytes<16>& svns, const TcbLevel& level) {
  for (std::size_t i = module_major(svns) > 0 ? kModuleSvnCount : 0; i < level.tdx_svns.size(); ++i) {
    if (svn_at(svns, i) < level.tdx_svns[i]) return false;
  }
  return true;
}

struct MatchedLevels {
  const TcbLevel* sgx = nullptr;  // the best level that the processor part reaches
  const TcbLevel* all = nullptr;  // the best level that everything reaches
};

MatchedLevels match(const evidence::DcapQuote& quote, const evidence::PckExtension& pck, const TcbInfo& info) {
  MatchedLevels matched;
  for (const TcbLevel& level : info.levels) {
    if (!reaches_sgx(pck, level)) continue;
    if (matched.sgx == nullptr) matched.sgx = &level;
    const TdReportBody* td = quote.tdx();
    if (td != nullptr && !reaches_tdx(td->tee_tcb_svn, level)) continue;
    matched.all = &level;
    break;
  }
  return matched;
}

bool needs_configuration(TcbStatus status) {
  return status == TcbStatus::kConfigurationNeeded || status == TcbStatus::kOutOfDateConfigurationNeeded ||
         status == TcbStatus::kConfigurationAndSwHardeningNeeded ||
         status == TcbStatus::kTdRelaunchAdvisedConfigurationNeeded;
}

// A status of the platform, made worse by one of a component (module or quoting enclave).
TcbStatus worsened_by(TcbStatus platform, TcbStatus component) {
  if (component == TcbStatus::kRevoked || component == TcbStatus::kNotSupported) return component;
  if (component != TcbStatus::kOutOfDate) return platform;
  switch (platform) {
    case TcbStatus::kUpToDate:
    case TcbStatus::kSwHardeningNeeded:
      return TcbStatus::kOutOfDate;
    case TcbStatus::kConfigurationNeeded:
    case TcbStatus::kConfigurationAndSwHardeningNeeded:
      return TcbStatus::kOutOfDateConfigurationNeeded;
    default:
      return platform;
  }
}

bool is_current_enough_for_relaunch(TcbStatus sgx) {
  return sgx == TcbStatus::kUpToDate || sgx == TcbStatus::kSwHardeningNeeded ||
         sgx == TcbStatus::kConfigurationNeeded || sgx == TcbStatus::kConfigurationAndSwHardeningNeeded;
}

// Whether the platform now runs the newest module, although this TD was started under an older one (TDX 1.5 says both).
bool runs_newest_module(const FixedBytes<16>& current, const TcbInfo& info) {
  const TcbLevel& newest = info.levels.front();
  if (svn_at(current, 2) < newest.tdx_svns[2]) return false;
  if (module_major(current) == 0) return module_minor(current) >= newest.tdx_svns[0];
  const TdxModuleIdentity* identity = info.find_module_identity(module_major(current));
  return identity != nullptr && module_minor(current) >= identity->levels.front().isv_svn;
}

struct RelaunchInputs {
  TcbStatus sgx, combined, module, quoting_enclave;
};

TcbStatus with_relaunch_advice(const TdReportBody& td, const TcbInfo& info, const RelaunchInputs& inputs) {
  const bool is_out_of_date =
      inputs.combined == TcbStatus::kOutOfDate || inputs.combined == TcbStatus::kOutOfDateConfigurationNeeded;
  if (!td.version15 || inputs.quoting_enclave != TcbStatus::kUpToDate || !is_current_enough_for_relaunch(inputs.sgx) ||
      !is_out_of_date || inputs.module != TcbStatus::kOutOfDate ||
      !runs_newest_module(td.version15->tee_tcb_svn2, info)) {
    return inputs.combined;
  }
  return needs_configuration(inputs.sgx) || needs_configuration(inputs.combined)
             ? TcbStatus::kTdRelaunchAdvisedConfigurationNeeded
             : TcbStatus::kTdRelaunchAdvised;
}

void add_advisories(std::vector<std::string>& all, const std::vector<std::string>& more) {
  for (const std::string& advisory : more) {
    if (std::ranges::find(all, advisory) == all.end()) all.push_back(advisory);
  }
}

// kUpToDate where modules have no identity (major version 0): the level's own components judge them.
TcbStatus evaluate_module(const TdReportBody& td, const TcbInfo& info, TcbEvaluation& evaluation) {
  const std::uint8_t major = module_major(td.tee_tcb_svn);
  if (major == 0) return TcbStatus::kUpToDate;
  const TdxModuleIdentity* identity = info.find_module_identity(major);
  const SvnLevel* level = identity == nullptr ? nullptr : find_level(identity->levels, module_minor(td.tee_tcb_svn));
  evaluation.tdx_module = level == nullptr ? TcbStatus::kNotSupported : level->status;
  if (level != nullptr) add_advisories(evaluation.advisories, level->advisories);
  return *evaluation.tdx_module;
}

}  // namespace

TcbEvaluation evaluate_tcb(const evidence::DcapQuote& quote, const evidence::PckExtension& pck, const TcbInfo& info,
                           const QeIdentity& identity) {
  TcbEvaluation evaluation;
  const SvnLevel* qe_level = find_level(identity.levels, quote.qe_report.isv_svn);
  const TcbStatus qe_status = qe_level == nullptr ? TcbStatus::kNotSupported : qe_level->status;
  evaluation.quoting_enclave = qe_status;
  TcbStatus module_status = TcbStatus::kUpToDate;
  const MatchedLevels matched = match(quote, pck, info);
  if (matched.all != nullptr) {
    evaluation.platform = matched.all->status;
    evaluation.date = matched.all->date;
    evaluation.advisories = matched.all->advisories;
  }
  if (const TdReportBody* td = quote.tdx()) module_status = evaluate_module(*td, info, evaluation);
  if (qe_level != nullptr) add_advisories(evaluation.advisories, qe_level->advisories);
  if (matched.all == nullptr || module_status == TcbStatus::kNotSupported) return evaluation;

  TcbStatus status = worsened_by(matched.all->status, module_status);
  if (const TdReportBody* td = quote.tdx(); td != nullptr && status != TcbStatus::kRevoked) {
    status = with_relaunch_advice(*td, info, {matched.sgx->status, status, module_status, qe_status});
  }
  evaluation.status = worsened_by(status, qe_status);
  return evaluation;
}

}  // namespace casemate::attest
