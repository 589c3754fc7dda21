// Unix sockets with names in volumes. The socket's kernel object lives where the keeper says (a private directory of
// the host); the program's calls get that path instead of its own, and the kernel's answers are translated back. And
// descriptors that come and go in messages.
#include <fcntl.h>
#include <linux/un.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/memory/guest.h"
#include "runtime/shield/calls.h"
#include "runtime/shield/channel.h"
#include "runtime/shield/kinds.h"
#include "runtime/table/table.h"

namespace casemate::runtime {
namespace {

using protocol::Operation;
using protocol::PlaceKind;
using protocol::ReplyKind;
using protocol::ResolvePurpose;

inline constexpr long kEconnrefused = -111, kEnametoolong = -36, kEexist = -17, kEaddrinuse = -98;
inline constexpr std::uint16_t kUnixFamily = 1;
inline constexpr std::uint64_t kFamilySize = sizeof(std::uint16_t);
inline constexpr std::uint64_t kMostMessages = 1024;

struct MessageHeader {  // struct user_msghdr
  std::uint64_t name;
  std::uint32_t name_size, padding;
  std::uint64_t parts, part_count, control, control_size;
  std::uint64_t flags;
};
struct ControlHeader {  // struct cmsghdr
  std::uint64_t size;
  std::int32_t level, type;
};
struct Messages {  // struct mmsghdr
  MessageHeader header;
  std::uint64_t sent;
};

// A path that an address names, NUL-terminated; false: another family, an abstract or no name, or not readable.
bool path_of_address(GuestAddr address, std::uint64_t size, char (&path)[sizeof(sockaddr_un::sun_path) + 1]) {
  sockaddr_un name{};
  if (raw(address) == 0 || size <= kFamilySize || size > sizeof(name)) return false;
  if (copy_from_guest(&name, address, size) != 0 || name.sun_family != kUnixFamily || name.sun_path[0] == 0)
    return false;
  __builtin_memcpy(path, name.sun_path, sizeof(name.sun_path));
  path[sizeof(name.sun_path)] = 0;
  return true;
}

// An address in the runtime's memory that takes the place of the program's. `address` 0: the program's will do.
struct Translation {
  long error;
  std::uint64_t address;
  std::uint64_t size;
};

Translation use_host_path(RequestMemory& memory) {
  const std::size_t length = __builtin_strlen(memory.host_path[0]);
  if (length >= sizeof(sockaddr_un::sun_path)) {
    // The kernel reaches a host directory's entries by the program's own, shorter name.
    const bool own_name_works = memory.request.base[0].kind == PlaceKind::kHostPath;
    return {own_name_works ? 0 : kEnametoolong, 0, 0};
  }
  auto* const name = reinterpret_cast<sockaddr_un*>(memory.outgoing);
  *name = sockaddr_un{};
  name->sun_family = kUnixFamily;
  __builtin_memcpy(name->sun_path, memory.host_path[0], length + 1);
  return {0, reinterpret_cast<std::uint64_t>(name), kFamilySize + length + 1};
}

Translation translate(Thread& thread, GuestAddr address, std::uint64_t size, Operation operation) {
  char path[sizeof(sockaddr_un::sun_path) + 1];
  if (!path_of_address(address, size, path)) return {0, 0, 0};
  RequestMemory* const memory = begin_request(thread, operation);
  if (memory == nullptr) return {-12, 0, 0};
  __builtin_memcpy(memory->path[0], path, sizeof(path));
  const bool binds = operation == Operation::kBindSocket;
  const Located located = locate_text(thread, *memory, 0, AT_FDCWD, binds ? Links::kKeep : Links::kFollow);
  if (located.error != 0 || located.way != Way::kKeeper) return {located.error, 0, 0};
  memory->request.arguments[0] = binds ? 0777 : 0;
  memory->request.arguments[1] = static_cast<std::uint64_t>(ResolvePurpose::kConnect);
  const long result = exchange(thread, *memory);
  if (is_error(result)) return {binds && result == kEexist ? kEaddrinuse : result, 0, 0};
  if (memory->reply.kind != ReplyKind::kHostPaths) return {kEconnrefused, 0, 0};
  return use_host_path(*memory);
}

// The call with argument `index` and the following one, the address and its size, translated.
long with_address(Thread& thread, Regs& regs, unsigned index, Operation operation) {
  std::uint64_t arguments[6] = {regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9};
  const auto size = static_cast<std::uint32_t>(arguments[index + 1]);
  const Translation made = translate(thread, guest(arguments[index]), size, operation);
  if (made.error != 0) return made.error;
  if (made.address == 0) return pass_through(thread, regs);
  arguments[index] = made.address;
  arguments[index + 1] = made.size;
  return pass_arguments(regs.original_rax, arguments);
}

// What a failed bind has left in the volume.
void remove_socket(Thread& thread, GuestAddr address, std::uint64_t size) {
  char path[sizeof(sockaddr_un::sun_path) + 1];
  RequestMemory* const memory = begin_request(thread, Operation::kUnlink);
  if (memory == nullptr || !path_of_address(address, size, path)) return;
  __builtin_memcpy(memory->path[0], path, sizeof(path));
  const Located located = locate_text(thread, *memory, 0, AT_FDCWD, Links::kKeep);
  if (located.error == 0 && located.way == Way::kKeeper) exchange(thread, *memory);
}

// --- names that the kernel reports ---

// `size`: what the kernel reported; `capacity`: what the program offered. The size it must see now.
std::uint32_t restore_name(Thread& thread, GuestAddr address, std::uint32_t size, std::uint32_t capacity) {
  char path[sizeof(sockaddr_un::sun_path) + 1];
  const std::uint32_t given = size < capacity ? size : capacity;
  if (given < size || !path_of_address(address, given, path) || path[0] != '/') return size;
  RequestMemory* const memory = begin_request(thread, Operation::kRemoteHostPath);
  if (memory == nullptr) return size;
  const std::size_t length = __builtin_strlen(path);
  __builtin_memcpy(memory->outgoing, path, length);
  if (is_error(exchange(thread, *memory, {memory->outgoing, length})) || memory->reply.data_size == 0) return size;
  sockaddr_un name{};
  name.sun_family = kUnixFamily;
  const std::uint32_t kept = memory->reply.data_size < sizeof(name.sun_path) - 1
                                 ? memory->reply.data_size
                                 : static_cast<std::uint32_t>(sizeof(name.sun_path)) - 1;
  __builtin_memcpy(name.sun_path, reply_data(*memory), kept);
  const auto restored = static_cast<std::uint32_t>(kFamilySize) + kept + 1;
  const std::uint32_t copied = restored < capacity ? restored : capacity;
  return copy_to_guest(address, &name, copied) == 0 ? restored : size;
}

long with_reported_name(Thread& thread, Regs& regs, unsigned index) {
  const auto address = guest(call_argument(regs, index)), size_address = guest(call_argument(regs, index + 1));
  std::uint32_t capacity = 0;
  const bool wanted = raw(address) != 0 && read_guest(capacity, size_address) == 0;
  const long result = pass_through(thread, regs);
  std::uint32_t size = 0;
  if (result < 0 || !wanted || read_guest(size, size_address) != 0 || size <= kFamilySize) return result;
  const std::uint32_t restored = restore_name(thread, address, size, capacity);
  if (restored != size) static_cast<void>(write_guest(size_address, restored));
  return result;
}

// --- messages ---

// Descriptors that arrived are new meanings of their numbers.
void note_received(Thread& thread, const MessageHeader& header) {
  std::uint64_t at = 0;
  ControlHeader control{};
  while (at + sizeof(control) <= header.control_size) {
    if (read_guest(control, guest(header.control + at)) != 0 || control.size < sizeof(control)) return;
    const bool rights = control.level == 1 && control.type == 1;  // SOL_SOCKET, SCM_RIGHTS
    for (std::uint64_t place = sizeof(control); rights && place + sizeof(std::int32_t) <= control.size;
         place += sizeof(std::int32_t)) {
      std::int32_t fd = -1;
      if (read_guest(fd, guest(header.control + at + place)) == 0) kind_changed(thread, fd);
    }
    at += (control.size + 7) & ~std::uint64_t{7};
  }
}

// Sends one message whose header has been copied.
long send_one(Thread& thread, std::int32_t fd, MessageHeader& header, std::uint64_t flags) {
  if (header.control_size != 0) kinds_shared();
  const Translation made = translate(thread, guest(header.name), header.name_size, Operation::kResolve);
  if (made.error != 0) return made.error;
  if (made.address != 0) {
    header.name = made.address;
    header.name_size = static_cast<std::uint32_t>(made.size);
  }
  const std::uint64_t arguments[6] = {
      static_cast<std::uint64_t>(fd), reinterpret_cast<std::uint64_t>(&header), flags, 0, 0, 0};
  return pass_arguments(SYS_sendmsg, arguments);
}

bool names_a_path(const MessageHeader& header) {
  char path[sizeof(sockaddr_un::sun_path) + 1];
  return path_of_address(guest(header.name), header.name_size, path);
}

}  // namespace

long sys_bind(Thread& thread, Regs& regs) {
  std::uint64_t arguments[6] = {regs.rdi, regs.rsi, regs.rdx, 0, 0, 0};
  const auto size = static_cast<std::uint32_t>(regs.rdx);
  const Translation made = translate(thread, guest(regs.rsi), size, Operation::kBindSocket);
  if (made.error != 0) return made.error;
  if (made.address == 0) return pass_through(thread, regs);
  arguments[1] = made.address;
  arguments[2] = made.size;
  const long result = pass_arguments(regs.original_rax, arguments);
  if (result != 0) remove_socket(thread, guest(regs.rsi), size);
  return result;
}

long sys_connect(Thread& thread, Regs& regs) { return with_address(thread, regs, 1, Operation::kResolve); }

long sys_sendto(Thread& thread, Regs& regs) {
  return regs.r8 == 0 ? pass_through(thread, regs) : with_address(thread, regs, 4, Operation::kResolve);
}

long sys_sendmsg(Thread& thread, Regs& regs) {
  MessageHeader header;
  if (read_guest(header, guest(regs.rsi)) != 0) return pass_through(thread, regs);
  if (header.control_size != 0) kinds_shared();
  if (!names_a_path(header)) return pass_through(thread, regs);
  return send_one(thread, static_cast<std::int32_t>(regs.rdi), header, regs.rdx);
}

long sys_sendmmsg(Thread& thread, Regs& regs) {
  const auto fd = static_cast<std::int32_t>(regs.rdi);
  const std::uint64_t count = regs.rdx < kMostMessages ? regs.rdx : kMostMessages;
  kinds_shared();
  Messages message;
  if (count == 0 || read_guest(message, guest(regs.rsi)) != 0 || !names_a_path(message.header)) {
    return pass_through(thread, regs);
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    const GuestAddr at = guest(regs.rsi) + i * sizeof(Messages);
    long result = read_guest(message, at);
    if (result == 0) result = send_one(thread, fd, message.header, regs.r10);
    if (result < 0) return i != 0 ? static_cast<long>(i) : result;
    const auto sent = static_cast<std::uint32_t>(result);
    if (write_guest(at + offsetof(Messages, sent), sent) != 0) return static_cast<long>(i);
  }
  return static_cast<long>(count);
}

long sys_recvmsg(Thread& thread, Regs& regs) {
  MessageHeader before, after;
  const bool readable = read_guest(before, guest(regs.rsi)) == 0;
  const long result = pass_through(thread, regs);
  if (result < 0 || !readable || read_guest(after, guest(regs.rsi)) != 0) return result;
  if (before.control_size != 0) note_received(thread, after);
  if (after.name == 0 || after.name_size <= kFamilySize) return result;
  const std::uint32_t restored = restore_name(thread, guest(after.name), after.name_size, before.name_size);
  if (restored != after.name_size) {
    static_cast<void>(write_guest(guest(regs.rsi) + offsetof(MessageHeader, name_size), restored));
  }
  return result;
}

// Names are not translated back here: what the program offered for them is overwritten already.
long sys_recvmmsg(Thread& thread, Regs& regs) {
  const long count = pass_through(thread, regs);
  for (long i = 0; i < count; ++i) {
    MessageHeader header;
    const GuestAddr at = guest(regs.rsi) + static_cast<std::uint64_t>(i) * sizeof(Messages);
    if (read_guest(header, at) == 0 && header.control_size != 0) note_received(thread, header);
  }
  return count;
}

long sys_recvfrom(Thread& thread, Regs& regs) {
  return regs.r8 == 0 ? pass_through(thread, regs) : with_reported_name(thread, regs, 4);
}
long sys_accept(Thread& thread, Regs& regs) { return with_reported_name(thread, regs, 1); }
long sys_accept4(Thread& thread, Regs& regs) { return with_reported_name(thread, regs, 1); }
long sys_getsockname(Thread& thread, Regs& regs) { return with_reported_name(thread, regs, 1); }
long sys_getpeername(Thread& thread, Regs& regs) { return with_reported_name(thread, regs, 1); }

}  // namespace casemate::runtime
