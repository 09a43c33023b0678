// op constant, shape, size, range, constant_of_shape: what is known when a graph is planned.
//
// constant() -> attributes dtype, shape, and values or integers. shape(x) -> [rank] i64, its dimensions from attribute
// start to end (negative ones count from the last). size(x) -> i64. range(start, limit, delta) -> numbers of their
// type. constant_of_shape(shape), attributes dtype and value.
#include "ops/constant.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/integer.h"
#include "heed/error.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

DType named_type(const Node& node) {
  const std::string name = node.attributes.text("dtype");
  const std::optional<DType> type = dtype_from_name(name);
  if (!type || dtype_info(*type).block_elements > 1) throw Error(fmt::format("there are no values of type '{}'", name));
  return *type;
}

std::vector<double> values_of(const Node& node) {
  if (node.attributes.has("values")) return node.attributes.reals("values");
  const std::vector<std::int64_t> integers = node.attributes.integers("integers");
  return {integers.begin(), integers.end()};
}

/// The dimensions that op shape gives.
std::pair<std::size_t, std::size_t> slice_of(const Node& node, std::size_t rank) {
  const auto clamp = [&](std::int64_t at) {
    const auto size = static_cast<std::int64_t>(rank);
    return static_cast<std::size_t>(std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size));
  };
  const std::size_t start = clamp(node.attributes.integer("start", 0));
  const std::size_t end = clamp(node.attributes.integer("end", static_cast<std::int64_t>(rank)));
  return {start, std::max(start, end)};
}

std::int64_t range_length(double start, double limit, double delta) {
  return static_cast<std::int64_t>(std::max(0.0, std::ceil((limit - start) / delta)));
}

std::vector<TensorType> infer(const InferContext& c) {
  const std::string& op = c.node.op;
  if (op == "constant") {
    c.expect_only(0, {"dtype", "shape", "values", "integers"});
    const Shape shape = c.node.attributes.integers("shape");
    if (static_cast<std::size_t>(element_count(shape)) != values_of(c.node).size()) {
      c.fail(fmt::format("has {} values, expected {}", values_of(c.node).size(), to_string(shape)));
    }
    return {{named_type(c.node), shape}};
  }
  if (op == "shape") {
    c.expect_only(1, {"start", "end"});
    const auto [start, end] = slice_of(c.node, c.input(0).shape.size());
    return {{DType::I64, {static_cast<std::int64_t>(end - start)}}};
  }
  if (op == "size") {
    c.expect_only(1, {});
    return {{DType::I64, {}}};
  }
  if (op == "range") {
    c.expect_only(3, {});
    const double delta = c.known_reals(2, "delta").at(0);
    const double start = c.known_reals(0, "start").at(0);
    const double limit = c.known_reals(1, "limit").at(0);
    if (delta == 0.0 || !std::isfinite((limit - start) / delta)) {
      c.fail(fmt::format("from {} to {} in steps of {} has no end", start, limit, delta));
    }
    return {{c.input(0).dtype, {range_length(start, limit, delta)}}};
  }
  c.expect_only(1, {"dtype", "value"});
  return {{named_type(c.node), c.known_integers(0, "shape")}};
}

void reference(const ReferenceContext& c) {
  const std::string& op = c.node.op;
  std::vector<double>& y = c.out(0);
  if (op == "constant") {
    y = values_of(c.node);
  } else if (op == "shape") {
    const auto [start, end] = slice_of(c.node, c.shape(0).size());
    std::copy(c.shape(0).begin() + static_cast<std::ptrdiff_t>(start),
              c.shape(0).begin() + static_cast<std::ptrdiff_t>(end), y.begin());
  } else if (op == "size") {
    y[0] = static_cast<double>(element_count(c.shape(0)));
  } else if (op == "range") {
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = c.in(0).at(0) + static_cast<double>(i) * c.in(2).at(0);
  } else {
    std::ranges::fill(y, c.node.attributes.real("value", 0.0));
  }
}

/// Writes what is an output of the graph, and what was too large to be known when planning (constant_of_shape, range).
/// Other nodes that read a constant bind it as a table of the plan.
void lower(Lowering& l) {
  const auto count = static_cast<std::uint64_t>(element_count(l.output().shape));
  const HostTensor* known = l.known_output();
  if (count == 0 || (known != nullptr && !l.is_graph_output())) return;
  if (known == nullptr && l.node().op != "constant_of_shape") l.fail("makes more numbers than a plan holds");
  Dispatch d;
  d.shader = "rows";
  const std::uint32_t lanes = l.lanes(64);
  if (known != nullptr) {
    d.bindings = {l.constant(l.node().name, *known, View::I32), l.write()};
    d.push_constants = {u32(count), 0};
    d.specialization = {lanes, 0};
  } else {
    HostTensor word{{l.output().dtype, {1}}, {l.attributes().real("value", 0.0)}};
    d.bindings = {l.constant(l.node().name, word, View::I32), l.write()};
    d.push_constants = {u32(count), 0};
    d.specialization = {lanes, 2};
  }
  d.groups = l.spread(ceil_div(count, lanes));
  l.emit(std::move(d));
}

}  // namespace

Node constant_node(const std::string& name, const HostTensor& tensor, ValueId value) {
  Node node;
  node.op = "constant";
  node.name = name;
  node.outputs = {value};
  node.attributes.set("dtype", std::string(dtype_name(tensor.type.dtype)));
  node.attributes.set("shape", tensor.type.shape);
  if (is_floating(tensor.type.dtype)) {
    node.attributes.set("values", tensor.data);
  } else {
    std::vector<std::int64_t> integers;
    for (const double element : tensor.data) {
      const std::int64_t integer = to_integer(element);
      const bool beyond = std::abs(element) >= kMostInteger && !is_end_of_integers(element);
      integers.push_back(beyond ? (integer < 0 ? integer + 1 : integer - 1) : integer);  // it is no end
    }
    node.attributes.set("integers", std::move(integers));
  }
  return node;
}

extern const Op op_constant;
const Op op_constant = {{"constant", "shape", "size", "range", "constant_of_shape"},
                        infer,
                        reference,
                        lower,
                        {{"range", 0, 2}, {"constant_of_shape", 0, 0}},
                        {"shape", "size"}};

}  // namespace heed::ops
