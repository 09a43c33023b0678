// op rotary: rotary position embedding. x [T, heads * d], position [1] or [T] i32 -> [T, heads * d]; row t stands at
// position + t, or at a position of its own, -1 for padding, which is not turned. Attributes: heads and those of
// ops::Rotary; context (how many positions there are) is the dimension of that name.
#include "ops/rotary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/integer.h"
#include "heed/error.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {

Rotary Rotary::from(const Attributes& attributes, const std::string& prefix, std::int64_t head_dim) {
  Rotary rotary;
  const std::string layout = attributes.text(prefix + "layout");
  if (layout != "half" && layout != "interleaved") {
    throw Error(fmt::format("rotary layout '{}' is neither 'half' nor 'interleaved'", layout));
  }
  rotary.half = layout == "half";
  rotary.base = attributes.real(prefix + "base");
  rotary.dims = attributes.integer(prefix + "dims", head_dim);
  if (!(rotary.base > 0.0) || !std::isfinite(rotary.base))
    throw Error(fmt::format("rotary base {} is not positive", rotary.base));
  if (rotary.dims <= 0 || rotary.dims > head_dim || rotary.dims % 2 != 0) {
    throw Error(fmt::format("rotary dims {} is not an even number up to the head's {}", rotary.dims, head_dim));
  }
  if (attributes.has(prefix + "freq_factors")) {
    rotary.freq_factors = attributes.reals(prefix + "freq_factors");
    if (static_cast<std::int64_t>(rotary.freq_factors.size()) != rotary.dims / 2) {
      throw Error(fmt::format("rotary has {} freq_factors, expected {}", rotary.freq_factors.size(), rotary.dims / 2));
    }
    for (const double factor : rotary.freq_factors) {
      if (!(factor > 0.0) || !std::isfinite(factor))
        throw Error(fmt::format("rotary freq_factor {} is not positive", factor));
    }
  }
  rotary.scale = attributes.real(prefix + "scale", 1.0);
  if (!(rotary.scale > 0.0) || !std::isfinite(rotary.scale))
    throw Error(fmt::format("rotary scale {} is not positive", rotary.scale));
  return rotary;
}

double Rotary::angle(double position, std::int64_t pair) const {
  const double factor = freq_factors.empty() ? 1.0 : freq_factors[static_cast<std::size_t>(pair)];
  return position * std::pow(base, -2.0 * static_cast<double>(pair) / static_cast<double>(dims)) / factor;
}

void Rotary::turn(double* head, double position) const {
  for (std::int64_t pair = 0; pair < dims / 2; ++pair) {
    const double c = scale * std::cos(angle(position, pair));
    const double s = scale * std::sin(angle(position, pair));
    const double a = head[first(pair)];
    const double b = head[second(pair)];
    head[first(pair)] = a * c - b * s;
    head[second(pair)] = a * s + b * c;
  }
}

Binding Rotary::table(Lowering& lowering, std::int64_t positions) const {
  std::string name = fmt::format("rotary {} {} {} {}", base, dims, positions, scale);
  for (const double factor : freq_factors) name += fmt::format(" {}", factor);
  const auto make = [&] {
    const std::int64_t rows = kRotaryFineRows + ceil_div(positions, kRotaryFineRows);
    std::vector<float> table;
    table.reserve(static_cast<std::size_t>(rows * dims));
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t position = row < kRotaryFineRows ? row : (row - kRotaryFineRows) * kRotaryFineRows;
      // The shader multiplies a fine row and a coarse one: one of them carries the scale.
      const double length = row < kRotaryFineRows ? scale : 1;
      for (std::int64_t pair = 0; pair < dims / 2; ++pair) {
        const double a = angle(static_cast<double>(position), pair);
        table.push_back(static_cast<float>(length * std::cos(a)));
        table.push_back(static_cast<float>(length * std::sin(a)));
      }
    }
    return table;
  };
  return lowering.constant(name, make, View::F32);
}

namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(2, {"heads", "layout", "base", "dims", "freq_factors", "scale"});
  c.expect_rank(0, 2, "x");
  if (c.input(1).shape != Shape{c.input(0).shape[0]}) c.expect_shape(1, {1}, "position");
  const std::int64_t heads = c.node.attributes.integer("heads");
  const std::int64_t width = c.input(0).shape[1];
  if (heads <= 0 || width % heads != 0) c.fail(fmt::format("{} heads do not divide a width of {}", heads, width));
  Rotary::from(c.node.attributes, "", width / heads);
  c.expect_floats(0, "x");
  c.expect_integers(1, "position");
  return {c.input(0)};
}

void reference(const ReferenceContext& c) {
  const std::int64_t heads = c.node.attributes.integer("heads");
  const std::int64_t rows = c.shape(0)[0];
  const std::int64_t d = c.shape(0)[1] / heads;
  const Rotary rotary = Rotary::from(c.node.attributes, "", d);
  const bool own = c.in(1).size() > 1;
  c.out(0) = c.in(0);
  for (std::int64_t t = 0; t < rows; ++t) {
    const double position = own ? std::max(c.in(1)[static_cast<std::size_t>(t)], 0.0)
                                : static_cast<double>(c.position(1)) + static_cast<double>(t);
    for (std::int64_t h = 0; h < heads; ++h) {
      rotary.turn(c.out(0).data() + (t * heads + h) * d, position);
    }
  }
}

void lower(Lowering& l) {
  const auto heads = u32(l.attributes().integer("heads"));
  const auto rows = u32(l.input(0).shape[0]);
  const auto d = u32(l.input(0).shape[1]) / heads;
  const Rotary rotary = Rotary::from(l.attributes(), "", d);
  const auto context = l.dims().find("context");
  if (context == l.dims().end()) l.fail("dimension 'context' has no size: it says how many positions there are");
  const bool own = l.input(1).shape[0] > 1;
  l.check_indices(1, "position", {own ? context->second : context->second - rows + 1}, own);
  Dispatch dispatch;
  dispatch.shader = "rotary";
  dispatch.bindings = {l.read(0, View::F32), l.read(1, View::I32), rotary.table(l, context->second), l.write()};
  dispatch.push_constants = {rows, heads, d, u32(rotary.dims)};
  const std::uint32_t lanes = l.lanes(64);
  dispatch.specialization = {lanes, rotary.half, own};
  // One invocation a pair; those past dims copy.
  dispatch.groups = l.spread(ceil_div(std::uint64_t{rows} * heads * ceil_div(d, 2u), lanes));
  l.emit(std::move(dispatch));
}

std::vector<PartAxis> parts(const Lowering& l) {
  const std::int64_t heads = l.attributes().integer("heads");
  const std::int64_t d = l.input(0).shape[1] / heads;
  return {{heads, 1, [attributes = l.attributes(), d](std::int64_t begin, std::int64_t count) {
             NodePart part;
             part.inputs = {PartRange{1, begin * d, count * d}};
             part.outputs = {PartRange{1, begin * d, count * d}};
             part.attributes = attributes;
             part.attributes->set("heads", count);
             return part;
           }}};
}

}  // namespace

extern const Op op_rotary;
const Op op_rotary = {.names = {"rotary"}, .infer = infer, .reference = reference, .lower = lower, .parts = parts};

}  // namespace heed::ops
