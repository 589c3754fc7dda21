// The LAS's own key: in memory only, or in a file that stays when it restarts.
#pragma once

#include <string>

#include "base/result.h"
#include "crypto/signature.h"

namespace casemate::las {

// A fresh P-256 key that ends with this process.
Result<crypto::PrivateKey> ephemeral_key();

// The key in `path`; made there, mode 0600, when no file exists. Errors: kUsage when others may read the file or it
// belongs to another user, kFormat when it holds no P-256 key, kSystem.
Result<crypto::PrivateKey> key_from_file(const std::string& path);

}  // namespace casemate::las
