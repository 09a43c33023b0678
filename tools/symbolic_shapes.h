#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace heed::tools {

/// The shapes of all values of a graph, for people: named dimensions keep their names, and sizes made from them are
/// written as what they are, "[2*tokens + 1, 64]".
struct SymbolicShapes {
  std::vector<std::string> shapes;  // by ValueId: "f32 [tokens, 64]"; "?" for intermediates when inference failed
  std::string problem;              // why it failed; empty when it did not
};

/// Ops infer concrete shapes only, so this binds each dimension to a prime, infers, and finds the dimension again by
/// moving one prime at a time. Never throws for a graph that ModelFile accepts.
SymbolicShapes symbolic_shapes(const Graph& graph);

}  // namespace heed::tools
