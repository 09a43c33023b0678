#pragma once

#include <vector>

#include "graph/graph.h"
#include "ops/fusion.h"

namespace heed {

/// The fusion passes of all ops, in the order in which they run.
std::vector<ops::Fusion> fusion_passes();

/// Runs them on a validated graph, which then computes the same, states included.
void fuse(Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning);

}  // namespace heed
