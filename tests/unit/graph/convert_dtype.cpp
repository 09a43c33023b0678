#include "graph/convert_dtype.h"

#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "graph/quantised.h"
#include "heed/error.h"

namespace heed {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

// What the bits of an f16 mean, from the definition.
double f16_meaning(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int mantissa = bits & 0x3ff;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

std::string to_hex(const std::vector<std::byte>& bytes) {
  static const char* const kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte b : bytes) {
    text += kDigits[std::to_integer<int>(b) >> 4];
    text += kDigits[std::to_integer<int>(b) & 15];
  }
  return text;
}

std::vector<std::byte> encode(DType type, const std::vector<float>& values) {
  const DTypeInfo& info = dtype_info(type);
  std::vector<std::byte> bytes(values.size() / info.block_elements * info.block_bytes);
  encode_from_f32(type, values, bytes);
  return bytes;
}

std::vector<float> decode(DType type, const std::vector<std::byte>& bytes) {
  const DTypeInfo& info = dtype_info(type);
  std::vector<float> values(bytes.size() / info.block_bytes * info.block_elements);
  decode_to_f32(type, bytes, values.size(), values.data());
  return values;
}

std::vector<float> gaussian_block() {
  return {0x1.b0c64ap+0f,   -0x1.dd1ebp-2f,  0x1.0cdcep-5f,   0x1.a14bf2p-2f,  -0x1.93edb8p-1f, 0x1.0ebd2p-9f,
          -0x1.d2d192p-11f, -0x1.c1359cp+0f, 0x1.04853cp+0f,  0x1.33748ap-1f,  -0x1.40383ap-1f, -0x1.5f54b2p-3f,
          0x1.02b69ap-1f,   -0x1.0ba104p-2f, -0x1.f1266ep-3f, -0x1.7407a2p+0f, 0x1.1bf1f4p-1f,  0x1.fb6a8cp-4f,
          0x1.190c06p-2f,   -0x1.86ca5p+0f,  0x1.a69442p+0f,  0x1.3c1444p-3f,  -0x1.8c6e6ap-2f, 0x1.03b8a4p+1f,
          -0x1.73cd68p-5f,  -0x1.735faep+0f, -0x1.9ef40ep-2f, -0x1.24e782p+1f, 0x1.0ca54p+0f,   -0x1.aa783ep-2f,
          -0x1.7c2ffap-1f,  0x1.128d68p+0f};
}

std::vector<float> ramp_block() {
  std::vector<float> block;
  for (int i = 0; i < 32; ++i) block.push_back((static_cast<float>(i) - 15.5f) / 4.0f);
  return block;
}

// Two elements of the largest magnitude with opposite signs: the first decides q4_0's scale.
std::vector<float> tie_block() {
  std::vector<float> block(32, 0.0f);
  block[3] = -2.5f;
  block[20] = 2.5f;
  block[4] = 1.25f;
  block[5] = -0.15625f;
  return block;
}

// A scale of exactly 1, so that every element but the first lies halfway between two values of q8_0.
std::vector<float> halves_block() {
  std::vector<float> block = {127.0f};
  for (int i = 0; i < 31; ++i) block.push_back(static_cast<float>(i - 15) + 0.5f);
  return block;
}

}  // namespace

TEST_CASE("f16 to f32 is exact for every finite number") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    if ((half & 0x7c00) == 0x7c00) continue;
    const float value = f16_to_f32(half);
    if (static_cast<double>(value) != f16_meaning(half) || std::signbit(value) != (half >> 15 != 0)) FAIL_CHECK(bits);
    if (f32_to_f16(value) != half) FAIL_CHECK(bits);
  }
}

TEST_CASE("f16 keeps infinities and NaN payloads") {
  CHECK(f16_to_f32(0x7c00) == kInfinity);
  CHECK(f16_to_f32(0xfc00) == -kInfinity);
  CHECK(bits_of(f16_to_f32(0x7e01)) == 0x7fc02000u);
  CHECK(bits_of(f16_to_f32(0xfd55)) == 0xffaaa000u);
  CHECK(f32_to_f16(kInfinity) == 0x7c00);
  CHECK(f32_to_f16(-kInfinity) == 0xfc00);
  CHECK(f32_to_f16(std::bit_cast<float>(0x7fc02000u)) == 0x7e01);
  CHECK(f32_to_f16(std::bit_cast<float>(0xff800001u)) == 0xfe00);  // a payload that f16 cannot hold stays a NaN
}

// Rounding is monotone, so it is right everywhere if it is right just below, at and just above every midpoint.
TEST_CASE("f32 to f16 rounds to nearest even around every midpoint") {
  for (std::uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const auto low = static_cast<std::uint16_t>(bits);
    const auto high = static_cast<std::uint16_t>(bits + 1);
    const double above = high == 0x7c00 ? 65536.0 : f16_meaning(high);
    const auto middle = static_cast<float>((f16_meaning(low) + above) / 2);
    const std::uint16_t even = low % 2 == 0 ? low : high;
    if (f32_to_f16(middle) != even) FAIL_CHECK(bits);
    if (f32_to_f16(-middle) != (even | 0x8000)) FAIL_CHECK(bits);
    if (f32_to_f16(std::nextafter(middle, 0.0f)) != low) FAIL_CHECK(bits);
    if (f32_to_f16(std::nextafter(middle, kInfinity)) != high) FAIL_CHECK(bits);
  }
  CHECK(f32_to_f16(std::numeric_limits<float>::max()) == 0x7c00);
  CHECK(f32_to_f16(std::numeric_limits<float>::denorm_min()) == 0);
  CHECK(f32_to_f16(-0.0f) == 0x8000);
}

TEST_CASE("bf16 is the upper half of f32, rounded to nearest even") {
  CHECK(bits_of(bf16_to_f32(0x3f81)) == 0x3f810000u);
  CHECK(f32_to_bf16(std::bit_cast<float>(0x3f808000u)) == 0x3f80);
  CHECK(f32_to_bf16(std::bit_cast<float>(0x3f818000u)) == 0x3f82);
  CHECK(f32_to_bf16(std::bit_cast<float>(0x3f808001u)) == 0x3f81);
  CHECK(f32_to_bf16(std::bit_cast<float>(0xbf807fffu)) == 0xbf80);
  CHECK(f32_to_bf16(std::numeric_limits<float>::max()) == 0x7f80);
  CHECK(f32_to_bf16(-kInfinity) == 0xff80);
  CHECK(f32_to_bf16(std::bit_cast<float>(0x7f800001u)) == 0x7fc0);  // else it would become infinity
  CHECK(f32_to_bf16(std::bit_cast<float>(0xffffffffu)) == 0xffff);  // else it would carry into zero
  CHECK(f32_to_bf16(std::bit_cast<float>(0x00000001u)) == 0x0000);
}

// Expected bytes: the quantisers of ggml's Python package, which are bit-equal to its C reference.
TEST_CASE("q8_0 has the bytes of ggml's reference") {
  CHECK(to_hex(encode(DType::Q8_0, gaussian_block())) ==
        "9d245ee60217d400009f3821ddf61cf1f3af1f070fab5c09eb71fdafea813ae9d73c");
  CHECK(to_hex(encode(DType::Q8_0, ramp_block())) ==
        "d0278189919aa2aab2bac3cbd3dbe3ecf4fc040c141d252d353d464e565e666f777f");
  CHECK(to_hex(encode(DType::Q8_0, tie_block())) ==
        "0a250000008140f800000000000000000000000000007f0000000000000000000000");
  CHECK(to_hex(encode(DType::Q8_0, halves_block())) ==
        "003c7ff1f2f3f4f5f6f7f8f9fafbfcfdfeff0102030405060708090a0b0c0d0e0f10");
}

TEST_CASE("q4_0 has the bytes of ggml's reference") {
  CHECK(to_hex(encode(DType::Q4_0, gaussian_block())) == "9434ae869839e59878f28c3a7607ca7757c3");
  CHECK(to_hex(encode(DType::Q4_0, ramp_block())) == "c037809191a2a2b3b3c4c4d5d5e6e6f7f7f8");
  CHECK(to_hex(encode(DType::Q4_0, tie_block())) == "003588888880fc8888888888888888888888");
  CHECK(to_hex(encode(DType::Q4_0, halves_block())) == "f0cb80898989898989897878787878787878");
}

TEST_CASE("blocks too small for an f16 scale become zero") {
  for (const float value : {0.0f, 1e-12f, 1e-40f, std::numeric_limits<float>::denorm_min()}) {
    for (const QuantisedType& type : quantised_types()) {
      CAPTURE(type.name);
      const std::vector<float> values(type.block_elements, value);
      for (const float decoded : decode(type.dtype, encode(type.dtype, values))) CHECK(decoded == 0.0f);
    }
  }
}

std::vector<std::byte> from_hex(const std::string& text) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::vector<float> floats_from_hex(const std::string& text) {
  const std::vector<std::byte> bytes = from_hex(text);
  std::vector<float> floats(bytes.size() / 4);
  std::memcpy(floats.data(), bytes.data(), floats.size() * 4);
  return floats;
}

/// What make_ggml_blocks.py wrote.
nlohmann::json ggml_blocks() {
  std::ifstream file(std::string(HEED_SOURCE_DIR) + "/tests/unit/graph/ggml_blocks.json");
  REQUIRE(file);
  return nlohmann::json::parse(file);
}

TEST_CASE("every quantised type decodes to the bit as ggml does") {
  const nlohmann::json ggml = ggml_blocks();
  for (const QuantisedType& type : quantised_types()) {
    CAPTURE(type.name);
    const nlohmann::json& vectors = ggml.at("types").at(std::string(type.name));
    const std::vector<std::byte> blocks = from_hex(vectors.at("blocks").get<std::string>());
    const std::vector<float> expected = floats_from_hex(vectors.at("values").get<std::string>());
    REQUIRE(blocks.size() == 4 * type.block_bytes);
    REQUIRE(expected.size() == 4 * type.block_elements);
    const std::vector<float> decoded = decode(type.dtype, blocks);
    REQUIRE(decoded.size() == expected.size());
    int wrong = 0;
    for (std::size_t i = 0; i < decoded.size(); ++i) {
      wrong += std::bit_cast<std::uint32_t>(decoded[i]) != std::bit_cast<std::uint32_t>(expected[i]);
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("quantised types are off by little more than ggml's own quantisers, whatever the sizes of numbers") {
  const nlohmann::json ggml = ggml_blocks();
  const std::vector<float> original = floats_from_hex(ggml.at("original").get<std::string>());
  for (const QuantisedType& type : quantised_types()) {
    CAPTURE(type.name);
    const double theirs = ggml.at("types").at(std::string(type.name)).at("error").get<double>();
    for (const float size : {1.0f, -1.0f, 3e-3f, 100.0f}) {
      std::vector<float> values = original;
      for (float& value : values) value *= size;
      const std::vector<float> decoded = decode(type.dtype, encode(type.dtype, values));
      double squares = 0.0, errors = 0.0;
      for (std::size_t i = 0; i < values.size(); ++i) {
        squares += static_cast<double>(values[i]) * values[i];
        errors += (static_cast<double>(decoded[i]) - values[i]) * (static_cast<double>(decoded[i]) - values[i]);
      }
      const double error = std::sqrt(errors / squares);
      MESSAGE(type.name << ": relative error " << error << ", ggml's " << theirs);
      CHECK(error < 1.1 * theirs);
    }
  }
}

TEST_CASE("numbers that a quantised type holds exactly stay what they are") {
  for (const QuantisedType& type : quantised_types()) {
    CAPTURE(type.name);
    // Every element of a block the same: a power of two, which every scale can say.
    for (const float value : {0.5f, -2.0f}) {
      const std::vector<float> values(type.block_elements, value);
      for (const float decoded : decode(type.dtype, encode(type.dtype, values))) {
        CHECK(std::fabs(decoded - value) <= 2e-2f * std::fabs(value));
      }
    }
    const std::vector<float> zeros(type.block_elements, 0.0f);
    for (const float decoded : decode(type.dtype, encode(type.dtype, zeros))) CHECK(decoded == 0.0f);
  }
}

TEST_CASE("quantised blocks decode to value times scale in ggml's order") {
  std::vector<std::byte> q8(34);
  std::vector<std::byte> q4(18);
  const std::uint16_t scale = 0x3800;  // 0.5
  std::memcpy(q8.data(), &scale, 2);
  std::memcpy(q4.data(), &scale, 2);
  for (int i = 0; i < 32; ++i) q8[static_cast<std::size_t>(2 + i)] = static_cast<std::byte>(i * 8 - 128);
  for (int i = 0; i < 16; ++i) q4[static_cast<std::size_t>(2 + i)] = static_cast<std::byte>(i | (15 - i) << 4);
  const std::vector<float> from_q8 = decode(DType::Q8_0, q8);
  const std::vector<float> from_q4 = decode(DType::Q4_0, q4);
  for (int i = 0; i < 32; ++i) {
    const auto at = static_cast<std::size_t>(i);
    CHECK(from_q8[at] == 0.5f * static_cast<float>(i * 8 - 128));
    CHECK(from_q4[at] == 0.5f * static_cast<float>(i < 16 ? i - 8 : 15 - (i - 16) - 8));
  }
}

TEST_CASE("every type decodes many elements as it decodes one, from bytes at any address") {
  std::vector<float> values;
  for (int i = 0; i < 256 * 5; ++i) values.push_back(std::sin(static_cast<float>(i)) * 3.0f);
  for (const DType type : matrix_types()) {
    CAPTURE(dtype_name(type));
    const DTypeInfo& info = dtype_info(type);
    const std::vector<std::byte> bytes = encode(type, values);
    std::vector<std::byte> shifted(bytes.size() + 1);
    std::copy(bytes.begin(), bytes.end(), shifted.begin() + 1);
    std::vector<float> all(values.size());
    decode_to_f32(type, std::span(shifted).subspan(1), all.size(), all.data());
    const QuantisedType* quantised = quantised_type(type);
    const std::uint32_t width = quantised == nullptr ? 8 : quantised->low_bits + quantised->high_bits;
    // Numbers go from -3 to 3.
    const double tolerance = type == DType::F32 ? 0.0 : width == 8 ? 0.013 : 6.4 / (1 << width);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!(std::fabs(all[i] - values[i]) <= tolerance)) FAIL_CHECK(i);
    }
    for (std::size_t b = 0; b < all.size() / info.block_elements; ++b) {
      std::vector<float> one(info.block_elements);
      decode_to_f32(type, std::span(bytes).subspan(b * info.block_bytes, info.block_bytes), one.size(), one.data());
      if (std::memcmp(one.data(), &all[b * info.block_elements], one.size() * sizeof(float)) != 0) FAIL_CHECK(b);
    }
  }
}

TEST_CASE("what cannot be converted is refused") {
  std::vector<float> values(32, 1.0f);
  std::vector<std::byte> bytes(256);
  CHECK_THROWS_AS(encode_from_f32(DType::I32, values, std::span(bytes).first(128)), Error);
  CHECK_THROWS_AS(decode_to_f32(DType::Bool, std::span(bytes).first(32), 32, values.data()), Error);
  CHECK_THROWS_AS(encode_from_f32(DType::F16, values, std::span(bytes).first(63)), Error);
  CHECK_THROWS_AS(encode_from_f32(DType::F16, values, std::span(bytes).first(65)), Error);
  CHECK_THROWS_AS(encode_from_f32(DType::Q8_0, std::span(values).first(31), std::span(bytes).first(34)), Error);
  CHECK_THROWS_AS(decode_to_f32(DType::Q4_0, std::span(bytes).first(17), 32, values.data()), Error);
  CHECK_THROWS_AS(decode_to_f32(DType::Q4_0, std::span(bytes).first(19), 32, values.data()), Error);
  for (const QuantisedType& type : quantised_types()) {
    CAPTURE(type.name);
    std::vector<float> block(type.block_elements, 1.0f);
    std::vector<std::byte> to(type.block_bytes);
    CHECK_NOTHROW(encode_from_f32(type.dtype, block, to));
    for (const float bad : {kInfinity, -kInfinity, std::nanf(""), 1e38f}) {
      block[17] = bad;
      CHECK_THROWS_AS(encode_from_f32(type.dtype, block, to), Error);
    }
    block[17] = 1.0f;
    CHECK_THROWS_AS(encode_from_f32(type.dtype, std::span(block).first(31), to), Error);
    CHECK_THROWS_AS(decode_to_f32(type.dtype, std::span(to).first(type.block_bytes - 1), block.size(), block.data()),
                    Error);
  }
  CHECK_NOTHROW(encode_from_f32(DType::Q4_0, {}, {}));
}

TEST_CASE("f32 elements are packed as f16, two to a word, and unpacked") {
  const std::vector<float> numbers = {1.0f, -2.5f, 65504.0f, 1e9f, 0x1p-24f};
  std::vector<std::uint32_t> words(numbers.size());
  std::memcpy(words.data(), numbers.data(), words.size() * 4);
  const std::vector<std::uint32_t> packed = pack_f16(words);
  CHECK(packed == std::vector<std::uint32_t>{0xc1003c00u, 0x7c007bffu, 0x00000001u});
  std::vector<float> back(numbers.size());
  std::memcpy(back.data(), unpack_f16(packed, back.size()).data(), back.size() * 4);
  CHECK(back == std::vector<float>{1.0f, -2.5f, 65504.0f, HUGE_VALF, 0x1p-24f});
}

TEST_CASE("types say whether something is subtracted of their numbers") {
  for (const QuantisedType& type : quantised_types()) {
    CAPTURE(type.name);
    // Numbers that are all above zero, which make minima of those that have them.
    std::vector<float> from(type.block_elements);
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = 5.0f + static_cast<float>(i % 7);
    std::vector<std::byte> block(type.block_bytes);
    type.quantise(from.data(), block.data());
    for (std::byte& byte : block) byte |= std::byte{0x11};  // K-quants have minima below zero alone
    QuantBlock unpacked;
    type.unpack(block.data(), unpacked);
    bool any = false;
    for (std::size_t g = 0; g < type.block_elements / type.group; ++g) any = any || unpacked.minima[g] != 0.0f;
    CHECK(any == type.minima);
  }
}

}  // namespace heed
