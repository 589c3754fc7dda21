// Fuzzes everything the volume engine parses, behind authentication: the fuzzer knows the key, changes the plaintext of
// a superblock, a node, or the newest journal record, and seals it again (with every tag above it), so that the change
// reaches the parsers. The first byte of an input says what is changed; then, for superblock and nodes, rows of
// {offset: 2 bytes, value: 1 byte}, for the record the whole payload. One more kind changes raw bytes of the store.
//
// A finding is a crash, a sanitizer report or a hang. What a mount accepts is read, verified, changed and synced.
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <functional>

#include "volume/journal.h"
#include "volume/superblock.h"
#include "volume/testing/sample.h"

namespace {

using namespace casemate;
using namespace casemate::volume;

template <typename Value>
Value require(Result<Value> result) {
  if (result) return std::move(result).value();
  std::fprintf(stderr, "cannot prepare: %s\n", result.error().message().c_str());
  std::abort();
}

using Edit = std::function<void(std::span<std::byte>)>;

// The unchanged volume and where its structures are.
class World {
 public:
  World()
      : sample_(require(volume::testing::make_sample(volume::testing::Ending::kCrashed))),
        key_(volume::testing::test_key()) {
    const volume::testing::MemoryStore store(sample_.image);
    pair_ = require(read_superblocks(store, key_));
    keyring_ = std::make_unique<Keyring>(key_, pair_.newest.volume_id);
    for (const MountSalt& salt : pair_.newest.salts) keyring_->add(salt);
    find_tail();
  }

  Bytes with_superblock(const Edit& edit) const {
    Bytes image = sample_.image;
    edit_superblock(image, edit);
    return image;
  }
  // A child of the root (or the root, when it has none), and the tags up to the superblock.
  Bytes with_node(std::size_t child, const Edit& edit) const {
    Bytes image = sample_.image;
    NodePage root = open_node(image, pair_.newest.root);
    if (root.level() > 0) {
      const std::span<std::byte> value = root.mutable_value(child % root.count());
      ByteReader reader(value);
      NodePointer pointer = read_pointer(reader);
      NodePage page = open_node(image, pointer);
      edit(page.bytes());
      pointer.tag = seal_node(image, pointer, page);
      std::copy(pointer.tag.begin(), pointer.tag.end(), value.begin() + 20);
    } else {
      edit(root.bytes());
    }
    set_root(image, seal_node(image, pair_.newest.root, root));
    return image;
  }
  Bytes with_root(const Edit& edit) const {
    Bytes image = sample_.image;
    NodePage root = open_node(image, pair_.newest.root);
    edit(root.bytes());
    set_root(image, seal_node(image, pair_.newest.root, root));
    return image;
  }
  Bytes with_record(ByteView payload) const {
    Bytes image = sample_.image;
    volume::testing::MemoryStore store(std::move(image));
    const Journal journal(store, *keyring_, pair_.newest.journal_size);
    RecordHeader header = tail_;
    payload = payload.first(std::min<std::size_t>(payload.size(), journal.maximum_record() / 2));
    const Bytes record = require(journal.seal(header, payload));
    if (!journal.write(tail_begin_, record)) std::abort();
    return std::move(store.bytes());
  }
  const Bytes& image() const { return sample_.image; }

 private:
  void find_tail() {
    volume::testing::MemoryStore store(sample_.image);
    const Journal journal(store, *keyring_, pair_.newest.journal_size);
    Position position = pair_.newest.tree_position;
    for (std::uint64_t place = pair_.newest.journal_begin;;) {
      const std::unique_ptr<Record> record = require(journal.read(place, position));
      if (record == nullptr) break;
      tail_ = record->header;
      tail_begin_ = record->begin;
      position = record->position();
      place = record->end;
    }
    if (tail_.sequence == 0) std::abort();
  }
  // The sealed part of the newest slot: header of 128 bytes with salt at 48 and tag at 80.
  void edit_superblock(Bytes& image, const Edit& edit) const {
    std::byte* const slot = &image[kSuperblockUnits[pair_.newest.generation % 2] * kUnitSize];
    const crypto::Aes256Gcm cipher =
        require(keyring_->purpose_cipher(ByteView(slot + 48, 32), "casemate volume superblock"));
    const std::span<std::byte> body(slot + kSuperblockHeaderSize, kUnitSize - kSuperblockHeaderSize);
    Tag tag;
    std::copy_n(slot + 80, tag.size(), tag.begin());
    if (!cipher.open({}, ByteView(slot, 80), body, tag, body)) std::abort();
    edit(body);
    tag = cipher.seal({}, ByteView(slot, 80), body, body);
    std::copy(tag.begin(), tag.end(), slot + 80);
  }
  NodePage open_node(const Bytes& image, const NodePointer& pointer) const {
    NodePage page;
    std::copy_n(&image[pointer.unit * kUnitSize], kUnitSize, page.bytes().begin());
    std::array<std::byte, 8> identity;
    store_number(identity.data(), pointer.unit);
    const crypto::Aes256Gcm* const cipher = require(keyring_->cipher(pointer.seal.epoch));
    if (!cipher->open(nonce_for(Domain::kNode, pointer.seal.counter), identity, page.bytes(), pointer.tag,
                      page.bytes())) {
      std::abort();
    }
    return page;
  }
  Tag seal_node(Bytes& image, const NodePointer& pointer, const NodePage& page) const {
    std::array<std::byte, 8> identity;
    store_number(identity.data(), pointer.unit);
    const crypto::Aes256Gcm* const cipher = require(keyring_->cipher(pointer.seal.epoch));
    return cipher->seal(nonce_for(Domain::kNode, pointer.seal.counter), identity, page.bytes(),
                        std::span(&image[pointer.unit * kUnitSize], kUnitSize));
  }
  void set_root(Bytes& image, const Tag& tag) const {
    const auto old = pair_.newest.root.tag;
    edit_superblock(image, [&](std::span<std::byte> body) {
      const auto place = std::search(body.begin(), body.end(), old.begin(), old.end());
      std::copy(tag.begin(), tag.end(), place);
    });
  }

  volume::testing::Sample sample_;
  VolumeKey key_;
  SuperblockPair pair_;
  std::unique_ptr<Keyring> keyring_;
  RecordHeader tail_;
  std::uint64_t tail_begin_ = 0;
};

const World& world() {
  static const World instance;
  return instance;
}

// Directories may form circles and sizes may be anything now: what is visited is bounded.
void use_inode(Volume& volume, InodeNumber inode, int depth, int& budget) {
  if (depth > 6 || --budget < 0) return;
  const auto attributes = volume.attributes(inode);
  if (!attributes) return;
  Bytes out(20'000);
  (void)volume.read(inode, 0, out);
  (void)volume.read(inode, attributes.value().size / 2, out);
  (void)volume.seek(inode, 0, SeekTarget::kData);
  (void)volume.read_link(inode);
  (void)volume.parent(inode);
  (void)volume.name_in_parent(inode);
  const auto names = volume.extended_attribute_names(inode);
  for (std::size_t index = 0; names && index < names.value().size() && index < 10; ++index) {
    (void)volume.extended_attribute(inode, names.value()[index]);
  }
  const auto entries = volume.read_directory(inode, 0, 50);
  for (std::size_t index = 0; entries && index < entries.value().size(); ++index) {
    use_inode(volume, entries.value()[index].inode, depth + 1, budget);
  }
}

void change_something(Volume& volume) {
  for (const char* name : {"large", "small", "directory", "new"}) {
    const auto found = volume.lookup(kRootInode, name);
    if (!found) {
      (void)volume.create_node(kRootInode, name, {S_IFREG | 0644, 0, 0, 0, ""});
      continue;
    }
    const InodeNumber inode = found.value().inode;
    (void)volume.write(inode, 3'000, volume::testing::pattern(9'000, 1));
    AttributeChange change;
    change.size = 5'000;
    (void)volume.set_attributes(inode, change);
    (void)volume.rename(kRootInode, name, inode, "inside", RenameMode::kReplace);
    const auto removed = volume.unlink(kRootInode, name);
    if (removed && removed.value().link_count == 0) (void)volume.release_orphan(inode);
  }
  (void)volume.sync();
  (void)volume.checkpoint();
}

void use(Bytes image) {
  volume::testing::MemoryStore store(std::move(image));
  const auto mounted = volume::testing::mount_sample(store);
  if (!mounted) return;
  Volume& volume = *mounted.value();
  int budget = 60;
  use_inode(volume, kRootInode, 0, budget);
  (void)volume.verify({});
  change_something(volume);
  use_inode(volume, kRootInode, 0, budget = 60);
  (void)volume.close();
}

Edit edits(ByteView rows) {
  return [rows](std::span<std::byte> bytes) {
    for (std::size_t row = 0; row + 3 <= rows.size(); row += 3) {
      bytes[load_number<std::uint16_t>(&rows[row]) % bytes.size()] = rows[row + 2];
    }
  };
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const ByteView input(reinterpret_cast<const std::byte*>(data), size);
  const ByteView rest = input.subspan(2);
  const std::size_t second = data[1];
  switch (data[0] % 5) {
    case 0:
      use(world().with_superblock(edits(rest)));
      break;
    case 1:
      use(world().with_node(second, edits(rest)));
      break;
    case 2:
      use(world().with_root(edits(rest)));
      break;
    case 3:
      use(world().with_record(rest));
      break;
    default: {
      Bytes image = world().image();
      edits(rest)(std::span(image).subspan(second * 16384 % (image.size() - 65536), 65536));
      use(std::move(image));
    }
  }
  return 0;
}
