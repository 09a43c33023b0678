#include "plan/weight_layout.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>

#include "graph/convert_dtype.h"
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

/// One element as shaders/include/weights.glsl reads it, from 32-bit words and f32 scales.
float element(const DeviceWeight& weight, const std::vector<std::byte>& memory, std::size_t row, std::size_t column) {
  const auto band = static_cast<std::size_t>(weight.band);
  // The i-th 16-byte word of the row in a plane.
  const auto word = [&](std::size_t row_words, std::size_t i) {
    return row / band * band * row_words + row % band + i * band;
  };
  const auto row_words = static_cast<std::size_t>(matrix_row_units(weight.dtype, weight.columns));
  const auto scale = [&](std::size_t block) {
    const std::size_t four = word(static_cast<std::size_t>((weight.columns / 32 + 3) / 4), block / 4);
    return load<float>(memory, weight.scales_offset / 4 + four * 4 + block % 4);
  };
  switch (weight.dtype) {
    case DType::F32:
      return load<float>(memory, word(row_words, column / 4) * 4 + column % 4);
    case DType::F16:
    case DType::BF16: {
      const auto pair = load<std::uint32_t>(memory, word(row_words, column / 8) * 4 + column % 8 / 2);
      const auto half = static_cast<std::uint16_t>(column % 2 == 0 ? pair & 0xffffu : pair >> 16);
      return weight.dtype == DType::F16 ? f16_to_f32(half) : bf16_to_f32(half);
    }
    case DType::Q8_0: {
      const auto four = load<std::uint32_t>(memory, word(row_words, column / 16) * 4 + column % 16 / 4);
      const auto quant = static_cast<std::int8_t>(four >> (8 * (column % 4)));
      return static_cast<float>(quant) * scale(column / 32);
    }
    default: {
      const std::size_t place = column % 32;
      const auto four = load<std::uint32_t>(memory, word(row_words, column / 32) * 4 + place % 16 / 4);
      const auto shift = 8 * (place % 4) + (place >= 16 ? 4 : 0);
      return static_cast<float>(static_cast<int>(four >> shift & 15u) - 8) * scale(column / 32);
    }
  }
}

}  // namespace

TEST_CASE("a packed matrix reads as the file decodes") {
  for (const DType type : matrix_types()) {
    const bool blocks = dtype_info(type).block_elements > 1;
    for (const std::int64_t columns :
         blocks ? std::vector<std::int64_t>{32, 64, 96, 288} : std::vector<std::int64_t>{1, 3, 4, 5, 8, 36, 44, 172}) {
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
    weight.columns = 96;
    weight.row_count = 2;
    lay_out(weight);
    CHECK(weight.bytes == 2 * 96 * 4);
    const std::vector<std::byte> file = random_file(type, 2, 96);
    std::vector<float> expected(2 * 96);
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
    weight.columns = 96;
    weight.row_count = 1;
    // Rows 2 and 0 of 3 x 32, as columns padded to 4.
    weight.order = {{32, 4}, {32, 2}, {1, -64}, 64};
    lay_out(weight);
    CHECK(weight.bytes == 32 * 4 * 4);
    const std::vector<std::byte> file = random_file(type, 1, 96);
    std::vector<float> elements(96);
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

TEST_CASE("pieces fit the range and the allocation, and larger ones do not") {
  DeviceCaps caps;
  for (const DType type : matrix_types()) {
    for (const std::uint64_t range : {std::uint64_t{20000}, std::uint64_t{65536}, std::uint64_t{1} << 27}) {
      for (const std::uint64_t allocation : {std::uint64_t{30000}, std::uint64_t{1} << 30}) {
        caps.max_storage_buffer_range = range;
        caps.max_memory_allocation = allocation;
        const std::int64_t rows = rows_per_piece(type, 64, 1, 32, caps);
        CHECK(rows > 0);
        CHECK(rows % 32 == 0);
        const auto quants = [&](std::int64_t count) {
          const DeviceWeight piece = matrix_weight(type, count, 64, 1);
          return piece.scales_offset == 0 ? piece.bytes : piece.scales_offset;
        };
        CHECK(quants(rows) <= range);
        CHECK(matrix_weight(type, rows, 64, 1).bytes <= allocation);
        CHECK((quants(rows + 32) > range || matrix_weight(type, rows + 32, 64, 1).bytes + 256 > allocation));
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
}

}  // namespace heed
