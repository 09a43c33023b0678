#include "ops/parts.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <numeric>
#include <utility>

#include "graph/integer.h"
#include "ops/loops.h"
#include "ops/op.h"
#include "ops/strided.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr int kDepth = 3;  // dimensions along which a node is split at a time

/// A part of what is lowered, ready to be lowered itself.
class Part {
 public:
  Part(Lowering& l, const NodePart& part, bool copies) : l_(l), copies_(copies) {
    const Node& node = l.node();
    lowered_.node = node;
    if (part.attributes) lowered_.node.attributes = *part.attributes;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const std::optional<PartRange> range = i < part.inputs.size() ? part.inputs[i] : std::nullopt;
      lowered_.inputs.push_back(!l.has(i) ? PartOperand{} : range ? slice_input(i, *range) : whole_input(i));
      if (const auto known = part.known.find(i); known != part.known.end()) {
        lowered_.inputs[i] = {known->second.type, {}, std::make_shared<const HostTensor>(known->second), {}};
      }
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const std::optional<PartRange> range = i < part.outputs.size() ? part.outputs[i] : std::nullopt;
      lowered_.outputs.push_back(!l.wants_output(i) ? PartOperand{}
                                 : range            ? slice_output(i, *range)
                                                    : whole_output(i));
    }
    outside_ = l.set_part(&lowered_);
  }
  ~Part() { l_.set_part(outside_); }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  /// Copies to their places what did not come to lie there by itself.
  void finish() {
    l_.set_part(outside_);
    for (const auto& [from, to, copy] : results_) emit_copy(l_, from, to, copy);
  }

 private:
  struct Result {
    Binding from;
    Binding to;
    StridedCopy copy;
  };

  static TensorType sliced(TensorType type, const PartRange& range) {
    type.shape[range.axis] = range.count;
    return type;
  }

  /// The range as a binding of its own, where it lies together from where a binding may begin.
  std::optional<Binding> within(Binding whole, const Shape& shape, const PartRange& range) const {
    const Sides sides = sides_of(shape, range.axis);
    const std::uint64_t offset = whole.offset + u64(range.begin * sides.inner) * 4;
    if (sides.outer > 1 || offset % l_.caps().buffer_alignment != 0) return std::nullopt;
    const std::uint64_t bytes = std::max<std::uint64_t>(16, round_up(u64(range.count * sides.inner) * 4, 16));
    const std::uint64_t end = whole.offset + whole.size;
    if (offset >= end) return std::nullopt;
    whole.offset = offset;
    whole.size = std::min(bytes, end - offset);
    return whole;
  }

  /// Between the range and a dense tensor of its elements; operand 0 is the whole.
  static StridedCopy copy_of(const Shape& shape, const PartRange& range) {
    const Sides sides = sides_of(shape, range.axis);
    StridedCopy copy;
    copy.loops.sizes = {sides.outer, range.count * sides.inner};
    copy.loops.strides = {{shape[range.axis] * sides.inner, 1}, {range.count * sides.inner, 1}};
    copy.x_first = range.begin * sides.inner;
    return copy;
  }

  Binding scratch_of(const TensorType& type) {
    if (!copies_) l_.fail_too_large("a piece of a tensor cannot be bound");
    return l_.scratch("part", u64(element_count(type.shape)) * 4);
  }

  PartOperand whole_input(std::size_t i) const {
    PartOperand operand{l_.input(i), {}, {}, {}};
    const LoweredPart* part = l_.part();
    if (part != nullptr) return part->inputs[i];
    return operand;
  }

  PartOperand whole_output(std::size_t i) const {
    const LoweredPart* part = l_.part();
    return part != nullptr ? part->outputs[i] : PartOperand{l_.output(i), {}, {}, {}};
  }

  PartOperand slice_input(std::size_t i, const PartRange& range) {
    PartOperand operand{sliced(l_.input(i), range), {}, {}, {}};
    const Shape& shape = l_.input(i).shape;
    if (const HostTensor* known = l_.known(i)) {
      HostTensor tensor{operand.type, std::vector<double>(static_cast<std::size_t>(element_count(operand.type.shape)))};
      copy_reference(known->data, tensor.data, copy_of(shape, range));
      operand.known = std::make_shared<const HostTensor>(std::move(tensor));
      return operand;
    }
    if (std::optional<WeightOrder> order = l_.weight_order(i)) {
      order->first += range.begin * order->strides[range.axis];
      order->sizes[range.axis] = order->within[range.axis] = range.count;
      operand.order = std::move(order);
      return operand;
    }
    if (l_.is_state(i) && l_.input(i).dtype == DType::F16) l_.fail_too_large("a state of f16 is not cut");
    const Binding whole = l_.read(i, View::I32);
    operand.at = within(whole, shape, range);
    if (operand.at) return operand;
    Binding piece = scratch_of(operand.type);
    piece.access = Access::Write;
    emit_copy(l_, whole, piece, copy_of(shape, range));
    operand.at = piece;
    return operand;
  }

  PartOperand slice_output(std::size_t i, const PartRange& range) {
    PartOperand operand{sliced(l_.output(i), range), {}, {}, {}};
    const Shape& shape = l_.output(i).shape;
    const Binding whole = l_.write(i);
    operand.at = within(whole, shape, range);
    if (operand.at) return operand;
    operand.at = scratch_of(operand.type);
    StridedCopy copy = copy_of(shape, range);
    std::swap(copy.loops.strides[0], copy.loops.strides[1]);
    std::swap(copy.x_first, copy.y_first);
    Binding from = *operand.at;
    from.access = Access::Read;
    from.view = View::I32;
    results_.push_back({from, whole, std::move(copy)});
    return operand;
  }

  Lowering& l_;
  bool copies_;
  LoweredPart lowered_;
  std::vector<Result> results_;
  const LoweredPart* outside_ = nullptr;
};

/// How many places of an axis fit a binding, by the operands that are cut; and at how many pieces of them begin where
/// bindings may.
struct Fit {
  std::int64_t places = 1;
  std::int64_t unit = 1;
};

Fit fit_of(const Lowering& l, const PartAxis& axis) {
  const std::uint64_t most = l.caps().largest_binding();
  // What lies around a piece, such as lines of a picture, counts once.
  const std::int64_t many = std::min<std::int64_t>(axis.places, 16);
  const NodePart one = axis.part(0, 1);
  const NodePart several = axis.part(0, many);
  Fit fit{axis.places, axis.unit};
  const auto add = [&](const Shape& shape, const PartRange& range, const PartRange& more) {
    const Sides sides = sides_of(shape, range.axis);
    const std::int64_t steps = ceil_div(more.count - range.count, many - 1);
    const std::uint64_t place = u64(steps * sides.inner) * 4;  // bytes of a place in each run
    const std::uint64_t bytes = saturating_product({place, u64(sides.outer)});
    if (bytes == 0) return;
    fit.places = std::min(fit.places, static_cast<std::int64_t>(std::min<std::uint64_t>(most / bytes, 0x7fffffff)));
    if (sides.outer == 1) {
      const std::uint64_t alignment = l.caps().buffer_alignment;
      fit.unit = std::lcm(fit.unit, static_cast<std::int64_t>(alignment / std::gcd(alignment, place)));
    }
  };
  for (std::size_t i = 0; i < one.inputs.size(); ++i) {
    if (one.inputs[i] && l.has(i) && l.known(i) == nullptr && !l.weight_order(i))
      add(l.input(i).shape, *one.inputs[i], *several.inputs[i]);
  }
  for (std::size_t i = 0; i < one.outputs.size(); ++i) {
    if (one.outputs[i] && l.wants_output(i)) add(l.output(i).shape, *one.outputs[i], *several.outputs[i]);
  }
  fit.places = std::max<std::int64_t>(fit.places, 1);
  return fit;
}

/// Whole units, where there are any.
std::int64_t in_units(std::int64_t count, std::int64_t unit) {
  return count >= unit ? count / unit * unit : std::max<std::int64_t>(count, 1);
}

bool lower_split(Lowering& l, const Op& op, int depth, bool copies);

/// Lowers what `l` is at, split along `depth` dimensions, in pieces of `count` places of this one. False, and nothing
/// is left, where something is still too large.
bool lower_pieces(Lowering& l, const Op& op, const PartAxis& axis, std::int64_t count, int depth, bool copies) {
  const Lowering::Mark mark = l.mark();
  const LoweredPart* outside = l.part();
  try {
    for (std::int64_t begin = 0; begin < axis.places; begin += count) {
      Part part(l, axis.part(begin, std::min(count, axis.places - begin)), copies);
      if (depth > 1) {
        if (!lower_split(l, op, depth - 1, copies)) l.fail_too_large("a piece is too large");
      } else {
        op.lower(l);
      }
      part.finish();
    }
    return true;
  } catch (const TooLarge&) {
    l.set_part(outside);
    l.rewind(mark);
    return false;
  }
}

bool lower_split(Lowering& l, const Op& op, int depth, bool copies) {
  for (const PartAxis& axis : op.parts(l)) {
    if (axis.places <= 1) continue;
    const Fit fit = fit_of(l, axis);
    if (depth > 1) {
      // Along the outer ones only so far that the inner ones can do the rest.
      if (lower_pieces(l, op, axis, 1, depth, copies)) return true;
      continue;
    }
    std::int64_t last = axis.places;
    for (std::int64_t count = std::min(fit.places, axis.places - 1); count >= 1;) {
      // Pieces of about the same size.
      const std::int64_t pieces = ceil_div(axis.places, in_units(count, fit.unit));
      const std::int64_t even = ceil_div(ceil_div(axis.places, pieces), fit.unit) * fit.unit;
      const std::int64_t now = even <= count ? even : in_units(count, fit.unit);
      if (now < last && lower_pieces(l, op, axis, now, depth, copies)) return true;
      last = std::min(last, now);
      // Scratch memory or what lies around a piece may take more than its operands.
      count = count > fit.places / 2 ? count * 7 / 8 : count / 2;
    }
  }
  return false;
}

}  // namespace

PartAxis part_axis(const Lowering& l, std::int64_t places, std::vector<std::optional<std::size_t>> inputs,
                   std::vector<std::optional<std::size_t>> outputs) {
  inputs.resize(l.node().inputs.size());
  outputs.resize(l.node().outputs.size());
  return {places, 1,
          [inputs = std::move(inputs), outputs = std::move(outputs)](std::int64_t begin, std::int64_t count) {
            NodePart part;
            for (const auto& axis : inputs)
              part.inputs.push_back(axis ? std::optional(PartRange{*axis, begin, count}) : std::nullopt);
            for (const auto& axis : outputs)
              part.outputs.push_back(axis ? std::optional(PartRange{*axis, begin, count}) : std::nullopt);
            return part;
          }};
}

std::vector<PartAxis> parts_along(const Lowering& l, std::size_t operands,
                                  const std::function<bool(std::size_t)>& without) {
  std::vector<PartAxis> axes;
  const Shape& y = l.output().shape;
  for (std::size_t d = 0; d < y.size(); ++d) {
    if (without(d)) continue;
    std::vector<std::optional<std::size_t>> inputs(l.node().inputs.size());
    for (std::size_t i = 0; i < std::min(operands, inputs.size()); ++i) {
      if (!l.has(i)) continue;
      const Shape& x = l.input(i).shape;
      const std::size_t missing = y.size() - std::min(y.size(), x.size());
      if (d >= missing && x[d - missing] == y[d]) inputs[i] = d - missing;
    }
    axes.push_back(part_axis(l, y[d], std::move(inputs), {d}));
  }
  return axes;
}

void lower_within_limits(Lowering& l, const Op& op) {
  if (op.parts == nullptr) return op.lower(l);
  const Lowering::Mark mark = l.mark();
  std::exception_ptr refusal;
  l.set_may_split(true);
  try {
    op.lower(l);
    return;
  } catch (const TooLarge&) {
    refusal = std::current_exception();
    l.rewind(mark);
  }
  for (const bool copies : {false, true}) {
    for (int depth = 1; depth <= kDepth; ++depth) {
      if (lower_split(l, op, depth, copies)) return;
    }
  }
  // What a kernel gives up in the hope of less work may still run by a plainer one.
  l.set_may_split(false);
  try {
    op.lower(l);
  } catch (const TooLarge&) {
    std::rethrow_exception(refusal);
  }
}

}  // namespace heed::ops
