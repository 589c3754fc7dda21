#include "keeper/authenticated_tree.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

namespace casemate::keeper {
namespace {

constexpr std::uint64_t kLargestManifest = std::uint64_t{512} << 20;

UniqueFd open_below(int directory, const std::string& path) {
  open_how how = {};
  how.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  return UniqueFd(static_cast<int>(syscall(SYS_openat2, directory, path.c_str(), &how, sizeof(how))));
}

Result<std::string> read_text(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  struct stat status = {};
  if (!file.is_open() || fstat(file.get(), &status) != 0)
    return Error::from_errno(path + ": cannot open the manifest", errno);
  if (static_cast<std::uint64_t>(status.st_size) > kLargestManifest) {
    return Error(ErrorCategory::kFormat, path + ": the manifest exceeds 512 MiB");
  }
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + filled, text.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Error::from_errno(path + ": cannot read the manifest", got < 0 ? errno : EIO);
    filled += static_cast<std::size_t>(got);
  }
  return text;
}

}  // namespace

Result<std::unique_ptr<AuthenticatedTree>> AuthenticatedTree::open(const volume::Clock& clock,
                                                                   const std::string& source,
                                                                   const std::string& manifest_path,
                                                                   const std::string& sha256) {
  const std::string text = CASEMATE_TRY(read_text(manifest_path));
  if (manifest_digest(text) != sha256) {
    return Error(ErrorCategory::kFormat, manifest_path + ": its SHA-256 is " + manifest_digest(text) +
                                             ", the run description wants " + sha256 +
                                             "; if the change is yours, write the new one there");
  }
  auto entries = parse_manifest(text);
  if (!entries) return entries.error().with_context(manifest_path);
  UniqueFd directory(::open(source.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open()) return Error::from_errno(source + ": cannot open the directory", errno);
  const ManifestEntry& root = entries.value().front();
  const Options options = {.capacity = 0, .root_mode = root.mode & 07777, .root_uid = root.uid, .root_gid = root.gid};
  std::unique_ptr<AuthenticatedTree> tree(new AuthenticatedTree(clock, options, source, std::move(directory)));
  if (auto built = tree->build(entries.value()); !built) return built.error().with_context(manifest_path);
  return tree;
}

Result<void> AuthenticatedTree::build(const std::vector<ManifestEntry>& entries) {
  std::map<std::string, volume::InodeNumber, std::less<>> directories = {{"", volume::kRootInode}};
  for (const ManifestEntry& entry : entries) {
    if (entry.path == "/") continue;
    const std::size_t slash = entry.path.rfind('/');
    const auto parent = directories.find(std::string_view(entry.path).substr(0, slash));
    if (parent == directories.end()) {
      return Error(ErrorCategory::kFormat, entry.path + ": the manifest has no line for its directory");
    }
    const volume::NodeSpecification node = {entry.mode, entry.uid, entry.gid, 0, entry.target};
    const auto made = CASEMATE_TRY(create_node(parent->second, std::string_view(entry.path).substr(slash + 1), node));
    if (S_ISDIR(entry.mode)) directories.emplace(entry.path, made.inode);
    if (!S_ISREG(entry.mode)) continue;
    set_size(made.inode, entry.size);
    contents_.emplace(made.inode, Contents{entry.path.substr(1), entry.size, entry.chunks});
  }
  return {};
}

Result<std::size_t> AuthenticatedTree::read(volume::InodeNumber inode, std::uint64_t offset, std::span<std::byte> out) {
  const auto found = contents_.find(inode);
  if (found == contents_.end()) return Error(ErrorCategory::kSystem, "no regular file", EINVAL);
  const Contents& contents = found->second;
  if (offset >= contents.size) return std::size_t{0};
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), contents.size - offset));
  const UniqueFd file = open_below(directory_.get(), contents.path);
  if (!file.is_open()) {
    return Error(ErrorCategory::kFormat,
                 source_ + "/" + contents.path + ": the host lacks this authenticated file: " + std::strerror(errno),
                 EIO);
  }
  std::vector<std::byte> chunk;
  for (std::size_t done = 0; done < wanted;) {
    const std::uint64_t at = offset + done;
    const auto index = static_cast<std::size_t>(at / kManifestChunk);
    const std::uint64_t start = std::uint64_t{index} * kManifestChunk;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kManifestChunk, contents.size - start));
    const auto within = static_cast<std::size_t>(at - start);
    const std::size_t part = std::min(size - within, wanted - done);
    chunk.resize(size);
    if (auto verified = read_chunk(file.get(), contents, index, chunk); !verified) return verified.error();
    std::memcpy(out.data() + done, chunk.data() + within, part);
    done += part;
  }
  return wanted;
}

// Into memory of our own first: what was verified is what is used.
Result<void> AuthenticatedTree::read_chunk(int file, const Contents& contents, std::size_t index,
                                           std::span<std::byte> out) const {
  std::size_t filled = 0;
  while (filled < out.size()) {
    const auto at = static_cast<off_t>(std::uint64_t{index} * kManifestChunk + filled);
    const ssize_t got = pread(file, out.data() + filled, out.size() - filled, at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  if (filled == out.size() && crypto::sha256(out) == contents.chunks[index]) return {};
  return Error(ErrorCategory::kFormat,
               source_ + "/" + contents.path + ": differs from the manifest at offset " +
                   std::to_string(std::uint64_t{index} * kManifestChunk) + ": changed on the host since it was made",
               EIO);
}

}  // namespace casemate::keeper
