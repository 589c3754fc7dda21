// The readers of a session's sections, one file each; parse_session.cc puts them together.
#pragma once

#include "policy/reader.h"
#include "policy/session.h"

namespace casemate::policy::internal {

AccessPolicy read_access_policy(Reader& reader, const Node& node);
Security read_security(Reader& reader, const Node& node);
Service read_service(Reader& reader, const Node& node);
NodeReferences read_node_references(Reader& reader, const Node& node);
Image read_image(Reader& reader, const Node& node);
Volume read_volume(Reader& reader, const Node& node);
Secret read_secret(Reader& reader, const Node& node);

std::vector<ExportTarget> read_exports(Reader& reader, const Node& node);
void read_network(Network& network, const Node& node, Reader& reader);
void check_unique(const Session& session, Diagnostics& out);

// SCONE_NETWORK_SHIELD* and CASEMATE_NETWORK_SHIELD* among the variables of a service.
bool is_network_variable(std::string_view name);
void read_network_variable(Network& network, const EnvironmentVariable& variable, Reader& reader);

// "Alice's PEM block", its base64 body alone, or digits: SubjectPublicKeyInfo as hex digits.
std::string read_public_key(Reader& reader, const Node& node, const std::string& what);

}  // namespace casemate::policy::internal
