// op reduce: one number of all elements along some dimensions.
//
// inputs: x, axes? (integers known when planned). Attributes: kind: sum, mean, max, min, prod, l1 (sum of |x|), l2
// (root of the sum of squares), log_sum, log_sum_exp, sum_square; keep_dims (default 1); noop_with_empty_axes (default
// 0: no axes mean all of them). Of integers too, but for l2 and the logarithms; their mean is cut towards zero. Of
// nothing, a sum is 0, a product 1, a maximum the least number of the type, a mean of reals none.
#include "ops/reduce.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/integer.h"
#include "ops/words.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::size_t kLoops = 6;  // of shaders/reduce.comp, either kind

constexpr std::string_view kNames[] = {"sum", "mean", "max",     "min",         "prod",
                                       "l1",  "l2",   "log_sum", "log_sum_exp", "sum_square"};

Reduction reduction_of(const Node& node) {
  const auto found = std::ranges::find(kNames, node.attributes.text("kind"));
  return static_cast<Reduction>(found - std::begin(kNames));
}

bool of_reals_alone(Reduction r) { return r == Reduction::L2 || r == Reduction::LogSum || r == Reduction::LogSumExp; }

/// Which dimensions go; `axes` is nullptr where there are none.
std::vector<bool> reduced_dims(const Node& node, std::size_t rank, const std::vector<double>* axes) {
  const bool none = axes == nullptr || axes->empty();
  std::vector<bool> reduced(rank, none && node.attributes.integer("noop_with_empty_axes", 0) == 0);
  if (!none) {
    for (const double axis : *axes) reduced[*axis_of(to_integer(axis), rank)] = true;
  }
  return reduced;
}

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(2, {"kind", "keep_dims", "noop_with_empty_axes"});
  const TensorType& x = c.input(0);
  const std::string kind = c.node.attributes.text("kind");
  if (std::ranges::find(kNames, kind) == std::end(kNames)) c.fail(fmt::format("unknown kind '{}'", kind));
  if (of_reals_alone(reduction_of(c.node))) c.expect_floats(0, "x");
  std::vector<double> axes;
  if (c.has(1)) {
    for (const std::int64_t axis : c.known_integers(1, "axes")) {
      axes.push_back(static_cast<double>(c.axis(axis, 0)));
    }
  }
  const std::vector<bool> reduced = reduced_dims(c.node, x.shape.size(), &axes);
  const bool keep = c.node.attributes.integer("keep_dims", 1) != 0;
  Shape y;
  for (std::size_t d = 0; d < x.shape.size(); ++d) {
    if (!reduced[d]) y.push_back(x.shape[d]);
    if (reduced[d] && keep) y.push_back(1);
  }
  return {{is_floating(x.dtype) ? DType::F32 : x.dtype, y}};
}

struct Split {
  Loops kept;
  Loops reduced;
};

Split split(const Node& node, const Shape& x, const HostTensor* axes) {
  const std::vector<bool> reduced = reduced_dims(node, x.size(), axes == nullptr ? nullptr : &axes->data);
  const Shape strides = dense_strides(x);
  Split s{{{}, {{}}}, {{}, {{}}}};
  for (std::size_t d = 0; d < x.size(); ++d) {
    Loops& loops = reduced[d] ? s.reduced : s.kept;
    loops.sizes.push_back(x[d]);
    loops.strides[0].push_back(strides[d]);
  }
  return s;
}

/// The number that a maximum (sign 1) or minimum (-1) of nothing is, among those that a word of the device holds.
double extreme(DType type, int sign) {
  switch (type) {
    case DType::Bool:
      return sign > 0 ? 0 : 1;
    case DType::I8:
      return sign > 0 ? -128 : 127;
    case DType::U8:
      return sign > 0 ? 0 : 255;
    case DType::I16:
      return sign > 0 ? -32768 : 32767;
    case DType::U16:
      return sign > 0 ? 0 : 65535;
    case DType::U32:
    case DType::U64:
      return sign > 0 ? 0 : std::numeric_limits<std::int32_t>::max();
    default:
      if (is_floating(type)) return -sign * std::numeric_limits<double>::infinity();
      return sign > 0 ? std::numeric_limits<std::int32_t>::min() : std::numeric_limits<std::int32_t>::max();
  }
}

double reduce(Reduction r, DType type, const std::vector<double>& x) {
  const auto count = static_cast<double>(x.size());
  double sum = r == Reduction::Product ? 1.0 : 0.0;
  double largest = extreme(type, 1);
  double least = extreme(type, -1);
  for (const double element : x) {
    // NaN goes through both, as in NumPy and PyTorch.
    if (std::isnan(element) || element > largest) largest = element;
    if (std::isnan(element) || element < least) least = element;
  }
  const double shift = std::isinf(largest) ? 0.0 : largest;
  for (const double element : x) {
    switch (r) {
      case Reduction::Product:
        sum *= element;
        break;
      case Reduction::L1:
        sum += std::abs(element);
        break;
      case Reduction::L2:
      case Reduction::SumSquare:
        sum += element * element;
        break;
      case Reduction::LogSumExp:
        sum += std::exp(element - shift);
        break;
      default:
        sum += element;
    }
  }
  switch (r) {
    case Reduction::Mean:
      return is_floating(type) ? sum / count : x.empty() ? 0.0 : std::trunc(sum / count);
    case Reduction::Max:
      return largest;
    case Reduction::Min:
      return least;
    case Reduction::L2:
      return std::sqrt(sum);
    case Reduction::LogSum:
      return std::log(sum);
    case Reduction::LogSumExp:
      return std::log(sum) + shift;
    default:
      return sum;
  }
}

void reference(const ReferenceContext& c) {
  const Split s = split(c.node, c.shape(0), c.has(1) ? c.inputs[1] : nullptr);
  const Reduction r = reduction_of(c.node);
  const DType type = c.outputs[0]->type.dtype;
  const auto count = static_cast<std::size_t>(element_count(s.reduced.sizes));
  LoopCounter base(s.kept);
  std::vector<double> elements(count);
  for (double& y : c.out(0)) {
    LoopCounter at(s.reduced);
    for (double& element : elements) {
      element = c.in(0)[static_cast<std::size_t>(base.at(0) + at.at(0))];
      at.next();
    }
    y = reduce(r, type, elements);
    if (!is_floating(type)) y = wrap_integer(type, y);
    base.next();
  }
}

void lower(Lowering& l) {
  Split s = split(l.node(), l.input(0).shape, l.known(1));
  const DType type = l.output().dtype;
  emit_reduction(l, reduction_of(l.node()), type, l.read(0, is_floating(type) ? View::F32 : View::I32), l.write(),
                 std::move(s.kept), std::move(s.reduced));
}

/// Along dimensions that stay.
std::vector<PartAxis> parts(const Lowering& l) {
  const Shape& x = l.input(0).shape;
  const HostTensor* reduced_axes = l.known(1);
  const std::vector<bool> reduced =
      reduced_dims(l.node(), x.size(), reduced_axes == nullptr ? nullptr : &reduced_axes->data);
  const bool keep = l.attributes().integer("keep_dims", 1) != 0;
  std::vector<PartAxis> axes;
  std::size_t to = 0;
  for (std::size_t d = 0; d < x.size(); ++d) {
    if (!reduced[d]) axes.push_back(part_axis(l, x[d], {d}, {to}));
    if (!reduced[d] || keep) ++to;
  }
  return axes;
}

/// Numbers of shaders/reduce.comp.
struct Kernel {
  std::uint32_t combine = 0;
  std::uint32_t map = 0;
  std::uint32_t finish = 0;
};

Kernel kernel_of(Reduction r) {
  switch (r) {
    case Reduction::Mean:
      return {0, 0, 1};
    case Reduction::Max:
      return {2, 0, 0};
    case Reduction::Min:
      return {3, 0, 0};
    case Reduction::Product:
      return {1, 0, 0};
    case Reduction::L1:
      return {0, 1, 0};
    case Reduction::L2:
      return {0, 2, 2};
    case Reduction::LogSum:
      return {0, 0, 3};
    case Reduction::LogSumExp:
      return {0, 3, 4};
    case Reduction::SumSquare:
      return {0, 2, 0};
    default:
      return {};
  }
}

/// Invocations that share the elements of an output: enough for a device, few enough to be worth it and for a second
/// dispatch, which reads one number of each.
std::uint64_t parts_of(std::uint64_t outputs, std::uint64_t length, const DeviceCaps& caps) {
  constexpr std::uint64_t kEnough = 4096;
  const auto root = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(length)));
  const std::uint64_t wanted = std::min({kEnough / outputs, length / 16, std::max<std::uint64_t>(root, 32)});
  // An iteration in 32 is one of the outer loop; the rest is for loops over dimensions.
  const std::uint64_t longest = std::min<std::uint64_t>(caps.max_loop_iterations / 8, 1u << 20);
  return std::max({wanted, ceil_div(length, longest), std::uint64_t{1}});
}

}  // namespace

void emit_reduction(Lowering& l, Reduction reduction, DType type, const Binding& x, const Binding& y, Loops kept,
                    Loops reduced, std::int64_t x_first) {
  const auto outputs = static_cast<std::uint64_t>(element_count(kept.sizes));
  const auto elements = static_cast<std::uint64_t>(element_count(reduced.sizes));
  if (outputs == 0) return;
  if (std::max(outputs, elements) > 0x7fffffffu) l.fail("more than 2^31 elements");
  kept.merge();
  reduced.merge();
  if (std::max(kept.count(), reduced.count()) > kLoops) l.fail(fmt::format("needs more than {} loops", kLoops));
  const bool real = is_floating(type);
  const View view = real ? View::F32 : View::I32;
  const Kernel kernel = kernel_of(reduction);

  const auto append = [&](Binding from, const Binding& largest, const Binding& to, const Loops& outer,
                          const Loops& inner, std::uint64_t parts, Kernel k, std::int64_t first) {
    const auto used = [](const Loops& loops) { return std::max(1u, u32(static_cast<std::int64_t>(loops.count()))); };
    Dispatch d;
    d.shader = "reduce";
    d.variant = {real ? "real" : "integer"};
    const auto read = [](Binding binding, View as) {
      binding.access = Access::Read;
      binding.view = as;
      return binding;
    };
    d.bindings = {read(from, view), read(largest, View::F32), to};
    d.bindings[2].access = Access::Write;
    d.bindings[2].view = View::None;
    const double least = extreme(type, k.combine == 3 ? -1 : 1);
    d.push_constants = {u32(outputs),  u32(parts), u32(element_count(inner.sizes)),
                        u32(elements), u32(first), real ? bits(least) : i32(static_cast<std::int64_t>(least))};
    const std::uint32_t lanes = l.lanes(64);
    d.specialization = {lanes, k.combine, k.map, k.finish, used(outer), used(inner), wrap_number(type)};
    for (Loops loops : {outer, inner}) {
      loops.pad(kLoops);
      for (std::size_t i = 1; i < kLoops; ++i) d.push_constants.push_back(u32(loops.sizes[i]));
      for (const std::int64_t stride : loops.strides[0]) d.push_constants.push_back(i32(stride));
    }
    d.groups = l.spread(ceil_div(outputs * parts, lanes));
    d.flops = saturating_product({outputs, elements});
    l.emit(std::move(d));
  };

  const std::uint64_t parts = parts_of(outputs, elements, l.caps());
  if (outputs * parts > 0xffffffffu || parts > l.caps().max_loop_iterations / 8) l.fail("has too many elements");
  const auto in_parts = [&](const std::string& name, const Binding& largest, const Binding& to, const Kernel& k) {
    if (parts == 1) return append(x, largest, to, kept, reduced, 1, k, x_first);
    const Binding partial = l.scratch(name, outputs * parts * 4);
    append(x, largest, partial, kept, reduced, parts, {k.combine, k.map, 0}, x_first);
    const auto width = static_cast<std::int64_t>(parts);
    append(partial, largest, to, {{static_cast<std::int64_t>(outputs)}, {{width}}}, {{width}, {{1}}}, 1,
           {k.combine, 0, k.finish}, 0);
  };
  if (reduction != Reduction::LogSumExp) return in_parts("parts", x, y, kernel);
  const Binding largest = l.scratch("largest", outputs * 4);
  in_parts("largest_parts", x, largest, kernel_of(Reduction::Max));
  in_parts("parts", largest, y, kernel);
}

extern const Op op_reduce;
const Op op_reduce = {.names = {"reduce"},
                      .infer = infer,
                      .reference = reference,
                      .lower = lower,
                      .planned = {{"reduce", 1, 1}},
                      .parts = parts};

}  // namespace heed::ops
