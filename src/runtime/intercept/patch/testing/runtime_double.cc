#include "runtime/intercept/patch/testing/runtime_double.h"

#include <sys/uio.h>
#include <unistd.h>

#include <atomic>

#include "runtime/intercept/patch/patcher.h"
#include "runtime/intercept/patch/site_counter.h"
#include "runtime/intercept/thread.h"
#include "runtime/memory/guest.h"

namespace casemate::runtime {
namespace {
std::atomic<std::uint32_t> g_thread_count{1};
std::vector<testing::ProtectedRange> g_ranges;
}  // namespace

long copy_from_guest(void* destination, GuestAddr source, std::size_t size) {
  const iovec local{destination, size}, remote{reinterpret_cast<void*>(raw(source)), size};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size) ? 0 : -14;
}

long copy_to_guest(GuestAddr destination, const void* source, std::size_t size) {
  const iovec local{const_cast<void*>(source), size}, remote{reinterpret_cast<void*>(raw(destination)), size};
  return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size) ? 0 : -14;
}

std::uint32_t process_thread_count() { return g_thread_count; }
void protect_range(std::uint64_t start, std::uint64_t size) { g_ranges.push_back({start, size}); }

namespace testing {
void set_thread_count(std::uint32_t count) { g_thread_count = count; }
const std::vector<ProtectedRange>& protected_ranges() { return g_ranges; }
void trap_until_patched(std::uint64_t site) {
  for (unsigned i = 0; i < kTrapsBeforeAnonymousPatch + 2; ++i) patcher_on_trap(site);
}
}  // namespace testing

}  // namespace casemate::runtime
