#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "file/model_file.h"
#include "graph/graph.h"

namespace heed::tools {

/// Splits "NAME=VALUE" at the last "=": names may hold one, and files that do can be called by another path. Throws
/// Error naming the option where there is none.
std::pair<std::string, std::string> split_assignment(const std::string& text, const char* option, const char* form);

/// The graph of this name, or the model's main one. Throws Error saying which there are.
const Graph& choose_graph(const ModelFile& file, const std::string& name);

/// The named dimensions whose sizes a graph's run can depend on.
std::set<std::string, std::less<>> dims_of(const Graph& graph);

/// Sizes of all named dimensions: those in `dims`, what --bind DIM=N says, and two that can be guessed
/// (engine/file/format.md: outputs as tokens, context as the metadata have it). Throws Error naming the first dimension
/// that is left.
Bindings bind_dims(const ModelFile& file, const Graph& graph, const std::vector<std::string>& binds, Bindings dims);

}  // namespace heed::tools
