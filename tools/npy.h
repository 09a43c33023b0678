#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "graph/shape.h"

namespace heed::tools {

/// An array as NumPy stores it (.npy, format versions 1 to 3): little-endian, C order.
struct NpyArray {
  enum class Type { F32, F64, I32, I64 };
  Type type = Type::F32;
  Shape shape;
  std::vector<std::byte> data;  // dense

  /// Elements as the type asked for. Throws Error "WHERE: ..." when the array holds the other kind of number, or an
  /// element does not fit the narrower type.
  std::vector<float> floats(const std::string& where) const;
  std::vector<std::int32_t> integers(const std::string& where) const;
};

/// Throws Error naming the file when it cannot be read, is no .npy file, holds another element type or order, or has
/// another size than its header says.
NpyArray read_npy(const std::filesystem::path& path);
/// The same from memory.
NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& where);
/// Writes through a temporary file. Throws Error when that fails.
void write_npy(const std::filesystem::path& path, NpyArray::Type type, const Shape& shape,
               std::span<const std::byte> data);

}  // namespace heed::tools
