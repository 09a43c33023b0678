#pragma once

#include <set>
#include <string>

#include "file/model_file.h"
#include "graph/graph.h"

namespace heed {

/// The graph of this name, or the model's main one. Throws Error saying which there are.
const Graph& choose_graph(const ModelFile& file, std::string_view name);

/// The named dimensions whose sizes a graph's run can depend on.
std::set<std::string, std::less<>> dims_of(const Graph& graph);

/// Adds `size` for dimension `name` to `dims`. Throws Error, beginning with `where`, for a size that makes no sense, a
/// dimension that the graph does not have, and one that has another size already.
void give_dim(const Graph& graph, Bindings& dims, const std::string& name, std::int64_t size, const std::string& where);

/// Adds the two sizes that can be guessed (engine/file/format.md: outputs as tokens, context as the metadata have it).
/// Throws Error naming the first dimension that is left, with `advice` on how to give it a size: a format of its name.
void complete_dims(const ModelFile& file, const Graph& graph, Bindings& dims, std::string_view advice);

}  // namespace heed
