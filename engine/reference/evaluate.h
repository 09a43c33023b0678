#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "ops/op.h"

namespace heed {

/// Gives all elements of a tensor of the file, decoded; `elements` is how many there must be.
using WeightLookup = std::function<std::vector<double>(const std::string& tensor, std::size_t elements)>;

/// Called after each node, in the order of the graph, for those who look for the first node that goes wrong: with the
/// node, its inputs (weights decoded, states as the node left them) and its outputs. What it makes of the outputs is
/// what later nodes see.
using NodeObserver = std::function<void(const ops::ReferenceContext& context)>;

/// Runs a graph on the CPU in double, each node through its op's reference, and returns its outputs by name. Graphs
/// that fusion has changed run too: a weight with Value::parts is the rows of its parts, one below the other.
///
/// `tensors` holds every input and state of the graph by name; states are updated in place. Their data has the bound
/// number of elements; dtype and shape are set here. Intermediates are freed after their last use and weights after
/// each node, so it needs the memory of the largest node more than that of the model.
///
/// The graph is validated. Throws Error naming the graph and the tensor when an input or state is missing or has
/// another number of elements, and for sizes that do not fit (infer_all).
std::map<std::string, HostTensor> evaluate(const Graph& graph, const Bindings& dims, const WeightLookup& weights,
                                           std::map<std::string, HostTensor>& tensors,
                                           const NodeObserver& observer = nullptr);

}  // namespace heed
