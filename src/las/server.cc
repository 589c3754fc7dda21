#include "las/server.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>
#include <thread>

namespace casemate::las {
namespace {

constexpr unsigned kLinesPerSecond = 10;

bool is_passing(int code) {
  return code == EINTR || code == EAGAIN || code == ECONNABORTED || code == EMFILE || code == ENFILE ||
         code == ENOBUFS || code == ENOMEM;
}

std::string line_of(const Ending& ending) {
  std::string line = "las: caller pid " + std::to_string(ending.pid) + " uid " + std::to_string(ending.uid) + ": " +
                     describe(ending.result);
  if (ending.reason != protocol::LasRefusal::kNone) line += std::string(": ") + describe(ending.reason);
  if (!ending.detail.empty()) line += ": " + ending.detail;
  return line;
}

}  // namespace

void LimitedLog::write(const std::string& line) {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (now - second_ >= std::chrono::seconds(1)) {
    if (left_out_ != 0) log_("las: " + std::to_string(left_out_) + " more lines like these");
    second_ = now;
    written_ = left_out_ = 0;
  }
  if (written_++ < kLinesPerSecond) {
    log_(line);
  } else {
    ++left_out_;
  }
}

Server::~Server() { end_all(); }

Result<void> Server::run(int stop) {
  for (;;) {
    pollfd states[2] = {{listener_.get(), POLLIN, 0}, {stop, POLLIN, 0}};
    if (poll(states, 2, -1) < 0 && errno != EINTR) return Error::from_errno("cannot wait for callers", errno);
    if (states[1].revents != 0) break;
    if (states[0].revents == 0) continue;
    UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (socket.is_open()) {
      take_seat(std::move(socket));
    } else if (!is_passing(errno)) {
      return Error::from_errno("cannot accept callers", errno);
    } else if (errno == EMFILE || errno == ENFILE) {
      const std::lock_guard lock(mutex_);
      free_a_seat();
    }
  }
  end_all();
  return {};
}

void Server::take_seat(UniqueFd socket) {
  const uid_t user = peer_user(socket.get()).value_or(static_cast<uid_t>(-1));
  std::unique_lock lock(mutex_);
  while (seats_.size() >= limits_.seats) {
    free_a_seat();
    changed_.wait(lock);
  }
  const auto seat = seats_.insert(seats_.end(), Seat{std::move(socket), user, false});
  try {
    std::thread([this, seat] { serve(seat); }).detach();
  } catch (const std::system_error&) {
    seats_.erase(seat);  // no thread to be had: the caller sees the connection end, and may try again
  }
}

// Requires: mutex_ is held. Ends the oldest conversation of the user who has most.
void Server::free_a_seat() {
  std::map<uid_t, std::size_t> counts;
  for (const Seat& seat : seats_) counts[seat.user] += seat.given_up ? 0 : 1;
  const auto most = std::ranges::max_element(counts, {}, &std::pair<const uid_t, std::size_t>::second);
  if (most == counts.end() || most->second == 0) return;
  const auto oldest =
      std::ranges::find_if(seats_, [&](const Seat& seat) { return seat.user == most->first && !seat.given_up; });
  oldest->given_up = true;
  shutdown(oldest->socket.get(), SHUT_RDWR);
}

void Server::serve(Seats::iterator seat) {
  const Ending ending = converse(service_, seat->socket.get());
  if (ending.result != protocol::LasResult::kOk) log_.write(line_of(ending));
  const std::lock_guard lock(mutex_);
  seats_.erase(seat);
  changed_.notify_all();
}

void Server::end_all() {
  std::unique_lock lock(mutex_);
  for (const Seat& seat : seats_) shutdown(seat.socket.get(), SHUT_RDWR);
  changed_.wait(lock, [this] { return seats_.empty(); });
}

}  // namespace casemate::las
