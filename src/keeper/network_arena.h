// The network shield's arena (netshield/shared/arena.h) as the keeper uses it.
#pragma once

#include <memory>

#include "base/result.h"
#include "base/unique_fd.h"
#include "netshield/shared/arena.h"
#include "policy/network_rules.h"

namespace casemate::keeper {

class NetworkArena {
 public:
  // Gives the empty memory file its size, for ever, and writes into it what the rules say. Errors: kSystem; kUsage when
  // there are too many rules.
  static Result<std::unique_ptr<NetworkArena>> create(UniqueFd file, const policy::NetworkRules& rules);
  ~NetworkArena();
  NetworkArena(const NetworkArena&) = delete;
  NetworkArena& operator=(const NetworkArena&) = delete;

  netshield::Arena& arena() { return *arena_; }

  // The end of a handshake: wakes who waits. False: the program has closed the connection meanwhile; the slot is free.
  bool settle(std::uint32_t slot, netshield::SlotState state);
  // The same for one that is complete. The low-water mark is set again, because an edge that came with the first time
  // may have been taken for nothing while the slot was not open yet. Nobody uses the stream before `socket` is closed:
  // a program's epoll would go on telling about a descriptor that it closed while we had another one.
  void open(std::uint32_t slot, UniqueFd socket);
  // The process that used the member is gone. Nothing happens when it has given the member back itself.
  void end_member(std::uint32_t member, std::uint32_t generation);
  // Of the slot, if that is still the connection `generation`: sends with `send(bytes, size)`, which returns how many
  // bytes were taken, until nothing is left or it takes none. True: nothing is left.
  template <typename Send>
  bool send_rest(std::uint32_t index, std::uint32_t generation, Send send);

 private:
  explicit NetworkArena(netshield::Arena* arena) : arena_(arena) {}
  void lock(netshield::SharedLock& lock);
  void unlock(netshield::SharedLock& lock);

  netshield::Arena* arena_;
};

template <typename Send>
bool NetworkArena::send_rest(std::uint32_t index, std::uint32_t generation, Send send) {
  netshield::Slot& slot = arena_->slots[index];
  netshield::Stream& stream = slot.stream;
  lock(slot.lock);
  bool is_done = true;
  const bool is_ours = slot.generation.load() == generation && slot.state.load() == netshield::SlotState::kOpen;
  const std::uint32_t begin = stream.out_begin, end = stream.out_end;
  if (is_ours && begin < end && end <= sizeof(stream.out)) {
    const std::size_t sent = send(stream.out + begin, end - begin);
    is_done = sent == end - begin;
    stream.out_begin = is_done ? 0 : begin + static_cast<std::uint32_t>(sent);
    if (is_done) stream.out_end = 0;
  }
  if (is_done && is_ours) slot.flags.fetch_and(~netshield::kRestHanded);
  unlock(slot.lock);
  return is_done;
}

}  // namespace casemate::keeper
