// Names of alerts (RFC 8446, appendix B.2) for the log.
#pragma once

#include "netshield/record/record_layer.h"

namespace casemate::netshield {

// "bad_record_mac"; "unknown alert" for numbers without a name. Never null.
const char* name_of(Alert alert);

}  // namespace casemate::netshield
