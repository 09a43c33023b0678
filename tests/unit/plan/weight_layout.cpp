#include "plan/weight_layout.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "graph/convert_dtype.h"
#include "graph/quantise.h"
#include "graph/quantised.h"
#include "heed/error.h"

namespace heed {
namespace {

constexpr std::byte kStale{0xa5};

std::vector<std::byte> random_file(DType type, std::int64_t rows, std::int64_t columns) {
  std::mt19937 engine(static_cast<unsigned>(rows * 1000 + columns));
  std::vector<float> numbers(static_cast<std::size_t>(rows * columns));
  for (float& number : numbers) number = static_cast<float>(engine() % 20001) / 10000.0f - 1.0f;
  std::vector<std::byte> bytes(byte_size(type, {rows, columns}));
  encode_from_f32(type, numbers, bytes);
  return bytes;
}

template <typename T>
T load(const std::vector<std::byte>& memory, std::size_t index) {
  T value;
  REQUIRE((index + 1) * sizeof(T) <= memory.size());
  std::memcpy(&value, memory.data() + index * sizeof(T), sizeof(T));
  return value;
}

/// One element as shaders/include/weights.glsl reads it, from 16-byte words.
class Reader {
 public:
  Reader(const DeviceWeight& weight, const std::vector<std::byte>& memory, std::size_t row)
      : weight_(weight), memory_(memory), row_(row), columns_(static_cast<std::size_t>(weight.columns)) {}

  float element(std::size_t column) const {
    switch (weight_.dtype) {
      case DType::F32:
        return std::bit_cast<float>(bits(0, column, 32));
      case DType::F16:
        return f16_to_f32(static_cast<std::uint16_t>(bits(0, column, 16)));
      case DType::BF16:
        return bf16_to_f32(static_cast<std::uint16_t>(bits(0, column, 16)));
      case DType::Q8_0:
        return static_cast<float>(static_cast<std::int8_t>(bits(0, column, 8))) * half(column / 32, 1, 0);
      case DType::Q4_0:
        return static_cast<float>(nibble(column) - 8) * half(column / 32, 1, 0);
      case DType::Q4_1:
        return static_cast<float>(nibble(column)) * half(column / 32, 2, 0) + half(column / 32, 2, 1);
      case DType::Q5_0:
        return static_cast<float>(nibble(column) + 16 * high(column, 1) - 16) * half(column / 32, 1, 0);
      case DType::Q5_1:
        return static_cast<float>(nibble(column) + 16 * high(column, 1)) * half(column / 32, 2, 0) +
               half(column / 32, 2, 1);
      case DType::IQ4_NL:
        return static_cast<float>(kIq4NlCodebook[static_cast<std::size_t>(nibble(column))]) * half(column / 32, 1, 0);
      case DType::Q4_K:
      case DType::Q5_K: {
        const int quant = nibble(column) + (weight_.dtype == DType::Q5_K ? 16 * high(column, 1) : 0);
        const std::size_t block = column / 256, group = column % 256 / 32;
        const std::uint32_t a = code(block, 4 + group % 4), b = code(block, 8 + group % 4),
                            c = code(block, 12 + group % 4);
        const std::uint32_t scale = group < 4 ? a & 63 : (c & 15) | a >> 6 << 4;
        const std::uint32_t minimum = group < 4 ? b & 63 : c >> 4 | b >> 6 << 4;
        return half(block, 8, 0) * static_cast<float>(scale) * static_cast<float>(quant) -
               half(block, 8, 1) * static_cast<float>(minimum);
      }
      case DType::Q6_K:
        return factor(column / 256, 0) *
               static_cast<float>(static_cast<std::int8_t>(code(column / 256, column % 256 / 16))) *
               static_cast<float>(nibble(column) + 16 * high(column, 2) - 32);
      case DType::Q3_K: {
        const std::size_t block = column / 256, group = column % 256 / 16;
        const std::uint32_t low = code(block, group % 8) >> (group < 8 ? 0 : 4) & 15;
        const std::uint32_t top = code(block, 8 + group % 4) >> (group / 4 * 2) & 3;
        const int quant = static_cast<int>(bits(0, column, 2)) + 4 * high(column, 1, 2) - 4;
        return half(block, 8, 6) * static_cast<float>(static_cast<int>(low | top << 4) - 32) *
               static_cast<float>(quant);
      }
      case DType::Q2_K: {
        const std::uint32_t codes = code(column / 256, column % 256 / 16);
        return factor(column / 256, 0) * static_cast<float>(codes & 15) * static_cast<float>(bits(0, column, 2)) -
               factor(column / 256, 1) * static_cast<float>(codes >> 4);
      }
      default:
        FAIL("no matrix has this type");
        return 0.0f;
    }
  }

 private:
  /// Words of a row of so many bits an element.
  std::size_t words(std::size_t width) const { return (columns_ * width + 127) / 128; }
  /// Element i of `width` bits, counted from the plane's word `first` of the row on.
  std::uint32_t bits(std::size_t first, std::size_t i, std::size_t width) const {
    return in_plane(0, plane_words(), first + i * width / 128, i * width % 128 / 32) >> (i * width % 32) &
           (width == 32 ? ~0u : (1u << width) - 1);
  }
  int nibble(std::size_t column) const {
    const std::size_t place = column % 32;
    return static_cast<int>(
        in_plane(0, plane_words(), column / 32, place % 16 / 4) >> (8 * (place % 4) + (place >= 16 ? 4 : 0)) & 15u);
  }
  int high(std::size_t column, std::size_t width, std::size_t low = 4) const {
    return static_cast<int>(bits(words(low), column, width));
  }
  std::size_t plane_words() const {
    const QuantisedType* type = quantised_type(weight_.dtype);
    if (type == nullptr) return words(weight_.dtype == DType::F32 ? 32 : 16);
    return words(type->low_bits) + words(type->high_bits);
  }
  /// Words of scales, and of factors behind them.
  std::size_t scale_words() const {
    const QuantisedType& type = *quantised_type(weight_.dtype);
    return (columns_ / type.block_elements * type.scales.on_device + 15) / 16;
  }
  std::size_t factor_words() const {
    const QuantisedType& type = *quantised_type(weight_.dtype);
    return (columns_ / type.block_elements * type.factors.on_device + 15) / 16;
  }
  std::uint32_t in_scales(std::size_t i) const {
    return in_plane(weight_.scales_offset, scale_words() + factor_words(), i / 4, i % 4);
  }
  /// f16 number i of a block that has so many of them among its scales.
  float half(std::size_t block, std::size_t count, std::size_t i) const {
    const std::size_t at = block * count + i;
    return f16_to_f32(static_cast<std::uint16_t>(in_scales(at / 2) >> (at % 2 * 16)));
  }
  float factor(std::size_t block, std::size_t i) const {
    return f16_to_f32(static_cast<std::uint16_t>(in_scales(4 * scale_words() + block) >> (i * 16)));
  }
  /// Byte i of a block of 16.
  std::uint32_t code(std::size_t block, std::size_t i) const {
    return in_scales(block * 4 + i / 4) >> (i % 4 * 8) & 255u;
  }
  std::uint32_t in_plane(std::size_t offset, std::size_t row_words, std::size_t word, std::size_t part) const {
    const auto band = static_cast<std::size_t>(weight_.band);
    const std::size_t first = row_ / band * band * row_words + row_ % band;
    return load<std::uint32_t>(memory_, offset / 4 + (first + word * band) * 4 + part);
  }

  const DeviceWeight& weight_;
  const std::vector<std::byte>& memory_;
  std::size_t row_;
  std::size_t columns_;
};

float element(const DeviceWeight& weight, const std::vector<std::byte>& memory, std::size_t row, std::size_t column) {
  return Reader(weight, memory, row).element(column);
}

}  // namespace

TEST_CASE("a packed matrix reads as the file decodes") {
  for (const DType type : matrix_types()) {
    const std::int64_t block = dtype_info(type).block_elements;
    for (const std::int64_t columns : block > 1 ? std::vector<std::int64_t>{block, 2 * block, 3 * block, 9 * block}
                                                : std::vector<std::int64_t>{1, 3, 4, 5, 8, 36, 44, 172}) {
      for (const auto& rows_and_band :
           {std::pair{1, 1}, {2, 1}, {7, 1}, {33, 1}, {1, 8}, {7, 8}, {33, 8}, {40, 8}, {40, 12}, {200, 128}}) {
        const std::int64_t rows = rows_and_band.first;
        const std::int64_t band = rows_and_band.second;
        CAPTURE(dtype_name(type));
        CAPTURE(columns);
        CAPTURE(rows);
        CAPTURE(band);
        const DeviceWeight weight = matrix_weight(type, rows, columns, band);
        CHECK(weight.bytes % 16 == 0);
        CHECK(weight.scales_offset % 256 == 0);
        const std::vector<std::byte> file = random_file(type, rows, columns);
        std::vector<float> expected(static_cast<std::size_t>(rows * columns));
        decode_to_f32(type, file, expected.size(), expected.data());
        std::vector<std::byte> memory(weight.bytes, kStale);
        // In two parts, as uploads go.
        const std::size_t row_bytes = file.size() / static_cast<std::size_t>(rows);
        const std::int64_t half = std::int64_t{rows} / 2;
        const std::size_t cut = static_cast<std::size_t>(half) * row_bytes;
        pack_rows(weight, half, rows - half, std::span(file).subspan(cut), memory);
        pack_rows(weight, 0, half, std::span(file).first(cut), memory);
        int wrong = 0;
        for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
          for (std::size_t column = 0; column < static_cast<std::size_t>(columns); ++column) {
            wrong += element(weight, memory, row, column) != expected[row * static_cast<std::size_t>(columns) + column];
          }
        }
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("a quantised matrix is little larger on the device than in the file") {
  for (const QuantisedType& type : quantised_types()) {
    CAPTURE(type.name);
    const double device = static_cast<double>(matrix_weight(type.dtype, 4096, 4096, 1).bytes);
    const double file = static_cast<double>(byte_size(type.dtype, {4096, 4096}));
    CHECK(device >= file);
    CHECK(device <= file * 1.02);
  }
}

TEST_CASE("rows of odd widths are padded with zeros") {
  for (const DType type : {DType::F32, DType::F16, DType::BF16}) {
    const DeviceWeight weight = matrix_weight(type, 3, 5, 1);
    std::vector<std::byte> memory(weight.bytes, kStale);
    pack_rows(weight, 0, 3, random_file(type, 3, 5), memory);
    const std::size_t padded = 8;  // two words of four, or one of eight
    for (std::size_t row = 0; row < 3; ++row) {
      for (std::size_t column = 5; column < padded; ++column) CHECK(element(weight, memory, row, column) == 0.0f);
    }
  }
}

TEST_CASE("a dense weight is decoded, whatever its type") {
  for (const DType type : matrix_types()) {
    DeviceWeight weight;
    weight.layout = WeightLayout::Dense;
    weight.dtype = type;
    weight.columns = std::max<std::int64_t>(96, dtype_info(type).block_elements);
    weight.row_count = 2;
    lay_out(weight);
    const auto count = static_cast<std::size_t>(2 * weight.columns);
    CHECK(weight.bytes == count * 4);
    const std::vector<std::byte> file = random_file(type, 2, weight.columns);
    std::vector<float> expected(count);
    decode_to_f32(type, file, expected.size(), expected.data());
    std::vector<std::byte> memory(weight.bytes, kStale);
    pack_rows(weight, 1, 1, std::span(file).subspan(file.size() / 2), memory);
    pack_rows(weight, 0, 1, std::span(file).first(file.size() / 2), memory);
    CHECK(std::memcmp(memory.data(), expected.data(), memory.size()) == 0);
  }
}

TEST_CASE("an ordered weight is decoded to its places, with zeros around it") {
  for (const DType type : matrix_types()) {
    DeviceWeight weight;
    weight.layout = WeightLayout::Ordered;
    weight.dtype = type;
    weight.columns = std::max<std::int64_t>(96, dtype_info(type).block_elements);
    weight.row_count = 1;
    // Rows 2 and 0 of 3 x 32 and perhaps more, as columns padded to 4.
    weight.order = {{32, 4}, {32, 2}, {1, -64}, 64};
    lay_out(weight);
    CHECK(weight.bytes == 32 * 4 * 4);
    const std::vector<std::byte> file = random_file(type, 1, weight.columns);
    std::vector<float> elements(static_cast<std::size_t>(weight.columns));
    decode_to_f32(type, file, elements.size(), elements.data());
    std::vector<float> memory(32 * 4, 7.0f);
    pack_rows(weight, 0, 1, file, std::as_writable_bytes(std::span(memory)));
    for (std::size_t i = 0; i < 32; ++i) {
      CHECK(memory[4 * i] == elements[64 + i]);
      CHECK(memory[4 * i + 1] == elements[i]);
      CHECK(memory[4 * i + 2] == 0.0f);
      CHECK(memory[4 * i + 3] == 0.0f);
    }
  }
}

TEST_CASE("an ordered weight of halves is what it was, times a power of two of each row") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr std::size_t kRows = 8, kColumns = 16;
  std::vector<float> rows(kRows * kColumns);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i * 7919 % 1009) / 504.5f - 1.0f;
  const float scales[kRows] = {1.0f, 1e30f, 1e-30f, 3e-38f, 1e-42f, 0.0f, 1.0f, 1.0f};
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] *= scales[i / kColumns];
  rows[5] = 0.0f;
  rows[6] = -1e-30f;  // no half of f16 holds it
  rows[6 * kColumns + 3] = -kInfinity;
  rows[7 * kColumns + 9] = std::numeric_limits<float>::quiet_NaN();
  for (const std::uint32_t halves : {1u, 2u}) {
    CAPTURE(halves);
    DeviceWeight weight;
    weight.layout = WeightLayout::Ordered;
    weight.dtype = DType::F32;
    weight.columns = static_cast<std::int64_t>(rows.size());
    weight.row_count = 1;
    weight.order = {{kRows, kColumns + 8}, {kRows, kColumns}, {kColumns, 1}, 0, halves};
    lay_out(weight);
    const std::size_t half = kRows * (kColumns + 8);
    CHECK(weight.scales_offset == (halves * half * 2 + 255) / 256 * 256);
    CHECK(weight.bytes == weight.scales_offset + kRows * 4);
    std::vector<std::byte> memory(weight.bytes, kStale);
    pack_rows(weight, 0, 1, std::as_bytes(std::span(rows)), memory);
    std::vector<std::uint16_t> words(halves * half);
    std::memcpy(words.data(), memory.data(), words.size() * 2);
    std::int32_t exponents[kRows];
    std::memcpy(exponents, memory.data() + weight.scales_offset, sizeof(exponents));
    for (std::size_t r = 0; r < kRows; ++r) {
      CAPTURE(r);
      float largest = 0.0f;
      for (std::size_t i = 0; i < kColumns + 8; ++i) {
        const std::size_t at = r * (kColumns + 8) + i;
        double sum = f16_to_f32(words[at]);
        if (halves == 2) sum += f16_to_f32(words[half + at]);
        largest = std::max(largest, std::abs(f16_to_f32(words[at])));
        if (r == 6 && i == 3) {
          CHECK(sum == -kInfinity);
        } else if (r == 7 && i == 9) {
          CHECK(std::isnan(sum));
        } else if (i >= kColumns) {
          CHECK(sum == 0.0);
        } else {
          const double element = rows[r * kColumns + i];
          const int exponent = exponents[r] - (r >= 6 ? kBrokenExponent : 0);
          const double back = std::ldexp(sum, exponent - kHalfExponent);
          const double finest = std::ldexp(1.0, exponent - kHalfExponent - (halves == 2 ? 25 : 24));  // of f16
          CHECK(((words[at] & 0x7fff) == 0) == (element == 0.0));
          CHECK(std::abs(back - element) <= std::max(std::abs(element) * (halves == 2 ? 0x1p-22 : 0x1p-11), finest));
        }
      }
      if (r < 3) CHECK((largest >= 16384.0f && largest <= 32768.0f));
    }
    CHECK(exponents[4] == kLeastExponent);
    CHECK(exponents[5] == kLeastExponent);
    CHECK(exponents[6] == kBrokenExponent - 1);  // all others are less than 1
    CHECK(exponents[7] == kBrokenExponent - 1);
  }
}

TEST_CASE("pieces fit the range and the allocation, and larger ones do not") {
  DeviceCaps caps;
  for (const DType type : matrix_types()) {
    const std::int64_t columns = std::max<std::int64_t>(64, dtype_info(type).block_elements);
    for (const std::uint64_t range : {std::uint64_t{20000}, std::uint64_t{65536}, std::uint64_t{1} << 27}) {
      for (const std::uint64_t allocation : {std::uint64_t{30000}, std::uint64_t{1} << 30}) {
        caps.max_storage_buffer_range = range;
        caps.max_memory_allocation = allocation;
        const std::int64_t rows = rows_per_piece(type, columns, 1, 32, caps);
        CHECK(rows > 0);
        CHECK(rows % 32 == 0);
        const auto quants = [&](std::int64_t count) {
          const DeviceWeight piece = matrix_weight(type, count, columns, 1);
          return piece.scales_offset == 0 ? piece.bytes : piece.scales_offset;
        };
        CHECK(quants(rows) <= range);
        CHECK(matrix_weight(type, rows, columns, 1).bytes <= allocation);
        CHECK((quants(rows + 32) > range || matrix_weight(type, rows + 32, columns, 1).bytes + 256 > allocation));
      }
    }
  }
}

TEST_CASE("bands narrow until they fit") {
  DeviceCaps caps;
  caps.max_storage_buffer_range = 256 * 100;  // a hundred rows of 64 floats
  CHECK(band_within(DType::F32, 64, 128, caps) == 64);
  CHECK(band_within(DType::F32, 64, 96, caps) == 96);
  CHECK(band_within(DType::F32, 64, 1, caps) == 1);
  caps.max_storage_buffer_range = 100;
  CHECK(band_within(DType::F32, 64, 128, caps) == 1);
}

TEST_CASE("rows that do not fit at all are refused with the numbers") {
  DeviceCaps caps;
  caps.max_storage_buffer_range = 1000;
  CHECK_THROWS_WITH_AS(rows_per_piece(DType::F32, 64, 1, 32, caps), doctest::Contains("8192 bytes"), Error);
  CHECK_THROWS_AS(matrix_row_units(DType::I32, 64), Error);
}

TEST_CASE("different weights have different keys") {
  DeviceWeight a = matrix_weight(DType::F32, 4, 8, 1);
  a.parts = {"a", "b"};
  DeviceWeight b = a;
  CHECK(a.key() == b.key());
  b.parts = {"b", "a"};
  CHECK(a.key() != b.key());
  b = a;
  b.row_begin = 1;
  CHECK(a.key() != b.key());
  b = a;
  b.layout = WeightLayout::Dense;
  CHECK(a.key() != b.key());
  a.layout = b.layout = WeightLayout::Ordered;
  CHECK(a.key() == b.key());
  b.order.first = 1;
  CHECK(a.key() != b.key());
  b = a;
  b.order.halves = 1;
  CHECK(a.key() != b.key());
}

}  // namespace heed
