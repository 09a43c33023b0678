#include "plan/weight_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "graph/convert_dtype.h"
#include "graph/integer.h"
#include "heed/error.h"

namespace heed {
namespace {

constexpr std::uint64_t kWord = 16;

bool quantised(DType dtype) { return dtype_info(dtype).block_elements > 1; }
/// Words of four scales in a row of a quantised matrix.
std::int64_t scale_words(std::int64_t columns) { return ceil_div(columns / 32, 4); }

/// Copies the words of neighbouring rows of a plane to their places. The rows are `row_bytes` apart in `from`, and hold
/// a block of `block_words` words every `block_bytes`.
void place_rows(std::int64_t band, std::int64_t first, std::int64_t rows, std::int64_t row_words, const std::byte* from,
                std::uint64_t row_bytes, std::int64_t block_words, std::uint64_t block_bytes, std::byte* plane) {
  // A few rows of a band together, so that whole cache lines are written, and as many lines are read as a cache holds.
  constexpr std::int64_t kRows = 16;
  const std::uint64_t band_bytes = static_cast<std::uint64_t>(band) * kWord;
  for (std::int64_t done = 0; done < rows;) {
    const std::int64_t row = first + done;
    const std::int64_t count = std::min({kRows, band - row % band, rows - done});
    const std::byte* block = from + static_cast<std::uint64_t>(done) * row_bytes;
    std::byte* to = plane + static_cast<std::uint64_t>(row / band * row_words * band + row % band) * kWord;
    for (std::int64_t word = 0; word < row_words; word += block_words, block += block_bytes) {
      for (std::int64_t i = 0; i < block_words; ++i, to += band_bytes) {
        for (std::int64_t r = 0; r < count; ++r) {
          std::memcpy(to + static_cast<std::uint64_t>(r) * kWord,
                      block + static_cast<std::uint64_t>(r) * row_bytes + static_cast<std::uint64_t>(i) * kWord, kWord);
        }
      }
    }
    done += count;
  }
}

/// Gives the elements of a whole weight their places.
void place_elements(const WeightOrder& order, std::span<const float> from, float* to) {
  const std::size_t rank = order.sizes.size();
  Shape index(rank, 0);
  for (std::int64_t i = element_count(order.sizes); i > 0; --i) {
    std::int64_t at = order.first;
    bool within = true;
    for (std::size_t d = 0; d < rank; ++d) {
      at += index[d] * order.strides[d];
      within = within && index[d] < order.within[d];
    }
    assert(!within || (at >= 0 && static_cast<std::size_t>(at) < from.size()));
    *to++ = within ? from[static_cast<std::size_t>(at)] : 0.0f;
    for (std::size_t d = rank; d-- > 0;) {
      if (++index[d] < order.sizes[d]) break;
      index[d] = 0;
    }
  }
}

/// How often a weight fits one binding and one buffer. Planes are bound on their own, so only the larger one counts for
/// the binding; a buffer holds both.
std::uint64_t times_within(const DeviceWeight& weight, const DeviceCaps& caps) {
  const std::uint64_t range = weight.scales_offset == 0 ? weight.bytes : weight.scales_offset;
  // A matrix may have no columns.
  return std::min(caps.max_storage_buffer_range / std::max<std::uint64_t>(range, 1),
                  largest_weight(caps) / std::max<std::uint64_t>(weight.bytes, 1));
}

}  // namespace

std::string DeviceWeight::key() const {
  std::string key =
      fmt::format("{}:{}:{}:{}+{}", static_cast<int>(layout), dtype_name(dtype), band, row_begin, row_count);
  for (const std::string& part : parts) key += "|" + part;
  if (layout == WeightLayout::Ordered) {
    key += fmt::format("|{}{}{}{}", to_string(order.sizes), to_string(order.within), to_string(order.strides),
                       order.first);
  }
  return key;
}

std::int64_t matrix_row_words(DType dtype, std::int64_t columns) {
  switch (dtype) {
    case DType::F32:
      return ceil_div(columns, 4);
    case DType::F16:
    case DType::BF16:
      return ceil_div(columns, 8);
    case DType::Q8_0:
      return columns / 16;
    case DType::Q4_0:
      return columns / 32;
    default:
      throw Error(
          fmt::format("a matrix of type {} cannot be multiplied; convert it to a floating type", dtype_name(dtype)));
  }
}

void lay_out(DeviceWeight& weight) {
  const auto rows = static_cast<std::uint64_t>(weight.row_count);
  if (weight.layout == WeightLayout::Ordered) {
    weight.scales_offset = 0;
    weight.bytes = round_up(static_cast<std::uint64_t>(element_count(weight.order.sizes)) * 4, kWord);
    return;
  }
  if (weight.layout == WeightLayout::Dense) {
    weight.scales_offset = 0;
    weight.bytes = round_up(rows * static_cast<std::uint64_t>(weight.columns) * 4, kWord);
    return;
  }
  const std::uint64_t whole_bands = round_up(rows, static_cast<std::uint64_t>(weight.band));
  const auto plane = [&](std::int64_t row_words) {
    return whole_bands * static_cast<std::uint64_t>(row_words) * kWord;
  };
  weight.bytes = plane(matrix_row_words(weight.dtype, weight.columns));
  weight.scales_offset = 0;
  if (quantised(weight.dtype)) {
    weight.scales_offset = round_up(weight.bytes, kPlaneAlignment);
    weight.bytes = weight.scales_offset + plane(scale_words(weight.columns));
  }
}

DeviceWeight matrix_weight(DType dtype, std::int64_t rows, std::int64_t columns, std::int64_t band) {
  DeviceWeight weight;
  weight.layout = WeightLayout::Matrix;
  weight.dtype = dtype;
  weight.columns = columns;
  weight.row_count = rows;
  weight.band = band;
  lay_out(weight);
  return weight;
}

std::int64_t band_within(DType dtype, std::int64_t columns, std::int64_t band, const DeviceCaps& caps) {
  while (band > 1 && times_within(matrix_weight(dtype, band, columns, band), caps) == 0) band /= 2;
  return band;
}

std::int64_t rows_per_piece(DType dtype, std::int64_t columns, std::int64_t band, std::int64_t rows_multiple,
                            const DeviceCaps& caps) {
  const DeviceWeight rows = matrix_weight(dtype, rows_multiple, columns, band);
  const std::uint64_t pieces = times_within(rows, caps);
  if (pieces == 0) {
    throw Error(fmt::format("{} rows of {} elements ({}) need {} bytes, but {} binds {} and allocates {} at a time",
                            rows_multiple, columns, dtype_name(dtype), rows.bytes, caps.name,
                            caps.max_storage_buffer_range, caps.max_memory_allocation));
  }
  return static_cast<std::int64_t>(std::min<std::uint64_t>(pieces, 1u << 30)) * rows_multiple;
}

WeightPiece piece_of(const DeviceWeight& weight, std::int64_t first, std::int64_t rows) {
  assert(first % weight.band == 0 && (rows % weight.band == 0 || first + rows == weight.row_count));
  WeightPiece piece{weight, {}};
  if (weight.layout == WeightLayout::Ordered) {
    piece.runs.push_back({0, 0, weight.bytes});
    return piece;
  }
  piece.weight.row_begin += first;
  piece.weight.row_count = rows;
  lay_out(piece.weight);
  const auto before = static_cast<std::uint64_t>(first);
  if (weight.layout == WeightLayout::Dense) {
    const std::uint64_t to = before * static_cast<std::uint64_t>(weight.columns) * 4;
    piece.runs.push_back({0, to, std::min(piece.weight.bytes, weight.bytes - to)});
    // Rows of odd sizes end within a word that is not theirs alone.
    if (first + rows < weight.row_count) piece.runs[0].bytes = static_cast<std::uint64_t>(rows * weight.columns) * 4;
    return piece;
  }
  const auto word_bytes = [&](std::int64_t row_words) { return static_cast<std::uint64_t>(row_words) * kWord; };
  const std::uint64_t row_bytes = word_bytes(matrix_row_words(weight.dtype, weight.columns));
  if (!quantised(weight.dtype)) {
    piece.runs.push_back({0, before * row_bytes, piece.weight.bytes});
    return piece;
  }
  const std::uint64_t scale_bytes = word_bytes(scale_words(weight.columns));
  const std::uint64_t whole_bands = round_up(static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(weight.band));
  const std::uint64_t scales = piece.weight.scales_offset;
  piece.runs.push_back({0, before * row_bytes, whole_bands * row_bytes});
  piece.runs.push_back({scales, weight.scales_offset + before * scale_bytes, piece.weight.bytes - scales});
  return piece;
}

void pack_rows(const DeviceWeight& weight, std::int64_t first, std::int64_t rows, std::span<const std::byte> from,
               std::span<std::byte> to) {
  assert(to.size() >= weight.bytes && first >= 0 && first + rows <= weight.row_count);
  const auto columns = static_cast<std::size_t>(weight.columns);
  const DTypeInfo& info = dtype_info(weight.dtype);
  const std::size_t file_row = columns / info.block_elements * info.block_bytes;
  assert(from.size() == file_row * static_cast<std::size_t>(rows));
  if (weight.layout == WeightLayout::Dense) {
    if (rows * weight.columns == 0) return;
    if (weight.dtype == DType::I32) {
      std::memcpy(to.data() + static_cast<std::size_t>(first) * file_row, from.data(), from.size());
      return;
    }
    float* out = reinterpret_cast<float*>(to.data()) + first * weight.columns;
    decode_to_f32(weight.dtype, from, static_cast<std::size_t>(rows) * columns, out);
    return;
  }
  if (weight.layout == WeightLayout::Ordered) {
    assert(first == 0 && rows == weight.row_count);
    std::vector<float> elements(static_cast<std::size_t>(rows) * columns);
    decode_to_f32(weight.dtype, from, elements.size(), elements.data());
    place_elements(weight.order, elements, reinterpret_cast<float*>(to.data()));
    return;
  }
  const std::int64_t row_words = matrix_row_words(weight.dtype, weight.columns);
  if (!quantised(weight.dtype)) {
    if (file_row % kWord == 0) {
      place_rows(weight.band, first, rows, row_words, from.data(), file_row, 1, kWord, to.data());
      return;
    }
    std::vector<std::byte> words(static_cast<std::size_t>(row_words) * kWord);  // ends in zeros
    for (std::int64_t row = 0; row < rows; ++row) {
      std::memcpy(words.data(), from.data() + static_cast<std::size_t>(row) * file_row, file_row);
      place_rows(weight.band, first + row, 1, row_words, words.data(), words.size(), 1, kWord, to.data());
    }
    return;
  }
  // A block is an f16 scale and its quants.
  const std::size_t quant_bytes = info.block_bytes - 2;
  place_rows(weight.band, first, rows, row_words, from.data() + 2, file_row,
             static_cast<std::int64_t>(quant_bytes / kWord), info.block_bytes, to.data());
  const std::size_t blocks = columns / 32;
  std::vector<std::byte> halves(blocks * 2);
  std::vector<float> scales(static_cast<std::size_t>(scale_words(weight.columns)) * 4);  // ends in zeros
  const std::byte* block = from.data();
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::size_t i = 0; i < blocks; ++i, block += info.block_bytes) std::memcpy(halves.data() + i * 2, block, 2);
    decode_to_f32(DType::F16, halves, blocks, scales.data());
    place_rows(weight.band, first + row, 1, scale_words(weight.columns), std::as_bytes(std::span(scales)).data(),
               scales.size() * 4, 1, kWord, to.data() + weight.scales_offset);
  }
}

}  // namespace heed
