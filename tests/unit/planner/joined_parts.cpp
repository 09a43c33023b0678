// Parts of a larger tensor that are written to where they lie in it.
#include <doctest/doctest.h>

#include <algorithm>

#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/large_gpu.h"

namespace heed {
namespace {

Plan plan_of(const Graph& graph, std::uint64_t alignment = 256) {
  DeviceCaps caps = testing::large_gpu();
  caps.buffer_alignment = alignment;
  return make_plan(graph, {}, caps, default_tuning(caps));
}

std::ptrdiff_t copies(const Plan& plan) { return std::ranges::count(plan.dispatches, "strided", &Dispatch::shader); }

/// concat of two functions of x, which is [outer, 4, columns].
Graph joined(std::int64_t outer, std::int64_t columns, std::int64_t axis) {
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {outer, 4, columns});
  b.output(b.add("concat", "c", {b.add("exp", "e", {x}), b.add("abs", "a", {x})}, {{"axis", axis}}), "y");
  return std::move(b).finish();
}

}  // namespace

TEST_CASE("parts of a concatenation are written to where they lie in it") {
  const Plan plan = plan_of(joined(1, 64, 1));
  REQUIRE(plan.dispatches.size() == 2);
  CHECK(!plan.dispatches[1].barrier_before);  // they write other bytes
  const Binding& first = plan.dispatches[0].bindings.back();
  const Binding& second = plan.dispatches[1].bindings.back();
  CHECK(plan.tensors[first.tensor].storage == Storage::Output);
  CHECK(first.tensor == second.tensor);
  CHECK(first.size == 1024);
  CHECK(first.offset + 1024 == second.offset);
  CHECK(copies(plan_of(joined(3, 64, 0))) == 0);
}

TEST_CASE("what does not lie in one run, or where no binding may begin, is copied") {
  CHECK(copies(plan_of(joined(1, 64, 2))) == 2);
  CHECK(copies(plan_of(joined(2, 64, 1))) == 2);
  CHECK(copies(plan_of(joined(1, 4, 1), 256)) == 1);  // the first begins where the whole does
  CHECK(copies(plan_of(joined(1, 4, 1), 16)) == 0);
  CHECK(copies(plan_of(joined(1, 3, 1), 16)) == 0);
  CHECK(copies(plan_of(joined(0, 3, 1), 16)) == 0);
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {1, 4, 64});
  const ValueId made = b.add("exp", "e", {x});
  const ValueId wanted = b.add("abs", "a", {x});
  b.output(b.add("concat", "c", {x, made, made, wanted}, {{"axis", std::int64_t{1}}}), "y");
  b.output(wanted, "z");
  CHECK(copies(plan_of(std::move(b).finish())) == 3);  // an input, what is there already, and another output
}

TEST_CASE("an axis of which a resize takes every element is none of its passes") {
  for (const char* mode : {"linear", "cubic"}) {
    GraphBuilder b("g");
    const ValueId x = b.input("x", DType::F32, {2, 12, 9, 9});
    b.output(b.add("resize", "r", {x, kNoValue, kNoValue, b.integers("sizes", {2, 12, 64, 70})}, {{"mode", mode}}),
             "y");
    CHECK(plan_of(std::move(b).finish()).dispatches.size() == 2);
  }
}

}  // namespace heed
