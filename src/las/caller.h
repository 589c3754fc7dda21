// The process at the other end of a connection, held fast and looked at. docs/las.md, "The argument", says why this is
// enough; in short: a caller is believed when its one address space since exec never held more than the runtime's own
// image, unchanged, nobody traces or filters it, and it alone can have sent the answer to our challenge.
//
// What a hostile caller can do here -> what we answer
//  - forge /proc/PID/exe (needs a user namespace) -> another user namespace is refused, and mappings are compared too
//  - connect, then exec the runtime -> the challenge comes after the first look; only this process may answer it, and
//    the runtime answers on no socket but its own
//  - answer from a program that the runtime then runs, and exec the runtime again before the second look -> smaps stays
//    open: behind an exec it belongs to a dead address space and reads as empty; should another task keep that one
//    alive, the new one has other random addresses
//  - unmap everything but the runtime's image -> VmPeak never shrinks
//  - end, and let its number be taken by another process -> /proc/PID is held as an open directory, and by a pidfd
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "las/image_layout.h"
#include "protocol/las.h"

namespace casemate::las {

// What the LAS measures callers against; computed once.
struct CallerRules {
  std::optional<gid_t> group;         // callers must have this as effective group at connect
  std::optional<pid_t> only;          // embedded: the one process that is served
  std::uint64_t seccomp_filters = 0;  // as many as the LAS itself has may stand before a caller
};

// Errors: kSystem when /proc does not say it.
Result<CallerRules> own_rules();

class Caller {
 public:
  // Finds and holds the process that connected to `socket`. kNone, or why it cannot be held.
  protocol::LasRefusal hold(int socket, const CallerRules& rules);

  // One look. kNone: it is the unchanged image of its executable, alone and untraced, as at the first look.
  // Requires: hold() was kNone. Costs about 0.2 ms. Does not wait for the caller.
  protocol::LasRefusal look();

  pid_t pid() const { return pid_; }
  uid_t uid() const { return uid_; }
  // With pid() the process's name, whatever it execs.
  std::uint64_t start_time() const { return start_time_; }
  // The file that it runs, open for reading.
  int executable() const { return executable_.get(); }
  bool has_group() const { return has_group_; }
  // Its executable runs no programs, and was judged by the rule for such ones.
  bool is_hosted() const { return is_hosted_; }

 private:
  protocol::LasRefusal hold_image();
  protocol::LasRefusal look_at_status();
  protocol::LasRefusal look_at_mappings();
  protocol::LasRefusal look_at_identity();
  bool is_alive() const;

  CallerRules rules_;
  pid_t pid_ = 0;
  uid_t uid_ = 0;
  bool has_group_ = false;
  bool is_hosted_ = false;
  std::uint64_t start_time_ = 0;
  UniqueFd process_, directory_, smaps_, executable_;
  MappedFile file_;
  std::vector<ExpectedMapping> expected_;
  std::vector<Mapping> first_seen_;
};

// The user who connected, for those who only want its status; no process is held.
std::optional<uid_t> peer_user(int socket);

}  // namespace casemate::las
