// The codec of log entries and rows: crypto/cbor.h under this module's names.
#pragma once

#include "crypto/cbor.h"

namespace casemate::cas {

using crypto::Bytes;
using crypto::ByteView;
using crypto::CborReader;
using crypto::CborWriter;

}  // namespace casemate::cas
