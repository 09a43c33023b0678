// op slice, split, concat: parts of tensors, and tensors of parts, along dimensions.
//
// slice(x, starts, ends, axes, steps): as NumPy's x[start:end:step] in each of the axes (default: the first ones; steps
// default to 1). split(x, sizes), attribute axis: pieces of these sizes; without sizes as many equal ones as there are
// outputs, the last one perhaps smaller. concat(x, ...), attribute axis.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "graph/integer.h"
#include "ops/op.h"
#include "ops/strided.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

struct Part {
  Shape start;
  Shape step;
  Shape size;
};

/// `integers(i, default)` gives the elements of input i.
template <typename Integers, typename Fail>
Part slice_part(const Shape& x, Integers integers, Fail fail) {
  Part part{Shape(x.size(), 0), Shape(x.size(), 1), x};
  const std::vector<std::int64_t> starts = integers(1, std::vector<std::int64_t>());
  const std::vector<std::int64_t> ends = integers(2, std::vector<std::int64_t>());
  std::vector<std::int64_t> first_axes;
  for (std::size_t i = 0; i < starts.size(); ++i) first_axes.push_back(static_cast<std::int64_t>(i));
  const std::vector<std::int64_t> axes = integers(3, first_axes);
  const std::vector<std::int64_t> steps = integers(4, std::vector<std::int64_t>(starts.size(), 1));
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size()) {
    fail(
        fmt::format("{} starts, {} ends, {} axes and {} steps", starts.size(), ends.size(), axes.size(), steps.size()));
  }
  std::set<std::size_t> seen;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::optional<std::size_t> axis = axis_of(axes[i], x.size());
    if (!axis) fail(fmt::format("axis {} is outside {}", axes[i], to_string(x)));
    if (!seen.insert(*axis).second) fail(fmt::format("axis {} is named twice", axes[i]));
    if (steps[i] == 0) fail("a step is 0");
    const std::int64_t size = x[*axis];
    const bool forwards = steps[i] > 0;
    const auto clamp = [&](std::int64_t at) {
      return forwards ? std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size)
                      : std::clamp<std::int64_t>(at < 0 ? at + size : at, -1, size - 1);
    };
    const std::int64_t start = clamp(starts[i]);
    const std::int64_t end = clamp(ends[i]);
    const std::int64_t span = forwards ? end - start : start - end;
    const std::int64_t step = std::abs(steps[i]);
    part.start[*axis] = start;
    part.step[*axis] = steps[i];
    part.size[*axis] = span <= 0 ? 0 : ceil_div(span, step);
  }
  return part;
}

std::vector<std::int64_t> split_sizes(const Node& node, std::int64_t size, const HostTensor* sizes) {
  std::vector<std::int64_t> pieces;
  if (sizes != nullptr) {
    for (const double piece : sizes->data) pieces.push_back(to_integer(piece));
    return pieces;
  }
  const auto count = static_cast<std::int64_t>(node.outputs.size());
  const std::int64_t each = ceil_div(size, count);
  for (std::int64_t i = 0; i < count; ++i) pieces.push_back(std::clamp<std::int64_t>(size - i * each, 0, each));
  return pieces;
}

/// The copy of a part of x to the whole of y.
StridedCopy copy_part(const Shape& x, const Part& part) {
  StridedCopy copy;
  const Shape from = dense_strides(x);
  copy.loops = {part.size, {from, dense_strides(part.size)}};
  for (std::size_t i = 0; i < x.size(); ++i) {
    copy.x_first += part.start[i] * from[i];
    copy.loops.strides[0][i] *= part.step[i];
  }
  return copy;
}

std::size_t axis_in(const Node& node, std::size_t rank) { return *axis_of(node.attributes.integer("axis", 0), rank); }

Part split_part(const Shape& x, std::size_t axis, std::int64_t start, std::int64_t size) {
  Part part{Shape(x.size(), 0), Shape(x.size(), 1), x};
  part.start[axis] = start;
  part.size[axis] = size;
  return part;
}

std::vector<TensorType> infer_concat(const InferContext& c) {
  c.expect_only(c.inputs.size(), {"axis"});
  TensorType y = c.input(0);
  const std::size_t axis = c.axis(c.node.attributes.integer("axis"), 0);
  for (std::size_t i = 1; i < c.inputs.size(); ++i) {
    const TensorType& x = c.input(i);
    if (is_floating(x.dtype) != is_floating(y.dtype) || (!is_floating(x.dtype) && x.dtype != y.dtype)) {
      c.fail(fmt::format("joins {} and {}", dtype_name(y.dtype), dtype_name(x.dtype)));
    }
    bool fits = x.shape.size() == y.shape.size();
    for (std::size_t d = 0; fits && d < y.shape.size(); ++d) fits = d == axis || x.shape[d] == y.shape[d];
    if (!fits) {
      c.fail(fmt::format("{} and {} differ in more than dimension {}", to_string(c.input(0).shape), to_string(x.shape),
                         axis));
    }
    y.shape[axis] += x.shape[axis];
  }
  return {y};
}

std::vector<TensorType> infer(const InferContext& c) {
  if (c.node.op == "concat") return infer_concat(c);
  const bool split = c.node.op == "split";
  c.expect_only(split ? 2 : 5, {split ? "axis" : ""});
  const TensorType& x = c.input(0);
  if (split) {
    const std::size_t axis = c.axis(c.node.attributes.integer("axis", 0), 0);
    if (c.has(1)) c.known_integers(1, "sizes");
    const std::vector<std::int64_t> sizes = split_sizes(c.node, x.shape[axis], c.has(1) ? c.known[1] : nullptr);
    std::vector<TensorType> pieces;
    std::int64_t sum = 0;
    for (const std::int64_t size : sizes) {
      if (size < 0) c.fail(fmt::format("a piece of {} elements", size));
      pieces.push_back({x.dtype, split_part(x.shape, axis, 0, size).size});
      sum += size;
    }
    if (sum != x.shape[axis]) c.fail(fmt::format("pieces of {} elements of {}", sum, to_string(x.shape)));
    return pieces;
  }
  const auto integers = [&](std::size_t i, const std::vector<std::int64_t>& otherwise) {
    return c.has(i) ? c.known_integers(i, i == 1 ? "starts" : i == 2 ? "ends" : i == 3 ? "axes" : "steps") : otherwise;
  };
  if (!c.has(1) || !c.has(2)) c.fail("starts and ends are needed");
  return {{x.dtype, slice_part(x.shape, integers, [&](const std::string& message) { c.fail(message); }).size}};
}

/// slice_part with elements that infer() has checked.
template <typename Elements>
Part checked_part(const Shape& x, Elements elements) {
  const auto integers = [&](std::size_t i, const std::vector<std::int64_t>& otherwise) {
    const HostTensor* tensor = elements(i);
    if (tensor == nullptr) return otherwise;
    std::vector<std::int64_t> values;
    for (const double element : tensor->data) values.push_back(to_integer(element));
    return values;
  };
  return slice_part(x, integers, [](const std::string&) {});
}

void reference(const ReferenceContext& c) {
  const Shape& x = c.shape(0);
  const auto given = [&](std::size_t i) { return c.has(i) ? c.inputs[i] : nullptr; };
  if (c.node.op == "slice") {
    copy_reference(c.in(0), c.out(0), copy_part(x, checked_part(x, given)));
    return;
  }
  const std::size_t axis = axis_in(c.node, x.size());
  if (c.node.op == "split") {
    std::int64_t start = 0;
    const std::vector<std::int64_t> sizes = split_sizes(c.node, x[axis], given(1));
    for (std::size_t i = 0; i < c.outputs.size(); start += sizes[i++]) {
      if (c.outputs[i] != nullptr)
        copy_reference(c.in(0), c.out(i), copy_part(x, split_part(x, axis, start, sizes[i])));
    }
    return;
  }
  const Shape to = dense_strides(c.outputs[0]->type.shape);
  std::int64_t start = 0;
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    copy_reference(c.in(i), c.out(0), {{c.shape(i), {dense_strides(c.shape(i)), to}}, 0, start * to[axis]});
    start += c.shape(i)[axis];
  }
}

/// Copies a part of x to output i, or lets the output be that part of x's memory.
void lower_part(Lowering& l, std::size_t i, const Part& part) {
  StridedCopy copy = copy_part(l.input(0).shape, part);
  const std::int64_t count = element_count(part.size);
  if (count == 0) return;
  Loops merged = copy.loops;
  merged.merge();
  const bool dense = merged.count() == 0 || (merged.count() == 1 && merged.strides[0][0] == 1);
  if (dense && l.alias(i, 0, static_cast<std::uint64_t>(copy.x_first) * 4)) return;
  emit_copy(l, l.read(0, View::I32), l.write(i), std::move(copy));
}

void lower(Lowering& l) {
  const Shape& x = l.input(0).shape;
  if (l.node().op == "slice") return lower_part(l, 0, checked_part(x, [&](std::size_t i) { return l.known(i); }));
  const std::size_t axis = axis_in(l.node(), x.size());
  if (l.node().op == "split") {
    std::int64_t start = 0;
    const std::vector<std::int64_t> sizes = split_sizes(l.node(), x[axis], l.known(1));
    for (std::size_t i = 0; i < l.node().outputs.size(); start += sizes[i++]) {
      if (l.wants_output(i)) lower_part(l, i, split_part(x, axis, start, sizes[i]));
    }
    return;
  }
  const Shape to = dense_strides(l.output().shape);
  std::int64_t start = 0;
  for (std::size_t i = 0; i < l.node().inputs.size(); ++i) {
    const Shape& from = l.input(i).shape;
    if (!l.lies_in_output(i, static_cast<std::uint64_t>(start * to[axis]) * 4)) {
      emit_copy(l, l.read(i, View::I32), l.write(), {{from, {dense_strides(from), to}}, 0, start * to[axis]});
    }
    start += from[axis];
  }
}

/// Operands of concat are whole runs of the result where nothing but sizes of 1 is outside the axis.
std::vector<std::int64_t> places(const Node& node, const std::vector<const TensorType*>& inputs) {
  if (node.op != "concat") return {};
  const std::size_t axis = axis_in(node, inputs[0]->shape.size());
  for (std::size_t d = 0; d < axis; ++d) {
    if (inputs[0]->shape[d] != 1) return {};
  }
  std::vector<std::int64_t> starts;
  std::int64_t start = 0;
  for (const TensorType* input : inputs) {
    starts.push_back(start);
    start += element_count(input->shape);
  }
  return starts;
}

}  // namespace

extern const Op op_slice;
const Op op_slice = {.names = {"slice", "split", "concat"},
                     .infer = infer,
                     .reference = reference,
                     .lower = lower,
                     .planned = {{"slice", 1, 4}, {"split", 1, 1}},
                     .places = places};

}  // namespace heed::ops
