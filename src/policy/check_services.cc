// Services: evidence that can be satisfied and means something, commands, variables of the host, networks.
#include <algorithm>

#include "policy/check_internal.h"
#include "policy/command_line.h"
#include "policy/suggestion.h"

namespace casemate::policy::internal {
namespace {

// Variables through which the host would choose code or keys when they are passed through.
constexpr std::string_view kSteeringVariables[] = {
    "LD_PRELOAD",    "LD_LIBRARY_PATH", "LD_AUDIT",     "GLIBC_TUNABLES",
    "GCONV_PATH",    "LOCPATH",         "OPENSSL_CONF", "OPENSSL_MODULES",
    "SSL_CERT_FILE", "SSL_CERT_DIR",    "PYTHONPATH",   "PYTHONHOME",
    "PYTHONSTARTUP", "PERL5LIB",        "PERL5OPT",     "RUBYLIB",
    "RUBYOPT",       "NODE_OPTIONS",    "NODE_PATH",    "JAVA_TOOL_OPTIONS",
    "CLASSPATH",     "BASH_ENV",        "ENV",          "PATH",
    "IFS",           "TMPDIR",
};

bool contains(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

void check_attestation(Checker& checker, const Service& service) {
  if (service.attestation.empty()) {
    checker.own_error(service.where,
                      "service `" + service.name + "` names no measurement and no signer: nothing could ever start it",
                      "add attestation: [{mrenclave: [...]}] with what `casemate measure` prints");
  }
  for (const AttestationAlternative& alternative : service.attestation) {
    if (alternative.measurements.empty() && !alternative.signer) {
      checker.out.error(alternative.where, "an alternative of `attestation` that demands nothing",
                        "give mrenclave or signer");
    }
    for (const std::string& measurement : alternative.measurements) {
      if (measurement.find_first_not_of('0') != std::string::npos) continue;
      checker.out.warning(alternative.where, "a measurement of zeros only: a placeholder that nothing satisfies",
                          "write what `casemate measure` prints");
    }
    if (alternative.signer && !alternative.signer->product_id) {
      checker.own_error(alternative.where,
                        "a signer without `isvprodid`: everything that this signer ever signed could start the service",
                        "add isvprodid, and isvsvn as the least version");
    }
  }
}

void check_evidence(Checker& checker, const Service& service) {
  const Security* security = checker.session.security_rules();
  if (security != nullptr && security->tolerates("simulation") && service.platforms.empty()) {
    checker.out.error(
        security->tolerate_where,
        "simulation is tolerated, but service `" + service.name + "` pins no platform: anybody can make such evidence",
        "add platforms: [KEY-ID] with the id that `casemate las` prints");
  }
  const bool needs_tdx = contains(service.tee, "tdx"), needs_snp = contains(service.tee, "snp");
  if (needs_tdx && service.node.tdx.empty()) {
    checker.out.error(
        service.tee_where,
        "service `" + service.name + "` accepts tdx without reference values of the node: any guest would do",
        "add node: {tdx: [{mrtd: ..., rtmr0: ..., ...}]}");
  }
  if (needs_snp && service.node.snp.empty()) {
    checker.out.error(
        service.tee_where,
        "service `" + service.name + "` accepts snp without reference values of the node: any guest would do",
        "add node: {snp: [{measurement: ..., minimum_tcb: ...}]}");
  }
  const bool has_unused = (!needs_tdx && !service.node.tdx.empty()) || (!needs_snp && !service.node.snp.empty());
  if (has_unused) {
    checker.out.warning(service.node.where, "`node` has reference values for evidence that `tee` does not accept",
                        "add tdx or snp to `tee`");
  }
}

void check_command(Checker& checker, const Service& service) {
  for (const std::string& word : service.command) {
    for (const WordPart& part : parts_of_word(word)) {
      if (part.argument >= 0 || part.text.find("@@") == std::string_view::npos) continue;
      checker.out.warning(service.command_where, "`@@` without a number from 0 to 999 stays as it is",
                          "write @@1 for the host's first argument");
    }
  }
  if (service.command.empty()) return;
  if (parts_of_word(service.command.front()).front().argument >= 0) {
    checker.out.error(service.command_where, "the host would choose the program of service `" + service.name + "`",
                      "write the program's path; @@n is for arguments");
  }
}

void check_environment(Checker& checker, const Service& service) {
  for (const EnvironmentVariable& variable : service.environment) {
    const bool steers = std::find(std::begin(kSteeringVariables), std::end(kSteeringVariables), variable.name) !=
                        std::end(kSteeringVariables);
    if (variable.pass_through && steers) {
      checker.own_error(variable.where,
                        "`" + variable.name + "` from the host would let the host choose what code runs",
                        "give its value here");
    }
    const bool is_mode = variable.name == "SCONE_MODE" && !variable.pass_through;
    if (is_mode && variable.value != "hw" && variable.value != "HW") {
      checker.out.warning(variable.where,
                          "`SCONE_MODE` in a session decides nothing here: what evidence is accepted does",
                          "remove it; simulation is accepted with tolerate: [simulation] and a pinned platform");
    }
  }
}

// Once per session: we cannot tell whose measurements these are.
void check_origin_of_measurements(Checker& checker) {
  if (checker.session.version == Version::kCasemate1) return;
  for (const Service& service : checker.session.services) {
    for (const AttestationAlternative& alternative : service.attestation) {
      if (alternative.measurements.empty()) continue;
      checker.out.warning(
          alternative.where,
          "measurements of SCONE's runtime never match Casemate's: with them this session parses, but cannot start",
          "replace them by what `casemate measure` prints");
      return;
    }
  }
}

void check_legacy(Checker& checker, const SconeFileProtection& protection, const std::string& owner) {
  if (!protection.is_given()) return;
  checker.out.warning(protection.where,
                      owner + " uses SCONE's file system protection files, which Casemate cannot read: it cannot start",
                      "import the plain files with `casemate volume import` and name the volume");
}

}  // namespace

void check_services(Checker& checker) {
  check_origin_of_measurements(checker);
  for (const Service& service : checker.session.services) {
    if (!service.image.empty() && checker.session.find_image(service.image) == nullptr) {
      const std::vector<std::string_view> images = names_of(checker.session.images);
      checker.own_error(
          service.image_where,
          "service `" + service.name + "` names an image `" + service.image.substr(0, 100) + "` that is not declared",
          suggest(service.image, images));
    }
    check_attestation(checker, service);
    check_evidence(checker, service);
    check_command(checker, service);
    check_environment(checker, service);
    check_legacy(checker, service.file_protection, "service `" + service.name + "`");
    if (!service.allow.empty()) {
      checker.out.warning(service.where, "service `" + service.name + "` may be traced or dump its memory",
                          "remove `allow` in production");
    }
  }
  for (const Volume& volume : checker.session.volumes) {
    check_legacy(checker, volume.file_protection, "volume `" + volume.name + "`");
  }
}

void check_networks(Checker& checker) {
  for (const Service& service : checker.session.services) {
    for (const NetworkRule& rule : service.network.rules) {
      const bool is_server = rule.side == RuleSide::kServer;
      const std::string who = std::string(is_server ? "server" : "client") + " rule `" + rule.name + "`";
      if (rule.endpoint.empty()) {
        checker.out.error(rule.where, who + " has no " + (is_server ? "port" : "destination"),
                          is_server ? "add its _PORT, for example \"TCP:8443\""
                                    : "add its _DESTINATION, for example \"TCP:redis:6379\"");
      }
      if (!rule.is_protected) {
        checker.out.warning(rule.where, who + " leaves this connection unprotected: the host reads and changes it",
                            "make it protected");
        continue;
      }
      // In our own version CAS gives each service an identity, and trusts the session's services where nothing is said.
      const bool has_defaults = checker.session.version == Version::kCasemate1;
      if (is_server && rule.identity.empty() && !has_defaults) {
        checker.out.error(rule.where, who + " is protected, but has no identity",
                          "give key and certificate: $$CASEMATE::key:pem$$$$CASEMATE::crt:pem$$");
      }
      if (!is_server && rule.authentication == PeerAuthentication::kUnset && !has_defaults) {
        checker.out.warning(rule.where, who + " does not say whom it trusts: services of this session only",
                            "give server_auth: $$CASEMATE::ca:crt:pem$$");
      }
      if (rule.identity.starts_with("file:") || rule.peer_chain.starts_with("file:")) {
        checker.out.error(rule.where, who + " names a file of the host",
                          "give PEM text, or references to secrets: $$CASEMATE::key:pem$$$$CASEMATE::crt:pem$$");
      }
      if (rule.authentication == PeerAuthentication::kDisabled) {
        checker.out.warning(rule.where, who + " authenticates no peer: anybody may be at the other end",
                            "name a certificate authority");
      }
    }
  }
}

}  // namespace casemate::policy::internal
