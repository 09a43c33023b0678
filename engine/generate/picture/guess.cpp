// What a model takes and gives whose file does not say it: one picture in, one picture out.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "generate/picture/state.h"
#include "heed/error.h"

namespace heed {
namespace {

constexpr std::int64_t kTrialSide = 64;
constexpr std::array<std::pair<double, double>, 3> kRanges = {{{0.0, 1.0}, {0.0, 255.0}, {-1.0, 1.0}}};
// Networks without biases give the same in any range: the usual one is taken unless another fits clearly better.
constexpr double kClearlyBetter = 0.7;
constexpr double kUnlike = 0.08;  // mean difference of a result that says little; rfdn and carn-m have 0.003

/// Something between a drawing and a photograph: slopes, waves, and two rectangles with sharp edges.
Picture trial_picture(std::int64_t channels) {
  Picture picture{kTrialSide, kTrialSide, channels, {}};
  picture.values.resize(static_cast<std::size_t>(channels * kTrialSide * kTrialSide));
  constexpr float kInk[2][3] = {{0.9F, 0.2F, 0.1F}, {0.05F, 0.1F, 0.3F}};
  for (std::int64_t y = 0; y < kTrialSide; ++y) {
    for (std::int64_t x = 0; x < kTrialSide; ++x) {
      const double right = static_cast<double>(x) / (kTrialSide - 1);
      const double down = static_cast<double>(y) / (kTrialSide - 1);
      const double plain[3] = {0.15 + 0.7 * right, 0.15 + 0.7 * down,
                               0.5 + 0.35 * std::sin(6.0 * right) * std::cos(5.0 * down)};
      const std::int64_t box = x / (kTrialSide / 4);
      const bool inside = box == y / (kTrialSide / 4) && (box == 1 || box == 2);
      for (std::int64_t c = 0; c < channels; ++c) {
        picture.at(c, y, x) = inside ? kInk[box - 1][c] : static_cast<float>(plain[c]);
      }
    }
  }
  return picture;
}

/// Mean |made - trial|, where `made`, taken to be of the range, is averaged to the size of the trial.
double difference(const Picture& trial, const Picture& made, std::pair<double, double> range) {
  const std::int64_t scale = made.width / trial.width;
  if (scale < 1 || made.height / trial.height != scale) return std::numeric_limits<double>::infinity();
  double sum = 0.0;
  for (std::int64_t c = 0; c < trial.channels; ++c) {
    for (std::int64_t y = 0; y < trial.height; ++y) {
      for (std::int64_t x = 0; x < trial.width; ++x) {
        double mean = 0.0;
        for (std::int64_t i = 0; i < scale * scale; ++i) {
          mean += static_cast<double>(
              made.at(std::min(c, made.channels - 1), y * scale + i / scale, x * scale + i % scale));
        }
        mean /= static_cast<double>(scale * scale);
        sum += std::abs((mean - range.first) / (range.second - range.first) - static_cast<double>(trial.at(c, y, x)));
      }
    }
  }
  return sum / static_cast<double>(trial.values.size());
}

}  // namespace

void PictureModel::State::set_range(const Role* role, std::pair<double, double> range) {
  const auto found = std::ranges::find(roles.roles, role->name, &Role::name);
  found->least = range.first;
  found->most = range.second;
}

void PictureModel::assume(const PictureRanges& given) {
  State& s = *state_;
  const Value& input = s.graph->value(s.graph->find(s.image->name));
  const Picture trial = trial_picture(input.shape[1].size);
  double best = std::numeric_limits<double>::infinity();
  std::pair<double, double> of_input = given.input.value_or(kRanges[0]);
  std::pair<double, double> of_output = given.output.value_or(kRanges[0]);
  std::int64_t scale = 0;
  std::optional<Error> failure;
  for (const auto& from : kRanges) {
    if (given.input && from != kRanges[0]) break;
    s.set_range(s.image, given.input.value_or(from));
    s.set_range(s.result, {0.0, 1.0});  // as it is
    Picture made;
    try {
      made = transform(trial, {});
    } catch (const Error& error) {
      failure = error;
      continue;
    }
    scale = made.width / trial.width;
    double least = std::numeric_limits<double>::infinity();
    std::pair<double, double> fits = given.output.value_or(kRanges[0]);
    for (const auto& to : kRanges) {
      const double error = difference(trial, made, given.output.value_or(to));
      if (error >= least) continue;
      least = error;
      fits = given.output.value_or(to);
    }
    if (least >= (from == kRanges[0] ? best : best * kClearlyBetter)) continue;
    best = least;
    of_input = given.input.value_or(from);
    of_output = fits;
  }
  if (scale == 0 && failure) throw *failure;
  s.set_range(s.image, of_input);
  s.set_range(s.result, of_output);
  const auto shown = [](const Role& role) {
    return fmt::format("from {} to {} in '{}'", role.least, role.most, role.name);
  };
  s.assumed = fmt::format("{} does not say what its pictures are; by a trial they are {} and {}, {}{}", s.where,
                          shown(*s.image), shown(*s.result),
                          scale == 1 ? "of the same size" : fmt::format("{} times as large a side", scale),
                          best > kUnlike ? ", which is a guess, for they are unlike each other" : "");
}

}  // namespace heed
