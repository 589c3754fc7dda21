// Kernel objects behind nodes of volumes that are no files: sockets and FIFOs live in a private directory of the host,
// device nodes of harmless kinds are the host's own.
//
// Names in that directory tell nothing about the volume. Who may use a node is decided by the node's permissions in the
// volume; the directory can be searched but not listed by others.
//
// Threads: any.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "keeper/region.h"

namespace casemate::keeper {

class SpecialFiles {
 public:
  SpecialFiles() = default;
  ~SpecialFiles();
  SpecialFiles(const SpecialFiles&) = delete;
  SpecialFiles& operator=(const SpecialFiles&) = delete;

  // A host path to bind a socket to, in a directory of its own that only `owner` can write; `program_path` is what
  // getsockname shall show.
  Result<std::string> add_socket(const NodeKey& node, const std::string& program_path, std::uint32_t owner);
  // Of a socket somebody bound in this run, made connectable for all; nullopt: nobody did.
  std::optional<std::string> socket_path(const NodeKey& node);
  // The FIFO of the node, made when it is needed first.
  Result<std::string> fifo_path(const NodeKey& node);
  // The node lost its last name.
  void remove(const NodeKey& node);
  // The program's path of a socket's host path.
  std::optional<std::string> program_path_of(const std::string& host_path);

  // /dev/null and its like; nullopt for devices that volumes may not lead to.
  static std::optional<std::string> device_path(std::uint32_t mode, std::uint64_t device);

 private:
  struct Object {
    std::string host_path, program_path;
    std::string directory;  // that holds nothing else; empty: none
  };
  struct KeyOrder {
    bool operator()(const NodeKey& left, const NodeKey& right) const {
      return std::pair(left.region, left.inode) < std::pair(right.region, right.inode);
    }
  };
  Result<std::string> new_path();
  static void remove_object(const Object& object);

  std::mutex mutex_;  // guards what follows
  std::string directory_;
  std::uint64_t next_ = 1;
  std::map<NodeKey, Object, KeyOrder> objects_;
};

}  // namespace casemate::keeper
