// services[]: what runs, on what evidence, with which arguments and environment.
#include <algorithm>

#include "policy/command_line.h"
#include "policy/names.h"
#include "policy/parse_internal.h"

namespace casemate::policy::internal {
namespace {

constexpr std::size_t kMeasurementSize = 32, kTagSize = 16, kKeySize = 32;
constexpr std::size_t kPlatformSizes[] = {16, 32, 48, 64, 96, 128, 256};
constexpr std::string_view kTees[] = {"sgx", "tdx", "snp"};
constexpr std::string_view kAllowances[] = {"tracing", "core-dumps"};
constexpr std::size_t kMaxVariableName = 256;

std::string read_measurement(Reader& reader, const Node& node) {
  return reader.hex(node, "a measurement (mrenclave)", kMeasurementSize);
}

std::vector<std::string> read_measurements(Reader& reader, const Node& node, const char* key) {
  if (node.kind == NodeKind::kScalar) return {read_measurement(reader, node)};
  return reader.list<std::string>(node, "`" + std::string(key) + "`", "measurements", read_measurement);
}

constexpr Field<SignerIdentity> kSignerFields[] = {
    {"mrsigner",
     [](SignerIdentity& signer, const Node& node, Reader& reader) {
       signer.mrsigner = reader.hex(node, "`mrsigner`", kMeasurementSize);
     },
     Presence::kRequired},
    {"isvprodid",
     [](SignerIdentity& signer, const Node& node, Reader& reader) {
       signer.product_id = static_cast<std::uint32_t>(reader.integer(node, "`isvprodid`", 0, 65535));
     }},
    {"isvsvn",
     [](SignerIdentity& signer, const Node& node, Reader& reader) {
       signer.minimum_security_version = static_cast<std::uint32_t>(reader.integer(node, "`isvsvn`", 0, 65535));
     }},
};

void read_signer(AttestationAlternative& alternative, const Node& node, Reader& reader) {
  SignerIdentity signer;
  read_mapping<SignerIdentity>(signer, node, "`signer`", kSignerFields, reader);
  alternative.signer = signer;
}

void append_measurements(AttestationAlternative& alternative, std::vector<std::string> more) {
  alternative.measurements.insert(alternative.measurements.end(), more.begin(), more.end());
}

constexpr Field<AttestationAlternative> kAlternativeFields[] = {
    {"mrenclave",
     [](AttestationAlternative& alternative, const Node& node, Reader& reader) {
       append_measurements(alternative, read_measurements(reader, node, "mrenclave"));
     }},
    {"measurement",
     [](AttestationAlternative& alternative, const Node& node, Reader& reader) {
       append_measurements(alternative, read_measurements(reader, node, "measurement"));
     }},
    {"signer", read_signer},
};

AttestationAlternative read_alternative(Reader& reader, const Node& node) {
  AttestationAlternative alternative;
  alternative.where = node.where;
  read_mapping<AttestationAlternative>(alternative, node, "an alternative of `attestation`", kAlternativeFields,
                                       reader);
  return alternative;
}

void read_attestation(Service& service, const Node& node, Reader& reader) {
  std::vector<AttestationAlternative> more =
      reader.list<AttestationAlternative>(node, "`attestation`", "alternatives", read_alternative);
  service.attestation.insert(service.attestation.end(), more.begin(), more.end());
}

void read_old_measurements(Service& service, const Node& node, Reader& reader) {
  AttestationAlternative alternative;
  alternative.where = node.where;
  alternative.measurements = read_measurements(reader, node, "mrenclaves");
  service.attestation.push_back(alternative);
}

std::string read_argument(Reader& reader, const Node& node) {
  return reader.template_text(node, "a word of `command`");
}

void read_command(Service& service, const Node& node, Reader& reader) {
  service.command_where = node.where;
  if (node.kind == NodeKind::kList) {
    service.command = reader.list<std::string>(node, "`command`", "words", read_argument);
    return;
  }
  const std::string command = reader.template_text(node, "`command`");
  Result<std::vector<std::string>> words = split_command(command);
  if (!words) {
    reader.out.error(node.where, "`command`: " + words.error().message(),
                     "close it, or write the command as a list of words");
    return;
  }
  service.command = std::move(words).value();
  const bool was_text = node.kind == NodeKind::kScalar && (node.quoting == Quoting::kQuoted || !command.empty());
  if (service.command.empty() && was_text) reader.wrong(node, "`command`", "a program and its arguments");
}

bool is_variable_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxVariableName && std::all_of(name.begin(), name.end(), [](char letter) {
    return letter > ' ' && letter < '\x7f' && letter != '=';
  });
}

EnvironmentVariable read_variable(Reader& reader, const Entry& entry) {
  constexpr std::string_view kPassThrough[] = {"\\@\\@", "@@"};
  EnvironmentVariable variable;
  variable.name = entry.key.text;
  variable.where = entry.key.where;
  for (const std::string_view prefix : kPassThrough) {
    if (!variable.pass_through && variable.name.starts_with(prefix)) {
      variable.pass_through = true;
      variable.name.erase(0, prefix.size());
    }
  }
  if (!is_variable_name(variable.name)) {
    reader.out.error(variable.where, "`environment`: this is no name of a variable",
                     "names are printable, without = and spaces");
  }
  if (!variable.pass_through) {
    const Position value_where = entry.value.where;
    variable.value = reader.template_text(entry.value, "variable `" + variable.name.substr(0, 60) + "`");
    if (value_where.line != 0) variable.where = value_where;
  }
  return variable;
}

void read_environment(Service& service, const Node& node, Reader& reader) {
  if (node.kind == NodeKind::kList) {
    reader.wrong(node, "`environment`", "a mapping", "write NAME: value, not - NAME=value");
    return;
  }
  if (!reader.expect_mapping(node, "`environment`")) return;
  for (const Entry& entry : node.entries) {
    EnvironmentVariable variable = read_variable(reader, entry);
    const auto same = [&](const EnvironmentVariable& other) { return other.name == variable.name; };
    if (std::any_of(service.environment.begin(), service.environment.end(), same)) {
      reader.out.error(entry.key.where,
                       "variable `" + variable.name.substr(0, 60) + "` is given twice, once passed through",
                       "keep one of them");
    }
    if (!variable.pass_through && is_network_variable(variable.name)) {
      read_network_variable(service.network, variable, reader);
    }
    service.environment.push_back(std::move(variable));
  }
}

void read_protection_key(SconeFileProtection& protection, const Node& node, Reader& reader) {
  protection.where = node.where;
  protection.key = std::make_shared<const SecretText>(reader.hex(node, "`fspf_key`", kKeySize));
}

void read_protection_tag(SconeFileProtection& protection, const Node& node, Reader& reader) {
  protection.where = node.where;
  protection.tag = reader.hex(node, "`fspf_tag`", kTagSize);
}

// ---- nodes ----------------------------------------------------------------------------------------------------------

constexpr std::size_t kRegisterSize = 48, kAttributesSize = 8;

std::string read_register(Reader& reader, const Node& node, const char* name) {
  if (node.kind == NodeKind::kScalar && node.text == "any") return "any";
  return reader.hex(node, "`" + std::string(name) + "`", kRegisterSize);
}

constexpr Field<TdxNode> kTdxFields[] = {
    {"mrtd",
     [](TdxNode& tdx, const Node& node, Reader& reader) { tdx.mrtd = reader.hex(node, "`mrtd`", kRegisterSize); },
     Presence::kRequired},
    {"rtmr0", [](TdxNode& tdx, const Node& node, Reader& reader) { tdx.rtmr0 = read_register(reader, node, "rtmr0"); },
     Presence::kRequired},
    {"rtmr1", [](TdxNode& tdx, const Node& node, Reader& reader) { tdx.rtmr1 = read_register(reader, node, "rtmr1"); },
     Presence::kRequired},
    {"rtmr2", [](TdxNode& tdx, const Node& node, Reader& reader) { tdx.rtmr2 = read_register(reader, node, "rtmr2"); },
     Presence::kRequired},
    {"rtmr3", [](TdxNode& tdx, const Node& node, Reader& reader) { tdx.rtmr3 = read_register(reader, node, "rtmr3"); },
     Presence::kRequired},
    {"mrseam",
     [](TdxNode& tdx, const Node& node, Reader& reader) { tdx.mrseam = reader.hex(node, "`mrseam`", kRegisterSize); }},
    {"attributes", [](TdxNode& tdx, const Node& node,
                      Reader& reader) { tdx.attributes = reader.hex(node, "`attributes`", kAttributesSize); }},
    {"xfam",
     [](TdxNode& tdx, const Node& node, Reader& reader) { tdx.xfam = reader.hex(node, "`xfam`", kAttributesSize); }},
};

void read_minimum_tcb(SnpNode& snp, const Node& node, Reader& reader) {
  constexpr std::string_view kParts[] = {"bootloader", "tee", "snp", "microcode", "fmc"};
  if (!reader.expect_mapping(node, "`minimum_tcb`")) return;
  for (const Entry& entry : node.entries) {
    if (std::find(std::begin(kParts), std::end(kParts), entry.key.text) == std::end(kParts)) {
      reader.report_unknown(entry.key, "`minimum_tcb`", kParts);
      continue;
    }
    snp.minimum_tcb[entry.key.text] =
        static_cast<unsigned>(reader.integer(entry.value, "`" + entry.key.text + "`", 0, 255));
  }
}

constexpr Field<SnpNode> kSnpFields[] = {
    {"measurement",
     [](SnpNode& snp, const Node& node, Reader& reader) {
       snp.measurement = reader.hex(node, "`measurement`", kRegisterSize);
     },
     Presence::kRequired},
    {"minimum_tcb", read_minimum_tcb, Presence::kRequired},
    {"guest_policy",
     [](SnpNode& snp, const Node& node, Reader& reader) {
       snp.guest_policy = reader.integer(node, "`guest_policy`", 0, (std::uint64_t{1} << 53) - 1);
     }},
    {"vmpl", [](SnpNode& snp, const Node& node,
                Reader& reader) { snp.vmpl = static_cast<unsigned>(reader.integer(node, "`vmpl`", 0, 3)); }},
};

TdxNode read_tdx(Reader& reader, const Node& node) {
  TdxNode tdx;
  read_mapping<TdxNode>(tdx, node, "a tdx node", kTdxFields, reader);
  return tdx;
}

SnpNode read_snp(Reader& reader, const Node& node) {
  SnpNode snp;
  read_mapping<SnpNode>(snp, node, "an snp node", kSnpFields, reader);
  return snp;
}

constexpr Field<NodeReferences> kNodeFields[] = {
    {"tdx", [](NodeReferences& references, const Node& node,
               Reader& reader) { references.tdx = reader.list<TdxNode>(node, "`tdx`", "reference values", read_tdx); }},
    {"snp", [](NodeReferences& references, const Node& node,
               Reader& reader) { references.snp = reader.list<SnpNode>(node, "`snp`", "reference values", read_snp); }},
};

// ---- the service ----------------------------------------------------------------------------------------------------

template <const char* kName>
void ignore_legacy(Service&, const Node& node, Reader& reader) {
  reader.out.warning(node.where, "`" + std::string(kName) + "` belongs to SCONE's versions before 0.3 and is ignored",
                     "remove it");
}
constexpr char kTags[] = "tags", kPersistency[] = "persistency";

constexpr Field<Service> kServiceFields[] = {
    {"name",
     [](Service& service, const Node& node, Reader& reader) {
       service.name = reader.local_name(node, "a service's `name`");
     },
     Presence::kRequired},
    {"image_name",
     [](Service& service, const Node& node, Reader& reader) {
       service.image = reader.text(node, "`image_name`");
       service.image_where = node.where;
     }},
    {"command", read_command, Presence::kRequired},
    {"mrenclaves", read_old_measurements},
    {"attestation", read_attestation},
    {"platforms",
     [](Service& service, const Node& node, Reader& reader) {
       service.platforms = reader.list<std::string>(
           node, "`platforms`", "platform ids",
           [](Reader& inner, const Node& item) { return inner.hex(item, "a platform id", kPlatformSizes); });
     }},
    {"tee",
     [](Service& service, const Node& node, Reader& reader) {
       service.tee_where = node.where;
       service.tee = reader.list<std::string>(node, "`tee`", "kinds of evidence", [](Reader& inner, const Node& item) {
         return std::string(kTees[inner.choose(item, "`tee`", kTees)]);
       });
     }},
    {"node",
     [](Service& service, const Node& node, Reader& reader) { service.node = read_node_references(reader, node); }},
    {"environment", read_environment},
    {"pwd", [](Service& service, const Node& node, Reader& reader) { service.pwd = reader.path(node, "`pwd`"); }},
    {"network",
     [](Service& service, const Node& node, Reader& reader) { read_network(service.network, node, reader); }},
    {"allow",
     [](Service& service, const Node& node, Reader& reader) {
       service.allow =
           reader.list<std::string>(node, "`allow`", "what is allowed", [](Reader& inner, const Node& item) {
             return std::string(kAllowances[inner.choose(item, "`allow`", kAllowances)]);
           });
     }},
    {"fspf_path",
     [](Service& service, const Node& node, Reader& reader) {
       service.file_protection.where = node.where;
       service.file_protection.path = reader.text(node, "`fspf_path`");
     }},
    {"fspf_key", [](Service& service, const Node& node,
                    Reader& reader) { read_protection_key(service.file_protection, node, reader); }},
    {"fspf_tag", [](Service& service, const Node& node,
                    Reader& reader) { read_protection_tag(service.file_protection, node, reader); }},
    {"fspf_update_policy",
     [](Service& service, const Node& node, Reader& reader) {
       service.file_protection.where = node.where;
       service.file_protection.update_policy = reader.text(node, "`fspf_update_policy`");
     }},
    {"tags", ignore_legacy<kTags>},
    {"persistency", ignore_legacy<kPersistency>},
};

}  // namespace

NodeReferences read_node_references(Reader& reader, const Node& node) {
  NodeReferences references;
  references.where = node.where;
  read_mapping<NodeReferences>(references, node, "`node`", kNodeFields, reader);
  return references;
}

Service read_service(Reader& reader, const Node& node) {
  Service service;
  service.where = service.command_where = service.image_where = service.tee_where = node.where;
  read_mapping<Service>(service, node, "a service", kServiceFields, reader);
  return service;
}

}  // namespace casemate::policy::internal
