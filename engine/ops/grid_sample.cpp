// op grid_sample: x [B, C, in..], grid [B, out.., rank] -> y [B, C, out..], over one to three spatial dimensions.
//
// Element [.., i] of the grid says where to look in spatial dimension rank - 1 - i of x: -1 is its beginning and 1 its
// end, with align_corners the middles of the first and the last element. Attributes mode ("linear", "nearest",
// "cubic"), padding_mode ("zeros", "border", "reflection"), align_corners. As ONNX's GridSample.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "graph/integer.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

enum class Mode : std::uint32_t { Nearest, Linear, Cubic };            // of shaders/grid_sample.comp
enum class PaddingMode : std::uint32_t { Zeros, Border, Reflection };  // likewise

Mode mode_of(const Node& node) {
  const std::string mode = node.attributes.text("mode", "linear");
  return mode == "nearest" ? Mode::Nearest : mode == "cubic" ? Mode::Cubic : Mode::Linear;
}

PaddingMode padding_of(const Node& node) {
  const std::string mode = node.attributes.text("padding_mode", "zeros");
  return mode == "border" ? PaddingMode::Border : mode == "reflection" ? PaddingMode::Reflection : PaddingMode::Zeros;
}

bool align_corners(const Node& node) { return node.attributes.integer("align_corners", 0) != 0; }

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(2, {"mode", "padding_mode", "align_corners"});
  const Shape& x = c.input(0).shape;
  const Shape& grid = c.input(1).shape;
  if (x.size() < 3 || x.size() > 5) {
    c.fail(fmt::format("x is {}, expected [batch, channels, and 1 to 3 spatial dimensions]", to_string(x)));
  }
  c.expect_rank(1, x.size(), "grid");
  if (grid[0] != x[0] || grid.back() != static_cast<std::int64_t>(x.size()) - 2) {
    c.fail(fmt::format("grid is {}, expected [{}, .., {}]", to_string(grid), x[0], x.size() - 2));
  }
  c.expect_floats(0, "x");
  c.expect_floats(1, "the grid");
  const std::string mode = c.node.attributes.text("mode", "linear");
  if (mode != "linear" && mode != "nearest" && mode != "cubic") c.fail(fmt::format("unknown mode '{}'", mode));
  const std::string padding = c.node.attributes.text("padding_mode", "zeros");
  if (padding != "zeros" && padding != "border" && padding != "reflection") {
    c.fail(fmt::format("unknown padding_mode '{}'", padding));
  }
  Shape y(grid.begin(), grid.end() - 1);
  y.insert(y.begin() + 1, x[1]);
  if (element_count(x) == 0 && element_count(y) > 0) c.fail(fmt::format("x is {}: nothing to sample", to_string(x)));
  return {{DType::F32, y}};
}

/// x mirrored at `low` and `high` until it lies between them.
double reflect(double x, double low, double high) {
  const double range = high - low;
  if (x >= low && x <= high) return x;
  if (range == 0.0) return low;
  const double distance = x < low ? low - x : x - high;
  const double times = std::floor(distance / range);
  const double rest = distance - times * range;
  const bool even = std::fmod(times, 2.0) == 0.0;
  return (x < low) == even ? low + rest : high - rest;
}

/// The elements of a dimension that a coordinate of the grid touches, -1 for those of the padding, with their weights.
struct Taps {
  std::array<std::int64_t, 4> at = {};
  std::array<double, 4> weight = {};
  std::size_t count = 1;
};

Taps taps_of(const Node& node, double coordinate, std::int64_t size) {
  const Mode mode = mode_of(node);
  const PaddingMode padding = padding_of(node);
  const bool corners = align_corners(node);
  const auto length = static_cast<double>(size);
  const double low = corners ? 0.0 : -0.5;
  const double high = corners ? length - 1.0 : length - 0.5;
  double x = corners ? (coordinate + 1.0) / 2.0 * (length - 1.0) : ((coordinate + 1.0) * length - 1.0) / 2.0;
  if (mode == Mode::Nearest) x = std::nearbyint(x);
  if (x < low || x > high) {
    if (padding == PaddingMode::Border) x = std::clamp(x, 0.0, length - 1.0);
    if (padding == PaddingMode::Reflection) x = reflect(x, low, high);
  }
  x = std::clamp(x, -1e9, 1e9);
  Taps taps;
  taps.count = mode == Mode::Nearest ? 1 : mode == Mode::Linear ? 2 : 4;
  const double base = mode == Mode::Nearest ? std::trunc(x) : std::floor(x);
  const double f = x - base;
  for (std::size_t i = 0; i < taps.count; ++i) {
    std::int64_t at = static_cast<std::int64_t>(base) + static_cast<std::int64_t>(i) - (taps.count == 4 ? 1 : 0);
    if (padding == PaddingMode::Border) at = std::clamp<std::int64_t>(at, 0, size - 1);
    if (padding == PaddingMode::Reflection) {
      at = static_cast<std::int64_t>(std::trunc(reflect(static_cast<double>(at), low, high)));
    }
    taps.at[i] = at >= 0 && at < size ? at : -1;
    const double distance = std::abs(f - static_cast<double>(i) + (taps.count == 4 ? 1.0 : 0.0));
    constexpr double a = -0.75;
    taps.weight[i] = taps.count == 1   ? 1.0
                     : taps.count == 2 ? 1.0 - distance
                     : distance <= 1.0 ? ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1.0
                                       : ((a * distance - 5.0 * a) * distance + 8.0 * a) * distance - 4.0 * a;
  }
  return taps;
}

void reference(const ReferenceContext& c) {
  const Shape& x = c.shape(0);
  const std::size_t rank = x.size() - 2;
  std::int64_t points = 1;
  for (std::size_t d = 1; d <= rank; ++d) points *= c.shape(1)[d];
  std::int64_t plane = 1;
  for (std::size_t d = 2; d < x.size(); ++d) plane *= x[d];
  std::size_t out = 0;
  for (std::int64_t row = 0; row < x[0] * x[1]; ++row) {
    for (std::int64_t point = 0; point < points; ++point) {
      const std::int64_t place = (row / x[1] * points + point) * static_cast<std::int64_t>(rank);
      std::array<Taps, 3> taps;
      for (auto& t : taps) t.weight[0] = 1.0;
      std::array<std::int64_t, 3> size = {1, 1, 1};
      for (std::size_t d = 0; d < rank; ++d) {
        size[3 - rank + d] = x[2 + d];
        const auto at = static_cast<std::size_t>(place) + rank - 1 - d;
        taps[3 - rank + d] = taps_of(c.node, c.in(1)[at], x[2 + d]);
      }
      double sum = 0.0;
      for (std::size_t i = 0; i < taps[0].count; ++i) {
        for (std::size_t j = 0; j < taps[1].count; ++j) {
          for (std::size_t k = 0; k < taps[2].count; ++k) {
            if (taps[0].at[i] < 0 || taps[1].at[j] < 0 || taps[2].at[k] < 0) continue;
            const std::int64_t element = (taps[0].at[i] * size[1] + taps[1].at[j]) * size[2] + taps[2].at[k];
            sum += taps[0].weight[i] * taps[1].weight[j] * taps[2].weight[k] *
                   c.in(0)[static_cast<std::size_t>(row * plane + element)];
          }
        }
      }
      c.out(0)[out++] = sum;
    }
  }
}

void lower(Lowering& l) {
  const Shape& x = l.input(0).shape;
  const std::int64_t count = element_count(l.output().shape);
  if (count == 0) return;
  if (count > 0x7fffffff || element_count(x) > 0x7fffffff) l.fail("more than 2^31 elements");
  const std::size_t rank = x.size() - 2;
  Dispatch d;
  d.shader = "grid_sample";
  d.bindings = {l.read(0, View::F32), l.read(1, View::F32), l.write()};
  d.push_constants = {u32(count), u32(x[1]), u32(count / (x[0] * x[1])), u32(rank)};
  for (std::size_t i = 0; i < 3; ++i) d.push_constants.push_back(i + rank < 3 ? 1 : u32(x[i + rank - 1]));
  d.push_constants.push_back(static_cast<std::uint32_t>(padding_of(l.node())));
  d.push_constants.push_back(align_corners(l.node()));
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = {lanes, static_cast<std::uint32_t>(mode_of(l.node()))};
  d.groups = l.spread(ceil_div(static_cast<std::uint64_t>(count), lanes));
  l.emit(std::move(d));
}

std::vector<PartAxis> parts(const Lowering& l) {
  return {part_axis(l, l.input(0).shape[0], {0, 0}, {0}), part_axis(l, l.input(0).shape[1], {1}, {1})};
}

}  // namespace

extern const Op op_grid_sample;
const Op op_grid_sample = {
    .names = {"grid_sample"}, .infer = infer, .reference = reference, .lower = lower, .parts = parts};

}  // namespace heed::ops
