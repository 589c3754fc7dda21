// Session files of the command line: read, filled in, parsed and checked, with everything that is wrong printed.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "casemate/session/session_options.h"
#include "policy/check.h"
#include "policy/session.h"

namespace casemate::session_tool {

// A file's contents, at most `limit` bytes; "-" is standard input. Errors: kSystem, kFormat (too large).
Result<std::string> read_whole_file(const std::string& path, std::size_t limit);
// Replaces or makes `path`.
Result<void> write_file(const std::string& path, const std::string& contents);

// The text as a CAS shall store it: with the file's variables filled in. What is wrong with them is printed.
Result<std::string> text_for_cas(const std::string& path, const Options& options);

// The other sessions named by --with, and what was made of them.
class OtherSessions {
 public:
  // Errors: kFormat when one of them is wrong; its findings are then printed.
  static Result<OtherSessions> load(const Options& options);
  const policy::KnownSessions& known() const { return known_; }

 private:
  std::vector<std::unique_ptr<policy::Session>> owned_;
  policy::KnownSessions known_;
};

// What was found in one file. `session` is missing when there are errors of the text itself.
struct LoadedSession {
  std::optional<policy::Session> session;
  policy::Diagnostics diagnostics;
};
enum class Depth { kParse, kCheck };
Result<LoadedSession> load_session(const std::string& path, const Options& options, const policy::KnownSessions& known,
                                   Depth depth);

// As above for commands that need a right session: findings are printed to standard error (warnings unless --quiet).
// Errors: kFormat "FILE has N errors".
Result<policy::Session> require_session(const std::string& path, const Options& options,
                                        const policy::KnownSessions& known);

void print(const policy::Diagnostics& diagnostics, const std::string& path, const Options& options);

}  // namespace casemate::session_tool
