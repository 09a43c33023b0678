// Products with chosen experts: what joins them, what they read, and what limits make of their stacks.
#include <fmt/format.h>

#include "heed/error.h"
#include "planner/make_plan.h"
#include "tests/unit/planner/fused.h"

namespace heed {
namespace {

constexpr std::int64_t kExperts = 6;
constexpr std::int64_t kChosen = 2;
constexpr std::int64_t kWidth = 64;
constexpr std::int64_t kHidden = 70;

/// A norm and a mixture of experts, as models/decoder.cpp writes them; `routed`: a router says who does what, else an
/// input.
Graph mixture(std::int64_t rows, bool routed = true) {
  GraphBuilder b("mixture");
  const ValueId in = b.input("x", DType::F32, {rows, kWidth});
  const ValueId x = b.add("rms_norm", "norm", {in, b.weight("norm.weight", DType::F32, {kWidth})}, {{"eps", 1e-5}});
  std::vector<ValueId> choice;
  if (routed) {
    const ValueId logits = b.add("linear", "router", {x, b.weight("router.weight", DType::F32, {kExperts, kWidth})});
    choice = b.add_many("route", "route", {logits}, {{"chosen", kChosen}}, 2);
  } else {
    choice = {b.input("ids", DType::I32, {rows, kChosen}), b.input("weights", DType::F32, {rows, kChosen})};
  }
  const auto product = [&](const char* name, ValueId from, std::int64_t n, std::int64_t columns) {
    return b.add("expert_linear", name,
                 {from, b.weight(std::string(name) + ".weight", DType::F32, {kExperts, n, columns}), choice[0]});
  };
  const ValueId gate = product("gate", x, kHidden, kWidth);
  const ValueId h = b.add("gate", "gated", {gate, product("up", x, kHidden, kWidth)}, {{"activation", "silu"}});
  b.output(b.add("expert_sum", "sum", {product("down", h, kWidth, kHidden), choice[1], in}), "y");
  return std::move(b).finish();
}

std::uint64_t expert_bytes(const Plan& plan) {
  std::uint64_t sum = 0;
  for (const Dispatch& d : plan.dispatches) {
    if (d.shader.starts_with("linear") && d.label != "router") sum += d.bytes;
  }
  return sum;
}

std::size_t count_shaders(const Plan& plan, std::string_view shader) {
  return static_cast<std::size_t>(std::ranges::count(plan.dispatches, shader, &Dispatch::shader));
}

}  // namespace

TEST_CASE("gates and ups of experts become one product, and so does the norm of a single row") {
  for (const std::int64_t rows : {1, 3}) {
    CAPTURE(rows);
    const Graph graph = fused(mixture(rows));
    CHECK(count_ops(graph, "expert_linear") == 2);
    CHECK(count_ops(graph, "gate") == 0);
    CHECK(count_ops(graph, "rms_norm") == (rows == 1 ? 0 : 1));
    for (const Node& node : graph.nodes) {
      if (!node.attributes.has("gate")) continue;
      CHECK(graph.value(node.inputs[1]).parts == std::vector<std::string>{"gate.weight", "up.weight"});
      CHECK(graph.value(node.inputs[1]).shape == SymbolicShape{2 * kExperts, kHidden, kWidth});
    }
  }
  DeviceCaps small;
  small.max_storage_buffer_range = 2 * kExperts * kHidden * kWidth * 4 - 1;
  CHECK(count_ops(fused(mixture(1), {}, 0, small), "gate") == 1);
}

TEST_CASE("a token reads the experts that it chose, a prompt each expert once") {
  constexpr std::uint64_t kOne = 4 * (2 * kHidden * kWidth + kWidth * ((kHidden + 3) / 4 * 4));  // rows of whole words
  CHECK(expert_bytes(make_plan(mixture(1), {}, {}, {})) == kChosen * kOne);
  CHECK(expert_bytes(make_plan(mixture(2), {}, {}, {})) == 2 * kChosen * kOne);
  const Plan prompt = make_plan(mixture(64), {}, {}, {});
  CHECK(expert_bytes(prompt) == kExperts * kOne);
  CHECK(count_shaders(prompt, "expert_tiles") == 2);
  CHECK(count_shaders(prompt, "linear_matrix") == 3);
}

TEST_CASE("who does what is checked where no router said it") {
  CHECK(count_shaders(make_plan(mixture(1), {}, {}, {}), "check_indices") == 0);
  const Plan plan = make_plan(mixture(1, false), {}, {}, {});
  CHECK(count_shaders(plan, "check_indices") == 1);
  REQUIRE(plan.index_checks.size() == 1);
  CHECK(plan.index_checks[0].message(1, 6) == "expert_linear 'gated': expert 6 (element 1) is outside 0 to 5");
}

TEST_CASE("a stack larger than a binding is cut, between and within experts") {
  for (const std::int64_t rows : {1, 20}) {
    DeviceCaps caps;
    caps.max_storage_buffer_range = 20000;
    const Plan plan = make_plan(mixture(rows), {}, caps, {});
    std::map<std::string, std::int64_t> next;
    std::size_t pieces = 0;
    for (const DeviceWeight& weight : plan.weights) {
      if (weight.layout != WeightLayout::Matrix || weight.parts[0] == "router.weight") continue;
      CHECK(weight.bytes <= caps.max_storage_buffer_range);
      CHECK(weight.row_begin == next[weight.parts[0]]);
      next[weight.parts[0]] += weight.row_count;
      ++pieces;
    }
    CHECK(next["gate.weight"] == kExperts * kHidden);
    CHECK(next["up.weight"] == kExperts * kHidden);
    CHECK(next["down.weight"] == kExperts * kWidth);
    CHECK(pieces > 3 * kExperts);
  }
  DeviceCaps tiny;
  tiny.max_storage_buffer_range = 8000;
  std::string message;
  try {
    make_plan(mixture(1), {}, tiny, {});
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(message.find("32 rows of 64 elements (f32) need 8192 bytes") != std::string::npos);
}

}  // namespace heed
