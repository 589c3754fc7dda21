// TLS 1.3 (RFC 8446) over a connected stream socket, for peers that prove what they are by evidence and not by
// certificate authorities: the server shows a key, the client learns it, and both can export what binds evidence to
// this very channel. No 0-RTT, no resumption, no older versions, no client certificates.
//
// What a hostile peer or network can do here -> what we answer
//   stand in the middle      -> two channels, whose exported values differ: evidence of one says nothing on the other
//   send slowly or never     -> every call has the channel's time limit, and fails when it is over
//   send garbage, cut, reset -> kSystem; nothing is read after that
//   renegotiate, resume      -> not offered
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "crypto/bytes.h"
#include "crypto/hash.h"
#include "crypto/signature.h"

namespace casemate::crypto {

// A server's key with the self-signed certificate that TLS wants around it. Threads: immutable; copies share.
class TlsIdentity {
 public:
  // P-256 keys only. Errors: kUsage, kSystem.
  static Result<TlsIdentity> make(const PrivateKey& key);
  // SHA-256 of the key's SubjectPublicKeyInfo: what clients pin.
  const Sha256Digest& key_id() const { return key_id_; }

 private:
  friend class TlsChannel;
  struct Context;
  TlsIdentity(std::shared_ptr<Context> context, const Sha256Digest& key_id)
      : context_(std::move(context)), key_id_(key_id) {}
  std::shared_ptr<Context> context_;
  Sha256Digest key_id_;
};

// Threads: one at a time. Blocks up to the time limit in every call. Requires: the process ignores SIGPIPE.
class TlsChannel {
 public:
  // Accepts any key of the server's: compare server_key_id() with a pin, or bind evidence to it.
  static Result<TlsChannel> connect(UniqueFd socket, std::chrono::milliseconds time_limit);
  static Result<TlsChannel> accept(const TlsIdentity& identity, UniqueFd socket, std::chrono::milliseconds time_limit);

  TlsChannel(TlsChannel&&) noexcept;
  TlsChannel& operator=(TlsChannel&&) noexcept;
  ~TlsChannel();

  // Waits for `size` bytes. Errors: kNotFound when the peer ended the channel before the first of them; kSystem with
  // ETIMEDOUT; kSystem.
  Result<void> read(std::span<std::byte> out);
  Result<void> write(ByteView bytes);
  // For calls from now on; 0: wait for ever. A read that ran out of time leaves the channel unusable.
  void set_time_limit(std::chrono::milliseconds time_limit);
  // Gives memory back until the next message: for channels that carry nothing for long.
  void release_buffers();
  // Bytes are there already, decrypted: poll() on the socket would not tell.
  bool has_pending() const;
  int descriptor() const;

  // RFC 8446, 7.5: 32 bytes that both ends of this channel know and nobody else can make.
  Result<Sha256Digest> export_binding(std::string_view label, ByteView context) const;
  // SHA-256 of the SubjectPublicKeyInfo of the server's key, at both ends.
  const Sha256Digest& server_key_id() const { return server_key_id_; }

 private:
  struct State;
  explicit TlsChannel(std::unique_ptr<State> state);
  Result<void> shake_hands(bool is_server);
  Error failure(const char* what, int result) const;
  std::unique_ptr<State> state_;
  Sha256Digest server_key_id_{};
};

// Frames of a conversation over a channel: u32 size, little-endian, then the message. Errors as read(); kFormat when
// the peer announces more than `limit`.
Result<Bytes> read_frame(TlsChannel& channel, std::size_t limit);
Result<void> write_frame(TlsChannel& channel, ByteView message);

}  // namespace casemate::crypto
