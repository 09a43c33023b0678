#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace heed::convert {

/// Whether there is a file or folder of this path. What cannot be looked at is not there here, and reported when it is
/// opened.
bool file_exists(const std::filesystem::path& path);

/// A file being converted, read in pieces at given offsets, so that nothing depends on what the file claims about
/// itself and models larger than memory can be read. Immutable, so any thread may call it; shared by the tensors that
/// read from it later.
class SourceFile {
 public:
  /// Throws Error when the path cannot be opened or is not a regular file.
  static std::shared_ptr<const SourceFile> open(const std::filesystem::path& path);
  /// The same over bytes in memory (tests, fuzzers); `name` stands in messages.
  static std::shared_ptr<const SourceFile> from_bytes(std::string name, std::string bytes);
  ~SourceFile();
  SourceFile(const SourceFile&) = delete;
  SourceFile& operator=(const SourceFile&) = delete;

  /// The path as it was given, for messages.
  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; }
  /// Fills `out` from `offset`. Throws Error when that reaches beyond the end of the file or the disk fails.
  void read(std::uint64_t offset, std::span<std::byte> out) const;
  /// `size` bytes from `offset`; checks against the file's size before it allocates.
  std::vector<std::byte> read_bytes(std::uint64_t offset, std::uint64_t size) const;
  std::string read_text(std::uint64_t offset, std::uint64_t size) const;
  /// The whole file as text. Throws Error when it is larger than `limit`.
  std::string read_all(std::uint64_t limit) const;

 private:
  SourceFile() = default;
  void check_range(std::uint64_t offset, std::uint64_t size) const;

  std::string name_;
  std::uint64_t size_ = 0;
  int descriptor_ = -1;  // -1: bytes_ holds the content
  std::string bytes_;
};

/// Reads little-endian values one after the other, buffered. Every read checks what is left of the file first.
/// `file` must outlive the cursor.
class SourceCursor {
 public:
  explicit SourceCursor(const SourceFile& file, std::uint64_t offset = 0) : file_(&file), offset_(offset) {}

  std::uint64_t offset() const { return offset_; }
  std::uint64_t remaining() const { return file_->size() - offset_; }
  const SourceFile& file() const { return *file_; }

  /// An integer, float or double. `what` names it in the message when the file ends before it.
  template <typename T>
  T read(const char* what) {
    static_assert(std::is_arithmetic_v<T> && std::endian::native == std::endian::little);
    T value;
    take(what, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  std::string text(const char* what, std::uint64_t size);
  /// Throws Error unless `count` items of at least `item_bytes` each can still be in the file: called before any
  /// allocation that follows a count from the file.
  void check_count(const char* what, std::uint64_t count, std::uint64_t item_bytes) const;

 private:
  void take(const char* what, std::span<std::byte> out);

  const SourceFile* file_;
  std::uint64_t offset_;
  std::vector<std::byte> buffer_;
  std::uint64_t buffer_offset_ = 0;
};

}  // namespace heed::convert
