#include "las/backend.h"

#include <unistd.h>

#include <array>
#include <string_view>
#include <utility>

namespace casemate::las {
namespace {

constexpr std::pair<std::string_view, BackendChoice> kNames[] = {{"auto", BackendChoice::kAuto},
                                                                 {"simulation", BackendChoice::kSimulation},
                                                                 {"tdx", BackendChoice::kTdx},
                                                                 {"snp", BackendChoice::kSnp},
                                                                 {"sgx", BackendChoice::kSgx}};

struct Provider {
  std::string_view name;  // as configfs-tsm says it
  BackendChoice choice;
  evidence::LasBackend backend;
};
constexpr Provider kProviders[] = {{"tdx_guest", BackendChoice::kTdx, evidence::LasBackend::kTdx},
                                   {"sev_guest", BackendChoice::kSnp, evidence::LasBackend::kSnp}};

const Provider* provider_of(const std::string& name) {
  for (const Provider& provider : kProviders) {
    if (provider.name == name) return &provider;
  }
  return nullptr;
}

Result<Backend> node_backend(const BackendOptions& options, BackendChoice choice, crypto::PrivateKey key) {
  const std::string tree = options.paths.tsm_tree;
  const Result<std::string> name = tsm_provider(tree);
  if (!name.has_value()) return name.error().with_context(las::name_of(choice));
  const Provider* provider = provider_of(name.value());
  if (provider == nullptr || provider->choice != choice) {
    return Error(ErrorCategory::kUsage, std::string(las::name_of(choice)) + ": the quotes here come from " +
                                            name.value() + "; use --backend auto, or the matching one");
  }
  const QuoteNode quote_node = [tree,
                                expected = name.value()](const evidence::Digest64& report_data) -> Result<NodeQuote> {
    TsmReport report = CASEMATE_TRY(tsm_report(tree, report_data));
    if (report.provider != expected) return Error(ErrorCategory::kSystem, tree + ": the provider changed");
    return NodeQuote{std::move(report.quote), std::move(report.auxiliary)};
  };
  Backend backend;
  backend.choice = choice;
  backend.issuer = std::make_unique<Issuer>(std::move(key), provider->backend, quote_node, options.renew_after);
  return backend;
}

}  // namespace

std::optional<BackendChoice> backend_named(const std::string& name) {
  for (const auto& [known, choice] : kNames) {
    if (known == name) return choice;
  }
  return std::nullopt;
}

const char* name_of(BackendChoice choice) {
  for (const auto& [name, known] : kNames) {
    if (known == choice) return name.data();
  }
  return "unknown";
}

BackendChoice detect_backend(const HostPaths& paths) {
  if (const Result<std::string> name = tsm_provider(paths.tsm_tree); name.has_value()) {
    if (const Provider* provider = provider_of(name.value()); provider != nullptr) return provider->choice;
  }
  const bool sgx = access(paths.sgx_device.c_str(), F_OK) == 0 && aesm_is_running(paths.aesm_socket);
  return sgx ? BackendChoice::kSgx : BackendChoice::kSimulation;
}

Result<Backend> make_backend(const BackendOptions& options, crypto::PrivateKey key) {
  const BackendChoice choice = options.choice == BackendChoice::kAuto ? detect_backend(options.paths) : options.choice;
  if (choice == BackendChoice::kTdx || choice == BackendChoice::kSnp)
    return node_backend(options, choice, std::move(key));
  Backend backend;
  backend.choice = choice;
  if (choice == BackendChoice::kSimulation) {
    backend.issuer =
        std::make_unique<Issuer>(std::move(key), evidence::LasBackend::kSimulation, QuoteNode(), options.renew_after);
    return backend;
  }
  backend.enclaves = std::make_unique<AesmClient>(options.paths.aesm_socket);
  if (!aesm_is_running(options.paths.aesm_socket)) {
    return Error(ErrorCategory::kNotFound,
                 "sgx: nobody listens on " + options.paths.aesm_socket + "; is aesmd running?");
  }
  return backend;
}

}  // namespace casemate::las
