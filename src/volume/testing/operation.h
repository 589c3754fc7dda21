// Random operations on a volume, described so that the same one can be run on several volumes, with a result as text.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "volume/codec.h"
#include "volume/volume.h"

namespace casemate::volume::testing {

// A number to repeat or lengthen a random run with, from the environment variable of that name.
std::uint64_t from_environment(const char* name, std::uint64_t otherwise);

using Random = std::mt19937_64;
inline std::uint64_t below(Random& random, std::uint64_t bound) { return random() % bound; }

enum class OperationKind {
  kCreate,
  kCreateOrphan,
  kLink,
  kUnlink,
  kRemoveDirectory,
  kRename,
  kRelease,
  kWrite,
  kRead,
  kResize,
  kPunch,
  kAllocate,
  kCollapse,
  kInsert,
  kSeek,
  kChange,
  kSetAttribute,
  kGetAttribute,
  kRemoveAttribute,
  kList,
  kStat,
  kSync,
  kCheckpoint,
};

struct Operation {
  OperationKind kind{};
  std::string path, second_path;
  std::uint32_t mode = 0;
  std::uint64_t offset = 0, size = 0, seed = 0;
};

// Ranges and places are chosen from few values, so that operations meet each other.
enum class Selection { kAll, kAtomic };  // kAtomic: none that is made of several changes
Operation choose(Random& random, Selection selection);

// Makes some of what random operations will look for.
std::vector<Operation> prelude();

// Runs operations on one volume. What it did last is text: values or the errno; times are left out.
class Runner {
 public:
  explicit Runner(Volume& volume) : volume_(&volume) {}
  // After a mount: what had no name is gone.
  void use(Volume& volume) {
    volume_ = &volume;
    orphans_.clear();
  }
  std::string run(const Operation& operation);

 private:
  Result<InodeNumber> resolve(const std::string& path);
  struct Place {
    InodeNumber directory;
    std::string name;
  };
  Result<Place> parent_of(const std::string& path);
  Result<std::string> run_names(const Operation& operation);
  Result<std::string> run_contents(const Operation& operation);
  Result<std::string> run_attributes(const Operation& operation);
  Result<std::string> run_rename(const Operation& operation);
  std::string after_removal(const Attributes& attributes, const Operation& operation);

  Volume* volume_;
  std::vector<InodeNumber> orphans_;
};

std::string describe(const Operation& operation);
std::string describe(const Attributes& attributes);

// Everything below the root, with contents and, if wanted, times: two volumes are alike when their dumps are. Errors of
// the volume come back as errors.
enum class Times { kIncluded, kLeftOut };
Result<std::string> dump(Volume& volume, Times times);

}  // namespace casemate::volume::testing
