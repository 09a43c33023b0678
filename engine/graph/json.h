#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>

#include "graph/graph.h"

namespace heed {

/// What a stored graph may hold; far above real models, and low enough that a hostile file costs little.
inline constexpr std::size_t kMaxGraphValues = std::size_t{1} << 18;
inline constexpr std::size_t kMaxGraphNodes = std::size_t{1} << 18;
inline constexpr std::size_t kMaxNodePorts = 4096;        // inputs, and outputs, of one node
inline constexpr std::size_t kMaxNameBytes = 1024;        // names of graphs, values, nodes, ops, tensors
inline constexpr std::size_t kMaxAttributes = 256;        // of one node
inline constexpr std::size_t kMaxAttributeBytes = 65536;  // of a text
inline constexpr std::size_t kMaxAttributeItems = 65536;  // of a list

/// The graph as it stands in the header of a .heed file; engine/file/format.md describes the form. Throws Error for a
/// weight that a fusion made at plan time (Value::parts), which has no form in files.
nlohmann::json graph_to_json(const Graph& graph);
/// The inverse. Throws Error for anything that is not such a form: wrong types, missing and unknown keys, names, sizes,
/// counts or ids out of range. Does not call validate(). `json` must come from parse_json, which bounds its depth.
Graph graph_from_json(const nlohmann::json& json);

}  // namespace heed
