// Convolutions as products of matrices: which ones are, how they are cut, and that pictures do not change each other's
// sums.
#include "constants/conv_matrix.h"

#include <doctest/doctest.h>

#include <array>
#include <set>
#include <string>
#include <vector>

#include "constants/conv_cooperative.h"
#include "constants/conv_halves.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/from_words.h"
#include "tests/unit/large_gpu.h"

namespace heed {
namespace {

using testing::large_gpu;

using ConvSizes = std::vector<std::int64_t>;

Plan convolve(const ConvSizes& x, const ConvSizes& w, const DeviceCaps& caps, const Tuning& tuning,
              Attributes attributes = {}, const char* op = "conv", DType dtype = DType::F32) {
  GraphBuilder b("convolution");
  attributes.set("pads", ConvSizes((x.size() - 2) * 2, w.back() / 2));
  b.output(b.add(op, "c", {b.input("x", DType::F32, {x.begin(), x.end()}), b.weight("w", dtype, {w.begin(), w.end()})},
                 std::move(attributes)),
           "y");
  return make_plan(std::move(b).finish(), {}, caps, tuning);
}

ops::ConvMatrixConstants matrix_constants(const Dispatch& d) {
  REQUIRE(d.shader == "conv_matrix");
  return testing::from_words<ops::ConvMatrixConstants>(d.specialization);
}

ops::ConvMatrixPush matrix_push(const Dispatch& d) {
  return testing::from_words<ops::ConvMatrixPush>(d.push_constants);
}

ops::ConvCooperativeConstants cooperative_constants(const Dispatch& d) {
  REQUIRE(d.shader == "conv_cooperative");
  return testing::from_words<ops::ConvCooperativeConstants>(d.specialization);
}

ops::ConvCooperativePush cooperative_push(const Dispatch& d) {
  return testing::from_words<ops::ConvCooperativePush>(d.push_constants);
}

Tuning cooperative_tuning(const DeviceCaps& caps) {
  Tuning tuning = default_tuning(caps);
  tuning.conv_cooperative = true;
  return tuning;
}

std::uint64_t workgroups_of(const Dispatch& d) { return std::uint64_t{d.groups[0]} * d.groups[1] * d.groups[2]; }

}  // namespace

TEST_CASE("convolutions of many channels are products of matrices, in one dispatch with their padding") {
  const DeviceCaps caps = large_gpu();
  Tuning tuning = default_tuning(caps);
  tuning.conv_groups = 0;
  for (const std::uint32_t one_pass : {0u, 2u}) {
    tuning.one_pass_convs = one_pass;
    for (const ConvSizes& x : {ConvSizes{1, 64, 128, 128}, ConvSizes{1, 64, 127, 125}, ConvSizes{4, 64, 60, 61}}) {
      for (const ConvSizes& w : {ConvSizes{64, 64, 3, 3}, ConvSizes{50, 64, 1, 1}, ConvSizes{16, 64, 5, 5}}) {
        const Plan plan = convolve(x, w, caps, tuning);
        REQUIRE(plan.dispatches.size() == 1);
        const Dispatch& d = plan.dispatches[0];
        const ops::ConvMatrixConstants c = matrix_constants(d);
        const ops::ConvMatrixPush p = matrix_push(d);
        CHECK(c.bounded == (w[2] > 1 ? 1u : 0u));
        CHECK(c.lanes * c.lane_rows * c.lane_columns == c.tile_rows * c.tile_columns);
        CHECK(p.row_tiles * c.tile_rows >= w[0]);
        CHECK(workgroups_of(d) >= std::uint64_t{p.row_tiles} * ((p.pixels + c.tile_columns - 1) / c.tile_columns));
      }
    }
  }
}

TEST_CASE("convolutions stay out of tiles where these do not fit, would be mostly padding, or it is tuned so") {
  const DeviceCaps gpu = large_gpu();
  const Tuning tuned = default_tuning(gpu);
  const auto in_tiles = [&](const ConvSizes& x, const ConvSizes& w, const DeviceCaps& caps, const Tuning& tuning,
                            const Attributes& attributes = {}, const char* op = "conv") {
    std::size_t count = 0;
    for (const Dispatch& d : convolve(x, w, caps, tuning, attributes, op).dispatches) {
      if (d.shader == "conv_matrix") ++count;
    }
    return count > 0;
  };
  const ConvSizes x = {1, 64, 32, 32};
  const ConvSizes w = {64, 64, 3, 3};
  CHECK(in_tiles(x, w, gpu, tuned));
  CHECK(!in_tiles(x, {8, 64, 3, 3}, gpu, tuned));
  CHECK(!in_tiles({1, 1, 32, 32}, {64, 1, 3, 3}, gpu, tuned));
  // A group fills tiles by itself, or it is left to lanes.
  CHECK(in_tiles(x, {64, 32, 3, 3}, gpu, tuned, {{"groups", std::int64_t{2}}}));
  CHECK(in_tiles(x, {64, 16, 3, 3}, gpu, tuned, {{"groups", std::int64_t{4}}}));
  CHECK(!in_tiles(x, {64, 8, 3, 3}, gpu, tuned, {{"groups", std::int64_t{8}}}));
  CHECK(!in_tiles(x, {64, 8, 1, 1}, gpu, tuned, {{"groups", std::int64_t{8}}}));
  CHECK(!in_tiles(x, {2048, 1, 3, 3}, gpu, tuned, {{"groups", std::int64_t{64}}}));
  CHECK(!in_tiles(x, {64, 1, 3, 3}, gpu, tuned, {{"groups", std::int64_t{64}}}));
  CHECK(!in_tiles(x, w, gpu, tuned, {}, "conv_transpose"));
  Tuning tuning = tuned;
  tuning.conv_tile = 0;
  CHECK(!in_tiles(x, w, gpu, tuning));
  DeviceCaps caps = gpu;
  caps.max_shared_memory = 4096;
  CHECK(!in_tiles(x, w, caps, tuned));
  caps = gpu;
  caps.max_workgroup_invocations = caps.max_workgroup_size[0] = 8;
  tuning = tuned;
  tuning.lanes = tuning.row_lanes = 8;
  tuning.set(&ProductTuning::lanes, 8);
  CHECK(!in_tiles(x, w, caps, tuning));
  caps = gpu;
  caps.max_loop_iterations = 1000;
  CHECK(!in_tiles({1, 4096, 4, 4}, {64, 4096, 3, 3}, caps, tuned));
  // The kernel is broken on the device.
  caps = gpu;
  for (const char* access : {"storage", "texel"}) caps.broken_modules.insert(std::string("conv_matrix-") + access);
  CHECK(!in_tiles(x, w, caps, tuned));
}

TEST_CASE("tiles of a convolution have channels that are there, and are as many as a device can use") {
  const DeviceCaps caps = large_gpu();
  Tuning tuning = default_tuning(caps);
  tuning.conv_groups = 0;
  const auto rows = [&](std::int64_t outputs) {
    return matrix_constants(convolve({1, 64, 128, 128}, {outputs, 64, 3, 3}, caps, tuning).dispatches[0]).tile_rows;
  };
  CHECK(rows(128) == 128);
  CHECK(rows(50) == 64);
  CHECK(rows(25) == 32);
  CHECK(rows(192) == 64);  // of 256 channels 64 would be none
  CHECK(rows(320) == 64);
  tuning.conv_groups = 128;
  for (const std::int64_t size : {4, 8, 16, 32, 64}) {
    CAPTURE(size);
    const Plan plan = convolve({1, 256, size, size}, {256, 256, 3, 3}, caps, tuning);
    CHECK(workgroups_of(plan.dispatches[0]) >= (size == 4 ? 64 : 128));
  }
}

TEST_CASE("groups of a convolution are tiles of their own, in one dispatch") {
  const DeviceCaps caps = large_gpu();
  Tuning tuning = default_tuning(caps);
  for (const std::uint32_t shared_by : {0u, 128u}) {
    tuning.conv_groups = shared_by;
    for (const std::int64_t groups : {1, 2, 4, 8}) {
      CAPTURE(groups);
      const Plan plan =
          convolve({3, 256, 9, 9}, {512, 256 / groups, 3, 3}, caps, tuning, {{"groups", std::int64_t{groups}}});
      const Dispatch& d = plan.dispatches[0];
      const ops::ConvMatrixConstants c = matrix_constants(d);
      const ops::ConvMatrixPush p = matrix_push(d);
      CHECK(p.groups == groups);
      CHECK(p.channels == 256 / groups);
      CHECK(p.outputs == 512 / groups);
      CHECK(p.row_tiles * c.tile_rows >= p.outputs);
      CHECK((p.row_tiles - 1) * c.tile_rows < p.outputs);
      const std::uint32_t pixel_tiles = (3 * 9 * 9 + c.tile_columns - 1) / c.tile_columns;
      CHECK(workgroups_of(d) >= std::uint64_t{p.groups} * p.row_tiles * pixel_tiles * p.parts);
      CHECK(plan.dispatches.size() == (p.parts > 1 ? 2 : 1));
      std::uint64_t flops = 0;
      for (const Dispatch& of : plan.dispatches) flops += of.flops;
      CHECK(flops == std::uint64_t{2} * 3 * 81 * 512 * 9 * 256 / u64(groups));
    }
  }
}

TEST_CASE("sums of a convolution are cut by what a picture is, whatever their number") {
  const DeviceCaps caps = large_gpu();
  for (const std::uint32_t groups : {0u, 128u, 1000u}) {
    Tuning tuning = default_tuning(caps);
    tuning.conv_groups = groups;
    for (const std::int64_t size : {1, 8, 30, 70}) {
      for (const ConvSizes& w : {ConvSizes{64, 128, 3, 3}, ConvSizes{300, 513, 1, 1}, ConvSizes{40, 17, 3, 3}}) {
        std::set<std::uint32_t> lengths;
        for (const std::int64_t pictures : {1, 2, 9}) {
          const Plan plan = convolve({pictures, w[1], size, size}, w, caps, tuning);
          const ops::ConvMatrixPush p = matrix_push(plan.dispatches[0]);
          lengths.insert(p.part_steps);
          const std::uint64_t vectors = u64(w[2] * w[3]) * p.channel_vectors;
          CHECK(std::uint64_t{p.parts} * p.part_steps * 8 >= vectors);
          CHECK((std::uint64_t{p.parts} - 1) * p.part_steps * 8 < vectors);
          CHECK(plan.dispatches.size() == (p.parts > 1 ? 2 : 1));
          CHECK(matrix_constants(plan.dispatches[0]).in_parts == (p.parts > 1 ? 1u : 0u));
          CHECK(plan.dispatches.back().shader == (p.parts > 1 ? "conv_parts" : "conv_matrix"));
        }
        CHECK(lengths.size() == 1);
      }
    }
  }
}

TEST_CASE("cooperative tiles of convolutions are of matrices that the device has, within its limits") {
  for (const std::uint32_t subgroup : {8u, 32u, 64u}) {
    for (const std::array<std::uint32_t, 3> matrix :
         {std::array{16u, 16u, 16u}, std::array{8u, 8u, 8u}, std::array{16u, 8u, 16u}, std::array{8u, 32u, 16u}}) {
      for (const std::uint32_t memory : {16384u, 32768u, 49152u}) {
        for (const std::uint32_t most : {128u, 256u, 1024u}) {
          for (const DType dtype : {DType::F32, DType::F16}) {
            for (const std::int64_t groups : {1, 2}) {
              DeviceCaps caps = large_gpu(subgroup);
              caps.cooperative_sizes = {matrix};
              caps.max_shared_memory = memory;
              caps.max_workgroup_invocations = caps.max_workgroup_size[0] = most;
              CAPTURE(subgroup);
              CAPTURE(matrix[0]);
              CAPTURE(matrix[1]);
              CAPTURE(memory);
              CAPTURE(most);
              CAPTURE(groups);
              const Plan plan = convolve({3, 70, 21, 22}, {100, 70 / groups, 3, 3}, caps, cooperative_tuning(caps),
                                         {{"groups", groups}}, "conv", dtype);
              REQUIRE(plan.dispatches.size() >= 2);
              CHECK(plan.dispatches[0].shader == "conv_halves");
              const auto h = testing::from_words<ops::ConvHalvesConstants>(plan.dispatches[0].specialization);
              CHECK(h.lanes == h.pixels * h.sharers);
              CHECK(h.lanes <= most);
              const Dispatch& d = plan.dispatches[1];
              CHECK(d.barrier_before);
              CHECK(d.subgroup_size == subgroup);
              const ops::ConvCooperativeConstants c = cooperative_constants(d);
              const ops::ConvCooperativePush p = cooperative_push(d);
              CHECK(std::array{c.m, c.n, c.k} == matrix);
              CHECK(c.lanes == subgroup * c.subgroups_down * c.subgroups_across);
              CHECK(c.lanes <= most);
              CHECK(c.x_halves == 2);
              CHECK(c.w_halves == (dtype == DType::F32 ? 2u : 1u));
              const std::uint32_t rows = c.m * c.matrix_rows * c.subgroups_down;
              const std::uint32_t columns = c.n * c.matrix_columns * c.subgroups_across;
              CHECK((c.w_halves * rows + c.x_halves * columns) * 80 + columns * 16 +
                        c.subgroups_down * c.subgroups_across * c.m * c.n * 4 <=
                    memory);
              CHECK(p.channel_words == (groups == 1 ? 9 : 5));
              CHECK(p.row_words % p.channel_words == 0);
              CHECK(p.row_words >= (9 * p.channel_words + 3) / 4 * 4);
              CHECK(p.row_tiles * rows >= p.outputs);
              CHECK(workgroups_of(d) >=
                    std::uint64_t{p.groups} * p.row_tiles * ((p.pixels + columns - 1) / columns) * p.parts);
              const std::uint64_t words = u64(groups) * p.channel_words;
              CHECK(d.bindings[0].size == std::uint64_t{2} * 3 * 21 * 22 * words * 16);
              CHECK(d.bindings[5].size >= std::uint64_t{4} * 3 * 21 * 22 * u64(groups));
              CHECK(d.bindings[1].size >= std::uint64_t{c.w_halves} * 100 * p.row_words * 16);
              CHECK(d.bindings[6].offset == d.bindings[1].size);
              CHECK(d.bindings[6].size >= 100 * 4);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("convolutions are halves of f16 where the user allows it, or the node") {
  DeviceCaps caps = large_gpu();
  caps.cooperative_sizes = {{16, 16, 16}};
  Tuning tuning = cooperative_tuning(caps);
  const auto halves_of = [&](Attributes attributes) {
    const Plan plan = convolve({1, 64, 32, 32}, {64, 64, 3, 3}, caps, tuning, std::move(attributes));
    REQUIRE(plan.dispatches.size() >= 2);
    const ops::ConvCooperativeConstants c = cooperative_constants(plan.dispatches[1]);
    CHECK(plan.dispatches[1].bindings[0].size == std::uint64_t{c.x_halves} * 32 * 32 * 64 * 2);
    return std::array{c.x_halves, c.w_halves};
  };
  CHECK(halves_of({}) == std::array{2u, 2u});
  CHECK(halves_of({{"halves", std::int64_t{1}}}) == std::array{1u, 1u});
  tuning.half_products = true;
  CHECK(halves_of({}) == std::array{1u, 1u});
  CHECK_THROWS_AS(halves_of({{"halves", std::int64_t{3}}}), Error);
}

TEST_CASE("convolutions that are no work for cooperative tiles run in plain ones, or as they did") {
  DeviceCaps caps = large_gpu();
  const ConvSizes x = {1, 64, 32, 32};
  const ConvSizes w = {64, 64, 3, 3};
  const auto shader_of = [&](const ConvSizes& of_x, const ConvSizes& of_w, const Tuning& tuning,
                             const Attributes& attributes = {}) {
    const Plan plan = convolve(of_x, of_w, caps, tuning, attributes);
    return plan.dispatches[plan.dispatches[0].shader == "conv_halves" ? 1 : 0].shader;
  };
  CHECK(shader_of(x, w, cooperative_tuning(caps)) == "conv_matrix");
  caps.cooperative_sizes = {{16, 16, 16}};
  CHECK(shader_of(x, w, default_tuning(caps)) == "conv_matrix");
  const Tuning tuning = cooperative_tuning(caps);
  CHECK(shader_of(x, w, tuning) == "conv_cooperative");
  CHECK(shader_of(x, {64, 32, 3, 3}, tuning, {{"groups", std::int64_t{2}}}) == "conv_cooperative");
  CHECK(shader_of(x, {64, 8, 3, 3}, tuning, {{"groups", std::int64_t{8}}}) == "conv");
  CHECK(shader_of(x, {64, 1, 3, 3}, tuning, {{"groups", std::int64_t{64}}}) == "conv");
  CHECK(shader_of(x, {8, 64, 3, 3}, tuning) == "conv");
  CHECK(shader_of({1, 3, 32, 32}, {64, 3, 3, 3}, tuning) != "conv_cooperative");
  Tuning lanes = tuning;
  lanes.conv_tile = 0;
  CHECK(shader_of(x, w, lanes) == "conv");
  caps.cooperative_sizes = {{16, 16, 64}};  // longer than a step
  CHECK(shader_of(x, w, tuning) == "conv_matrix");
  caps.cooperative_sizes = {{16, 16, 16}};
  caps.max_shared_memory = 4096;
  CHECK(shader_of(x, w, tuning) == "conv");
  caps.max_shared_memory = 49152;
  caps.broken_modules = {"conv_cooperative-storage"};
  CHECK(shader_of(x, w, tuning) == "conv_matrix");
  caps.broken_modules = {"conv_halves-storage", "conv_halves-texel"};
  CHECK(convolve(x, w, caps, tuning).dispatches[0].shader == "conv_matrix");
  caps.broken_modules.clear();
  // Halves that do not fit a binding: pictures by themselves, rather than by another kernel.
  caps.max_storage_buffer_range = std::uint64_t{64} * 32 * 32 * 4;
  const Plan apart = convolve({3, 64, 32, 32}, w, caps, tuning);
  std::size_t cooperative = 0;
  for (const Dispatch& d : apart.dispatches) {
    cooperative += d.shader == "conv_cooperative" ? 1u : 0u;
    CHECK(d.shader != "conv_matrix");
  }
  CHECK(cooperative >= 3);
  // Weights that no file holds are not halves.
  caps = large_gpu();
  caps.cooperative_sizes = {{16, 16, 16}};
  GraphBuilder b("convolution");
  b.output(b.add("conv", "c", {b.input("x", DType::F32, {1, 64, 32, 32}), b.input("w", DType::F32, {64, 64, 3, 3})}),
           "y");
  for (const Dispatch& d : make_plan(std::move(b).finish(), {}, caps, tuning).dispatches) {
    CHECK(d.shader != "conv_cooperative");
  }
}

TEST_CASE("sums of a convolution in cooperative tiles are cut, and multiplied, by what a picture is") {
  DeviceCaps caps = large_gpu();
  caps.cooperative_sizes = {{16, 16, 16}, {16, 8, 16}, {8, 8, 8}};
  for (const std::uint32_t shared_by : {0u, 128u, 1000u}) {
    Tuning tuning = cooperative_tuning(caps);
    tuning.conv_groups = shared_by;
    for (const std::int64_t size : {1, 8, 30, 70}) {
      for (const ConvSizes& w : {ConvSizes{64, 128, 3, 3}, ConvSizes{300, 513, 1, 1}, ConvSizes{40, 31, 3, 3}}) {
        std::set<std::array<std::uint32_t, 4>> ways;
        for (const std::int64_t pictures : {1, 2, 9}) {
          const Plan plan = convolve({pictures, w[1], size, size}, w, caps, tuning);
          REQUIRE(plan.dispatches.size() >= 2);
          const ops::ConvCooperativeConstants c = cooperative_constants(plan.dispatches[1]);
          const ops::ConvCooperativePush p = cooperative_push(plan.dispatches[1]);
          ways.insert({p.part_steps, c.m, c.n, c.k});
          const std::uint64_t words = u64(w[2] * w[3]) * p.channel_words;
          CHECK(std::uint64_t{p.parts} * p.part_steps * 4 >= words);
          CHECK((std::uint64_t{p.parts} - 1) * p.part_steps * 4 < words);
          CHECK(plan.dispatches.size() == (p.parts > 1 ? 3 : 2));
          CHECK(c.in_parts == (p.parts > 1 ? 1u : 0u));
        }
        CHECK(ways.size() == 1);
      }
    }
  }
}

}  // namespace heed
