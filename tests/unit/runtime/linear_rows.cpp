// Products of several rows on a device: what a row gives is the same bits whatever the number of others, however tall
// the tiles are that it shares with them.
#include <doctest/doctest.h>

#include <bit>
#include <cstring>
#include <random>

#include "graph/convert_dtype.h"
#include "graph/quantised.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "runtime/gpu.h"
#include "runtime/session.h"
#include "runtime/weights.h"
#include "tests/unit/runtime/test_device.h"

namespace heed {
namespace {

constexpr std::int64_t kColumns = 2304;
constexpr std::int64_t kOutputs = 70;

std::vector<float> random_floats(std::size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> floats(count);
  for (float& value : floats) value = static_cast<float>(engine()) / 4294967296.0f - 0.5f;
  return floats;
}

/// `most_rows`: that must agree, where this is said.
std::vector<std::uint32_t> product(Gpu& gpu, DType dtype, std::int64_t rows, const Tuning& tuning, const char* shader,
                                   std::int64_t most_rows = 0) {
  GraphBuilder b("product");
  const ValueId x = b.input("x", DType::F32, {rows, kColumns});
  Attributes attributes;
  if (most_rows > 0) attributes.set("most_rows", most_rows);
  b.output(b.add("linear", "product", {x, b.weight("w", dtype, {kOutputs, kColumns})}, attributes), "y");
  const Graph graph = std::move(b).finish();
  std::vector<std::byte> bytes(byte_size(dtype, {kOutputs, kColumns}));
  encode_from_f32(dtype, random_floats(static_cast<std::size_t>(kOutputs * kColumns), 1), bytes);
  MemoryWeights weights;
  weights.add("w", {dtype, {kOutputs, kColumns}}, std::move(bytes));
  WeightStore store(gpu, weights);
  Session session(gpu, store);
  const auto executable = session.prepare(make_plan(graph, {}, gpu.caps(), tuning));
  bool runs = false;
  for (const Dispatch& d : executable->plan().dispatches) runs = runs || d.shader == shader;
  CHECK(runs);
  std::vector<float> values = random_floats(static_cast<std::size_t>(256 * kColumns), 2);
  values[5] = 1e6f;  // of row 0, beyond f16
  values.resize(static_cast<std::size_t>(rows * kColumns));
  session.write("x", std::as_bytes(std::span(values)));
  session.run(*executable);
  std::vector<std::uint32_t> y(static_cast<std::size_t>(rows * kOutputs));
  session.read_output(*executable, "y", std::as_writable_bytes(std::span(y)));
  return y;
}

}  // namespace

TEST_CASE("a row of a product in tiles is the same bits alone and among others") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  Gpu& gpu = device->gpu();
  Tuning tiles = default_tuning(gpu.caps());
  tiles.set(&ProductTuning::tile, 64);
  tiles.set(&ProductTuning::tile_groups, 0);
  Tuning parts = tiles;
  parts.set(&ProductTuning::tile_groups, 1000);
  struct Kind {
    const char* shader;
    DType dtype;
    Tuning tuning;
  };
  std::vector<Kind> kinds = {
      {"linear_tiles", DType::F16, tiles}, {"linear_tiles", DType::Q4_0, tiles}, {"linear_parts", DType::F16, parts}};
  if (!gpu.caps().cooperative_sizes.empty()) {
    parts.set(&ProductTuning::cooperative, true);
    for (const DType dtype : {DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0, DType::Q4_K, DType::Q2_K}) {
      kinds.push_back({"linear_cooperative", dtype, parts});
    }
  }
  for (const Kind& kind : kinds) {
    CAPTURE(kind.shader);
    CAPTURE(dtype_name(kind.dtype));
    const std::vector<std::uint32_t> all = product(gpu, kind.dtype, 70, kind.tuning, kind.shader);
    for (const std::int64_t rows : {4, 9, 17, 33}) {
      CAPTURE(rows);
      const std::vector<std::uint32_t> some = product(gpu, kind.dtype, rows, kind.tuning, kind.shader);
      CHECK(std::equal(some.begin(), some.end(), all.begin()));
    }
  }
}

TEST_CASE("a row of a dot product is the same bits alone and among up to seven others") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  Gpu& gpu = device->gpu();
  if (!gpu.caps().integer_dot_product) {
    MESSAGE("SKIPPED: the device has no dot products of bytes");
    return;
  }
  for (const QuantisedType& type : quantised_types()) {
    CAPTURE(type.name);
    std::vector<std::uint32_t> all;
    for (const std::uint32_t groups : {1u, 1000u}) {
      CAPTURE(groups);
      Tuning tuning = default_tuning(gpu.caps());
      tuning.set(&ProductTuning::dot_groups, groups);
      for (const std::int64_t rows : {8, 7, 4, 3, 2, 1}) {
        CAPTURE(rows);
        const std::vector<std::uint32_t> some = product(gpu, type.dtype, rows, tuning, "linear_dot", 8);
        if (all.empty()) all = some;
        CHECK(std::equal(some.begin(), some.end(), all.begin()));
      }
    }
  }
}

}  // namespace heed
