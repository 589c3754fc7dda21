#include "crypto/host_configuration.h"

#include <openssl/crypto.h>

namespace casemate::crypto {

void ignore_host_configuration() {
  if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) != 1) __builtin_trap();
}

}  // namespace casemate::crypto
