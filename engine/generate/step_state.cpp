#include "generate/step_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <vector>

#include "graph/integer.h"
#include "heed/error.h"
#include "ops/attention.h"
#include "ops/op.h"

namespace heed {

Graph StepState::with_rows(const Graph& decode, Rows rows, std::int64_t most_rows) {
  GraphBuilder builder(decode);
  Graph& graph = builder.graph();
  graph.name = decode.name + (rows == Rows::Apart ? "+rows" : "+pieces");
  const auto as_state = [&](const char* name) {
    const ValueId id = graph.find(name);
    if (id == kNoValue) return;
    std::erase(graph.inputs, id);
    graph.value(id).kind = ValueKind::State;
    graph.value(id).shape = {"tokens"};
  };
  for (const char* name : {"tokens", "position"}) {
    if (graph.find(name) == kNoValue) throw Error(fmt::format("graph '{}' has no '{}'", decode.name, name));
  }
  as_state("tokens");
  as_state("position");
  as_state("parents");
  const Dim columns = rows == Rows::Apart ? Dim("tokens") : Dim(1);
  const ValueId table = builder.state("table", DType::I32, {"positions", columns});
  for (Node& node : graph.nodes) {
    if (node.op == "linear" && most_rows > 0) node.attributes.set("most_rows", most_rows);
    if (node.op != "attention" || node.inputs.size() <= ops::attention_input::kCacheV) continue;
    const ValueId caches[] = {node.inputs[ops::attention_input::kCacheK], node.inputs[ops::attention_input::kCacheV]};
    if (caches[0] == kNoValue) continue;
    for (const ValueId cache : caches) graph.value(cache).shape[0] = "places";
    node.inputs.resize(std::max(node.inputs.size(), std::size_t{ops::attention_input::kTable} + 1), kNoValue);
    node.inputs[ops::attention_input::kTable] = table;
    if (rows == Rows::Apart) node.attributes.set("apart", std::int64_t{1});
  }
  validate(graph, ops::is_op);
  return std::move(builder).finish();
}

ValueId StepState::parents(GraphBuilder& stepped) {
  const ValueId known = stepped.graph().find("parents");
  return known != kNoValue ? known : stepped.state("parents", DType::I32, {"tokens"});
}

StepState::StepState(Session& session, const Graph& graph, std::int64_t rows) : session_(session), rows_(rows) {
  for (const Value& value : graph.values) {
    if (value.kind != ValueKind::State || value.shape.empty()) continue;
    const std::string& first = value.shape[0].name;
    if (first != "positions" && first != "places") continue;
    SymbolicShape each(value.shape.begin() + 1, value.shape.end());
    const Bindings known = {{"tokens", rows_}};
    const std::int64_t elements = element_count(heed::bind(each, known)) * (first == "places" ? rows_ : 1);
    bytes_a_position_[value.name] =
        static_cast<std::uint64_t>(elements) * device_element_bytes(value.kind, value.dtype);
  }
}

void StepState::start(std::span<const std::int32_t> tokens, std::span<const std::int32_t> parents,
                      std::int64_t capacity) {
  assert(static_cast<std::int64_t>(tokens.size()) == rows_ && tokens.size() == parents.size());
  if (capacity_ < capacity) grow(capacity);
  std::vector<std::int32_t> first = {tokens.begin(), tokens.end()};
  std::vector<std::int32_t> position;
  std::vector<std::int32_t> table;
  for (std::int32_t& token : first) {
    position.push_back(token < 0 ? -1 : 0);
    table.push_back(static_cast<std::int32_t>(table.size()));
    token = std::max(token, 0);
  }
  const auto write = [&](const char* name, std::span<const std::int32_t> values) {
    session_.reserve_and_write(name, std::as_bytes(values));
  };
  write("tokens", first);
  write("position", position);
  write("parents", parents);
  write("table", table);
}

void StepState::reserve_positions(std::int64_t positions, std::int64_t most) {
  if (positions <= capacity_) return;
  grow(std::min(std::max(positions, 2 * capacity_), std::max(positions, most)));
}

void StepState::grow(std::int64_t capacity) {
  std::map<std::string, std::uint64_t> sizes;
  for (const auto& [name, bytes] : bytes_a_position_) {
    sizes[name] = saturating_product({bytes, static_cast<std::uint64_t>(capacity)});
  }
  session_.grow(sizes, fmt::format("room for {} positions of {} sequences", capacity, rows_));
  capacity_ = capacity;
}

Bindings StepState::dims() const {
  // Masks are over what a cache holds of a row: its context.
  return {{"tokens", rows_},        {"outputs", rows_},     {"rows", rows_},
          {"positions", capacity_}, {"context", capacity_}, {"places", capacity_ * rows_}};
}

}  // namespace heed
