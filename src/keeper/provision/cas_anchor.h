// A service's side of the connection to the CAS while it runs: positions of volumes go up, pushes come down. The CAS
// makes each position durable before it answers, and takes them from the newest activation of the volume only: whoever
// was replaced is told so here. When the connection breaks, syncs wait for the CAS to come back, and go on;
// docs/volumes.md has what `on_cas_loss` says about that.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "keeper/file_anchor.h"
#include "keeper/provision/cas_link.h"

namespace casemate::keeper {

// The connection, shared by the anchors of all volumes. Threads: any.
class PositionReporter {
 public:
  using Rejoin = std::function<Result<Rejoined>()>;
  using Warn = std::function<void(const std::string&)>;
  // Of a push that is not older than those before: all injected files.
  using Renew = std::function<void(const std::vector<protocol::GrantedFile>& files)>;
  struct Limits {
    // Once nobody is left whom a sync could keep waiting: how long the last ones try. Before, there is no limit.
    std::chrono::milliseconds longest_farewell{60'000};
    std::chrono::milliseconds first_pause{100}, longest_pause{2'000};
  };

  PositionReporter(std::unique_ptr<CasLink> link, Rejoin rejoin, Warn warn, Limits limits)
      : link_(std::move(link)), rejoin_(std::move(rejoin)), warn_(std::move(warn)), limits_(limits) {}
  ~PositionReporter();

  // Once, before others use this: from now on pushes are taken as they come, and a CAS that went away is looked for. On
  // a thread of its own, which ends with this; `renew` is called on it or on one that reports. `is_used`: whether the
  // application is still there.
  void watch(Renew renew, std::function<bool()> is_used);
  // No push is handed on after it.
  void stop_watching();
  // Durable at the CAS when it returns; with kInsecureContinue perhaps not. Errors: kSystem with EIO. For good when a
  // newer activation has the volume, the CAS refuses this one, or was rolled back; until it is back otherwise.
  Result<void> report(const std::string& volume, const volume::Position& position, protocol::VolumeCasLoss loss);

 private:
  using Clock = std::chrono::steady_clock;

  void watch_until_stopped();
  void take(Push push);
  void lose(const std::string& why);
  Result<void> rejoin_once();
  Result<void> wait_for_cas(const std::string& volume, protocol::VolumeCasLoss loss);

  std::mutex mutex_;
  std::unique_ptr<CasLink> link_;  // null: the CAS is away
  Rejoin rejoin_;
  Warn warn_;
  Limits limits_;
  std::map<std::string, protocol::VolumeTag> acknowledged_;
  std::set<std::string> stopped_;  // volumes whose session wants no second try
  Clock::time_point tried_at_;
  std::optional<Clock::time_point> left_at_;  // when nobody was left
  std::chrono::milliseconds pause_{0};
  std::string failure_;  // nothing is asked any more
  Renew renew_;
  std::function<bool()> is_used_ = [] { return true; };
  std::uint64_t generation_ = 0;  // of the newest push
  std::atomic<bool> stops_ = false;
  std::thread watcher_;
};

// Threads: any.
class CasAnchor final : public NotingAnchor {
 public:
  // `known`: what the CAS granted; nothing for a new volume.
  CasAnchor(std::shared_ptr<PositionReporter> reporter, std::string volume, std::optional<volume::Position> known,
            protocol::VolumeCasLoss loss)
      : reporter_(std::move(reporter)), volume_(std::move(volume)), loss_(loss), reported_(known), newest_(known) {}

  // Nothing to do: each volume has a key of its own from the CAS, so no other one opens.
  void bind(const std::array<std::byte, 16>&) override {}
  Result<std::optional<volume::Position>> load() override;
  Result<void> store(const volume::Position& position) override;
  Result<void> note(const volume::Position& position) override;
  Result<std::optional<volume::Position>> make_durable() override;

 private:
  std::shared_ptr<PositionReporter> reporter_;
  std::string volume_;
  protocol::VolumeCasLoss loss_;
  std::mutex report_mutex_;  // one report at a time, taken first: positions must reach the CAS in their order
  std::mutex mutex_;         // guards the positions
  std::optional<volume::Position> reported_, newest_;
};

}  // namespace casemate::keeper
