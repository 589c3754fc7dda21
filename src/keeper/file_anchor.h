// An anchor in a file: remembers the newest position of one volume (docs/runtime/files.md tells what it is good for).
//
// The file has two records of fixed size that are written in turn, so a torn write loses at most the newer one. Each is
// sealed under a key derived from the volume key: a damaged, edited or foreign anchor is told from an old one. An old
// one is accepted: that it is old, only its owner could say.
//
// What a hostile host can do here -> what we answer
//   change, mix up or truncate anchors         -> refused, with a message that says which file
//   put back an old anchor with its old volume -> not noticed; so it must lie where the volume's disk cannot reach it
//   delete it                                  -> as if the volume were used with an anchor for the first time: said
//   loudly
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "volume/volume.h"

namespace casemate::keeper {

// An anchor that positions are noted in cheaply, and made durable in later. Threads: any.
class NotingAnchor : public volume::Anchor {
 public:
  virtual Result<void> note(const volume::Position& position) = 0;
  // The newest position that was noted or stored is durable when this returns. Returns it.
  virtual Result<std::optional<volume::Position>> make_durable() = 0;
};

// Threads: any.
class FileAnchor final : public NotingAnchor {
 public:
  // The file need not exist yet; its directory must. A missing one is made by the first store.
  static Result<std::unique_ptr<FileAnchor>> open(const std::string& path, const volume::VolumeKey& key);

  // Before anything else but a look at whether load() finds something.
  void bind(const std::array<std::byte, 16>& volume_id) override;
  // nullopt when the file does not exist or is empty. Errors: kFormat when no record verifies; with ESTALE when they do
  // and are another volume's.
  Result<std::optional<volume::Position>> load() override;
  // Durable when it returns.
  Result<void> store(const volume::Position& position) override;

  // Survives this process, but the machine's loss of power only after make_durable(). Cheap: one write.
  Result<void> note(const volume::Position& position) override;
  Result<std::optional<volume::Position>> make_durable() override;

 private:
  FileAnchor(std::string path, crypto::SecretBytes<32> key) : path_(std::move(path)), key_(std::move(key)) {}
  static void unmap(std::byte* memory);

  struct Record;
  Result<void> ensure_file();
  Result<void> write_record(const volume::Position& position);
  bool write_through_memory(const Record& record, std::size_t at);
  std::array<std::byte, 32> seal_of(const Record& record) const;
  bool verifies(const Record& record) const;

  std::string path_;
  crypto::SecretBytes<32> key_;
  std::mutex mutex_;  // guards everything below
  UniqueFd file_;
  std::unique_ptr<std::byte, decltype(&unmap)> memory_{nullptr, &unmap};  // the file, once both records are there
  std::optional<std::array<std::byte, 16>> volume_id_;
  std::uint64_t count_ = 0;  // of records ever written
  std::optional<volume::Position> newest_;
};

}  // namespace casemate::keeper
