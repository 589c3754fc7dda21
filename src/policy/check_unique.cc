// Names and paths that must be unique. The parser calls it: everything behind it may look things up by name.
#include <map>

#include "policy/parse_internal.h"

namespace casemate::policy::internal {
namespace {

class Unique {
 public:
  Unique(std::string what, Diagnostics& out) : what_(std::move(what)), out_(out) {}

  void add(const std::string& name, Position where) {
    if (name.empty()) return;
    const auto [first, is_new] = places_.emplace(name, where);
    if (is_new) return;
    out_.error(where, what_ + " `" + name + "` is there twice, first in line " + std::to_string(first->second.line),
               "rename or remove one");
  }

 private:
  std::string what_;
  Diagnostics& out_;
  std::map<std::string, Position, std::less<>> places_;
};

template <typename T>
void check_names(const std::vector<T>& all, const char* what, Diagnostics& out) {
  Unique unique(what, out);
  for (const T& one : all) unique.add(one.name, one.where);
}

void check_paths(const Image& image, Diagnostics& out) {
  Unique roots("a volume or region at", out), injected("an injected file at", out), files("a file's digest for", out);
  for (const Mount& mount : image.mounts) roots.add(mount.path, mount.where);
  for (const Region& region : image.regions) roots.add(region.path, region.where);
  for (const InjectedFile& file : image.injected) injected.add(file.path, file.where);
  for (const FileDigest& file : image.files) files.add(file.path, file.where);
}

void check_rules(const Service& service, Diagnostics& out) {
  Unique servers("server rule", out), clients("client rule", out);
  for (const NetworkRule& rule : service.network.rules) {
    (rule.side == RuleSide::kServer ? servers : clients).add(rule.name, rule.where);
  }
}

}  // namespace

void check_unique(const Session& session, Diagnostics& out) {
  check_names(session.services, "service", out);
  check_names(session.images, "image", out);
  check_names(session.volumes, "volume", out);
  check_names(session.secrets, "secret", out);
  for (const Image& image : session.images) check_paths(image, out);
  for (const Service& service : session.services) check_rules(service, out);
}

}  // namespace casemate::policy::internal
