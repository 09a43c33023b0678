#include "runtime/graph_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "graph/bind.h"
#include "heed/error.h"

namespace heed {

std::set<std::string, std::less<>> dims_of(const Graph& graph) {
  std::set<std::string, std::less<>> names;
  for (const Value& value : graph.values) {
    if (value.kind == ValueKind::Intermediate) continue;
    for (const Dim& dim : value.shape) {
      if (!dim.name.empty()) names.insert(dim.name);
    }
  }
  for (const Node& node : graph.nodes) {
    for (const auto& [key, attribute] : node.attributes) {
      // Ops that keep some rows name the dimension that says how many.
      if (const auto* text = std::get_if<std::string>(&attribute); text != nullptr && key == "rows")
        names.insert(*text);
    }
    if (node.op == "rotary") names.insert("context");
  }
  return names;
}

const Graph& choose_graph(const ModelFile& file, std::string_view name) {
  if (!name.empty()) return file.graph(name);
  const auto named = file.metadata().find("graph");
  if (named != file.metadata().end() && named->is_string()) return file.graph(named->get<std::string>());
  if (file.header().graphs.size() == 1) return file.header().graphs.front();
  return file.graph("");  // says which there are
}

void give_dim(const Graph& graph, Bindings& dims, const std::string& name, std::int64_t size,
              const std::string& where) {
  if (size < 0 || size > kMaxElements) throw Error(fmt::format("{}: '{}' is no size", where, size));
  const std::set<std::string, std::less<>> known = dims_of(graph);
  if (!known.contains(name)) {
    throw Error(fmt::format("{}: graph '{}' has no dimension '{}'; {}", where, graph.name, name,
                            known.empty() ? "none has a name" : fmt::format("there are {}", fmt::join(known, ", "))));
  }
  bind_dim(dims, name, size, where);
}

void complete_dims(const ModelFile& file, const Graph& graph, Bindings& dims, std::string_view advice) {
  if (dims.contains("tokens")) dims.try_emplace("outputs", dims.find("tokens")->second);
  const auto context = file.metadata().find("context");
  if (context != file.metadata().end() && context->is_number_integer()) {
    dims.try_emplace("context", context->get<std::int64_t>());
  }
  for (const Value& value : graph.values) {
    if (value.kind == ValueKind::Intermediate) continue;
    for (const Dim& dim : value.shape) {
      if (!dim.name.empty() && !dims.contains(dim.name)) {
        throw Error(fmt::format("dimension '{}' of '{}' follows from no input; {}", dim.name, value.name,
                                fmt::format(fmt::runtime(advice), dim.name)));
      }
    }
  }
}

}  // namespace heed
