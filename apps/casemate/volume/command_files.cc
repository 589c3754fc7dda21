// What is in a volume: ls, cat, import, export, diff.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "casemate/subcommands.h"
#include "casemate/volume/attempt.h"
#include "casemate/volume/commands.h"
#include "casemate/volume/compare.h"
#include "casemate/volume/copy_in.h"
#include "casemate/volume/copy_out.h"
#include "casemate/volume/opening.h"
#include "casemate/volume/text.h"

namespace casemate::volume_tool {
namespace {

using nlohmann::ordered_json;
using volume::Access;

Result<std::unique_ptr<OpenedVolume>> open_first(const Options& options, Access access) {
  return OpenedVolume::open(options, credentials_of(options), options.operands.front(), access);
}

Result<void> write_out(std::span<const std::byte> data) {
  if (std::fwrite(data.data(), 1, data.size(), stdout) == data.size()) return {};
  return Error::from_errno("standard output", errno);
}

const char* type_word(std::uint32_t type) {
  struct Word {
    std::uint32_t type;
    const char* word;
  };
  constexpr Word kWords[] = {
      {S_IFREG, "file"},         {S_IFDIR, "directory"}, {S_IFLNK, "symlink"}, {S_IFCHR, "character-device"},
      {S_IFBLK, "block-device"}, {S_IFIFO, "fifo"},      {S_IFSOCK, "socket"}};
  for (const Word& row : kWords) {
    if (row.type == type) return row.word;
  }
  return "unknown";
}

// Lists one node, and what is below it where that was asked for.
class Listing {
 public:
  Listing(const Options& options, Complaints& complaints) : options_(options), complaints_(complaints) {}

  Result<void> list(TreeNode& node, const std::string& path) {
    if (node.type() != S_IFDIR) return show(node, path);
    for (const std::string& name : CASEMATE_TRY(node.child_names())) {
      const std::string child_path = path.empty() ? name : path + "/" + name;
      auto child = node.child(name);
      if (!child.has_value()) {
        complaints_.add(child_path, child.error());
        continue;
      }
      CASEMATE_ATTEMPT(show(*child.value(), child_path));
      if (!options_.recursive || child.value()->type() != S_IFDIR) continue;
      const auto listed = list(*child.value(), child_path);
      if (!listed.has_value()) complaints_.add(child_path, listed.error());
    }
    return {};
  }

  const ordered_json& document() const { return document_; }

 private:
  Result<void> show(TreeNode& node, const std::string& path) {
    std::string target;
    if (node.type() == S_IFLNK) target = CASEMATE_TRY(node.link_target());
    if (options_.json) {
      document_.push_back(described(node, path, target));
    } else if (options_.long_form) {
      std::printf("%s%s%s\n", long_line(node).c_str(), printable(path).c_str(),
                  node.type() == S_IFLNK ? (" -> " + printable(target)).c_str() : "");
    } else {
      std::printf("%s\n", printable(path).c_str());
    }
    return {};
  }

  static std::string long_line(const TreeNode& node) {
    const volume::Attributes& facts = node.attributes();
    const bool device = node.type() == S_IFCHR || node.type() == S_IFBLK;
    const std::string size =
        device ? fmt::format("{}, {}", major(facts.device), minor(facts.device)) : std::to_string(facts.size);
    return fmt::format("{} {:>3} {:>5} {:>5} {:>12} {} ", readable_mode(facts.mode), facts.link_count, facts.uid,
                       facts.gid, size, readable_time(facts.modify_time));
  }

  static ordered_json described(const TreeNode& node, const std::string& path, const std::string& target) {
    const volume::Attributes& facts = node.attributes();
    ordered_json entry;
    add_bytes(entry, "path", path);
    entry["type"] = type_word(node.type());
    entry["inode"] = facts.inode;
    entry["mode"] = fmt::format("{:04o}", facts.mode & 07777U);
    entry["uid"] = facts.uid;
    entry["gid"] = facts.gid;
    entry["links"] = facts.link_count;
    entry["size"] = facts.size;
    entry["allocated_size"] = facts.allocated_size;
    entry["modify_time"] = exact_time(facts.modify_time);
    if (node.type() == S_IFLNK) add_bytes(entry, "target", target);
    return entry;
  }

  const Options& options_;
  Complaints& complaints_;
  ordered_json document_ = ordered_json::array();
};

std::string last_component(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

Result<int> list_files(const Options& options) {
  auto opened = CASEMATE_TRY(open_first(options, Access::kReadOnly));
  const std::string path = options.operands.size() > 1 ? options.operands[1] : "/";
  // As ls(1): a link that was named is shown, unless what is behind it is wanted: "link/".
  const auto inode =
      CASEMATE_TRY(find_in_volume(opened->engine(), path, path.ends_with('/') ? FinalLink::kFollow : FinalLink::kKeep));
  const auto node = CASEMATE_TRY(open_volume_tree(opened->engine(), inode));
  Progress progress("ls", options);
  Complaints complaints("ls", progress);
  Listing listing(options, complaints);
  CASEMATE_ATTEMPT(listing.list(*node, node->type() == S_IFDIR ? "" : last_component(path)));
  if (options.json) std::printf("%s\n", listing.document().dump(2).c_str());
  CASEMATE_ATTEMPT(opened->close());
  return complaints.count() == 0 ? 0 : cli::kExitNo;
}

Result<int> print_file(const Options& options) {
  auto opened = CASEMATE_TRY(open_first(options, Access::kReadOnly));
  const std::string& path = options.operands[1];
  const auto inode = CASEMATE_TRY(find_in_volume(opened->engine(), path, FinalLink::kFollow));
  const auto node = CASEMATE_TRY(open_volume_tree(opened->engine(), inode));
  if (node->type() != S_IFREG) {
    return Error(ErrorCategory::kNotFound, printable(path) + " in the volume: is no regular file", EINVAL);
  }
  std::vector<std::byte> piece(kPieceSize);
  for (std::uint64_t offset = 0;;) {
    const auto size = node->read(offset, piece);
    if (!size.has_value()) return size.error().with_context(printable(path) + " in the volume");
    if (size.value() == 0) break;
    CASEMATE_ATTEMPT(write_out(std::span(piece).first(size.value())));
    offset += size.value();
  }
  CASEMATE_ATTEMPT(opened->close());
  return 0;
}

Result<int> import_files(const Options& options) {
  auto source = CASEMATE_TRY(open_host_tree(options.operands[1]));
  auto opened = CASEMATE_TRY(open_first(options, Access::kReadWrite));
  Progress progress("import", options);
  Complaints complaints("import", progress);
  const auto target = CASEMATE_TRY(make_directories(opened->engine(), options.into.empty() ? "/" : options.into));
  const auto borders = options.one_file_system ? MountBorders::kStay : MountBorders::kCross;
  auto done = copy_in(*opened, target, *source, borders, progress, complaints);
  progress.clear();
  // Whatever ended it: what is there already is whole, and stays.
  const auto closed = opened->close();
  if (!done.has_value()) {
    const std::string state = "the import is incomplete; " + std::to_string(progress.files()) + " files were reached";
    return of_volume(done.error().with_context(state), opened->path());
  }
  CASEMATE_ATTEMPT(closed);
  return complaints.count() == 0 ? 0 : cli::kExitNo;
}

Result<int> export_files(const Options& options) {
  auto opened = CASEMATE_TRY(open_first(options, Access::kReadOnly));
  const std::string path = options.operands.size() > 2 ? options.operands[2] : "/";
  const auto inode = CASEMATE_TRY(find_in_volume(opened->engine(), path, FinalLink::kKeep));
  const auto node = CASEMATE_TRY(open_volume_tree(opened->engine(), inode));
  Progress progress("export", options);
  Complaints complaints("export", progress);
  CASEMATE_ATTEMPT(copy_out(*node, last_component(path), options.operands[1],
                            options.overwrite ? Existing::kReplace : Existing::kRefuse, progress, complaints));
  progress.clear();
  CASEMATE_ATTEMPT(opened->close());
  return complaints.count() == 0 ? 0 : cli::kExitNo;
}

namespace {

bool is_directory(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

void print_difference(const Difference& difference, const Options& options) {
  const std::string path = printable(difference.path);
  std::printf("%s: %s: %s in %s, %s in %s\n", path.c_str(), difference.kind.c_str(), difference.left.c_str(),
              printable(options.operands[0]).c_str(), difference.right.c_str(), printable(options.operands[1]).c_str());
}

}  // namespace

Result<int> show_differences(const Options& options) {
  auto left = CASEMATE_TRY(open_first(options, Access::kReadOnly));
  std::unique_ptr<OpenedVolume> right;
  const bool with_directory = is_directory(options.operands[1]);
  if (!with_directory) {
    right = CASEMATE_TRY(
        OpenedVolume::open(options, other_credentials_of(options), options.operands[1], Access::kReadOnly));
  }
  const auto left_tree = CASEMATE_TRY(open_volume_tree(left->engine(), volume::kRootInode));
  const auto right_tree = CASEMATE_TRY(with_directory ? open_host_tree(options.operands[1])
                                                      : open_volume_tree(right->engine(), volume::kRootInode));
  Progress progress("diff", options);
  Complaints complaints("diff", progress);
  ordered_json document = ordered_json::array();
  std::size_t difference_count = 0;
  const auto tell = [&](const Difference& difference) {
    ++difference_count;
    if (!options.json) return print_difference(difference, options);
    ordered_json entry;
    add_bytes(entry, "path", difference.path);
    entry["kind"] = difference.kind;
    entry["left"] = difference.left;
    entry["right"] = difference.right;
    document.push_back(std::move(entry));
  };
  compare(*left_tree, *right_tree, tell, progress, complaints);
  progress.clear();
  if (options.json) std::printf("%s\n", document.dump(2).c_str());
  CASEMATE_ATTEMPT(left->close());
  if (right != nullptr) CASEMATE_ATTEMPT(right->close());
  return difference_count + complaints.count() == 0 ? 0 : cli::kExitNo;
}

}  // namespace casemate::volume_tool
