// One keeper: opens what a run description names, serves the application's members until the last one is gone, commits
// and closes everything.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "keeper/description.h"
#include "keeper/host_store.h"
#include "keeper/maintenance.h"
#include "keeper/mount_table.h"
#include "keeper/page_cache.h"
#include "keeper/service.h"

namespace casemate::keeper {

class Keeper {
 public:
  using Warn = std::function<void(const std::string&)>;

  // Mounts everything. Errors are for the owner: what, where, what to do. `warn` gets single lines at any later time,
  // from any thread.
  static Result<std::unique_ptr<Keeper>> open(const RunDescription& description, Warn warn);
  ~Keeper();

  // New contents for a file of the description, from any thread: Service::replace_file. False: it has them already.
  // Errors: kNotFound when the description has no such file; kSystem.
  Result<bool> replace_file(const std::string& path, std::string_view contents);
  // Serves until the application is gone.
  void serve(UniqueFd hello);
  // Brings everything into the volumes and closes them. The first error is returned, all have been told to `warn`.
  Result<void> close();

  Service& service() { return *service_; }
  PageCache& cache() { return *cache_; }

 private:
  explicit Keeper(Warn warn) : warn_(std::move(warn)) {}

  Warn warn_;
  SystemClock clock_;
  std::unique_ptr<MountTable> table_;
  std::unique_ptr<PageCache> cache_;
  std::unique_ptr<Durability> durability_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<Maintenance> maintenance_;
  bool closed_ = false;
};

}  // namespace casemate::keeper
