#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace heed::convert {

inline constexpr std::uint64_t kMaxConfigBytes = 16 << 20;  // of a config.json

/// Parses JSON from a file. Throws Error beginning with `name` for text that is not JSON, a key that occurs twice in
/// one object, and nesting beyond 64 levels.
nlohmann::json parse_json(const std::string& name, std::string_view text);

/// The same from a file of at most `limit` bytes. Throws Error too when it cannot be read, or is larger.
nlohmann::json read_json(const std::filesystem::path& path, std::uint64_t limit);
/// The same, or null when there is no such file.
nlohmann::json read_json_if_any(const std::filesystem::path& path, std::uint64_t limit);

/// The value as an integer of 0 or more; nothing when it is another.
std::optional<std::uint64_t> natural(const nlohmann::json& value);

/// A value fit for a message: ASCII, on one line, cut when long.
std::string shown(const nlohmann::json& value);

}  // namespace heed::convert
