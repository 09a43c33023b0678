#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "tools/convert/onnx_proto.h"

namespace heed::convert {

/// Looks whether the sizes of a graph that was imported fit each other. Throws Error, naming the node, where its inputs
/// have no named dimension and sizes do not fit. Gives a line for people where none of some sizes of the only named
/// dimension fit, and for each output whose shape is not what the file says.
std::vector<std::string> check_sizes(const Graph& graph, const onnx::GraphProto& file);

}  // namespace heed::convert
