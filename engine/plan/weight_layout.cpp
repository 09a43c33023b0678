#include "plan/weight_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "graph/convert_dtype.h"
#include "graph/integer.h"
#include "graph/quantised.h"
#include "heed/error.h"

namespace heed {
namespace {

constexpr std::uint64_t kWord = 16;

/// 16-byte words of a row of a matrix in each of its planes.
struct RowWords {
  std::int64_t quants = 0;  // elements, where they are not quantised; with `high` in the plane of words
  std::int64_t high = 0;
  std::int64_t scales = 0;  // with `factors` in the plane of scales
  std::int64_t factors = 0;
};

RowWords words_of_row(DType dtype, std::int64_t columns) {
  if (const QuantisedType* type = quantised_type(dtype)) {
    const std::int64_t blocks = columns / type->block_elements;
    const auto words = [](std::int64_t count, std::int64_t bits) { return ceil_div(count * bits, std::int64_t{128}); };
    return {words(columns, type->low_bits), words(columns, type->high_bits), words(blocks, 8 * type->scales.on_device),
            words(blocks, 8 * type->factors.on_device)};
  }
  return {ceil_div(columns, unit_columns(dtype)), 0, 0, 0};
}

/// Packs bits [shift, shift + 4) of the quants of a block where they belong among those of its row.
void pack_four_bits(const std::uint8_t* quants, std::size_t count, std::uint32_t shift, std::byte* to) {
  for (std::size_t word = 0; word < count; word += 32, quants += 32, to += 16) {
    for (std::size_t i = 0; i < 16; ++i) {
      to[i] = static_cast<std::byte>((quants[i] >> shift & 15) | (quants[i + 16] >> shift & 15) << 4);
    }
  }
}

/// The same of one or two bits.
template <std::size_t Width>
void pack_narrow(const std::uint8_t* quants, std::size_t count, std::uint32_t shift, std::byte* to) {
  for (std::size_t i = 0; i < count; i += 8 / Width, ++to) {
    int byte = 0;
    for (std::size_t j = 0; j < 8 / Width; ++j) byte |= (quants[i + j] >> shift & ((1 << Width) - 1)) << (j * Width);
    *to = static_cast<std::byte>(byte);
  }
}

void pack_bits(const std::uint8_t* quants, std::size_t count, std::uint32_t shift, std::uint32_t width, std::byte* to) {
  if (width == 4) return pack_four_bits(quants, count, shift, to);
  if (width == 2) return pack_narrow<2>(quants, count, shift, to);
  assert(width == 1);  // types of eight bits have them in order
  pack_narrow<1>(quants, count, shift, to);
}

/// Bytes of a block of a file on their way to the device.
void copy_field(const QuantisedType::Field& field, const std::byte* block, std::byte* to) {
  std::memcpy(to, block + field.from, field.bytes);
}

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

/// The exponent of WeightOrder of a row.
int exponent_of(std::span<const float> row) {
  float largest = 0.0f;
  for (const float element : row) {
    if (std::isfinite(element)) largest = std::max(largest, std::abs(element));
  }
  return largest == 0.0f ? kLeastExponent : std::max(std::ilogb(largest), kLeastExponent);
}

/// Rows that lie one after the other as halves, with their exponents (WeightOrder).
void place_halves(std::span<const float> elements, std::size_t rows, std::uint32_t halves, std::uint16_t* to,
                  std::int32_t* exponents) {
  if (rows == 0) return;
  const std::size_t columns = elements.size() / rows;
  for (std::size_t r = 0; r < rows; ++r) {
    const std::span<const float> row = elements.subspan(r * columns, columns);
    const int exponent = exponent_of(row);
    const float scale = std::ldexp(1.0f, kHalfExponent - exponent);
    bool finite = true;
    for (std::size_t i = 0; i < columns; ++i) {
      const float element = row[i] * scale;
      std::uint16_t first = f32_to_f16(element);
      if ((first & 0x7fff) == 0 && row[i] != 0.0f) first |= 1;
      to[r * columns + i] = first;
      finite = finite && std::isfinite(row[i]);
      if (halves == 2) {
        const float rest = std::isfinite(row[i]) ? element - f16_to_f32(first) : 0.0f;
        to[(rows + r) * columns + i] = f32_to_f16(rest);
      }
    }
    exponents[r] = exponent + (finite ? 0 : kBrokenExponent);
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
    if (order.halves > 0) key += fmt::format("|{} halves", order.halves);
  }
  return key;
}

std::int64_t unit_columns(DType dtype) {
  if (const QuantisedType* type = quantised_type(dtype)) return type->unit_columns;
  switch (dtype) {
    case DType::F32:
      return 4;
    case DType::F16:
    case DType::BF16:
      return 8;
    default:
      throw Error(
          fmt::format("a matrix of type {} cannot be multiplied; convert it to a floating type", dtype_name(dtype)));
  }
}

std::int64_t matrix_row_units(DType dtype, std::int64_t columns) { return ceil_div(columns, unit_columns(dtype)); }

std::uint64_t bytes_of_halves(const WeightOrder& order) {
  return round_up(static_cast<std::uint64_t>(element_count(order.sizes)) * order.halves * 2, kPlaneAlignment);
}

void lay_out(DeviceWeight& weight) {
  const auto rows = static_cast<std::uint64_t>(weight.row_count);
  if (weight.layout == WeightLayout::Ordered) {
    const auto count = static_cast<std::uint64_t>(element_count(weight.order.sizes));
    weight.scales_offset = 0;
    weight.bytes = round_up(count * 4, kWord);
    if (weight.order.halves == 0) return;
    weight.scales_offset = bytes_of_halves(weight.order);
    weight.bytes = weight.scales_offset + round_up(static_cast<std::uint64_t>(weight.order.sizes[0]) * 4, kWord);
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
  const RowWords row = words_of_row(weight.dtype, weight.columns);
  weight.bytes = plane(row.quants + row.high);
  weight.scales_offset = 0;
  if (quantised_type(weight.dtype) != nullptr) {
    weight.scales_offset = round_up(weight.bytes, kPlaneAlignment);
    weight.bytes = weight.scales_offset + plane(row.scales + row.factors);
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
  const RowWords row = words_of_row(weight.dtype, weight.columns);
  const std::uint64_t row_bytes = word_bytes(row.quants + row.high);
  if (quantised_type(weight.dtype) == nullptr) {
    piece.runs.push_back({0, before * row_bytes, piece.weight.bytes});
    return piece;
  }
  const std::uint64_t scale_bytes = word_bytes(row.scales + row.factors);
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
    if (weight.order.halves == 0) {
      place_elements(weight.order, elements, reinterpret_cast<float*>(to.data()));
      return;
    }
    std::vector<float> ordered(static_cast<std::size_t>(element_count(weight.order.sizes)));
    place_elements(weight.order, elements, ordered.data());
    place_halves(ordered, static_cast<std::size_t>(weight.order.sizes[0]), weight.order.halves,
                 reinterpret_cast<std::uint16_t*>(to.data()),
                 reinterpret_cast<std::int32_t*>(to.data() + weight.scales_offset));
    return;
  }
  const RowWords row_words = words_of_row(weight.dtype, weight.columns);
  const QuantisedType* type = quantised_type(weight.dtype);
  if (type == nullptr) {
    if (file_row % kWord == 0) {
      place_rows(weight.band, first, rows, row_words.quants, from.data(), file_row, 1, kWord, to.data());
      return;
    }
    std::vector<std::byte> words(static_cast<std::size_t>(row_words.quants) * kWord);  // ends in zeros
    for (std::int64_t row = 0; row < rows; ++row) {
      std::memcpy(words.data(), from.data() + static_cast<std::size_t>(row) * file_row, file_row);
      place_rows(weight.band, first + row, 1, row_words.quants, words.data(), words.size(), 1, kWord, to.data());
    }
    return;
  }
  // Quants that lie in the file as they do on the device go there at once.
  const bool in_order = type->low.bytes != 0;
  const bool as_they_are = in_order && type->high_bits == 0 && type->low.bytes % kWord == 0;
  if (as_they_are) {
    place_rows(weight.band, first, rows, row_words.quants, from.data() + type->low.from, file_row,
               static_cast<std::int64_t>(type->low.bytes / kWord), info.block_bytes, to.data());
  }
  // The rest a few rows at a time, in device order first, then to its places.
  constexpr std::int64_t kRows = 16;
  const std::size_t words_bytes = static_cast<std::size_t>(row_words.quants + row_words.high) * kWord;
  const std::size_t scales_bytes = static_cast<std::size_t>(row_words.scales + row_words.factors) * kWord;
  std::vector<std::byte> words(as_they_are ? 0 : kRows * words_bytes);
  std::vector<std::byte> scales(kRows * scales_bytes);
  const std::size_t low_bytes = info.block_elements * type->low_bits / 8;
  const std::size_t high_bytes = info.block_elements * type->high_bits / 8;
  QuantBlock unpacked;
  const std::byte* block = from.data();
  for (std::int64_t row = 0; row < rows; row += kRows) {
    const std::int64_t count = std::min(kRows, rows - row);
    for (std::int64_t r = 0; r < count; ++r) {
      std::byte* const low_to = words.data() + (as_they_are ? 0 : static_cast<std::size_t>(r) * words_bytes);
      std::byte* const high_to = low_to + (as_they_are ? 0 : static_cast<std::size_t>(row_words.quants) * kWord);
      std::byte* const scales_to = scales.data() + static_cast<std::size_t>(r) * scales_bytes;
      std::byte* const factors_to = scales_to + static_cast<std::size_t>(row_words.scales) * kWord;
      for (std::size_t i = 0; i < columns / info.block_elements; ++i, block += info.block_bytes) {
        copy_field(type->scales, block, scales_to + i * type->scales.on_device);
        copy_field(type->factors, block, factors_to + i * type->factors.on_device);
        if (as_they_are) continue;
        if (in_order) {
          copy_field(type->low, block, low_to + i * low_bytes);
          copy_field(type->high, block, high_to + i * high_bytes);
          continue;
        }
        type->unpack(block, unpacked);
        const std::uint8_t* quants = unpacked.quants.data();
        pack_bits(quants, info.block_elements, 0, type->low_bits, low_to + i * low_bytes);
        if (high_bytes > 0) {
          pack_bits(quants, info.block_elements, type->low_bits, type->high_bits, high_to + i * high_bytes);
        }
      }
    }
    if (!as_they_are) {
      place_rows(weight.band, first + row, count, row_words.quants + row_words.high, words.data(), words_bytes, 1,
                 kWord, to.data());
    }
    place_rows(weight.band, first + row, count, row_words.scales + row_words.factors, scales.data(), scales_bytes, 1,
               kWord, to.data() + weight.scales_offset);
  }
}

}  // namespace heed
