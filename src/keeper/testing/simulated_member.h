// A member of the file shield for tests: speaks src/protocol/shield.h over real sockets and touches shared memory as
// the runtime does, in this process.
#pragma once

#include <sys/mman.h>

#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "keeper/page_states.h"
#include "protocol/shield.h"
#include "protocol/shield_answers.h"

namespace casemate::keeper::testing {

struct Reply {
  protocol::Reply header = {};
  std::string host_paths[2];
  std::string data;
  std::vector<UniqueFd> descriptors;

  std::int64_t result() const { return header.result; }
  bool is_host() const { return header.kind == protocol::ReplyKind::kHostPaths; }
};

// What a request says; the rest is zero.
struct Call {
  protocol::Operation operation;
  std::string path = "", second_path = "";
  std::vector<std::uint64_t> arguments = {};
  protocol::Place base = {protocol::PlaceKind::kNone, 0, 0};
  std::string base_path = "";
  std::string data = "";
  protocol::Place root = {protocol::PlaceKind::kRoot, 0, 0};
};

struct OpenFile {
  std::int64_t result = 0;
  UniqueFd fd;
  std::uint32_t slot = 0;
  bool is_host = false;
  std::string host_path;
};

class SimulatedMember {
 public:
  // `hello` is the members' end; not owned.
  explicit SimulatedMember(int hello);
  ~SimulatedMember();
  SimulatedMember(const SimulatedMember&) = delete;
  SimulatedMember& operator=(const SimulatedMember&) = delete;

  Reply call(const Call& call);
  // Any bytes. False: the channel is gone.
  bool send_raw(std::span<const std::byte> bytes);

  OpenFile open(const std::string& path, int flags, std::uint32_t mode = 0644);
  std::int64_t status(const std::string& path, protocol::ShieldAttributes* out = nullptr);
  // With an absolute path, as the runtime asks: such answers may be kept.
  Reply ask_at_root(protocol::Operation operation, const std::string& path, std::vector<std::uint64_t> arguments = {});
  // What the keeper left in shared memory for the same question, if it still holds.
  std::optional<std::int64_t> kept_answer(protocol::Operation operation, const std::string& path, std::uint64_t a0 = 0,
                                          protocol::ShieldAttributes* out = nullptr) const;
  std::int64_t make_directory(const std::string& path, std::uint32_t mode = 0755);
  std::int64_t unlink(const std::string& path, int flags = 0);
  std::int64_t rename(const std::string& from, const std::string& to, unsigned flags = 0);
  std::int64_t link_symbolically(const std::string& path, const std::string& target);
  std::int64_t synchronize(const OpenFile& file);
  // As fdatasync does.
  std::int64_t synchronize_data(const OpenFile& file);
  // Names, without "." and "..", with the given capacity of each call.
  std::vector<std::string> list(const OpenFile& directory, std::size_t capacity = 4096);

  // By the rules of page states. Return 0 or a negative errno.
  std::int64_t write(const OpenFile& file, std::uint64_t offset, std::string_view data);
  std::string read(const OpenFile& file, std::uint64_t offset, std::size_t size);

  const protocol::FileSlot& slot(std::uint32_t index) const { return arena_->slots[index]; }
  const protocol::ShieldArena& arena() const { return *arena_; }
  std::uint8_t page_state(std::uint32_t slot, std::uint64_t page) const;
  // Looks a memory file up as members do. -1: not shielded.
  std::int64_t find_slot(int fd) const;
  int channel() const { return channel_.get(); }

  std::uint32_t user = 0, group = 0;
  std::vector<std::uint32_t> groups;

 private:
  std::int64_t mark(const OpenFile& file, std::uint64_t first, std::uint64_t end);
  StateByte* states(std::uint32_t slot) const;

  UniqueFd channel_;
  const protocol::ShieldArena* arena_ = nullptr;
  std::byte* states_ = nullptr;
  std::size_t states_size_ = 0;
};

}  // namespace casemate::keeper::testing
