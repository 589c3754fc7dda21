#include "crypto/sha384.h"

#include <openssl/evp.h>

namespace casemate::crypto {

// As in hash.cc: a digest that was not computed must not be compared, so the process stops.
Sha384Digest sha384(ByteView data) {
  static EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA384", nullptr);
  Sha384Digest digest;
  unsigned size = 0;
  if (method == nullptr || EVP_Digest(data.data(), data.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
                                      method, nullptr) != 1) {
    __builtin_trap();
  }
  return digest;
}

}  // namespace casemate::crypto
