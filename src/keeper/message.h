// Requests and replies of src/protocol/shield.h as bytes.
//
// What a hostile member can do here -> what we answer
//   send any bytes -> parse_request() accepts only what is consistent in itself; all sizes are checked against what
//   came
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "keeper/credentials.h"
#include "protocol/shield.h"

namespace casemate::keeper {

// Points into the message, which must live as long.
struct ParsedRequest {
  protocol::Request header = {};
  std::array<std::uint32_t, 256> group_storage;
  std::uint32_t group_count = 0;
  std::string_view root_path;
  std::array<std::string_view, 2> base_paths, paths;
  std::span<const std::byte> data;

  CallerCredentials caller() const {
    return {header.credentials.uid, header.credentials.gid, header.credentials.umask,
            std::span(group_storage).first(group_count)};
  }
};

// False: not a request of this version.
bool parse_request(std::span<const std::byte> message, ParsedRequest* out);

// An answer under construction.
struct Answer {
  protocol::Reply header = {};
  std::string host_paths[2];
  std::vector<std::byte> data;
  std::vector<UniqueFd> owned_descriptors;  // sent and then closed here
  std::vector<int> lent_descriptors;        // sent only

  static Answer failure(int code) {
    Answer answer;
    answer.header.result = -std::int64_t{code};
    return answer;
  }
};

// Fills in sizes and counts. Returns the size; 0 when it does not fit.
std::size_t encode_answer(Answer& answer, std::span<std::byte> out);

// Waits for a message. nullopt: the other end is gone. `out` has room for kMessageCapacity.
std::optional<std::size_t> receive_message(int channel, std::span<std::byte> out);
// A message that is there already. nullopt also when the other end is gone.
std::optional<std::size_t> find_message(int channel, std::span<std::byte> out);
// False: the other end is gone.
bool send_answer(int channel, std::span<const std::byte> message, const Answer& answer);

}  // namespace casemate::keeper
