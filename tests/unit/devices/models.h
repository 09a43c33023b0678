#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace heed::testing {

/// A graph, and sizes to bind it to.
struct Model {
  std::string name;
  Graph graph;
  Bindings dims;
  bool large = false;  // takes time to plan
};

/// The shipped models, tiny ones of each kind that translates or makes sound, and Llama in the sizes of stories15M,
/// TinyLlama and Llama 2 7B, whose weights are described only.
std::vector<Model> all_models();

/// A decode graph that chooses the next token on the device, as the loop that writes text does.
Graph with_sampling(const Graph& decode, std::int64_t context, bool greedy = false);

}  // namespace heed::testing
