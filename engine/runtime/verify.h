#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "planner/make_plan.h"
#include "reference/evaluate.h"
#include "runtime/session.h"

namespace heed {

/// One value as a device made it, against the double-precision reference of the node that makes it.
struct NodeCheck {
  std::string node;
  std::string op;
  std::string value;  // the output or state
  TensorType type;
  std::vector<std::string> inputs;   // "NAME f32 [1, 64]"
  std::vector<std::string> kernels;  // shader modules that the node runs
  std::size_t worst_element = 0;
  double expected = 0.0;
  double actual = 0.0;
  double error = 0.0;  // of the worst element, in units of what is allowed; infinity where one is no number
  bool passed = true;
};

/// What verify_graph() looks at, and changes on purpose where a test wants a fault.
struct VerifyOptions {
  /// So many times what rounding explains is allowed.
  double slack = 1.0;
  std::function<void(std::size_t done, std::size_t nodes)> progress;
  std::function<void(TracedPlan& traced)> edit;  // before the plan is compiled, for tests that plant faults
};

/// Runs a graph once on the device, through the kernels that make_plan() chooses there, and once on the CPU in double,
/// node by node: every node of the reference gets what the device computed for its inputs, so that a wrong node is told
/// from those that come after it. What is allowed follows from rounding: the reference of a node is run again with its
/// operands and results nudged (reference/rounding.h), and the device may stray 16 times as far. Values that the plan
/// does not make (known at plan time, or inside a fused node) are not compared.
///
/// `tensors` holds inputs and states by name, and receives the states as the device left them. Returns a check for each
/// value, in the order of the graph, states last. Throws Error where planning, the device or the reference do.
std::vector<NodeCheck> verify_graph(Gpu& gpu, Session& session, const Graph& graph, const Bindings& dims,
                                    const WeightLookup& weights, std::map<std::string, HostTensor>& tensors,
                                    const VerifyOptions& options = {});

/// All elements of a tensor of the source, decoded.
std::vector<double> decode_weight(const WeightBytes& source, const std::string& tensor, std::size_t elements);

}  // namespace heed
