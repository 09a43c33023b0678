#pragma once

#include <string>

#include "graph/graph.h"
#include "heed/cache_type.h"
#include "plan/device_caps.h"

namespace heed {

/// The graph with those of its states that are caches of attention as f16, where `wanted`, or by Auto the device, says
/// so; else as it is. Caches whose heads are no multiple of four elements wide stay as they are, since kernels read f16
/// in whole words (ops/attention.h), and so do states that something else reads too. All graphs that share a session
/// must be made by the same choice.
Graph with_cache_type(Graph graph, CacheType wanted, const DeviceCaps& caps);

/// The graph with those of its caches by head (attribute by_head of op attention) that nothing but attention reads,
/// dividing them into the same heads: a head's keys lie side by side in memory. Their rows must stay at their places
/// when a cache grows: it has a multiple of kKeyBlock rows (ops/attention.h) for as long as it is not at its largest,
/// and with a table always.
Graph with_caches_by_head(Graph graph);

/// F16 where any state of the graph is f16, else F32: never Auto.
CacheType cache_type_of(const Graph& graph);

/// What to add to a message on broken numbers: with F16 that a number may have been too large for it.
std::string cache_advice(CacheType type);

}  // namespace heed
