// CASEMATE_TRY for functions that give nothing back: returns the error from the enclosing function.
#pragma once

#include "base/result.h"

#define CASEMATE_ATTEMPT(expression)                                    \
  do {                                                                  \
    auto casemate_attempt = (expression);                               \
    if (!casemate_attempt.has_value()) return casemate_attempt.error(); \
  } while (false)
