// The other end of a connection, by OpenSSL alone: nothing of ours but a wish list.
#pragma once

#include <memory>
#include <string>

#include "crypto/bytes.h"

namespace casemate::crypto::testing {

struct OpensslPeerSettings {
  bool is_server = false;
  std::string certificate, key, anchors;  // PEM; anchors empty: takes any peer
  std::string suites;                     // empty: the library's
  std::string older_ciphers;              // with a largest version below 1.3
  int largest_version = 0;                // 0: the library's
  std::string server_name;
  std::string protocol;  // ALPN, one
  int ticket_count = 2;
  std::size_t padding = 0;  // records are padded to multiples of it
};

class OpensslPeer {
 public:
  explicit OpensslPeer(const OpensslPeerSettings& settings);
  ~OpensslPeer();

  // Each takes what arrived (may be empty) and gives what goes out.
  Bytes shake_hands(ByteView in);
  bool is_connected() const;
  Bytes write(ByteView data);
  // Data of all records in `in`; what must be answered is added to `out`.
  Bytes read(ByteView in, Bytes& out);
  Bytes update_key(bool asks_for_peers);
  Bytes shut_down();

  bool has_end() const;              // the peer's close_notify came
  const std::string& error() const;  // OpenSSL's reason, when something failed
  bool is_resumed() const;
  std::string protocol() const;
  // A client's ticket, for the next client's settings; empty: none.
  void take_session_from(OpensslPeer& other);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace casemate::crypto::testing
