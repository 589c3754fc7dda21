// The words behind `casemate cas` and what its commands share.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace casemate::cas_tool {

struct Options {
  std::string address, client_directory;  // clients
  std::string token_file, server_key, log_id, output;
  bool json = false;
  std::string reference;             // why
  std::vector<std::string> holders;  // backup: X25519 keys, 64 hex digits
  unsigned threshold = 0;
  // serve and restore
  std::string state, listen = "127.0.0.1:8900", runtime_listen, key_file, passphrase_file, anchor, top_level = "owner";
  std::vector<std::string> collateral;  // files
  unsigned anchor_seconds = 10;
  double requests_per_second = 500;  // of one client key
  bool public_metrics = false, accept = false;
  std::string from;
  std::vector<std::string> holder_keys;  // files
};

// `words`: of this process, to start it again in a clean environment.
Result<int> serve(const Options& options, const std::vector<std::string>& words);
Result<int> restore(const Options& options);
Result<int> claim(const Options& options);
Result<int> trust(const Options& options);
Result<int> status(const Options& options);
Result<int> backup(const Options& options);
Result<int> audit(const Options& options);
Result<int> share_key(const Options& options);
Result<int> why(const Options& options);

}  // namespace casemate::cas_tool
