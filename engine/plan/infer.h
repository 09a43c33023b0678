#pragma once

#include <vector>

#include "graph/graph.h"

namespace heed {

/// Concrete types of all values of a validated graph for bound dimensions, indexed by ValueId. Throws Error naming the
/// node where sizes do not fit.
std::vector<TensorType> infer_all(const Graph& graph, const Bindings& dims);

}  // namespace heed
