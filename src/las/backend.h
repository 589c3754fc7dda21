// Which hardware the LAS builds on, chosen by name or by what the host has.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "crypto/signature.h"
#include "las/aesm_client.h"
#include "las/issuer.h"
#include "las/tsm_report.h"

namespace casemate::las {

enum class BackendChoice { kAuto, kSimulation, kTdx, kSnp, kSgx };

// "auto", "simulation", "tdx", "snp", "sgx".
std::optional<BackendChoice> backend_named(const std::string& name);
const char* name_of(BackendChoice choice);

struct HostPaths {
  std::string tsm_tree = kTsmTree;
  std::string aesm_socket = kAesmSocket;
  std::string sgx_device = "/dev/sgx_enclave";
};

// What the host offers, in the order of preference: a confidential VM's quotes, SGX, else simulation. Never kAuto.
BackendChoice detect_backend(const HostPaths& paths);

struct BackendOptions {
  BackendChoice choice = BackendChoice::kAuto;
  HostPaths paths;
  std::chrono::seconds renew_after{120};
};

// Exactly one of the two is set: statements about processes, or quotes for enclaves.
struct Backend {
  BackendChoice choice = BackendChoice::kSimulation;
  std::unique_ptr<Issuer> issuer;
  std::unique_ptr<AesmClient> enclaves;
};

// Errors: kNotFound when the named hardware is not here, kUsage when the tree belongs to another one.
Result<Backend> make_backend(const BackendOptions& options, crypto::PrivateKey key);

}  // namespace casemate::las
