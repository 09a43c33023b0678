#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "graph/shape.h"

namespace heed {

using Attribute = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>>;

/// Named attributes of a node. The typed getters throw Error when the attribute is missing (and no default is given) or
/// has another type; an int64 is accepted where a double is asked for.
class Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<const std::string, Attribute>> items) : items_(items) {}

  void set(std::string name, Attribute value) { items_.insert_or_assign(std::move(name), std::move(value)); }
  void erase(std::string_view name);
  bool has(std::string_view name) const { return items_.find(name) != items_.end(); }
  std::int64_t integer(std::string_view name) const;
  std::int64_t integer(std::string_view name, std::int64_t otherwise) const;
  double real(std::string_view name) const;
  double real(std::string_view name, double otherwise) const;
  std::string text(std::string_view name) const;
  std::string text(std::string_view name, std::string_view otherwise) const;
  std::vector<std::int64_t> integers(std::string_view name) const;
  std::vector<double> reals(std::string_view name) const;

  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  std::size_t size() const { return items_.size(); }
  bool operator==(const Attributes&) const = default;

 private:
  const Attribute* find(std::string_view name) const;
  std::map<std::string, Attribute, std::less<>> items_;
};

/// Index into Graph::values; kNoValue stands for an optional input that is absent.
using ValueId = std::int32_t;
inline constexpr ValueId kNoValue = -1;

enum class ValueKind : std::uint8_t {
  Input,         // given by the caller before every run
  Weight,        // a tensor of the file, by name
  State,         // lives in the session across runs and is updated in place (KV cache, recurrent state)
  Intermediate,  // made by a node; its type is inferred at plan time
};

struct Value {
  std::string name;  // unique in the graph; for a weight the tensor's name, for a state shared by all graphs of a file
  ValueKind kind = ValueKind::Intermediate;
  DType dtype = DType::F32;  // not meaningful for intermediates
  SymbolicShape shape;       // not meaningful for intermediates
  /// Weights made by fusion at plan time: the tensors whose rows are stacked, first dimension first. Empty in files.
  std::vector<std::string> parts;
};

struct Node {
  std::string op;
  std::string name;  // for messages, unique in the graph
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  Attributes attributes;
};

/// A computation: nodes in execution order over values. Plain data; validate() says whether it is well formed.
struct Graph {
  std::string name;
  std::vector<Value> values;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::vector<Node> nodes;

  ValueId find(std::string_view value_name) const;  // kNoValue when absent
  const Value& value(ValueId id) const { return values[static_cast<std::size_t>(id)]; }
  Value& value(ValueId id) { return values[static_cast<std::size_t>(id)]; }
};

/// Throws Error naming graph and node when: a value id is out of range, a name is empty or repeated, a node's op is
/// unknown, a node reads a value before it is made, two nodes make the same value, a node makes a value that is not an
/// intermediate, an output is never made, or an intermediate has no maker.
/// `known_op` decides which op names exist (ops::is_op in the engine); nullptr leaves that to a later check.
void validate(const Graph& graph, bool (*known_op)(std::string_view name));

/// Builds graphs by appending. Names are made from the node's name; every add returns the new node's first output.
class GraphBuilder {
 public:
  explicit GraphBuilder(std::string name) { graph_.name = std::move(name); }
  /// Goes on with an existing graph (the text loop appends sampling to a decode graph so).
  explicit GraphBuilder(Graph graph) : graph_(std::move(graph)) {}

  ValueId input(std::string name, DType dtype, SymbolicShape shape);
  ValueId weight(std::string name, DType dtype, SymbolicShape shape);  // the same name twice gives the same value
  ValueId state(std::string name, DType dtype, SymbolicShape shape);
  ValueId add(std::string op, std::string name, std::vector<ValueId> inputs, Attributes attributes = {});
  /// A list of integers that stands in the graph: sizes, axes.
  ValueId integers(std::string name, std::vector<std::int64_t> values);
  std::vector<ValueId> add_many(std::string op, std::string name, std::vector<ValueId> inputs, Attributes attributes,
                                std::size_t output_count);
  /// Marks a value as an output of the graph under a new name (an intermediate is renamed to it).
  void output(ValueId value, std::string name);
  Graph finish() && { return std::move(graph_); }
  Graph& graph() { return graph_; }

 private:
  ValueId push(Value value);
  Graph graph_;
};

}  // namespace heed
