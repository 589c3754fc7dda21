// A shielded stream against OpenSSL's SSL_read and SSL_write on the same kind of socket. The other end is OpenSSL in a
// thread of its own in both cases.
//
//   build/release/unit/stream_bench [milliseconds per figure, default 500]
//
// GB/s of plaintext that our end receives and sends, in pieces of 1,400 and 16,384 bytes; AES-256-GCM on loopback.
// Alternating, median of five.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "crypto/self_signed.h"
#include "crypto/signature.h"
#include "keeper/handshakes.h"
#include "netshield/record/cipher_kernels.h"
#include "netshield/tcp_socket.h"

namespace {

using namespace casemate;
using Clock = std::chrono::steady_clock;

std::chrono::milliseconds g_time{500};
std::string g_certificate, g_key;

void require(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "stream_bench: %s\n", what);
  std::exit(1);
}

struct Sockets {
  UniqueFd ours, theirs;
};

Sockets connect() {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  Sockets sockets;
  sockets.theirs.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  require(bind(listener.get(), generic, size) == 0 && listen(listener.get(), 1) == 0 &&
              getsockname(listener.get(), generic, &size) == 0 && ::connect(sockets.theirs.get(), generic, size) == 0,
          "no connection");
  sockets.ours.reset(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const int one = 1;
  for (const int fd : {sockets.ours.get(), sockets.theirs.get()}) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  }
  return sockets;
}

SSL* new_ssl(bool is_server, int fd) {
  SSL_CTX* const context = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
  SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384");
  if (is_server) {
    BIO* const certificate = BIO_new_mem_buf(g_certificate.data(), static_cast<int>(g_certificate.size()));
    BIO* const key = BIO_new_mem_buf(g_key.data(), static_cast<int>(g_key.size()));
    require(SSL_CTX_use_certificate(context, PEM_read_bio_X509(certificate, nullptr, nullptr, nullptr)) == 1 &&
                SSL_CTX_use_PrivateKey(context, PEM_read_bio_PrivateKey(key, nullptr, nullptr, nullptr)) == 1,
            "no identity");
  }
  SSL* const ssl = SSL_new(context);
  SSL_set_fd(ssl, fd);
  require((is_server ? SSL_accept(ssl) : SSL_connect(ssl)) == 1, "handshake");
  return ssl;
}

// Our end, blocking.
class End {
 public:
  virtual ~End() = default;
  virtual long receive(std::uint8_t* bytes, std::size_t size) = 0;
  virtual long transmit(const std::uint8_t* bytes, std::size_t size) = 0;
};

class OpensslEnd : public End {
 public:
  explicit OpensslEnd(const UniqueFd& socket) : ssl_(new_ssl(true, socket.get())) {}
  long receive(std::uint8_t* bytes, std::size_t size) override { return SSL_read(ssl_, bytes, static_cast<int>(size)); }
  long transmit(const std::uint8_t* bytes, std::size_t size) override {
    return SSL_write(ssl_, bytes, static_cast<int>(size));
  }

 private:
  SSL* ssl_;
};

class ShieldedEnd : public End {
 public:
  explicit ShieldedEnd(const UniqueFd& socket) : fd_(socket.get()), stream_(std::make_unique<netshield::Stream>()) {
    static const auto handshakes = keeper::Handshakes::create().value();
    crypto::TlsEndpointSettings settings;
    settings.certificate_chain = g_certificate;
    settings.private_key = g_key;
    settings.peer_proof = crypto::TlsPeerProof::kNone;
    std::promise<bool> done;
    handshakes->start(
        {.socket = UniqueFd(dup(fd_)),
         .endpoint = crypto::TlsEndpoint::make(settings).value(),
         .side = crypto::TlsSide::kServer,
         .server_name = "",
         .stream = stream_.get(),
         .time_limit = std::chrono::seconds(10),
         .done = [&](const Result<keeper::HandshakeReport>& report) { done.set_value(report.has_value()); }});
    require(done.get_future().get(), "our handshake");
  }
  long receive(std::uint8_t* bytes, std::size_t size) override {
    return wait_while(
        [&] {
          return netshield::read_stream(call(), size, [&](std::size_t at, const std::uint8_t* from, std::size_t part) {
            std::memcpy(bytes + at, from, part);
            return 0L;
          });
        },
        POLLIN);
  }
  long transmit(const std::uint8_t* bytes, std::size_t size) override {
    return wait_while(
        [&] {
          return netshield::write_stream(call(), size, [&](std::size_t at, std::uint8_t* to, std::size_t part) {
            std::memcpy(to, bytes + at, part);
            return 0L;
          });
        },
        POLLOUT);
  }

 private:
  template <typename Call>
  long wait_while(Call act, short events) {
    for (;;) {
      const long result = act();
      if (result != -EAGAIN) return result;
      pollfd state = {fd_, events, 0};
      poll(&state, 1, -1);
    }
  }
  netshield::StreamCall call() const { return {*stream_, netshield::kKernelCipher, netshield::kTcpSocket, fd_}; }

  int fd_;
  std::unique_ptr<netshield::Stream> stream_;
};

enum class Flow { kToUs, kFromUs };

// Bytes per nanosecond.
template <typename OurEnd>
double rate(Flow flow, std::size_t size) {
  Sockets sockets = connect();
  std::atomic<bool> is_over{false};
  std::thread peer([&] {
    SSL* const ssl = new_ssl(false, sockets.theirs.get());
    std::vector<std::uint8_t> bytes(std::max<std::size_t>(size, 65'536));
    while (!is_over) {
      const int moved = flow == Flow::kToUs ? SSL_write(ssl, bytes.data(), static_cast<int>(size))
                                            : SSL_read(ssl, bytes.data(), static_cast<int>(bytes.size()));
      if (moved <= 0) break;
    }
    SSL_free(ssl);
  });
  double bytes_per_ns = 0;
  {
    OurEnd end(sockets.ours);
    std::vector<std::uint8_t> bytes(65'536);
    std::size_t moved = 0;
    const auto start = Clock::now();
    while (Clock::now() - start < g_time / 5) {
      const long step =
          flow == Flow::kToUs ? end.receive(bytes.data(), bytes.size()) : end.transmit(bytes.data(), size);
      require(step > 0, "a transfer failed");
      moved += static_cast<std::size_t>(step);
    }
    bytes_per_ns = static_cast<double>(moved) / std::chrono::duration<double, std::nano>(Clock::now() - start).count();
  }
  is_over = true;
  sockets.ours.reset();  // with unread data: the peer gets a reset, wherever it waits
  peer.join();
  return bytes_per_ns;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void measure(Flow flow, std::size_t size) {
  std::vector<double> shielded, openssl;
  for (int round = 0; round < 5; ++round) {
    shielded.push_back(rate<ShieldedEnd>(flow, size));
    openssl.push_back(rate<OpensslEnd>(flow, size));
  }
  std::printf("%s %5zu bytes: stream %.2f, OpenSSL %.2f GB/s; ratio %.2f\n",
              flow == Flow::kToUs ? "receive" : "send   ", size, median(shielded), median(openssl),
              median(shielded) / median(openssl));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) g_time = std::chrono::milliseconds(std::max(1, std::atoi(argv[1])));
  signal(SIGPIPE, SIG_IGN);
  const auto key = crypto::PrivateKey::generate(crypto::KeyKind::kEcP256).value();
  const std::int64_t now = std::time(nullptr);
  g_certificate =
      crypto::to_pem(crypto::self_signed_certificate(key, "bench", now - 60, now + 3600).value(), "CERTIFICATE");
  g_key = key.to_pem();
  for (const std::size_t size : {std::size_t{1400}, std::size_t{16384}}) {
    measure(Flow::kToUs, size);
    measure(Flow::kFromUs, size);
  }
  return 0;
}
