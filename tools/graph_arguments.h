#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "file/model_file.h"
#include "graph/graph.h"
#include "runtime/graph_choice.h"

namespace heed::tools {

/// Splits "NAME=VALUE" at the last "=": names may hold one, and files that do can be called by another path. Throws
/// Error naming the option where there is none.
std::pair<std::string, std::string> split_assignment(const std::string& text, const char* option, const char* form);

/// Throws Error, which begins with `where`, for an element that the type does not have (integer_range).
void check_range(const std::string& where, DType type, const std::vector<std::int32_t>& elements);

/// Sizes of all named dimensions: those in `dims`, what --bind DIM=N says, and two that can be guessed
/// (engine/file/format.md: outputs as tokens, context as the metadata have it). Throws Error naming the first dimension
/// that is left.
Bindings bind_dims(const ModelFile& file, const Graph& graph, const std::vector<std::string>& binds, Bindings dims);

}  // namespace heed::tools
