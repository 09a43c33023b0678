// The coordinates and weights of ONNX's Resize, in double.
#include "ops/resize_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "heed/error.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace heed::ops {
namespace {

[[noreturn]] void fail(const Node& node, std::string_view message) {
  throw Error(fmt::format("{} '{}': {}", node.op, node.name, message));
}

template <std::size_t N>
void expect_one_of(const Node& node, std::string_view attribute, const std::string& value,
                   const std::string_view (&names)[N]) {
  if (std::find(std::begin(names), std::end(names), value) == std::end(names)) {
    fail(node, fmt::format("unknown {} '{}'", attribute, value));
  }
}

std::string coordinate_mode(const Node& node) { return node.attributes.text("coordinate_mode", "half_pixel"); }

struct Axis {
  std::size_t axis = 0;
  std::int64_t in = 0;
  std::int64_t out = 0;
  double scale = 1.0;
  double roi_start = 0.0;
  double roi_end = 1.0;
};

std::vector<std::size_t> axes_of(const Node& node, std::size_t rank) {
  std::vector<std::size_t> axes;
  if (!node.attributes.has("axes")) {
    for (std::size_t i = 0; i < rank; ++i) axes.push_back(i);
    return axes;
  }
  std::set<std::size_t> seen;
  for (const std::int64_t number : node.attributes.integers("axes")) {
    const std::optional<std::size_t> axis = axis_of(number, rank);
    if (!axis) fail(node, fmt::format("axis {} of a tensor of {} dimensions", number, rank));
    if (!seen.insert(*axis).second) fail(node, fmt::format("axis {} is named twice", number));
    axes.push_back(*axis);
  }
  return axes;
}

/// A factor for all axes instead of one each; nothing for "stretch".
std::optional<double> common_scale(const Node& node, const std::vector<Axis>& axes) {
  const std::string policy = node.attributes.text("keep_aspect_ratio_policy", "stretch");
  expect_one_of(node, "keep_aspect_ratio_policy", policy, {"stretch", "not_larger", "not_smaller"});
  if (policy == "stretch" || axes.empty()) return std::nullopt;
  double scale = axes[0].scale;
  for (const Axis& axis : axes) {
    scale = policy == "not_larger" ? std::min(scale, axis.scale) : std::max(scale, axis.scale);
  }
  return scale;
}

std::vector<Axis> resized_axes(const Node& node, const Shape& x, const ResizeInputs& inputs) {
  std::vector<Axis> axes;
  for (const std::size_t axis : axes_of(node, x.size())) axes.push_back({axis, x[axis], x[axis]});
  if ((inputs.scales == nullptr) == (inputs.sizes == nullptr)) fail(node, "needs either scales or sizes");
  const std::vector<double>& given = inputs.scales == nullptr ? *inputs.sizes : *inputs.scales;
  if (given.size() != axes.size()) {
    fail(node, fmt::format("has {} {}, expected {}", given.size(), inputs.scales == nullptr ? "sizes" : "scales",
                           axes.size()));
  }
  const bool crop = coordinate_mode(node) == "tf_crop_and_resize";
  if (crop && (inputs.roi == nullptr || inputs.roi->size() != 2 * axes.size())) {
    fail(node, fmt::format("tf_crop_and_resize needs a roi of {} elements", 2 * axes.size()));
  }
  for (std::size_t i = 0; i < axes.size(); ++i) {
    Axis& axis = axes[i];
    if (crop) {
      axis.roi_start = (*inputs.roi)[i];
      axis.roi_end = (*inputs.roi)[axes.size() + i];
      if (!std::isfinite(axis.roi_start) || !std::isfinite(axis.roi_end)) fail(node, "roi is not finite");
    }
    constexpr double kMost = 1 << 30;
    if (inputs.scales != nullptr) {
      axis.scale = given[i];
      if (!std::isfinite(axis.scale) || axis.scale <= 0.0 || axis.scale * static_cast<double>(axis.in) > kMost) {
        fail(node, fmt::format("a scale of {}", axis.scale));
      }
      // In float, as shapes are computed elsewhere: 10 * 0.7 is 7.
      axis.out = static_cast<std::int64_t>(std::floor(static_cast<float>(axis.in) * static_cast<float>(axis.scale)));
    } else {
      if (given[i] < 0.0 || given[i] > kMost) fail(node, fmt::format("a size of {}", given[i]));
      axis.out = to_integer(given[i]);
      axis.scale = axis.in == 0 ? 1.0 : given[i] / static_cast<double>(axis.in);
    }
  }
  if (inputs.sizes != nullptr) {
    if (const std::optional<double> scale = common_scale(node, axes)) {
      for (Axis& axis : axes) {
        axis.scale = *scale;
        axis.out = static_cast<std::int64_t>(std::floor(*scale * static_cast<double>(axis.in) + 0.5));
      }
    }
  }
  for (const Axis& axis : axes) {
    if (axis.in == 0 && axis.out > 0) fail(node, fmt::format("dimension {} is empty: nothing to resize", axis.axis));
  }
  return axes;
}

/// Where element `o` of the result lies in x.
double coordinate(const std::string& mode, const Axis& axis, std::int64_t o) {
  const auto x = static_cast<double>(o);
  const auto in = static_cast<double>(axis.in);
  const double out = axis.scale * in;  // not rounded
  if (mode == "align_corners") return out == 1.0 || axis.out == 1 ? 0.0 : x * (in - 1.0) / (out - 1.0);
  if (mode == "asymmetric") return x / axis.scale;
  if (mode == "tf_crop_and_resize") {
    if (axis.out <= 1) return 0.5 * (axis.roi_start + axis.roi_end) * (in - 1.0);
    const double step = (axis.roi_end - axis.roi_start) * (in - 1.0) / static_cast<double>(axis.out - 1);
    return axis.roi_start * (in - 1.0) + x * step;
  }
  if (mode == "pytorch_half_pixel" && axis.out <= 1) return 0.0;
  double offset = 0.0;
  if (mode == "half_pixel_symmetric") offset = in / 2.0 * (1.0 - static_cast<double>(axis.out) / out);
  return offset + (x + 0.5) / axis.scale - 0.5;
}

std::int64_t nearest(const std::string& mode, double x) {
  if (mode == "floor") return static_cast<std::int64_t>(std::floor(x));
  if (mode == "ceil") return static_cast<std::int64_t>(std::ceil(x));
  if (mode == "round_prefer_ceil") return static_cast<std::int64_t>(std::floor(x + 0.5));
  return static_cast<std::int64_t>(std::ceil(x - 0.5));
}

/// The interpolating kernels of the distance from an element: R. G. Keys 1981, equation (4), and a triangle.
double kernel(bool cubic, double a, double distance) {
  const double x = std::abs(distance);
  if (!cubic) return std::max(0.0, 1.0 - x);
  if (x <= 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  return x < 2.0 ? ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a : 0.0;
}

/// 1, or less where the kernel is stretched because it samples down.
double kernel_scale(const Node& node, const Axis& axis) {
  return node.attributes.integer("antialias", 0) != 0 ? std::min(axis.scale, 1.0) : 1.0;
}

/// The first element that the kernel reaches, from the one before a coordinate.
std::int64_t first_tap(const Node& node, const Axis& axis) {
  const double reach = node.attributes.text("mode", "nearest") == "cubic" ? 2.0 : 1.0;
  const double first = std::floor(-reach / kernel_scale(node, axis)) + 1.0;
  return static_cast<std::int64_t>(std::max(first, -1e12));
}

std::int64_t taps_of(const Node& node, const Axis& axis) {
  return node.attributes.text("mode", "nearest") == "nearest" ? 1 : 2 - 2 * first_tap(node, axis);
}

ResizeAxis table(const Node& node, const Axis& axis) {
  ResizeAxis t{axis.axis, axis.in, axis.out, 1, {}, {}};
  const std::string mode = node.attributes.text("mode", "nearest");
  const std::string nearest_mode = node.attributes.text("nearest_mode", "round_prefer_floor");
  const std::string coordinates = coordinate_mode(node);
  const double a = node.attributes.real("cubic_coeff_a", -0.75);
  const bool exclude = node.attributes.integer("exclude_outside", 0) != 0;
  const bool antialias = node.attributes.integer("antialias", 0) != 0;
  const bool cubic = mode == "cubic";
  const double scale = kernel_scale(node, axis);
  const std::int64_t first = first_tap(node, axis);
  t.taps = taps_of(node, axis);
  for (std::int64_t o = 0; o < axis.out; ++o) {
    const double x = std::clamp(coordinate(coordinates, axis, o), -1e12, 1e12);
    const bool outside = coordinates == "tf_crop_and_resize" && (x < 0.0 || x > static_cast<double>(axis.in - 1));
    // The element before x, never x itself.
    const auto base = static_cast<std::int64_t>(std::ceil(x)) - 1;
    std::vector<double> weights;
    double sum = 0.0;
    for (std::int64_t i = 0; i < t.taps; ++i) {
      const std::int64_t at = mode == "nearest" ? nearest(nearest_mode, x) : base + first + i;
      const bool missing = mode != "nearest" && exclude && (at < 0 || at >= axis.in);
      const double distance = (static_cast<double>(at) - x) * scale;
      weights.push_back(missing ? 0.0 : mode == "nearest" ? 1.0 : kernel(cubic, a, distance));
      sum += weights.back();
      t.index.push_back(outside ? -1 : static_cast<std::int32_t>(std::clamp<std::int64_t>(at, 0, axis.in - 1)));
    }
    for (const double weight : weights) {
      t.weight.push_back(static_cast<float>(antialias || exclude ? weight / sum : weight));
    }
  }
  return t;
}

}  // namespace

bool ResizeAxis::changes() const {
  if (in != out) return true;
  for (std::int64_t o = 0; o < out; ++o) {
    float own = 0.0f;  // at an edge several taps may be of the same element
    for (std::int64_t t = 0; t < taps; ++t) {
      const auto i = static_cast<std::size_t>(o * taps + t);
      if (index[i] != o && weight[i] != 0.0f) return true;
      if (index[i] == o) own += weight[i];
    }
    if (own != 1.0f) return true;
  }
  return false;
}

Shape resized_shape(const Node& node, const Shape& x, const ResizeInputs& inputs) {
  const std::string mode = node.attributes.text("mode", "nearest");
  expect_one_of(node, "mode", mode, {"nearest", "linear", "cubic"});
  expect_one_of(node, "nearest_mode", node.attributes.text("nearest_mode", "round_prefer_floor"),
                {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"});
  expect_one_of(node, "coordinate_mode", coordinate_mode(node),
                {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
                 "tf_crop_and_resize"});
  if (mode == "nearest" && node.attributes.integer("antialias", 0) != 0) fail(node, "antialias in mode 'nearest'");
  Shape y = x;
  for (const Axis& axis : resized_axes(node, x, inputs)) {
    constexpr std::int64_t kMost = 1 << 26;
    const std::int64_t taps = taps_of(node, axis);
    if (axis.out > 0 && taps > kMost / axis.out) {
      fail(node, fmt::format("{} elements made of {} each need more than {} weights", axis.out, taps, kMost));
    }
    y[axis.axis] = axis.out;
  }
  return y;
}

std::vector<ResizeAxis> resize_tables(const Node& node, const Shape& x, const ResizeInputs& inputs) {
  std::vector<ResizeAxis> tables;
  for (const Axis& axis : resized_axes(node, x, inputs)) tables.push_back(table(node, axis));
  return tables;
}

}  // namespace heed::ops
