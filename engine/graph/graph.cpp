#include "graph/graph.h"

#include <fmt/format.h>

#include <set>

#include "heed/error.h"

namespace heed {

const Attribute* Attributes::find(std::string_view name) const {
  const auto found = items_.find(name);
  return found == items_.end() ? nullptr : &found->second;
}

void Attributes::erase(std::string_view name) {
  if (const auto found = items_.find(name); found != items_.end()) items_.erase(found);
}

namespace {
template <typename T>
const T& expect(const Attribute* attribute, std::string_view name, const char* kind) {
  if (attribute == nullptr) throw Error(fmt::format("attribute '{}' ({}) is missing", name, kind));
  const T* value = std::get_if<T>(attribute);
  if (value == nullptr) throw Error(fmt::format("attribute '{}' is not of type {}", name, kind));
  return *value;
}
}  // namespace

std::int64_t Attributes::integer(std::string_view name) const {
  return expect<std::int64_t>(find(name), name, "integer");
}
std::int64_t Attributes::integer(std::string_view name, std::int64_t otherwise) const {
  return has(name) ? integer(name) : otherwise;
}
double Attributes::real(std::string_view name) const {
  const Attribute* attribute = find(name);
  if (attribute != nullptr && std::holds_alternative<std::int64_t>(*attribute)) {
    return static_cast<double>(std::get<std::int64_t>(*attribute));
  }
  return expect<double>(attribute, name, "number");
}
double Attributes::real(std::string_view name, double otherwise) const { return has(name) ? real(name) : otherwise; }
std::string Attributes::text(std::string_view name) const { return expect<std::string>(find(name), name, "string"); }
std::string Attributes::text(std::string_view name, std::string_view otherwise) const {
  return has(name) ? text(name) : std::string(otherwise);
}
std::vector<std::int64_t> Attributes::integers(std::string_view name) const {
  return expect<std::vector<std::int64_t>>(find(name), name, "list of integers");
}
std::vector<double> Attributes::reals(std::string_view name) const {
  return expect<std::vector<double>>(find(name), name, "list of numbers");
}

ValueId Graph::find(std::string_view value_name) const {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i].name == value_name) return static_cast<ValueId>(i);
  }
  return kNoValue;
}

void validate(const Graph& graph, bool (*known_op)(std::string_view)) {
  const auto fail = [&](const std::string& message) {
    throw Error(fmt::format("graph '{}': {}", graph.name, message));
  };
  const auto count = static_cast<ValueId>(graph.values.size());
  const auto check_id = [&](ValueId id, const std::string& where) {
    if (id < 0 || id >= count) fail(fmt::format("{} names value {}, but there are {} values", where, id, count));
  };

  if (graph.name.empty()) fail("has no name");
  std::set<std::string_view> names;
  std::vector<bool> ready(graph.values.size(), false);
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    if (value.name.empty()) fail(fmt::format("value {} has no name", i));
    if (!names.insert(value.name).second) fail(fmt::format("two values are named '{}'", value.name));
    if (value.kind == ValueKind::Weight || value.kind == ValueKind::State) ready[i] = true;
  }
  for (const ValueId id : graph.inputs) {
    check_id(id, "the list of inputs");
    if (graph.value(id).kind != ValueKind::Input)
      fail(fmt::format("input '{}' is of another kind", graph.value(id).name));
    ready[static_cast<std::size_t>(id)] = true;
  }
  std::set<std::string_view> node_names;
  for (const Node& node : graph.nodes) {
    if (node.name.empty()) fail(fmt::format("a node of op '{}' has no name", node.op));
    if (!node_names.insert(node.name).second) fail(fmt::format("two nodes are named '{}'", node.name));
    if (known_op != nullptr && !known_op(node.op)) {
      fail(fmt::format("node '{}' is of op '{}', which this version of heed does not have; use a newer heed", node.name,
                       node.op));
    }
    for (const ValueId id : node.inputs) {
      if (id == kNoValue) continue;
      check_id(id, fmt::format("node '{}'", node.name));
      if (!ready[static_cast<std::size_t>(id)]) {
        fail(fmt::format("node '{}' reads '{}' before it is made", node.name, graph.value(id).name));
      }
    }
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      check_id(id, fmt::format("node '{}'", node.name));
      if (graph.value(id).kind != ValueKind::Intermediate) {
        fail(fmt::format("node '{}' writes '{}', which is not an intermediate", node.name, graph.value(id).name));
      }
      if (ready[static_cast<std::size_t>(id)]) {
        fail(fmt::format("node '{}' makes '{}' a second time", node.name, graph.value(id).name));
      }
      ready[static_cast<std::size_t>(id)] = true;
    }
  }
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    if (!ready[i]) fail(fmt::format("nothing makes value '{}'", graph.values[i].name));
  }
  for (const ValueId id : graph.outputs) check_id(id, "the list of outputs");
}

ValueId GraphBuilder::push(Value value) {
  graph_.values.push_back(std::move(value));
  return static_cast<ValueId>(graph_.values.size() - 1);
}

ValueId GraphBuilder::input(std::string name, DType dtype, SymbolicShape shape) {
  const ValueId id = push({std::move(name), ValueKind::Input, dtype, std::move(shape), {}});
  graph_.inputs.push_back(id);
  return id;
}

ValueId GraphBuilder::weight(std::string name, DType dtype, SymbolicShape shape) {
  if (const ValueId known = graph_.find(name); known != kNoValue) return known;
  return push({std::move(name), ValueKind::Weight, dtype, std::move(shape), {}});
}

ValueId GraphBuilder::state(std::string name, DType dtype, SymbolicShape shape) {
  return push({std::move(name), ValueKind::State, dtype, std::move(shape), {}});
}

ValueId GraphBuilder::add(std::string op, std::string name, std::vector<ValueId> inputs, Attributes attributes) {
  return add_many(std::move(op), std::move(name), std::move(inputs), std::move(attributes), 1).front();
}

std::vector<ValueId> GraphBuilder::add_many(std::string op, std::string name, std::vector<ValueId> inputs,
                                            Attributes attributes, std::size_t output_count) {
  Node node{std::move(op), std::move(name), std::move(inputs), {}, std::move(attributes)};
  for (std::size_t i = 0; i < output_count; ++i) {
    const std::string suffix = i == 0 ? "" : fmt::format(".{}", i);
    node.outputs.push_back(push({node.name + suffix, ValueKind::Intermediate, DType::F32, {}, {}}));
  }
  graph_.nodes.push_back(node);
  return node.outputs;
}

ValueId GraphBuilder::integers(std::string name, std::vector<std::int64_t> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return add("constant", std::move(name), {},
             {{"dtype", "i64"}, {"shape", Shape{count}}, {"integers", std::move(values)}});
}

void GraphBuilder::output(ValueId value, std::string name) {
  graph_.value(value).name = std::move(name);
  graph_.outputs.push_back(value);
}

}  // namespace heed
