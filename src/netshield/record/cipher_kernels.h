// The record layer's cryptography on OpenSSL's assembler routines, which Debian ships in libcrypto.a and which need no
// libc: AES and GHASH (aesni-x86_64, aesni-gcm-x86_64, ghash-x86_64), SHA-2 (sha256-x86_64, sha512-x86_64). What is
// ours is how GCM (NIST SP 800-38D, 7.1 and 7.2), HMAC (RFC 2104) and HKDF-Expand (RFC 5869) put them together.
//
// The routines use vector registers. Code that runs with the program's registers saves them around each call
// (docs/development/plan-network.md).
#pragma once

#include "netshield/record/record_cipher.h"

namespace casemate::netshield {

// Whether this processor has the instructions (AES, PCLMULQDQ, SSSE3). Without them the shield must not start.
bool kernels_are_supported();

// Requires kernels_are_supported(), and in freestanding executables kernels_detect_processor() before.
extern const RecordCipher kKernelCipher;

}  // namespace casemate::netshield
