#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "graph/shape.h"
#include "plan/device_caps.h"

namespace heed {

/// Of the planes of a quantised matrix: the largest offset alignment that Vulkan allows a device to ask for.
inline constexpr std::uint64_t kPlaneAlignment = kMostAlignment;

/// Bytes of the largest weight that one buffer holds: where it begins is aligned. 0 where nothing fits.
constexpr std::uint64_t largest_weight(const DeviceCaps& caps) {
  return caps.max_memory_allocation - std::min(caps.max_memory_allocation, kPlaneAlignment);
}

/// How a weight lies in device memory.
enum class WeightLayout : std::uint8_t {
  /// Rows of a matrix for linear and embedding, as 16-byte words. f32, f16 and bf16: every row padded with zeros to
  /// whole words. Quantised types (graph/quantised.h says which bits and bytes) in two planes. The first holds of every
  /// row the low bits of all quants, then, padded to whole words, the high bits: 16 quants of 8 bits a word, signed; 32
  /// of 4 bits, of which byte i has element i in its low and i + 16 in its high half; 64 of 2 or 128 of 1, from the
  /// lowest bits of the first byte on. The second begins at `scales_offset` and holds of every row the scales of all
  /// blocks, padded to whole words, then the factors of all blocks, padded likewise.
  ///
  /// Both planes in bands of DeviceWeight::band rows: the first word of each of them, then the second of each, and so
  /// on, so that lanes with neighbouring rows read neighbouring words.
  Matrix,
  /// Any shape as dense f32, decoded at upload: norms, biases, small tables.
  Dense,
  /// The same with its elements in another order, see WeightOrder.
  Ordered,
};

/// Element i of the device's tensor of `sizes` is element first + i . strides of the file's, or 0 where i is not within
/// `within` (at most sizes). Strides may be negative; the elements that are meant exist.
///
/// As f32; or, of `halves` 1 or 2, as so many halves of f16, for kernels that multiply by matrices of them. A row is
/// what one index of the first dimension has, a multiple of 8 elements, and each has a scale of its own, so that
/// nothing overflows: element = (first half + second half) 2^(e - kHalfExponent), where 2^e is at most the row's
/// largest finite one and not below 2^kLeastExponent. Two halves are off by no more than 2^-22 of the element, or 2^-39
/// of 2^e where that is more; a first half is 0 only where the element is, so one of f16's least may be off by 2^-38 of
/// 2^e. Of what is not finite the first half is the same, and the second is 0; e is then stored with kBrokenExponent
/// added. The halves of all rows come first, [half, row, element], and at DeviceWeight::scales_offset the e of each as
/// i32.
struct WeightOrder {
  Shape sizes;
  Shape within;
  Shape strides;
  std::int64_t first = 0;
  std::uint32_t halves = 0;
};
inline constexpr int kHalfExponent = 14;
inline constexpr int kLeastExponent = -112;
inline constexpr int kBrokenExponent = 1024;

/// A weight, or some rows of it, or rows of several stacked, as a plan wants it on the device. Equal descriptions are
/// uploaded once.
struct DeviceWeight {
  WeightLayout layout = WeightLayout::Dense;
  DType dtype = DType::F32;
  std::vector<std::string> parts;  // tensors of the file, stacked along the rows
  std::int64_t columns = 0;        // elements of a row; Dense: of everything after the first dimension
  std::int64_t row_begin = 0;      // of the stacked rows
  std::int64_t row_count = 0;
  std::int64_t band = 1;            // rows
  std::uint64_t scales_offset = 0;  // quantised matrices, and weights in halves
  WeightOrder order;                // Ordered, which are one row
  std::uint64_t bytes = 0;

  std::string key() const;  // equal for equal weights
};

/// Columns of a matrix that a lane takes at a time: what a 16-byte word of it holds, or half a word where that would be
/// many. Throws Error for types that no matrix has.
std::int64_t unit_columns(DType dtype);

/// Such units of a row, the last of which may be less than whole where the type has no blocks.
std::int64_t matrix_row_units(DType dtype, std::int64_t columns);

/// Of a weight in halves: DeviceWeight::scales_offset.
std::uint64_t bytes_of_halves(const WeightOrder& order);

/// Fills in scales_offset and bytes.
void lay_out(DeviceWeight& weight);

/// A matrix of so many rows, laid out; its parts are not named yet.
DeviceWeight matrix_weight(DType dtype, std::int64_t rows, std::int64_t columns, std::int64_t band);

/// The widest band up to `band` rows whose rows fit one binding and one buffer; 1 where nothing fits.
std::int64_t band_within(DType dtype, std::int64_t columns, std::int64_t band, const DeviceCaps& caps);

/// Rows of a matrix that fit one binding and one buffer: whole `rows_multiple`s. Throws Error when not even those fit.
std::int64_t rows_per_piece(DType dtype, std::int64_t columns, std::int64_t band, std::int64_t rows_multiple,
                            const DeviceCaps& caps);

/// Bytes of a piece of a weight, and where they go in the whole weight.
struct ByteRun {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::uint64_t bytes = 0;
};

/// Some rows of a weight as a weight of their own, to be packed apart from the rest and then copied to their places.
struct WeightPiece {
  DeviceWeight weight;
  std::vector<ByteRun> runs;
};
/// Rows [first, first + rows): whole bands, but for the weight's last. Ordered weights are one piece.
WeightPiece piece_of(const DeviceWeight& weight, std::int64_t first, std::int64_t rows);

/// Packs `rows` rows of file bytes (`from`: rows * bytes of a row in the file) that become rows [first, first + rows)
/// of the device weight into `to`, its whole device memory. Ordered weights come whole.
void pack_rows(const DeviceWeight& weight, std::int64_t first, std::int64_t rows, std::span<const std::byte> from,
               std::span<std::byte> to);

}  // namespace heed
