// Weights of one layer in several types, as files of quantised models mix them.
#include <algorithm>
#include <map>

#include "planner/make_plan.h"
#include "tests/unit/planner/fused.h"

namespace heed {
namespace {

/// Products of one normalised row: q, k and v for attention, or the two of a gate.
Graph layer(DType q, DType k, DType v, DType a, DType b, std::int64_t rows) {
  GraphBuilder g("layer");
  const ValueId x = g.input("x", DType::F32, {rows, 256});
  const ValueId normed = g.add("rms_norm", "norm", {x, g.weight("norm.weight", DType::F32, {256})}, {{"eps", 1e-5}});
  const auto product = [&](const char* name, DType type, std::int64_t n) {
    return g.add("linear", name, {normed, g.weight(std::string(name) + ".weight", type, {n, 256})});
  };
  const ValueId cache_k = g.state("cache.k", DType::F32, {16, 64}), cache_v = g.state("cache.v", DType::F32, {16, 64});
  const ValueId made_q = product("q", q, 128), made_k = product("k", k, 64), made_v = product("v", v, 64);
  g.output(g.add("attention", "attention",
                 {made_q, made_k, made_v, kNoValue, cache_k, cache_v, g.state("position", DType::I32, {1})},
                 {{"heads", std::int64_t{4}}, {"kv_heads", std::int64_t{2}}, {"causal", std::int64_t{1}}}),
           "attended");
  g.output(g.add("gate", "gate", {product("a", a, 512), product("b", b, 512)}, {{"activation", "silu"}}), "gated");
  return std::move(g).finish();
}

std::map<std::string, DType> types_of_products(const Plan& plan) {
  std::map<std::string, DType> types;
  for (const Dispatch& dispatch : plan.dispatches) {
    if (dispatch.shader.starts_with("linear")) types[dispatch.label] = *dtype_from_name(dispatch.variant.at(0));
  }
  return types;
}

}  // namespace

TEST_CASE("products of different types are not stacked, and do not wait for each other") {
  for (const std::int64_t rows : {1, 8}) {
    CAPTURE(rows);
    const Plan plan =
        make_plan(layer(DType::Q4_K, DType::Q4_K, DType::Q6_K, DType::Q4_K, DType::Q5_K, rows), {}, {}, {});
    const std::map<std::string, DType> types = types_of_products(plan);
    CHECK(types ==
          std::map<std::string, DType>{
              {"q", DType::Q4_K}, {"k", DType::Q4_K}, {"v", DType::Q6_K}, {"a", DType::Q4_K}, {"b", DType::Q5_K}});
    // The first of those that read the same may wait for what they read, the others for nothing.
    std::size_t products = 0;
    for (const Dispatch& dispatch : plan.dispatches) {
      if (!dispatch.shader.starts_with("linear")) continue;
      ++products;
      if (dispatch.label != "q" && dispatch.label != "a") CHECK(!dispatch.barrier_before);
    }
    CHECK(products == 5);
    for (const DeviceWeight& weight : plan.weights) CHECK(weight.parts.size() == 1);
  }
}

TEST_CASE("products of one type are stacked, quantised or not") {
  for (const DType type : {DType::F32, DType::Q4_K, DType::Q6_K}) {
    const Plan plan = make_plan(layer(type, type, type, type, type, 1), {}, {}, {});
    CHECK(types_of_products(plan).size() == 2);
    CHECK(std::ranges::count_if(plan.weights, [](const DeviceWeight& w) { return w.parts.size() == 3; }) == 1);
    CHECK(std::ranges::count_if(plan.weights, [](const DeviceWeight& w) { return w.parts.size() == 2; }) == 1);
  }
}

}  // namespace heed
