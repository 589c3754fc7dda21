// One volume as a whole: info, verify, grow, compact, seal.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "casemate/subcommands.h"
#include "casemate/volume/attempt.h"
#include "casemate/volume/commands.h"
#include "casemate/volume/opening.h"
#include "casemate/volume/progress.h"
#include "casemate/volume/text.h"

namespace casemate::volume_tool {
namespace {

using nlohmann::ordered_json;
using volume::Access;

Result<std::unique_ptr<OpenedVolume>> open_first(const Options& options, Access access) {
  return OpenedVolume::open(options, credentials_of(options), options.operands.front(), access);
}

std::string shown(const volume::Information& facts, const volume::Statistics& numbers) {
  std::string text;
  const auto line = [&](const char* name, const std::string& value) { text += fmt::format("{:<14}{}\n", name, value); };
  line("volume", to_hex(facts.volume_id));
  line("label", facts.label.empty() ? "-" : printable(facts.label));
  line("format", std::to_string(facts.format_version));
  line("created", readable_time(facts.created) + " UTC");
  line("file size",
       fmt::format("{} of at most {}", readable_size(facts.store_size), readable_size(facts.maximum_size)));
  line("journal", readable_size(facts.journal_size));
  line("files", fmt::format("{} inodes", numbers.inode_count));
  line("space", fmt::format("{} free of {}", readable_size(numbers.free_bytes), readable_size(numbers.capacity_bytes)));
  line("position", to_text(facts.position));
  line("sealed", facts.sealed ? "yes, root tag " + to_hex(facts.root_tag) : "no");
  return text;
}

ordered_json to_json(const volume::Information& facts, const volume::Statistics& numbers) {
  ordered_json document;
  document["volume_id"] = to_hex(facts.volume_id);
  add_bytes(document, "label", facts.label);
  document["format_version"] = facts.format_version;
  document["created"] = exact_time(facts.created);
  document["store_size"] = facts.store_size;
  document["maximum_size"] = facts.maximum_size;
  document["journal_size"] = facts.journal_size;
  document["inode_count"] = numbers.inode_count;
  document["capacity_bytes"] = numbers.capacity_bytes;
  document["free_bytes"] = numbers.free_bytes;
  document["position"] = to_text(facts.position);
  document["sealed"] = facts.sealed;
  if (facts.sealed) document["root_tag"] = to_hex(facts.root_tag);
  return document;
}

ordered_json to_json(const volume::VerifyReport& report) {
  ordered_json document;
  document["ok"] = report.problems.empty();
  document["inode_count"] = report.inode_count;
  document["data_bytes"] = report.data_bytes;
  document["node_count"] = report.node_count;
  document["problems"] = ordered_json::array();
  for (const std::string& problem : report.problems) document["problems"].push_back(printable(problem));
  return document;
}

void print(const ordered_json& document) { std::printf("%s\n", document.dump(2).c_str()); }

}  // namespace

Result<int> show_information(const Options& options) {
  auto opened = CASEMATE_TRY(open_first(options, Access::kReadOnly));
  const volume::Information facts = opened->engine().information();
  const volume::Statistics numbers = CASEMATE_TRY(opened->engine().statistics());
  if (options.json) {
    print(to_json(facts, numbers));
  } else {
    std::fputs(shown(facts, numbers).c_str(), stdout);
  }
  CASEMATE_ATTEMPT(opened->close());
  return 0;
}

Result<int> verify_volume(const Options& options) {
  auto opened = open_first(options, Access::kReadOnly);
  if (!opened.has_value()) {
    // For programs the answer is on standard output, whatever it is.
    if (options.json && opened.error().category() == ErrorCategory::kFormat) {
      print({{"ok", false}, {"problems", {opened.error().message()}}});
    }
    return opened.error();
  }
  Progress progress("verify", options);
  const auto report = opened.value()->engine().verify(progress.callback());
  progress.clear();
  if (!report.has_value()) return of_volume(report.error(), options.operands.front());
  const std::size_t problem_count = report.value().problems.size();
  if (options.json) {
    print(to_json(report.value()));
  } else {
    for (const std::string& problem : report.value().problems) std::printf("%s\n", printable(problem).c_str());
    std::printf("%s: %llu inodes, %s of data, %llu nodes: %s\n", printable(options.operands.front()).c_str(),
                static_cast<unsigned long long>(report.value().inode_count),
                readable_size(report.value().data_bytes).c_str(),
                static_cast<unsigned long long>(report.value().node_count),
                problem_count == 0 ? "all authentic" : fmt::format("{} problems", problem_count).c_str());
  }
  CASEMATE_ATTEMPT(opened.value()->close());
  return problem_count == 0 ? 0 : cli::kExitNo;
}

Result<int> grow_volume(const Options& options) {
  if (!options.size.has_value()) {
    return Error(ErrorCategory::kUsage, "grow: name the new largest size: --size SIZE");
  }
  auto opened = CASEMATE_TRY(open_first(options, Access::kReadWrite));
  const auto grown = opened->engine().grow(*options.size);
  if (!grown.has_value()) return of_volume(grown.error(), opened->path());
  CASEMATE_ATTEMPT(opened->close());
  return 0;
}

Result<int> compact_volume(const Options& options) {
  auto opened = CASEMATE_TRY(open_first(options, Access::kReadWrite));
  Progress progress("compact", options);
  const auto given_back = opened->engine().compact(progress.callback());
  progress.clear();
  if (!given_back.has_value()) return of_volume(given_back.error(), opened->path());
  CASEMATE_ATTEMPT(opened->close());
  std::printf("%s given back to the host\n", readable_size(given_back.value()).c_str());
  return 0;
}

Result<int> seal_volume(const Options& options) {
  auto opened = CASEMATE_TRY(open_first(options, Access::kReadWrite));
  const auto root_tag = opened->engine().seal();  // which closes the volume, too
  if (!root_tag.has_value()) return of_volume(root_tag.error(), opened->path());
  std::printf("%s\n", to_hex(root_tag.value()).c_str());
  return 0;
}

}  // namespace casemate::volume_tool
