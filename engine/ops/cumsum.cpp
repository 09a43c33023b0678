// op cumsum: the sums of the elements up to each along a dimension.
//
// inputs: x, axis (one integer known when planned). Attributes: exclusive (default 0: with the element itself), reverse
// (default 0: from the first on).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/integer.h"
#include "ops/loops.h"
#include "ops/op.h"
#include "ops/words.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(2, {"exclusive", "reverse"});
  const TensorType& x = c.input(0);
  const std::vector<std::int64_t> axis = c.known_integers(1, "axis");
  if (axis.size() != 1) c.fail(fmt::format("has {} axes, expected one", axis.size()));
  c.axis(axis[0], 0);
  return {{is_floating(x.dtype) ? DType::F32 : x.dtype, x.shape}};
}

struct Split {
  std::int64_t outer = 1, length = 1, inner = 1;
};

Split split(const Shape& x, const HostTensor& axis_tensor) {
  const std::size_t axis = *axis_of(to_integer(axis_tensor.data[0]), x.size());
  Split s;
  for (std::size_t i = 0; i < x.size(); ++i) (i < axis ? s.outer : i == axis ? s.length : s.inner) *= x[i];
  return s;
}

bool is_set(const Node& node, std::string_view attribute) { return node.attributes.integer(attribute, 0) != 0; }

void reference(const ReferenceContext& c) {
  const Split s = split(c.shape(0), *c.inputs[1]);
  const TensorType& y = c.outputs[0]->type;
  const bool exclusive = is_set(c.node, "exclusive");
  const bool reverse = is_set(c.node, "reverse");
  for (std::int64_t line = 0; line < s.outer * s.inner; ++line) {
    double sum = 0.0;
    for (std::int64_t i = 0; i < s.length; ++i) {
      const std::int64_t place = reverse ? s.length - 1 - i : i;
      const auto at = static_cast<std::size_t>((line / s.inner * s.length + place) * s.inner + line % s.inner);
      const double before = sum;
      sum += c.in(0)[at];
      c.out(0)[at] = exclusive ? before : sum;
      if (!is_floating(y.dtype)) c.out(0)[at] = wrap_integer(y.dtype, c.out(0)[at]);
    }
  }
}

/// A dispatch over blocks of lines.
struct Scan {
  std::int64_t blocks, block_length, length;
  bool exclusive, reverse, sums_alone;
};

void lower(Lowering& l) {
  const Split s = split(l.input(0).shape, *l.known(1));
  const std::int64_t lines = s.outer * s.inner;
  if (lines == 0 || s.length == 0) return;
  if (lines * s.length > 0xffffffff) l.fail("more than 2^32 elements");
  const bool real = is_floating(l.output().dtype);
  const View view = real ? View::F32 : View::I32;
  const auto append = [&](const Binding& x, const Binding* before, const Binding& y, const Scan& scan) {
    Dispatch d;
    d.shader = "cumsum";
    d.variant = {real ? "real" : "integer"};
    d.bindings = {x, before == nullptr ? x : *before, y};
    for (std::size_t i = 0; i < 3; ++i) {
      d.bindings[i].access = i < 2 ? Access::Read : Access::Write;
      d.bindings[i].view = i < 2 ? view : View::None;
    }
    const std::int64_t count = lines * scan.blocks;
    d.push_constants = {u32(count),     u32(scan.blocks), u32(scan.block_length), u32(scan.length), u32(s.inner),
                        scan.exclusive, scan.reverse,     scan.sums_alone,        before != nullptr};
    const std::uint32_t lanes = l.lanes(64);
    d.specialization = {lanes, wrap_number(l.output().dtype)};
    d.groups = l.spread(ceil_div(static_cast<std::uint64_t>(count), lanes));
    l.emit(std::move(d));
  };

  constexpr std::int64_t kEnoughLines = 1024;
  constexpr std::int64_t kShort = 64;
  const auto longest = static_cast<std::int64_t>(std::min<std::uint64_t>(l.caps().max_loop_iterations, 1u << 30)) - 64;
  const bool exclusive = is_set(l.node(), "exclusive");
  const bool reverse = is_set(l.node(), "reverse");
  const Binding x = l.read(0, view);
  if (s.length <= longest && (lines >= kEnoughLines || s.length <= kShort)) {
    return append(x, nullptr, l.write(), {1, s.length, s.length, exclusive, reverse, false});
  }
  const auto block = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(s.length))));
  const std::int64_t blocks = ceil_div(s.length, block);
  if (block > longest) l.fail(fmt::format("sums up {} elements, but does at most {}", s.length, longest * longest));
  const auto bytes = static_cast<std::uint64_t>(lines * blocks) * 4;
  const Binding sums = l.scratch("sums", bytes);
  const Binding before = l.scratch("before", bytes);
  append(x, nullptr, sums, {blocks, block, s.length, false, reverse, true});
  append(sums, nullptr, before, {1, blocks, blocks, true, false, false});
  append(x, &before, l.write(), {blocks, block, s.length, exclusive, reverse, false});
}

}  // namespace

extern const Op op_cumsum;
const Op op_cumsum = {{"cumsum"}, infer, reference, lower, {{"cumsum", 1, 1}}};

}  // namespace heed::ops
