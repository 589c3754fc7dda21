// What the host could tell the cryptographic library at its start, and must not.
#pragma once

namespace casemate::crypto {

// Before anything else of this module, in every process that has keys or gives evidence: the library reads no
// configuration file then. Otherwise even a static executable runs a shared object that OPENSSL_CONF, or the
// openssl.cnf of the host, names. Stops the process when the library was started before. Threads: call it before there
// are any.
void ignore_host_configuration();

}  // namespace casemate::crypto
