// Unix sockets in runs with the network shield: they may lead to processes of the application, and nowhere else unless
// a rule says so; and descriptors of connections that go through them.
#pragma once

#include "runtime/netshield/calls.h"

namespace casemate::runtime {

// bind(): the name is the application's from now on.
void net_note_local_name(GuestAddr address, std::uint64_t size);
// Sending to a name, or connecting a socket without connections to it: 0, or -EACCES with a line in the log.
long net_judge_local_name(GuestAddr address, std::uint64_t size);
bool net_is_local_datagram(std::int32_t fd);
// connect() and accept(): what the call returns, once the kernel has connected `fd`.
long net_judge_local_peer(std::int32_t fd, GuestAddr address, std::uint64_t size, long result);

// Descriptors in the control data of a message (struct msghdr): those of connections get references of their own before
// they go, and give them back when they do not go.
enum class Departure { kGoes, kStays };
void net_note_departing(const Thread& thread, std::uint64_t control, std::uint64_t size, Departure departure);
void net_note_arrived(const Thread& thread, std::uint64_t control, std::uint64_t size);

}  // namespace casemate::runtime
