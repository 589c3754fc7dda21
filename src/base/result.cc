#include "base/result.h"

#include <system_error>

namespace casemate {

Error Error::from_errno(const std::string& what, int system_code) {
  return Error(ErrorCategory::kSystem, what + ": " + std::generic_category().message(system_code), system_code);
}

}  // namespace casemate
