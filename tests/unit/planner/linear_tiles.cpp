// Products of many rows in tiles of shared memory: what a device's limits make of the tiles, and that rows of x do not
// change each other's sums.
#include "constants/linear_tiles.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

#include "constants/linear_cooperative.h"
#include "ops/op.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/from_words.h"
#include "tests/unit/large_gpu.h"

namespace heed {
namespace {

using testing::large_gpu;

Plan product(std::int64_t rows, std::int64_t columns, std::int64_t outputs, const DeviceCaps& caps,
             const Tuning& tuning, DType dtype = DType::F16) {
  GraphBuilder b("product");
  const ValueId x = b.input("x", DType::F32, {rows, columns});
  b.output(b.add("linear", "product", {x, b.weight("w", dtype, {outputs, columns})}), "y");
  return make_plan(std::move(b).finish(), {}, caps, tuning);
}

ops::LinearTilesConstants constants_of(const Dispatch& d) {
  REQUIRE(d.shader == "linear_tiles");
  return testing::from_words<ops::LinearTilesConstants>(d.specialization);
}

ops::LinearTilesPush push_of(const Dispatch& d) { return testing::from_words<ops::LinearTilesPush>(d.push_constants); }

std::uint32_t shared_bytes(const ops::LinearTilesConstants& c) { return (c.tile_rows + c.tile_columns) * 128; }

}  // namespace

TEST_CASE("tiles are as large as shared memory and workgroups allow, and no taller than x") {
  DeviceCaps caps = large_gpu();
  Tuning tuning = default_tuning(caps);
  CHECK(tuning.of(DType::F16).tile == 128);
  tuning.set(&ProductTuning::tile_groups, 0);
  const auto tiles = [&](std::int64_t rows) {
    return constants_of(product(rows, 4096, 4096, caps, tuning).dispatches[0]);
  };
  CHECK(tiles(512).tile_rows == 128);
  CHECK(tiles(512).tile_columns == 128);
  CHECK(tiles(512).lanes == 256);
  CHECK(tiles(20).tile_rows == 32);
  CHECK(tiles(4).tile_rows == 8);
  for (const std::uint32_t memory : {16384u, 32768u, 65536u}) {
    for (const std::uint32_t most : {64u, 128u, 256u, 1024u}) {
      for (const std::uint32_t tile : {32u, 64u, 128u}) {
        for (const std::int64_t rows : {4, 9, 16, 33, 64, 100, 513}) {
          caps.max_shared_memory = memory;
          caps.max_workgroup_invocations = caps.max_workgroup_size[0] = most;
          tuning.set(&ProductTuning::tile, tile);
          const ops::LinearTilesConstants c = tiles(rows);
          CAPTURE(memory);
          CAPTURE(most);
          CAPTURE(tile);
          CAPTURE(rows);
          CHECK(shared_bytes(c) <= memory);
          CHECK(c.lanes <= most);
          CHECK(c.lanes >= 32);
          CHECK(c.lanes * c.lane_rows * c.lane_columns == c.tile_rows * c.tile_columns);
          CHECK(c.tile_columns / c.lane_columns >= 8);
          CHECK(c.lane_rows * c.lane_columns <= 64);
          CHECK(c.tile_columns <= tile);
          CHECK(c.tile_rows <= std::max(8u, tile));
        }
      }
    }
  }
}

TEST_CASE("products stay out of tiles where there is no room for them, or it is tuned so") {
  DeviceCaps caps = large_gpu();
  Tuning tuning = default_tuning(caps);
  CHECK(product(64, 512, 512, caps, tuning).dispatches[0].shader == "linear_tiles");
  CHECK(product(3, 512, 512, caps, tuning).dispatches[0].shader != "linear_tiles");
  tuning.set(&ProductTuning::tile, 0);
  CHECK(product(64, 512, 512, caps, tuning).dispatches[0].shader == "linear_matrix");
  tuning.set(&ProductTuning::tile, 64);
  caps.max_shared_memory = 4096;
  CHECK(product(64, 512, 512, caps, tuning).dispatches[0].shader == "linear_matrix");
  caps = large_gpu();
  caps.max_workgroup_invocations = caps.max_workgroup_size[0] = 8;
  tuning.lanes = tuning.row_lanes = 8;
  tuning.set(&ProductTuning::lanes, 8);
  CHECK(product(64, 512, 512, caps, tuning).dispatches[0].shader == "linear_matrix");
  caps = large_gpu();
  caps.max_loop_iterations = 65535;
  CHECK(product(64, 1 << 22, 4, caps, default_tuning(large_gpu())).dispatches[0].shader != "linear_tiles");
  // The kernel is broken on the device.
  caps = large_gpu();
  for (const char* access : {"storage", "texel"})
    caps.broken_modules.insert(std::string("linear_tiles-") + access + "-f16-4");
  CHECK(product(64, 512, 512, caps, default_tuning(caps)).dispatches[0].shader == "linear_matrix");
}

TEST_CASE("sums are cut by what the weight is, whatever the number of rows") {
  const DeviceCaps caps = large_gpu();
  for (const std::uint32_t groups : {0u, 128u, 1000u}) {
    Tuning tuning = default_tuning(caps);
    tuning.set(&ProductTuning::tile_groups, groups);
    for (const std::int64_t columns : {288, 4096, 11008}) {
      for (const std::int64_t outputs : {33, 512, 4096, 32000}) {
        std::set<std::uint32_t> lengths;
        for (const std::int64_t rows : {4, 7, 8, 33, 64, 512}) {
          const Plan plan = product(rows, columns, outputs, caps, tuning);
          const ops::LinearTilesPush push = push_of(plan.dispatches[0]);
          lengths.insert(push.part_steps);
          CHECK(push.parts * push.part_steps * 32 >= columns);
          CHECK((push.parts - 1) * push.part_steps * 32 < columns);
          CHECK(plan.dispatches.size() == (push.parts > 1 ? 2 : 1));
          CHECK(constants_of(plan.dispatches[0]).in_parts == (push.parts > 1 ? 1u : 0u));
          if (push.parts > 1) {
            CHECK(plan.dispatches[1].shader == "linear_parts");
            CHECK(plan.dispatches[1].barrier_before);
          }
          if (groups == 0) CHECK(push.parts == 1);
        }
        CHECK(lengths.size() == 1);
      }
    }
  }
}

TEST_CASE("cooperative tiles are of matrices that the device has, in whole subgroups, within its limits") {
  for (const std::uint32_t subgroup : {8u, 32u, 64u}) {
    for (const std::array<std::uint32_t, 3> matrix :
         {std::array{16u, 16u, 16u}, std::array{8u, 8u, 8u}, std::array{16u, 8u, 16u}, std::array{8u, 32u, 16u}}) {
      for (const std::uint32_t memory : {16384u, 32768u, 49152u}) {
        for (const std::uint32_t most : {128u, 256u, 1024u}) {
          const std::pair<std::int64_t, DType> products[] = {{4, DType::F16},    {16, DType::Q4_K}, {33, DType::Q2_K},
                                                             {100, DType::BF16}, {512, DType::F16}, {512, DType::Q5_1},
                                                             {40, DType::F32}};
          for (const std::pair<std::int64_t, DType>& of : products) {
            const std::int64_t rows = of.first;
            const DType dtype = of.second;
            DeviceCaps caps = large_gpu(subgroup);
            caps.subgroup_shuffle = true;
            caps.cooperative_sizes = {matrix};
            caps.max_shared_memory = memory;
            caps.max_workgroup_invocations = caps.max_workgroup_size[0] = most;
            Tuning tuning = default_tuning(caps);
            tuning.set(&ProductTuning::cooperative, true);
            CAPTURE(subgroup);
            CAPTURE(matrix[0]);
            CAPTURE(matrix[1]);
            CAPTURE(memory);
            CAPTURE(most);
            CAPTURE(rows);
            CAPTURE(dtype_name(dtype));
            const Plan plan = product(rows, 1024, 300, caps, tuning, dtype);
            REQUIRE(plan.dispatches.size() >= 2);
            CHECK(plan.dispatches[0].shader == "linear_halves");
            const Dispatch& d = plan.dispatches[1];
            REQUIRE(d.shader == "linear_cooperative");
            CHECK(d.barrier_before);
            CHECK(d.subgroup_size == subgroup);
            const auto c = testing::from_words<ops::LinearCooperativeConstants>(d.specialization);
            CHECK(std::array{c.m, c.n, c.k} == matrix);
            CHECK(c.lanes == subgroup * c.subgroups_down * c.subgroups_across);
            CHECK(c.lanes <= std::min(most, 256u));  // of wider workgroups lanes have too few registers
            const std::uint32_t tile_rows = c.m * c.matrix_rows * c.subgroups_down;
            const std::uint32_t tile_columns = c.n * c.matrix_columns * c.subgroups_across;
            std::uint32_t numbers = dtype == DType::F16 ? 0 : tile_columns;  // f32 beside the weights of a step
            if (dtype == DType::Q4_K || dtype == DType::Q5_1) numbers = 2 * tile_columns + tile_rows;
            if (dtype == DType::Q2_K) numbers = 2 * (2 * tile_columns + tile_rows);
            const std::uint32_t halves_of_w = dtype == DType::F32 ? 2 : 1;
            CHECK((2 * tile_rows + halves_of_w * tile_columns) * 80 + numbers * 4 +
                      c.subgroups_down * c.subgroups_across * c.m * c.n * 4 <=
                  memory);
            CHECK(c.matrix_columns % 2 == 0);
            CHECK(c.matrix_rows * c.matrix_columns * c.m * c.n / subgroup <
                  192);  // sums that a lane keeps in registers
            CHECK(c.unit_lanes >= 1);
            CHECK((c.unit_lanes == 1 || c.unit_lanes * tile_columns <= c.lanes));
          }
        }
      }
    }
  }
}

TEST_CASE("products that allow it take x as one half by cooperative matrices, and are not stacked with others") {
  DeviceCaps caps = large_gpu();
  caps.cooperative_sizes = {{16, 16, 16}};
  Tuning tuning = default_tuning(caps);
  tuning.set(&ProductTuning::cooperative, true);
  const auto plan_of = [&](std::int64_t halves_a, std::int64_t halves_b) {
    GraphBuilder b("gated");
    const ValueId x = b.input("x", DType::F32, {128, 512});
    const auto linear = [&](const char* name, std::int64_t halves) {
      return b.add("linear", name, {x, b.weight(name, DType::Q4_0, {512, 512})}, {{"halves", halves}});
    };
    const ValueId first = linear("a", halves_a);
    b.output(b.add("gate", "gate", {first, linear("b", halves_b)}, {{"activation", "silu"}}), "y");
    return make_plan(std::move(b).finish(), {}, caps, tuning);
  };
  for (const std::int64_t halves : {1, 2}) {
    const Plan plan = plan_of(halves, halves);
    REQUIRE(plan.dispatches.size() >= 2);
    REQUIRE(plan.dispatches[1].shader == "linear_cooperative");
    const auto c = testing::from_words<ops::LinearCooperativeConstants>(plan.dispatches[1].specialization);
    CHECK(c.gated == 1);
    CHECK(c.halves == halves);
    CHECK(plan.dispatches[0].specialization[1] == halves);
    CHECK(plan.dispatches[0].bindings[1].size == static_cast<std::uint64_t>(halves) * 128 * 512 * 2);
  }
  const Plan apart = plan_of(1, 2);
  CHECK(std::ranges::count(apart.dispatches, "linear_cooperative", &Dispatch::shader) == 2);
  // What the user allows, all products may.
  tuning.half_products = true;
  const Plan allowed = plan_of(1, 2);
  CHECK(std::ranges::count(allowed.dispatches, "linear_cooperative", &Dispatch::shader) == 1);
  CHECK(allowed.dispatches[0].specialization[1] == 1);
}

TEST_CASE("products that are no work for cooperative tiles run in plain ones") {
  DeviceCaps caps = large_gpu();
  Tuning tuning = default_tuning(caps);
  tuning.set(&ProductTuning::cooperative, true);
  CHECK(product(64, 512, 512, caps, tuning).dispatches[0].shader == "linear_tiles");
  caps.cooperative_sizes = {{16, 16, 16}};
  CHECK(product(64, 512, 512, caps, tuning).dispatches[1].shader == "linear_cooperative");
  CHECK(product(64, 512, 512, caps, tuning, DType::F32).dispatches[0].shader == "linear_tiles");
  CHECK(product(64, 512, 512, caps, tuning, DType::Q4_0).dispatches[1].shader == "linear_cooperative");
  CHECK(product(64, 512, 512, caps, tuning, DType::Q6_K).dispatches[1].shader == "linear_cooperative");
  // Lanes of a subgroup agree on how its rows are scaled.
  CHECK(product(64, 512, 512, caps, tuning, DType::BF16).dispatches[0].shader == "linear_tiles");
  caps.subgroup_shuffle = true;
  CHECK(product(64, 512, 512, caps, tuning, DType::BF16).dispatches[1].shader == "linear_cooperative");
  caps.cooperative_sizes = {{16, 16, 64}};  // longer than a step
  CHECK(product(64, 512, 512, caps, tuning).dispatches[0].shader == "linear_tiles");
  caps.cooperative_sizes = {{16, 16, 32}};  // longer than columns that share a scale
  CHECK(product(64, 512, 512, caps, tuning, DType::Q4_0).dispatches[1].shader == "linear_cooperative");
  CHECK(product(64, 512, 512, caps, tuning, DType::Q6_K).dispatches[0].shader == "linear_tiles");
  caps.cooperative_sizes = {{16, 16, 16}};
  caps.broken_modules.insert("linear_cooperative-storage-f16");
  CHECK(product(64, 512, 512, caps, tuning, DType::Q4_0).dispatches[1].shader == "linear_cooperative");
  CHECK(product(64, 512, 512, caps, tuning).dispatches[0].shader == "linear_tiles");
}

}  // namespace heed
