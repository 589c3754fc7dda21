// What certificates and revocation lists have in common: SEQUENCE { signed part, algorithm, signature }, names,
// extension lists. Private to this module.
#pragma once

#include <vector>

#include "base/result.h"
#include "crypto/asn1.h"
#include "crypto/certificate.h"

namespace casemate::crypto {

struct SignedStructure {
  SignedPart part;
  ByteView contents;  // of the signed SEQUENCE; in the argument's memory
};

Result<SignedStructure> read_signed_structure(ByteView der);
// Whether `algorithm` (a whole AlgorithmIdentifier from inside) is the one the structure is signed with.
bool names_algorithm_of(const SignedPart& part, ByteView algorithm);
Result<DistinguishedName> read_name(DerReader& reader);
// `contents`: of the explicit tag around the list. Refuses an extension that is there twice, and empty lists.
Result<std::vector<CertificateExtension>> read_extension_list(ByteView contents, std::size_t maximum_count);

}  // namespace casemate::crypto
