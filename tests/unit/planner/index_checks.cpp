// Which dispatches look for indices that name no place (Lowering::check_indices).
#include <doctest/doctest.h>

#include <algorithm>

#include "heed/error.h"
#include "planner/make_plan.h"

namespace heed {
namespace {

std::size_t checks_in(const Plan& plan) {
  return static_cast<std::size_t>(
      std::ranges::count(plan.dispatches, "check_indices", [](const Dispatch& d) { return d.shader; }));
}

ValueId known(GraphBuilder& g, const std::string& name, std::vector<std::int64_t> indices) {
  const Shape shape = {static_cast<std::int64_t>(indices.size())};
  return g.add("constant", name, {}, {{"dtype", "i64"}, {"shape", shape}, {"integers", std::move(indices)}});
}

}  // namespace

TEST_CASE("inputs and intermediates are checked once for all nodes that ask the same, without a barrier") {
  GraphBuilder g("g");
  const ValueId x = g.input("x", DType::F32, {5, 3});
  const ValueId i = g.input("i", DType::I32, {4});
  g.output(g.add("gather", "first", {x, i}), "a");
  g.output(g.add("gather", "second", {x, i}), "b");
  g.output(g.add("gather", "other axis", {x, i}, {{"axis", std::int64_t{1}}}), "c");
  g.output(g.add("gather", "made", {x, g.add("add", "sum", {i, i})}), "d");
  const Plan plan = make_plan(std::move(g).finish(), {}, {}, {});
  CHECK(checks_in(plan) == 3);
  REQUIRE(plan.index_checks.size() == 3);
  CHECK(plan.index_checks[0].node == "first");
  CHECK(plan.index_checks[1].node == "other axis");
  CHECK(plan.index_checks[2].node == "made");
  for (std::size_t d = 0; d < plan.dispatches.size(); ++d) {
    const Dispatch& dispatch = plan.dispatches[d];
    // All but what reads the sum can run at once.
    CHECK(dispatch.barrier_before == (dispatch.label == "made" && dispatch.shader == "check_indices"));
  }
  CHECK(std::ranges::count(plan.tensors, Storage::Flag, &PlanTensor::storage) == 1);
}

TEST_CASE("known indices are checked when the graph is planned, whatever is done with them") {
  const auto plan_with = [](std::int64_t index, bool known_table) {
    GraphBuilder g("g");
    const ValueId x = known_table ? known(g, "table", {1, 2, 3}) : g.input("x", DType::F32, {3});
    g.output(g.add("gather", "look up", {x, known(g, "indices", {0, index})}), "y");
    return make_plan(std::move(g).finish(), {}, {}, {});
  };
  CHECK(checks_in(plan_with(-3, false)) == 0);
  for (const bool known_table : {false, true}) {
    CHECK_THROWS_WITH_AS(plan_with(3, known_table), "gather 'look up': index 3 (element 1) is outside -3 to 2", Error);
    CHECK_THROWS_WITH_AS(plan_with(-4, known_table), "gather 'look up': index -4 (element 1) is outside -3 to 2",
                         Error);
  }
}

TEST_CASE("states are not checked: the kernels that move them on see to it") {
  GraphBuilder g("g");
  g.output(g.add("embedding", "embed", {g.state("tokens", DType::I32, {1}), g.weight("table", DType::F32, {8, 4})}),
           "y");
  CHECK(checks_in(make_plan(std::move(g).finish(), {}, {}, {})) == 0);
}

TEST_CASE("indices of tuples are held to the size of their own dimension") {
  GraphBuilder g("g");
  const std::int64_t none = 0;
  g.output(g.add("gather_nd", "tuples", {g.input("x", DType::F32, {5, 3, 2}), g.input("i", DType::I32, {4, 2})}), "y");
  g.output(g.add("gather_nd", "all", {g.input("all x", DType::F32, {5}), g.input("no i", DType::I32, {4, none})}), "z");
  const Plan plan = make_plan(std::move(g).finish(), {}, {}, {});
  REQUIRE(plan.index_checks.size() == 1);
  CHECK(plan.index_checks[0].sizes == Shape{5, 3});
  CHECK(plan.index_checks[0].message(3, 3) == "gather_nd 'tuples': index 3 (element 3) is outside -3 to 2");
}

}  // namespace heed
