// What a token and a prompt cost on a described GPU: dispatches, bytes, flops a byte, and whether every core has work.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "constants/attention_cooperative.h"
#include "constants/linear_cooperative.h"
#include "constants/linear_tiles.h"
#include "generate/cache_type.h"
#include "graph/integer.h"
#include "graph/quantised.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/devices/check_plan.h"
#include "tests/unit/devices/llama.h"
#include "tests/unit/devices/models.h"
#include "tests/unit/from_words.h"
#include "tests/unit/large_gpu.h"

namespace heed {
namespace {

using testing::from_words;
using testing::llama;

/// How a product is cut: what linear_tiles.comp and linear_cooperative.comp have alike.
struct Cut {
  std::uint64_t tile_rows, tile_columns, row_tiles, parts, weight_rows, columns;
};

Cut cut_of(const Dispatch& d) {
  if (d.shader == "linear_tiles") {
    const auto c = from_words<ops::LinearTilesConstants>(d.specialization);
    const auto p = from_words<ops::LinearTilesPush>(d.push_constants);
    return {c.tile_rows, c.tile_columns, p.row_tiles, p.parts, std::uint64_t{p.count} * (1 + c.gated), p.columns};
  }
  const auto c = from_words<ops::LinearCooperativeConstants>(d.specialization);
  const auto p = from_words<ops::LinearCooperativePush>(d.push_constants);
  return {std::uint64_t{c.m} * c.matrix_rows * c.subgroups_down,
          std::uint64_t{c.n} * c.matrix_columns * c.subgroups_across,
          p.row_tiles,
          p.parts,
          std::uint64_t{p.count} * (1 + c.gated),
          std::uint64_t{p.x_words} * 8};
}

/// Bytes that a product in tiles reads, were a wave of workgroups to share what its members read of x and of the
/// weight, and the next wave to find nothing of it.
std::uint64_t bytes_in_waves(const Plan& plan, const Dispatch& d, std::uint64_t wave) {
  const Cut cut = cut_of(d);
  const std::uint64_t row_bytes = plan.tensors[d.bindings[1].tensor].bytes / cut.weight_rows;
  const std::uint64_t groups = cut.row_tiles * cut.parts * ceil_div(cut.weight_rows, cut.tile_columns);
  CHECK(std::uint64_t{d.groups[0]} * d.groups[1] >= groups);
  const std::uint64_t x_bytes = cut.tile_rows * cut.columns * 4 / cut.parts;
  const std::uint64_t w_bytes = cut.tile_columns * row_bytes / cut.parts;
  std::uint64_t bytes = 0;
  for (std::uint64_t begin = 0; begin < groups; begin += wave) {
    std::set<std::uint64_t> of_x, of_w;  // tiles and their parts, as the shaders number them
    for (std::uint64_t group = begin; group < std::min(groups, begin + wave); ++group) {
      const std::uint64_t part = group / cut.row_tiles % cut.parts;
      of_x.insert(group % cut.row_tiles * cut.parts + part);
      of_w.insert(group / cut.row_tiles);
    }
    bytes += of_x.size() * x_bytes + of_w.size() * w_bytes;
  }
  return bytes;
}

}  // namespace

TEST_CASE("a token of a 7B model on a large GPU: dispatches, barriers, bytes, and work for every core") {
  constexpr std::uint64_t kCores = 132;
  constexpr std::int64_t kKeys = 4096;
  DeviceCaps caps = testing::h100();
  caps.integer_dot_product = true;
  Tuning tuning = default_tuning(caps);
  tuning.attention_groups = tuning.sample_groups = 640;

  const Bindings dims = {{"tokens", 1}, {"outputs", 1}, {"context", kKeys}};
  std::vector<DType> types = {DType::F16};
  for (const QuantisedType& type : quantised_types()) types.push_back(type.dtype);
  for (const DType type : types) {
    CAPTURE(dtype_name(type));
    const Graph decode = with_cache_type(llama(4096, 32, 32, 32, 11008, 32000, kKeys, type), CacheType::Auto, caps);
    tuning.set(&ProductTuning::dot_groups, 0);
    const Plan in_floats = make_plan(testing::with_sampling(decode, kKeys, true), dims, caps, tuning);
    tuning.set(&ProductTuning::dot_groups, default_tuning(caps).of(type).dot_groups);
    const Plan plan = make_plan(testing::with_sampling(decode, kKeys, true), dims, caps, tuning);
    CHECK(misfits(plan, caps).empty());
    // In integers there is neither a dispatch nor a byte more: rows of x become bytes where they are multiplied.
    CHECK(std::ranges::count(plan.dispatches, "linear_dot", &Dispatch::shader) ==
          (type == DType::F16 ? 0 : 4 * 32 + 1));
    CHECK(plan.dispatches.size() == in_floats.dispatches.size());
    CHECK(plan.bytes() == in_floats.bytes());
    // Every layer is a chain: q, k and v; attention; what is made of it; gate and up; down.
    CHECK(plan.dispatches.size() <= 165);
    CHECK(std::ranges::count_if(plan.dispatches, &Dispatch::barrier_before) <= 162);

    std::uint64_t needed = 0;  // of weights, but for the embedding, of which a token reads a row, and of the full cache
    for (const Value& value : decode.values) {
      const bool read =
          value.kind == ValueKind::State || (value.kind == ValueKind::Weight && value.name != "token_embd.weight");
      if (read && value.shape.size() == 2) needed += byte_size(value.dtype, bind(value.shape, dims));
    }
    std::uint64_t reads = 0;
    for (const Dispatch& d : plan.dispatches) reads += d.bytes + d.bytes_a_key * static_cast<std::uint64_t>(kKeys);
    CHECK(needed > std::uint64_t{4'000'000'000});  // 2 GB of keys and values, and weights from 2 bits an element on
    CHECK(static_cast<double>(reads) == doctest::Approx(static_cast<double>(needed)).epsilon(0.03));

    std::size_t wide = 0;
    for (const Dispatch& d : plan.dispatches) {
      const bool counts =
          d.shader.starts_with("linear") || d.shader.starts_with("attention") || d.shader.starts_with("sample");
      if (!counts) continue;
      ++wide;
      CHECK_MESSAGE(std::uint64_t{d.groups[0]} * d.groups[1] * d.groups[2] >= 4 * kCores, d.shader << " " << d.label);
    }
    CHECK(wide >= 5 * 32 + 2);
  }
}

TEST_CASE("a prompt of 512 tokens of a 7B model on a large GPU: flops a byte, and work for every core") {
  constexpr std::uint64_t kCores = 132;
  DeviceCaps caps = testing::h100();
  caps.cooperative_sizes = {{16, 16, 16}};
  const Bindings dims = {{"tokens", 512}, {"outputs", 1}, {"context", 4096}};
  std::vector<DType> types = {DType::F16, DType::BF16};
  for (const QuantisedType& type : quantised_types()) types.push_back(type.dtype);
  for (const DType type : types) {
    CAPTURE(dtype_name(type));
    const Graph decode = with_cache_type(llama(4096, 32, 32, 32, 11008, 32000, 4096, type), CacheType::Auto, caps);
    for (const bool cooperative : {false, true}) {
      Tuning tuning = default_tuning(caps);
      tuning.set(&ProductTuning::cooperative, cooperative);
      const Plan plan = make_plan(decode, dims, caps, tuning);
      CHECK(misfits(plan, caps).empty());
      std::size_t products = 0;
      for (std::size_t i = 0; i < plan.dispatches.size(); ++i) {
        const Dispatch& d = plan.dispatches[i];
        CHECK(d.shader != "linear_matrix");
        if (d.shader != (cooperative ? "linear_cooperative" : "linear_tiles")) continue;
        ++products;
        CAPTURE(d.label);
        std::uint64_t bytes = bytes_in_waves(plan, d, kCores);
        const bool in_parts = plan.dispatches[i + 1].shader == "linear_parts";
        if (in_parts) bytes += plan.dispatches[i + 1].bindings[5].size;
        CHECK(std::uint64_t{d.groups[0]} * d.groups[1] >= kCores);
        CHECK(d.flops / bytes >= 128);
      }
      CHECK(products == 4 * 32);
    }
  }
}

TEST_CASE("attention of a prompt of 512 tokens by matrices on a large GPU: flops a byte, and work for every core") {
  constexpr std::uint64_t kCores = 132;
  DeviceCaps caps = testing::h100();
  caps.cooperative_sizes = {{16, 8, 16}, {16, 16, 16}};
  const Bindings dims = {{"tokens", 512}, {"outputs", 1}, {"context", 4096}};
  for (const CacheType cache : {CacheType::F32, CacheType::F16}) {
    const Graph decode = with_cache_type(llama(4096, 32, 32, 32, 11008, 32000, 4096, DType::F16), cache, caps);
    for (const bool half : {false, true}) {
      CAPTURE(half);
      Tuning tuning = default_tuning(caps);
      tuning.query_tile = 64;
      tuning.cooperative_attention = true;
      tuning.half_products = half;
      const Plan plan = make_plan(decode, dims, caps, tuning);
      CHECK(misfits(plan, caps).empty());
      std::size_t layers = 0;
      for (const Dispatch& d : plan.dispatches) {
        CHECK(d.shader != "attention_tiles");
        if (d.shader != "attention_cooperative") continue;
        ++layers;
        CHECK(std::uint64_t{d.groups[0]} * d.groups[1] >= kCores);
        const auto c = from_words<ops::AttentionCooperativeConstants>(d.specialization);
        CHECK(c.n == 16);  // the larger matrix
        CHECK(c.subgroups_down * c.subgroups_across >= 4);
        const std::uint64_t rows = std::uint64_t{c.m} * c.matrix_rows * c.subgroups_down;
        // Both halves of q fit with keys of f16, but not with two halves of those.
        CHECK(rows >= (half || cache == CacheType::F16 ? 64 : 32));
        CHECK(d.flops_a_key / d.bytes_a_key >= (cache == CacheType::F16 ? rows : rows / 2));
      }
      CHECK(layers == 32);
    }
  }
}

TEST_CASE("a token of a 15M model is two dispatches a layer where the tuner found that products are better joined") {
  DeviceCaps caps = testing::large_gpu();
  caps.max_storage_buffers = 1 << 20;
  caps.memory = std::uint64_t{80} << 30;
  caps.max_memory_allocation = caps.max_storage_buffer_range = (std::uint64_t{1} << 32) - 1;
  caps.max_workgroup_count[0] = 0x7fffffff;
  caps.subgroup_shuffle = true;
  const Bindings dims = {{"tokens", 1}, {"outputs", 1}, {"context", 256}};
  for (const DType type : {DType::F32, DType::F16, DType::Q8_0}) {
    for (const CacheType cache : {CacheType::F32, CacheType::F16}) {
      CAPTURE(dtype_name(type));
      const Graph decode = with_cache_type(llama(288, 6, 6, 6, 768, 32000, 256, type), cache, caps);
      const auto dispatches = [&](bool pairs) {
        Tuning tuning = default_tuning(caps);
        tuning.set(&ProductTuning::pairs, pairs);
        const Plan plan = make_plan(testing::with_sampling(decode, 256, true), dims, caps, tuning);
        CHECK(misfits(plan, caps).empty());
        return plan.dispatches.size();
      };
      CHECK(dispatches(true) <= 17);
      CHECK(dispatches(false) <= 35);
    }
  }
  // A large model's products are work for a dispatch of their own.
  Tuning tuning = default_tuning(caps);
  tuning.set(&ProductTuning::pairs, true);
  const Plan large = make_plan(llama(4096, 2, 32, 32, 11008, 32000, 4096, DType::F16),
                               {{"tokens", 1}, {"outputs", 1}, {"context", 4096}}, caps, tuning);
  for (const Dispatch& d : large.dispatches) CHECK((d.shader != "linear_pair" && d.shader != "attention_block"));
}

TEST_CASE("a token of Mixtral 8x7B reads two experts of eight a layer, a prompt each expert once") {
  DeviceCaps caps = testing::large_gpu();
  caps.max_memory_allocation = caps.max_storage_buffer_range = (std::uint64_t{1} << 32) - 1;
  caps.max_workgroup_count[0] = 0x7fffffff;
  const Graph decode = llama(4096, 32, 32, 8, 14336, 32000, 4096, DType::F16, 8, 2);
  std::uint64_t all = 0;
  for (const Value& value : decode.values) {
    if (value.kind == ValueKind::Weight) all += byte_size(value.dtype, bind(value.shape, {}));
  }
  CHECK(all == doctest::Approx(93.4e9).epsilon(0.001));  // 46.7 billion weights
  const auto bytes_read = [&](std::int64_t tokens) {
    const Bindings dims = {{"tokens", tokens}, {"outputs", 1}, {"context", 4096}};
    std::uint64_t sum = 0;
    const Plan plan = make_plan(decode, dims, caps, default_tuning(caps));
    for (const Dispatch& d : plan.dispatches) sum += d.bytes;
    if (tokens == 1) CHECK(plan.dispatches.size() <= 8 * 32 + 4);
    return static_cast<double>(sum);
  };
  // Attention and router of 32 layers, two experts each, and the output matrix: 12.75 billion weights.
  CHECK(bytes_read(1) == doctest::Approx(25.5e9).epsilon(0.002));
  CHECK(bytes_read(512) == doctest::Approx(93.1e9).epsilon(0.002));
}

}  // namespace heed
