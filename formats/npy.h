#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "graph/shape.h"

namespace heed {

/// An array as NumPy stores it (.npy, format versions 1 to 3): little-endian, C order.
struct NpyArray {
  DType type = DType::F32;  // a plain one
  Shape shape;
  std::vector<std::byte> data;  // dense

  /// Elements as f32, or as i32 (booleans are 0 or 1). Throws Error "WHERE: ..." when the array holds the other kind of
  /// number, or an element does not fit 32 bits.
  std::vector<float> floats(const std::string& where) const;
  std::vector<std::int32_t> integers(const std::string& where) const;
  /// The same without that limit, for values that a plan is made with.
  std::vector<double> wide_integers(const std::string& where) const;
};

/// Throws Error naming the file when it cannot be read, is no .npy file, holds another element type or order, or has
/// another size than its header says.
NpyArray read_npy(const std::filesystem::path& path);
/// The same from memory.
NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& where);
/// Writes elements of a type through a temporary file; NumPy has no bf16, which is written as float32 from f32
/// elements. Throws Error when that fails.
void write_npy(const std::filesystem::path& path, DType type, const Shape& shape, std::span<const std::byte> data);
/// What write_npy() writes.
std::vector<std::byte> npy_bytes(DType type, const Shape& shape, std::span<const std::byte> data);
/// A .npy file of texts, an array of one dimension. Bytes that are no UTF-8 are lone surrogates, as Python's
/// "surrogateescape" reads them, so that nothing is lost.
std::vector<std::byte> npy_texts(const std::vector<std::string>& texts);
/// 32-bit words of a device (graph/dtype.h) as elements of a type, for write_npy.
std::vector<std::byte> from_words(DType type, std::span<const std::byte> words);

}  // namespace heed
