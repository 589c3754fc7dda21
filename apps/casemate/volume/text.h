// Bytes, times, modes and tags as people read them, and JSON that any bytes fit into.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "volume/byte_store.h"

namespace casemate::volume_tool {

inline constexpr std::size_t kPieceSize = std::size_t{1} << 20;  // bytes read, written or compared at a time

// Names are any bytes. What is no printable UTF-8 becomes \n, \\ or \xHH, so that a name can neither end a line nor
// drive a terminal.
std::string printable(std::string_view bytes);

bool is_utf8(std::string_view bytes);

// Adds `key`, and `key`_hex with the exact bytes where they are no UTF-8.
void add_bytes(nlohmann::ordered_json& object, const std::string& key, std::string_view bytes);

std::string to_hex(std::span<const std::byte> bytes);
std::optional<std::string> from_hex(std::string_view text);  // nullopt: odd count, or other characters

// "1.5 GiB"
std::string readable_size(std::uint64_t size);

// UTC: "2026-11-23 15:01:02" and "2026-11-23T15:01:02.123456789Z"
std::string readable_time(const volume::Timestamp& time);
std::string exact_time(const volume::Timestamp& time);

// "drwxr-xr-x"
std::string readable_mode(std::uint32_t mode);

// "EPOCH.SEQUENCE.TAG", which identifies one state of one volume.
std::string to_text(const volume::Position& position);
Result<volume::Position> parse_position(const std::string& text);

}  // namespace casemate::volume_tool
