#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "plan/device_caps.h"

namespace heed::ops {

/// When a fusion pass runs: passes of one phase see what all earlier phases left. Within a phase they run in the order
/// of the files of their ops, those of one op in the order in which it lists them.
enum class FusionPhase : std::uint8_t {
  Products,   // products that read the same x become one, with what is made of them
  Inputs,     // what prepares the inputs of a node goes into the node
  Norms,      // a norm goes into the products that read it
  Blocks,     // three nodes and more, one after the other, become one dispatch
  Pairs,      // two of those that are left
  Epilogues,  // an activation goes into what comes before it; after the others, which join products that have none
  Functions,  // of what is left, functions of functions
};

/// What a pass works on: a validated graph, planned for these sizes on this device.
struct FusionContext {
  Graph& graph;
  const Bindings& dims;
  const DeviceCaps& caps;
  const Tuning& tuning;

  /// Types of all values of the graph as it is now, by ValueId.
  std::vector<TensorType> types() const;
};

/// A pass of an op (Op::fusions). It leaves a graph that computes the same, states included: it moves no node past
/// another that changes what it reads (can_move in ops/rewrite.h).
struct Fusion {
  FusionPhase phase;
  std::string_view name;
  void (*run)(const FusionContext&);
};

}  // namespace heed::ops
