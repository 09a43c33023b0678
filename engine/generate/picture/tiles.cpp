#include "generate/picture/tiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/integer.h"
#include "heed/error.h"

namespace heed {
namespace {

/// Where parts of length `part` begin so that they cover `length` and overlap by at least 2 * `overlap`: evenly spread.
std::vector<std::int64_t> starts(std::int64_t length, std::int64_t part, std::int64_t overlap) {
  if (part >= length) return {0};
  const std::int64_t step = part - 2 * overlap;
  if (step < 1) {
    throw Error(
        fmt::format("parts of {} pixels that overlap by {} on each side leave nothing; use larger parts or less "
                    "overlap",
                    part, overlap));
  }
  const std::int64_t count = ceil_div(length - part, step) + 1;
  std::vector<std::int64_t> begins;
  for (std::int64_t i = 0; i < count; ++i) begins.push_back(i * (length - part) / (count - 1));
  return begins;
}

/// How much a part counts at a place along one side: nothing in the outer half of the overlap, where it knows too
/// little, then rising to all. At the picture's own edges it counts fully.
double weight(std::int64_t at, std::int64_t begin, std::int64_t length, std::int64_t whole, double overlap) {
  if (overlap <= 0.0) return 1.0;
  const double centre = static_cast<double>(at) + 0.5;
  const auto rise = [&](double distance) { return std::clamp((distance - overlap) / overlap, 1e-6, 1.0); };
  const double left = begin == 0 ? 1.0 : rise(centre - static_cast<double>(begin));
  const double right = begin + length >= whole ? 1.0 : rise(static_cast<double>(begin + length) - centre);
  return std::min(left, right);
}

}  // namespace

Picture apply_in_tiles(const Picture& picture, const Tiling& tiling,
                       const std::function<Picture(const Picture&, std::int64_t, std::int64_t)>& apply,
                       const TransformOptions& options) {
  const std::int64_t width = std::min(tiling.width, picture.width);
  const std::int64_t height = std::min(tiling.height, picture.height);
  const std::vector<std::int64_t> xs = starts(picture.width, width, tiling.overlap);
  const std::vector<std::int64_t> ys = starts(picture.height, height, tiling.overlap);
  const auto total = static_cast<std::int64_t>(xs.size() * ys.size());
  std::int64_t done = 0;
  Picture result;
  std::vector<double> sums;
  std::vector<double> weights;
  const std::int64_t scale = tiling.scale;
  for (const std::int64_t y : ys) {
    for (const std::int64_t x : xs) {
      if (options.progress) options.progress(done, total);
      const Picture made = apply(cut(picture, x, y, width, height), x, y);
      if (result.width == 0) {
        result = {picture.width * scale, picture.height * scale, made.channels, {}};
        sums.assign(static_cast<std::size_t>(result.width * result.height * result.channels), 0.0);
        weights.assign(static_cast<std::size_t>(result.width * result.height), 0.0);
      }
      const double overlap = static_cast<double>(tiling.overlap * scale) / 2.0;
      for (std::int64_t row = 0; row < height * scale; ++row) {
        const std::int64_t to_y = y * scale + row;
        const double wy = weight(to_y, y * scale, height * scale, result.height, overlap);
        for (std::int64_t column = 0; column < width * scale; ++column) {
          const std::int64_t to_x = x * scale + column;
          const double w = wy * weight(to_x, x * scale, width * scale, result.width, overlap);
          weights[static_cast<std::size_t>(to_y * result.width + to_x)] += w;
          for (std::int64_t c = 0; c < made.channels; ++c) {
            sums[static_cast<std::size_t>((c * result.height + to_y) * result.width + to_x)] +=
                w * static_cast<double>(made.at(c, row, column));
          }
        }
      }
      ++done;
    }
  }
  if (options.progress) options.progress(total, total);
  result.values.resize(sums.size());
  for (std::size_t i = 0; i < sums.size(); ++i) {
    result.values[i] = static_cast<float>(sums[i] / weights[i % weights.size()]);
  }
  return result;
}

Picture cut(const Picture& picture, std::int64_t x, std::int64_t y, std::int64_t width, std::int64_t height) {
  Picture part{width, height, picture.channels, {}};
  part.values.reserve(static_cast<std::size_t>(width * height * picture.channels));
  for (std::int64_t c = 0; c < picture.channels; ++c) {
    for (std::int64_t row = 0; row < height; ++row) {
      for (std::int64_t column = 0; column < width; ++column) part.values.push_back(picture.at(c, y + row, x + column));
    }
  }
  return part;
}

Picture mirrored(const Picture& picture, std::int64_t width, std::int64_t height) {
  // 0 1 2 2 1 0 0 1 ...: with the edge twice, which one pixel suffices for.
  const auto fold = [](std::int64_t at, std::int64_t side) {
    const std::int64_t phase = at % (2 * side);
    return phase < side ? phase : 2 * side - 1 - phase;
  };
  Picture filled{width, height, picture.channels, {}};
  filled.values.reserve(static_cast<std::size_t>(width * height * picture.channels));
  for (std::int64_t c = 0; c < picture.channels; ++c) {
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        filled.values.push_back(picture.at(c, fold(y, picture.height), fold(x, picture.width)));
      }
    }
  }
  return filled;
}

Picture with_channels(const Picture& picture, std::int64_t channels) {
  if (picture.channels == channels) return picture;
  const auto pixels = static_cast<std::size_t>(picture.width * picture.height);
  Picture result{picture.width, picture.height, channels,
                 std::vector<float>(pixels * static_cast<std::size_t>(channels))};
  for (std::size_t i = 0; i < pixels; ++i) {
    if (picture.channels == 1) {
      for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c)
        result.values[c * pixels + i] = picture.values[i];
    } else if (channels == 1) {
      result.values[i] =
          0.299f * picture.values[i] + 0.587f * picture.values[pixels + i] + 0.114f * picture.values[2 * pixels + i];
    } else {
      throw Error(fmt::format("a picture of {} channels, but the model wants {}", picture.channels, channels));
    }
  }
  return result;
}

}  // namespace heed
