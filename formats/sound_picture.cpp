#include "formats/sound_picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <numbers>

#include "formats/heat_map.h"

namespace heed {
namespace {

constexpr std::int64_t kWaveHeight = 160;  // pixels
constexpr std::int64_t kSpectrumRows = 128;
constexpr std::int64_t kSpectrumScale = 2;  // pixels of a row
constexpr std::int64_t kBetween = 8;
constexpr std::int64_t kNarrowest = 640;
constexpr std::int64_t kWidest = 1600;
constexpr float kQuietest = -80.0f;  // decibels

/// In place; the size is a power of two (Cooley and Tukey 1965).
void fourier(std::vector<std::complex<double>>& x) {
  const std::size_t n = x.size();
  for (std::size_t i = 1, j = 0; i < n; ++i) {
    std::size_t bit = n >> 1;
    for (; (j & bit) != 0; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(x[i], x[j]);
  }
  for (std::size_t length = 2; length <= n; length *= 2) {
    const double angle = -2.0 * std::numbers::pi / static_cast<double>(length);
    for (std::size_t first = 0; first < n; first += length) {
      for (std::size_t k = 0; k < length / 2; ++k) {
        const std::complex<double> a = x[first + k];
        const std::complex<double> b = x[first + k + length / 2] * std::polar(1.0, angle * static_cast<double>(k));
        x[first + k] = a + b;
        x[first + k + length / 2] = a - b;
      }
    }
  }
}

void paint(Picture& picture, std::int64_t y, std::int64_t x, const std::array<float, 3>& colour) {
  for (std::int64_t c = 0; c < 3; ++c) picture.at(c, y, x) = colour[static_cast<std::size_t>(c)];
}

}  // namespace

std::vector<float> spectrogram(std::span<const float> samples, std::int64_t columns, std::int64_t rows) {
  const auto count = std::ssize(samples);
  const std::int64_t length = 2 * rows;
  std::vector<float> power(static_cast<std::size_t>(columns * rows));
  std::vector<std::complex<double>> piece(static_cast<std::size_t>(length));
  for (std::int64_t column = 0; column < columns; ++column) {
    const std::int64_t begin = (2 * column + 1) * count / (2 * columns) - rows;
    for (std::int64_t i = 0; i < length; ++i) {
      const std::int64_t at = begin + i;
      const double sample = at >= 0 && at < count ? static_cast<double>(samples[static_cast<std::size_t>(at)]) : 0.0;
      const double window =
          0.5 - 0.5 * std::cos(2.0 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(length));
      piece[static_cast<std::size_t>(i)] = window * sample;
    }
    fourier(piece);
    for (std::int64_t row = 0; row < rows; ++row) {
      power[static_cast<std::size_t>(column * rows + row)] =
          static_cast<float>(std::norm(piece[static_cast<std::size_t>(row)]));
    }
  }
  const float most = *std::ranges::max_element(power);
  for (float& value : power) value = most > 0.0f && value > 0.0f ? 10.0f * std::log10(value / most) : kQuietest;
  for (float& value : power) value = std::max(value, kQuietest);
  return power;
}

Picture sound_picture(std::span<const float> samples, std::int64_t sample_rate) {
  const auto count = std::ssize(samples);
  const std::int64_t width = std::clamp(count / 10, kNarrowest, kWidest);
  const std::int64_t spectrum_height = kSpectrumRows * kSpectrumScale;
  Picture picture{width, kWaveHeight + kBetween + spectrum_height, 3, {}};
  picture.values.assign(static_cast<std::size_t>(3 * picture.width * picture.height), 1.0f);

  for (std::int64_t x = 0; x < width; ++x) {
    // A tenth of a second begins within this column.
    const auto tenths = [&](std::int64_t column) { return column * count * 10 / (width * sample_rate); };
    if (x > 0 && tenths(x) != tenths(x - 1)) {
      const std::int64_t height = tenths(x) % 10 == 0 ? kWaveHeight : kWaveHeight / 16;
      for (std::int64_t y = 0; y < height; ++y) paint(picture, kWaveHeight - 1 - y, x, {0.8f, 0.8f, 0.8f});
    }
    const std::int64_t begin = std::min(x * count / width, count - 1);
    const std::int64_t end = std::max(begin + 1, std::min((x + 1) * count / width + 1, count));
    const auto [least, most] =
        std::ranges::minmax(samples.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
    const auto row_of = [](float value) {
      return std::lround((1.0f - std::clamp(value, -1.0f, 1.0f)) / 2.0f * static_cast<float>(kWaveHeight - 1));
    };
    for (std::int64_t y = row_of(most); y <= row_of(least); ++y) paint(picture, y, x, {0.13f, 0.44f, 0.71f});
  }

  const std::vector<float> power = spectrogram(samples, width, kSpectrumRows);
  for (std::int64_t x = 0; x < width; ++x) {
    for (std::int64_t y = 0; y < spectrum_height; ++y) {
      const std::int64_t row = (spectrum_height - 1 - y) / kSpectrumScale;
      const float decibels = power[static_cast<std::size_t>(x * kSpectrumRows + row)];
      paint(picture, kWaveHeight + kBetween + y, x, heat_colour(1.0f - decibels / kQuietest));
    }
  }
  return picture;
}

}  // namespace heed
