#pragma once

#include <map>
#include <string>

#include "graph/graph.h"

namespace heed {

/// Sets a named dimension. Throws Error, naming `where`, when it has another size already.
void bind_dim(Bindings& dims, const std::string& name, std::int64_t size, const std::string& where);

/// The sizes of named dimensions that follow from the shapes of a graph's inputs, by name. Throws Error when a shape is
/// missing, does not fit its input, or contradicts another.
Bindings bind_inputs(const Graph& graph, const std::map<std::string, Shape>& shapes);

}  // namespace heed
