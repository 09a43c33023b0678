#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace heed {

/// Throws Error, before anything is made that could not be kept, when `output` lies in no folder, or is one of the
/// files that are read, by whatever name.
void check_output_path(const std::filesystem::path& output, const std::vector<std::filesystem::path>& read = {});

/// A file in the making: bytes go to a temporary file in the folder of `path`, and commit() puts it in the place of
/// `path` at one stroke. Without commit() the temporary file is removed and `path` stays as it was. Its mode is 0666
/// less the umask. Every method throws Error with the system's reason when it fails. For one thread.
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// Appends. Small pieces are gathered, large ones pass straight through.
  void append(std::span<const std::byte> bytes);
  /// Overwrites bytes that were appended before.
  void overwrite(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Bytes appended so far.
  std::uint64_t position() const { return position_; }
  /// Flushes to the disk and renames. Nothing may be appended afterwards.
  void commit();

 private:
  void flush();
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  [[noreturn]] void fail(int error, std::uint64_t offset) const;

  std::filesystem::path target_;
  std::filesystem::path temporary_;  // empty once renamed
  int descriptor_ = -1;
  std::uint64_t position_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace heed
