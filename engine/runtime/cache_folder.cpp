#include "runtime/cache_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>

#include "file/model_file.h"

namespace heed {
namespace fs = std::filesystem;

std::optional<fs::path> cache_folder() {
  if (const char* own = std::getenv("HEED_CACHE_DIR")) {
    return *own == '\0' ? std::nullopt : std::optional<fs::path>(own);
  }
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg != '\0') return fs::path(xdg) / "heed";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return fs::path(home) / ".cache" / "heed";
  return std::nullopt;
}

std::string cache_folder_problem() {
  const char* own = std::getenv("HEED_CACHE_DIR");
  if (own == nullptr || *own == '\0') return {};
  std::error_code error;
  fs::create_directories(own, error);
  if (!error && !fs::is_directory(own, error) && !error) error = std::make_error_code(std::errc::not_a_directory);
  if (!error && ::access(own, W_OK | X_OK) != 0) error = std::error_code(errno, std::generic_category());
  return error ? fmt::format("{}: {}", own, error.message()) : std::string();
}

std::uint64_t checksum_of(std::span<const std::byte> bytes) {
  Checksum checksum;
  checksum.update(bytes);
  return checksum.digest();
}

std::vector<std::byte> read_cache_file(std::string_view name, std::vector<std::string>& notes) {
  const std::optional<fs::path> folder = cache_folder();
  if (!folder) return {};
  std::ifstream file(*folder / name, std::ios::binary | std::ios::ate);
  if (!file) return {};
  const auto damaged = [&]() -> std::vector<std::byte> {
    notes.push_back(fmt::format("{}: damaged, ignored and made anew", (*folder / name).string()));
    return {};
  };
  const std::streamoff size = file.tellg();
  constexpr std::streamoff kLargest = std::streamoff{1} << 28;  // larger than any pipeline cache
  if (size < 8 || size > kLargest) return damaged();
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), size)) return damaged();
  std::uint64_t expected;
  std::memcpy(&expected, bytes.data(), 8);
  bytes.erase(bytes.begin(), bytes.begin() + 8);
  return checksum_of(bytes) == expected ? bytes : damaged();
}

fs::path temporary_beside(const fs::path& target) {
  static std::atomic<unsigned> count = 0;
  return fmt::format("{}.{}.{}", target.string(), ::getpid(), count++);
}

void write_cache_file(std::string_view name, std::span<const std::byte> content) {
  const std::optional<fs::path> folder = cache_folder();
  if (!folder) return;
  std::error_code ignored;
  fs::create_directories(*folder, ignored);
  const fs::path target = *folder / name;
  const fs::path temporary = temporary_beside(target);
  {
    std::ofstream file(temporary, std::ios::binary);
    const std::uint64_t checksum = checksum_of(content);
    file.write(reinterpret_cast<const char*>(&checksum), 8);
    file.write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
    if (!file) {
      file.close();
      fs::remove(temporary, ignored);
      return;
    }
  }
  fs::rename(temporary, target, ignored);
  if (ignored) fs::remove(temporary, ignored);
}

}  // namespace heed
