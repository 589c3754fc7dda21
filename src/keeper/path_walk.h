// One resolution under way. Internal to the resolver: resolver.cc has the steps in volumes, path_walk_host.cc those in
// host regions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "keeper/resolver.h"

namespace casemate::keeper {

class PathWalk {
 public:
  PathWalk(const Resolver& resolver, const Position& root, const CallerCredentials& caller,
           const ResolveOptions& options, Resolution* out)
      : resolver_(resolver), root_(root), caller_(caller), options_(options), out_(out) {}

  int run(const Position& start, std::string_view path);
  bool asked_host() const { return asked_host_; }

 private:
  // The next component, without moving on.
  struct Component {
    std::string_view name;
    std::size_t end = 0;     // where the rest begins
    bool is_last = false;    // nothing but slashes behind
    bool has_slash = false;  // is_last, and slashes are behind
  };

  bool next(Component* component) const;
  int step(const Component& component, bool* done);
  int step_in_volume(const Component& component, bool* done);
  int step_in_host(const Component& component, bool* done);
  int step_up(const Component& component, bool* done);
  int enter(const Component& component, const MountPoint& point, bool* done);
  int arrive(const Component& component, Position position, bool* done);
  int miss(const Component& component, bool* done);
  int expand(const Component& component, const std::string& target);
  bool follows(const Component& component) const;
  int restart_at_root();

  // Host regions.
  int walk_host_quickly(std::string_view segment, bool is_whole, bool has_slash, bool* done);
  int walk_host_component(const Component& component, bool* done);
  int finish_passed(bool* done);
  void end_in_host(std::string path, bool has_slash, bool exists);
  std::string_view segment_without_up() const;

  const Resolver& resolver_;
  const Position& root_;
  const CallerCredentials& caller_;
  const ResolveOptions& options_;
  Resolution* out_;
  Position at_;
  std::string rest_;
  std::size_t offset_ = 0;  // in rest_
  int links_ = 0;
  bool asked_host_ = false;
};

inline constexpr int kMaximumLinks = 40;

}  // namespace casemate::keeper
