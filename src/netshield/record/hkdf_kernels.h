// HKDF-Expand-Label of TLS 1.3 on OpenSSL's SHA-2 block functions, for key updates inside the program's process.
#pragma once

#include "netshield/record/record_cipher.h"

namespace casemate::netshield {

// As RecordCipher::expand_label.
void expand_label(Suite suite, const std::uint8_t* secret, const char* label, std::size_t label_size, std::uint8_t* out,
                  std::size_t out_size);

}  // namespace casemate::netshield
