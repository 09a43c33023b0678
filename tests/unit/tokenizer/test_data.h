#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

namespace heed::test {

/// The content of a file; nothing when it is not there.
inline std::optional<std::string> read_if_there(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

inline std::filesystem::path source_path(const std::string& inside) {
  return std::filesystem::path(HEED_SOURCE_DIR) / inside;
}

/// In the folder of data that is shared between projects: $HEED_SHARED, or `shared` beside the sources.
inline std::filesystem::path shared_path(const std::string& inside) {
  const char* folder = std::getenv("HEED_SHARED");
  return (folder != nullptr ? std::filesystem::path(folder) : source_path("../shared")) / inside;
}

}  // namespace heed::test
