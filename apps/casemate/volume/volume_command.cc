// `casemate volume …`: the table of its commands, and how their errors become words and exit codes.
#include <cerrno>
#include <cstdio>
#include <iterator>
#include <string>

#include "casemate/program_search.h"
#include "casemate/reference/tools.h"
#include "casemate/subcommands.h"
#include "casemate/volume/commands.h"
#include "casemate/volume/describe.h"
#include "casemate/volume/options.h"

namespace casemate::volume_tool {
namespace {

// Lists of options that several rows share cannot be spliced into a braced list, so they are spelled out.
const Command kCommands[] = {
    {"key",
     "[FILE]",
     0,
     1,
     "make a key file",
     "Makes FILE with a fresh random key, mode 0600. An existing file is never touched.",
     {"output"},
     make_volume_key},
    {"create",
     "VOL",
     1,
     1,
     "make an empty volume",
     "Makes VOL, an empty encrypted volume, under the key of --key-file, or under a fresh key that it leaves in\n"
     "--new-key-file. Keep a copy of the key: without it the volume is lost.",
     {"key-file", "key-fd", "new-key-file", "new-key-fd", "size", "journal", "label"},
     create_volume},
    {"info",
     "VOL",
     1,
     1,
     "what a volume is: label, sizes, position",
     "Prints what VOL is: label, format, sizes, position, and whether it is sealed.",
     {"key-file", "key-fd", "anchor", "json"},
     show_information},
    {"ls",
     "VOL [PATH]",
     1,
     2,
     "list files",
     "Lists directory PATH (default /) of VOL. In names, what is no printable UTF-8 is shown as \\xHH, a newline as "
     "\\n.",
     {"key-file", "key-fd", "anchor", "json", "long", "recursive"},
     list_files},
    {"cat",
     "VOL PATH",
     2,
     2,
     "print a file",
     "Writes file PATH of VOL to standard output.",
     {"key-file", "key-fd", "anchor"},
     print_file},
    {"import",
     "VOL DIR",
     2,
     2,
     "copy a directory of the host into a volume",
     "Copies what is in DIR into VOL: modes, owners, times, extended attributes, hard and symbolic links, holes,\n"
     "devices, FIFOs and sockets. Directories are merged, anything else is replaced. What cannot be read is told and\n"
     "left out (exit code 1). If the import is killed, the volume is intact and holds a part of DIR: run it again.",
     {"key-file", "key-fd", "anchor", "into", "one-file-system", "progress"},
     import_files},
    {"export",
     "VOL DIR [PATH]",
     2,
     3,
     "copy files of a volume to the host",
     "Copies what is in directory PATH (default /) of VOL, or file PATH, into DIR, which is made where it is missing.\n"
     "What exists is not replaced without --overwrite. Links in DIR are never followed. Only root restores owners.",
     {"key-file", "key-fd", "anchor", "overwrite", "progress"},
     export_files},
    {"verify",
     "VOL",
     1,
     1,
     "read and authenticate everything",
     "Reads all of VOL and tells what does not verify, by file where that is known. Changes nothing.",
     {"key-file", "key-fd", "anchor", "json", "progress"},
     verify_volume},
    {"diff",
     "VOL DIR|VOL2",
     2,
     2,
     "what differs from a directory or another volume",
     "Compares VOL with directory DIR or with another volume: names, types, contents, modes, owners, times, extended\n"
     "attributes and hard links. Prints one line per difference; exit code 1 when there is one.",
     {"key-file", "key-fd", "anchor", "other-key-file", "other-key-fd", "other-anchor", "json", "progress"},
     show_differences},
    {"grow",
     "VOL",
     1,
     1,
     "raise a volume's largest size",
     "Lets VOL grow up to --size. The file on the host grows only as it is filled.",
     {"key-file", "key-fd", "anchor", "size"},
     grow_volume},
    {"compact",
     "VOL",
     1,
     1,
     "give unused space back to the host",
     "Moves data to the front of VOL and cuts the file behind it.",
     {"key-file", "key-fd", "anchor", "progress"},
     compact_volume},
    {"rekey",
     "VOL NEWVOL",
     2,
     2,
     "copy a volume under another key",
     "Makes NEWVOL, a complete copy of VOL under the key of --new-key-file, which is made where it is missing.\n"
     "VOL stays as it is; remove it, and its copies, when the old key must no longer open anything.",
     {"key-file", "key-fd", "anchor", "new-key-file", "new-key-fd", "size", "journal", "label", "progress"},
     rekey_volume},
    {"seal",
     "VOL",
     1,
     1,
     "make a volume read-only for good, and print its root tag",
     "Makes VOL read-only for good and prints the tag that names exactly its contents.",
     {"key-file", "key-fd", "anchor"},
     seal_volume},
    {"anchor",
     "VOL",
     1,
     1,
     "show or set the file that remembers the newest state",
     "--show (the default) prints the states of the anchor file and of VOL and what follows; exit code 1 when VOL is\n"
     "older than its anchor. --set lets the anchor remember the state of now, if VOL is not older than it.",
     {"key-file", "key-fd", "anchor", "json", "show", "set"},
     manage_anchor},
    {"accept",
     "VOL",
     1,
     1,
     "accept an older state after a legitimate restore",
     "After a backup was restored, VOL is older than its anchor and is refused. This tells what would be lost, and\n"
     "with --position X (or --root-tag X for a sealed volume), which names the state to accept, sets the anchor back.",
     {"key-file", "key-fd", "anchor", "position", "root-tag"},
     accept_state},
    {"manifest",
     "DIR",
     1,
     1,
     "list a directory's files with their digests",
     "Writes the manifest of DIR for an `authenticated` region to -o FILE, and prints the SHA-256 that names it.",
     {"output", "progress"},
     make_manifest},
};

constexpr int kAnyCode = -1;

// Which exit code says what happened: the first row that fits.
struct ExitRow {
  ErrorCategory category;
  int system_code;
  int exit_code;
};

constexpr ExitRow kExitCodes[] = {
    {ErrorCategory::kFormat, kAnyCode, cli::kExitNo},
    {ErrorCategory::kNotFound, kAnyCode, cli::kExitNo},
    // Answers about a volume or a file, not mistakes in the words: in use, exists, sealed, rolled back.
    {ErrorCategory::kUsage, EBUSY, cli::kExitNo},
    {ErrorCategory::kUsage, EEXIST, cli::kExitNo},
    {ErrorCategory::kSystem, EEXIST, cli::kExitNo},
    {ErrorCategory::kSystem, ESTALE, cli::kExitNo},
    {ErrorCategory::kUsage, kAnyCode, cli::kExitUsage},
};

int complain(const Error& error) {
  std::fprintf(stderr, "casemate volume: %s\n", error.message().c_str());
  for (const ExitRow& row : kExitCodes) {
    const bool fits = row.system_code == kAnyCode || row.system_code == error.system_code();
    if (fits && row.category == error.category()) return row.exit_code;
  }
  return cli::kExitOwnFailure;
}

int print_and_end(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  return std::fflush(stdout) == 0 ? 0 : cli::kExitOwnFailure;
}

int execute(const Command& command, const std::vector<std::string>& words) {
  const auto options = parse_options(command, words);
  if (!options.has_value()) return complain(options.error());
  if (options.value().help) return print_and_end(help_of(command));
  const auto done = command.run(options.value());
  if (!done.has_value()) {
    std::fflush(stdout);
    return complain(done.error());
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return complain(Error::from_errno("standard output cannot be written", errno));
  }
  return done.value();
}

}  // namespace
}  // namespace casemate::volume_tool

namespace casemate::cli {

CommandText describe_volume() {
  CommandText text{"volume", "", volume_tool::help_of_all(volume_tool::kCommands), {{{"-h", "--help"}, false, ""}}, {}};
  for (const volume_tool::Command& command : volume_tool::kCommands) text.commands.push_back(describe(command));
  return text;
}

int volume_command(const std::vector<std::string>& words) {
  using volume_tool::kCommands;
  if (words.empty()) {
    std::fprintf(stderr, "casemate volume: no command given; see `casemate volume --help`\n");
    return kExitUsage;
  }
  if (words.front() == "--help" || words.front() == "-h" || words.front() == "help") {
    return volume_tool::print_and_end(volume_tool::help_of_all(kCommands));
  }
  for (const volume_tool::Command& command : kCommands) {
    if (words.front() == command.name) {
      return volume_tool::execute(command, std::vector<std::string>(words.begin() + 1, words.end()));
    }
  }
  std::fprintf(stderr, "casemate volume: there is no command '%s'; see `casemate volume --help`\n",
               words.front().c_str());
  return kExitUsage;
}

}  // namespace casemate::cli
