#include "casemate/volume/compare.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <vector>

#include "casemate/volume/attempt.h"
#include "casemate/volume/text.h"

namespace casemate::volume_tool {
namespace {

using volume::Attributes;

// Facts that are compared as the text that shows them.
struct Fact {
  const char* kind;
  std::string (*shown)(const Attributes&);
};

constexpr Fact kFacts[] = {
    {"mode", [](const Attributes& a) { return fmt::format("{:04o}", a.mode & 07777U); }},
    {"owner", [](const Attributes& a) { return fmt::format("{}:{}", a.uid, a.gid); }},
    {"modify-time", [](const Attributes& a) { return exact_time(a.modify_time); }},
};

std::string shown_attributes(const std::vector<ExtendedAttribute>& attributes) {
  std::string text;
  for (const ExtendedAttribute& attribute : attributes) {
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", printable(attribute.name), to_hex(attribute.value));
  }
  return text.empty() ? "none" : text;
}

class Comparison {
 public:
  Comparison(const std::function<void(const Difference&)>& tell, Progress& progress, Complaints& complaints)
      : tell_(tell), progress_(progress), complaints_(complaints), left_piece_(kPieceSize), right_piece_(kPieceSize) {}

  void compare_nodes(TreeNode& left, TreeNode& right, const std::string& path) {
    progress_.add_file();
    progress_.tick();
    if (left.type() != right.type()) {
      say(path, "type", readable_mode(left.attributes().mode), readable_mode(right.attributes().mode));
      return;
    }
    if (left.type() != S_IFLNK) compare_fact(kFacts[0], left, right, path);
    compare_fact(kFacts[1], left, right, path);
    compare_fact(kFacts[2], left, right, path);
    report(path, compare_attributes(left, right, path));
    if (left.type() != S_IFDIR && compare_names(left, right, path)) return;  // compared under its first name
    report(path, compare_insides(left, right, path));
  }

 private:
  Result<void> compare_insides(TreeNode& left, TreeNode& right, const std::string& path) {
    switch (left.type()) {
      case S_IFDIR:
        return compare_children(left, right, path);
      case S_IFREG:
        return compare_data(left, right, path);
      case S_IFLNK: {
        const std::string left_target = CASEMATE_TRY(left.link_target());
        const std::string right_target = CASEMATE_TRY(right.link_target());
        if (left_target != right_target) say(path, "target", printable(left_target), printable(right_target));
        return {};
      }
      case S_IFCHR:
      case S_IFBLK:
        if (left.attributes().device != right.attributes().device) {
          say(path, "device", fmt::format("{:#x}", left.attributes().device),
              fmt::format("{:#x}", right.attributes().device));
        }
        return {};
      default:
        return {};
    }
  }

  Result<void> compare_children(TreeNode& left, TreeNode& right, const std::string& path) {
    const std::vector<std::string> left_names = CASEMATE_TRY(left.child_names());
    const std::vector<std::string> right_names = CASEMATE_TRY(right.child_names());
    std::vector<std::string> all;
    std::set_union(left_names.begin(), left_names.end(), right_names.begin(), right_names.end(),
                   std::back_inserter(all));
    for (const std::string& name : all) {
      const std::string child_path = path == "." ? name : path + "/" + name;
      const bool in_left = std::binary_search(left_names.begin(), left_names.end(), name);
      const bool in_right = std::binary_search(right_names.begin(), right_names.end(), name);
      if (!in_left || !in_right) {
        say(child_path, "missing", in_left ? "present" : "absent", in_right ? "present" : "absent");
        continue;
      }
      auto left_child = left.child(name);
      auto right_child = right.child(name);
      if (!left_child.has_value()) complaints_.add(child_path, left_child.error());
      if (!right_child.has_value()) complaints_.add(child_path, right_child.error());
      if (left_child.has_value() && right_child.has_value()) {
        compare_nodes(*left_child.value(), *right_child.value(), child_path);
      }
    }
    return {};
  }

  Result<void> compare_data(TreeNode& left, TreeNode& right, const std::string& path) {
    if (left.attributes().size != right.attributes().size) {
      say(path, "size", std::to_string(left.attributes().size), std::to_string(right.attributes().size));
      return {};
    }
    std::uint64_t offset = 0;
    while (offset < left.attributes().size) {
      // What is a hole on both sides is the same without being read.
      const auto left_data = CASEMATE_TRY(left.next_data(offset));
      const auto right_data = CASEMATE_TRY(right.next_data(offset));
      const std::uint64_t end = left.attributes().size;
      offset =
          std::min(left_data.has_value() ? left_data->begin : end, right_data.has_value() ? right_data->begin : end);
      if (offset >= end) return {};
      const std::size_t left_size = CASEMATE_TRY(left.read(offset, left_piece_));
      const std::size_t right_size = CASEMATE_TRY(right.read(offset, right_piece_));
      const std::size_t size = std::min(left_size, right_size);
      const auto differ = std::mismatch(left_piece_.begin(), left_piece_.begin() + static_cast<std::ptrdiff_t>(size),
                                        right_piece_.begin());
      const auto same = static_cast<std::size_t>(differ.first - left_piece_.begin());
      if (same < size || left_size != right_size) {
        const std::string where = fmt::format("from offset {}", offset + same);
        say(path, "contents", where, where);
        return {};
      }
      offset += size;
      progress_.add_bytes(size);
      progress_.tick();
    }
    return {};
  }

  Result<void> compare_attributes(TreeNode& left, TreeNode& right, const std::string& path) {
    const auto left_attributes = CASEMATE_TRY(left.extended_attributes());
    const auto right_attributes = CASEMATE_TRY(right.extended_attributes());
    if (left_attributes != right_attributes) {
      say(path, "extended-attributes", shown_attributes(left_attributes), shown_attributes(right_attributes));
    }
    return {};
  }

  void compare_fact(const Fact& fact, const TreeNode& left, const TreeNode& right, const std::string& path) {
    const std::string left_text = fact.shown(left.attributes()), right_text = fact.shown(right.attributes());
    if (left_text != right_text) say(path, fact.kind, left_text, right_text);
  }

  // Each side's first name of an inode must be the same. True: this inode was seen before, on both sides.
  bool compare_names(const TreeNode& left, const TreeNode& right, const std::string& path) {
    if (left.attributes().link_count <= 1 && right.attributes().link_count <= 1) return false;
    const auto left_name = left_names_.emplace(left.identity(), path);
    const auto right_name = right_names_.emplace(right.identity(), path);
    if (left_name.first->second != right_name.first->second) {
      say(path, "hard-link", printable(left_name.first->second), printable(right_name.first->second));
    }
    return !left_name.second && !right_name.second && left_name.first->second == right_name.first->second;
  }

  void say(const std::string& path, const char* kind, std::string left, std::string right) {
    progress_.clear();
    tell_({path, kind, std::move(left), std::move(right)});
  }

  void report(const std::string& path, const Result<void>& done) {
    if (!done.has_value()) complaints_.add(path, done.error());
  }

  const std::function<void(const Difference&)>& tell_;
  Progress& progress_;
  Complaints& complaints_;
  std::vector<std::byte> left_piece_, right_piece_;
  std::map<NodeIdentity, std::string> left_names_, right_names_;
};

}  // namespace

void compare(TreeNode& left, TreeNode& right, const std::function<void(const Difference&)>& tell, Progress& progress,
             Complaints& complaints) {
  Comparison(tell, progress, complaints).compare_nodes(left, right, ".");
}

}  // namespace casemate::volume_tool
