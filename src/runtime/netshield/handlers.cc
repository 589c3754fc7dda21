// Which calls the network shield stands in front of.
#include <sys/syscall.h>

#include "runtime/netshield/calls.h"

namespace casemate::runtime {
namespace {

struct HandlerTable {
  SyscallHandler handlers[kSyscallLimit + 1];
};

consteval HandlerTable build() {
  HandlerTable table{};
#define CASEMATE_PUT(name) table.handlers[SYS_##name] = &net_##name;
  CASEMATE_NET_HANDLERS(CASEMATE_PUT)
#undef CASEMATE_PUT
  return table;
}

constinit const HandlerTable kHandlers = build();

}  // namespace

SyscallHandler net_handler_of(std::uint64_t number) {
  return number < kSyscallLimit ? kHandlers.handlers[number] : nullptr;
}

}  // namespace casemate::runtime
