#include "keeper/network_endpoints.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"

namespace casemate::keeper {
namespace {

enum class Contents { kPublic, kPrivateKey };

Result<std::string> read_text_file(const std::string& path, Contents contents) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  struct stat status = {};
  if (!file.is_open() || fstat(file.get(), &status) != 0) return Error::from_errno(path, errno);
  if (!S_ISREG(status.st_mode)) return Error(ErrorCategory::kUsage, path + ": not a regular file");
  if (contents == Contents::kPrivateKey && (status.st_mode & 077) != 0) {
    return Error(ErrorCategory::kUsage, path + ": others may read this private key; chmod 600 it");
  }
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t got = read(file.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(path, errno);
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > kMostPemBytes) return Error(ErrorCategory::kFormat, path + ": larger than 256 KiB");
  }
}

Result<std::string> pem_of(const std::string& value, const std::string& directory, Contents contents) {
  if (!value.starts_with(policy::kFilePrefix)) return value;
  std::string path = value.substr(policy::kFilePrefix.size());
  if (!path.starts_with('/') && !directory.empty()) path = directory + "/" + path;
  return read_text_file(path, contents);
}

Result<crypto::TlsEndpointSettings> settings_of(const policy::NetworkRule& rule, const std::vector<std::string>& names,
                                                const std::string& directory) {
  crypto::TlsEndpointSettings settings;
  settings.side = rule.side == policy::RuleSide::kServer ? crypto::TlsSide::kServer : crypto::TlsSide::kClient;
  // Key and certificates may stand in any order: readers of one kind of PEM block skip the others.
  settings.certificate_chain = CASEMATE_TRY(pem_of(rule.identity, directory, Contents::kPrivateKey));
  settings.private_key = settings.certificate_chain;
  settings.peer_proof = rule.authentication == policy::PeerAuthentication::kChain ? crypto::TlsPeerProof::kRequired
                                                                                  : crypto::TlsPeerProof::kNone;
  settings.anchors = CASEMATE_TRY(pem_of(rule.peer_chain, directory, Contents::kPublic));
  for (const std::string& name : names) {
    if (name.starts_with("dns:")) settings.peer_dns_names.push_back(name.substr(4));
    if (name.starts_with("uri:")) settings.peer_uris.push_back(name.substr(4));
  }
  return settings;
}

}  // namespace

Result<crypto::TlsEndpointSettings> endpoint_settings_of(const policy::NetworkRules& rules, std::size_t rule,
                                                         const std::string& directory) {
  Result<crypto::TlsEndpointSettings> settings =
      settings_of(rules.network.rules[rule], rules.peer_names[rule], directory);
  if (settings.has_value()) return settings;
  return settings.error().with_context("rule `" + rules.network.rules[rule].name + "`");
}

Result<NetworkSettings> network_settings_of(const policy::NetworkRules& rules, const std::string& directory) {
  NetworkSettings settings{rules, {}};
  for (std::size_t i = 0; i < rules.network.rules.size(); ++i) {
    settings.endpoints.emplace_back();
    if (!rules.network.rules[i].is_protected) continue;
    settings.endpoints.back() = CASEMATE_TRY(endpoint_settings_of(rules, i, directory));
  }
  return settings;
}

Result<NetworkSettings> load_network_settings(const std::string& path) {
  const std::string text = CASEMATE_TRY(read_text_file(path, Contents::kPublic));
  policy::Diagnostics diagnostics;
  const std::optional<policy::NetworkRules> rules = policy::parse_network_rules(text, diagnostics);
  if (!rules.has_value()) {
    diagnostics.sort();
    return Error(ErrorCategory::kUsage, policy::to_text(diagnostics.all().front(), path));
  }
  const std::size_t slash = path.rfind('/');
  return network_settings_of(*rules, slash == std::string::npos ? "" : path.substr(0, slash));
}

}  // namespace casemate::keeper
