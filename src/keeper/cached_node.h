// One node of a volume that is open or cached: its memfd, page states and slot. How contents move between the memfd and
// the volume, and the rules that members rely on (src/protocol/shield.h), are here.
//
// What a hostile member can do here -> what we answer
//   resize the memfd, write any page or state -> harms contents of the application's own files; the keeper touches page
//                                                memory by pread and pwrite only, so it cannot be made to fault
//
// Threads: contents operations take `mutex`; see page_cache.h for the order of locks.
#pragma once

#include <sys/stat.h>

#include <array>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "keeper/content_hash.h"
#include "keeper/region.h"
#include "keeper/shared_arena.h"
#include "protocol/shield.h"

namespace casemate::keeper {

class PageCache;

struct PageRange {
  std::uint64_t first = 0, count = 0;
  std::uint64_t end() const { return first + count; }
};

inline constexpr PageRange kAllPages = {0, volume::kMaximumFileSize / protocol::kPageSize + 1};

enum class NodeUse {
  kOpen,  // a description may exist somewhere
  kIdle,  // nobody has it open; cached contents only
  kGone,  // taken out of the cache
};

class CachedNode {
 public:
  CachedNode(PageCache& cache, const Region& region, const volume::Attributes& attributes);
  ~CachedNode();
  CachedNode(const CachedNode&) = delete;
  CachedNode& operator=(const CachedNode&) = delete;

  // Makes memfd and states and publishes the slot. The caller holds the table mutex.
  Result<void> set_up(std::uint32_t slot);

  const Region& region() const { return region_; }
  volume::InodeNumber inode() const { return inode_; }
  NodeKey key() const { return key_of(region_, inode_); }
  std::uint32_t slot() const { return slot_; }
  bool is_regular() const { return S_ISREG(mode_type_); }
  int memory_file() const { return file_.get(); }

  // --- contents; each takes the mutex
  Result<void> populate(PageRange range, protocol::PopulatePurpose purpose);
  // How many pages of the range populate would have to load, about.
  std::uint64_t absent_pages(PageRange range);
  // Brings everything that is newer than the volume into it (staged, not yet durable).
  // What programs wrote through mappings is looked for in the pages `compared`, elsewhere at another time.
  Result<void> write_back(PageRange compared = kAllPages);
  // For fdatasync: contents and size only, where nothing is mapped. The times follow with the next write_back(), which
  // maintenance does soon.
  Result<void> write_back_data();
  // Drops up to `count` clean pages. Returns how many.
  std::uint64_t evict(std::uint64_t count);
  Result<void> truncate(std::uint64_t size);
  // As fallocate(2) with `mode`.
  Result<void> allocate(int mode, std::uint64_t offset, std::uint64_t size);
  // As lseek(2) with SEEK_DATA or SEEK_HOLE. What is newer than the volume is data. ENXIO: nothing there.
  Result<std::uint64_t> seek(std::uint64_t offset, protocol::SeekFor wanted);
  // Makes room for the states of so many pages. EFBIG when there is none.
  Result<void> grow_states(std::uint64_t count);
  // Nobody has it open any more: what was pinned may go. The last writes through mappings are found.
  Result<void> end_use();

  // --- attributes
  // What stat(2) shows: the volume's attributes with the memfd's newer size and times.
  protocol::ShieldAttributes status() const;
  // The volume's attributes changed (chmod, link, ...): show them to members.
  void publish(const volume::Attributes& attributes);
  // utimensat on contents: the memfd's time is the newest.
  void set_modify_time(const volume::Timestamp& time);

  // Somebody may hold a description for writing, so size and times may change without a word. Until nobody has it open.
  bool may_be_written() const { return may_be_written_.load(std::memory_order_acquire); }
  void set_may_be_written(bool may) { may_be_written_.store(may, std::memory_order_release); }

  bool is_marked_dirty() const;
  // Marked, or written through mappings without a mark.
  bool may_be_newer() const { return is_marked_dirty() || is_mapped_.load(std::memory_order_relaxed); }
  // Counts its pages in memory anew.
  void measure() { account(); }
  std::uint64_t resident_pages() const { return resident_pages_.load(std::memory_order_relaxed); }
  // Writes back nothing at sync: it has no name, so nothing of it survives a crash.
  bool is_orphan() const { return orphan_.load(std::memory_order_relaxed); }
  void set_orphan(bool orphan) { orphan_.store(orphan, std::memory_order_relaxed); }

  // When it leaves the cache: what it held of the states memory.
  std::vector<StateRange> take_ranges();

  // --- bookkeeping of PageCache, under its table mutex
  NodeUse use = NodeUse::kOpen;
  std::uint32_t users = 0;                                         // request threads that work with it right now
  std::uint64_t last_used = 0;                                     // PageCache's clock
  std::list<std::shared_ptr<CachedNode>>::iterator idle_position;  // valid for kIdle
  bool has_path_handles = false;  // O_PATH descriptors were given out, whose end nobody sees
  // Under which name it was opened last, for getcwd and /proc/self/fd; directories ask the volume.
  volume::InodeNumber name_directory = 0;
  std::string name;

 private:
  struct MappedRange {
    std::uint64_t end = 0;
    std::vector<ContentHash> hashes;  // of each page when it last was equal to the volume
  };

  enum class Times { kRestored, kWrittenNext };  // kWrittenNext: a member's write will change them anyway
  Result<void> load(PageRange range, Times times = Times::kRestored);
  Result<void> load_run(PageRange run);
  PageRange widen(PageRange range, protocol::PopulatePurpose purpose);
  Result<void> write_back_locked(PageRange compared = kAllPages);
  Result<bool> write_dirty_pages(std::uint64_t end_page, std::uint64_t size);
  Result<std::uint64_t> write_run(PageRange run, std::uint64_t size);
  Result<void> write_attributes(const struct stat& memory, bool wrote);
  void find_mapped_changes(PageRange compared = kAllPages);
  void remember_mapped(PageRange range);
  void follow_growth();
  void keep_mapped(PageRange range);
  void update_hashes(PageRange range, std::span<const std::byte> contents);
  Result<void> grow_states_locked(std::uint64_t count);
  Result<void> truncate_locked(std::uint64_t size);
  Result<void> punch(std::uint64_t offset, std::uint64_t size);
  Result<void> extend(std::uint64_t size);
  Result<void> shift(int mode, std::uint64_t offset, std::uint64_t size);
  void forget_pages(std::uint64_t first, std::uint64_t backed);
  Result<std::uint64_t> seek_in_volume(std::uint64_t offset, volume::SeekTarget target);
  void pin();
  void restore_modify_time(const struct stat& before);
  void account();
  struct stat memory_status() const;
  // In bytes. Unlike memory_status() it leaves the memfd's times unseen. Once they were seen, the kernel must give the
  // next write a time of its own, and by that makes every file on the host take new times: a host without a journal
  // then writes the volume's inode with each sync.
  struct MemorySize {
    std::uint64_t size, allocated;
  };
  MemorySize memory_size() const;

  PageCache& cache_;
  const Region& region_;
  const volume::InodeNumber inode_;
  const std::uint32_t mode_type_;
  std::uint32_t slot_ = 0;
  UniqueFd file_;
  std::atomic<bool> orphan_{false};
  std::atomic<bool> may_be_written_{false};
  std::atomic<std::uint64_t> resident_pages_{0};
  std::atomic<bool> is_mapped_{false};  // wished_ is not empty

  std::mutex mutex_;  // guards what follows
  StateRange range_;
  std::atomic<std::uint8_t>* states_ = nullptr;
  std::uint64_t volume_size_ = 0;
  std::uint64_t next_sequential_page_ = 0;  // where a reader that reads on would ask next
  std::uint64_t read_ahead_ = 0;            // pages
  std::uint64_t evict_hand_ = 0;
  bool pinned_ = false;
  timespec written_time_ = {};                   // the memfd's mtime that the volume has
  bool has_given_time_ = false;                  // written_time_ was chosen by utimensat
  bool are_times_behind_ = false;                // write_back_data() left them
  std::map<std::uint64_t, MappedRange> mapped_;  // ranges that programs may write through, by first page
  // What programs asked to map so, as far as they like behind the end of the file; merged, by first page -> end. Where
  // the file grows into it, mapped_ follows: up to followed_pages_ it has.
  std::map<std::uint64_t, std::uint64_t> wished_;
  std::uint64_t followed_pages_ = 0;
  std::vector<StateRange> old_ranges_;  // outgrown; members may still look at them

  mutable std::mutex publish_mutex_;  // guards the slot's contents
};

}  // namespace casemate::keeper
