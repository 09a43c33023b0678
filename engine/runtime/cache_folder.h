#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// Where pipeline caches and tuner verdicts are kept: $HEED_CACHE_DIR, else $XDG_CACHE_HOME/heed, else ~/.cache/heed.
/// Nothing when none of them is known or HEED_CACHE_DIR is empty: then nothing is kept.
std::optional<std::filesystem::path> cache_folder();

/// Why nothing can be kept in the folder that HEED_CACHE_DIR names; empty when it can, or when none is named. Makes the
/// folder.
std::string cache_folder_problem();

/// What tells content from other content: cache files carry it, and verdicts hold for it.
std::uint64_t checksum_of(std::span<const std::byte> bytes);

/// The content of a cache file; empty when it is absent or its checksum is wrong (a cache is never trusted). Of a file
/// that is there and damaged `notes` receives a line.
std::vector<std::byte> read_cache_file(std::string_view name, std::vector<std::string>& notes);

/// A name beside `target` that no other thread or process writes to, for a file that replaces it when it is whole.
std::filesystem::path temporary_beside(const std::filesystem::path& target);

/// Writes a cache file through a temporary one. A cache that cannot be written costs time later, nothing else, so
/// failures are not errors.
void write_cache_file(std::string_view name, std::span<const std::byte> content);

}  // namespace heed
