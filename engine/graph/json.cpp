#include "graph/json.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "graph/json_field.h"
#include "heed/error.h"

namespace heed {
namespace {

constexpr std::array<std::string_view, 4> kKindNames = {"input", "weight", "state", "intermediate"};  // as ValueKind

nlohmann::json real_to_json(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

// An object of one key that names the type: JSON alone cannot tell 1 from 1.0, nor an empty list of integers from one
// of reals.
struct AttributeToJson {
  nlohmann::json operator()(std::int64_t value) const { return {{"integer", value}}; }
  nlohmann::json operator()(double value) const { return {{"real", real_to_json(value)}}; }
  nlohmann::json operator()(const std::string& value) const { return {{"text", value}}; }
  nlohmann::json operator()(const std::vector<std::int64_t>& values) const { return {{"integers", values}}; }
  nlohmann::json operator()(const std::vector<double>& values) const {
    nlohmann::json list = nlohmann::json::array();
    for (const double value : values) list.push_back(real_to_json(value));
    return {{"reals", std::move(list)}};
  }
};

Attribute attribute_from_json(const JsonField& field) {
  if (!field.json().is_object() || field.json().size() != 1) {
    field.fail("expected an object of one key: integer, real, text, integers or reals");
  }
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  if (field.has("integer")) return field.at("integer").integer(kLeast, kMost);
  if (field.has("real")) return field.at("real").real();
  if (field.has("text")) return field.at("text").text(kMaxAttributeBytes);
  if (field.has("integers")) return field.at("integers").integers(kLeast, kMost, kMaxAttributeItems);
  const JsonField list = field.at("reals");
  std::vector<double> values(list.array_size(kMaxAttributeItems));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = list.at(i).real();
  return values;
}

nlohmann::json shape_to_json(const SymbolicShape& shape) {
  nlohmann::json list = nlohmann::json::array();
  for (const Dim& dim : shape) list.push_back(dim.name.empty() ? nlohmann::json(dim.size) : nlohmann::json(dim.name));
  return list;
}

SymbolicShape shape_from_json(const JsonField& field) {
  const std::size_t rank = field.array_size(kMaxRank);
  SymbolicShape shape;
  shape.reserve(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    const JsonField dim = field.at(i);
    if (dim.json().is_string()) {
      shape.emplace_back(dim.name(kMaxNameBytes));
    } else {
      shape.emplace_back(dim.integer(0, kMaxElements));
    }
  }
  return shape;
}

ValueKind kind_from_json(const JsonField& field) {
  const std::string& word = field.name(kMaxNameBytes);
  for (std::size_t i = 0; i < kKindNames.size(); ++i) {
    if (kKindNames[i] == word) return static_cast<ValueKind>(i);
  }
  field.fail(fmt::format("'{}' is not a kind of value; expected input, weight, state or intermediate", word));
}

DType dtype_from_json(const JsonField& field) {
  const std::string& word = field.name(kMaxNameBytes);
  const auto type = dtype_from_name(word);
  if (!type) field.fail(fmt::format("'{}' is not a type this version of heed knows; use a newer heed", word));
  return *type;
}

nlohmann::json value_to_json(const Value& value) {
  if (!value.parts.empty()) {
    throw Error(fmt::format("weight '{}' was stacked from {} tensors at plan time and cannot be stored in a file",
                            value.name, value.parts.size()));
  }
  nlohmann::json json = {{"name", value.name}, {"kind", kKindNames[static_cast<std::size_t>(value.kind)]}};
  if (value.kind != ValueKind::Intermediate) {
    json["dtype"] = dtype_name(value.dtype);
    json["shape"] = shape_to_json(value.shape);
  }
  return json;
}

Value value_from_json(const JsonField& field) {
  Value value;
  value.kind = kind_from_json(field.at("kind"));
  if (value.kind == ValueKind::Intermediate) {
    field.check_keys({"name", "kind"});
  } else {
    field.check_keys({"name", "kind", "dtype", "shape"});
    value.dtype = dtype_from_json(field.at("dtype"));
    value.shape = shape_from_json(field.at("shape"));
  }
  value.name = field.at("name").name(kMaxNameBytes);
  return value;
}

std::vector<ValueId> ids_from_json(const JsonField& field, std::size_t most, ValueId least, std::size_t value_count) {
  const auto ids = field.integers(least, static_cast<std::int64_t>(value_count) - 1, most);
  return std::vector<ValueId>(ids.begin(), ids.end());
}

nlohmann::json node_to_json(const Node& node) {
  nlohmann::json attributes = nlohmann::json::object();
  for (const auto& [name, attribute] : node.attributes) attributes[name] = std::visit(AttributeToJson(), attribute);
  return {{"op", node.op},
          {"name", node.name},
          {"inputs", node.inputs},
          {"outputs", node.outputs},
          {"attributes", std::move(attributes)}};
}

Node node_from_json(const JsonField& field, std::size_t value_count) {
  field.check_keys({"op", "name", "inputs", "outputs"}, {"attributes"});
  Node node;
  node.op = field.at("op").name(kMaxNameBytes);
  node.name = field.at("name").name(kMaxNameBytes);
  node.inputs = ids_from_json(field.at("inputs"), kMaxNodePorts, kNoValue, value_count);
  node.outputs = ids_from_json(field.at("outputs"), kMaxNodePorts, kNoValue, value_count);
  if (!field.has("attributes")) return node;
  const JsonField attributes = field.at("attributes");
  if (!attributes.json().is_object() || attributes.json().size() > kMaxAttributes) {
    attributes.fail(fmt::format("expected an object of at most {} keys", kMaxAttributes));
  }
  for (const auto& [name, json] : attributes.json().items()) {
    const nlohmann::json key = name;
    JsonField(key, attributes.where()).name(kMaxNameBytes);  // checks it
    node.attributes.set(name, attribute_from_json(JsonField(json, attributes.where() + "." + name)));
  }
  return node;
}

}  // namespace

nlohmann::json graph_to_json(const Graph& graph) {
  nlohmann::json values = nlohmann::json::array();
  for (const Value& value : graph.values) values.push_back(value_to_json(value));
  nlohmann::json nodes = nlohmann::json::array();
  for (const Node& node : graph.nodes) nodes.push_back(node_to_json(node));
  return {{"name", graph.name},
          {"values", std::move(values)},
          {"inputs", graph.inputs},
          {"outputs", graph.outputs},
          {"nodes", std::move(nodes)}};
}

Graph graph_from_json(const nlohmann::json& json) {
  const JsonField unnamed(json, "graph");
  unnamed.check_keys({"name", "values", "inputs", "outputs", "nodes"});
  Graph graph;
  graph.name = unnamed.at("name").name(kMaxNameBytes);

  const JsonField field(json, fmt::format("graph '{}'", graph.name));
  const JsonField values = field.at("values");
  graph.values.resize(values.array_size(kMaxGraphValues));
  const std::size_t count = graph.values.size();
  for (std::size_t i = 0; i < count; ++i) graph.values[i] = value_from_json(values.at(i));
  graph.inputs = ids_from_json(field.at("inputs"), count, 0, count);
  graph.outputs = ids_from_json(field.at("outputs"), count, 0, count);
  const JsonField nodes = field.at("nodes");
  graph.nodes.resize(nodes.array_size(kMaxGraphNodes));
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) graph.nodes[i] = node_from_json(nodes.at(i), count);
  return graph;
}

}  // namespace heed
