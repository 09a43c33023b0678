// op elementwise: unary functions, and binary functions with numpy's broadcasting; gate(a, b) = activation(a) * b.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "ops/activation.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

// Numbers of shaders/elementwise.comp.
constexpr std::string_view kFunctions[] = {"silu", "gelu", "gelu_tanh", "relu", "tanh", "sigmoid", "exp", "neg",
                                           "sqrt", "add",  "sub",       "mul",  "div",  "max",     "min", "gate"};
constexpr std::size_t kFirstBinary = 9;

std::size_t function_of(const Node& node) {
  return static_cast<std::size_t>(std::find(std::begin(kFunctions), std::end(kFunctions), node.op) -
                                  std::begin(kFunctions));
}

bool binary(const Node& node) { return function_of(node) >= kFirstBinary; }

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  Shape y(std::max(a.size(), b.size()));
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::int64_t from_a = i < a.size() ? a[a.size() - 1 - i] : 1;
    const std::int64_t from_b = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (from_a != from_b && from_a != 1 && from_b != 1) return std::nullopt;
    y[y.size() - 1 - i] = from_a == 1 ? from_b : from_a;
  }
  return y;
}

/// Elements to advance in an operand for one step in each dimension of the result; 0 where it is broadcast.
std::vector<std::uint32_t> strides_of(const Shape& operand, const Shape& result) {
  std::vector<std::uint32_t> strides(result.size(), 0);
  std::int64_t stride = 1;
  for (std::size_t i = 0; i < operand.size(); ++i) {
    const std::int64_t size = operand[operand.size() - 1 - i];
    strides[result.size() - 1 - i] = size == 1 ? 0 : static_cast<std::uint32_t>(stride);
    stride *= size;
  }
  return strides;
}

std::vector<TensorType> infer(const InferContext& c) {
  if (c.node.op == "gate") {
    c.expect_only(2, {"activation"});
  } else {
    c.expect_only(binary(c.node) ? 2 : 1, {});
  }
  for (std::size_t i = 0; i < (binary(c.node) ? 2u : 1u); ++i) {
    if (!dtype_info(c.input(i).dtype).floating)
      c.fail(fmt::format("computes with floats, not {}", dtype_name(c.input(i).dtype)));
  }
  if (!binary(c.node)) return {{DType::F32, c.input(0).shape}};
  if (c.node.op == "gate") activation_named(c.node.attributes.text("activation"));
  const std::optional<Shape> y = broadcast(c.input(0).shape, c.input(1).shape);
  if (!y) {
    c.fail(fmt::format("{} and {} do not broadcast", to_string(c.input(0).shape), to_string(c.input(1).shape)));
  }
  return {{DType::F32, *y}};
}

double compute(const Node& node, double a, double b) {
  switch (function_of(node)) {
    case 6:
      return std::exp(a);
    case 7:
      return -a;
    case 8:
      return std::sqrt(a);
    case 9:
      return a + b;
    case 10:
      return a - b;
    case 11:
      return a * b;
    case 12:
      return a / b;
    case 13:
      return std::max(a, b);
    case 14:
      return std::min(a, b);
    case 15:
      return activate(activation_named(node.attributes.text("activation")), a) * b;
    default:
      return activate(activation_named(node.op), a);
  }
}

void reference(const ReferenceContext& c) {
  const Shape& y = c.outputs[0]->type.shape;
  const std::vector<std::uint32_t> a = strides_of(c.shape(0), y);
  const std::vector<std::uint32_t> b = binary(c.node) ? strides_of(c.shape(1), y) : a;
  for (std::size_t i = 0; i < c.out(0).size(); ++i) {
    std::size_t rest = i;
    std::size_t at_a = 0;
    std::size_t at_b = 0;
    for (std::size_t d = y.size(); d-- > 0;) {
      const std::size_t coordinate = rest % static_cast<std::size_t>(y[d]);
      rest /= static_cast<std::size_t>(y[d]);
      at_a += coordinate * a[d];
      at_b += coordinate * b[d];
    }
    c.out(0)[i] = compute(c.node, c.in(0)[at_a], binary(c.node) ? c.in(1)[at_b] : 0.0);
  }
}

void lower(Lowering& l) {
  const Shape& shape = l.output().shape;
  const auto count = static_cast<std::uint64_t>(element_count(shape));
  if (count == 0) return;
  if (count > 0xffffffffu) l.fail("more than 2^32 elements");
  std::vector<std::uint32_t> a = strides_of(l.input(0).shape, shape);
  std::vector<std::uint32_t> b = binary(l.node()) ? strides_of(l.input(1).shape, shape) : a;
  std::vector<std::uint32_t> sizes(shape.begin(), shape.end());
  // Neighbouring dimensions that advance alike are one; what is left has at most four, as the shader expects.
  for (std::size_t d = sizes.size(); d-- > 1;) {
    if (sizes[d - 1] == 1 || (a[d - 1] == a[d] * sizes[d] && b[d - 1] == b[d] * sizes[d])) {
      sizes[d] *= sizes[d - 1];
    } else if (sizes[d] == 1) {
      sizes[d] = sizes[d - 1];
      a[d] = a[d - 1];
      b[d] = b[d - 1];
    } else {
      continue;
    }
    sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(d) - 1);
    a.erase(a.begin() + static_cast<std::ptrdiff_t>(d) - 1);
    b.erase(b.begin() + static_cast<std::ptrdiff_t>(d) - 1);
  }
  if (sizes.size() > 4) l.fail(fmt::format("broadcasting to {} needs more than four loops", to_string(shape)));
  const std::size_t missing = 4 - sizes.size();
  sizes.insert(sizes.begin(), missing, 1);
  a.insert(a.begin(), missing, 0);
  b.insert(b.begin(), missing, 0);

  Dispatch d;
  d.shader = "elementwise";
  const Binding first = l.read(0, View::F32);
  d.bindings = {first, binary(l.node()) ? l.read(1, View::F32) : first, l.write()};
  d.push_constants = {static_cast<std::uint32_t>(count)};
  for (std::size_t i = 1; i < 4; ++i) d.push_constants.push_back(sizes[i]);
  d.push_constants.insert(d.push_constants.end(), a.begin(), a.end());
  d.push_constants.insert(d.push_constants.end(), b.begin(), b.end());
  const std::uint32_t lanes = l.lanes(64);
  const std::uint32_t activation =
      l.node().op == "gate" ? static_cast<std::uint32_t>(activation_named(l.attributes().text("activation"))) : 0;
  d.specialization = {lanes, static_cast<std::uint32_t>(function_of(l.node())), activation};
  d.groups = l.spread((count + lanes - 1) / lanes);
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_elementwise;
const Op op_elementwise = {{std::begin(kFunctions), std::end(kFunctions)}, infer, reference, lower};

}  // namespace heed::ops
