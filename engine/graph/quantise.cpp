#include "graph/quantise.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

#include "graph/convert_dtype.h"
#include "graph/dtype.h"
#include "heed/error.h"

namespace heed {
namespace {

// The number rounded to nearest, halves away from zero, as C's roundf; for |x| < 2^31.
inline std::int32_t round_away(float x) {
  const auto whole = static_cast<std::int32_t>(x);
  const float rest = x - static_cast<float>(whole);  // exact
  return whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0);
}

// The element of a block with the largest magnitude, the first of equals, with its sign.
float extreme_of(std::span<const float> block, DType type) {
  float extreme = 0.0f;
  bool finite = true;
  for (std::size_t i = 0; i < block.size(); ++i) {
    finite = finite && std::isfinite(block[i]);
    if (std::fabs(block[i]) > std::fabs(extreme)) extreme = block[i];
  }
  if (!finite)
    throw Error(fmt::format("cannot quantise to {}: an element is infinite or not a number", dtype_name(type)));
  return extreme;
}

std::uint16_t scale_bits(float scale, float extreme, DType type) {
  const std::uint16_t bits = f32_to_f16(scale);
  if ((bits & 0x7fffu) == 0x7c00u) {
    throw Error(
        fmt::format("cannot quantise to {}: element {} needs the scale {}, above the largest f16 65504; use f32",
                    dtype_name(type), extreme, scale));
  }
  return bits;
}

// 1 / scale, or 0 for scales so small that it would be infinite: their f16 is 0 as well, so all values of the block
// are.
float inverse_of(float scale) {
  const float inverse = 1.0f / scale;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

void store_u16(std::uint16_t value, std::byte* to) { std::memcpy(to, &value, sizeof value); }

/// Writes what the block's scale becomes, and returns what that stands for.
double store_scale(double scale, float extreme, DType type, std::byte* to) {
  const std::uint16_t bits = scale_bits(static_cast<float>(scale), extreme, type);
  store_u16(bits, to);
  return f16_to_f32(bits);
}

/// x / scale rounded to nearest, halves upwards, within [least, most]; 0, or what is nearest to it, where scale is 0.
int nearest(double x, double scale, int least, int most) {
  const double quotient = scale == 0.0 ? 0.0 : x / scale;
  return static_cast<int>(
      std::clamp(std::floor(quotient + 0.5), static_cast<double>(least), static_cast<double>(most)));
}

// Quants of five bits or less of 32 elements as files hold them.
void store_nibbles(const std::array<int, 32>& quants, std::byte* to) {
  for (std::size_t i = 0; i < 16; ++i) to[i] = static_cast<std::byte>((quants[i] & 15) | (quants[i + 16] & 15) << 4);
}
void store_fifth_bits(const std::array<int, 32>& quants, std::byte* to) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < 32; ++i) bits |= static_cast<std::uint32_t>(quants[i] >> 4) << i;
  std::memcpy(to, &bits, sizeof bits);
}

/// Quants of `from` between its least and largest element, and what says so at the block's beginning.
std::array<int, 32> quantise_range(const float* from, int most, DType type, std::byte* block) {
  const float extreme = extreme_of({from, 32}, type);
  const auto [least, largest] = std::minmax_element(from, from + 32);
  const double scale = store_scale((static_cast<double>(*largest) - *least) / most, extreme, type, block);
  const double added = store_scale(*least, extreme, type, block + 2);
  std::array<int, 32> quants;
  for (std::size_t i = 0; i < 32; ++i) quants[i] = nearest(from[i] - added, scale, 0, most);
  return quants;
}

constexpr int kTries = 10;  // of other ranges to either side

struct Fit {
  double scale = 0.0;
  double minimum = 0.0;
};

/// The best of x = scale * quant - minimum with quants from 0 to `most` and no minimum below 0.
Fit fit_range(std::span<const float> x, int most) {
  const double low = std::min(0.0, static_cast<double>(*std::ranges::min_element(x)));
  const double high = *std::ranges::max_element(x);
  if (!(high > low)) return {0.0, -low};
  Fit best;
  double least = std::numeric_limits<double>::infinity();
  for (int t = -kTries; t <= kTries; ++t) {
    const double step = (high - low) / (most + 0.1 * t);
    double sum_q = 0.0, sum_qq = 0.0, sum_x = 0.0, sum_qx = 0.0;
    for (const float value : x) {
      const double q = nearest(value - low, step, 0, most);
      sum_q += q;
      sum_qq += q * q;
      sum_x += value;
      sum_qx += q * value;
    }
    const auto n = static_cast<double>(x.size());
    const double determinant = n * sum_qq - sum_q * sum_q;
    Fit fit{step, -low};
    if (determinant > 0.0) {
      fit.scale = (n * sum_qx - sum_q * sum_x) / determinant;
      fit.minimum = (fit.scale * sum_q - sum_x) / n;
    }
    if (fit.minimum < 0.0) fit = {sum_qq > 0.0 ? sum_qx / sum_qq : 0.0, 0.0};
    double error = 0.0;
    for (const float value : x) {
      const double off = fit.scale * nearest(value + fit.minimum, fit.scale, 0, most) - fit.minimum - value;
      error += off * off;
    }
    if (error < least && fit.scale >= 0.0) {
      least = error;
      best = fit;
    }
  }
  return best;
}

/// The best scale of x = scale * quant with quants from `least` to -least - 1.
double fit_scale(std::span<const float> x, int least) {
  float extreme = 0.0f;
  for (const float value : x) {
    if (std::fabs(value) > std::fabs(extreme)) extreme = value;
  }
  if (extreme == 0.0f) return 0.0;
  double best = 0.0;
  double most_explained = -1.0;
  for (int t = -kTries; t <= kTries; ++t) {
    const double step = extreme / (least + 0.1 * t * least / 32.0);
    double sum_qq = 0.0, sum_qx = 0.0;
    for (const float value : x) {
      const double q = nearest(value, step, least, -least - 1);
      sum_qq += q * q;
      sum_qx += q * value;
    }
    // What is left of the squares of x is less by this.
    const double explained = sum_qq > 0.0 ? sum_qx * sum_qx / sum_qq : 0.0;
    if (explained > most_explained) {
      most_explained = explained;
      best = sum_qq > 0.0 ? sum_qx / sum_qq : step;
    }
  }
  return best;
}

/// A block of 256 in groups: quants and codes of scales and minima, not yet in their places.
struct Coded {
  std::array<int, 256> quants;
  std::array<int, 16> scales;
  std::array<int, 16> minima;
};

/// Groups with minima; the factors of scales and minima go to `to` and the f16 after it.
Coded quantise_ranges(const float* from, std::size_t group, int most, int most_code, DType type, std::byte* to) {
  const float extreme = extreme_of({from, 256}, type);
  std::array<Fit, 16> fits;
  Fit largest;
  for (std::size_t g = 0; g < 256 / group; ++g) {
    fits[g] = fit_range({from + g * group, group}, most);
    largest = {std::max(largest.scale, fits[g].scale), std::max(largest.minimum, fits[g].minimum)};
  }
  const double scale = store_scale(largest.scale / most_code, extreme, type, to);
  const double minimum = store_scale(largest.minimum / most_code, extreme, type, to + 2);
  Coded coded;
  for (std::size_t g = 0; g < 256 / group; ++g) {
    coded.scales[g] = nearest(fits[g].scale, scale, 0, most_code);
    coded.minima[g] = nearest(fits[g].minimum, minimum, 0, most_code);
    for (std::size_t i = g * group; i < (g + 1) * group; ++i) {
      coded.quants[i] = nearest(from[i] + minimum * coded.minima[g], scale * coded.scales[g], 0, most);
    }
  }
  return coded;
}

/// Groups of 16 with a scale; quants are from 0 on.
Coded quantise_scales(const float* from, int least, int least_code, DType type, std::byte* to) {
  const float extreme = extreme_of({from, 256}, type);
  std::array<double, 16> scales;
  double extreme_scale = 0.0;
  for (std::size_t g = 0; g < 16; ++g) {
    scales[g] = fit_scale({from + g * 16, 16}, least);
    if (std::fabs(scales[g]) > std::fabs(extreme_scale)) extreme_scale = scales[g];
  }
  const double scale = store_scale(extreme_scale / least_code, extreme, type, to);
  Coded coded;
  for (std::size_t g = 0; g < 16; ++g) {
    coded.scales[g] = nearest(scales[g], scale, least_code, -least_code - 1);
    for (std::size_t i = g * 16; i < (g + 1) * 16; ++i) {
      coded.quants[i] = nearest(from[i], scale * coded.scales[g], least, -least - 1) - least;
    }
  }
  return coded;
}

// The places that graph/quantised.cpp reads.

void store_six_bits(const Coded& coded, std::byte* to) {
  for (std::size_t g = 0; g < 4; ++g) {
    to[g] = static_cast<std::byte>(coded.scales[g] | coded.scales[g + 4] >> 4 << 6);
    to[4 + g] = static_cast<std::byte>(coded.minima[g] | coded.minima[g + 4] >> 4 << 6);
    to[8 + g] = static_cast<std::byte>((coded.scales[g + 4] & 15) | (coded.minima[g + 4] & 15) << 4);
  }
}

void store_halves(const std::array<int, 256>& quants, std::byte* to) {
  for (std::size_t i = 0; i < 128; ++i) {
    const int* const q = quants.data() + i / 32 * 64 + i % 32;
    to[i] = static_cast<std::byte>((q[0] & 15) | (q[32] & 15) << 4);
  }
}

/// Bit `bit` of each quant: bit g of byte i is that of element 32 g + i.
void store_single_bits(const std::array<int, 256>& quants, int bit, std::byte* to) {
  std::fill_n(to, 32, std::byte{0});
  for (std::size_t i = 0; i < 256; ++i) to[i % 32] |= static_cast<std::byte>((quants[i] >> bit & 1) << (i / 32));
}

/// Two bits of each quant from `shift` on: of each half, byte i of 32 holds those of i, i + 32, i + 64 and i + 96.
void store_two_bits(const std::array<int, 256>& quants, int shift, std::byte* to) {
  std::fill_n(to, 64, std::byte{0});
  for (std::size_t i = 0; i < 256; ++i) {
    to[i / 128 * 32 + i % 32] |= static_cast<std::byte>((quants[i] >> shift & 3) << (i % 128 / 32 * 2));
  }
}

}  // namespace

void quantise_q8_0(const float* from, std::byte* block) {
  const float extreme = extreme_of({from, 32}, DType::Q8_0);
  const float scale = std::fabs(extreme) / 127.0f;
  const float inverse = inverse_of(scale);
  store_u16(scale_bits(scale, extreme, DType::Q8_0), block);
  for (std::size_t i = 0; i < 32; ++i) {
    block[2 + i] = static_cast<std::byte>(static_cast<std::int8_t>(round_away(from[i] * inverse)));
  }
}

void quantise_q4_0(const float* from, std::byte* block) {
  const float extreme = extreme_of({from, 32}, DType::Q4_0);
  const float scale = extreme / -8.0f;
  const float inverse = inverse_of(scale);
  const auto nibble = [&](float x) { return std::min(15, static_cast<int>(x * inverse + 8.5f)); };
  store_u16(scale_bits(scale, extreme, DType::Q4_0), block);
  for (std::size_t i = 0; i < 16; ++i) {
    block[2 + i] = static_cast<std::byte>(nibble(from[i]) | nibble(from[i + 16]) << 4);
  }
}

void quantise_q4_1(const float* from, std::byte* block) {
  store_nibbles(quantise_range(from, 15, DType::Q4_1, block), block + 4);
}

void quantise_q5_1(const float* from, std::byte* block) {
  const std::array<int, 32> quants = quantise_range(from, 31, DType::Q5_1, block);
  store_fifth_bits(quants, block + 4);
  store_nibbles(quants, block + 8);
}

void quantise_q5_0(const float* from, std::byte* block) {
  const float extreme = extreme_of({from, 32}, DType::Q5_0);
  const double scale = store_scale(extreme / -16.0, extreme, DType::Q5_0, block);
  std::array<int, 32> quants;
  for (std::size_t i = 0; i < 32; ++i) quants[i] = nearest(from[i], scale, -16, 15) + 16;
  store_fifth_bits(quants, block + 2);
  store_nibbles(quants, block + 6);
}

void quantise_iq4_nl(const float* from, std::byte* block) {
  const float extreme = extreme_of({from, 32}, DType::IQ4_NL);
  const double scale = store_scale(extreme / -127.0, extreme, DType::IQ4_NL, block);
  std::array<int, 32> quants;
  for (std::size_t i = 0; i < 32; ++i) {
    const auto distance = [&](std::int8_t number) { return std::fabs(scale * number - from[i]); };
    quants[i] = static_cast<int>(std::ranges::min_element(kIq4NlCodebook, {}, distance) - kIq4NlCodebook.begin());
  }
  store_nibbles(quants, block + 2);
}

void quantise_q4_k(const float* from, std::byte* block) {
  const Coded coded = quantise_ranges(from, 32, 15, 63, DType::Q4_K, block);
  store_six_bits(coded, block + 4);
  store_halves(coded.quants, block + 16);
}

void quantise_q5_k(const float* from, std::byte* block) {
  const Coded coded = quantise_ranges(from, 32, 31, 63, DType::Q5_K, block);
  store_six_bits(coded, block + 4);
  store_single_bits(coded.quants, 4, block + 16);
  store_halves(coded.quants, block + 48);
}

void quantise_q2_k(const float* from, std::byte* block) {
  const Coded coded = quantise_ranges(from, 16, 3, 15, DType::Q2_K, block + 80);
  for (std::size_t g = 0; g < 16; ++g) block[g] = static_cast<std::byte>(coded.scales[g] | coded.minima[g] << 4);
  store_two_bits(coded.quants, 0, block + 16);
}

void quantise_q6_k(const float* from, std::byte* block) {
  const Coded coded = quantise_scales(from, -32, -128, DType::Q6_K, block + 208);
  for (std::size_t g = 0; g < 16; ++g) block[192 + g] = static_cast<std::byte>(coded.scales[g]);
  for (std::size_t i = 0; i < 128; ++i) {
    const int* const q = coded.quants.data() + i / 64 * 128 + i % 64;
    block[i] = static_cast<std::byte>((q[0] & 15) | (q[64] & 15) << 4);
  }
  store_two_bits(coded.quants, 4, block + 128);
}

void quantise_q3_k(const float* from, std::byte* block) {
  const Coded coded = quantise_scales(from, -4, -32, DType::Q3_K, block + 108);
  store_single_bits(coded.quants, 2, block);
  store_two_bits(coded.quants, 0, block + 32);
  std::fill_n(block + 96, 12, std::byte{0});
  for (std::size_t g = 0; g < 16; ++g) {
    const int code = coded.scales[g] + 32;
    block[96 + g % 8] |= static_cast<std::byte>((code & 15) << (g < 8 ? 0 : 4));
    block[104 + g % 4] |= static_cast<std::byte>(code >> 4 << (g / 4 * 2));
  }
}

}  // namespace heed
