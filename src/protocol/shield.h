// What the runtime in the program's processes ("member") and the keeper say to each other about shielded files.
// Plain data for the freestanding core and the hosted keeper alike. docs/runtime/files.md explains the whole.
//
// In short. Each open regular file of a volume is a memfd of the keeper that holds the file's plaintext (its page
// cache); the program's descriptor is a description of its own on that memfd, sent over a unix socket. So offsets, dup,
// fork, SCM_RIGHTS, mmap, poll and locks are the kernel's. A member does reads and writes of cached pages by itself,
// after a look at the page states in shared memory; everything about names, attributes and durability is a request.
//
// Channels: a member makes a SOCK_SEQPACKET socket pair and sends one end with SCM_RIGHTS over the hello socket that
// every process of the application inherits (one message, one byte, one descriptor). On a channel one request is under
// way at a time; the keeper answers each with exactly one reply. When all copies of the hello socket's member end are
// closed, the application is gone: the keeper commits, closes its volumes and ends.
//
// What a hostile peer can do here: the host cannot speak on these sockets (process engine: it could as root, see
// docs/security/threat-model.md). A member belongs to the application and may be subverted: the keeper checks every
// number and size of a request, answers EINVAL, and stays alive for the others.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace casemate::protocol {

inline constexpr std::uint64_t kShieldMagic = 0x646c656968536d43;
inline constexpr std::uint32_t kShieldVersion = 2;
inline constexpr std::size_t kMessageCapacity = 64 * 1024;  // of a request or reply, header included
inline constexpr std::size_t kPathCapacity = 4096;          // PATH_MAX, with the NUL
inline constexpr std::size_t kPageSize = 4096;

// --- shared memory -------------------------------------------------------------------------------------------------

// State of one page of a cached file, one byte each, changed by compare-and-swap only.
//   absent  not in the memfd. Pages at or behind FileSlot::backed_pages read as zeros by nature and may be used as they
//           are; others must be populated by the keeper before they are read or partly written.
//   clean   equal to the volume; the keeper may evict it (clean -> busy, eviction_count + 1, punch the hole, ->
//   evicted).
//   evicted as absent, but never usable as it is: the volume has contents for it, whatever backed_pages somebody read a
//   while ago says. So a member's absent -> dirty never claims a page that was written and dropped since it looked.
//   dirty   newer than the volume; the keeper writes it back (dirty -> clean first, then it reads the page).
//   busy    the keeper fills it (absent, evicted -> busy -> clean) or drops it. Whoever wants the page, even to
//           overwrite all of it, asks kPopulate, which waits.
// A member that writes marks its pages dirty before (so they are not evicted) and again after (so what it wrote is
// found). Between the two the keeper may have written the page back and evicted it; so a member that finds the
// eviction_count changed since before the first mark, or a page absent or busy at the second, asks kPopulate and writes
// again at the same offset. A member that reads re-reads eviction_count afterwards and repeats the read when it
// changed.
enum PageState : std::uint8_t { kPageAbsent = 0, kPageClean = 1, kPageDirty = 2, kPageBusy = 3, kPageEvicted = 4 };

enum class NodeKind : std::uint32_t { kNone, kRegular, kDirectory, kSymbolicLink, kOther };

// Flags of FileSlot::flags.
inline constexpr std::uint32_t kSlotReadOnly =
    1;  // region or volume is read-only: writable maps are EACCES, writes EROFS
inline constexpr std::uint32_t kSlotPinned = 2;  // nothing is evicted until the last description is closed

struct ShieldTime {
  std::int64_t seconds;
  std::uint32_t nanoseconds;
  std::uint32_t reserved;
};

// Attributes as stat(2) shows them. For regular files size, blocks and modify time of the memfd are newer.
struct ShieldAttributes {
  std::uint64_t device, inode;
  std::uint32_t mode, uid, gid, link_count;
  std::uint64_t special_device;  // st_rdev
  std::uint64_t size, block_count;
  ShieldTime access_time, modify_time, change_time, birth_time;
};

// One node that is open somewhere. Written by the keeper only; members read it under `sequence` (odd: being changed).
struct alignas(64) FileSlot {
  std::atomic<std::uint32_t> sequence;
  NodeKind kind;
  std::uint32_t region;  // index, for messages
  std::uint32_t flags;
  std::uint64_t memfd_inode;                // 0: the slot is free
  std::uint64_t node;                       // inode number in the volume
  std::uint64_t states_offset;              // of page 0's state in the states memory, bytes
  std::uint64_t states_count;               // pages that have a state; a member asks kGrowStates before it goes beyond
  std::atomic<std::uint64_t> backed_pages;  // pages from here on have nothing on the volume
  std::atomic<std::uint64_t> eviction_count;
  ShieldTime loaded_modify_time;  // what the memfd's mtime was set to: a different one means "written since"
  ShieldAttributes attributes;
};

inline constexpr std::size_t kSlotCapacity = 65536;
inline constexpr std::size_t kIndexCapacity = 4 * kSlotCapacity;  // open addressing, linear probing, power of two

// From a memfd's inode number to its slot: start at (inode * 0x9e3779b97f4a7c15) >> 46, then the next ones. 0 ends the
// search, kIndexDeleted goes on.
struct IndexEntry {
  std::atomic<std::uint64_t> memfd_inode;
  std::atomic<std::uint32_t> slot;
  std::uint32_t reserved;
};
inline constexpr std::uint64_t kIndexDeleted = ~std::uint64_t{0};

// Memory of the keeper that members map read-only.
struct ShieldArena {
  std::uint64_t magic;
  std::uint32_t version;
  std::int32_t keeper_pid;
  std::uint64_t memfd_device;  // st_dev of memory files: a descriptor with another one is never shielded
  std::uint64_t states_size;   // bytes of the states memory to map
  // Absolute path prefixes (NUL-terminated, packed, with '/' at their end) below which everything is the host's as it
  // is, at the same path: such paths need no request if they hold no "." and ".." components. An empty string ends the
  // list.
  char passed_prefixes[4096];
  IndexEntry index[kIndexCapacity];
  FileSlot slots[kSlotCapacity];
};

// What members write in the states memory, at offset slot * sizeof(SlotActivity); page states follow behind all of
// them.
struct SlotActivity {
  std::atomic<std::uint32_t> dirty;  // set to 1 by a member whenever it has marked a page or may have changed the size
  std::atomic<std::uint32_t> reserved;
};

// At kSpaceOffset of the states memory: pages that may still be newly written (absent and not backed -> dirty takes
// one) before the keeper must be asked (kReserve). Volume-wide bookkeeping is the keeper's; this only avoids requests.
inline constexpr std::size_t kSpaceOffset = kSlotCapacity * sizeof(SlotActivity);
inline constexpr std::size_t kStatesStart = kSpaceOffset + kPageSize;

// --- requests ------------------------------------------------------------------------------------------------------

// Where a path starts, or what a request is about.
enum class PlaceKind : std::uint32_t {
  kNone,
  kRoot,      // the application's root (chroot: `Request::root`)
  kNode,      // directory `node` of region `region` (as replies to kOpen and kChangeDirectory tell)
  kHostPath,  // a host directory; its absolute path stands in the text
  kSlot,      // the open node `slot` itself (AT_EMPTY_PATH, f*() calls, /proc/self/fd/N)
};
struct Place {
  PlaceKind kind;
  std::uint32_t region;
  std::uint64_t node;  // kSlot: the slot
};

enum class Operation : std::uint32_t {
  kAttach,  // -> descriptors: arena, states
  // By path (path 0 from base 0; two paths: path 1 from base 1). A reply with kHostPaths tells the member to make the
  // program's own call on the host paths in the reply instead.
  kOpen,                // a0 open flags, a1 mode, a2 resolve flags of openat2 -> slot + descriptor
  kStatus,              // a0 AT_SYMLINK_NOFOLLOW -> attributes
  kAccess,              // a0 R_OK..., a1 AT_SYMLINK_NOFOLLOW | AT_EACCESS; the credentials to check are the request's
  kReadLink,            // -> data: target
  kMakeNode,            // a0 mode with type (umask applied by the keeper), a1 device: mkdir, mknod, mkfifo
  kMakeSymbolicLink,    // path 1 is the target text, not resolved
  kLink,                // from path 0 (or slot) to path 1; a0 AT_SYMLINK_FOLLOW
  kUnlink,              // a0 AT_REMOVEDIR
  kRename,              // a0 renameat2 flags
  kChangeMode,          // a0 mode, a1 AT_SYMLINK_NOFOLLOW
  kChangeOwner,         // a0 uid, a1 gid (-1: keep), a2 AT_SYMLINK_NOFOLLOW
  kChangeTimes,         // a0 AT_SYMLINK_NOFOLLOW; data: two struct timespec, or none (both now)
  kTruncate,            // a0 size, a1 the limit of file sizes (RLIMIT_FSIZE): growing beyond it is EFBIG
  kChangeDirectory,     // checks search permission -> place (kNode) or a host path. Also for chroot and fchdir
  kStatusOfFileSystem,  // -> data: struct statfs
  kGetAttribute,        // path 1 is the attribute's name; a0 capacity, a1 AT_SYMLINK_NOFOLLOW -> data
  kSetAttribute,        // path 1 name; data: value; a0 XATTR_*, a1 AT_SYMLINK_NOFOLLOW
  kListAttributes,      // a0 capacity, a1 AT_SYMLINK_NOFOLLOW -> data: names with NULs
  kRemoveAttribute,     // path 1 name; a1 AT_SYMLINK_NOFOLLOW
  kResolve,     // a0 AT_SYMLINK_NOFOLLOW, a1 ResolvePurpose -> host path the kernel can use (connect, watch, mount ...)
  kBindSocket,  // makes a socket node -> host path to bind to; a0 mode (0777)
  // About open nodes (base 0 is kSlot).
  kReadDirectory,  // a0 cookie (the memfd's offset), a1 capacity -> data: struct linux_dirent64 records, a0 next cookie
  kSynchronize,    // returns when durable. a0, a1: pages of mappings to compare (count 0: all); a2 1: but for the times
  kSynchronizeAll,  // sync, syncfs
  kPopulate,        // a0 first page, a1 page count, a2 PopulatePurpose
  kGrowStates,      // a0 pages needed
  kReserve,         // a0 pages -> granted into the space counter, or ENOSPC
  kAllocate,        // a0 fallocate mode, a1 offset, a2 size
  kPathOf,          // -> data: the path as the program sees it (getcwd, /proc/self/fd/N); ENOENT if unlinked
  kRemoteHostPath,  // data: a host socket path (from the kernel) -> data: the program's path of that socket
  kSeek,            // base 0 is kSlot; a0 offset, a1 SeekFor -> result: where the next data or hole begins; ENXIO
};
inline constexpr Operation kLastOperation = Operation::kSeek;

enum class SeekFor : std::uint64_t { kData, kHole };

enum class PopulatePurpose : std::uint64_t {
  kRead,
  kWrite,        // pages will be partly written
  kKeep,         // read by the kernel at an unknown time (splice, sendfile) or written at an unknown offset: pins
  kMap,          // will be mapped (private or read-only): pins
  kMapWritable,  // will be mapped shared and may be written through the mapping: pins, changes are found by content
};
enum class ResolvePurpose : std::uint64_t { kConnect, kWatch, kOther };

struct Credentials {
  std::uint32_t uid, gid;  // file system ids
  std::uint32_t umask;
  std::uint32_t group_count;  // 32-bit numbers in the text
};

// Followed by the text: groups, root host path, base host path 0, path 0, base host path 1, path 1, data; each of the
// size given here, strings without NUL.
struct Request {
  std::uint32_t version;
  Operation operation;
  Credentials credentials;
  Place root;  // kRoot if never changed by chroot
  Place base[2];
  std::uint64_t arguments[4];
  std::uint32_t root_path_size;
  std::uint32_t base_path_size[2];
  std::uint32_t path_size[2];
  std::uint32_t data_size;
};

enum class ReplyKind : std::uint32_t {
  kDone,       // `result` is the call's result
  kHostPaths,  // make the call on these paths (AT_FDCWD, absolute, intermediate links resolved)
};

// Followed by the text: host path 0, host path 1, data.
struct Reply {
  std::int64_t result;  // >= 0, or a negative errno
  ReplyKind kind;
  std::uint32_t descriptor_count;  // sent with it
  std::uint32_t slot;
  std::uint32_t host_path_size[2];
  std::uint32_t data_size;
  std::uint64_t arguments[2];
  Place place;
  ShieldAttributes attributes;
};

}  // namespace casemate::protocol
