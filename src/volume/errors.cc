#include "volume/errors.h"

#include <cerrno>

namespace casemate::volume {
namespace {

ErrorCategory category_of(int system_code) {
  switch (system_code) {
    case ENOENT:
    case ENODATA:
    case ENXIO:
      return ErrorCategory::kNotFound;
    case ENOSPC:
    case EMLINK:
      return ErrorCategory::kExhausted;
    case EIO:
    case ESTALE:
      return ErrorCategory::kSystem;
    default:
      return ErrorCategory::kUsage;
  }
}

}  // namespace

Error damaged(const std::string& what) { return Error(ErrorCategory::kFormat, what, EIO); }

Error refused(int system_code, const std::string& what) { return Error(category_of(system_code), what, system_code); }

bool is_damage(const Error& error) { return error.category() == ErrorCategory::kFormat; }

}  // namespace casemate::volume
