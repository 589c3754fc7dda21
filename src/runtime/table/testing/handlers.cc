// Handlers without a body worth calling, one per row that has one, so that hosted programs (unit tests, the generator
// of the compatibility page) can link the table without the runtime.
#include "runtime/intercept/dispatch.h"
#include "runtime/table/table.h"

namespace casemate::runtime {

long pass_through(Thread&, Regs&) { return -38; }
long refuse(Thread&, Regs&) { return -1; }

#define HANDLER_pass(name)
#define HANDLER_shielded(name) \
  long sys_##name(Thread&, Regs&) { return __LINE__; }
#define HANDLER_emulated(name) HANDLER_shielded(name)
#define HANDLER_partial(name) HANDLER_shielded(name)
#define CALL(number, name, status, ...) HANDLER_##status(name)
#define REFUSED(number, name, ...)
#include "runtime/table/syscalls.def"

}  // namespace casemate::runtime
