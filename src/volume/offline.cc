#include <cerrno>

#include "volume/engine.h"
namespace casemate::volume {
Result<VerifyReport> Engine::verify(const std::function<void(std::uint64_t, std::uint64_t)>&) {
  return refused(ENOSYS, "not built yet");
}
Result<std::array<std::byte, 32>> Engine::seal() { return refused(ENOSYS, "not built yet"); }
Result<void> Engine::grow(std::uint64_t) { return refused(ENOSYS, "not built yet"); }
Result<std::uint64_t> Engine::compact(const std::function<void(std::uint64_t, std::uint64_t)>&) {
  return refused(ENOSYS, "not built yet");
}
}  // namespace casemate::volume
