#include "formats/heat_map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "formats/picture_file.h"

namespace heed {
namespace {

constexpr std::int64_t kSmallestSide = 256;  // pixels of the shorter side, where the longer one stays below ...
constexpr std::int64_t kLargestSide = 4096;
constexpr std::int64_t kShownPlaces = 3;  // a side, of maps of each place

using Colour = std::array<float, 3>;

/// Bilinear, at the centre of a pixel of a picture `scale` times as large.
float value_at(std::span<const float> values, std::int64_t width, std::int64_t height, double x, double y) {
  const double left = std::clamp(x - 0.5, 0.0, static_cast<double>(width - 1));
  const double top = std::clamp(y - 0.5, 0.0, static_cast<double>(height - 1));
  const auto x0 = static_cast<std::int64_t>(left);
  const auto y0 = static_cast<std::int64_t>(top);
  const auto at = [&](std::int64_t i, std::int64_t j) {
    return static_cast<double>(
        values[static_cast<std::size_t>(std::min(j, height - 1) * width + std::min(i, width - 1))]);
  };
  const double u = left - static_cast<double>(x0);
  const double v = top - static_cast<double>(y0);
  return static_cast<float>((at(x0, y0) * (1 - u) + at(x0 + 1, y0) * u) * (1 - v) +
                            (at(x0, y0 + 1) * (1 - u) + at(x0 + 1, y0 + 1) * u) * v);
}

float lightness(const Picture& picture, std::int64_t y, std::int64_t x) {
  if (picture.channels == 1) return picture.at(0, y, x);
  return 0.299f * picture.at(0, y, x) + 0.587f * picture.at(1, y, x) + 0.114f * picture.at(2, y, x);  // ITU-R BT.601
}

Picture heat_over(const Picture& picture, std::span<const float> values, const AttentionMap& map) {
  const std::int64_t wanted = (kSmallestSide - 1) / std::min(picture.width, picture.height) + 1;
  const std::int64_t scale =
      std::clamp<std::int64_t>(kLargestSide / std::max(picture.width, picture.height), 1, wanted);
  Picture heat{picture.width * scale, picture.height * scale, 3, {}};
  heat.values.resize(static_cast<std::size_t>(heat.width * heat.height * 3));
  const auto [least, most] = std::ranges::minmax(values);
  const float range = most > least ? most - least : 1.0f;
  for (std::int64_t y = 0; y < heat.height; ++y) {
    for (std::int64_t x = 0; x < heat.width; ++x) {
      const double map_x =
          (static_cast<double>(x) + 0.5) / static_cast<double>(heat.width) * static_cast<double>(map.width);
      const double map_y =
          (static_cast<double>(y) + 0.5) / static_cast<double>(heat.height) * static_cast<double>(map.height);
      const float warm = (value_at(values, map.width, map.height, map_x, map_y) - least) / range;
      const Colour colour = heat_colour(warm);
      const float light = std::clamp(lightness(picture, y / scale, x / scale), 0.0f, 1.0f);
      const float cover = 0.25f + 0.5f * warm;
      for (std::size_t c = 0; c < 3; ++c) {
        heat.at(static_cast<std::int64_t>(c), y, x) = light * (1 - cover) + colour[c] * cover;
      }
    }
  }
  return heat;
}

/// A frame around a place of the map, white within black.
void mark(Picture& heat, const AttentionMap& map, std::int64_t x, std::int64_t y) {
  const std::int64_t left = x * heat.width / map.width;
  const std::int64_t right = std::max((x + 1) * heat.width / map.width - 1, left + 4);
  const std::int64_t top = y * heat.height / map.height;
  const std::int64_t bottom = std::max((y + 1) * heat.height / map.height - 1, top + 4);
  for (const auto& [grow, value] : {std::pair{1, 0.0f}, std::pair{0, 1.0f}}) {
    for (std::int64_t j = top - grow; j <= bottom + grow; ++j) {
      for (std::int64_t i = left - grow; i <= right + grow; ++i) {
        const bool edge = j == top - grow || j == bottom + grow || i == left - grow || i == right + grow;
        if (!edge || i < 0 || j < 0 || i >= heat.width || j >= heat.height) continue;
        for (std::int64_t c = 0; c < 3; ++c) heat.at(c, j, i) = value;
      }
    }
  }
}

}  // namespace

std::array<float, 3> heat_colour(float heat) {
  constexpr std::array<std::array<float, 3>, 5> kStops = {{{0.15f, 0.05f, 0.35f},
                                                           {0.50f, 0.10f, 0.45f},
                                                           {0.80f, 0.25f, 0.30f},
                                                           {0.97f, 0.55f, 0.15f},
                                                           {1.0f, 0.95f, 0.6f}}};
  const float at = std::isfinite(heat) ? std::clamp(heat, 0.0f, 1.0f) * (kStops.size() - 1) : 0.0f;
  const auto below = std::min(static_cast<std::size_t>(at), kStops.size() - 2);
  const float part = at - static_cast<float>(below);
  std::array<float, 3> colour;
  for (std::size_t c = 0; c < 3; ++c) colour[c] = kStops[below][c] * (1 - part) + kStops[below + 1][c] * part;
  return colour;
}

Picture heat_map(const Picture& picture, const AttentionMap& map) {
  if (!map.of_each_place) return heat_over(picture, map.values, map);
  const auto count = static_cast<std::size_t>(map.width * map.height);
  std::vector<Picture> shown;
  for (std::int64_t j = 0; j < kShownPlaces; ++j) {
    for (std::int64_t i = 0; i < kShownPlaces; ++i) {
      const std::int64_t x = (2 * i + 1) * map.width / (2 * kShownPlaces);
      const std::int64_t y = (2 * j + 1) * map.height / (2 * kShownPlaces);
      const auto row = static_cast<std::size_t>(y * map.width + x) * count;
      shown.push_back(heat_over(picture, std::span(map.values).subspan(row, count), map));
      mark(shown.back(), map, x, y);
    }
  }
  return grid_of(shown, kShownPlaces);
}

}  // namespace heed
