#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "tools/convert/onnx_proto.h"

namespace heed::convert {

/// Looks whether the sizes of a graph that was imported fit each other. Throws Error, naming the node, where its inputs
/// have no named dimension and sizes do not fit. Of inputs with one, gives a line for people where no size that is
/// tried fits. Gives one for each output whose shape is not what the file says, at no size either. Graphs whose sizes
/// depend on the values of inputs, or with several named dimensions, are not looked at.
std::vector<std::string> check_sizes(const Graph& graph, const onnx::GraphProto& file);

}  // namespace heed::convert
