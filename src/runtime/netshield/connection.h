// Shielded connections of this process: their begin and end, and access to their streams.
#pragma once

#include "runtime/netshield/arena.h"

namespace casemate::runtime {

extern const netshield::StreamSocket kCoreSocket;

// A slot under its lock, if it is still the connection that was looked at.
class [[nodiscard]] NetAccess {
 public:
  NetAccess(const NetLook& look, std::int64_t fd);
  ~NetAccess() { shared_release(slot_.lock); }
  NetAccess(const NetAccess&) = delete;
  NetAccess& operator=(const NetAccess&) = delete;
  bool is_current() const { return is_current_; }
  netshield::Slot& slot() { return slot_; }
  netshield::StreamCall call() const;

 private:
  netshield::Slot& slot_;
  std::int64_t fd_;
  bool is_current_;
};

// Makes the TCP socket `fd` a connection under `rule`: from now on no plain byte of the program's goes over it. The
// handshake begins with net_shake(). 0 or a negative errno.
long net_adopt(const Thread& thread, std::int64_t fd, std::uint32_t rule, netshield::Side side);
// Sends the socket to the keeper for its handshake. 0 or a negative errno.
long net_shake(const Thread& thread, std::int64_t fd, std::uint32_t slot);
// Undoes net_adopt() of a connection that came to nothing.
void net_disown(const Thread& thread, std::int64_t fd);

// Drops the reference that a word held; the last one ends the connection in order, over `fd`, which is still open.
void net_release_word(const Thread& thread, std::uint32_t word, std::int64_t fd);

long net_tell_keeper(const Thread& thread, const netshield::Message& message, std::int64_t fd);
// What is left of a record goes out without the program's help. Under the slot's lock.
void net_hand_rest(const Thread& thread, NetAccess& access, std::uint32_t index, std::int64_t fd);

}  // namespace casemate::runtime
