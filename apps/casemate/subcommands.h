// The words behind `casemate` other than `run`: each is a table row in main.cc.
#pragma once

#include <string>
#include <vector>

namespace casemate::cli {

// Exit codes of tools: 0 done; 1 the answer is "no" (damaged, refused, different); 2 wrong words; 125 Casemate failed.
inline constexpr int kExitNo = 1, kExitUsage = 2;

// `words`: everything behind the subcommand's name.
using Subcommand = int (*)(const std::vector<std::string>& words);

int volume_command(const std::vector<std::string>& words);
int quote_command(const std::vector<std::string>& words);
int measure_command(const std::vector<std::string>& words);
int sign_command(const std::vector<std::string>& words);
int log_command(const std::vector<std::string>& words);
int cas_embedded_command(const std::vector<std::string>& words);
int session_command(const std::vector<std::string>& words);
int cas_command(const std::vector<std::string>& words);
int net_command(const std::vector<std::string>& words);
int identity_command(const std::vector<std::string>& words);

}  // namespace casemate::cli
