// Measures executables of callers, each once while it does not change.
//
// What a hostile caller can do here -> what we answer
//  - serve other bytes to the processor than to us (FUSE, network file systems) -> such file systems are refused
//  - change its file between our reading and the answer -> only files that nobody but root (or the LAS's own user, who
//    owns its key anyway) may write, or that fs-verity seals; and size and change time are compared afterwards
//  - replace or delete the file -> the open file is what runs; without a name it is measured but not remembered
//  - make us measure huge files -> a limit, and all this happens only to a caller that passed its first look
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>

#include "base/result.h"
#include "crypto/bytes.h"
#include "evidence/simulation.h"
#include "protocol/las.h"

namespace casemate::las {

struct FileFacts {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t change_seconds = 0, change_nanoseconds = 0;
  uid_t owner = 0;
  mode_t mode = 0;
  std::uint64_t link_count = 0;
  std::uint64_t file_system = 0;  // statfs f_type
  crypto::Bytes verity_digest;    // empty: not sealed by fs-verity
  bool operator==(const FileFacts&) const = default;
};

Result<FileFacts> facts_of(int fd);

enum class Trust {
  kRefused,      // somebody else may write it, or its file system answers for itself
  kMeasureOnce,  // trusted now, to be read again next time
  kRemember,     // cannot change without its change time, which only root can fake
};
Trust judge_file(const FileFacts& facts, uid_t las_user);

using Measure = std::function<Result<evidence::Digest32>(crypto::ByteView file)>;

// Threads: any.
class MeasuredFiles {
 public:
  MeasuredFiles(Measure measure, uid_t las_user) : measure_(std::move(measure)), las_user_(las_user) {}

  struct Outcome {
    protocol::LasRefusal refusal = protocol::LasRefusal::kNone;
    evidence::Digest32 measurement = {};
  };
  // Requires: `fd` is open for reading.
  Outcome measure(int fd);
  // Whether this file has been measured: is a runtime.
  bool knows(int fd) const;

  std::uint64_t measured_count() const;
  std::uint64_t remembered_count() const;

 private:
  using Name = std::tuple<std::uint64_t, std::uint64_t>;  // device, inode
  struct Entry {
    FileFacts facts;
    std::optional<evidence::Digest32> measurement;  // none: known, but not to be remembered
  };
  std::optional<evidence::Digest32> find(const FileFacts& facts) const;
  void remember(const FileFacts& facts, std::optional<evidence::Digest32> measurement);

  Measure measure_;
  uid_t las_user_;
  mutable std::mutex mutex_;
  std::map<Name, Entry> entries_;
  std::uint64_t measured_ = 0;
};

}  // namespace casemate::las
