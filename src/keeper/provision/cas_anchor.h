// Volume positions at the CAS, over the connection that the configuration came by. The CAS makes each durable before it
// answers, and takes them from the newest activation of the volume only: whoever was replaced is told so here.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "crypto/tls_channel.h"
#include "keeper/file_anchor.h"
#include "protocol/provision.h"

namespace casemate::keeper {

// The connection, shared by the anchors of all volumes. Threads: any.
class PositionReporter {
 public:
  explicit PositionReporter(std::unique_ptr<crypto::TlsChannel> channel) : channel_(std::move(channel)) {}
  // Durable at the CAS when it returns. Errors: kSystem when the CAS is gone or took the volume from us; for good.
  Result<void> report(const std::string& volume, const volume::Position& position);

 private:
  std::mutex mutex_;
  std::unique_ptr<crypto::TlsChannel> channel_;
  std::string failure_;  // nothing is asked any more
};

// Threads: any.
class CasAnchor final : public NotingAnchor {
 public:
  // `known`: what the CAS granted; nothing for a new volume.
  CasAnchor(std::shared_ptr<PositionReporter> reporter, std::string volume, std::optional<volume::Position> known)
      : reporter_(std::move(reporter)), volume_(std::move(volume)), reported_(known), newest_(known) {}

  // Nothing to do: each volume has a key of its own from the CAS, so no other one opens.
  void bind(const std::array<std::byte, 16>&) override {}
  Result<std::optional<volume::Position>> load() override;
  Result<void> store(const volume::Position& position) override;
  Result<void> note(const volume::Position& position) override;
  Result<std::optional<volume::Position>> make_durable() override;

 private:
  std::shared_ptr<PositionReporter> reporter_;
  std::string volume_;
  std::mutex report_mutex_;  // one report at a time, taken first: positions must reach the CAS in their order
  std::mutex mutex_;         // guards the positions
  std::optional<volume::Position> reported_, newest_;
};

}  // namespace casemate::keeper
