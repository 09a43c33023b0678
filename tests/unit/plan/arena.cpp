#include "plan/arena.h"

#include <doctest/doctest.h>

#include <optional>
#include <utility>
#include <vector>

#include "tests/unit/plan/random_plan.h"

namespace heed {
namespace {

using Life = std::optional<std::pair<std::size_t, std::size_t>>;

std::vector<Life> lives_of(const Plan& plan) {
  std::vector<Life> lives(plan.tensors.size());
  for (std::size_t i = 0; i < plan.dispatches.size(); ++i) {
    for (const Binding& binding : plan.dispatches[i].bindings) {
      if (plan.tensors[binding.tensor].storage != Storage::Arena) continue;
      Life& life = lives[binding.tensor];
      life = life ? std::pair{life->first, i} : std::pair{i, i};
    }
  }
  return lives;
}

/// Number of rules that a placement breaks.
int violations(const Plan& plan, const DeviceCaps& caps) {
  int count = 0;
  const std::vector<Life> lives = lives_of(plan);
  for (const std::uint64_t block : plan.arena_blocks) count += block > caps.max_memory_allocation;
  for (std::size_t a = 0; a < lives.size(); ++a) {
    if (!lives[a]) continue;
    const PlanTensor& ta = plan.tensors[a];
    count += ta.arena_offset % 256 != 0;
    count +=
        ta.arena_block >= plan.arena_blocks.size() || ta.arena_offset + ta.bytes > plan.arena_blocks[ta.arena_block];
    for (std::size_t b = a + 1; b < lives.size(); ++b) {
      if (!lives[b]) continue;
      const PlanTensor& tb = plan.tensors[b];
      const bool alive_together = lives[a]->first <= lives[b]->second && lives[b]->first <= lives[a]->second;
      const bool share = ta.arena_block == tb.arena_block && ta.arena_offset < tb.arena_offset + tb.bytes &&
                         tb.arena_offset < ta.arena_offset + ta.bytes;
      count += alive_together && share;
    }
  }
  return count;
}

}  // namespace

TEST_CASE("tensors that live at the same time never share bytes") {
  for (unsigned seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    Plan plan = random_plan(seed);
    DeviceCaps caps;
    if (seed % 3 == 0) caps.max_memory_allocation = 3328;  // 13 * 256: the largest tensor just fits
    place_in_arena(plan, caps);
    CHECK(violations(plan, caps) == 0);
    if (seed % 3 != 0) CHECK(plan.arena_blocks.size() <= 1);
  }
}

TEST_CASE("the checker sees a placement that overlaps") {
  Plan plan = random_plan(7);
  place_in_arena(plan, {});
  for (PlanTensor& tensor : plan.tensors) tensor.arena_offset = 0;
  CHECK(violations(plan, {}) > 0);
}

TEST_CASE("a chain needs the memory of two neighbours only") {
  Plan plan;
  for (std::size_t i = 0; i < 20; ++i) {
    PlanTensor tensor;
    tensor.bytes = 1024;
    plan.tensors.push_back(tensor);
  }
  for (std::size_t i = 0; i + 1 < 20; ++i) {
    Dispatch dispatch;
    dispatch.bindings = {{i, 0, 1024, Access::Read, View::None}, {i + 1, 0, 1024, Access::Write, View::None}};
    plan.dispatches.push_back(dispatch);
  }
  place_in_arena(plan, {});
  CHECK(plan.arena_blocks == std::vector<std::uint64_t>{2048});
}

TEST_CASE("tensors outside the arena take no place in it") {
  Plan plan;
  PlanTensor tensor;
  tensor.bytes = 4096;
  for (const Storage storage : {Storage::Weight, Storage::Constant, Storage::State, Storage::Input, Storage::Output}) {
    tensor.storage = storage;
    plan.tensors.push_back(tensor);
  }
  Dispatch dispatch;
  for (std::size_t i = 0; i < 5; ++i) dispatch.bindings.push_back({i, 0, 4096, Access::Read, View::None});
  plan.dispatches = {dispatch};
  place_in_arena(plan, {});
  CHECK(plan.arena_blocks.empty());
}

}  // namespace heed
