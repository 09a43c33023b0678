// Whether verify finds the node that is wrong, and no other.
#include "runtime/verify.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>

#include "graph/convert_dtype.h"
#include "heed/error.h"
#include "planner/make_plan.h"
#include "reference/rounding.h"
#include "runtime/weights.h"
#include "tests/unit/runtime/test_device.h"

namespace heed {
namespace {

constexpr std::int64_t kWidth = 32;

std::vector<float> numbers(const std::string& name, std::size_t count) {
  Nudges random(std::hash<std::string>()(name));
  std::vector<float> result(count);
  for (float& number : result) number = static_cast<float>(random.next());
  return result;
}

/// Twelve layers: norm, product with a residual, activation.
struct Layers {
  Layers() {
    GraphBuilder g("layers");
    ValueId x = g.input("x", DType::F32, {3, kWidth});
    for (int i = 0; i < 12; ++i) {
      const std::string layer = "blk." + std::to_string(i);
      const ValueId normed =
          g.add("rms_norm", layer + ".norm", {x, weight(g, layer + ".norm.weight", {kWidth})}, {{"eps", 1e-5}});
      const ValueId y =
          g.add("linear", layer + ".product", {normed, weight(g, layer + ".product.weight", {kWidth, kWidth})});
      x = g.add("add", layer + ".residual", {x, g.add("gelu", layer + ".gelu", {y})});
    }
    g.output(x, "y");
    graph = std::move(g).finish();
  }
  ValueId weight(GraphBuilder& g, const std::string& name, const Shape& shape) {
    const std::vector<float> values = numbers(name, static_cast<std::size_t>(element_count(shape)));
    const std::span<const std::byte> bytes = std::as_bytes(std::span(values));
    weights.add(name, {DType::F32, shape}, {bytes.begin(), bytes.end()});
    return g.weight(name, DType::F32, SymbolicShape(shape.begin(), shape.end()));
  }
  std::vector<NodeCheck> verify(Gpu& gpu, const VerifyOptions& options = {}) const {
    WeightStore store(gpu, weights);
    Session session(gpu, store);
    const std::vector<float> x = numbers("x", 3 * kWidth);
    std::map<std::string, HostTensor> tensors = {{"x", {{DType::F32, {3, kWidth}}, {x.begin(), x.end()}}}};
    const WeightLookup lookup = [&](const std::string& name, std::size_t count) {
      return decode_weight(weights, name, count);
    };
    return verify_graph(gpu, session, graph, {}, lookup, tensors, options);
  }

  Graph graph;
  MemoryWeights weights;
};

std::vector<NodeCheck> failures(const std::vector<NodeCheck>& checks) {
  std::vector<NodeCheck> failed;
  std::ranges::copy_if(checks, std::back_inserter(failed), [](const NodeCheck& check) { return !check.passed; });
  return failed;
}

}  // namespace

TEST_CASE("verify: a sound model agrees at every value that the plan makes") {
  const auto device = test_device();
  if (!device) return;
  const Layers layers;
  const std::vector<NodeCheck> checks = layers.verify(device->gpu());
  CHECK(checks.size() >= 24);
  for (const NodeCheck& check : checks) {
    INFO(check.node);
    CHECK(check.passed);
    CHECK(check.error < 0.5);  // room for other drivers
    CHECK(!check.kernels.empty());
  }
}

TEST_CASE("verify: of twelve layers the one with a fault is named, and no other") {
  const auto device = test_device();
  if (!device) return;
  const Layers layers;
  const auto planted = [&](const std::string& node, const std::function<void(Dispatch&)>& fault) {
    VerifyOptions options;
    options.edit = [&](TracedPlan& traced) {
      int edited = 0;
      for (Dispatch& dispatch : traced.plan.dispatches) {
        if (dispatch.label != node) continue;
        fault(dispatch);
        ++edited;
      }
      REQUIRE(edited == 1);
    };
    return failures(layers.verify(device->gpu(), options));
  };
  SUBCASE("an epsilon that is too large") {
    const std::vector<NodeCheck> failed = planted("blk.7.norm", [](Dispatch& dispatch) {
      for (std::uint32_t& word : dispatch.push_constants) {
        if (word == std::bit_cast<std::uint32_t>(1e-5f)) word = std::bit_cast<std::uint32_t>(1e-3f);
      }
    });
    REQUIRE(failed.size() == 1);
    CHECK(failed[0].node == "blk.7.norm");
    CHECK(failed[0].error > 1.0);
    CHECK(failed[0].inputs.front().ends_with("f32 [3, 32]"));
  }
  SUBCASE("work that is left out") {
    const std::vector<NodeCheck> failed = planted("blk.7.residual", [](Dispatch& dispatch) {
      dispatch.groups = {0, 1, 1};
    });
    REQUIRE(!failed.empty());
    CHECK(failed[0].node == "blk.7.residual");
    CHECK(std::isnan(failed[0].actual));
    // What comes after it computes rightly with what it gets.
    for (const NodeCheck& check : failed) CHECK(check.node.starts_with("blk.7."));
  }
}

TEST_CASE("verify: states are compared too, and given back as the device left them") {
  const auto device = test_device();
  if (!device) return;
  Gpu& gpu = device->gpu();
  GraphBuilder g("attention");
  const auto rows = [&](const std::string& name) { return g.input(name, DType::F32, {2, 8}); };
  const ValueId q = rows("q"), k = rows("k"), v = rows("v");
  const ValueId cache_k = g.state("cache k", DType::F32, {6, 8}), cache_v = g.state("cache v", DType::F32, {6, 8});
  g.output(g.add("attention", "attend", {q, k, v, kNoValue, cache_k, cache_v, g.state("position", DType::I32, {1})},
                 {{"heads", std::int64_t{2}}, {"causal", std::int64_t{1}}}),
           "y");
  const Graph graph = std::move(g).finish();
  const auto verify = [&](const VerifyOptions& options, std::map<std::string, HostTensor>& tensors) {
    for (const auto& [name, size] : {std::pair{"q", 16}, std::pair{"k", 16}, std::pair{"v", 16},
                                     std::pair{"cache k", 48}, std::pair{"cache v", 48}}) {
      const std::vector<float> values = numbers(name, static_cast<std::size_t>(size));
      tensors[name].data.assign(values.begin(), values.end());
    }
    tensors["position"].data = {3};
    MemoryWeights none;
    WeightStore store(gpu, none);
    Session session(gpu, store);
    return verify_graph(gpu, session, graph, {}, nullptr, tensors, options);
  };
  std::map<std::string, HostTensor> tensors;
  const std::vector<NodeCheck> checks = verify({}, tensors);
  CHECK(failures(checks).empty());
  CHECK(std::ranges::count(checks, "cache k", &NodeCheck::value) == 1);
  CHECK(tensors.at("cache k").data[3 * 8] == tensors.at("k").data[0]);
  CHECK(tensors.at("cache k").data[5 * 8] == doctest::Approx(static_cast<double>(numbers("cache k", 48)[40])));

  VerifyOptions options;  // nothing enters the caches, and nobody attends to anything
  options.edit = [](TracedPlan& traced) {
    for (Dispatch& dispatch : traced.plan.dispatches) dispatch.groups = {0, 1, 1};
  };
  std::map<std::string, HostTensor> untouched;
  const std::vector<NodeCheck> failed = failures(verify(options, untouched));
  CHECK(std::ranges::count(failed, "cache k", &NodeCheck::value) == 1);
  CHECK(std::ranges::count(failed, "cache v", &NodeCheck::value) == 1);
}

TEST_CASE("verify: a node that made an index which names no place is told from the one that looks it up") {
  const auto device = test_device();
  if (!device) return;
  GraphBuilder g("look up");
  const ValueId i = g.add("add", "sum", {g.input("a", DType::I32, {3}), g.input("b", DType::I32, {3})});
  g.output(g.add("gather", "gather", {g.input("x", DType::F32, {5, 3}), i}), "y");
  const Graph graph = std::move(g).finish();
  const auto verify = [&](const std::vector<double>& a, const VerifyOptions& options) {
    MemoryWeights none;
    WeightStore store(device->gpu(), none);
    Session session(device->gpu(), store);
    std::map<std::string, HostTensor> tensors;
    tensors["a"].data = a;
    tensors["b"].data = {0, 1, 2};
    tensors["x"].data.assign(15, 0.5);
    return verify_graph(device->gpu(), session, graph, {}, nullptr, tensors, options);
  };
  CHECK(failures(verify({1, 1, 1}, {})).empty());
  CHECK_THROWS_WITH_AS(verify({1, 1, 9}, {}), doctest::Contains("'gather': index 11"), Error);
  VerifyOptions options;
  options.edit = [](TracedPlan& traced) { traced.plan.dispatches.at(0).groups = {0, 1, 1}; };
  const std::vector<NodeCheck> failed = failures(verify({1, 1, 1}, options));
  REQUIRE(!failed.empty());
  CHECK(failed[0].node == "sum");
}

TEST_CASE("verify: a state is checked against the node that changes it, not one that reads it later") {
  const auto device = test_device();
  if (!device) return;
  GraphBuilder g("attention and a reader");
  const auto rows = [&](const std::string& name) { return g.input(name, DType::F32, {1, 8}); };
  const ValueId q = rows("q"), k = rows("k"), v = rows("v");
  const ValueId cache_k = g.state("cache k", DType::F32, {6, 8}), cache_v = g.state("cache v", DType::F32, {6, 8});
  g.output(g.add("attention", "attend", {q, k, v, kNoValue, cache_k, cache_v, g.state("position", DType::I32, {1})},
                 {{"heads", std::int64_t{2}}, {"causal", std::int64_t{1}}}),
           "y");
  g.output(g.add("relu", "reader", {cache_k}), "z");
  const Graph graph = std::move(g).finish();
  const auto verify = [&](const VerifyOptions& options) {
    std::map<std::string, HostTensor> tensors;
    for (const auto& [name, size] : {std::pair{"q", 8}, std::pair{"k", 8}, std::pair{"v", 8}, std::pair{"cache k", 48},
                                     std::pair{"cache v", 48}}) {
      const std::vector<float> values = numbers(name, static_cast<std::size_t>(size));
      tensors[name].data.assign(values.begin(), values.end());
    }
    tensors["position"].data = {3};
    MemoryWeights none;
    WeightStore store(device->gpu(), none);
    Session session(device->gpu(), store);
    return verify_graph(device->gpu(), session, graph, {}, nullptr, tensors, options);
  };
  const std::vector<NodeCheck> checks = verify({});
  CHECK(failures(checks).empty());
  const auto cache = std::ranges::find(checks, "cache k", &NodeCheck::value);
  REQUIRE(cache != checks.end());
  CHECK(cache->node == "attend");
  const auto position = std::ranges::find(checks, "position", &NodeCheck::value);
  REQUIRE(position != checks.end());  // nobody changes it, and that is checked too
}

}  // namespace heed
