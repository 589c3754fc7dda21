// The kernel's calls behind a Stream, in hosted code. The runtime has its own.
#pragma once

#include "netshield/record/stream.h"

namespace casemate::netshield {

extern const StreamSocket kTcpSocket;

}  // namespace casemate::netshield
