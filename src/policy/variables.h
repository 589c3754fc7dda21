// Client-side variables of a session file: `$NAME` and `${NAME}`, as SCONE's CLI has them (-e NAME=VALUE).
//
// The text is filled in before it is parsed, hashed, signed or sent; CAS never does it. `$$` before CASEMATE:: or
// SCONE:: begins a reference to a secret and stays as it is; any other `$$` becomes one dollar. Lines that are comments
// stay as they are. A value is one line, because an inserted line could add keys to the session.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "policy/diagnostics.h"

namespace casemate::policy {

using VariableLookup = std::function<std::optional<std::string>(std::string_view name)>;

// Nothing when there are errors. Places in later diagnostics are those of the filled-in text: lines stay the same.
std::optional<std::string> fill_in_variables(std::string_view text, const VariableLookup& lookup,
                                             Diagnostics& diagnostics);

}  // namespace casemate::policy
