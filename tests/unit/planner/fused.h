#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "planner/fuse.h"
#include "tests/unit/planner/run_graph.h"

namespace heed {

inline std::size_t count_ops(const Graph& graph, std::string_view op) {
  return static_cast<std::size_t>(
      std::count_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.op == op; }));
}

/// Whether every intermediate that a node reads or that is an output has been made before, once.
inline bool well_formed(const Graph& graph) {
  std::set<ValueId> known;
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    if (graph.values[i].kind != ValueKind::Intermediate) known.insert(static_cast<ValueId>(i));
  }
  for (const Node& node : graph.nodes) {
    for (const ValueId id : node.inputs) {
      if (id != kNoValue && !known.contains(id)) return false;
    }
    for (const ValueId id : node.outputs) {
      if (id != kNoValue && !known.insert(id).second) return false;
    }
  }
  return std::all_of(graph.outputs.begin(), graph.outputs.end(), [&](ValueId id) { return known.contains(id); });
}

/// What fuse() makes of a graph; checked to be well formed and to compute the same.
inline Graph fused(const Graph& graph, const Bindings& dims = {}, double position = 0, const DeviceCaps& caps = {},
                   const Tuning& tuning = {}) {
  Graph result = graph;
  fuse(result, dims, caps, tuning);
  REQUIRE(well_formed(result));
  const auto before = run_graph(graph, dims, position);
  const auto after = run_graph(result, dims, position);
  CHECK(difference(before, after) < 1e-12);
  return result;
}

}  // namespace heed
