// What ops offer the tuner: which candidates a device is asked to try, and that the work they are timed with can be
// planned.
#include "ops/tuning.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "ops/op.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/cpu_driver.h"

namespace heed {
namespace {

using testing::cpu_driver;

DeviceCaps gpu() {
  DeviceCaps caps;
  caps.type = DeviceType::Discrete;
  caps.subgroup_size = 32;
  caps.subgroup_arithmetic = caps.subgroup_shuffle = true;
  caps.max_workgroup_count[0] = 100;
  return caps;
}

/// How many candidates there are in each step, by name, where each is slower than what is known or each is faster.
std::map<std::string_view, std::size_t> counts(const DeviceCaps& caps, bool faster, Tuning& best) {
  std::map<std::string_view, std::size_t> result;
  best = default_tuning(caps);
  for (const ops::TuningStep* step : ops::all_tuning_steps()) {
    const std::vector<Tuning> candidates = step->candidates(caps, best);
    CHECK(result.emplace(step->name, candidates.size()).second);
    if (faster && !candidates.empty()) best = candidates.back();
  }
  return result;
}

}  // namespace

TEST_CASE("lanes with rows of their own have other choices than lanes that share them") {
  Tuning best;
  CHECK(counts(cpu_driver(), true, best) ==
        std::map<std::string_view, std::size_t>{{"texel reads", 1},
                                                {"lanes with rows of their own", 1},
                                                {"lanes of a workgroup", 0},
                                                {"rows at a time", 2},
                                                {"number of workgroups", 0},
                                                {"reads of the same place", 1},
                                                {"dot products", 0},
                                                {"pairs in one dispatch", 1},
                                                {"rows of x at a time", 1},
                                                {"rows from lane to lane", 1},
                                                {"products at a time", 1},
                                                {"tiles of many rows", 0},
                                                {"workgroups of tiles", 0},
                                                {"cooperative tiles", 0},
                                                {"lanes of a row", 0},
                                                {"sums of a convolution's lane", 2},
                                                {"workgroups of a step's attention", 2},
                                                {"tiles of a prompt's attention", 1},
                                                {"convolutions in one dispatch", 1},
                                                {"those of odd rows", 1},
                                                {"tiles of convolutions", 0},
                                                {"workgroups of a draw", 1}});
  CHECK(best == Tuning{.texel = true,
                       .same_storage = true,
                       .lane_rows = true,
                       .lanes = 8,
                       .row_lanes = 8,
                       .rows = 16,
                       .max_groups = 65535,
                       .pairs = true,
                       .x_rows = 8,
                       .x_products = 512,
                       .shuffle_rows = true,
                       .attention_groups = 640,
                       .query_tile = 64,
                       .sample_groups = 2,
                       .one_pass_convs = 2,
                       .conv_sums = 128});
  CHECK(counts(gpu(), false, best) == std::map<std::string_view, std::size_t>{{"texel reads", 1},
                                                                              {"lanes with rows of their own", 1},
                                                                              {"lanes of a workgroup", 4},
                                                                              {"rows at a time", 2},
                                                                              {"number of workgroups", 3},
                                                                              {"reads of the same place", 0},
                                                                              {"dot products", 0},
                                                                              {"pairs in one dispatch", 1},
                                                                              {"rows of x at a time", 0},
                                                                              {"rows from lane to lane", 0},
                                                                              {"products at a time", 0},
                                                                              {"tiles of many rows", 2},
                                                                              {"workgroups of tiles", 2},
                                                                              {"cooperative tiles", 0},
                                                                              {"lanes of a row", 3},
                                                                              {"sums of a convolution's lane", 2},
                                                                              {"workgroups of a step's attention", 3},
                                                                              {"tiles of a prompt's attention", 3},
                                                                              {"convolutions in one dispatch", 1},
                                                                              {"those of odd rows", 1},
                                                                              {"tiles of convolutions", 2},
                                                                              {"workgroups of a draw", 3}});
  CHECK(best == default_tuning(gpu()));
}

TEST_CASE("tiles of a prompt are compared with what it runs as when products have been tuned") {
  const std::vector<const ops::TuningStep*> steps = ops::all_tuning_steps();
  const auto place_of = [&](std::string_view name) {
    return std::ranges::find(steps, name, &ops::TuningStep::name) - steps.begin();
  };
  const auto count = static_cast<std::ptrdiff_t>(steps.size());
  REQUIRE(place_of("tiles of a prompt's attention") < count);
  REQUIRE(place_of("lanes with rows of their own") < count);
  CHECK(place_of("tiles of a prompt's attention") > place_of("lanes with rows of their own"));
  CHECK(place_of("tiles of a prompt's attention") > place_of("reads of the same place"));
}

TEST_CASE("no candidate asks for more than the device has") {
  DeviceCaps caps = gpu();
  caps.max_texel_buffer_elements = 0;
  Tuning best;
  CHECK(counts(caps, true, best)["texel reads"] == 0);
  CHECK_FALSE(best.texel);
  CHECK(best.max_groups <= 100);
  // Lanes with rows of their own join products on CPU drivers alone.
  CHECK(counts(gpu(), true, best)["pairs in one dispatch"] == 0);
}

TEST_CASE("cooperative tiles are tried where a GPU lists sizes, and no tiles on CPU drivers") {
  Tuning best;
  DeviceCaps caps = gpu();
  caps.cooperative_sizes = {{16, 16, 16}};
  CHECK(counts(caps, true, best)["cooperative tiles"] == 2);
  CHECK(best.cooperative);
  CHECK(best.tile == 128);
  DeviceCaps cpu = cpu_driver();
  cpu.cooperative_sizes = {{8, 8, 8}};
  CHECK(counts(cpu, true, best)["cooperative tiles"] == 0);
  CHECK(best.tile == 0);
}

TEST_CASE("dot products are tried where a GPU has them") {
  Tuning best;
  DeviceCaps caps = gpu();
  caps.integer_dot_product = true;
  CHECK(default_tuning(caps).dot_groups == 1024);
  CHECK(default_tuning(gpu()).dot_groups == 0);
  CHECK(counts(caps, true, best)["dot products"] == 3);
  CHECK(best.dot_groups == 4096);
  DeviceCaps cpu = cpu_driver();
  cpu.integer_dot_product = true;
  CHECK(counts(cpu, true, best)["dot products"] == 0);
  CHECK(best.dot_groups == 0);
}

TEST_CASE("the work of every step can be planned") {
  std::size_t steps = 0;
  DeviceCaps large = gpu();
  large.memory = std::uint64_t{8} << 30;
  for (const DeviceCaps& caps : {cpu_driver(), gpu(), large}) {
    for (const ops::Op* op : ops::all_ops()) {
      for (const ops::TuningStep& step : op->tuning) {
        ++steps;
        CAPTURE(step.name);
        CHECK(!make_plan(step.problem(caps), step.dims, caps, default_tuning(caps)).dispatches.empty());
      }
    }
  }
  CHECK(steps > 0);
}

}  // namespace heed
