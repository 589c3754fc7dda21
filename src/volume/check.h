// CASEMATE_TRY for results without a value.
#pragma once

#include "base/result.h"

#define VOLUME_CHECK(expression)                                                            \
  do {                                                                                      \
    if (auto volume_checked = (expression); !volume_checked) return volume_checked.error(); \
  } while (false)
