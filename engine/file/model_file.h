#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace heed {

/// The first bytes of every file: magic and version (engine/file/format.md).
inline constexpr std::string_view kMagic = "heed";  // followed by the version as a little-endian u32
inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::uint64_t kTensorAlignment = 256;

/// One tensor of the table: `size` bytes from `offset` in the file, dense, in the layout dtype.h describes.
struct TensorInfo {
  std::string name;
  DType dtype = DType::F32;
  Shape shape;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t checksum = 0;  // XXH3, 64 bits, of those bytes
};

/// Where an embedded file lies.
struct FileInfo {
  std::string name;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t checksum = 0;
};

/// A file inside the file, such as a tokenizer.
struct EmbeddedFile {
  std::string name;
  std::string content;
};

/// Everything about a model except the bytes of its tensors.
struct ModelHeader {
  nlohmann::json metadata = nlohmann::json::object();  // keys in engine/file/format.md
  std::vector<Graph> graphs;
  std::vector<TensorInfo> tensors;
};

/// A .heed file open for reading. The whole header is checked on opening (bounds, overlaps, sizes, names, graphs valid,
/// weights of graphs present with the same dtype and shape), so later accesses cannot fail except for I/O and
/// checksums. Immutable, so any thread may call it.
class ModelFile {
 public:
  /// Throws Error for an unreadable, truncated, foreign or inconsistent file, naming the place.
  static ModelFile open(const std::filesystem::path& path);
  /// The same from memory, for files that come from elsewhere and for fuzzing; `name` stands for the path in messages.
  static ModelFile open_bytes(std::vector<std::byte> bytes, const std::filesystem::path& name);
  ModelFile(ModelFile&&) noexcept;
  ModelFile& operator=(ModelFile&&) noexcept;
  ~ModelFile();

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  const ModelHeader& header() const { return header_; }
  const nlohmann::json& metadata() const { return header_.metadata; }
  /// Throws Error listing the graphs there are when there is none of this name.
  const Graph& graph(std::string_view name) const;
  /// nullptr when absent.
  const TensorInfo* find_tensor(std::string_view name) const;
  /// Reads bytes [begin, begin + out.size()) of a tensor into `out` (pread; no mapping stays resident). Compares no
  /// checksum, for that needs the whole tensor. Throws Error when the range leaves the tensor and for I/O errors.
  void read(const TensorInfo& tensor, std::uint64_t begin, std::span<std::byte> out) const;
  /// Reads a whole tensor and compares its checksum. Throws Error naming the tensor when they differ.
  std::vector<std::byte> read_all(const TensorInfo& tensor) const;
  bool has_file(std::string_view name) const;
  /// The content of an embedded file, checksum compared. Throws Error when absent.
  std::string read_file(std::string_view name) const;
  std::vector<std::string> file_names() const;

 private:
  ModelFile() = default;
  void parse();
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;
  void check_entry(std::string_view kind, std::string_view name, std::uint64_t end, std::span<const std::byte> bytes,
                   std::uint64_t checksum) const;
  const FileInfo* find_file(std::string_view name) const;

  std::filesystem::path path_;
  int descriptor_ = -1;            // of open()
  std::vector<std::byte> memory_;  // of open_bytes()
  std::uint64_t size_ = 0;
  ModelHeader header_;
  std::vector<FileInfo> files_;
  std::map<std::string, std::size_t, std::less<>> tensor_index_;
};

/// Produces the bytes of one tensor, in order, by calling `sink` any number of times with consecutive pieces that add
/// up to the tensor's size; so a model larger than memory can be written.
using TensorSource =
    std::function<void(const TensorInfo& tensor, const std::function<void(std::span<const std::byte>)>& sink)>;

/// Writes a .heed file: offsets, sizes and checksums of `header.tensors` are filled in here. Everything that ModelFile
/// checks is checked before the first byte is written. The bytes go to a temporary file beside `path` that is renamed
/// when complete and flushed to the disk; on any failure (a full disk too, or an exception of `source`, which passes
/// through) it is removed, `path` is left as it was, and Error says what happened. Where `path` is a symbolic link, the
/// file it leads to is replaced; a device, folder or pipe is refused. Holds one piece of one tensor at a time.
void write_model_file(const std::filesystem::path& path, ModelHeader header, const std::vector<EmbeddedFile>& files,
                      const TensorSource& source);

/// XXH3, 64 bits, in pieces.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;
  void update(std::span<const std::byte> bytes);
  std::uint64_t digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace heed
