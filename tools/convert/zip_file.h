#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/convert/source_file.h"

namespace heed::convert {

/// A zip archive open for reading, through libzip. Immutable to the outside; any thread may call it.
class ZipFile {
 public:
  /// Throws Error when `file` is not a zip archive, or damaged.
  explicit ZipFile(std::shared_ptr<const SourceFile> file);
  ~ZipFile();
  ZipFile(const ZipFile&) = delete;
  ZipFile& operator=(const ZipFile&) = delete;

  const std::string& name() const { return file_->name(); }
  /// The names of all entries, in order.
  const std::vector<std::string>& entries() const { return entries_; }
  /// How many bytes an entry holds; nothing when there is none of this name.
  std::optional<std::uint64_t> size(const std::string& entry) const;
  /// `size` bytes of it from `offset`. Throws Error when the entry is absent, shorter, damaged, compressed in a way
  /// that libzip does not know, or encrypted.
  std::vector<std::byte> read(const std::string& entry, std::uint64_t offset, std::uint64_t size) const;

 private:
  struct Archive;
  std::shared_ptr<const SourceFile> file_;
  std::unique_ptr<Archive> archive_;
  std::vector<std::string> entries_;
};

}  // namespace heed::convert
