// Freshness of the store itself: a counter outside of the disk that holds the database.
//
// Protocol: the store first makes durable that it intends counter + 1, then advances the anchor. So after a crash the
// store may be ahead of its anchor by one, once; a store that is behind its anchor was set back. Everything committed
// after the last advance can be lost to a rollback unnoticed: that window is the store's anchor interval.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace casemate::cas {

// Threads: one at a time.
class FreshnessAnchor {
 public:
  virtual ~FreshnessAnchor() = default;
  // "file", "tpm", ...: evidence of the CAS names it.
  virtual const char* kind() const = 0;
  // One line for people: what it protects against.
  virtual const char* promise() const = 0;
  // 0 before the first advance. Errors: kSystem, kFormat. Blocks.
  virtual Result<std::uint64_t> read() = 0;
  // Durable when it returns. Requires: `value` is above what read() gives. Errors: kSystem. Blocks.
  virtual Result<void> advance(std::uint64_t value) = 0;
};

// A counter in a file: notices that an old database was put back by accident. Whoever may write the file can set it
// back together with the database. Made by the first advance.
std::unique_ptr<FreshnessAnchor> make_file_anchor(const std::string& path);

// A counter in the NV memory of a TPM 2.0. Nobody sets it back, so an older database is refused whoever put it there;
// answers of the TPM are not authenticated (an interposer between processor and chip can lie).
enum class TpmCounter {
  kMustExist,  // an ordinary start: a missing counter is an error with instructions
  kMake,       // a new store, or the owner accepted the state: a missing counter is made
};
struct TpmAnchorOptions {
  std::string device = "/dev/tpmrm0";  // or a unix socket of a TPM in software
  std::uint32_t index = 0x0180CA5E;    // of NV memory, in the owner's range
  TpmCounter if_missing = TpmCounter::kMustExist;
};
std::unique_ptr<FreshnessAnchor> make_tpm_anchor(const TpmAnchorOptions& options);

}  // namespace casemate::cas
