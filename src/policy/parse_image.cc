// images[] and volumes[]: what a service's file system consists of.
#include <algorithm>

#include "policy/parse_internal.h"

namespace casemate::policy::internal {
namespace {

constexpr std::size_t kDigestSize = 32, kTagSize = 16;

constexpr Field<Mount> kMountFields[] = {
    {"name",
     [](Mount& mount, const Node& node, Reader& reader) { mount.volume = reader.local_name(node, "a mount's `name`"); },
     Presence::kRequired},
    {"path", [](Mount& mount, const Node& node, Reader& reader) { mount.path = reader.path(node, "`path`"); },
     Presence::kRequired},
};

Mount read_mount(Reader& reader, const Node& node) {
  Mount mount;
  mount.where = node.where;
  read_mapping<Mount>(mount, node, "a mount", kMountFields, reader);
  return mount;
}

void read_file_mode(InjectedFile& file, const Node& node, Reader& reader) {
  const bool good = node.kind == NodeKind::kScalar && node.quoting == Quoting::kQuoted && node.text.size() >= 3 &&
                    node.text.size() <= 4 && node.text.find_first_not_of("01234567") == std::string::npos &&
                    (node.text.size() == 3 || node.text.front() == '0');
  if (good) {
    file.mode = static_cast<unsigned>(std::stoul(node.text, nullptr, 8));
    return;
  }
  reader.wrong(node, "`mode`", "permissions as octal digits in quotes", "write \"0400\"");
}

constexpr Field<InjectedFile> kInjectedFields[] = {
    {"path", [](InjectedFile& file, const Node& node, Reader& reader) { file.path = reader.path(node, "`path`"); },
     Presence::kRequired},
    {"content",
     [](InjectedFile& file, const Node& node, Reader& reader) {
       file.content = reader.template_text(node, "`content`");
     },
     Presence::kRequired},
    {"mode", read_file_mode},
};

InjectedFile read_injected(Reader& reader, const Node& node) {
  InjectedFile file;
  file.where = node.where;
  read_mapping<InjectedFile>(file, node, "an injected file", kInjectedFields, reader);
  return file;
}

constexpr Choice<RegionKind> kRegionKinds[] = {
    {"host", RegionKind::kHost},
    {"ephemeral", RegionKind::kEphemeral},
    {"authenticated", RegionKind::kAuthenticated},
};

void read_insecure_host_code(Region& region, const Node& node, Reader& reader) {
  constexpr std::string_view kWords[] = {"allow"};
  reader.choose(node, "`insecure_host_code`", kWords);
  region.insecure_host_code = true;
}

constexpr Field<Region> kRegionFields[] = {
    {"path", [](Region& region, const Node& node, Reader& reader) { region.path = reader.path(node, "`path`"); },
     Presence::kRequired},
    {"protection",
     [](Region& region, const Node& node, Reader& reader) {
       region.kind = reader.choice<RegionKind>(node, "`protection`", kRegionKinds);
     },
     Presence::kRequired},
    {"manifest", [](Region& region, const Node& node,
                    Reader& reader) { region.manifest = reader.hex(node, "`manifest`", kDigestSize); }},
    {"executable", [](Region& region, const Node& node,
                      Reader& reader) { region.executable = reader.boolean(node, "`executable`"); }},
    {"insecure_host_code", read_insecure_host_code},
};

Region read_region(Reader& reader, const Node& node) {
  Region region;
  region.where = node.where;
  read_mapping<Region>(region, node, "a region", kRegionFields, reader);
  return region;
}

void read_files(Image& image, const Node& node, Reader& reader) {
  if (!reader.expect_mapping(node, "`files`")) return;
  for (const Entry& entry : node.entries) {
    FileDigest file;
    file.where = entry.key.where;
    file.path = reader.path(entry.key, "a path in `files`");
    file.sha256 = reader.hex(entry.value, "the SHA-256 of a file", kDigestSize);
    image.files.push_back(std::move(file));
  }
}

template <const char* kName>
void refuse_legacy(Image&, const Node& node, Reader& reader) {
  reader.out.error(node.where, "`" + std::string(kName) + "` in an image belongs to SCONE's version 0.1",
                   "measurements stand under `attestation` of a service");
}
constexpr char kMeasurements[] = "mrenclaves", kTags[] = "tags";

constexpr Field<Image> kImageFields[] = {
    {"name",
     [](Image& image, const Node& node, Reader& reader) { image.name = reader.text(node, "an image's `name`"); },
     Presence::kRequired},
    {"volumes", [](Image& image, const Node& node,
                   Reader& reader) { image.mounts = reader.list<Mount>(node, "`volumes`", "mounts", read_mount); }},
    {"injection_files",
     [](Image& image, const Node& node, Reader& reader) {
       image.injected = reader.list<InjectedFile>(node, "`injection_files`", "files", read_injected);
     }},
    {"regions", [](Image& image, const Node& node,
                   Reader& reader) { image.regions = reader.list<Region>(node, "`regions`", "regions", read_region); }},
    {"files", read_files},
    {"mrenclaves", refuse_legacy<kMeasurements>},
    {"tags", refuse_legacy<kTags>},
};

// ---- volumes --------------------------------------------------------------------------------------------------------

constexpr Choice<FreshnessMode> kFreshness[] = {
    {"strict", FreshnessMode::kStrict},
    {"bounded", FreshnessMode::kBounded},
    {"local", FreshnessMode::kLocal},
};
constexpr Choice<OnCasLoss> kOnCasLoss[] = {
    {"wait", OnCasLoss::kWait},
    {"stop", OnCasLoss::kStop},
    {"insecure-continue", OnCasLoss::kInsecureContinue},
};

constexpr Field<Import> kVolumeImportFields[] = {
    {"session",
     [](Import& import, const Node& node, Reader& reader) {
       import.session = reader.absolute_session(node, "`session`");
     },
     Presence::kRequired},
    {"volume",
     [](Import& import, const Node& node, Reader& reader) { import.name = reader.local_name(node, "`volume`"); },
     Presence::kRequired},
};

void read_volume_import(Volume& volume, const Node& node, Reader& reader) {
  Import import;
  import.where = node.where;
  read_mapping<Import>(import, node, "`import`", kVolumeImportFields, reader);
  volume.import = import;
}

constexpr Field<Volume> kVolumeFields[] = {
    {"name",
     [](Volume& volume, const Node& node, Reader& reader) {
       volume.name = reader.local_name(node, "a volume's `name`");
     },
     Presence::kRequired},
    {"export", [](Volume& volume, const Node& node, Reader& reader) { volume.exports = read_exports(reader, node); }},
    {"import", read_volume_import},
    {"freshness",
     [](Volume& volume, const Node& node, Reader& reader) {
       volume.freshness = reader.choice<FreshnessMode>(node, "`freshness`", kFreshness);
     }},
    {"freshness_bound",
     [](Volume& volume, const Node& node, Reader& reader) {
       volume.freshness_bound = reader.duration(node, "`freshness_bound`", Reader::Unit::kMilliseconds);
     }},
    {"on_cas_loss",
     [](Volume& volume, const Node& node, Reader& reader) {
       volume.on_cas_loss = reader.choice<OnCasLoss>(node, "`on_cas_loss`", kOnCasLoss);
     }},
    {"root_tag", [](Volume& volume, const Node& node,
                    Reader& reader) { volume.root_tag = reader.hex(node, "`root_tag`", kDigestSize); }},
    {"fspf_tag",
     [](Volume& volume, const Node& node, Reader& reader) {
       volume.file_protection.where = node.where;
       volume.file_protection.tag = reader.hex(node, "`fspf_tag`", kTagSize);
     }},
    {"fspf_key",
     [](Volume& volume, const Node& node, Reader& reader) {
       volume.file_protection.where = node.where;
       volume.file_protection.key = std::make_shared<const SecretText>(reader.hex(node, "`fspf_key`", kDigestSize));
     }},
};

}  // namespace

Image read_image(Reader& reader, const Node& node) {
  Image image;
  image.where = node.where;
  read_mapping<Image>(image, node, "an image", kImageFields, reader);
  return image;
}

Volume read_volume(Reader& reader, const Node& node) {
  Volume volume;
  volume.where = node.where;
  read_mapping<Volume>(volume, node, "a volume", kVolumeFields, reader);
  return volume;
}

}  // namespace casemate::policy::internal
