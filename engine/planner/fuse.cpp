#include "planner/fuse.h"

#include <algorithm>

#include "ops/op.h"

namespace heed {

std::vector<ops::Fusion> fusion_passes() {
  std::vector<ops::Fusion> passes;
  for (const ops::Op* op : ops::all_ops()) passes.insert(passes.end(), op->fusions.begin(), op->fusions.end());
  std::ranges::stable_sort(passes, {}, &ops::Fusion::phase);
  return passes;
}

void fuse(Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning) {
  for (const ops::Fusion& pass : fusion_passes()) pass.run({graph, dims, caps, tuning});
}

}  // namespace heed
