// Products of one graph whose weights are of several kinds: each runs as is tuned for its kind.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "constants/linear.h"
#include "constants/linear_cooperative.h"
#include "constants/linear_tiles.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/from_words.h"
#include "tests/unit/large_gpu.h"

namespace heed {
namespace {

DeviceCaps gpu() {
  DeviceCaps caps = testing::large_gpu(32);
  caps.subgroup_shuffle = caps.integer_dot_product = true;
  caps.cooperative_sizes = {{16, 16, 16}};
  return caps;
}

/// Products of so many rows, named by the types of their weights.
Plan products(std::int64_t rows, const DeviceCaps& caps, const Tuning& tuning) {
  GraphBuilder b("products");
  const ValueId x = b.input("x", DType::F32, {rows, 1024});
  for (const DType type : {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0, DType::Q5_1, DType::Q4_K}) {
    const std::string name(dtype_name(type));
    b.output(b.add("linear", name, {x, b.weight("w " + name, type, {4096, 1024})}), "y " + name);
  }
  return make_plan(std::move(b).finish(), {}, caps, tuning);
}

/// The dispatch of a product that reads its weight.
const Dispatch& product_of(const Plan& plan, const char* name) {
  for (const Dispatch& dispatch : plan.dispatches) {
    const bool reads = std::ranges::any_of(dispatch.bindings, [&](const Binding& binding) {
      return plan.tensors[binding.tensor].storage == Storage::Weight;
    });
    if (dispatch.label == name && reads) return dispatch;
  }
  FAIL("no product '", name, "'");
  return plan.dispatches.front();
}

}  // namespace

TEST_CASE("of a row, products with weights of several kinds run in the kernels and with the numbers of their kinds") {
  Tuning tuning = default_tuning(gpu());
  tuning.set(&ProductTuning::dot_groups, 0);
  tuning.of(WeightKind::Floats).lane_rows = true;
  tuning.of(WeightKind::Floats).rows = 2;
  tuning.of(WeightKind::Halves).lanes = 64;
  tuning.of(WeightKind::Halves).rows = 8;
  tuning.of(WeightKind::Bytes).dot_groups = 40;
  tuning.of(WeightKind::Nibbles).max_groups = 10;
  tuning.of(WeightKind::KQuants).lanes = 128;
  const Plan plan = products(1, gpu(), tuning);

  const Dispatch& floats = product_of(plan, "f32");
  CHECK(floats.shader == "linear_lanes");
  CHECK(testing::from_words<ops::LinearConstants>(floats.specialization).rows == 2);
  for (const char* name : {"f16", "bf16"}) {
    const Dispatch& halves = product_of(plan, name);
    CHECK(halves.shader == "linear_vector");
    CHECK(testing::from_words<ops::LinearConstants>(halves.specialization).lanes == 64);
    CHECK(testing::from_words<ops::LinearConstants>(halves.specialization).rows == 8);
    CHECK(halves.groups[0] == 4096 / 8);
  }
  const Dispatch& bytes = product_of(plan, "q8_0");
  CHECK(bytes.shader == "linear_dot");
  CHECK(bytes.groups[0] == 40);
  for (const char* name : {"q4_0", "q5_1"}) {
    const Dispatch& nibbles = product_of(plan, name);
    CHECK(nibbles.shader == "linear_vector");
    CHECK(nibbles.groups[0] <= 10);
    CHECK(testing::from_words<ops::LinearConstants>(nibbles.specialization).lanes == 32);
  }
  const Dispatch& quants = product_of(plan, "q4_k");
  CHECK(quants.shader == "linear_vector");
  CHECK(testing::from_words<ops::LinearConstants>(quants.specialization).lanes == 128);
  CHECK(quants.groups[0] == 4096 / 4);
  // Weights lie as their kernels read them.
  for (const DeviceWeight& weight : plan.weights) {
    CHECK(weight.band == (weight.dtype == DType::F32 ? 2 * 32 : 1));
  }
}

TEST_CASE("of many rows likewise") {
  Tuning tuning = default_tuning(gpu());
  tuning.of(WeightKind::Halves).cooperative = true;
  tuning.of(WeightKind::Halves).tile_groups = 0;
  tuning.of(WeightKind::Bytes).tile = 64;
  tuning.of(WeightKind::Nibbles).tile = 0;
  tuning.of(WeightKind::KQuants).cooperative = true;
  tuning.of(WeightKind::KQuants).tile = 64;
  for (const WeightKind kind : kWeightKinds) tuning.of(kind).tile_groups = 0;
  const Plan plan = products(256, gpu(), tuning);

  CHECK(product_of(plan, "f32").shader == "linear_tiles");
  CHECK(testing::from_words<ops::LinearTilesConstants>(product_of(plan, "f32").specialization).tile_rows == 128);
  CHECK(product_of(plan, "q8_0").shader == "linear_tiles");
  CHECK(testing::from_words<ops::LinearTilesConstants>(product_of(plan, "q8_0").specialization).tile_rows == 64);
  CHECK(product_of(plan, "q4_0").shader == "linear_matrix");
  const auto rows_of_tile = [&](const char* name) {
    const Dispatch& dispatch = product_of(plan, name);
    REQUIRE(dispatch.shader == "linear_cooperative");
    const auto c = testing::from_words<ops::LinearCooperativeConstants>(dispatch.specialization);
    return c.m * c.matrix_rows * c.subgroups_down;
  };
  CHECK(rows_of_tile("f16") == 128);
  CHECK(rows_of_tile("bf16") == 128);
  CHECK(rows_of_tile("q4_k") == 64);
  // The device's pace is that of matrix units, whichever kinds of weight use them: others take longer.
  CHECK(product_of(plan, "f16").product);
  for (const char* name : {"f32", "q8_0", "q4_0"}) CHECK(!product_of(plan, name).product);
}

TEST_CASE("a few rows are shared by workgroups of their own number, where there is one") {
  Tuning tuning = default_tuning(gpu());
  tuning.of(WeightKind::Bytes).dot_groups = 40;
  tuning.of(WeightKind::Bytes).few_dot_groups = 20;
  tuning.of(WeightKind::Nibbles).dot_groups = 30;
  CHECK(product_of(products(1, gpu(), tuning), "q8_0").groups[0] == 40);
  CHECK(product_of(products(3, gpu(), tuning), "q8_0").groups[0] == 20);
  CHECK(product_of(products(1, gpu(), tuning), "q4_0").groups[0] == 30);
  CHECK(product_of(products(3, gpu(), tuning), "q4_0").groups[0] == 30);
  tuning.of(WeightKind::Bytes).dot_groups = 0;
  CHECK(product_of(products(3, gpu(), tuning), "q8_0").shader != "linear_dot");
}

}  // namespace heed
