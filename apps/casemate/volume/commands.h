// The commands of `casemate volume`: each is one row of the table in volume_command.cc.
#pragma once

#include "base/result.h"
#include "casemate/volume/options.h"

namespace casemate::volume_tool {

// --- command_make.cc: keys and whole volumes
Result<int> make_volume_key(const Options& options);
Result<int> create_volume(const Options& options);
Result<int> rekey_volume(const Options& options);

// --- command_maintain.cc: one volume as a whole
Result<int> show_information(const Options& options);
Result<int> verify_volume(const Options& options);
Result<int> grow_volume(const Options& options);
Result<int> compact_volume(const Options& options);
Result<int> seal_volume(const Options& options);

// --- command_files.cc: what is in it
Result<int> list_files(const Options& options);
Result<int> print_file(const Options& options);
Result<int> import_files(const Options& options);
Result<int> export_files(const Options& options);
Result<int> show_differences(const Options& options);

// --- command_freshness.cc
Result<int> manage_anchor(const Options& options);
Result<int> accept_state(const Options& options);

// --- command_manifest.cc
Result<int> make_manifest(const Options& options);

}  // namespace casemate::volume_tool
