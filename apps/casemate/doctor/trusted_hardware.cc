#include "casemate/doctor/trusted_hardware.h"

#include <unistd.h>

#include <string>

namespace casemate::cli {
namespace {

struct Guest {
  const char* id;
  const char* title;
  const char* device;
  const char* provider;  // as configfs-tsm names it
};
constexpr Guest kGuests[] = {{"tee_tdx", "TDX guest", "/dev/tdx_guest", "tdx_guest"},
                             {"tee_snp", "SEV-SNP guest", "/dev/sev-guest", "sev_guest"}};

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

Finding sgx(const las::HostPaths& paths) {
  const bool device = exists(paths.sgx_device);
  if (!device) {
    return {"tee_sgx", "SGX", Verdict::kMissing, "no " + paths.sgx_device, "no enclaves on this host"};
  }
  const bool quotes = las::aesm_is_running(paths.aesm_socket);
  return {"tee_sgx", "SGX", Verdict::kLimited, quotes ? "device and aesmd" : "device, no aesmd",
          quotes ? "the attestation service makes DCAP quotes of enclaves' reports; the process engine uses none"
                 : "no quotes: nobody listens on " + paths.aesm_socket};
}

Finding guest(const Guest& kind, const Result<std::string>& provider) {
  if (provider.has_value() && provider.value() == kind.provider) {
    return {kind.id, kind.title, Verdict::kGood, "yes, with quotes", "evidence is bound to this machine's hardware"};
  }
  if (!exists(kind.device)) return {kind.id, kind.title, Verdict::kMissing, "no", "not inside of such a machine"};
  return {kind.id, kind.title, Verdict::kLimited, "device, no configfs-tsm",
          "no quotes: Linux 6.7 or later with configfs mounted is needed, and root"};
}

Finding las_backend(const las::HostPaths& paths) {
  const las::BackendChoice choice = las::detect_backend(paths);
  const bool simulated = choice == las::BackendChoice::kSimulation;
  return {"las_backend", "Attestation back end", simulated ? Verdict::kMissing : Verdict::kGood, las::name_of(choice),
          simulated ? "evidence of `casemate las serve` is a SIMULATION: it counts only where its key is pinned"
                    : "what `casemate las serve` builds on unless --backend says otherwise"};
}

}  // namespace

std::vector<Finding> examine_trusted_hardware(const las::HostPaths& paths) {
  std::vector<Finding> findings = {sgx(paths)};
  const Result<std::string> provider = las::tsm_provider(paths.tsm_tree);
  for (const Guest& kind : kGuests) findings.push_back(guest(kind, provider));
  findings.push_back(las_backend(paths));
  return findings;
}

}  // namespace casemate::cli
