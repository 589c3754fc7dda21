// The record layer of the network shield against a peer that may send anything, sealed or not.
//
// The input is a program of steps for the peer; after each the receiver takes what has come, in the pieces that the
// step says. What is sealed by the rules must arrive exactly, in order, until something else was sent; nothing may be
// delivered behind that, and nothing that was not sent.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "netshield/record/cipher_kernels.h"
#include "netshield/record/record_layer.h"

namespace {

using namespace casemate::netshield;
using Octets = std::vector<std::uint8_t>;

void require(bool good) {
  if (!good) std::abort();
}

class Input {
 public:
  Input(const std::uint8_t* bytes, std::size_t size) : bytes_(bytes), left_(size) {}
  bool is_over() const { return left_ == 0; }
  std::uint8_t octet() {
    if (left_ == 0) return 0;
    --left_;
    return *bytes_++;
  }
  Octets octets(std::size_t size) {
    size = std::min(size, left_);
    Octets taken(bytes_, bytes_ + size);
    bytes_ += size;
    left_ -= size;
    return taken;
  }

 private:
  const std::uint8_t* bytes_;
  std::size_t left_;
};

struct Game {
  Connection peer, receiver;
  Octets pending, sent, delivered;  // sent: data by the rules, before anything else was sent
  bool is_honest = true;

  explicit Game(std::uint8_t kind) {
    TrafficSecrets secrets = {};
    secrets.suite = (kind & 1) != 0 ? Suite::kAes128GcmSha256 : Suite::kAes256GcmSha384;
    secrets.side = (kind & 2) != 0 ? Side::kClient : Side::kServer;
    begin(receiver, kKernelCipher, secrets);
    secrets.side = secrets.side == Side::kClient ? Side::kServer : Side::kClient;
    begin(peer, kKernelCipher, secrets);
  }

  // Any inner plaintext, as a peer with the keys could seal it.
  void send_forged(const Octets& inner) {
    Octets record(kHeaderSize);
    record.insert(record.end(), inner.begin(), inner.end());
    record.resize(record.size() + kTagSize);
    const std::size_t size = inner.size() + kTagSize;
    record[0] = 23, record[1] = record[2] = 3;
    record[3] = static_cast<std::uint8_t>(size >> 8), record[4] = static_cast<std::uint8_t>(size);
    std::uint8_t nonce[kNonceSize];
    std::memcpy(nonce, peer.write.iv, sizeof(nonce));
    for (unsigned i = 0; i < 8; ++i) {
      nonce[kNonceSize - 1 - i] =
          static_cast<std::uint8_t>(nonce[kNonceSize - 1 - i] ^ (peer.write.sequence >> (8 * i)));
    }
    ++peer.write.sequence;
    kKernelCipher.seal(peer.write.key, nonce, record.data(), kHeaderSize, record.data() + kHeaderSize, inner.size(),
                       record.data() + kHeaderSize + inner.size());
    pending.insert(pending.end(), record.begin(), record.end());
    // A key update that was taken changes the receiver's keys; this peer stays with its own.
    is_honest = false;
  }

  void send_control() {
    std::uint8_t record[kLargestControlRecord];
    while (control_is_owed(peer)) {
      const SealResult sealed = seal_control(peer, kKernelCipher, record);
      require(sealed.outcome == SealOutcome::kSealed && sealed.record_size <= sizeof(record));
      pending.insert(pending.end(), record, record + sealed.record_size);
    }
  }

  void send_data(const Octets& data) {
    if (data.empty()) return;
    send_control();
    Octets record(kHeaderSize);
    record.insert(record.end(), data.begin(), data.end());
    record.resize(data.size() + kRecordOverhead);
    const SealResult sealed = seal_data(peer, kKernelCipher, record.data(), data.size());
    if (sealed.outcome != SealOutcome::kSealed) return;
    require(sealed.record_size == record.size());
    pending.insert(pending.end(), record.begin(), record.end());
    if (is_honest) sent.insert(sent.end(), data.begin(), data.end());
  }

  void receive(std::size_t limit) {
    for (;;) {
      const std::size_t size = std::min(limit, pending.size());
      Octets part(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(size));  // its end is guarded
      const OpenResult result = open_record(receiver, kKernelCipher, part.data(), size);
      require(result.consumed <= size);
      if (result.outcome == OpenOutcome::kNeedMore) {
        require(result.needed > size && result.needed <= kLargestRecord);
        if (limit >= pending.size()) return;
        limit = std::max(result.needed, limit);
        if (limit > pending.size()) return;
        continue;
      }
      if (result.outcome == OpenOutcome::kData) {
        require(result.data_size > 0 && kHeaderSize + result.data_size <= result.consumed);
        const auto data = part.begin() + kHeaderSize;
        delivered.insert(delivered.end(), data, data + static_cast<std::ptrdiff_t>(result.data_size));
      }
      if (result.consumed == 0) return;
      pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(result.consumed));
    }
  }

  // What the receiver owes goes back; the peer must be able to read it.
  void answer() {
    std::uint8_t record[kLargestControlRecord];
    while (control_is_owed(receiver)) {
      const SealResult sealed = seal_control(receiver, kKernelCipher, record);
      require(sealed.outcome == SealOutcome::kSealed);
      const OpenResult result = open_record(peer, kKernelCipher, record, sealed.record_size);
      require(result.consumed == sealed.record_size || peer.read.state != DirectionState::kOpen);
    }
  }

  void check() const {
    const bool is_prefix =
        delivered.size() >= sent.size() || std::equal(delivered.begin(), delivered.end(), sent.begin());
    require(is_prefix);
    if (!is_honest) return;
    require(delivered == sent || pending.size() != 0 || receiver.read.state != DirectionState::kOpen);
    require(receiver.read.state != DirectionState::kFailed);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Game game(input.octet());
  while (!input.is_over()) {
    const std::uint8_t step = input.octet(), amount = input.octet();
    switch (step % 6) {
      case 0:
        game.send_data(input.octets(amount));
        break;
      case 1:
        want_key_update(game.peer);
        game.send_control();
        break;
      case 2:
        game.send_forged(input.octets(amount));
        break;
      case 3: {
        const Octets raw = input.octets(amount);
        game.pending.insert(game.pending.end(), raw.begin(), raw.end());
        if (!raw.empty()) game.is_honest = false;
        break;
      }
      case 4:
        game.receive(amount == 0 ? ~std::size_t{0} : amount);
        break;
      default:
        game.answer();
    }
    // 32 records without data in a row are refused by design.
    if (game.receiver.records_without_data >= kMostRecordsWithoutData) game.is_honest = false;
    game.check();
  }
  game.receive(~std::size_t{0});
  if (game.receiver.read.state == DirectionState::kFailed && game.receiver.failure == Alert::kUnexpectedMessage &&
      game.receiver.records_without_data > kMostRecordsWithoutData) {
    game.is_honest = false;
  }
  game.check();
  return 0;
}
