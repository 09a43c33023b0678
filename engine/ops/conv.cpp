// op conv, conv_transpose: y = activation(x * w + bias), over one to three spatial dimensions.
//
// conv(x [B, C, in..], w [O, C / groups, kernel..], bias [O]?) -> [B, O, out..]:
//   y[b, o, i] = bias[o] + sum over c, k of w[o, c, k] x[b, group of o and c, i * stride - begin + k * dilation]
// conv_transpose(x [B, C, in..], w [C, O / groups, kernel..], bias [O]?): every element of x adds w times it to y,
//   y[b, o, i * stride - begin + k * dilation] += w[c, o, k] x[b, c, i]
// Attributes strides, dilations, pads, auto_pad, and for conv_transpose output_padding and output_shape, as ONNX has
// them (ops/window.h); groups (default 1), activation (default "none"; leaky_relu too, with attribute slope). All are
// real, or all are i32: then y is too, wraps around, and has no activation.
// By fusion: joined, input 3, of y's shape, with attribute join ("add_before" the activation, "add_after" it, or
// "multiply"); attribute block, of conv over two dimensions: y is [B, O / block^2, block * out..], whose pixels in
// blocks were channels, by attribute block_order ("inner" or "outer", ConvEpilogue). Attribute halves (default 2), of
// conv: with 1, kernels that multiply halves may take one of each element, which rounds it to 11 bits, where others are
// exact.
#include "ops/conv.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "constants/conv_epilogue.h"
#include "constants/conv_plain.h"
#include "graph/integer.h"
#include "heed/error.h"
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
    c.expect_only(4, {"strides", "dilations", "pads", "auto_pad", "groups", "activation", "slope", "join", "block",
                      "block_order", "halves"});
  } else {
    c.expect_only(4, {"strides", "dilations", "pads", "auto_pad", "groups", "activation", "slope", "join",
                      "output_padding", "output_shape"});
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
  if (const std::int64_t halves = c.node.attributes.integer("halves", 2); halves != 1 && halves != 2) {
    c.fail(fmt::format("halves is {}, expected 1 or 2", halves));
  }
  const bool integers = c.input(0).dtype == DType::I32;
  const char* const names[] = {"x", "the weight", "the bias", "what is joined"};
  for (std::size_t i = 0; i < 4; ++i) {
    if (!c.has(i)) continue;
    if (integers) {
      c.expect_integers(i, names[i]);
    } else {
      c.expect_floats(i, names[i]);
    }
  }
  const ConvEpilogue epilogue = ConvEpilogue::of(c.node.attributes);
  if (integers && epilogue.activation.number != 0) c.fail("integers have no activation");
  if (integers && (epilogue.join != kJoinNone || epilogue.block != 1))
    c.fail("integers are not joined, nor made blocks");
  const Shape made = conv.window.shape(conv.batch, conv.groups * conv.outputs);
  if (epilogue.block != 1 && (made.size() != 4 || made[1] % (epilogue.block * epilogue.block) != 0)) {
    c.fail(fmt::format("{} has no blocks of {} x {} channels", to_string(made), epilogue.block, epilogue.block));
  }
  const Shape y = epilogue.shape(made);
  if (c.has(3) != (epilogue.join != kJoinNone)) c.fail("attribute join and a tensor to join go together");
  if (c.has(3)) c.expect_shape(3, y, "what is joined");
  return {{integers ? DType::I32 : DType::F32, y}};
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

/// Where in y element `pixel` of output `channel` of a picture lies, as shaders/include/conv_epilogue.glsl has it.
std::size_t place_in_y(const Convolution& c, const ConvEpilogue& e, std::int64_t picture, std::int64_t channel,
                       const Triple& pixel) {
  const Triple& out = c.window.out;
  if (e.block == 1) {
    const std::int64_t plane = picture * c.groups * c.outputs + channel;
    return static_cast<std::size_t>(((plane * out[0] + pixel[0]) * out[1] + pixel[1]) * out[2] + pixel[2]);
  }
  const std::int64_t of_block = e.block * e.block;
  const std::int64_t planes = c.groups * c.outputs / of_block;
  const std::int64_t plane = picture * planes + (e.order == kBlockInner ? channel / of_block : channel % planes);
  const std::int64_t in_block = e.order == kBlockInner ? channel % of_block : channel / planes;
  const std::int64_t row = pixel[1] * e.block + in_block / e.block;
  const std::int64_t column = pixel[2] * e.block + in_block % e.block;
  return static_cast<std::size_t>((plane * out[1] * e.block + row) * out[2] * e.block + column);
}

double finished(const ReferenceContext& c, const ConvEpilogue& epilogue, double sum, std::size_t at) {
  const double other = epilogue.join == kJoinNone ? 0.0 : c.in(3)[at];
  const double y = epilogue.activation(epilogue.join == kJoinAddBefore ? sum + other : sum);
  return epilogue.join == kJoinAddAfter ? y + other : epilogue.join == kJoinMultiply ? y * other : y;
}

void reference(const ReferenceContext& c) {
  const Convolution conv = convolution_of(c.node, c.shape(0), c.shape(1));
  const ConvEpilogue epilogue = ConvEpilogue::of(c.node.attributes);
  const bool integers = !is_floating(c.outputs[0]->type.dtype);
  const Window& w = conv.window;
  for (std::int64_t row = 0; row < conv.batch * conv.groups * conv.outputs; ++row) {
    const std::int64_t output = row % (conv.groups * conv.outputs);
    const std::int64_t picture = row / (conv.groups * conv.outputs);
    const std::int64_t group = output / conv.outputs;
    const std::int64_t first = (picture * conv.groups + group) * conv.channels;
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
          const std::size_t at = place_in_y(conv, epilogue, picture, output, o);
          c.out(0)[at] = integers ? static_cast<std::int32_t>(integer_sum) : finished(c, epilogue, sum, at);
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
    d.bindings = {x, l.read(1, view)};
    for (Binding binding : epilogue_bindings(l, x)) {
      if (binding.view != View::None) binding.view = view;
      d.bindings.push_back(binding);
    }
    if (step < channels) d.bindings.back().access = Access::ReadWrite;
    const ConvEpilogue epilogue = ConvEpilogue::of(l.attributes());
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
    push.slope = static_cast<float>(epilogue.activation.slope);
    d.push_constants = words_of(push);
    const std::uint32_t lanes = l.lanes(64);
    d.specialization = words_of(ConvPlainConstants{.lanes = lanes,
                                                   .transposed = c.transposed,
                                                   .has_bias = l.has(2),
                                                   .activation = epilogue.activation.number,
                                                   .join = epilogue.join,
                                                   .block = u32(epilogue.block),
                                                   .block_order = epilogue.order});
    d.groups = l.spread(ceil_div(count, lanes));
    d.flops = c.flops(static_cast<std::int64_t>(end - first), w.taps());
    l.emit(std::move(d));
  }
}

void lower(Lowering& l) {
  if (element_count(l.output().shape) == 0) return;
  const Convolution conv = convolution_of(l.node(), l.input(0).shape, l.input(1).shape);
  const bool real = is_floating(l.output().dtype);
  if (real && conv.transposed && lower_transposed(l, conv)) return;
  if (real && (lower_cooperative(l, conv) || lower_matrix(l, conv))) return;
  if (!real || !lower_tiles(l, conv)) lower_plain(l, conv);
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
    if (to < last) return std::nullopt;  // all of it lies in what is padded before
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
  const std::int64_t block = ConvEpilogue::of(node.attributes).block;
  const PartRange out{2, begin * block, count * block};
  NodePart part;
  part.inputs = {PartRange{2, first, last - first}, std::nullopt, std::nullopt, out};
  part.outputs = {out};
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
  const ConvEpilogue epilogue = ConvEpilogue::of(l.attributes());
  const std::int64_t of_block = epilogue.block * epilogue.block;  // channels that are a channel of y
  // Whether channels of y are made by channels that follow each other.
  const bool together = of_block == 1 || epilogue.order == kBlockInner;
  std::vector<PartAxis> axes = {part_axis(l, c.batch, {0, std::nullopt, std::nullopt, 0}, {0})};
  if (c.groups == 1 && together) {
    axes.push_back(
        {c.outputs / of_block, 4,  // channels of a lane
         [c, of_block](std::int64_t begin, std::int64_t count) {
           NodePart part;
           const PartRange out{1, begin, count};
           const PartRange made{0, begin * of_block, count * of_block};
           part.inputs = {std::nullopt, PartRange{c.transposed ? 1u : 0u, made.begin, made.count}, made, out};
           part.outputs = {out};
           return part;
         }});
  }
  if (c.groups > 1 && of_block == 1) {
    axes.push_back(
        {c.groups, 1, [attributes = l.attributes(), c](std::int64_t begin, std::int64_t count) {
           NodePart part;
           const PartRange in{1, begin * c.channels, count * c.channels};
           const PartRange out{1, begin * c.outputs, count * c.outputs};
           const PartRange& weights = c.transposed ? in : out;
           part.inputs = {in, PartRange{0, weights.begin, weights.count}, PartRange{0, out.begin, out.count}, out};
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
  const std::int64_t line_count = c.window.out[3 - c.window.rank];
  bool possible = c.window.in_count() > 0;
  for (std::int64_t i = 0; possible && i < line_count; ++i) possible = lines(i, 1).has_value();
  if (possible) {
    axes.push_back({line_count, 1, [lines](std::int64_t begin, std::int64_t count) { return *lines(begin, count); }});
  }
  return axes;
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

ConvEpilogue ConvEpilogue::of(const Attributes& attributes) {
  ConvEpilogue e;
  e.activation = ConvActivation::of(attributes);
  const auto number_of = [&](std::string_view attribute, std::initializer_list<std::string_view> names) {
    const std::string name = attributes.text(attribute, *names.begin());
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) throw Error(fmt::format("there is no {} '{}'", attribute, name));
    return static_cast<std::uint32_t>(found - names.begin());
  };
  e.join = number_of("join", {"none", "add_before", "add_after", "multiply"});
  e.order = number_of("block_order", {"inner", "outer"});
  e.block = attributes.integer("block", 1);
  if (e.block < 1 || e.block > 1 << 10) throw Error(fmt::format("a block of {} pixels", e.block));
  return e;
}

Shape ConvEpilogue::shape(Shape made) const {
  if (block == 1) return made;
  made[1] /= block * block;
  for (std::size_t d = 2; d < made.size(); ++d) made[d] *= block;
  return made;
}

std::vector<Binding> epilogue_bindings(Lowering& l, const Binding& x) {
  // Another view of x's memory would be another buffer view for nothing; none is read.
  Binding none = x;
  none.view = x.view == View::I32 ? View::I32 : View::F32;
  return {l.read_or(2, View::F32, none), l.read_or(3, View::F32, none), l.write()};
}

std::uint64_t Convolution::flops(std::int64_t of_channels, std::int64_t taps) const {
  const std::int64_t places = transposed ? window.in_count() : window.out_count();
  return saturating_product({2, u64(batch), u64(groups), u64(of_channels), u64(outputs), u64(places), u64(taps)});
}

extern const Op op_conv;
const Op op_conv = {.names = {"conv", "conv_transpose"},
                    .infer = infer,
                    .reference = reference,
                    .lower = lower,
                    .fusions = {{FusionPhase::Epilogues, "conv epilogue", fuse_conv_epilogue}},
                    .tuning = conv_tuning(),
                    .parts = parts};

}  // namespace heed::ops
