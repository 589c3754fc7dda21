#include "keeper/keeper.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "crypto/secret.h"
#include "keeper/memory_limit.h"
#include "keeper/region_opening.h"
#include "keeper/server.h"

namespace casemate::keeper {
namespace {

constexpr std::uint64_t kSmallestCache = std::uint64_t{16} << 20;
constexpr std::uint32_t kOwnDescriptors = 256;  // stores, channels of few threads, descriptors on their way
constexpr rlim_t kWishedDescriptors = protocol::kSlotCapacity + 4096;

// Each cached node takes a descriptor, each channel another one. Raises the limit as far as allowed.
std::uint32_t maximum_nodes() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 512;
  rlimit wished = {std::max(limit.rlim_cur, kWishedDescriptors), std::max(limit.rlim_max, kWishedDescriptors)};
  if (setrlimit(RLIMIT_NOFILE, &wished) != 0) {
    wished = {limit.rlim_max, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &wished) != 0) wished.rlim_cur = limit.rlim_cur;
  }
  const auto descriptors = static_cast<std::uint32_t>(std::min<rlim_t>(wished.rlim_cur, kWishedDescriptors));
  const std::uint32_t own = std::max(kOwnDescriptors, descriptors / 8);
  return std::clamp<std::uint32_t>(descriptors - std::min(own, descriptors), 64, protocol::kSlotCapacity);
}

}  // namespace

Result<std::unique_ptr<Keeper>> Keeper::open(const RunDescription& description, Warn warn) {
  std::unique_ptr<Keeper> keeper(new Keeper(std::move(warn)));
  const std::uint64_t limit = memory_limit();
  auto regions = CASEMATE_TRY(open_regions(description.regions, keeper->clock_, limit, keeper->warn_));
  keeper->table_ = CASEMATE_TRY(MountTable::create(std::move(regions), keeper->clock_));
  PageCacheOptions options;
  options.maximum_bytes = description.cache_size != 0 ? description.cache_size : std::max(limit / 4, kSmallestCache);
  options.maximum_nodes = maximum_nodes();
  options.passed_prefixes = keeper->table_->passed_prefixes();
  keeper->cache_ = CASEMATE_TRY(PageCache::create(options));
  keeper->durability_ = std::make_unique<Durability>(*keeper->table_, keeper->warn_);
  keeper->service_ = std::make_unique<Service>(*keeper->table_, *keeper->cache_, *keeper->durability_, keeper->warn_);
  keeper->maintenance_ = std::make_unique<Maintenance>(*keeper->cache_, *keeper->durability_, keeper->warn_);
  return keeper;
}

Keeper::~Keeper() {
  if (!closed_ && cache_ != nullptr) (void)close();
}

Result<bool> Keeper::replace_file(const std::string& path, std::string_view contents) {
  for (const auto& region : table_->regions()) {
    if (region->kind != RegionKind::kFile || region->path != path) continue;
    // One byte more than it may have: a longer file is another one.
    std::vector<std::byte> known(contents.size() + 1);
    const std::size_t size = CASEMATE_TRY(region->volume->read(region->root, 0, known));
    const bool is_same = size == contents.size() && std::memcmp(known.data(), contents.data(), size) == 0;
    crypto::wipe(known);
    if (is_same) return false;
    if (auto replaced = service_->replace_file(*region, contents); !replaced) return replaced.error();
    return true;
  }
  return Error(ErrorCategory::kNotFound, "the service started without a file " + path, ENOENT);
}

void Keeper::serve(UniqueFd hello) {
  durability_->start();
  maintenance_->start();
  Server(*service_, std::move(hello)).run();
}

Result<void> Keeper::close() {
  closed_ = true;
  maintenance_->stop();
  durability_->stop();
  Result<void> first;
  const auto take = [&](const Result<void>& done, const std::string& what) {
    if (done) return;
    warn_(what + ": " + done.error().message());
    if (first) first = done.error();
  };
  service_->close();
  take(cache_->close(), "contents could not be written back");
  for (const auto& region : table_->regions()) {
    if (region->owned_volume != nullptr) take(region->owned_volume->close(), region->path);
  }
  return first;
}

}  // namespace casemate::keeper
