#include "formats/picture_alpha.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace heed {
namespace {

/// Of a sample along one side: four pixels and how much each counts.
struct CubicTap {
  std::array<std::int64_t, 4> at;
  std::array<double, 4> weights;
};

std::vector<CubicTap> cubic_taps(std::int64_t from, std::int64_t to) {
  std::vector<CubicTap> taps;
  for (std::int64_t i = 0; i < to; ++i) {
    const double place = (static_cast<double>(i) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
    const double below = std::floor(place);
    const double t = place - below;
    CubicTap tap{{},
                 {((2.0 - t) * t - 1.0) * t / 2.0, ((3.0 * t - 5.0) * t * t + 2.0) / 2.0,
                  ((4.0 - 3.0 * t) * t + 1.0) * t / 2.0, (t - 1.0) * t * t / 2.0}};
    for (std::int64_t k = 0; k < 4; ++k) {
      tap.at[static_cast<std::size_t>(k)] =
          std::clamp<std::int64_t>(static_cast<std::int64_t>(below) - 1 + k, 0, from - 1);
    }
    taps.push_back(tap);
  }
  return taps;
}

}  // namespace

void bleed_colours(Picture& colours, const Picture& alpha) {
  const auto index = [&](std::int64_t x, std::int64_t y) { return static_cast<std::size_t>(y * colours.width + x); };
  std::vector<bool> known(alpha.values.size());
  for (std::size_t i = 0; i < known.size(); ++i) known[i] = alpha.values[i] > 0.0f;
  const auto each_neighbour = [&](std::size_t of, const auto& visit) {
    const auto at = static_cast<std::int64_t>(of);
    for (std::int64_t y = std::max<std::int64_t>(0, at / colours.width - 1);
         y <= std::min(colours.height - 1, at / colours.width + 1); ++y) {
      for (std::int64_t x = std::max<std::int64_t>(0, at % colours.width - 1);
           x <= std::min(colours.width - 1, at % colours.width + 1); ++x) {
        if (index(x, y) != of) visit(index(x, y));
      }
    }
  };
  std::vector<std::size_t> ring;
  std::vector<bool> queued = known;
  const auto queue_around = [&](std::size_t of, std::vector<std::size_t>& to) {
    each_neighbour(of, [&](std::size_t i) {
      if (queued[i]) return;
      queued[i] = true;
      to.push_back(i);
    });
  };
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (known[i]) queue_around(i, ring);
  }
  while (!ring.empty()) {
    for (const std::size_t i : ring) {
      for (std::int64_t c = 0; c < colours.channels; ++c) {
        float* plane = colours.values.data() + static_cast<std::size_t>(c) * known.size();
        float sum = 0.0f;
        float count = 0.0f;
        each_neighbour(i, [&](std::size_t other) {
          if (!known[other]) return;
          sum += plane[other];
          count += 1.0f;
        });
        plane[i] = sum / count;
      }
    }
    std::vector<std::size_t> next;
    for (const std::size_t i : ring) known[i] = true;
    for (const std::size_t i : ring) queue_around(i, next);
    ring = std::move(next);
  }
}

Picture resampled(const Picture& alpha, std::int64_t width, std::int64_t height) {
  const std::vector<CubicTap> columns = cubic_taps(alpha.width, width);
  const std::vector<CubicTap> rows = cubic_taps(alpha.height, height);
  Picture wide{width, alpha.height, 1, {}};
  wide.values.reserve(static_cast<std::size_t>(width * alpha.height));
  for (std::int64_t y = 0; y < alpha.height; ++y) {
    for (const CubicTap& tap : columns) {
      double sum = 0.0;
      for (std::size_t k = 0; k < 4; ++k) sum += tap.weights[k] * static_cast<double>(alpha.at(0, y, tap.at[k]));
      wide.values.push_back(static_cast<float>(sum));
    }
  }
  Picture result{width, height, 1, {}};
  result.values.reserve(static_cast<std::size_t>(width * height));
  for (const CubicTap& tap : rows) {
    for (std::int64_t x = 0; x < width; ++x) {
      double sum = 0.0;
      for (std::size_t k = 0; k < 4; ++k) sum += tap.weights[k] * static_cast<double>(wide.at(0, tap.at[k], x));
      result.values.push_back(static_cast<float>(std::clamp(sum, 0.0, 1.0)));
    }
  }
  return result;
}

}  // namespace heed
