#pragma once

#include <vector>

#include "graph/graph.h"
#include "graph/host_tensor.h"

namespace heed {

/// Concrete types of all values of a validated graph for bound dimensions, indexed by ValueId, and with `known` the
/// values that are known. Throws Error naming the node where sizes do not fit, or where a node needs to know a value
/// that only a run would give.
std::vector<TensorType> infer_all(const Graph& graph, const Bindings& dims, KnownValues* known = nullptr);

}  // namespace heed
