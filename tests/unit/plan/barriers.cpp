#include "plan/barriers.h"

#include <doctest/doctest.h>

#include "plan/arena.h"
#include "tests/unit/plan/random_plan.h"

namespace heed {
namespace {

bool same_bytes(const Plan& plan, const Binding& a, const Binding& b) {
  const PlanTensor& ta = plan.tensors[a.tensor];
  const PlanTensor& tb = plan.tensors[b.tensor];
  std::uint64_t begin_a = a.offset;
  std::uint64_t begin_b = b.offset;
  if (ta.storage == Storage::Arena && tb.storage == Storage::Arena) {
    if (ta.arena_block != tb.arena_block) return false;
    begin_a += ta.arena_offset;
    begin_b += tb.arena_offset;
  } else if (a.tensor != b.tensor) {
    return false;
  }
  return begin_a < begin_b + b.size && begin_b < begin_a + a.size;
}

bool conflict(const Plan& plan, const Dispatch& a, const Dispatch& b) {
  for (const Binding& x : a.bindings) {
    for (const Binding& y : b.bindings) {
      if ((x.access != Access::Read || y.access != Access::Read) && same_bytes(plan, x, y)) return true;
    }
  }
  return false;
}

/// Pairs of dispatches that touch the same bytes, one of them writing, without a barrier between them.
int uncovered(const Plan& plan) {
  int count = 0;
  for (std::size_t j = 1; j < plan.dispatches.size(); ++j) {
    bool barrier = false;
    for (std::size_t i = j; i-- > 0;) {
      barrier = barrier || plan.dispatches[i + 1].barrier_before;
      count += !barrier && conflict(plan, plan.dispatches[i], plan.dispatches[j]);
    }
  }
  return count;
}

/// Barriers before dispatches that conflict with nothing since the barrier before.
int needless(const Plan& plan) {
  int count = 0;
  std::size_t since = 0;
  for (std::size_t j = 0; j < plan.dispatches.size(); ++j) {
    if (!plan.dispatches[j].barrier_before) continue;
    bool needed = false;
    for (std::size_t i = since; i < j; ++i) needed = needed || conflict(plan, plan.dispatches[i], plan.dispatches[j]);
    count += !needed;
    since = j;
  }
  return count;
}

}  // namespace

TEST_CASE("every hazard has a barrier and every barrier a hazard") {
  int barriers = 0;
  for (unsigned seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    Plan plan = random_plan(seed);
    place_in_arena(plan, {});
    place_barriers(plan);
    CHECK(uncovered(plan) == 0);
    CHECK(needless(plan) == 0);
    for (const Dispatch& dispatch : plan.dispatches) barriers += dispatch.barrier_before;
  }
  CHECK(barriers > 0);
}

TEST_CASE("the checker sees a missing barrier") {
  int seen = 0;
  for (unsigned seed = 0; seed < 20; ++seed) {
    Plan plan = random_plan(seed);
    place_in_arena(plan, {});
    place_barriers(plan);
    for (Dispatch& dispatch : plan.dispatches) {
      if (!dispatch.barrier_before) continue;
      dispatch.barrier_before = false;
      CHECK(uncovered(plan) > 0);
      dispatch.barrier_before = true;
      ++seen;
    }
  }
  CHECK(seen > 0);
}

TEST_CASE("weights and constants are read without barriers") {
  Plan plan;
  PlanTensor weight;
  weight.storage = Storage::Weight;
  weight.bytes = 64;
  plan.tensors = {weight};
  Dispatch dispatch;
  dispatch.bindings = {{0, 0, 64, Access::Read, View::None}};
  plan.dispatches = {dispatch, dispatch, dispatch};
  place_barriers(plan);
  for (const Dispatch& each : plan.dispatches) CHECK_FALSE(each.barrier_before);
}

TEST_CASE("pieces of one tensor can be written side by side") {
  Plan plan;
  PlanTensor output;
  output.storage = Storage::Output;
  output.bytes = 512;
  plan.tensors = {output};
  Dispatch first;
  first.bindings = {{0, 0, 256, Access::Write, View::None}};
  Dispatch second;
  second.bindings = {{0, 256, 256, Access::Write, View::None}};
  Dispatch both;
  both.bindings = {{0, 0, 512, Access::Read, View::None}};
  plan.dispatches = {first, second, both};
  place_barriers(plan);
  CHECK_FALSE(plan.dispatches[1].barrier_before);
  CHECK(plan.dispatches[2].barrier_before);
}

}  // namespace heed
