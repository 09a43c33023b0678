#include "planner/make_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>
#include <optional>

#include "ops/op.h"
#include "plan/arena.h"
#include "plan/barriers.h"
#include "plan/lowering.h"
#include "planner/fuse.h"
#include "planner/infer.h"

namespace heed {
namespace {

/// Refuses before anything is uploaded what no device of that size holds.
void check_memory(const Plan& plan, const DeviceCaps& caps) {
  const std::uint64_t needed = plan.memory();
  // CPU drivers make up the size of their heap (2 GiB is usual) and give what the machine has.
  if (caps.memory == 0 || caps.type == DeviceType::Cpu || needed <= caps.memory) return;
  throw Error(fmt::format(
      "graph '{}' on {}: needs {:.1f} GiB of memory; the device has {:.1f} GiB; use a smaller model, "
      "context or size, or weights of a smaller type (heed convert --type q4_0)",
      plan.graph_name, caps.name, static_cast<double>(needed) / 0x1p30, static_cast<double>(caps.memory) / 0x1p30));
}

/// Limits and choices that a node is lowered for.
struct Target {
  DeviceCaps caps;
  Tuning tuning;
};

/// What to try one after the other where kernels are broken: as tuned, then without one ability or choice of these,
/// then without two, ...
std::vector<Target> targets(const DeviceCaps& caps, const Tuning& tuning) {
  const std::vector<std::function<void(Target&)>> plainer = {
      [](Target& t) { t.tuning.same_storage = t.tuning.key_shuffle = t.tuning.conv_shuffle = false; },
      [](Target& t) {
        t.tuning.set(&ProductTuning::lane_rows, false);
        t.tuning.set(&ProductTuning::pairs, false);
        t.tuning.query_lanes = false;
      },
      [](Target& t) { t.tuning.texel = t.tuning.same_storage = false; },
      [](Target& t) { t.caps.subgroup_arithmetic = t.caps.subgroup_shuffle = false; },
      [](Target& t) { t.tuning.sample_groups = t.tuning.one_pass_convs = 0; },
      [](Target& t) { t.tuning.query_tile = 0; },
      [](Target& t) {
        t.tuning.set(&ProductTuning::cooperative, false);
        t.tuning.set(&ProductTuning::dot_groups, 0u);
        t.tuning.conv_cooperative = t.tuning.cooperative_attention = false;
      },
      [](Target& t) {
        t.tuning.set(&ProductTuning::tile, 0u);
        t.tuning.conv_tile = 0;
      },
      // Kernels that bind more than every device allows have plainer ones beside them.
      [](Target& t) {
        t.caps.max_storage_buffers = std::min(t.caps.max_storage_buffers, DeviceCaps().max_storage_buffers);
      },
  };
  std::vector<std::uint32_t> choices(std::size_t{1} << plainer.size());
  std::iota(choices.begin(), choices.end(), 0u);
  std::ranges::stable_sort(choices, {}, [](std::uint32_t choice) { return std::popcount(choice); });
  std::vector<Target> result;
  for (const std::uint32_t choice : choices) {
    Target target{caps, tuning};
    for (std::size_t i = 0; i < plainer.size(); ++i) {
      if ((choice >> i & 1u) != 0) plainer[i](target);
    }
    result.push_back(std::move(target));
  }
  return result;
}

/// The first broken module among the dispatches from `begin` on.
std::optional<std::string> broken_from(std::size_t begin, const Plan& plan, const DeviceCaps& caps) {
  for (std::size_t i = begin; i < plan.dispatches.size(); ++i) {
    std::string key = plan.dispatches[i].module_key();
    if (caps.broken_modules.contains(key)) return key;
  }
  return std::nullopt;
}

/// Appends the dispatches of a node. Errors name it.
void lower(Lowering& lowering, const Node& node) {
  lowering.begin(node);
  try {
    ops::lower_within_limits(lowering, *ops::find_op(node.op));
  } catch (const Error& error) {
    const std::string prefix = fmt::format("{} '{}'", node.op, node.name);
    if (std::string_view(error.what()).starts_with(prefix)) throw;
    lowering.fail(error.what());
  }
}

/// Lowers a node with kernels that are not broken; the name of a broken module where there are none.
std::optional<std::string> lower_node(Lowering& lowering, const Node& node, const Plan& plan, const DeviceCaps& caps,
                                      const Tuning& tuning) {
  const std::size_t begin = plan.dispatches.size();
  if (caps.broken_modules.empty()) {
    lower(lowering, node);
    return std::nullopt;
  }
  const Lowering::Mark mark = lowering.mark();
  std::optional<std::string> first_broken;
  for (const Target& target : targets(caps, tuning)) {
    lowering.set_target(target.caps, target.tuning);
    try {
      lower(lowering, node);
    } catch (const Error&) {
      if (!first_broken) throw;  // as tuned
      lowering.rewind(mark);
      continue;
    }
    const std::optional<std::string> broken = broken_from(begin, plan, caps);
    if (!broken) {
      first_broken.reset();
      break;
    }
    if (!first_broken) first_broken = broken;
    lowering.rewind(mark);
  }
  lowering.set_target(caps, tuning);
  return first_broken;
}

/// Lets parts of larger tensors be written to where they lie in those.
void place_parts(Lowering& lowering, const Graph& graph, const std::vector<TensorType>& types) {
  for (const Node& node : graph.nodes) {
    const ops::Op& op = *ops::find_op(node.op);
    if (op.places == nullptr) continue;
    std::vector<const TensorType*> inputs;
    for (const ValueId id : node.inputs) {
      inputs.push_back(id == kNoValue ? nullptr : &types[static_cast<std::size_t>(id)]);
    }
    const std::vector<std::int64_t> places = op.places(node, inputs);
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      lowering.place_within(node.inputs[i], node.outputs[0], static_cast<std::uint64_t>(places[i]) * 4);
    }
  }
}

TracedPlan trace(const Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning, bool keep) {
  TracedPlan traced;
  traced.graph = fold(graph, dims);
  for (Node& node : traced.graph.nodes) {
    const bool multiplies = node.op == "linear" || node.op == "conv" || node.op == "attention";
    if (tuning.half_products && multiplies) node.attributes.set("halves", std::int64_t{1});
  }
  fuse(traced.graph, dims, caps, tuning);
  KnownValues known;
  const std::vector<TensorType> types = infer_all(traced.graph, dims, &known);

  Plan& plan = traced.plan;
  plan.graph_name = graph.name;
  plan.dims = dims;
  Lowering lowering(plan, traced.graph, types, known, caps, tuning);
  place_parts(lowering, traced.graph, types);
  for (const Node& node : traced.graph.nodes) {
    traced.first_dispatch.push_back(plan.dispatches.size());
    const std::optional<std::string> broken = lower_node(lowering, node, plan, caps, tuning);
    if (!broken) continue;
    if (tuning.any(&ProductTuning::pairs)) {
      Tuning apart = tuning;  // what was joined may run one after the other
      apart.set(&ProductTuning::pairs, false);
      return trace(graph, dims, caps, apart, keep);
    }
    throw NoKernelLeft(
        fmt::format("{} '{}' on {}: kernel {} gives wrong results there, and there is no other way to compute "
                    "this; update the driver, or see 'heed devices'",
                    node.op, node.name, caps.name, *broken));
  }
  traced.first_dispatch.push_back(plan.dispatches.size());
  lowering.place_outputs();
  for (std::size_t i = 0; i < traced.graph.values.size(); ++i) {
    traced.places.push_back(lowering.place_of(static_cast<ValueId>(i)));
  }
  place_in_arena(plan, caps, keep);
  check_memory(plan, caps);
  place_barriers(plan);
  return traced;
}

}  // namespace

Plan make_plan(const Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning) {
  return trace(graph, dims, caps, tuning, false).plan;
}

TracedPlan make_traced_plan(const Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning) {
  return trace(graph, dims, caps, tuning, true);
}

}  // namespace heed
