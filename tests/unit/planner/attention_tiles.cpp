// Attention of a prompt: rows that share keys go through them in tiles of shared memory. What that costs is counted.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "heed/error.h"
#include "ops/attention.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/from_words.h"
#include "tests/unit/large_gpu.h"

namespace heed {
namespace {

using testing::large_gpu;

Graph prompt(std::int64_t rows, std::int64_t heads, std::int64_t kv_heads, std::int64_t width, std::int64_t context,
             DType cache = DType::F32) {
  GraphBuilder b("prompt");
  const ValueId q = b.input("q", DType::F32, {rows, heads * width});
  const ValueId k = b.input("k", DType::F32, {rows, kv_heads * width});
  const ValueId v = b.input("v", DType::F32, {rows, kv_heads * width});
  b.output(b.add("attention", "attention",
                 {q, k, v, kNoValue, b.state("keys", cache, {context, kv_heads * width}),
                  b.state("values", cache, {context, kv_heads * width}), b.state("position", DType::I32, {1})},
                 {{"heads", heads}, {"kv_heads", kv_heads}, {"causal", std::int64_t{1}}}),
           "y");
  return std::move(b).finish();
}

Dispatch attention_of(const Graph& graph, const DeviceCaps& caps, std::uint32_t query_tile) {
  Tuning tuning = default_tuning(caps);
  tuning.query_tile = query_tile;
  const Plan plan = make_plan(graph, {}, caps, tuning);
  return plan.dispatches.back();
}

std::uint64_t workgroups_of(const Dispatch& d) { return std::uint64_t{d.groups[0]} * d.groups[1] * d.groups[2]; }

}  // namespace

TEST_CASE("a prompt of 512 of a 7B model is work for all cores, and reads keys once for 64 of its tokens") {
  constexpr std::uint64_t kCores = 132, kPrompt = 512, kHeads = 32, kWidth = 128;
  for (const DType cache : {DType::F32, DType::F16}) {
    const std::uint64_t element = cache == DType::F16 ? 2 : 4;
    for (const std::uint64_t before : {0, 4096}) {
      const std::uint64_t keys = before + kPrompt;
      const Dispatch d = attention_of(prompt(kPrompt, kHeads, kHeads, kWidth, static_cast<std::int64_t>(keys), cache),
                                      large_gpu(), default_tuning(large_gpu()).query_tile);
      REQUIRE(d.shader == "attention_tiles");
      CHECK(workgroups_of(d) >= kCores);
      CHECK(workgroups_of(d) == kHeads * kPrompt / 64);
      // 8 times the keys and values of a layer.
      const std::uint64_t bytes = d.bytes + d.bytes_a_key * keys;
      CHECK(bytes <= kPrompt / 64 * keys * 2 * kHeads * kWidth * element);
      const std::uint64_t flops = d.flops + d.flops_a_key * (keys - d.fewest_keys);
      CHECK(flops <= 2 * kPrompt * keys * kHeads * 2 * kWidth);
      CHECK(flops >= 2 * kPrompt * keys * kHeads * 2 * kWidth);
      // Arithmetic for each byte that comes from memory, or the cache of the device.
      CHECK(flops / bytes >= 128 / element);
    }
  }
}

TEST_CASE("heads that share keys share what is fetched") {
  const Dispatch apart = attention_of(prompt(128, 32, 32, 128, 1024), large_gpu(), 64);
  const Dispatch grouped = attention_of(prompt(128, 32, 8, 128, 1024), large_gpu(), 64);
  CHECK(workgroups_of(apart) == 32 * 2);
  CHECK(workgroups_of(grouped) == 8 * 128 * 4 / 64);
  // As many heads go through a quarter of the keys, in tiles of 16 queries of four heads.
  CHECK(grouped.bytes_a_key == apart.bytes_a_key);
  CHECK(attention_of(prompt(16, 32, 8, 128, 1024), large_gpu(), 64).bytes_a_key * 4 ==
        attention_of(prompt(64, 32, 32, 128, 1024), large_gpu(), 64).bytes_a_key);
}

TEST_CASE("tiles fit every device that they are offered to") {
  for (const std::uint32_t memory : {16384u, 32768u, 49152u}) {
    for (const std::uint32_t invocations : {64u, 128u, 256u, 1024u}) {
      DeviceCaps caps = large_gpu();
      caps.max_shared_memory = memory;
      caps.max_workgroup_invocations = invocations;
      caps.max_workgroup_size = {invocations, invocations, 64};
      for (const std::int64_t d : {64, 80, 96, 128, 256}) {
        for (const std::int64_t rows : {8, 32, 64, 128}) {
          ops::AttentionSizes sizes{};
          sizes.heads = sizes.kv_heads = 2;
          sizes.d = sizes.dv = d;
          sizes.queries = sizes.query_rows = sizes.memory_rows = 500;
          sizes.length = 1000;
          sizes.cached = true;
          const auto tiles = ops::AttentionTiles::of(sizes, caps, rows);
          CAPTURE(memory);
          CAPTURE(invocations);
          CAPTURE(d);
          CAPTURE(rows);
          REQUIRE(tiles.has_value());
          const ops::AttentionTilesConstants& c = tiles->constants;
          CHECK(tiles->shared <= memory);
          CHECK(c.lanes <= invocations);
          CHECK(c.lanes / c.key_lanes * c.rows_a_lane == tiles->rows);
          CHECK(tiles->rows <= rows);
          CHECK(tiles->rows * 4 >= std::min<std::int64_t>(rows, 32));  // not much smaller than asked for
          CHECK(c.q_length % c.step == 0);
          CHECK(4 * c.key_lanes % c.value_keys == 0);
          CHECK(c.words * c.key_lanes >= c.v_length);
          CHECK(c.rows_a_lane * c.words <= 16);  // sums in registers
          CHECK(c.kv_words >= std::max(4 * c.key_lanes * c.stride, c.value_keys * c.v_length));
          CHECK(c.lanes * c.staged >= std::max(4 * c.key_lanes * c.step, c.value_keys * c.v_length));
        }
      }
    }
  }
}

TEST_CASE("cooperative tiles are of matrices that the device has, in whole subgroups, within its limits") {
  std::size_t fit = 0;
  for (const std::array<std::uint32_t, 3> matrix :
       {std::array{16u, 16u, 16u}, {8u, 8u, 8u}, {16u, 8u, 16u}, {8u, 8u, 32u}}) {
    for (const std::uint32_t subgroup : {8u, 32u, 64u}) {
      for (const std::uint32_t memory : {16384u, 32768u, 49152u, 65536u}) {
        for (const std::int64_t d : {4, 20, 64, 80, 128, 256}) {
          for (const std::uint32_t halves : {1u, 2u}) {
            for (const DType cache : {DType::F32, DType::F16}) {
              DeviceCaps caps = large_gpu(subgroup);
              caps.subgroup_shuffle = true;
              caps.max_shared_memory = memory;
              caps.cooperative_sizes = {matrix};
              ops::AttentionSizes sizes{};
              sizes.heads = sizes.kv_heads = 2;
              sizes.d = sizes.dv = d;
              sizes.queries = sizes.query_rows = sizes.memory_rows = 500;
              sizes.length = 1000;
              sizes.cached = true;
              sizes.cache = cache;
              const auto tiles = ops::AttentionMatrices::of(sizes, caps, 64, halves);
              CAPTURE(matrix[2]);
              CAPTURE(subgroup);
              CAPTURE(memory);
              CAPTURE(d);
              if (!tiles) {
                // Where there is little room, in shared memory or in the registers of few lanes, or no matrix's worth
                // of elements.
                const bool large = memory >= 49152 && d <= 128 && (subgroup > 8 || matrix[2] <= 16);
                CHECK_FALSE(large);
                continue;
              }
              ++fit;
              const ops::AttentionCooperativeConstants& c = tiles->constants;
              CHECK(tiles->shared <= memory);
              CHECK(c.lanes == c.subgroups_down * c.subgroups_across * subgroup);
              CHECK(c.lanes <= 1024);
              CHECK(tiles->rows == c.m * c.matrix_rows * c.subgroups_down);
              CHECK(tiles->rows <= 64);
              CHECK(std::array{c.m, c.n, c.k} == matrix);
              CHECK(c.keys % c.n == 0);
              CHECK(c.keys % c.k == 0);
              CHECK(c.key_matrices * c.subgroups_across * c.n >= c.keys);
              CHECK(c.value_matrices * c.subgroups_across * c.n >= d);
              CHECK(c.words * 8 * 4 >= d);
              CHECK(c.kv_stride * 4 >= d + 8);
              CHECK(c.score_words >= tiles->rows * (c.keys / 4 + 1));
              CHECK(c.matrix_rows * c.value_matrices * c.m * c.n / subgroup <= 128);  // sums in registers
              // What a row gives does not depend on how many there are.
              for (const std::int64_t fewer : {4, 9, 30}) {
                sizes.queries = sizes.query_rows = sizes.memory_rows = fewer;
                const auto small = ops::AttentionMatrices::of(sizes, caps, 64, halves);
                REQUIRE(small.has_value());
                CHECK(small->constants.keys == c.keys);
                CHECK(small->rows <= tiles->rows);
                CHECK((small->rows < fewer * 2 || small->rows == c.m || small->rows == tiles->rows));
              }
            }
          }
        }
      }
    }
  }
  CHECK(fit > 300);
}

TEST_CASE("what attention multiplies is rounded to halves where its node says so, and where the user allows it") {
  DeviceCaps caps = large_gpu();
  caps.subgroup_shuffle = true;
  caps.cooperative_sizes = {{16, 16, 16}};
  Tuning tuning;
  tuning.query_tile = 64;
  tuning.cooperative_attention = true;
  const auto halves_of = [&](std::int64_t halves, DType cache) {
    Graph graph = prompt(64, 4, 4, 64, 100, cache);
    for (Node& node : graph.nodes) {
      if (node.op == "attention" && halves != 2) node.attributes.set("halves", halves);
    }
    const Plan plan = make_plan(graph, {}, caps, tuning);
    REQUIRE(plan.dispatches.back().shader == "attention_cooperative");
    return testing::from_words<ops::AttentionCooperativeConstants>(plan.dispatches.back().specialization).halves;
  };
  for (const DType cache : {DType::F32, DType::F16}) {
    tuning.half_products = false;
    CHECK(halves_of(2, cache) == 2);
    CHECK(halves_of(1, cache) == 1);
    CHECK_THROWS_WITH_AS(halves_of(3, cache), doctest::Contains("halves is 3, expected 1 or 2"), Error);
    tuning.half_products = true;
    CHECK(halves_of(2, cache) == 1);
  }
  // A step's attention is told as well, and has nothing to round.
  CHECK(make_plan(prompt(1, 4, 1, 64, 100), {}, caps, tuning).dispatches.back().shader == "attention_step");
}

TEST_CASE("what cooperative tiles cannot take is multiplied in plain ones") {
  Tuning tuning;
  tuning.query_tile = 64;
  tuning.cooperative_attention = true;
  DeviceCaps caps = large_gpu();
  caps.subgroup_shuffle = true;
  caps.cooperative_sizes = {{16, 16, 16}};
  const auto shader = [&](const Graph& graph) { return make_plan(graph, {}, caps, tuning).dispatches.back().shader; };
  const Graph usual = prompt(64, 4, 4, 64, 100);
  CHECK(shader(usual) == "attention_cooperative");
  CHECK(shader(prompt(64, 4, 4, 64, 100, DType::F16)) == "attention_cooperative");
  CHECK(shader(prompt(64, 4, 4, 6, 100)) == "attention");
  CHECK(shader(prompt(3, 4, 4, 64, 100)) == "attention");
  const DeviceCaps all = caps;
  caps.broken_modules = {"attention_cooperative-storage-f32"};
  CHECK(shader(usual) == "attention_tiles");
  CHECK(shader(prompt(64, 4, 4, 64, 100, DType::F16)) == "attention_cooperative");
  caps = all;
  caps.subgroup_shuffle = false;
  CHECK(shader(usual) == "attention_tiles");
  caps = all;
  caps.subgroup_size = 4;
  CHECK(shader(usual) == "attention_tiles");
  for (const std::array<std::uint32_t, 3> matrix : {std::array{16u, 16u, 4u}, {16u, 4u, 16u}, {16u, 16u, 128u}}) {
    caps = all;
    caps.cooperative_sizes = {matrix};
    CHECK(shader(usual) == "attention_tiles");
  }
  caps = all;
  caps.cooperative_sizes.clear();
  CHECK(shader(usual) == "attention_tiles");
  caps = all;
  tuning.query_tile = 0;
  CHECK(shader(usual) == "attention");
}

TEST_CASE("what tiles cannot take, and what is tuned without them, has other kernels") {
  CHECK(attention_of(prompt(64, 4, 4, 64, 100), large_gpu(), 0).shader == "attention");
  CHECK(attention_of(prompt(64, 4, 4, 6, 100), large_gpu(), 64).shader == "attention");  // no whole vec4s
  CHECK(attention_of(prompt(3, 4, 4, 64, 100), large_gpu(), 64).shader == "attention");
  CHECK(attention_of(prompt(2, 4, 2, 64, 100), large_gpu(), 64).shader == "attention_tiles");
  CHECK(attention_of(prompt(1, 4, 1, 64, 100), large_gpu(), 64).shader == "attention_split");
  DeviceCaps caps = large_gpu();
  caps.max_loop_iterations = 65535;
  CHECK(attention_of(prompt(64, 4, 4, 64, 1024), caps, 64).shader == "attention_tiles");
  CHECK(attention_of(prompt(64, 4, 4, 64, 8192), caps, 64).shader == "attention");
  caps = large_gpu();
  caps.broken_modules = {"attention_tiles-storage-f32"};
  CHECK(attention_of(prompt(64, 4, 4, 64, 100), caps, 64).shader == "attention");
}

}  // namespace heed
