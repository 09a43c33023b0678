#include "formats/terminal_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace heed {
namespace {

/// "r;g;b" of a pixel; black below the picture.
std::string rgb_of(const Picture& picture, std::int64_t y, std::int64_t x) {
  const auto byte = [&](std::int64_t channel) {
    if (y >= picture.height) return 0;
    const float value = picture.at(std::min(channel, picture.channels - 1), y, x);
    return static_cast<int>(std::lround(255.0f * std::clamp(value, 0.0f, 1.0f)));
  };
  return fmt::format("{};{};{}", byte(0), byte(1), byte(2));
}

}  // namespace

std::vector<std::string> terminal_lines(const Picture& picture, std::int64_t most_columns) {
  const std::int64_t step = std::max<std::int64_t>(1, (picture.width + most_columns - 1) / most_columns);
  std::vector<std::string> lines;
  for (std::int64_t y = 0; y < picture.height; y += 2 * step) {
    std::string line;
    for (std::int64_t x = 0; x < picture.width; x += step) {
      line += fmt::format("\x1b[38;2;{}m\x1b[48;2;{}m\u2580", rgb_of(picture, y, x), rgb_of(picture, y + step, x));
    }
    lines.push_back(line + "\x1b[0m");
  }
  return lines;
}

}  // namespace heed
