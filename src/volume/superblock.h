// The two alternating superblock slots: where a mount begins (docs/formats/volume.md, "Superblock").
//
// What a hostile host can do here -> what we answer
//   change any byte                            -> the slot does not open; with none left the mount names what is wrong
//   put back an older slot                     -> its journal goes on and says so, or the anchor does
//   put in another volume's slot               -> other id, other key: refused
//   replace both while we are mounted          -> seen before the next flip and record; we stop writing
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "volume/keyring.h"
#include "volume/tree.h"

namespace casemate::volume {

enum class State : std::uint8_t {
  kOpen = 0,    // a journal may continue behind `tree_position`
  kClean = 1,   // nothing does
  kSealed = 2,  // nothing does, and nothing may
};

struct Superblock {
  std::uint64_t generation = 0;  // which slot is newer; the slot is generation % 2
  VolumeId volume_id{};
  State state = State::kOpen;
  std::uint32_t epoch = 1;           // of the mount that wrote this
  std::uint64_t mount_sequence = 0;  // records up to this one were there when that mount began, and are durable
  Position tree_position;            // the record whose effects the tree has, and all before
  std::uint64_t journal_begin = 0;   // where the next record stands: bytes since the first one ever written
  Position retained_position;        // the oldest position that an anchor may name
  std::uint64_t retained_begin = 0;  // where the record behind it stands
  NodePointer root;
  std::uint64_t store_units = 0;
  std::uint64_t maximum_units = 0;
  std::uint64_t journal_size = 0;
  std::uint64_t next_inode = 0, inode_count = 0, reserved_count = 0;
  Timestamp created;
  std::string label;
  std::array<std::byte, 32> root_tag{};  // when sealed
  NodePointer salt_pages;                // newest page of older mounts' salts; unit 0: none
  std::vector<MountSalt> salts;          // of newer mounts, this one last

  // Units of the data area begin here.
  Unit first_unit() const { return kJournalUnit + journal_size / kUnitSize; }
};

inline constexpr std::size_t kSuperblockHeaderSize = 128;
inline constexpr std::size_t kMaximumInlineSalts = 96;
inline constexpr std::size_t kSaltsPerPage = 190;

using SuperblockSlot = std::array<std::byte, kUnitSize>;

// What a slot says about itself without the key.
struct SlotHeader {
  bool is_ours = false;  // the magic number is there
  std::uint32_t format_version = 0;
  VolumeId volume_id{};
  std::array<std::byte, 16> key_check{};
};
SlotHeader read_header(const SuperblockSlot& slot);

// Sealed under a key of its own (fresh random salt in the header).
Result<SuperblockSlot> seal_superblock(const Superblock& superblock, const Keyring& keyring);
// nullopt: the slot does not open with this key, or does not follow the format.
Result<std::optional<Superblock>> open_superblock(const SuperblockSlot& slot, const Keyring& keyring);

// Both slots as they are on the store, and the newer one that opens.
struct SuperblockPair {
  std::array<SuperblockSlot, 2> slots;
  Superblock newest;
};
// Errors name what is wrong: no volume, newer format, wrong key, damaged, truncated.
Result<SuperblockPair> read_superblocks(const ByteStore& store, const VolumeKey& key);

// Names the contents of a sealed volume.
std::array<std::byte, 32> root_tag(const Superblock& superblock);

// Salts of older mounts: a chain of pages, never rewritten. Returns the pointer to a new page that holds `salts`.
struct SaltPage {
  std::vector<MountSalt> salts;
  NodePointer older;
};
Result<NodePointer> seal_salt_page(const SaltPage& page, Unit unit, const Keyring& keyring,
                                   std::array<std::byte, kUnitSize>& out);
Result<SaltPage> open_salt_page(const NodePointer& pointer, const Keyring& keyring,
                                std::array<std::byte, kUnitSize>& bytes);

}  // namespace casemate::volume
