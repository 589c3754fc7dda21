// Images and volumes: every executable byte has a digest, a manifest or an encrypted volume behind it.
#include <algorithm>

#include "policy/check_internal.h"
#include "policy/suggestion.h"

namespace casemate::policy::internal {
namespace {

bool lies_in(std::string_view path, std::string_view root) {
  if (root == "/") return true;
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
}

enum class Cover { kNothing, kHost, kHostCode, kVerified, kEphemeral };

// What the longest matching rule makes of `path`.
Cover cover_of(const Image& image, std::string_view path) {
  const auto names = [&](const auto& one) { return one.path == path; };
  if (std::any_of(image.files.begin(), image.files.end(), names)) return Cover::kVerified;
  if (std::any_of(image.injected.begin(), image.injected.end(), names)) return Cover::kVerified;
  std::size_t longest = 0;
  Cover cover = Cover::kNothing;
  const auto consider = [&](std::string_view root, Cover candidate) {
    if (!lies_in(path, root) || root.size() < longest) return;
    longest = root.size();
    cover = candidate;
  };
  for (const Mount& mount : image.mounts) consider(mount.path, Cover::kVerified);
  for (const Region& region : image.regions) {
    const Cover host = region.insecure_host_code ? Cover::kHostCode : Cover::kHost;
    consider(region.path, region.kind == RegionKind::kAuthenticated ? Cover::kVerified
                          : region.kind == RegionKind::kHost        ? host
                                                                    : Cover::kEphemeral);
  }
  return cover;
}

void check_program(Checker& checker, const Service& service) {
  if (service.command.empty() || checker.session.version != Version::kCasemate1) return;
  const std::string& program = service.command.front();
  if (program.empty() || program.find("$$") != std::string::npos || program.find("@@") != std::string::npos) return;
  if (program.front() != '/') {
    checker.out.error(service.command_where, "the program of service `" + service.name + "` is no absolute path",
                      "write where it lies, as `command -v` prints it");
    return;
  }
  const Image* image = checker.session.find_image(service.image);
  const Cover cover = image == nullptr ? Cover::kNothing : cover_of(*image, program);
  if (cover == Cover::kVerified || cover == Cover::kHostCode) return;
  checker.out.error(
      service.command_where,
      "nothing says which bytes the program of service `" + service.name + "` has: the host could replace it",
      image == nullptr ? "name an image whose `files`, volumes or authenticated regions have it"
                       : "list its SHA-256 under `files` of image `" + image->name + "`, or put it into a volume");
}

void check_region(Checker& checker, const Image& image, const Region& region) {
  const bool is_host = region.kind == RegionKind::kHost;
  if (is_host && region.executable && !region.insecure_host_code) {
    checker.out.error(
        region.where,
        "region " + region.path + " of image `" + image.name + "` would run code that the host may replace",
        "remove `executable`, make it authenticated, or write insecure_host_code: allow");
  }
  if (region.insecure_host_code && !is_host) {
    checker.out.error(region.where, "`insecure_host_code` belongs to host regions only", "remove it");
  } else if (region.insecure_host_code) {
    checker.out.warning(region.where, "the host chooses what code runs from " + region.path,
                        "make it authenticated in production");
  }
  const bool is_authenticated = region.kind == RegionKind::kAuthenticated;
  if (is_authenticated && region.manifest.empty()) {
    checker.out.error(region.where, "authenticated region " + region.path + " names no manifest",
                      "add manifest: SHA-256, as `casemate volume manifest` prints it");
  }
  if (!is_authenticated && !region.manifest.empty()) {
    checker.out.error(region.where, "`manifest` belongs to authenticated regions only",
                      "remove it, or make the region authenticated");
  }
  if (is_host && region.path == "/") {
    checker.own_error(region.where, "the whole file system would be the host's", "name the few paths that are needed");
  }
}

}  // namespace

void check_images(Checker& checker) {
  for (const Image& image : checker.session.images) {
    for (const Mount& mount : image.mounts) {
      if (checker.session.find_volume(mount.volume) != nullptr) continue;
      const std::vector<std::string_view> volumes = names_of(checker.session.volumes);
      checker.out.error(mount.where,
                        "image `" + image.name + "` mounts volume `" + mount.volume + "`, which is not declared",
                        suggest(mount.volume, volumes));
    }
    for (const Region& region : image.regions) check_region(checker, image, region);
    const bool is_used = std::any_of(checker.session.services.begin(), checker.session.services.end(),
                                     [&](const Service& service) { return service.image == image.name; });
    if (!is_used) {
      checker.out.warning(image.where, "image `" + image.name + "` is used by no service",
                          "name it as image_name of one");
    }
  }
  for (const Service& service : checker.session.services) check_program(checker, service);
}

void check_volumes(Checker& checker) {
  for (const Volume& volume : checker.session.volumes) {
    const std::string who = "volume `" + volume.name + "`";
    if (volume.freshness_bound && volume.freshness != FreshnessMode::kBounded) {
      checker.out.error(volume.where, who + " has a `freshness_bound`, but its freshness is not bounded",
                        "write freshness: bounded");
    }
    if (volume.import && (volume.freshness || volume.on_cas_loss || !volume.root_tag.empty())) {
      checker.out.error(volume.where, who + " is imported: its freshness is the exporter's decision",
                        "remove freshness, on_cas_loss and root_tag");
    }
    if (volume.freshness == FreshnessMode::kLocal) {
      checker.out.warning(
          volume.where, who + " with freshness `local` detects accidents only: whoever owns the disk can roll it back",
          "use bounded or strict");
    }
    if (volume.on_cas_loss == OnCasLoss::kInsecureContinue) {
      checker.out.warning(volume.where, who + " goes on without CAS: what it acknowledges meanwhile may be rolled back",
                          "use wait or stop");
    }
  }
}

}  // namespace casemate::policy::internal
