// op conv, conv_transpose: y = activation(x * w + bias), over one to three spatial dimensions.
//
// conv(x [B, C, in..], w [O, C / groups, kernel..], bias [O]?) -> [B, O, out..]:
//   y[b, o, i] = bias[o] + sum over c, k of w[o, c, k] x[b, group of o and c, i * stride - begin + k * dilation]
// conv_transpose(x [B, C, in..], w [C, O / groups, kernel..], bias [O]?): every element of x adds w times it to y,
//   y[b, o, i * stride - begin + k * dilation] += w[c, o, k] x[b, c, i]
// Attributes strides, dilations, pads, auto_pad, and for conv_transpose output_padding and output_shape, as ONNX has
// them (ops/window.h); groups (default 1), activation (default "none"; leaky_relu too, with attribute slope). All are
// real, or all are i32: then y is too, wraps around, and has no activation.
#include "ops/conv.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "constants/conv_plain.h"
#include "graph/integer.h"
#include "ops/activation.h"
#include "ops/matmul.h"
#include "ops/op.h"
#include "ops/rewrite.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

/// From the types of x and w; infer() uses it to check them.
Convolution convolution_of(const Node& node, const Shape& x, const Shape& w) {
  Convolution c;
  const std::span<const std::int64_t> kernel = std::span(w).subspan(2);
  c.transposed = node.op == "conv_transpose";
  c.window = c.transposed ? transposed_window(node, x, kernel) : sliding_window(node, x, kernel);
  c.batch = x[0];
  c.groups = node.attributes.integer("groups", 1);
  c.channels = c.transposed ? w[0] / c.groups : w[1];
  c.outputs = c.transposed ? w[1] : w[0] / c.groups;
  return c;
}

std::vector<TensorType> infer(const InferContext& c) {
  if (c.node.op == "conv") {
    c.expect_only(3, {"strides", "dilations", "pads", "auto_pad", "groups", "activation", "slope"});
  } else {
    c.expect_only(3, {"strides", "dilations", "pads", "auto_pad", "groups", "activation", "slope", "output_padding",
                      "output_shape"});
  }
  const Shape& x = c.input(0).shape;
  const Shape& w = c.input(1).shape;
  if (x.size() < 3 || x.size() > 5) {
    c.fail(fmt::format("x is {}, expected [batch, channels, and 1 to 3 spatial dimensions]", to_string(x)));
  }
  c.expect_rank(1, x.size(), "the weight");
  const std::int64_t groups = c.node.attributes.integer("groups", 1);
  const bool transposed = c.node.op == "conv_transpose";
  if (groups < 1 || groups > 1 << 30 || w[0] % groups != 0 || x[1] % groups != 0) {
    c.fail(fmt::format("{} groups of x {} and the weight {}", groups, to_string(x), to_string(w)));
  }
  if (x[1] != (transposed ? w[0] : w[1] * groups)) {
    c.fail(fmt::format("x is {}, but the weight {} needs {} channels", to_string(x), to_string(w),
                       transposed ? w[0] : w[1] * groups));
  }
  const Convolution conv = convolution_of(c.node, x, w);
  if (c.has(2)) c.expect_shape(2, {conv.groups * conv.outputs}, "bias");
  const bool integers = c.input(0).dtype == DType::I32;
  const char* const names[] = {"x", "the weight", "the bias"};
  for (std::size_t i = 0; i < 3; ++i) {
    if (!c.has(i)) continue;
    if (integers) {
      c.expect_integers(i, names[i]);
    } else {
      c.expect_floats(i, names[i]);
    }
  }
  if (ConvActivation::of(c.node.attributes).number != 0 && integers) c.fail("integers have no activation");
  return {{integers ? DType::I32 : DType::F32, conv.window.shape(conv.batch, conv.groups * conv.outputs)}};
}

/// Calls f(tap, element of x's spatial dimensions) for the taps of output o that lie within x.
template <typename F>
void for_taps(const Convolution& c, const Triple& o, F f) {
  const Window& w = c.window;
  std::int64_t tap = 0;
  for (Triple k = {0, 0, 0}; k[0] < w.kernel[0]; ++k[0]) {
    for (k[1] = 0; k[1] < w.kernel[1]; ++k[1]) {
      for (k[2] = 0; k[2] < w.kernel[2]; ++k[2], ++tap) {
        std::int64_t element = 0;
        bool inside = true;
        for (std::size_t d = 0; d < 3; ++d) {
          std::int64_t at = o[d] * w.stride[d] - w.begin[d] + k[d] * w.dilation[d];
          if (c.transposed) {
            const std::int64_t steps = o[d] + w.begin[d] - k[d] * w.dilation[d];
            at = steps % w.stride[d] == 0 ? steps / w.stride[d] : -1;
          }
          inside = inside && at >= 0 && at < w.in[d];
          element = element * w.in[d] + at;
        }
        if (inside) f(tap, element);
      }
    }
  }
}

void reference(const ReferenceContext& c) {
  const Convolution conv = convolution_of(c.node, c.shape(0), c.shape(1));
  const ConvActivation activation = ConvActivation::of(c.node.attributes);
  const bool integers = !is_floating(c.outputs[0]->type.dtype);
  const Window& w = conv.window;
  std::size_t i = 0;
  for (std::int64_t row = 0; row < conv.batch * conv.groups * conv.outputs; ++row) {
    const std::int64_t output = row % (conv.groups * conv.outputs);
    const std::int64_t group = output / conv.outputs;
    const std::int64_t first = (row / (conv.groups * conv.outputs) * conv.groups + group) * conv.channels;
    for (Triple o = {0, 0, 0}; o[0] < w.out[0]; ++o[0]) {
      for (o[1] = 0; o[1] < w.out[1]; ++o[1]) {
        for (o[2] = 0; o[2] < w.out[2]; ++o[2]) {
          double sum = c.has(2) ? c.in(2)[static_cast<std::size_t>(output)] : 0.0;
          auto integer_sum = static_cast<std::uint64_t>(static_cast<std::int64_t>(integers ? sum : 0.0));
          for_taps(conv, o, [&](std::int64_t tap, std::int64_t element) {
            for (std::int64_t channel = 0; channel < conv.channels; ++channel) {
              const std::int64_t matrix = conv.transposed
                                              ? (group * conv.channels + channel) * conv.outputs + output % conv.outputs
                                              : output * conv.channels + channel;
              const double x = c.in(0)[static_cast<std::size_t>((first + channel) * w.in_count() + element)];
              const double factor = c.in(1)[static_cast<std::size_t>(matrix * w.taps() + tap)];
              if (integers) {
                integer_sum += wrapping_product(x, factor);
              } else {
                sum += x * factor;
              }
            }
          });
          c.out(0)[i++] = integers ? static_cast<std::int32_t>(integer_sum) : activation(sum);
        }
      }
    }
  }
}

void lower_plain(Lowering& l, const Convolution& c) {
  const Window& w = c.window;
  const auto count = static_cast<std::uint64_t>(element_count(l.output().shape));
  if (count > 0x7fffffffu || static_cast<std::uint64_t>(element_count(l.input(0).shape)) > 0x7fffffffu) {
    l.fail("more than 2^31 elements");
  }
  const auto tap_iterations = static_cast<std::uint64_t>(2 + w.kernel[0] * (2 + w.kernel[1] * (2 + w.kernel[2])));
  // Half of them: llvmpipe counts more of nested loops than their rounds and their ends.
  const std::uint64_t most = l.caps().max_loop_iterations / 2 / tap_iterations;
  if (most == 0) {
    l.fail(fmt::format("kernels of {} elements need more than {} loop iterations; use a newer driver", w.taps(),
                       l.caps().max_loop_iterations));
  }
  const auto channels = static_cast<std::uint64_t>(c.channels);
  const std::uint64_t step = std::max<std::uint64_t>(1, std::min(most, channels));
  for (std::uint64_t first = 0; first == 0 || first < channels; first += step) {
    const std::uint64_t end = std::min(channels, first + step);
    Dispatch d;
    d.shader = "conv_plain";
    const bool real = is_floating(l.output().dtype);
    const View view = real ? View::F32 : View::I32;
    d.variant = {real ? "real" : "integer"};
    const Binding x = l.read(0, view);
    d.bindings = {x, l.read(1, view), l.read_or(2, view, x), l.write()};
    if (step < channels) d.bindings[3].access = Access::ReadWrite;
    const ConvActivation activation = ConvActivation::of(l.attributes());
    ConvPlainPush push = {};
    push.count = u32(count);
    copy_to_words(w.in, push.in_size);
    copy_to_words(w.out, push.out_size);
    copy_to_words(w.kernel, push.kernel);
    copy_to_words(w.stride, push.stride);
    copy_to_words(w.dilation, push.dilation);
    copy_to_words(w.begin, push.begin);
    push.groups = u32(c.groups);
    push.channels = u32(c.channels);
    push.outputs = u32(c.outputs);
    push.first_channel = u32(first);
    push.end_channel = u32(end);
    push.slope = static_cast<float>(activation.slope);
    d.push_constants = words_of(push);
    const std::uint32_t lanes = l.lanes(64);
    d.specialization = words_of(ConvPlainConstants{
        .lanes = lanes, .transposed = c.transposed, .has_bias = l.has(2), .activation = activation.number});
    d.groups = l.spread(ceil_div(count, lanes));
    d.flops = channels == 0 ? 0 : c.flops() / channels * (end - first);
    l.emit(std::move(d));
  }
}

void lower(Lowering& l) {
  if (element_count(l.output().shape) == 0) return;
  const Convolution conv = convolution_of(l.node(), l.input(0).shape, l.input(1).shape);
  if (!is_floating(l.output().dtype) || !lower_tiles(l, conv)) lower_plain(l, conv);
}

/// Lines [begin, begin + count) of the result, the first spatial dimension: of x, those that they are made of. Nothing
/// where that is no convolution with padding of its own.
std::optional<NodePart> part_of_lines(const Node& node, const Convolution& c, std::int64_t begin, std::int64_t count) {
  const Window& w = c.window;
  const std::size_t d = 3 - w.rank;
  const std::int64_t span = (w.kernel[d] - 1) * w.dilation[d];  // from the first tap to the last
  std::int64_t first, last, before, after;                      // lines [first, last) of x, and padding around them
  std::vector<std::int64_t> more(w.rank, 0);                    // output_padding
  if (c.transposed) {
    first = std::clamp<std::int64_t>(ceil_div(begin + w.begin[d] - span, w.stride[d]), 0, w.in[d] - 1);
    last = std::clamp<std::int64_t>((begin + count - 1 + w.begin[d]) / w.stride[d] + 1, first + 1, w.in[d]);
    before = begin + w.begin[d] - first * w.stride[d];
    if (before < 0 && first > 0) before += w.stride[d], --first;
    const std::int64_t whole = w.stride[d] * (last - first - 1) + span + 1;
    after = whole - before - count;
    if (after < 0) more[0] = -std::exchange(after, 0);
  } else {
    const std::int64_t from = begin * w.stride[d] - w.begin[d];
    const std::int64_t to = from + (count - 1) * w.stride[d] + span + 1;
    first = std::clamp<std::int64_t>(from, 0, w.in[d] - 1);
    last = std::clamp<std::int64_t>(to, first + 1, w.in[d]);
    before = first - from;
    after = std::max<std::int64_t>(to - last, 0);
  }
  if (before < 0) return std::nullopt;
  std::vector<std::int64_t> pads = {before};
  for (std::size_t i = d + 1; i < 3; ++i) pads.push_back(w.begin[i]);
  pads.push_back(after);
  for (std::size_t i = d + 1; i < 3; ++i) {
    const std::int64_t ends = c.transposed ? w.stride[i] * (w.in[i] - 1) + w.span(i) - w.begin[i] - w.out[i]
                                           : (w.out[i] - 1) * w.stride[i] + w.span(i) - w.begin[i] - w.in[i];
    pads.push_back(std::max<std::int64_t>(ends, 0));
    if (c.transposed) more[i - d] = std::max<std::int64_t>(-ends, 0);
  }
  NodePart part;
  part.inputs = {PartRange{2, first, last - first}};
  part.outputs = {PartRange{2, begin, count}};
  part.attributes = node.attributes;
  part.attributes->erase("auto_pad");
  part.attributes->set("pads", std::move(pads));
  if (c.transposed) {
    part.attributes->erase("output_shape");
    part.attributes->set("output_padding", std::move(more));
  }
  return part;
}

std::vector<PartAxis> parts(const Lowering& l) {
  const Convolution c = convolution_of(l.node(), l.input(0).shape, l.input(1).shape);
  const Shape& y = l.output().shape;
  std::vector<PartAxis> axes = {part_axis(l, c.batch, {0}, {0})};
  if (c.groups == 1) {
    axes.push_back(part_axis(l, y[1], {std::nullopt, c.transposed ? 1 : 0, 0}, {1}));
    axes.back().unit = 4;  // channels of a lane
  } else {
    axes.push_back(
        {c.groups, 1, [attributes = l.attributes(), c](std::int64_t begin, std::int64_t count) {
           NodePart part;
           const PartRange in{1, begin * c.channels, count * c.channels};
           const PartRange out{1, begin * c.outputs, count * c.outputs};
           const PartRange& weights = c.transposed ? in : out;
           part.inputs = {in, PartRange{0, weights.begin, weights.count}, PartRange{0, out.begin, out.count}};
           part.outputs = {out};
           part.attributes = attributes;
           part.attributes->set("groups", count);
           return part;
         }});
  }
  // Every piece must be one that can be.
  const auto lines = [node = l.node(), c](std::int64_t begin, std::int64_t count) {
    return part_of_lines(node, c, begin, count);
  };
  bool possible = c.window.in_count() > 0;
  for (std::int64_t i = 0; possible && i < y[2]; ++i) possible = lines(i, 1).has_value();
  if (possible) {
    axes.push_back({y[2], 1, [lines](std::int64_t begin, std::int64_t count) { return *lines(begin, count); }});
  }
  return axes;
}

/// An activation function, or leaky_relu, of what a convolution makes becomes its attribute.
void fuse_conv_activation(const FusionContext& context) {
  std::vector<TensorType> types;
  fuse_into_maker(context.graph, [&](Node& maker, const Node& reader) {
    const bool leaky = reader.op == "leaky_relu";
    if (maker.op != "conv" && maker.op != "conv_transpose") return false;
    if (!leaky && !is_activation(reader.op)) return false;
    if (maker.attributes.text("activation", "none") != "none") return false;
    if (types.empty()) types = context.types();
    if (!is_floating(types[static_cast<std::size_t>(maker.outputs[0])].dtype)) return false;
    maker.attributes.set("activation", reader.op);
    if (leaky) maker.attributes.set("slope", reader.attributes.real("alpha", 0.01));
    return true;
  });
}

}  // namespace

ConvActivation ConvActivation::of(const Attributes& attributes) {
  const std::string name = attributes.text("activation", "none");
  constexpr std::uint32_t kLeakyRelu = 7;
  if (name == "leaky_relu") return {kLeakyRelu, attributes.real("slope", 0.01)};
  return {static_cast<std::uint32_t>(activation_named(name)), 0.0};
}

double ConvActivation::operator()(double x) const {
  if (number <= static_cast<std::uint32_t>(Activation::Sigmoid)) return activate(static_cast<Activation>(number), x);
  return x >= 0.0 ? x : x * slope;
}

std::uint64_t Convolution::flops() const {
  const std::int64_t places = transposed ? window.in_count() : window.out_count();
  return saturating_product({2, u64(batch), u64(groups), u64(channels), u64(outputs), u64(places), u64(window.taps())});
}

extern const Op op_conv;
const Op op_conv = {.names = {"conv", "conv_transpose"},
                    .infer = infer,
                    .reference = reference,
                    .lower = lower,
                    .fusions = {{FusionPhase::Epilogues, "conv activation", fuse_conv_activation}},
                    .parts = parts};

}  // namespace heed::ops
