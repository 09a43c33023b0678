// op scatter_elements, scatter_nd: x with elements changed at places that integers name, in the order of the updates.
// Negative indices count from the end; one that names no place is an error.
//
// scatter_elements(x, i, updates), attribute axis (default 0): i and updates have one shape, of the rank of x and no
// larger in the other dimensions; y[.., i[.., j, ..], ..] = updates[.., j, ..].
// scatter_nd(x, i, updates): the last dimension of i holds indices of the first dimensions of x; updates has a part of
// x for each of them.
//
// Attribute reduction: none (the default), add, mul, max, min: what becomes of the element that is there.
#include <fmt/format.h>

#include <algorithm>

#include "graph/integer.h"
#include "ops/loops.h"
#include "ops/op.h"
#include "ops/strided.h"
#include "ops/words.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::size_t kLoops = 7;  // of shaders/scatter.comp
constexpr std::string_view kReductions[] = {"none", "add", "mul", "max", "min"};

std::uint32_t reduction(const Node& node) {
  const auto found = std::ranges::find(kReductions, node.attributes.text("reduction", "none"));
  return static_cast<std::uint32_t>(found - std::begin(kReductions));
}

std::vector<TensorType> infer(const InferContext& c) {
  const bool tuples = c.node.op == "scatter_nd";
  c.expect_only(3, {"reduction", tuples ? "" : "axis"});
  const TensorType& x = c.input(0);
  const Shape& indices = c.input(1).shape;
  const DType type = moved_type(x.dtype);
  const DType update = moved_type(c.input(2).dtype);
  if (is_floating(c.input(1).dtype)) {
    c.fail(fmt::format("indices are {}, expected integers", dtype_name(c.input(1).dtype)));
  }
  if (update != type && !(is_floating(type) && is_floating(update))) {
    c.fail(fmt::format("updates {} with {}", dtype_name(type), dtype_name(update)));
  }
  if (reduction(c.node) == std::size(kReductions)) {
    c.fail(fmt::format("unknown reduction '{}'", c.node.attributes.text("reduction")));
  }
  if (tuples) {
    if (indices.empty() || indices.back() > static_cast<std::int64_t>(x.shape.size())) {
      c.fail(fmt::format("indices are {} for {}", to_string(indices), to_string(x.shape)));
    }
    Shape updates(indices.begin(), indices.end() - 1);
    updates.insert(updates.end(), x.shape.begin() + indices.back(), x.shape.end());
    c.expect_shape(2, updates, "updates");
  } else {
    const std::size_t axis = c.axis(c.node.attributes.integer("axis", 0), 0);
    bool fits = x.shape.size() == indices.size();
    for (std::size_t d = 0; fits && d < indices.size(); ++d) fits = d == axis || indices[d] <= x.shape[d];
    if (!fits) c.fail(fmt::format("indices are {}, which do not fit {}", to_string(indices), to_string(x.shape)));
    c.expect_shape(2, indices, "updates");
  }
  return {{is_floating(type) && (type != update || reduction(c.node) != 0) ? DType::F32 : type, x.shape}};
}

/// Places that are independent of each other, each with updates one after the other.
struct Scatter {
  Loops lines{{}, {{}, {}}};  // operand 0 is y, operand 1 are the updates, and for an axis the indices
  std::int64_t updates = 0;   // of a line
  Shape sizes;                // of the dimensions that indices name
  Shape strides;              // of y along them
  std::int64_t i_stride = 1;  // from update to update
};

Scatter scatter(const Node& node, const Shape& x, const Shape& indices) {
  const Shape strides = dense_strides(x);
  Scatter s;
  if (node.op == "scatter_elements") {
    const std::size_t axis = *axis_of(node.attributes.integer("axis", 0), x.size());
    const Shape steps = dense_strides(indices);
    for (std::size_t d = 0; d < x.size(); ++d) {
      if (d == axis) continue;
      s.lines.sizes.push_back(indices[d]);
      s.lines.strides[0].push_back(strides[d]);
      s.lines.strides[1].push_back(steps[d]);
    }
    s.updates = indices[axis];
    s.sizes = {x[axis]};
    s.strides = {strides[axis]};
    s.i_stride = steps[axis];
    return s;
  }
  const auto length = static_cast<std::size_t>(indices.back());
  s.updates = element_count({indices.begin(), indices.end() - 1});
  s.sizes.assign(x.begin(), x.begin() + indices.back());
  s.strides.assign(strides.begin(), strides.begin() + indices.back());
  s.i_stride = 1;
  for (std::size_t d = length; d < x.size(); ++d) s.i_stride *= x[d];
  s.lines = {{s.i_stride}, {{1}, {1}}};
  return s;
}

void reference(const ReferenceContext& c) {
  const Scatter s = scatter(c.node, c.shape(0), c.shape(1));
  const bool tuples = c.node.op == "scatter_nd";
  const DType type = c.outputs[0]->type.dtype;
  c.out(0) = c.in(0);
  const std::size_t length = s.sizes.size();
  LoopCounter line(s.lines);
  for (std::int64_t i = element_count(s.lines.sizes); i > 0; --i, line.next()) {
    for (std::int64_t j = 0; j < s.updates; ++j) {
      const auto from = static_cast<std::size_t>(line.at(1) + j * s.i_stride);
      std::int64_t to = line.at(0);
      for (std::size_t d = 0; d < length; ++d) {
        to += c.index(1, tuples ? static_cast<std::size_t>(j) * length + d : from, s.sizes[d], true) * s.strides[d];
      }
      double& y = c.out(0)[static_cast<std::size_t>(to)];
      const double update = c.in(2)[from];
      const double results[] = {update, y + update, y * update,
                                std::isnan(y)                      ? y
                                : update > y || std::isnan(update) ? update
                                                                   : y,
                                std::isnan(y)                      ? y
                                : update < y || std::isnan(update) ? update
                                                                   : y};
      y = results[reduction(c.node)];
      if (!is_floating(type)) y = wrap_integer(type, y);
    }
  }
}

void lower(Lowering& l) {
  const Shape& x = l.input(0).shape;
  const std::int64_t count = element_count(x);
  Scatter s = scatter(l.node(), x, l.input(1).shape);
  if (!s.sizes.empty() && s.updates > 0) l.check_indices(1, "index", s.sizes, true);
  if (count == 0) return;
  if (count > 0x7fffffff || element_count(l.input(2).shape) > 0x7fffffff ||
      element_count(l.input(1).shape) > 0x7fffffff) {
    l.fail("more than 2^31 elements");
  }
  emit_copy(l, l.read(0, View::I32), l.write(), {{{count}, {{1}, {1}}}});
  const std::int64_t lines = element_count(s.lines.sizes);
  if (lines == 0 || s.updates == 0) return;
  const bool tuples = l.node().op == "scatter_nd";
  const auto length = static_cast<std::int64_t>(s.sizes.size());
  const bool real = is_floating(l.output().dtype) && reduction(l.node()) != 0;

  // Lines of which there are few are shared by some invocations, which all read all indices.
  constexpr std::int64_t kEnough = 32;
  const std::int64_t parts = std::max<std::int64_t>(1, kEnough / lines);
  const auto most = (static_cast<std::int64_t>(std::min<std::uint64_t>(l.caps().max_loop_iterations, 1u << 30)) - 64) /
                    (tuples ? length + 1 : 1);
  for (std::int64_t begin = 0; begin < s.updates; begin += most) {
    Dispatch d;
    d.shader = "scatter";
    d.variant = {tuples ? "tuple" : "axis", real ? "real" : "integer"};
    d.bindings = {l.read(1, View::I32), l.read(2, real ? View::F32 : View::I32), l.write()};
    d.bindings[2].access = Access::ReadWrite;
    d.push_constants = {u32(lines), u32(parts), u32(begin), u32(std::min(begin + most, s.updates))};
    const auto push = [&](const Shape& values) {
      for (const std::int64_t value : values) d.push_constants.push_back(i32(value));
    };
    if (tuples) {
      push({length});
      s.sizes.resize(8);
      s.strides.resize(8);
      push(s.sizes);
      push(s.strides);
    } else {
      Loops loops = s.lines;
      loops.merge();
      loops.pad(kLoops);
      push({s.sizes[0], s.strides[0], s.i_stride});
      push({loops.sizes.begin() + 1, loops.sizes.end()});
      push(loops.strides[0]);
      push(loops.strides[1]);
    }
    const std::uint32_t lanes = l.lanes(64);
    d.specialization = {lanes, reduction(l.node()), wrap_number(l.output().dtype)};
    d.groups = l.spread(ceil_div(static_cast<std::uint64_t>(lines * parts), lanes));
    l.emit(std::move(d));
  }
}

}  // namespace

extern const Op op_scatter;
const Op op_scatter = {{"scatter_elements", "scatter_nd"}, infer, reference, lower};

}  // namespace heed::ops
