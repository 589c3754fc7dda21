#include "runtime/intercept/patch/code_writer.h"

#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <linux/mman.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/memory/guest.h"

namespace casemate::runtime {
namespace {

inline constexpr std::uint64_t kPage = 4096;
inline constexpr long kEperm = -1;

// The program may have changed its root directory: what is there under the name must really be procfs.
int open_own_memory() {
  const long fd = host_call(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/mem"), O_RDWR | O_CLOEXEC);
  if (is_error(fd)) return -1;
  struct {
    std::int64_t type, rest[15];
  } file_system{};
  const long status = host_call(SYS_fstatfs, fd, reinterpret_cast<long>(&file_system));
  if (status == 0 && file_system.type == PROC_SUPER_MAGIC) return static_cast<int>(fd);
  host_call(SYS_close, fd);
  return -1;
}

std::uint64_t page_start(const CodeWindow& window) { return window.start & ~(kPage - 1); }

long protect(const CodeWindow& window, std::uint32_t protection) {
  const std::uint64_t start = page_start(window), end = (window.end + kPage - 1) & ~(kPage - 1);
  return host_call(SYS_mprotect, static_cast<long>(start), static_cast<long>(end - start), protection);
}

}  // namespace

CodeWriter::CodeWriter(Concurrency concurrency) : concurrency_(concurrency) {
  if (concurrency == Concurrency::kAlone) memory_fd_ = open_own_memory();
}

CodeWriter::~CodeWriter() {
  close();
  if (memory_fd_ >= 0) host_call(SYS_close, memory_fd_);
}

bool CodeWriter::open(const CodeWindow& window) {
  window_ = window;
  if (memory_fd_ >= 0 || (window.protection & PROT_WRITE) != 0) return true;
  const std::uint32_t kept =
      concurrency_ == Concurrency::kAlone ? window.protection & ~std::uint32_t{PROT_EXEC} : window.protection;
  changed_protection_ = protect(window, kept | PROT_READ | PROT_WRITE) == 0;
  return changed_protection_;
}

bool CodeWriter::write(std::uint64_t address, std::span<const std::uint8_t> bytes) {
  if (address < window_.start || address + bytes.size() > window_.end) return false;
  if (memory_fd_ >= 0) {
    const long written = host_call(SYS_pwrite64, memory_fd_, reinterpret_cast<long>(bytes.data()),
                                   static_cast<long>(bytes.size()), static_cast<long>(address));
    if (written == static_cast<long>(bytes.size())) return true;
    // Kernels can refuse this (proc_mem.force_override): go on the other way.
    host_call(SYS_close, memory_fd_);
    memory_fd_ = -1;
    if (!open(window_)) return false;
  }
  if (window_.owner == CodeOwner::kProgram) return copy_to_guest(guest(address), bytes.data(), bytes.size()) == 0;
  auto* to = reinterpret_cast<volatile std::uint8_t*>(address);
  for (std::size_t i = 0; i < bytes.size(); ++i) to[i] = bytes[i];
  return true;
}

void CodeWriter::close() {
  if (!changed_protection_) return;
  changed_protection_ = false;
  protect(window_, window_.protection);
}

void register_core_synchronization() {
  host_call(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
}

bool synchronize_cores() {
  long result = host_call(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
  if (result == kEperm) {
    register_core_synchronization();
    result = host_call(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
  }
  return result == 0;
}

}  // namespace casemate::runtime
