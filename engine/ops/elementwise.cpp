// op elementwise: the functions of ops/functions.h, binary ones with NumPy's broadcasting; gate(a, b) = activation(a) *
// b; cast(x), attribute to. Real results are f32, those of integers have the operands' type, comparisons give booleans.
// By fusion: of reals, attribute then ("add", "mul"): what the function makes, and the last input, which is broadcast
// to it.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "graph/integer.h"
#include "heed/error.h"
#include "ops/activation.h"
#include "ops/functions.h"
#include "ops/loops.h"
#include "ops/op.h"
#include "ops/rewrite.h"
#include "ops/words.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::size_t kLoops = 6;  // of shaders/elementwise.comp

DType cast_type(const Node& node) {
  const std::string name = node.attributes.text("to");
  const std::optional<DType> type = dtype_from_name(name);
  if (!type || dtype_info(*type).block_elements > 1) throw Error(fmt::format("there are no values of type '{}'", name));
  return *type;
}

/// The function that attribute `then` names; nullptr where there is none. Throws Error where it is none of those two.
const Function* then_of(const Node& node) {
  if (!node.attributes.has("then")) return nullptr;
  const std::string name = node.attributes.text("then");
  if (name != "add" && name != "mul") throw Error(fmt::format("there is no '{}' behind a function", name));
  return find_function(name);
}

std::vector<TensorType> infer_function(const InferContext& c);

std::vector<TensorType> infer(const InferContext& c) {
  if (c.node.op == "cast") {
    c.expect_only(1, {"to"});
    return {{cast_type(c.node), c.input(0).shape}};
  }
  const Function& f = *find_function(c.node.op);
  const std::size_t operands = f.operands + (then_of(c.node) == nullptr ? 0u : 1u);
  if (c.node.op == "gate") {
    c.expect_only(operands, {"activation", "then"});
    activation_named(c.node.attributes.text("activation"));
  } else {
    c.expect_only(operands, {f.parameters[0], f.parameters[1], "then"});
  }
  const std::vector<TensorType> made = infer_function(c);
  if (operands == f.operands) return made;
  c.expect_floats(f.operands, "the last operand");
  if (made[0].dtype != DType::F32)
    c.fail(fmt::format("makes {}, of which nothing more is made", dtype_name(made[0].dtype)));
  if (broadcast(made[0].shape, c.input(f.operands).shape) != made[0].shape) {
    c.fail(fmt::format("{} does not broadcast to {}", to_string(c.input(f.operands).shape), to_string(made[0].shape)));
  }
  return made;
}

std::vector<TensorType> infer_function(const InferContext& c) {
  const Function& f = *find_function(c.node.op);
  const bool real = is_floating(c.input(0).dtype);
  for (std::size_t i = 0; i < f.operands; ++i) {
    const DType type = c.input(i).dtype;
    const bool fits = f.domain == Domain::Integer                                ? !is_floating(type)
                      : f.domain == Domain::Real || f.domain == Domain::RealTest ? is_floating(type)
                                                                                 : true;
    if (!fits) {
      c.fail(fmt::format("computes with {}, not {}", f.domain == Domain::Integer ? "integers" : "floats",
                         dtype_name(type)));
    }
    if (is_floating(type) != real || (!real && type != c.input(0).dtype)) {
      c.fail(fmt::format("operands are {} and {}, expected the same type", dtype_name(c.input(0).dtype),
                         dtype_name(type)));
    }
  }
  const DType result = f.domain == Domain::RealTest || f.domain == Domain::Comparison ? DType::Bool
                       : real                                                         ? DType::F32
                                                                                      : c.input(0).dtype;
  if (f.operands == 1) return {{result, c.input(0).shape}};
  const std::optional<Shape> y = broadcast(c.input(0).shape, c.input(1).shape);
  if (!y) {
    c.fail(fmt::format("{} and {} do not broadcast", to_string(c.input(0).shape), to_string(c.input(1).shape)));
  }
  return {{result, *y}};
}

/// Of two operands and what comes behind; those that are absent are like the first.
Loops loops_of(const Shape& y, const Shape& a, const Shape* b, const Shape* c) {
  return {y,
          {broadcast_strides(a, y), broadcast_strides(b == nullptr ? a : *b, y),
           broadcast_strides(c == nullptr ? a : *c, y)}};
}

void reference(const ReferenceContext& c) {
  const TensorType& y = c.outputs[0]->type;
  const DType type = c.inputs[0]->type.dtype;
  if (c.node.op == "cast") {
    for (std::size_t i = 0; i < c.out(0).size(); ++i) c.out(0)[i] = convert_number(type, y.dtype, c.in(0)[i]);
    return;
  }
  const Function& f = *find_function(c.node.op);
  const Function* then = then_of(c.node);
  const Loops loops = loops_of(y.shape, c.shape(0), f.operands == 2 ? &c.shape(1) : nullptr,
                               then == nullptr ? nullptr : &c.shape(f.operands));
  LoopCounter at(loops);
  for (double& value : c.out(0)) {
    const double a = c.in(0)[static_cast<std::size_t>(at.at(0))];
    const double b = f.operands == 2 ? c.in(1)[static_cast<std::size_t>(at.at(1))] : 0.0;
    value = apply_function(f, c.node, type, a, b);
    if (then != nullptr) {
      value = apply_function(*then, c.node, DType::F32, value, c.in(f.operands)[static_cast<std::size_t>(at.at(2))]);
    }
    at.next();
  }
}

/// The number of a conversion in shaders/include/functions.glsl; 0xffff leaves a number as it is.
std::uint32_t cast_number(DType from, DType to) {
  if (is_floating(from) && !is_floating(to)) return to == DType::Bool ? 101 : 100;
  return to == DType::F16 ? 105 : to == DType::BF16 ? 106 : 0xffff;
}

void lower(Lowering& l) {
  const TensorType& y = l.output();
  const auto count = static_cast<std::uint64_t>(element_count(y.shape));
  if (count == 0) return;
  if (count > 0xffffffffu) l.fail("more than 2^32 elements");
  const bool cast = l.node().op == "cast";
  const Function* f = cast ? nullptr : find_function(l.node().op);
  const bool binary = !cast && f->operands == 2;
  const Function* then = cast ? nullptr : then_of(l.node());
  const std::size_t behind = binary ? 2 : 1;  // the input that `then` takes
  Loops loops = loops_of(y.shape, l.input(0).shape, binary ? &l.input(1).shape : nullptr,
                         then == nullptr ? nullptr : &l.input(behind).shape);
  loops.merge();
  if (loops.count() > kLoops) {
    l.fail(fmt::format("broadcasting to {} needs more than {} loops", to_string(y.shape), kLoops));
  }
  const bool from_real = is_floating(l.input(0).dtype);
  const bool to_real = is_floating(y.dtype);
  const bool vectors = from_real && to_real && loops.vectorise();
  std::uint32_t repeated = 0;  // operands of which an invocation reads one element for four
  for (std::size_t i = 0; vectors && i < 3; ++i) repeated |= (loops.strides[i].back() == 0 ? 1u : 0u) << i;
  const std::uint32_t used = std::max(1u, u32(static_cast<std::int64_t>(loops.count())));
  loops.pad(kLoops);

  const View view = vectors ? View::F32x4 : from_real ? View::F32 : View::I32;
  const std::uint64_t steps = vectors ? count / 4 : count;
  Dispatch d;
  d.shader = "elementwise";
  d.variant = {vectors ? "vector" : from_real ? (to_real ? "real" : "test") : (to_real ? "number" : "integer")};
  const Binding first = l.read(0, view);
  d.bindings = {first, binary ? l.read(1, view) : first, then == nullptr ? first : l.read(behind, view), l.write()};
  d.push_constants = {u32(steps)};
  for (std::size_t i = 1; i < kLoops; ++i) d.push_constants.push_back(u32(loops.sizes[i]));
  const auto push_strides = [&](std::size_t operand) {
    for (const std::int64_t stride : loops.strides[operand]) d.push_constants.push_back(i32(stride));
  };
  push_strides(0);
  push_strides(1);
  for (std::size_t i = 0; i < 2; ++i) {
    d.push_constants.push_back(bits(cast ? 0.0 : function_parameter(*f, l.node(), i)));
  }
  push_strides(2);
  const std::uint32_t lanes = l.lanes(64);
  const std::uint32_t activation =
      l.node().op == "gate" ? static_cast<std::uint32_t>(activation_named(l.attributes().text("activation"))) : 0;
  const std::uint32_t number = cast ? cast_number(l.input(0).dtype, y.dtype) : f->number;
  d.specialization = {
      lanes, number, activation, binary, used, wrap_number(y.dtype), repeated, then == nullptr ? 0u : then->number};
  d.groups = l.spread(ceil_div(steps, lanes));
  l.emit(std::move(d));
}

std::vector<PartAxis> parts(const Lowering& l) {
  return parts_along(l, 3, [](std::size_t) { return false; });
}

/// Whether few enough loops go over those three operands, each behind what broadcasts it.
bool fits_loops(const Shape& y, const Shape& a, const Shape& b, const Shape& c) {
  Loops loops = loops_of(y, a, &b, &c);
  loops.merge();
  return loops.count() <= kLoops;
}

/// add and mul of what another function makes for them alone go into that.
void fuse_then(const FusionContext& context) {
  Graph& graph = context.graph;
  const std::vector<TensorType> types = context.types();
  const auto type_of = [&](ValueId id) -> const TensorType& { return types[static_cast<std::size_t>(id)]; };
  const std::vector<int> uses = count_uses(graph);
  std::map<ValueId, std::size_t> made_by;
  std::set<std::size_t> dead;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& reader = graph.nodes[i];
    std::optional<std::size_t> at;
    ValueId other = kNoValue;
    const bool takes = reader.op == "add" || reader.op == "mul";
    for (std::size_t operand = 0; takes && operand < 2; ++operand) {
      const ValueId id = reader.inputs[operand];
      const auto maker = made_by.find(id);
      if (maker == made_by.end() || uses[static_cast<std::size_t>(id)] != 1) continue;
      if (type_of(id).dtype != DType::F32 || type_of(id).shape != type_of(reader.outputs[0]).shape) continue;
      if (!is_floating(type_of(reader.inputs[1 - operand]).dtype)) continue;
      const Node& node = graph.nodes[maker->second];
      if (node.attributes.has("then") || !can_move(graph, maker->second, i)) continue;
      const auto shape_of = [&](ValueId value) -> const Shape& { return type_of(value).shape; };
      if (!fits_loops(shape_of(id), shape_of(node.inputs.front()), shape_of(node.inputs.back()),
                      shape_of(reader.inputs[1 - operand]))) {
        continue;
      }
      if (at && *at > maker->second) continue;  // of two the later
      at = maker->second;
      other = reader.inputs[1 - operand];
    }
    if (at) {
      Node merged = graph.nodes[*at];
      merged.attributes.set("then", reader.op);
      merged.inputs.push_back(other);
      merged.outputs = reader.outputs;
      reader = std::move(merged);
      dead.insert(*at);
    }
    // Other operands than floats have other kernels.
    const Function* f = find_function(reader.op);
    if (f != nullptr && f->domain != Domain::Integer && is_floating(type_of(reader.inputs[0]).dtype)) {
      made_by[reader.outputs[0]] = i;
    }
  }
  erase_nodes(graph, dead);
}

}  // namespace

extern const Op op_elementwise;
const Op op_elementwise = [] {
  Op op{.names = {"cast"},
        .infer = infer,
        .reference = reference,
        .lower = lower,
        .fusions = {{FusionPhase::Functions, "function of a function", fuse_then}},
        .parts = parts};
  for (const Function& function : all_functions()) op.names.push_back(function.name);
  return op;
}();

}  // namespace heed::ops
