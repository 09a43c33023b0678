#pragma once

#include <map>
#include <vector>

#include "graph/graph.h"
#include "graph/host_tensor.h"
#include "ops/infer_all.h"  // goes with it for all who plan

namespace heed {

/// Takes out nodes whose outputs are known or that nothing needs. Known values that are still read are made by nodes
/// `constant`.
Graph fold(const Graph& graph, const Bindings& dims);

/// The inputs of a graph whose values must be known to plan it, since sizes depend on them; fix_inputs() makes them so.
std::vector<ValueId> inputs_to_fix(const Graph& graph);
/// A graph in which inputs are constants of these values (by name); they are no longer inputs.
Graph fix_inputs(const Graph& graph, const std::map<std::string, HostTensor>& values);

}  // namespace heed
