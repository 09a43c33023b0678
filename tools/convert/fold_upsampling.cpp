#include <fmt/format.h>

#include <algorithm>

#include "tools/convert/fold.h"
#include "tools/convert/graph_edit.h"

namespace heed::convert {
namespace {

using Sizes = std::vector<std::int64_t>;

/// By how much a node `resize` repeats each element of each spatial dimension; nothing where it does something else.
std::optional<Sizes> repeats_of(GraphEdit& edit, const Node& resize, std::size_t rank) {
  const Attributes& a = resize.attributes;
  const bool repeats = a.text("mode", "nearest") == "nearest" &&
                       a.text("coordinate_mode", "half_pixel") == "asymmetric" &&
                       a.text("nearest_mode", "round_prefer_floor") == "floor";
  const bool has_scales = resize.inputs.size() > 2 && resize.inputs[2] != kNoValue &&
                          (resize.inputs.size() < 4 || resize.inputs[3] == kNoValue);
  if (!repeats || !has_scales || resize.inputs[1] != kNoValue) return std::nullopt;
  const std::optional<std::vector<double>> scales = edit.known(resize.inputs[2]);
  Sizes axes;
  for (std::size_t d = 0; d < rank; ++d) axes.push_back(static_cast<std::int64_t>(d));
  if (a.has("axes")) axes = a.integers("axes");
  if (!scales || scales->size() != axes.size()) return std::nullopt;
  Sizes of_dimension(rank, 1);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t axis = axes[i] < 0 ? axes[i] + static_cast<std::int64_t>(rank) : axes[i];
    const double scale = (*scales)[i];
    constexpr double kMost = 16;
    if (axis < 0 || axis >= static_cast<std::int64_t>(rank) || !(scale >= 1.0 && scale <= kMost)) return std::nullopt;
    of_dimension[static_cast<std::size_t>(axis)] = static_cast<std::int64_t>(scale);
    if (static_cast<double>(of_dimension[static_cast<std::size_t>(axis)]) != scale) return std::nullopt;
  }
  if (of_dimension[0] != 1 || of_dimension[1] != 1) return std::nullopt;
  return Sizes(of_dimension.begin() + 2, of_dimension.end());
}

/// Padding before each spatial dimension of a convolution whose stride, dilation and groups are 1 and whose padding is
/// the same behind; nothing for others.
std::optional<Sizes> padding_of(const Node& conv, std::size_t spatial) {
  const Attributes& a = conv.attributes;
  for (const char* name : {"strides", "dilations"}) {
    if (a.has(name) && std::ranges::any_of(a.integers(name), [](std::int64_t n) { return n != 1; }))
      return std::nullopt;
  }
  const std::string automatic = a.text("auto_pad", "notset");
  if (a.integer("groups", 1) != 1 || (automatic != "notset" && automatic != "valid")) return std::nullopt;
  Sizes pads(2 * spatial, 0);
  if (automatic == "notset" && a.has("pads")) pads = a.integers("pads");
  if (pads.size() != 2 * spatial) return std::nullopt;
  for (std::size_t d = 0; d < spatial; ++d) {
    if (pads[d] != pads[d + spatial] || pads[d] < 0) return std::nullopt;
  }
  pads.resize(spatial);
  return pads;
}

std::int64_t product(std::span<const std::int64_t> sizes) {
  std::int64_t result = 1;
  for (const std::int64_t size : sizes) result *= size;
  return result;
}

/// Weights [O, C, kernel..] of a convolution of repeated elements as those [C, O, repeats + kernel - 1..] of a
/// transposed one: element i, repeated as s i + a, meets tap k in output s i + a - k + padding, which is tap t = a - k
/// + kernel - 1.
std::vector<float> summed_weights(const std::vector<float>& w, const Shape& shape, const Sizes& repeats) {
  const std::size_t spatial = repeats.size();
  const std::span<const std::int64_t> kernel = std::span(shape).subspan(2);
  Sizes wide(spatial);
  for (std::size_t d = 0; d < spatial; ++d) wide[d] = repeats[d] + kernel[d] - 1;
  const std::int64_t taps = product(kernel);
  const std::int64_t wide_taps = product(wide);
  const std::int64_t copies = product(repeats);
  std::vector<double> sums(static_cast<std::size_t>(shape[0] * shape[1] * wide_taps), 0.0);
  for (std::int64_t k = 0; k < taps; ++k) {
    for (std::int64_t a = 0; a < copies; ++a) {
      std::int64_t t = 0;
      std::int64_t rest_k = k;
      std::int64_t rest_a = a;
      std::int64_t step = 1;
      for (std::size_t d = spatial; d-- > 0;) {
        t += (rest_a % repeats[d] - rest_k % kernel[d] + kernel[d] - 1) * step;
        rest_a /= repeats[d];
        rest_k /= kernel[d];
        step *= wide[d];
      }
      for (std::int64_t o = 0; o < shape[0]; ++o) {
        for (std::int64_t c = 0; c < shape[1]; ++c) {
          sums[static_cast<std::size_t>((c * shape[0] + o) * wide_taps + t)] +=
              static_cast<double>(w[static_cast<std::size_t>((o * shape[1] + c) * taps + k)]);
        }
      }
    }
  }
  return {sums.begin(), sums.end()};
}

void fold_upsampling_of(GraphEdit& edit, Node& conv) {
  Node* resize = edit.only_maker(conv.inputs[0]);
  if (resize == nullptr || resize->op != "resize") return;
  const SourceTensor* weight = edit.float_weight(conv.inputs[1]);
  if (weight == nullptr || weight->shape.size() < 3) return;
  const Shape shape = weight->shape;
  const std::size_t spatial = shape.size() - 2;
  const std::optional<Sizes> repeats = repeats_of(edit, *resize, shape.size());
  const std::optional<Sizes> padding = padding_of(conv, spatial);
  if (!repeats || !padding || element_count(shape) == 0) return;
  Sizes wide;
  Sizes pads;
  Sizes all;  // taps that an element of x meets before
  for (std::size_t d = 0; d < spatial; ++d) {
    wide.push_back((*repeats)[d] + shape[d + 2] - 1);
    pads.push_back(shape[d + 2] - 1 - (*padding)[d]);
    all.push_back((*repeats)[d] * shape[d + 2]);
    if (pads.back() < 0) return;
  }
  // Many places are as many dispatches, and wide kernels as large a file.
  constexpr std::int64_t kMostPlaces = 16;
  constexpr std::int64_t kMostGrowth = 4;
  if (product(wide) >= product(all) || product(*repeats) > kMostPlaces) return;
  if (product(wide) > kMostGrowth * element_count(Shape(shape.begin() + 2, shape.end()))) return;
  pads.insert(pads.end(), pads.begin(), pads.end());
  Shape wide_shape = {shape[1], shape[0]};
  wide_shape.insert(wide_shape.end(), wide.begin(), wide.end());
  const std::string name = fmt::format("{}*{}", weight->name, resize->name);
  conv.inputs[1] = edit.add_weight(make_computed_tensor(
      name, wide_shape, *weight,
      [shape, steps = *repeats](const std::vector<float>& values) { return summed_weights(values, shape, steps); }));
  conv.inputs[0] = resize->inputs[0];
  conv.op = "conv_transpose";
  conv.attributes.erase("auto_pad");
  conv.attributes.erase("dilations");
  conv.attributes.set("strides", *repeats);
  conv.attributes.set("pads", pads);
  edit.remove(*resize);
}

}  // namespace

std::size_t fold_upsampling(std::vector<Graph>& graphs, std::vector<SourceTensor>& tensors,
                            const models::TensorTable& table) {
  std::size_t folded = 0;
  for (Graph& graph : graphs) {
    GraphEdit edit(graph, tensors, table);
    for (Node& node : graph.nodes) {
      if (node.op == "conv") fold_upsampling_of(edit, node);
    }
    folded += edit.finish();
  }
  return folded;
}

}  // namespace heed::convert
