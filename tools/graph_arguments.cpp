#include "tools/graph_arguments.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <set>

#include "graph/bind.h"
#include "heed/error.h"

namespace heed::tools {
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

std::pair<std::string, std::string> split_assignment(const std::string& text, const char* option, const char* form) {
  const std::size_t at = text.rfind('=');
  if (at == std::string::npos || at == 0 || at + 1 == text.size()) {
    throw Error(fmt::format("{} '{}': expected {}", option, text, form));
  }
  return {text.substr(0, at), text.substr(at + 1)};
}

const Graph& choose_graph(const ModelFile& file, const std::string& name) {
  if (!name.empty()) return file.graph(name);
  const auto named = file.metadata().find("graph");
  if (named != file.metadata().end() && named->is_string()) return file.graph(named->get<std::string>());
  if (file.header().graphs.size() == 1) return file.header().graphs.front();
  return file.graph("");  // says which there are
}

Bindings bind_dims(const ModelFile& file, const Graph& graph, const std::vector<std::string>& binds, Bindings dims) {
  const std::set<std::string, std::less<>> known = dims_of(graph);
  for (const std::string& text : binds) {
    const auto [name, value] = split_assignment(text, "--bind", "DIM=N, such as outputs=1");
    std::int64_t size = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), size);
    if (error != std::errc() || end != value.data() + value.size() || size < 0 || size > kMaxElements) {
      throw Error(fmt::format("--bind '{}': '{}' is no size", text, value));
    }
    if (!known.contains(name)) {
      throw Error(fmt::format("--bind '{}': graph '{}' has no dimension '{}'; {}", text, graph.name, name,
                              known.empty() ? "none has a name" : fmt::format("there are {}", fmt::join(known, ", "))));
    }
    bind_dim(dims, name, size, "--bind");
  }
  if (dims.contains("tokens")) dims.try_emplace("outputs", dims.find("tokens")->second);
  const auto context = file.metadata().find("context");
  if (context != file.metadata().end() && context->is_number_integer()) {
    dims.try_emplace("context", context->get<std::int64_t>());
  }
  for (const Value& value : graph.values) {
    if (value.kind == ValueKind::Intermediate) continue;
    for (const Dim& dim : value.shape) {
      if (!dim.name.empty() && !dims.contains(dim.name)) {
        throw Error(fmt::format("dimension '{}' of '{}' follows from no input; give --bind {}=N", dim.name, value.name,
                                dim.name));
      }
    }
  }
  return dims;
}

}  // namespace heed::tools
