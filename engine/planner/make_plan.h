#pragma once

#include <vector>

#include "graph/graph.h"
#include "heed/error.h"
#include "plan/plan.h"

namespace heed {

/// Every way to compute a node on a device needs a kernel that gives wrong results there (DeviceCaps::broken_modules).
class NoKernelLeft : public Error {
 public:
  using Error::Error;
};

/// Binds, fuses, lowers, places and checks. Throws Error naming node and limit when the graph cannot run on the device,
/// NoKernelLeft where kernels that are off are the reason. The graph is validated already; its weights carry dtype and
/// shape.
Plan make_plan(const Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning);

/// A plan with what it was made from, for those who look into it (runtime/verify.h). The kernels are those of
/// make_plan(), but no two intermediates share memory, so that all can be read after a run.
struct TracedPlan {
  Graph graph;  // as fusion left it
  Plan plan;
  std::vector<ValuePlace> places;           // by ValueId, of all but weights
  std::vector<std::size_t> first_dispatch;  // by node; the last entry is the number of dispatches
};
TracedPlan make_traced_plan(const Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning);

}  // namespace heed
