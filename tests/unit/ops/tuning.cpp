// What ops offer the tuner: which candidates a device is asked to try, and that the work they are timed with can be
// planned.
#include "ops/tuning.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
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

using Counts = std::map<std::string, std::size_t>;

/// Those of steps whose names end with a kind of weight, without it.
Counts of_kind(const Counts& counts, WeightKind kind) {
  const std::string end = ", " + std::string(weight_kind_name(kind));
  Counts result;
  for (const auto& [name, count] : counts) {
    if (name.ends_with(end)) result.emplace(name.substr(0, name.size() - end.size()), count);
  }
  return result;
}

/// Those of steps that are about no kind of weight.
Counts of_others(Counts counts) {
  for (const WeightKind kind : kWeightKinds) {
    for (const auto& [name, count] : of_kind(counts, kind)) {
      counts.erase(name + ", " + std::string(weight_kind_name(kind)));
    }
  }
  return counts;
}

/// How many candidates there are in each step, by name, where each is slower than what is known or each is faster.
Counts counts(const DeviceCaps& caps, bool faster, Tuning& best) {
  Counts result;
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
  const Counts of_lanes = {{"lanes with rows of their own", 1},
                           {"lanes of a workgroup", 0},
                           {"rows at a time", 2},
                           {"number of workgroups", 0},
                           {"pairs in one dispatch", 1},
                           {"rows of x at a time", 1},
                           {"rows from lane to lane", 1},
                           {"products at a time", 1},
                           {"tiles of many rows", 0},
                           {"cooperative tiles", 0},
                           {"workgroups of tiles", 0},
                           {"dot products", 0},
                           {"dot products of a row", 0},
                           {"dot products of few rows", 0}};
  Counts none = of_lanes;  // of kinds that take what another one's measurements say
  for (auto& [name, count] : none) count = 0;
  const auto faster = counts(cpu_driver(), true, best);
  for (const WeightKind kind : kWeightKinds) {
    CAPTURE(weight_kind_name(kind));
    const bool measured = kind == WeightKind::Floats || kind == WeightKind::Bytes;
    CHECK(of_kind(faster, kind) == (measured ? of_lanes : none));
  }
  CHECK(of_others(faster) == Counts{{"texel reads", 1},
                                    {"reads of the same place", 1},
                                    {"lanes of a row", 0},
                                    {"lanes of a step's attention", 0},
                                    {"lanes with queries of their own", 2},
                                    {"sums of a convolution's lane", 2},
                                    {"x of convolutions handed on", 1},
                                    {"workgroups of a step's attention", 2},
                                    {"tiles of a prompt's attention", 1},
                                    {"cooperative tiles of it", 0},
                                    {"convolutions in one dispatch", 1},
                                    {"those of odd rows", 1},
                                    {"tiles of convolutions", 0},
                                    {"cooperative tiles of convolutions", 0},
                                    {"workgroups of convolutions", 0},
                                    {"workgroups of a draw", 1}});
  Tuning expected = {.texel = true,
                     .same_storage = true,
                     .lanes = 8,
                     .row_lanes = 8,
                     .query_lanes = true,
                     .key_shuffle = true,
                     .attention_groups = 640,
                     .query_tile = 64,
                     .sample_groups = 2,
                     .one_pass_convs = 2,
                     .conv_sums = 128,
                     .conv_shuffle = true};
  expected.products.fill({.lane_rows = true,
                          .lanes = 8,
                          .rows = 16,
                          .max_groups = 65535,
                          .pairs = true,
                          .x_rows = 8,
                          .x_products = 512,
                          .shuffle_rows = true});
  CHECK(best == expected);

  const auto slower = counts(gpu(), false, best);
  for (const WeightKind kind : kWeightKinds) {
    CAPTURE(weight_kind_name(kind));
    CHECK(of_kind(slower, kind) == Counts{{"lanes with rows of their own", 1},
                                          {"lanes of a workgroup", 4},
                                          {"rows at a time", 2},
                                          {"number of workgroups", 3},
                                          {"pairs in one dispatch", 1},
                                          {"rows of x at a time", 0},
                                          {"rows from lane to lane", 0},
                                          {"products at a time", 0},
                                          {"tiles of many rows", 2},
                                          {"cooperative tiles", 0},
                                          {"workgroups of tiles", 2},
                                          {"dot products", 0},
                                          {"dot products of a row", 0},
                                          {"dot products of few rows", 0}});
  }
  CHECK(of_others(slower) == Counts{{"texel reads", 1},
                                    {"reads of the same place", 0},
                                    {"lanes of a row", 3},
                                    {"lanes of a step's attention", 2},
                                    {"lanes with queries of their own", 0},
                                    {"sums of a convolution's lane", 1},
                                    {"x of convolutions handed on", 0},
                                    {"workgroups of a step's attention", 3},
                                    {"tiles of a prompt's attention", 3},
                                    {"cooperative tiles of it", 0},
                                    {"convolutions in one dispatch", 1},
                                    {"those of odd rows", 1},
                                    {"tiles of convolutions", 2},
                                    {"cooperative tiles of convolutions", 0},
                                    {"workgroups of convolutions", 2},
                                    {"workgroups of a draw", 3}});
  CHECK(best == default_tuning(gpu()));
}

TEST_CASE("a step of a kind of weight changes that kind, on CPU drivers those like it") {
  const auto kinds_changed = [](const DeviceCaps& caps, std::string_view name) {
    const std::vector<const ops::TuningStep*> steps = ops::all_tuning_steps();
    const auto step = std::ranges::find(steps, name, &ops::TuningStep::name);
    REQUIRE(step != steps.end());
    const Tuning before = default_tuning(caps);
    std::vector<WeightKind> changed;
    for (const Tuning& candidate : (*step)->candidates(caps, before)) {
      for (const WeightKind kind : kWeightKinds) {
        if (!(candidate.of(kind) == before.of(kind))) changed.push_back(kind);
      }
      Tuning rest = candidate;
      rest.products = before.products;
      CHECK(rest == before);
    }
    return changed;
  };
  using enum WeightKind;
  for (const WeightKind kind : kWeightKinds) {
    const std::string name = "lanes with rows of their own, " + std::string(weight_kind_name(kind));
    CHECK(kinds_changed(gpu(), name) == std::vector<WeightKind>{kind});
  }
  CHECK(kinds_changed(cpu_driver(), "lanes with rows of their own, floats") == std::vector<WeightKind>{Floats, Halves});
  CHECK(kinds_changed(cpu_driver(), "lanes with rows of their own, bytes") ==
        std::vector<WeightKind>{Bytes, Nibbles, KQuants});
  CHECK(kinds_changed(cpu_driver(), "lanes with rows of their own, nibbles").empty());
}

TEST_CASE("tiles of a prompt are compared with what it runs as when products have been tuned") {
  const std::vector<const ops::TuningStep*> steps = ops::all_tuning_steps();
  const auto place_of = [&](std::string_view name) {
    return std::ranges::find(steps, name, &ops::TuningStep::name) - steps.begin();
  };
  const auto count = static_cast<std::ptrdiff_t>(steps.size());
  REQUIRE(place_of("tiles of a prompt's attention") < count);
  REQUIRE(place_of("lanes with queries of their own") < count);
  CHECK(place_of("tiles of a prompt's attention") > place_of("lanes with queries of their own"));
  REQUIRE(place_of("reads of the same place") < count);
  CHECK(place_of("tiles of a prompt's attention") > place_of("reads of the same place"));
  // And few rows are compared in integers with the tiles that they would run in.
  for (const WeightKind kind : kWeightKinds) {
    const std::string of_kind = ", " + std::string(weight_kind_name(kind));
    REQUIRE(place_of("dot products" + of_kind) < count);
    CHECK(place_of("dot products" + of_kind) > place_of("workgroups of tiles" + of_kind));
    CHECK(place_of("workgroups of tiles" + of_kind) > place_of("cooperative tiles" + of_kind));
  }
}

TEST_CASE("no candidate asks for more than the device has") {
  DeviceCaps caps = gpu();
  caps.max_texel_buffer_elements = 0;
  Tuning best;
  CHECK(counts(caps, true, best)["texel reads"] == 0);
  CHECK_FALSE(best.texel);
  for (const WeightKind kind : kWeightKinds) {
    CHECK(best.of(kind).max_groups <= 100);
    // Lanes with rows of their own join products, and take several rows of x, on CPU drivers alone.
    Counts of_gpu = of_kind(counts(gpu(), true, best), kind);
    CHECK(of_gpu["pairs in one dispatch"] == 0);
    CHECK(of_gpu["rows of x at a time"] == 0);
    CHECK(of_gpu["rows from lane to lane"] == 0);
  }
}

TEST_CASE("cooperative tiles are tried where a GPU lists sizes, and no tiles on CPU drivers") {
  Tuning best;
  DeviceCaps caps = gpu();
  caps.cooperative_sizes = {{16, 16, 16}};
  const Counts of_gpu = counts(caps, true, best);
  for (const WeightKind kind : kWeightKinds) {
    CAPTURE(weight_kind_name(kind));
    CHECK(of_kind(of_gpu, kind).at("cooperative tiles") == 2);
    CHECK(best.of(kind).cooperative);
    CHECK(best.of(kind).tile == 128);
  }
  CHECK(of_gpu.at("cooperative tiles of it") == 3);
  CHECK(best.cooperative_attention);
  CHECK(of_gpu.at("cooperative tiles of convolutions") == 2);
  CHECK(best.conv_cooperative);
  CHECK(best.conv_tile == 128);
  DeviceCaps cpu = cpu_driver();
  cpu.cooperative_sizes = {{8, 8, 8}};
  const Counts of_cpu = counts(cpu, true, best);
  for (const WeightKind kind : kWeightKinds) {
    CHECK(of_kind(of_cpu, kind).at("cooperative tiles") == 0);
    CHECK(best.of(kind).tile == 0);
  }
  CHECK(of_cpu.at("cooperative tiles of convolutions") == 0);
  CHECK(!best.conv_cooperative);
  CHECK(best.conv_tile == 0);
  CHECK(of_cpu.at("cooperative tiles of it") == 0);
  CHECK_FALSE(best.cooperative_attention);
}

TEST_CASE("dot products are tried where a GPU has them, with weights that are quantised") {
  Tuning best;
  DeviceCaps caps = gpu();
  caps.integer_dot_product = true;
  CHECK(default_tuning(caps).of(WeightKind::Bytes).dot_groups == 1024);
  CHECK(default_tuning(gpu()).of(WeightKind::Bytes).dot_groups == 0);
  const Counts off = counts(caps, true, best);  // as if floats were faster
  const Counts on = counts(caps, false, best);
  DeviceCaps cpu = cpu_driver();
  cpu.integer_dot_product = true;
  const Counts of_cpu = counts(cpu, true, best);
  for (const WeightKind kind : kWeightKinds) {
    CAPTURE(weight_kind_name(kind));
    const bool quantised = kind != WeightKind::Floats && kind != WeightKind::Halves;
    CHECK(of_kind(on, kind).at("dot products") == (quantised ? 1 : 0));
    CHECK(of_kind(on, kind).at("dot products of a row") == (quantised ? 2 : 0));
    CHECK(of_kind(on, kind).at("dot products of few rows") == (quantised ? 3 : 0));
    if (quantised) CHECK(of_kind(off, kind).at("dot products of a row") == 0);
    CHECK(of_kind(of_cpu, kind).at("dot products") == 0);
    CHECK(best.of(kind).dot_groups == 0);
  }
}

TEST_CASE("a step's work runs in the kernels that the step is about") {
  DeviceCaps caps = gpu();
  caps.integer_dot_product = true;
  caps.memory = std::uint64_t{8} << 30;
  caps.max_workgroup_invocations = caps.max_workgroup_size[0] = 256;
  caps.max_storage_buffers = 32;
  const auto shaders = [&](std::string_view name) {
    const std::vector<const ops::TuningStep*> steps = ops::all_tuning_steps();
    const auto step = std::ranges::find(steps, name, &ops::TuningStep::name);
    REQUIRE(step != steps.end());
    Tuning tuning = default_tuning(caps);
    if ((*step)->time_without != nullptr) (*step)->time_without(tuning);
    std::set<std::string> result;
    for (const Dispatch& d : make_plan((*step)->problem(caps), (*step)->dims, caps, tuning).dispatches) {
      result.insert(d.shader);
    }
    return result;
  };
  using Shaders = std::set<std::string>;
  CHECK(shaders("rows at a time, nibbles") == Shaders{"linear_vector"});
  CHECK(shaders("dot products of a row, nibbles") == Shaders{"linear_dot"});
  CHECK(shaders("dot products of few rows, K-quants") == Shaders{"linear_bytes", "linear_dot"});
  CHECK(shaders("tiles of many rows, K-quants") == Shaders{"linear_tiles", "linear_parts"});
  CHECK(shaders("rows of x at a time, bytes") == Shaders{"linear_matrix"});
  CHECK(shaders("lanes of a step's attention").contains("attention_step"));
  CHECK(shaders("workgroups of a step's attention").contains("attention_split"));
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
