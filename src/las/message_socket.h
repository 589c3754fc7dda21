// Messages of fixed size on a SOCK_SEQPACKET socket, with a time limit and with their sender's process id.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <span>

#include "crypto/bytes.h"

namespace casemate::las {

class MessageSocket {
 public:
  MessageSocket(int socket, std::chrono::steady_clock::time_point deadline) : socket_(socket), deadline_(deadline) {}

  enum class Received { kComplete, kWrongSize, kUnwanted, kTooLate, kClosed };
  struct Receipt {
    Received how = Received::kClosed;
    pid_t sender = 0;
  };
  // One message of exactly `message.size()` bytes. kUnwanted: it brought descriptors along.
  Receipt receive(std::span<std::byte> message) const;

  // False when the caller is gone, or does not read.
  bool send(crypto::ByteView header, crypto::ByteView payload) const;

 private:
  bool wait_for(short events) const;

  int socket_;
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace casemate::las
