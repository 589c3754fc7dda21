// The encrypted volume: a POSIX file system inside one byte store, confidential, authentic and fresh as a whole, that
// loses nothing synced. docs/formats/volume.md is the format; design and proofs: src/volume/README.md.
//
// Threads: every function may be called from any thread; the engine locks inside. sync() from several threads shares
// one record and one flush (group commit); other calls go on while a flush is under way. Functions may block on the
// store.
//
// Errors carry an errno in system_code(), as the matching system call would give it, and a message for the owner:
// ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, EXDEV, EMLINK, ENAMETOOLONG, EINVAL, ENODATA, ERANGE, EFBIG, ENOSPC,
// EROFS; EIO with category kFormat when bytes of the store do not verify (never data that failed to verify, never a
// crash).
//
// Permissions are not checked here: owner, group and mode are data. Names are any bytes but '/' and NUL, at most 255.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/secret.h"
#include "volume/byte_store.h"

namespace casemate::volume {

using InodeNumber = std::uint64_t;
inline constexpr InodeNumber kRootInode = 1;
inline constexpr std::size_t kPageSize = 4096;  // unit of data; writes of whole pages need no reading
inline constexpr std::size_t kMaximumNameSize = 255;
inline constexpr std::uint64_t kMaximumFileSize = std::uint64_t{1} << 47;

// The volume key: 32 bytes, uniformly random.
using VolumeKey = crypto::SecretBytes<32>;

struct Attributes {
  InodeNumber inode = 0;
  std::uint32_t mode = 0;  // type and permission bits (S_IFREG | 0644)
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t link_count = 0;
  std::uint64_t device = 0;  // st_rdev of device nodes
  std::uint64_t size = 0;
  std::uint64_t allocated_size = 0;  // bytes that hold data (st_blocks * 512)
  Timestamp access_time, modify_time, change_time, birth_time;
};

// What set_attributes() changes; the change time becomes now unless it is given.
struct AttributeChange {
  std::optional<std::uint32_t> permissions;  // the low 12 bits of mode
  std::optional<std::uint32_t> uid, gid;
  std::optional<std::uint64_t> size;  // truncate or extend with a hole; regular files only
  std::optional<Timestamp> access_time, modify_time, change_time;
};

struct NodeSpecification {
  std::uint32_t mode = 0;  // with the type
  std::uint32_t uid = 0, gid = 0;
  std::uint64_t device = 0;
  std::string target;  // of a symbolic link, at most 4095 bytes
};

struct DirectoryEntry {
  std::string name;
  InodeNumber inode = 0;
  std::uint32_t type = 0;    // S_IFMT bits
  std::uint64_t cookie = 0;  // of the entry behind this one: give it to continue. Stable while entries come and go
};

struct Statistics {
  std::uint64_t capacity_bytes = 0, free_bytes = 0, inode_count = 0;
};

enum class RenameMode { kReplace, kNoReplace, kExchange };
enum class Access { kReadWrite, kReadOnly };
// kKeepSize: beyond the end of file, the size stays (FALLOC_FL_KEEP_SIZE).
enum class AllocateMode { kExtend, kKeepSize };
enum class SeekTarget { kData, kHole };

struct CreateOptions {
  std::uint64_t maximum_size = std::uint64_t{64} << 30;  // of the store, bytes; it grows as needed up to this
  std::uint64_t journal_size = std::uint64_t{16} << 20;  // bytes, prewritten
  std::string label;                                     // at most 64 bytes; visible with the key only
};

struct MountOptions {
  Access access = Access::kReadWrite;
  // Absent: freshness cannot be checked (the caller says so loudly).
  Anchor* anchor = nullptr;
  // Bound of the cache of metadata nodes, bytes. Changed nodes stay above it until the next checkpoint.
  std::size_t metadata_cache_size = std::size_t{32} << 20;
  // Called for things the owner should know: "recovered 3 records after a crash". Never with secrets.
  std::function<void(std::string_view)> notice;
};

// Facts shown by `casemate volume info`.
struct Information {
  std::array<std::byte, 16> volume_id{};
  std::uint32_t format_version = 0;
  std::string label;
  std::uint64_t maximum_size = 0, store_size = 0, journal_size = 0;
  Position position;
  Timestamp created;
  bool sealed = false;  // read-only for good; root_tag names its contents
  std::array<std::byte, 32> root_tag{};
};

struct VerifyReport {
  std::uint64_t node_count = 0, data_bytes = 0, inode_count = 0;
  std::vector<std::string> problems;  // each names what (inode, path where known, offset range) is wrong
};

class Volume {
 public:
  // Makes a new volume in an empty store. Durable when it returns; mount it next.
  static Result<void> create(ByteStore& store, const Clock& clock, const VolumeKey& key, const CreateOptions& options);
  // Recovers what a crash left, checks freshness, raises the epoch (durably, before the first write; read-write only).
  // `store`, `clock` and the anchor must outlive the volume. Messages tell apart: wrong key, no volume, newer format,
  // truncated, damaged (where), rolled back (which position was expected, which found), sealed (for read-write).
  static Result<std::unique_ptr<Volume>> mount(ByteStore& store, const Clock& clock, const VolumeKey& key,
                                               const MountOptions& options);
  virtual ~Volume() = default;  // without close(): as after a crash

  // --- names
  virtual Result<Attributes> lookup(InodeNumber directory, std::string_view name) = 0;
  // Any type of node. The directory's set-gid rules are the caller's business.
  virtual Result<Attributes> create_node(InodeNumber directory, std::string_view name, const NodeSpecification&) = 0;
  // A regular file without a name (O_TMPFILE). An orphan until link() names it.
  virtual Result<Attributes> create_orphan(const NodeSpecification&) = 0;
  virtual Result<void> link(InodeNumber inode, InodeNumber directory, std::string_view name) = 0;
  // Removes a name that is not a directory. Returns the attributes afterwards; with link_count 0 the inode is an
  // orphan: it lives until release_orphan() or the next mount.
  virtual Result<Attributes> unlink(InodeNumber directory, std::string_view name) = 0;
  // The directory becomes an orphan as well (somebody may stand in it).
  virtual Result<Attributes> remove_directory(InodeNumber directory, std::string_view name) = 0;
  // As renameat2(2). Returns what was replaced (its link_count as after unlink), if anything was.
  virtual Result<std::optional<Attributes>> rename(InodeNumber from_directory, std::string_view from_name,
                                                   InodeNumber to_directory, std::string_view to_name, RenameMode) = 0;
  // Frees an inode without names. EINVAL when it has some.
  virtual Result<void> release_orphan(InodeNumber inode) = 0;
  // Entries without "." and "..", at most `maximum_count`, from cookie 0 or a cookie that an entry gave.
  virtual Result<std::vector<DirectoryEntry>> read_directory(InodeNumber directory, std::uint64_t cookie,
                                                             std::size_t maximum_count) = 0;
  virtual Result<std::string> read_link(InodeNumber inode) = 0;
  // The directory that holds `directory` (root: itself). ENOENT for an orphan.
  virtual Result<InodeNumber> parent(InodeNumber directory) = 0;
  // The name under which `directory` stands in its parent.
  virtual Result<std::string> name_in_parent(InodeNumber directory) = 0;

  // --- attributes
  virtual Result<Attributes> attributes(InodeNumber inode) = 0;
  virtual Result<Attributes> set_attributes(InodeNumber inode, const AttributeChange&) = 0;
  virtual Result<std::vector<std::byte>> extended_attribute(InodeNumber inode, std::string_view name) = 0;
  // `flags`: 0, XATTR_CREATE or XATTR_REPLACE.
  virtual Result<void> set_extended_attribute(InodeNumber inode, std::string_view name,
                                              std::span<const std::byte> value, int flags) = 0;
  virtual Result<void> remove_extended_attribute(InodeNumber inode, std::string_view name) = 0;
  virtual Result<std::vector<std::string>> extended_attribute_names(InodeNumber inode) = 0;

  // --- contents of regular files. Nothing is cached here: the caller has the page cache.
  // Returns how much was read: less than out.size() only at the end of file. Holes read as zeros.
  virtual Result<std::size_t> read(InodeNumber inode, std::uint64_t offset, std::span<std::byte> out) = 0;
  // Extends the file as needed. Data is sealed now, durable after sync(). Whole aligned pages avoid a read.
  // `modify_time` is set to now. The data belongs to the next sync(), atomically with everything else staged before it.
  virtual Result<void> write(InodeNumber inode, std::uint64_t offset, std::span<const std::byte> data) = 0;
  virtual Result<void> punch_hole(InodeNumber inode, std::uint64_t offset, std::uint64_t size) = 0;
  // Reserves space so that later writes into the range cannot fail for lack of it.
  virtual Result<void> allocate(InodeNumber inode, std::uint64_t offset, std::uint64_t size, AllocateMode) = 0;
  // FALLOC_FL_COLLAPSE_RANGE / INSERT_RANGE; multiples of kPageSize.
  virtual Result<void> collapse_range(InodeNumber inode, std::uint64_t offset, std::uint64_t size) = 0;
  virtual Result<void> insert_range(InodeNumber inode, std::uint64_t offset, std::uint64_t size) = 0;
  virtual Result<std::uint64_t> seek(InodeNumber inode, std::uint64_t offset, SeekTarget) = 0;  // ENXIO as lseek(2)

  // --- durability
  // Everything staged before this call is durable when it returns: at most one store flush, shared by concurrent calls;
  // none when there is nothing to do. Returns the position reached.
  virtual Result<Position> sync() = 0;
  // The newest durable position.
  virtual Position position() const = 0;
  // Tells how far the anchor has got (bounded freshness): records behind it are never recycled. Without an anchor:
  // no-op.
  virtual void acknowledge(const Position& position) = 0;
  // Folds the journal into the tree, off the path of sync(). The engine asks by wants_checkpoint().
  virtual Result<void> checkpoint() = 0;
  virtual bool wants_checkpoint() const = 0;
  // sync, checkpoint, mark clean, anchor. The volume must not be used afterwards.
  virtual Result<void> close() = 0;

  virtual Result<Statistics> statistics() = 0;
  virtual Information information() const = 0;

  // --- offline work
  // Reads and verifies everything; `progress(done, total)` in bytes.
  virtual Result<VerifyReport> verify(const std::function<void(std::uint64_t, std::uint64_t)>& progress) = 0;
  // Makes the volume read-only for good and names its contents by one tag.
  virtual Result<std::array<std::byte, 32>> seal() = 0;
  virtual Result<void> grow(std::uint64_t maximum_size) = 0;
  // Moves data down and cuts the store behind it. Returns the bytes given back to the host.
  virtual Result<std::uint64_t> compact(const std::function<void(std::uint64_t, std::uint64_t)>& progress) = 0;
};

// Writes a copy of a volume under another key: contents, names, attributes, everything; a new volume id and chain.
Result<void> rekey(Volume& from, ByteStore& to, const Clock& clock, const VolumeKey& new_key,
                   const CreateOptions& options, const std::function<void(std::uint64_t, std::uint64_t)>& progress);

}  // namespace casemate::volume
